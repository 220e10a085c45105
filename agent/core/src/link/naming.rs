//! Names that derive from an attachment: host link, alias, alternative name, MAC addresses.

use std::fmt;
use std::str::FromStr;

use super::fact::Mac;
use crate::attachment::{AttachmentId, IfName, NameError, PodName};
use crate::fnv::{fnv1a_32, fnv1a_64};

/// The host veth's name: `flock` and the FNV-1a-32 of the container ID, followed by the interface name unless that
/// is `eth0`. `attempt` above 0 re-hashes, for when the name belongs to somebody else.
pub fn host_link_name(id: &AttachmentId, attempt: u32) -> IfName {
    let mut seed = id.container.to_string();
    if id.ifname.as_str() != "eth0" {
        seed.push_str(id.ifname.as_str());
    }
    if attempt > 0 {
        seed.push_str(&format!("#{attempt}"));
    }
    let name = format!("flock{:08x}", fnv1a_32(seed.as_bytes()));
    #[expect(clippy::expect_used, reason = "13 ASCII letters and digits")]
    name.parse().expect("a valid interface name")
}

/// The host end's MAC address.
pub fn host_mac(id: &AttachmentId) -> Mac {
    derived_mac(id, "host")
}

/// The pod end's MAC address.
pub fn pod_mac(id: &AttachmentId) -> Mac {
    derived_mac(id, "pod")
}

/// Locally administered, unicast (IEEE 802, first octet `......10`).
fn derived_mac(id: &AttachmentId, side: &str) -> Mac {
    let [first, b, c, d, e, g, ..] = fnv1a_64(format!("{id}/{side}").as_bytes()).to_be_bytes();
    Mac([(first & 0xfc) | 0x02, b, c, d, e, g])
}

/// The alternative name of the host link: `NAMESPACE_POD`, with the interface's name unless it is `eth0`. The kernel
/// has one name space for all names: a dot would take those of VLANs (a pod `eth0` in namespace `100`). Its limit is
/// 127 bytes (ALTIFNAMSIZ); longer names are cut.
pub(super) fn altname(pod: &PodName, ifname: &IfName) -> String {
    let mut name = format!("{}_{}", pod.namespace, pod.name);
    if ifname.as_str() != "eth0" {
        name = format!("{name}_{ifname}");
    }
    name.chars().take(127).collect()
}

/// What a host link's alias says: whose it is. Written `flock CONTAINER_ID@IFNAME NAMESPACE/POD`, at most 255 bytes
/// (IFALIASZ); a pod's name that does not fit is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkAlias {
    /// The attachment.
    pub id: AttachmentId,
    /// The pod.
    pub pod: PodName,
}

impl fmt::Display for LinkAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("flock {} {}", self.id, self.pod);
        let end = (0..=text.len().min(255)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        f.write_str(&text[..end])
    }
}

/// The alias is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// Another program's alias.
    #[error("{0:?} is not an alias of flock's")]
    Foreign(String),
    /// Ours by its first word, but with a name in it that is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FromStr for LinkAlias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, AliasError> {
        let foreign = || AliasError::Foreign(text.to_owned());
        let (id, pod) =
            text.strip_prefix("flock ").and_then(|rest| rest.split_once(' ')).ok_or_else(foreign)?;
        Ok(Self { id: id.parse()?, pod: pod.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AttachmentId {
        text.parse().unwrap()
    }

    #[test]
    fn host_link_is_named_after_the_container_alone_for_eth0() {
        let expected = format!("flock{:08x}", fnv1a_32(b"0f3c"));
        assert_eq!(host_link_name(&id("0f3c@eth0"), 0).as_str(), expected);
        assert_ne!(host_link_name(&id("0f3c@net1"), 0).as_str(), expected);
        assert_ne!(host_link_name(&id("0f3c@eth0"), 1).as_str(), expected);
    }

    #[test]
    fn macs_are_local_unicast_and_differ_by_side() {
        let id = id("0f3c@eth0");
        for mac in [host_mac(&id), pod_mac(&id)] {
            assert_eq!(mac.0[0] & 0x03, 0x02);
            assert_eq!(mac.to_string().parse::<Mac>().unwrap(), mac);
        }
        assert_ne!(host_mac(&id), pod_mac(&id));
    }

    #[test]
    fn alias_survives_its_text_and_stays_within_the_kernels_limit() {
        let alias = LinkAlias { id: id("0f3c@eth0"), pod: "default/web-0".parse().unwrap() };
        assert_eq!(alias.to_string().parse::<LinkAlias>().unwrap(), alias);

        let long = LinkAlias {
            id: id(&format!("{}@exactly15bytes_", "f".repeat(128))),
            pod: PodName::new(&"n".repeat(63), &"p".repeat(253)).unwrap(),
        };
        assert_eq!(long.to_string().len(), 255);
        let read: LinkAlias = long.to_string().parse().unwrap();
        assert_eq!(read.id, long.id);
        assert_eq!(read.pod.namespace, long.pod.namespace);
        assert!(long.pod.name.starts_with(&*read.pod.name));
    }

    #[test]
    fn foreign_aliases_are_not_ours() {
        for text in ["", "uplink to tor-1", "flock", "flock x", "flock a/b@eth0 ns/pod"] {
            assert!(text.parse::<LinkAlias>().is_err(), "{text}");
        }
    }
}
