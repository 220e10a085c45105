//! BGP: how long a change takes to the router, and what writing the configuration down costs. The peer is BIRD itself:
//! told by hand, and reading the same file.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flock_core::bgp::config::BirdConfig;
use flock_core::bgp::plan::PrefixRange;
use flock_core::bgp::render::render;
use flock_core::bgp::resolve::silent;
use flock_tests::fabric::{Plan, Running};
use flock_tests::{World, eventually};
use ipnet::{IpNet, Ipv6Net};

use crate::sample::{Row, Sample};

/// Changes that count.
const CHANGES: usize = 20;
/// Longer than the agent waits to make several changes one.
const APART: Duration = Duration::from_millis(700);
/// What comes and goes.
const EXTRA: &str = "2001:db8:a:ff::/64";

pub(crate) fn measure(world: &World) -> Result<Vec<Row>> {
    let mut rows = changes(world)?;
    for prefixes in [10, 1_000, 10_000] {
        rows.extend(rendering(world, prefixes)?);
    }
    Ok(rows)
}

/// A prefix added to the NodeConfig, or taken from it, until the router's kernel has it or not.
fn changes(world: &World) -> Result<Vec<Row>> {
    let mut site = Plan::new(world, 1)?.up()?;
    let (mut flock, mut files) = (Sample::default(), Vec::new());
    for round in 0..CHANGES {
        thread::sleep(APART);
        let adds = round % 2 == 0;
        let node = site.node()?;
        let config = node.manifest();
        let cidr6: Vec<&str> = config.cidr6.iter().map(String::as_str).chain(adds.then_some(EXTRA)).collect();
        let config = config.clone().with_cidr6(&cidr6);
        let start = Instant::now();
        node.node.configure(&config)?;
        seen(&site, adds)?;
        flock.push(start.elapsed());
        if round < 2 {
            files.push(kept(&mut site, world, round)?);
        }
    }
    site.node()?.take_agent()?.kill()?;
    let mut hand = Sample::default();
    for round in 0..CHANGES {
        thread::sleep(APART);
        let start = Instant::now();
        site.node()?.birdc(&format!("configure \"{}\"", files[round % 2].display()))?;
        seen(&site, round % 2 == 0)?;
        hand.push(start.elapsed());
    }
    let ratio = flock.percentile(50).as_secs_f64() / hand.percentile(50).as_secs_f64();
    Ok(vec![
        Row::new(
            "flock: NodeConfig written to update in FRR's kernel routes".to_owned(),
            flock.summary(),
            None,
        ),
        Row::new("birdc configure by hand: the same".to_owned(), hand.summary(), None),
        Row::new("change of configuration: ratio of p50".to_owned(), format!("{ratio:.1}"), None),
    ])
}

/// Waits until the router has the extra prefix, or has it no more.
fn seen(site: &Running<'_>, there: bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let shown = site.fabric.router.netns.ip(&["-6", "route", "show", EXTRA])?;
        if shown.is_empty() != there {
            return Ok(());
        }
    }
    anyhow::bail!("the router has not seen the change of {EXTRA}")
}

/// A copy of the configuration that BIRD runs, once the agent has kept it.
fn kept(site: &mut Running<'_>, world: &World, round: usize) -> Result<PathBuf> {
    let node = site.node()?;
    let there = round == 0;
    eventually(Duration::from_secs(10), || {
        ensure!(node.bird_conf()?.contains(EXTRA) == there, "not kept yet");
        Ok(())
    })?;
    let copy = world.dir().join(format!("bird-{round}.conf"));
    fs::copy(node.bird_files().config, &copy)?;
    Ok(copy)
}

fn rendering(world: &World, prefixes: u32) -> Result<Vec<Row>> {
    let config = originating(prefixes)?;
    let (mut ours, mut birds) = (Sample::default(), Sample::default());
    let file = world.dir().join(format!("render-{prefixes}.conf"));
    for _ in 0..CHANGES {
        let start = Instant::now();
        let conf = render(&config)?;
        ours.push(start.elapsed());
        fs::write(&file, &conf.text)?;
        let start = Instant::now();
        let parsed = Command::new("bird").arg("-p").arg("-c").arg(&file).status().context("start bird")?;
        birds.push(start.elapsed());
        ensure!(parsed.success(), "bird does not take {}", file.display());
    }
    let ratio = ours.percentile(50).as_secs_f64() / birds.percentile(50).as_secs_f64();
    Ok(vec![Row::new(
        format!("render {prefixes} prefixes; bird -p of the same file; ratio of p50"),
        format!("{}; {}; {ratio:.3}", ours.summary(), birds.summary()),
        None,
    )])
}

fn originating(prefixes: u32) -> Result<BirdConfig> {
    let net = |number: u32| {
        let bits = 0x2001_0db8_000a_0001_u128 << 64 | u128::from(number);
        Ipv6Net::new(bits.into(), 128).map(IpNet::V6)
    };
    let originate: BTreeSet<IpNet> = (0..prefixes).map(net).collect::<Result<_, _>>()?;
    let exportable = BTreeSet::from([PrefixRange::hosts_of("2001:db8:a:1::/64".parse()?)]);
    Ok(BirdConfig { originate, exportable, ..silent() })
}
