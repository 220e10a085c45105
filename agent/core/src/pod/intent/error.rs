//! Why a pod cannot have what it asks for, and what to do about it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::attachment::PodName;
use crate::pod::annotation::{AnnotationError, Key, cidr_key, family_key};
use crate::prefix::{Family, PrefixError};

/// Who asked for a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// The pod, by annotation.
    Annotation(Family),
    /// NodeConfig, by `spec.defaults`.
    Defaults(Family),
}

/// Why a pod cannot have what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// An annotation that is not valid.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// A family without a pool.
    #[error(
        "pod {pod}: {asked_by} asks for {family}, but node {node} has no {family} prefix: fill {} of NodeConfig {node}, or set {asked_by} to false",
        pool_field(*.family)
    )]
    NoPool {
        /// The pod.
        pod: PodName,
        /// The node.
        node: String,
        /// The family.
        family: Family,
        /// Who wants it.
        asked_by: AskedBy,
    },
    /// Neither family is left.
    #[error(
        "pod {pod}: neither IPv6 nor IPv4 is left for it on node {node}: let annotation {} or {}, or spec.defaults of NodeConfig {node}, say true, for a family that NodeConfig's spec.cidr6 or spec.cidr4 has prefixes of",
        family_key(Family::IPv6),
        family_key(Family::IPv4)
    )]
    NoFamily {
        /// The pod.
        pod: PodName,
        /// The node.
        node: String,
    },
    /// An address of a family that the pod does not have.
    #[error(
        "pod {pod}: annotation {key} names {address}, but the pod gets no {}: remove it, or let annotation {} say true on a node that has {}",
        Family::of(*.address),
        family_key(Family::of(*.address)),
        pool_field(Family::of(*.address))
    )]
    NoSuchFamily {
        /// The pod.
        pod: PodName,
        /// Which annotation.
        key: Key,
        /// The address.
        address: IpAddr,
    },
    /// One address on the interface and on `lo`.
    #[error(
        "pod {pod}: {address} is in annotation {} and in annotation {}: an address is one pod's or many pods', leave one out",
        Key::Addresses,
        Key::Anycast
    )]
    BothUses {
        /// The pod.
        pod: PodName,
        /// The address.
        address: IpAddr,
    },
    /// The annotation's prefixes have nothing in common with the node's.
    #[error(
        "pod {pod}: annotation {}={} has nothing in common with the prefixes of node {node} ({}): name one of these, or a part of one",
        cidr_key(*.family),
        list(.asked),
        list(.pools)
    )]
    Disjoint {
        /// The pod.
        pod: PodName,
        /// The node.
        node: String,
        /// The family.
        family: Family,
        /// The annotation's prefixes.
        asked: Vec<IpNet>,
        /// The node's prefixes.
        pools: Vec<IpNet>,
    },
    /// The annotation's prefix is a part of the node's, but not one that addresses can come from.
    #[error("pod {pod}: annotation {}: {error}", cidr_key(*.family))]
    Prefix {
        /// The pod.
        pod: PodName,
        /// The family.
        family: Family,
        /// What is wrong with it.
        error: PrefixError,
    },
}

impl fmt::Display for AskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskedBy::Annotation(family) => write!(f, "annotation {}", family_key(*family)),
            AskedBy::Defaults(Family::IPv6) => f.write_str("NodeConfig's spec.defaults.ipv6"),
            AskedBy::Defaults(Family::IPv4) => f.write_str("NodeConfig's spec.defaults.ipv4"),
        }
    }
}

fn pool_field(family: Family) -> &'static str {
    match family {
        Family::IPv6 => "spec.cidr6",
        Family::IPv4 => "spec.cidr4",
    }
}

/// At most this many prefixes go into a message.
const LISTED: usize = 8;

fn list(nets: &[IpNet]) -> String {
    let shown: Vec<String> = nets.iter().take(LISTED).map(IpNet::to_string).collect();
    let rest = if nets.len() > LISTED { ", ..." } else { "" };
    format!("{}{rest}", shown.join(", "))
}
