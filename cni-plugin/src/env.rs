//! The environment of a call: `CNI_*` variables and CNI_ARGS (CNI spec 1.1, section 2 "Parameters").

use std::ffi::{OsStr, OsString};

use flock_rpc::name::{is_container_id, is_ifname};
use flock_rpc::v1alpha1::PodRef;
use flock_rpc::{AttachmentId, CniCode, CniError};

/// What is wrong with the environment. All of it is CNI code 4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("CNI_COMMAND {0:?} is not a CNI verb: it must be ADD, DEL, CHECK, GC, STATUS or VERSION")]
    Command(String),
    #[error("{} must be set for CNI_COMMAND={command}", names.join(", "))]
    Missing { command: String, names: Vec<&'static str> },
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error(
        "CNI_CONTAINERID {0:?} is not valid: it must begin with a letter or digit and go on with letters, digits, '_', '.' or '-', at most 128 of them"
    )]
    ContainerId(String),
    #[error(
        "CNI_IFNAME {0:?} is not valid: it must have 1 to 15 bytes, without '/', ':' or white space, and not be '.' or '..'"
    )]
    IfName(String),
    #[error(
        "CNI_NETNS {0:?} is not an absolute path: the agent has another working directory than the runtime"
    )]
    Netns(String),
    #[error("CNI_ARGS has {0:?} where KEY=VALUE should be: pairs are separated by ';'")]
    Pair(String),
    #[error(
        "CNI_ARGS lacks {}: flock is for Kubernetes pods, and a Kubernetes runtime sets them; by hand, set CNI_ARGS='K8S_POD_NAMESPACE=default;K8S_POD_NAME=web'", .0.join(" and ")
    )]
    NoPod(Vec<&'static str>),
}

impl From<EnvError> for CniError {
    fn from(error: EnvError) -> CniError {
        CniCode::InvalidEnvironment.error(error.to_string())
    }
}

/// The variables of a call. An empty one and one that is not set are the same. CNI_PATH is for plugins that delegate;
/// flock needs it for no verb.
#[derive(Debug, Default)]
pub(crate) struct Vars {
    pub(crate) command: OsString,
    pub(crate) container_id: OsString,
    pub(crate) netns: OsString,
    pub(crate) ifname: OsString,
    pub(crate) args: OsString,
}

impl Vars {
    pub(crate) fn read(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let var = |name| var(name).unwrap_or_default();
        Self {
            command: var("CNI_COMMAND"),
            container_id: var("CNI_CONTAINERID"),
            netns: var("CNI_NETNS"),
            ifname: var("CNI_IFNAME"),
            args: var("CNI_ARGS"),
        }
    }

    /// The attachment, for DEL: the namespace may be gone.
    pub(crate) fn attachment(&self) -> Result<AttachmentId, EnvError> {
        self.require(&[("CNI_CONTAINERID", &self.container_id), ("CNI_IFNAME", &self.ifname)])?;
        let container_id = text("CNI_CONTAINERID", &self.container_id)?;
        let ifname = text("CNI_IFNAME", &self.ifname)?;
        if !is_container_id(container_id) {
            return Err(EnvError::ContainerId(container_id.to_owned()));
        }
        if !is_ifname(ifname) {
            return Err(EnvError::IfName(ifname.to_owned()));
        }
        Ok(AttachmentId { container_id: container_id.to_owned(), ifname: ifname.to_owned() })
    }

    /// The attachment and the path of its network namespace, for ADD and CHECK.
    pub(crate) fn attachment_in_netns(&self) -> Result<(AttachmentId, String), EnvError> {
        self.require(&[
            ("CNI_CONTAINERID", &self.container_id),
            ("CNI_NETNS", &self.netns),
            ("CNI_IFNAME", &self.ifname),
        ])?;
        let netns = text("CNI_NETNS", &self.netns)?;
        if !netns.starts_with('/') {
            return Err(EnvError::Netns(netns.to_owned()));
        }
        Ok((self.attachment()?, netns.to_owned()))
    }

    /// The pod in CNI_ARGS. Unknown keys belong to others.
    pub(crate) fn pod(&self) -> Result<PodRef, EnvError> {
        let mut pod = PodRef::default();
        for (key, value) in pairs(text("CNI_ARGS", &self.args)?)? {
            match key {
                "K8S_POD_NAMESPACE" => pod.namespace = value.to_owned(),
                "K8S_POD_NAME" => pod.name = value.to_owned(),
                "K8S_POD_UID" => pod.uid = value.to_owned(),
                _ => {}
            }
        }
        match missing(&[
            ("K8S_POD_NAMESPACE", pod.namespace.is_empty()),
            ("K8S_POD_NAME", pod.name.is_empty()),
        ]) {
            names if names.is_empty() => Ok(pod),
            names => Err(EnvError::NoPod(names)),
        }
    }

