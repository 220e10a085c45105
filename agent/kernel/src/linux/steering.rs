//! Established connections stay with their pod.
//!
//! * `routing`: policy rules and the pods' routing tables, observed and changed by netlink.
//! * `nft`: the nftables table, by way of the program `nft`.
//!
//! What marks packets comes last and goes first, and a marked packet for which there is no rule or no route is routed
//! like any other: at no moment is it worse off. As long as a rule or a route of ours is there, so may be the table, and
//! nft is asked. A node that has never steered anything needs no nft.

mod nft;
mod routing;

use flock_core::steering::{REMOVAL, Routing, Ruleset, Shape, Steering, TABLE};

use self::nft::{NFT, Refusal};
use self::routing::Found;
use super::socket::Socket;
use crate::KernelError;

/// Makes the node steer so; what is right already is not touched. A route or a rule that cannot be made does not keep
/// the others from being made; the first failure is returned.
pub(super) fn apply(socket: &mut Socket, steering: &Steering) -> Result<(), KernelError> {
    let wanted = Routing::of(steering);
    let found = Found::observe(socket, &wanted);
    let found = found.map_err(|failure| failure.of_step("observe policy rules and their routes"))?;
    let added = routing::add(socket, &wanted, &found);
    match Ruleset::of(steering) {
        Some(ruleset) => write(&ruleset)?,
        None if found.is_empty() => {}
        None => remove()?,
    }
    added.and(routing::remove(socket, &wanted, &found))
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
