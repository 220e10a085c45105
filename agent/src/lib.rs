//! flock's per-node agent.
//!
//! The modules, in the order in which data flows through them:
//!
//! * [`app`]: wiring, start and end.
//! * [`source`]: what is wanted: NodeConfig and pods, from a folder of manifests.
//! * [`rpc`]: the service that the plugin and flockctl call.
//! * [`attach`]: ADD, DEL, CHECK, GC, recovery and repair, each attachment under its own lock ([`locks`]).
//! * [`store`]: what survives the process.
//! * [`reconcile`]: the loop that keeps the kernel as it should be.
//! * [`environment`]: time and randomness. [`cli`]: flockctl.

pub mod app;
pub mod attach;
pub mod cli;
pub mod environment;
pub mod locks;
pub mod reconcile;
pub mod rpc;
pub mod source;
pub mod store;
