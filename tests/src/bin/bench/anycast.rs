//! Anycast: how long it takes from a pod's readiness to the router. The peer is BIRD itself, told by hand to withdraw the
//! same address.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use flock_tests::fabric::{Plan, Running};
use flock_tests::manifest::AddressPool;
use flock_tests::{Pod, World};

use crate::sample::{Row, Sample};

/// Flips that count.
const FLIPS: usize = 200;
/// Withdrawals by hand.
const BY_HAND: usize = 50;
/// Longer than announcements wait for each other.
const APART: Duration = Duration::from_millis(600);
const ADDRESS: &str = "2001:db8:53::1";

pub(crate) fn measure(world: &World) -> Result<Vec<Row>> {
    let mut plan = Plan::new(world, 1)?;
    plan.nodes[0].config = plan.nodes[0].config.clone().anycast("Keep", "0s");
    let mut site = plan.up()?;
    let node = &site.nodes[0].node;
    let pool = AddressPool::new("dns", "Anycast", &["2001:db8:53::/64"]).of_namespace("default");
    node.write("pool.yaml", &pool.yaml())?;
    let pod = Pod::new("resolver-0").annotated("anycast", ADDRESS).ready(true);
    let _attached = node.run(&pod)?;
    let write = |ready: bool| node.write("pod-default-resolver-0.yaml", &pod.clone().ready(ready).yaml());
    seen(&site, true)?;
    let (mut withdrawn, mut announced) = (Sample::default(), Sample::default());
    for _ in 0..FLIPS {
        thread::sleep(APART);
        let start = Instant::now();
        write(false)?;
        seen(&site, false)?;
        withdrawn.push(start.elapsed());
        thread::sleep(APART);
        let start = Instant::now();
        write(true)?;
        seen(&site, true)?;
        announced.push(start.elapsed());
    }
    site.nodes[0].take_agent()?.kill()?;
    let hand = by_hand(&site)?;
    let ratio = withdrawn.percentile(50).as_secs_f64() / hand.percentile(50).as_secs_f64();
    let within = withdrawn.percentile(99) <= Duration::from_millis(100);
    Ok(vec![
        Row::new(
            format!(
                "flock: readiness lost, manifest written, to gone from FRR's kernel routes, {FLIPS} times"
            ),
            withdrawn.summary(),
            Some(("p99 <= 100 ms".to_owned(), within)),
        ),
        Row::new("flock: readiness gained: the same".to_owned(), announced.summary(), None),
        Row::new("birdc disable by hand: the same".to_owned(), hand.summary(), None),
        Row::new("withdrawal: ratio of p50".to_owned(), format!("{ratio:.1}"), None),
    ])
}

fn by_hand(site: &Running<'_>) -> Result<Sample> {
    let mut hand = Sample::default();
    for _ in 0..BY_HAND {
        thread::sleep(APART);
        let start = Instant::now();
        site.nodes[0].birdc("disable anycast6")?;
        seen(site, false)?;
        hand.push(start.elapsed());
        site.nodes[0].birdc("enable anycast6")?;
        seen(site, true)?;
    }
    Ok(hand)
}

/// Waits until the router's kernel has the address, or has it no more.
fn seen(site: &Running<'_>, there: bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let shown = site.fabric.router.netns.ip(&["-6", "route", "show", ADDRESS])?;
        if shown.is_empty() != there {
            return Ok(());
        }
    }
    anyhow::bail!("the router has not seen the change of {ADDRESS}")
}
