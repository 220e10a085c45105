//! What steering makes of the node: an nftables table, policy rules, routing tables. And what it leaves alone.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use flock_core::nft::{Observed, delta};
use flock_core::steering::{Steering, table, table_id};
use flock_kernel::linux::LinuxKernel;
use flock_kernel::{Firewall, KernelError};
use rustix::thread::UnshareFlags;

use crate::Body;
use crate::connections::{BOTH, Site, all_alive};
use crate::ground::{Ground, ip};

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("nft_reads_the_table_that_we_write", nft_reads),
        ("marks_are_seen_by_nobody_else", marks_are_private),
        ("steering_again_changes_nothing", again_changes_nothing),
        ("what_of_steering_was_removed_is_restored", removed_is_restored),
        ("what_of_steering_is_owned_cannot_be_removed", owned_stays),
        ("what_of_the_table_was_removed_is_restored_at_once", restored_at_once),
        ("a_pod_that_leaves_takes_everything_along", pod_leaves),
        ("other_peoples_rules_and_tables_stay", foreign_things_stay),
        ("steering_runs_no_nft", nft_fails),
        ("a_table_that_another_process_owns_is_left_alone", another_owner),
    ]
}

/// Runs `nft` in the calling thread's namespace.
pub(crate) fn nft(arguments: &[&str], input: &str) -> Result<String> {
    let advice = "run `nft`; if it is not there: apt-get install nftables";
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context(advice)?;
    child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What a counter of the table has counted.
pub(crate) fn packets(table: &str, counter: &str) -> Result<u64> {
    let shown = nft(&["list", "counter", "inet", table, counter], "")?;
    let mut words = shown.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    Ok(words.next().context("no count")?.parse()?)
}

/// Everything of ours, as people are shown it, line by line; handles tell a table from its copy.
fn ours() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for command in [
        "-6 rule show",
        "-4 rule show",
        "-6 route show table all proto 70",
        "-4 route show table all proto 70",
    ] {
        all.extend(ip(command)?.lines().map(|line| format!("{command}: {line}")));
    }
    let table = nft(&["-a", "list", "table", "inet", "flock-anycast"], "")?;
    all.extend(table.lines().map(str::to_owned));
    Ok(all)
}

/// Whether anything is left of ours.
fn is_gone() -> Result<()> {
    let rules = ip("-6 rule show")? + &ip("-4 rule show")?;
    ensure!(!rules.contains("proto 70"), "{rules}");
    let routes = ip("-6 route show table all")? + &ip("-4 route show table all")?;
    ensure!(!routes.contains("table 11793"), "{routes}");
    let table = nft(&["list", "table", "inet", "flock-anycast"], "");
    ensure!(table.is_err(), "{table:?}");
    Ok(())
}

/// What is written as text is for people, and as right as what is sent.
fn nft_reads(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    let made = |steering: &Steering| delta(&table_id(), None, table(steering).as_ref()).to_string();
    let golden = include_str!("../../../agent/core/src/steering/golden.nft");
    for text in [&made(&site.steering(&[1, 2, 3])?), golden] {
        nft(&["-c", "-f", "-"], text)?;
    }
    // As many as a node may have, more than one message takes.
    let mut many = site.steering(&[1])?;
    let pod = many.pods.values().next().context("no pod")?.clone();
    many.pods = (1..=1000).map(|number| Ok((u16::try_into(number)?, pod.clone()))).collect::<Result<_>>()?;
    for number in 2..=1000_u16 {
        let pod = many.pods.get_mut(&number.try_into()?).context("no pod")?;
        pod.link = format!("flock{number:08x}").parse()?;
    }
    nft(&["-c", "-f", "-"], &made(&many))?;
    for _ in 0..2 {
        site.apply(&many)?;
    }
    let listed = nft(&["list", "map", "inet", "flock-anycast", "pod-by-mark"], "")?;
    ensure!(listed.matches(" : goto set-mark-").count() == 1000, "{listed}");
    site.apply(&Steering::default())?;
    is_gone()
}

