//! Attachments and the names that identify them, typed once at the border.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a name that the runtime gave is refused. The text says what is wrong with which name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// CNI spec 1.1, section 2: alphanumeric first, then alphanumerics, `_`, `.` or `-`.
    #[error(
        "container ID {0:?} is not valid: it must begin with a letter or digit and go on with letters, digits, '_', '.' or '-', at most 128 of them"
    )]
    ContainerId(String),
    /// The kernel's `dev_valid_name`: 1 to 15 bytes, no `/`, `:` or white space, not `.` or `..`.
    #[error(
        "interface name {0:?} is not valid: it must have 1 to 15 bytes, without '/', ':' or white space, and not be '.' or '..'"
    )]
    IfName(String),
    /// `CONTAINER_ID@IFNAME` without the `@`.
    #[error("attachment {0:?} is not of the form CONTAINER_ID@IFNAME")]
    AttachmentId(String),
    /// A pod's namespace or name that Kubernetes would refuse.
    #[error(
        "pod {0:?} is not valid: namespace and name must be lower-case DNS names (RFC 1123), written NAMESPACE/NAME"
    )]
    Pod(String),
}

macro_rules! string_newtype {
    ($name:ident) => {
        impl $name {
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

/// The container (sandbox) ID of a CNI call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);
string_newtype!(ContainerId);

impl FromStr for ContainerId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // The spec sets no bound; this one keeps "ID@IFNAME.json" a file name and the link alias whole.
        let valid = text.len() <= 128
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        valid.then(|| Self(text.to_owned())).ok_or_else(|| NameError::ContainerId(text.to_owned()))
    }
}

/// A network interface's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);
string_newtype!(IfName);

impl FromStr for IfName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = (1..=15).contains(&text.len())
            && !matches!(text, "." | "..")
            && !text.chars().any(|c| matches!(c, '/' | ':' | '\0') || c.is_whitespace());
        valid.then(|| Self(text.to_owned())).ok_or_else(|| NameError::IfName(text.to_owned()))
    }
}

/// One container interface: what a CNI call is about. Written `CONTAINER_ID@IFNAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttachmentId {
    /// CNI_CONTAINERID.
    pub container: ContainerId,
    /// CNI_IFNAME.
    pub ifname: IfName,
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.container, self.ifname)
    }
}

impl FromStr for AttachmentId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // A container ID has no '@', an interface name may: the first one separates.
        let (container, ifname) =
            text.split_once('@').ok_or_else(|| NameError::AttachmentId(text.to_owned()))?;
        Ok(Self { container: container.parse()?, ifname: ifname.parse()? })
    }
}

impl TryFrom<String> for AttachmentId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AttachmentId> for String {
    fn from(id: AttachmentId) -> String {
        id.to_string()
    }
}

/// A pod's namespace and name. Written `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PodName {
    /// At most 63 bytes (RFC 1123 label).
    pub namespace: Arc<str>,
    /// At most 253 bytes (RFC 1123 subdomain).
    pub name: Arc<str>,
}

impl PodName {
    /// Checks both parts against Kubernetes' rules.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        Self::within(&namespace.into(), name)
    }

    /// The same with a namespace that many pods share.
    pub fn within(namespace: &Arc<str>, name: &str) -> Result<Self, NameError> {
        let dns = |text: &str, limit| {
            (1..=limit).contains(&text.len())
                && text
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        };
        if dns(namespace, 63) && dns(name, 253) {
            Ok(Self { namespace: Arc::clone(namespace), name: name.into() })
        } else {
            Err(NameError::Pod(format!("{namespace}/{name}")))
        }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for PodName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text.split_once('/').ok_or_else(|| NameError::Pod(text.to_owned()))?;
        Self::new(namespace, name)
    }
}

impl TryFrom<String> for PodName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PodName> for String {
    fn from(pod: PodName) -> String {
        pod.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ids_follow_the_cni_spec() {
        for good in ["a", "0f3c", "Web_1.x-y", &"f".repeat(128)] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good}");
        }
        for bad in ["", "a/b", "../x", ".a", "-a", "a b", "ü", "a@b", &"f".repeat(129)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["eth0", "net1", "a@b", "exactly15bytes_"] {
            assert!(good.parse::<IfName>().is_ok(), "{good}");
        }
        for bad in ["", "sixteen_bytes_xx", "a/b", "a:b", "a b", ".", ".."] {
            assert!(bad.parse::<IfName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_attachment_id_survives_its_text() {
        let id: AttachmentId = "0f3c@a@b".parse().unwrap();
        assert_eq!((id.container.as_str(), id.ifname.as_str()), ("0f3c", "a@b"));
        assert_eq!(id.to_string().parse::<AttachmentId>().unwrap(), id);
    }

    #[test]
    fn pod_names_are_dns_names() {
        assert!(PodName::new("default", "web-0.x").is_ok());
        for (namespace, name) in
            [("", "a"), ("a", ""), ("A", "b"), ("a", "b c"), ("a.b", "c/d"), ("a", &"x".repeat(254))]
        {
            assert!(PodName::new(namespace, name).is_err(), "{namespace}/{name}");
        }
    }
}
