//! A real Kubernetes cluster on one machine: etcd, the control plane, and nodes that are namespaces with a containerd, a
//! kubelet and a kube-proxy each; FRR is the router that all of them are on.
//!
//! In the order in which a cluster comes up:
//!
//! * [`programs`], [`images`]: what is run, and what runs in pods; `scripts/cluster-programs` makes them.
//! * [`plan`]: what a cluster shall be: nodes, runtimes, network, primary family.
//! * [`fabric`]: the router, its cables, a client behind it; cutting one off from another.
//! * [`pki`]: certificates, and kubeconfigs that say who one is. [`kubectl`]: asking the API server.
//! * [`control`]: etcd, API server, controller-manager, scheduler.
//! * [`init`]: a node's first process, a subcommand of this crate's program. [`machine`]: the node's namespaces.
//! * [`member`]: a node of the cluster, what runs on it, its reboot. [`network`]: its CNI plugin.
//! * [`cluster`]: all of it. [`keeper`]: one that stays up for people. [`guard`]: nothing stays behind.
//! * [`suite`]: tests that share a cluster. [`crowd`]: a measurement on one.

pub mod cluster;
pub mod control;
pub mod crowd;
pub mod fabric;
pub mod guard;
pub mod images;
pub mod init;
pub mod keeper;
pub mod kubectl;
pub mod machine;
pub mod member;
pub mod network;
pub mod pki;
pub mod plan;
pub mod programs;
pub mod suite;

pub use cluster::Cluster;
pub use control::ControlPlane;
pub use fabric::Fabric;
pub use kubectl::{Kubectl, PodStatus};
pub use machine::{Machine, Process};
pub use member::Member;
pub use network::Network;
pub use plan::{Family, Plan, Runtime};
pub use programs::Programs;