/// A filter of somebody else's, which uses other bits of the mark, looks for ours wherever packets pass, and checks
/// senders as firewalld does: by a lookup with the packet's mark.
const OBSERVER: &str = "table inet observer {
    counter prerouting { }
    counter forward { }
    counter input { }
    counter output { }
    counter postrouting { }
    counter lost { }
    counter spoofed { }
    chain first { type filter hook prerouting priority mangle; meta mark set meta mark | 0x00004000; }
    chain prerouting {
        type filter hook prerouting priority filter + 10;
        meta mark & 0xfff00000 != 0 counter name prerouting
        fib saddr . mark . iif oif missing counter name spoofed drop
    }
    chain forward {
        type filter hook forward priority mangle;
        meta mark & 0xfff00000 != 0 counter name forward
        meta mark & 0x000fffff != 0x00004000 counter name lost
    }
    chain input { type filter hook input priority mangle; meta mark & 0xfff00000 != 0 counter name input; }
    chain output { type filter hook output priority filter; meta mark & 0xfff00000 != 0 counter name output; }
    chain postrouting {
        type filter hook postrouting priority mangle - 10;
        meta mark & 0xfff00000 != 0 counter name postrouting
    }
}";

fn marks_are_private(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    nft(&["-f", "-"], OBSERVER)?;
    for address in BOTH {
        let service = site.listen(address)?;
        let mut flows = service.connect(&site, 20)?;
        flows.extend(service.flows(service.dial(20)?)?);
        site.serve(&[1])?;
        all_alive(&mut flows, "under observation")?;
        site.serve(&[1, 2, 3])?;
    }
    for counter in ["forward", "input", "output", "postrouting", "lost", "spoofed"] {
        ensure!(
            packets("observer", counter)? == 0,
            "{counter}: {}",
            nft(&["list", "table", "inet", "observer"], "")?
        );
    }
    ensure!(packets("observer", "prerouting")? > 0, "nothing was steered at all");
    Ok(())
}

fn again_changes_nothing(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    let first = ours()?;
    for part in
        ["7000:", "fwmark 0x300000/0xfff00000 lookup 1179385859", "table 1179385859", "chain save-mark-3"]
    {
        ensure!(first.iter().any(|line| line.contains(part)), "no {part} in:\n{first:#?}");
    }
    site.steer(&[1, 2, 3])?;
    let second = ours()?;
    ensure!(first == second, "{first:#?}\n\nbecame\n{second:#?}");
    Ok(())
}

/// Handles differ, and so does the order of rules that share a priority.
fn shape() -> Result<BTreeSet<String>> {
    let without_handles = |line: &String| line.split(" # handle").next().unwrap_or(line).to_owned();
    Ok(ours()?.iter().map(without_handles).collect())
}

/// What people may do to rules and routes.
const DAMAGE: [&str; 9] = [
    "ip rule del pref 7999",
    "ip rule del pref 7000",
    "ip -6 rule del pref 7001",
    "ip rule add pref 7001 fwmark 0x300000/0xfff00000 lookup 1179385859 protocol 70",
    "ip rule add pref 7002 fwmark 0x100000/0xfff00000 blackhole protocol 70",
    "ip route flush table 1179385857",
    "ip -6 route flush table 1179385858",
    "ip route add 203.0.113.99 dev lo table 1179385857 proto 70",
    "ip -6 route add blackhole default table 1179385857 proto 70",
];

/// What people may do to a table that nobody owns.
const TABLE_DAMAGE: [&str; 9] = [
    "nft delete table inet flock-anycast",
    "nft flush table inet flock-anycast",
    "nft flush chain inet flock-anycast restore-mark",
    "nft flush set inet flock-anycast addresses6",
    "nft flush map inet flock-anycast pod-by-mark",
    "nft add rule inet flock-anycast save-mark drop",
    "nft insert rule inet flock-anycast postrouting drop",
    "nft add chain inet flock-anycast theirs",
    "nft flush ruleset",
];

fn damage(command: &str) -> Result<()> {
    let (program, arguments) = command.split_once(' ').context("no program")?;
    match program {
        "ip" => ip(arguments).map(drop),
        _ => nft(&arguments.split(' ').collect::<Vec<_>>(), "").map(drop),
    }
}