    fn require(&self, vars: &[(&'static str, &OsString)]) -> Result<(), EnvError> {
        let absent: Vec<_> = vars.iter().map(|(name, value)| (*name, value.is_empty())).collect();
        match missing(&absent) {
            names if names.is_empty() => Ok(()),
            names => Err(EnvError::Missing { command: self.command.to_string_lossy().into_owned(), names }),
        }
    }
}

/// `K=V;K=V`. A ';' too many is forgiven.
fn pairs(args: &str) -> Result<Vec<(&str, &str)>, EnvError> {
    let segments = args.split(';').filter(|segment| !segment.is_empty());
    segments
        .map(|segment| match segment.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key, value)),
            _ => Err(EnvError::Pair(segment.to_owned())),
        })
        .collect()
}

fn missing(names: &[(&'static str, bool)]) -> Vec<&'static str> {
    names.iter().filter(|(_, missing)| *missing).map(|(name, _)| *name).collect()
}

fn text<'a>(name: &'static str, value: &'a OsStr) -> Result<&'a str, EnvError> {
    value.to_str().ok_or(EnvError::NotUtf8(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    fn vars() -> Vars {
        Vars {
            command: "ADD".into(),
            container_id: "0f3c".into(),
            netns: "/run/netns/a".into(),
            ifname: "eth0".into(),
            args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=5ad0".into(),
        }
    }

    fn args(args: &str) -> Result<PodRef, EnvError> {
        Vars { args: args.into(), ..vars() }.pod()
    }

    #[test]
    fn every_missing_variable_is_named() {
        let vars = Vars { command: "ADD".into(), ..Vars::default() };
        let message = vars.attachment_in_netns().unwrap_err().to_string();
        assert_eq!(message, "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME must be set for CNI_COMMAND=ADD");
    }

    #[test]
    fn del_needs_no_namespace() {
        let vars = Vars { netns: OsString::new(), ..vars() };
        assert_eq!(vars.attachment().unwrap().container_id, "0f3c");
        assert!(
            matches!(vars.attachment_in_netns(), Err(EnvError::Missing { names, .. }) if names == ["CNI_NETNS"])
        );
    }

    #[test]
    fn names_outside_their_alphabets_are_refused() {
        let container_id = Vars { container_id: "../x".into(), ..vars() };
        assert_eq!(container_id.attachment(), Err(EnvError::ContainerId("../x".into())));
        let ifname = Vars { ifname: "a/b".into(), ..vars() };
        assert_eq!(ifname.attachment(), Err(EnvError::IfName("a/b".into())));
        let netns = Vars { netns: "netns/a".into(), ..vars() };
        assert_eq!(netns.attachment_in_netns(), Err(EnvError::Netns("netns/a".into())));
        let latin1 = Vars { ifname: OsString::from_vec(vec![0xfc]), ..vars() };
        assert_eq!(latin1.attachment(), Err(EnvError::NotUtf8("CNI_IFNAME")));
    }

    #[test]
    fn the_pod_comes_from_cni_args() {
        let pod = PodRef { namespace: "default".into(), name: "web-0".into(), uid: "5ad0".into() };
        assert_eq!(vars().pod().unwrap(), pod);
        assert_eq!(args("K8S_POD_NAME=b;K8S_POD_NAMESPACE=a;").unwrap().uid, "");
        assert_eq!(args("K8S_POD_NAME=b=c;K8S_POD_NAMESPACE=a").unwrap().name, "b=c");
    }

    #[test]
    fn a_pair_without_key_or_value_is_refused() {
        for bad in ["K8S_POD_NAME", "=x", "a=b;c", "a=b; "] {
            assert!(matches!(args(bad), Err(EnvError::Pair(_))), "{bad}");
        }
    }

    #[test]
    fn what_the_pod_lacks_is_named() {
        assert_eq!(args(""), Err(EnvError::NoPod(vec!["K8S_POD_NAMESPACE", "K8S_POD_NAME"])));
        assert_eq!(args("K8S_POD_NAMESPACE=a;K8S_POD_NAME="), Err(EnvError::NoPod(vec!["K8S_POD_NAME"])));
    }

    proptest! {
        #[test]
        fn no_cni_args_panic(text in "\\PC*|([A-Z0-9_]{0,20}[=;]{0,2}){0,9}") {
            let _ = args(&text);
        }

        #[test]
        fn no_environment_panics(container_id: Vec<u8>, ifname: Vec<u8>, netns: Vec<u8>) {
            let [container_id, ifname, netns] = [container_id, ifname, netns].map(OsString::from_vec);
            let _ = Vars { container_id, ifname, netns, ..Vars::default() }.attachment_in_netns();
        }
    }
}
