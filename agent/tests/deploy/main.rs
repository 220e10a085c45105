//! What `deploy/` asks a cluster for: every folder, capability and right is known here, so that none slips in. That an API
//! server takes all of it is for the cluster's tests to show.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod admission;
mod manifests;
mod permissions;
mod pods;