fn removed_is_restored(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?.without_table_owners();
    site.steer(&[1, 2])?;
    let whole = shape()?;
    for command in DAMAGE.iter().chain(&TABLE_DAMAGE) {
        damage(command)?;
        ensure!(shape().ok().as_ref() != Some(&whole), "{command} does nothing");
        site.steer(&[1, 2])?;
        ensure!(shape()? == whole, "{command}:\n{whole:#?}\n\nbecame\n{:#?}", ours()?);
    }
    let src_valid_mark = format!("/proc/sys/net/ipv4/conf/{}/src_valid_mark", site.pods[0].1.host);
    ensure!(std::fs::read_to_string(&src_valid_mark)?.trim() == "1");
    std::fs::write(&src_valid_mark, "0")?;
    site.steer(&[1, 2])?;
    ensure!(std::fs::read_to_string(&src_valid_mark)?.trim() == "1");
    Ok(())
}

/// Where the kernel has owners of tables (6.9), as the one that runs this trial has.
fn owned_stays(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2])?;
    let whole = ours()?;
    for command in TABLE_DAMAGE {
        let outcome = damage(command);
        // A flushed ruleset leaves out what others own, and that is no error.
        let refused = outcome.is_err_and(|error| error.to_string().contains("Operation not permitted"));
        ensure!(refused == (command != "nft flush ruleset"), "{command}: {refused}");
        ensure!(ours()? == whole, "{command}:\n{whole:#?}\n\nbecame\n{:#?}", ours()?);
    }
    for command in DAMAGE {
        damage(command)?;
        site.steer(&[1, 2])?;
        ensure!(ours()?.len() == whole.len(), "{command}:\n{whole:#?}\n\nbecame\n{:#?}", ours()?);
    }
    Ok(())
}

/// Time for the tasks that follow the kernel.
fn pause(ground: &Ground, milliseconds: u64) {
    ground.wait(async { tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await });
}

/// Without an owner: nobody has to ask for it, the kernel tells of others' changes.
fn restored_at_once(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?.without_table_owners();
    site.steer(&[1, 2])?;
    let whole = shape()?;
    for command in TABLE_DAMAGE {
        damage(command)?;
        for _ in 0..200 {
            if shape().ok().as_ref() == Some(&whole) {
                break;
            }
            pause(ground, 10);
        }
        ensure!(shape()? == whole, "{command}:\n{whole:#?}\n\nbecame\n{:#?}", ours()?);
    }
    // Somebody else's table is no reason to do anything.
    let before = ours()?;
    nft(&["-f", "-"], OBSERVER)?;
    pause(ground, 100);
    ensure!(ours()? == before, "{before:#?}\n\nbecame\n{:#?}", ours()?);
    Ok(())
}

fn pod_leaves(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    site.steer(&[1, 2, 3])?;
    site.steer(&[1, 3])?;
    let left = ours()?;
    for part in ["0x200000", "0x00200000", "1179385858", "set-mark-2", "save-mark-2"] {
        ensure!(!left.iter().any(|line| line.contains(part)), "{part} is left:\n{left:#?}");
    }
    let mut v6_only = site.steering(&[1])?;
    v6_only.pods.values_mut().for_each(|pod| pod.anycast.retain(std::net::IpAddr::is_ipv6));
    site.apply(&v6_only)?;
    let (rules, routes) = (ip("-4 rule show")?, ip("-4 route show table all")?);
    ensure!(!rules.contains("proto 70") && !routes.contains(" table 11793"), "{rules}{routes}");
    // A slot that another pod has now.
    let mut other = site.steering(&[1])?;
    let third = site.steering(&[3])?.pods.into_values().next().context("no pod")?;
    other.pods.values_mut().for_each(|pod| *pod = third.clone());
    site.apply(&other)?;
    let routes = ip("-4 route show table 1179385857")? + &ip("-6 route show table 1179385857")?;
    ensure!(routes.lines().count() == 2 && routes.matches(third.link.as_str()).count() == 2, "{routes}");
    for _ in 0..2 {
        site.apply(&Steering::default())?;
        is_gone()?;
    }
    Ok(())
}

