//! flock's per-node agent.
//!
//! The modules, in the order in which data flows through them:
//!
//! * [`app`]: wiring, start and end.
//! * [`source`]: what is wanted: NodeConfig and pods, from a folder of manifests or from Kubernetes.
//! * [`rpc`]: the service that the plugin and flockctl call.
//! * [`attach`]: ADD, DEL, CHECK, GC, recovery and repair, each attachment under its own lock ([`locks`]).
//! * [`store`]: what survives the process.
//! * [`anycast`]: which addresses are served by which pods, the routes to them, and what routers are told of them.
//! * [`bgp`]: what BIRD is to run, and what its sessions do; [`metrics`].
//! * [`bird`]: BIRD as a program: spoken to, kept running, stopped.
//! * [`kubernetes`]: what the API server is told: status, conditions, Events ([`notice`]).
//! * [`reconcile`]: the loop that keeps the kernel as it should be.
//! * [`install`], [`conflist`]: what the runtime executes and reads ([`replace`]). [`uninstall`]: all of it goes.
//! * [`environment`]: time and randomness. [`cli`]: flockctl.

pub mod anycast;
pub mod app;
pub mod attach;
pub mod bgp;
pub mod bird;
pub mod cli;
pub mod conflist;
pub mod environment;
pub mod install;
pub mod kubernetes;
pub mod locks;
pub mod metrics;
pub mod notice;
pub mod reconcile;
pub mod replace;
pub mod rpc;
pub mod source;
pub mod store;
pub mod uninstall;
