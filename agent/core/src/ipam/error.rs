//! Why there is no address, and what to do about it.

use std::fmt::Display;
use std::net::IpAddr;

use super::PoolUsage;
use crate::attachment::{AttachmentId, PodName};
use crate::pod::algo::{Field, IpAlgo};
use crate::pod::annotation::Key;
use crate::prefix::{Cidr6, PodAddresses};

/// Why an attachment gets no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// It has some. A repeated ADD asks [`super::Allocator::addresses`] first.
    #[error("attachment {id} has addresses already ({}): release these first", list(&addresses.iter().collect::<Vec<_>>()))]
    AlreadyHeld {
        /// The attachment.
        id: AttachmentId,
        /// What it has.
        addresses: PodAddresses,
    },
    /// The pod names an address that another one has.
    #[error(
        "pod {pod}: annotation {} names {address}, which attachment {owner} has: delete its pod, wait for its end if it is this one's former sandbox, or name another address",
        Key::Addresses
    )]
    Taken {
        /// The pod.
        pod: PodName,
        /// The address.
        address: IpAddr,
        /// Whose it is.
        owner: AttachmentId,
    },
    /// All ranges are small, and given out to the last address.
    #[error("pod {pod}: no IPv6 address is free ({}): {}", list(.ranges), more(Key::Cidr6))]
    V6Full {
        /// The pod.
        pod: PodName,
        /// Its ranges.
        ranges: Vec<PoolUsage>,
    },
    /// All that was drawn is in use or reserved, in ranges of which at least one is too large to be searched.
    #[error("pod {pod}: 16 random IPv6 addresses of each range were all in use or reserved ({}): {}", list(.ranges), more(Key::Cidr6))]
    V6Collisions {
        /// The pod.
        pod: PodName,
        /// Its ranges.
        ranges: Vec<PoolUsage>,
    },
    /// What `ip-algo` can make of this pod is in use.
    #[error(
        "pod {pod}: {}={algo} has 16 IPv6 addresses for this pod in each range ({}), and all of them are in use or reserved: {}",
        Key::IpAlgo,
        list(.ranges),
        other_algo(.algo)
    )]
    AlgoTaken {
        /// The pod.
        pod: PodName,
        /// The algorithm.
        algo: IpAlgo,
        /// Its ranges.
        ranges: Vec<Cidr6>,
    },
    /// All addresses are in use; what rested is in use early.
    #[error("pod {pod}: no IPv4 address is free ({}): {}", list(.ranges), more(Key::Cidr4))]
    V4Full {
        /// The pod.
        pod: PodName,
        /// Its ranges.
        ranges: Vec<PoolUsage>,
    },
}

/// Two records that claim the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// One address, two attachments.
    #[error(
        "address {address} of attachment {id} belongs to attachment {owner}: delete the pod of one of them"
    )]
    Address {
        /// The attachment to be restored.
        id: AttachmentId,
        /// The address.
        address: IpAddr,
        /// Whose it is.
        owner: AttachmentId,
    },
    /// One attachment, other addresses.
    #[error("attachment {id} has {}, not {}: delete its pod", list(&held.iter().collect::<Vec<_>>()), list(&addresses.iter().collect::<Vec<_>>()))]
    Attachment {
        /// The attachment.
        id: AttachmentId,
        /// What it has.
        held: PodAddresses,
        /// What it should have had.
        addresses: PodAddresses,
    },
}

fn list<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join("; ")
}

fn more(key: Key) -> String {
    let field = if key == Key::Cidr6 { "cidr6" } else { "cidr4" };
    format!(
        "delete pods, add a prefix to NodeConfig's spec.{field}, or widen the pod's annotation {key} if it has one"
    )
}

fn other_algo(algo: &IpAlgo) -> &'static str {
    if algo.fields().contains(&Field::Pod) {
        "name fewer fields, so that more of `pod` is shown, or remove the annotation for random addresses"
    } else {
        "add `pod` to the list, or remove the annotation for random addresses"
    }
}
