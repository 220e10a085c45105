//! flock's per-node agent.
//!
//! The modules, in the order in which data flows through them:
//!
//! * [`app`]: wiring, start and end.
//! * [`api`]: access to the API server. [`source`]: what is wanted: NodeConfig and pods, from a folder of manifests or
//!   from Kubernetes.
//! * [`rpc`]: the service that the plugin and flockctl call.
//! * [`attach`]: ADD, DEL, CHECK, GC, recovery and repair, each attachment under its own lock ([`locks`]).
//! * [`admission`]: what must be in force before a pod's link comes up.
//! * [`store`]: what survives the process.
//! * [`anycast`]: which addresses are served by which pods, the routes to them, and what routers are told of them.
//! * [`bird`]: what BIRD is to run, and what its sessions do. [`bird_stop`]: how it is ended.
//! * [`report`]: what others are told: status, conditions, Events ([`notice`]), metrics.
//! * [`install`], [`conflist`]: what the runtime executes and reads ([`replace`]). [`uninstall`]: all of it goes.
//! * [`supervision`]: the tasks, by name: one that ends ends the process, one that is stuck is told of.
//! * [`environment`]: time, randomness and pauses between attempts. [`publish`]: telling those who follow. [`latencies`],
//!   [`metrics`]: what is counted. [`cli`]: flockctl.

// Nobody outside this workspace uses the crate: what a name says need not be said again.
#![allow(missing_docs)]

pub mod admission;
pub mod anycast;
pub mod api;
pub mod app;
pub mod attach;
pub mod bird;
pub mod bird_stop;
pub mod cli;
pub mod conflist;
pub mod environment;
pub mod install;
pub mod latencies;
pub mod locks;
pub mod metrics;
pub mod notice;
pub mod publish;
pub mod replace;
pub mod report;
pub mod rpc;
pub mod source;
pub mod store;
pub mod supervision;
pub mod uninstall;
