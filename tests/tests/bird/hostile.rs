//! What could end a statement, a string or a comment in bird.conf is no value of any type that gets there.

use std::str::FromStr;

use anyhow::{Result, ensure};
use flock_core::attachment::IfName;
use flock_core::bgp::community::{Community, ExtendedCommunity, LargeCommunity};
use flock_core::bgp::config::Password;
use flock_core::bgp::plan::PeerAddress;

/// What a value of each type is spoiled with.
const POISON: [&str; 12] =
    ["}", ";", "\n", "\"", "\r", "\0", "#\n", "/*", "\u{85}", "\u{2028}", " ", "\n} protocol bgp x { "];

fn refuses<T: FromStr>(text: &str) -> Result<()> {
    let shown: String = text.chars().take(80).collect();
    ensure!(text.parse::<T>().is_err(), "{} takes {shown:?}", std::any::type_name::<T>());
    Ok(())
}

/// In front, in the middle and at the end of a good value.
fn spoiled<T: FromStr>(good: &str) -> Result<()> {
    ensure!(good.parse::<T>().is_ok(), "{good:?} should be taken");
    let middle = good.len() / 2;
    for poison in POISON {
        refuses::<T>(&format!("{poison}{good}"))?;
        refuses::<T>(&format!("{}{poison}{}", &good[..middle], &good[middle..]))?;
        refuses::<T>(&format!("{good}{poison}"))?;
    }
    refuses::<T>(&good.repeat((1 << 20) / good.len()))
}

pub(crate) fn values_end_at_the_parsers() -> Result<()> {
    for address in ["192.0.2.1", "2001:db8::1"] {
        spoiled::<PeerAddress>(address)?;
    }
    for community in ["65001:100", "no-export"] {
        spoiled::<Community>(community)?;
    }
    spoiled::<LargeCommunity>("65001:1:2")?;
    for community in ["rt:65001:100", "soo:65001:100", "generic:0x43000000:0x1"] {
        spoiled::<ExtendedCommunity>(community)?;
    }
    interfaces()?;
    passwords()
}

/// An interface's name stands between quotes: only what ends a string or a line is dangerous there.
fn interfaces() -> Result<()> {
    for poison in ["\"", "\n", "\r", "\0", " ", "\t", "\u{85}", "\u{2028}", "ü", "/", ":"] {
        refuses::<PeerAddress>(&format!("fe80::1%eth{poison}0"))?;
    }
    refuses::<PeerAddress>(&format!("fe80::1%{}", "e".repeat(1 << 20)))?;
    for poison in ["\n", "\r", "\0", "\u{85}", "\u{2028}"] {
        refuses::<IfName>(&format!("eth{poison}0"))?;
    }
    Ok(())
}

/// So does a password.
fn passwords() -> Result<()> {
    for poison in ["\"", "\n}", "\r\r\n", "\0", "\t", "\u{85}", "ü"] {
        refuses::<Password>(&format!("sec{poison}ret"))?;
        refuses::<Password>(&format!("{poison}secret"))?;
    }
    refuses::<Password>(&"s".repeat(1 << 20))?;
    refuses::<Password>("secret\"")
}
