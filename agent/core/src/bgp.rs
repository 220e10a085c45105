//! BGP: from NodeConfig `spec.bgp` to `bird.conf`, and from BIRD's answers to a status.
//!
//! The modules, in the order in which data flows through them:
//!
//! * [`plan`], [`community`]: what `spec.bgp` says, typed: no value in it can be wrong for BIRD.
//! * [`secrets`]: the passwords of peers that Secrets hold.
//! * [`config`], [`resolve`]: plan and surroundings joined: every address, next hop and filter decided, peers that
//!   cannot be started refused with a reason.
//! * [`render`]: the configuration as text. Same input, same bytes.
//! * [`control`], [`observed`]: BIRD's control protocol and what its answers say of the sessions.
//! * [`trial`]: whether a new configuration is kept or taken back. [`pipeline`]: its way to BIRD, a state machine.
//!   [`advertisements`]: which anycast routes BIRD has, and why.
//! * [`explain`], [`status`]: why a session is down, and everything that a person is told.

pub mod advertisements;
pub mod community;
pub mod config;
pub mod control;
pub mod explain;
pub mod observed;
pub mod pipeline;
pub mod plan;
pub mod render;
pub mod resolve;
pub mod secrets;
pub mod status;
pub mod trial;