fn foreign_things_stay(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    nft(&["-f", "-"], OBSERVER)?;
    for command in [
        "rule add pref 6999 fwmark 0x100000/0xfff00000 lookup 100 protocol 70",
        "rule add pref 7500 fwmark 0x200000/0xfff00000 lookup 100",
        "-6 rule add pref 7001 from 2001:db8:ffff::/64 lookup 100",
        "route add 203.0.113.200 dev up0 table 1179385857 proto static",
        "route add 203.0.113.201 dev up0 table 1179381760 proto 70",
        "-6 route add 2001:db8:ffff::1 dev up0 table 1179385858 proto static",
    ] {
        ip(command)?;
    }
    let all = || -> Result<String> {
        let shown = ["-6 rule show", "-4 rule show", "-6 route show table all", "-4 route show table all"];
        let shown = shown.into_iter().map(ip).collect::<Result<Vec<_>>>()?;
        Ok(shown.join("\n") + &nft(&["-a", "list", "ruleset"], "")?)
    };
    let before = all()?;
    site.steer(&[1, 2, 3])?;
    site.steer(&[3])?;
    site.apply(&Steering::default())?;
    let after = all()?;
    ensure!(before == after, "{before}\n\nbecame\n{after}");
    Ok(())
}

/// With an nft that always fails in its place, for this trial's threads only.
fn nft_fails(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    own_mounts()?;
    let path = std::env::var_os("PATH").context("no PATH")?;
    let real = std::env::split_paths(&path).map(|directory| directory.join("nft")).find(|nft| nft.exists());
    let real = real.context("apt-get install nftables")?;
    let directory = tempfile::tempdir()?;
    let fake = directory.path().join("nft");
    std::fs::write(&fake, "#!/bin/sh\necho 'Error: out of order' >&2\necho more >&2\nexit 1\n")?;
    rustix::fs::chmod(&fake, rustix::fs::Mode::from_raw_mode(0o755))?;
    mount(&[std::ffi::OsStr::new("--bind"), fake.as_os_str(), real.as_os_str()])?;
    ensure!(nft(&["list", "tables"], "").is_err(), "the real nft has run");
    site.apply(&Steering::default())?;
    site.steer(&[1, 2, 3])?;
    ensure!(ip("rule show")?.contains("proto 70"));
    let steering = site.steering(&[1, 2, 3])?;
    let found = ground.wait(site.kernel.table(&table_id()))?;
    ensure!(found == table(&steering).as_ref().map(Observed::of), "{found:#?}");
    ensure!(Command::new("umount").arg(&real).status()?.success());
    site.apply(&Steering::default())?;
    is_gone()
}

/// Whoever holds the table keeps us from changing it, and says so; what comes before the table in order stays.
fn another_owner(ground: &Ground) -> Result<()> {
    let site = Site::new(ground)?;
    let other = ground.wait(async { LinuxKernel::open() })?;
    let steering = site.steering(&[1, 2, 3])?;
    ground.wait(other.replace_table(&table_id(), table(&steering).as_ref()))?;
    for steering in [&steering, &Steering::default()] {
        let Err(KernelError::Step { action, cause }) = site.apply(steering) else {
            anyhow::bail!("the other owner was not respected");
        };
        let message = format!("{action}: {cause}");
        ensure!(message.contains("inet flock-anycast is owned by another process"), "{message}");
    }
    // What was to be removed before the rules may still be there, so they are, too.
    ensure!(ip("rule show")?.contains("proto 70"));
    drop(other);
    eventually_ok(|| site.apply(&Steering::default()))?;
    is_gone()
}

/// The kernel learns of a socket's end a moment after its owner's.
fn eventually_ok<E: std::error::Error + Send + Sync + 'static>(
    mut attempt: impl FnMut() -> Result<(), E>,
) -> Result<()> {
    for _ in 0..200 {
        if attempt().is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok(attempt()?)
}

#[expect(deprecated, reason = "its successor is unsafe because of a flag that is not used here")]
fn own_mounts() -> Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS).context("make a mount namespace")?;
    mount(&["--make-rprivate", "/"].map(std::ffi::OsStr::new))
}

fn mount(arguments: &[&std::ffi::OsStr]) -> Result<()> {
    let status = Command::new("mount").args(arguments).status().context("run `mount`")?;
    ensure!(status.success(), "mount {arguments:?}: {status}");
    Ok(())
}
