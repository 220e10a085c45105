//! Established connections stay with their pod.
//!
//! * `routing`: policy rules and the pods' routing tables, observed and changed by netlink.
//! * `nft`: the nftables table, by way of the program `nft`.
//!
//! A node that has never steered anything needs no nft.

mod nft;
pub(super) mod routing;

use flock_core::steering::{REMOVAL, Ruleset, Shape, TABLE};

use self::nft::{NFT, Refusal};
use super::LinuxKernel;
use crate::KernelError;

pub(super) async fn set_table(kernel: &LinuxKernel, desired: Option<&Ruleset>) -> Result<(), KernelError> {
    kernel.gates.observe()?;
    let desired = desired.cloned();
    kernel
        .on_node(move |socket| match &desired {
            Some(ruleset) => write(ruleset),
            // As long as a rule or a route of ours is there, so may be the table.
            None if routing::is_clear(socket)? => Ok(()),
            None => remove(),
        })
        .await
}

/// Puts the table in the place of what is there, unless it is there already.
fn write(ruleset: &Ruleset) -> Result<(), KernelError> {
    if listed().as_ref() == Some(&ruleset.shape) {
        return Ok(());
    }
    change(&ruleset.text).map_err(|refusal| failed("write", refusal))
}

/// Where there is no nft, most likely none has ever made the table; one that is there all the same marks packets that no
/// rule looks at.
fn remove() -> Result<(), KernelError> {
    match change(REMOVAL) {
        Err(Refusal::Missing(_)) => Ok(()),
        outcome => outcome.map_err(|refusal| failed("remove", refusal)),
    }
}

/// All of the text, or nothing.
fn change(text: &str) -> Result<(), Refusal> {
    nft::run(NFT, &["-f", "-"], text).map(drop)
}

/// The table as it is. None if there is none, or if it cannot be listed, which nft tells apart by words only: the
/// attempt to write it will show.
fn listed() -> Option<Shape> {
    let arguments: Vec<&str> = ["-j", "list", "table"].into_iter().chain(TABLE.split(' ')).collect();
    let listing = nft::run(NFT, &arguments, "").ok()?;
    Shape::of_listing(&listing).inspect_err(|error| tracing::warn!(%error, "the table is written anew")).ok()
}

fn failed(verb: &str, refusal: Refusal) -> KernelError {
    KernelError::Step { action: format!("{verb} nftables table {TABLE}"), cause: refusal.into() }
}
