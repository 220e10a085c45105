//! Every decision of the agent, pure: values in, values out. Time and randomness are arguments.
//!
//! The modules, in the order in which a pod's ADD flows through them:
//!
//! * [`attachment`]: which container interface is meant, and for which pod.
//! * [`feed`]: objects that are listed and watched, and what changes among them.
//! * [`desired`]: what is wanted of the node, as a whole.
//! * [`prefix`], [`node`]: what the node may give: its prefixes, defaults, MTU ([`node::NodePlan`]).
//! * [`pod`]: what the pod asks for ([`pod::annotation`]), joined with the node's plan ([`pod::intent::PodIntent`]).
//! * [`pod::algo`], [`iid`], [`ipam`]: which addresses it gets.
//! * [`record`]: what the store remembers of it.
//! * [`link`]: which facts the kernel must hold for it, and the changes that bring them about.
//! * [`host`]: what the node as a whole is observed to have, and its sysctls and blackholes.
//! * [`bgp`]: what the node says to its routers and learns from them: `bird.conf` and the state of the sessions.
//! * [`selector`], [`claim`], [`anycast`]: who may claim an address, and which pods serve it.
//! * [`kubernetes`]: whether Kubernetes may send pods to the node, and why BIRD's container is stopped.
//! * [`nft`]: nftables as values.
//! * [`marks`]: who uses which bits of marks.
//! * [`steering`]: how connections to an anycast address stay with their pod.
//! * [`backoff`]: when to try again.
//! * [`lifecycle`]: how store and kernel are joined after a restart, what is an orphan, and how flock is taken off a node.
//! * [`supervision`]: how a task has ended that should have gone on.

pub mod anycast;
pub mod attachment;
pub mod backoff;
pub mod bgp;
pub mod claim;
pub mod desired;
pub mod feed;
pub mod fnv;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod host;
pub mod iid;
pub mod ipam;
pub mod kubernetes;
pub mod lifecycle;
pub mod link;
pub mod marks;
pub mod nft;
pub mod node;
pub mod pod;
pub mod prefix;
pub mod record;
pub mod selector;
pub mod steering;
pub mod supervision;
