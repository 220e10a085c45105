//! Any valid plan on any node.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use flock_core::anycast::Announced;
use flock_core::bgp::config::BirdConfig;
use flock_core::bgp::render::{AnycastRoutes, Base, render};
use flock_core::bgp::resolve::{Resolved, resolve};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::arbitrary::{self, Scene};
use crate::{model, parser};

/// Runs a property; its counterexample is the failure.
fn hold<S: Strategy>(cases: u32, scenes: S, property: impl Fn(S::Value) -> TestCaseResult) -> Result<()> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&scenes, property).map_err(|error| anyhow::anyhow!("{error}"))
}

fn resolved(scene: &Scene) -> Result<Resolved, TestCaseError> {
    let resolved = resolve(&scene.plan, &scene.surroundings()).map_err(failed)?;
    let peers = scene.plan.peers.len();
    prop_assert_eq!(resolved.config.sessions.len() + resolved.refused.len(), peers);
    Ok(resolved)
}

fn failed(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(format!("{error:#}"))
}

pub(crate) fn every_plan_is_read_by_bird() -> Result<()> {
    let bird = parser::bird()?;
    let sessions = Cell::new(0);
    hold(128, arbitrary::scene(), |scene| {
        let config = resolved(&scene)?.config;
        sessions.set(sessions.get() + config.sessions.len());
        let conf = render(&config).map_err(failed)?;
        parser::accepts(&bird, &conf.text).map_err(|error| failed(format!("{error:#}")))
    })
    .context("bird -p")?;
    ensure!(sessions.get() >= 64, "only {} sessions in 128 plans: what has been shown?", sessions.get());
    Ok(())
}

/// Whatever the plan and the pods say: a prefix of the node's, or an address in one or in what pods may claim.
pub(crate) fn only_own_prefixes_are_exported() -> Result<()> {
    hold(512, arbitrary::scene(), |scene| {
        let config = resolved(&scene)?.config;
        let own: Vec<IpNet> = scene.pools.iter().collect();
        for net in model::exports(&config) {
            let host = net.prefix_len() == net.max_prefix_len();
            let inside = own.iter().chain(&scene.claimable).any(|own| own.contains(&net));
            prop_assert!(own.contains(&net) || host && inside, "{net} is exported, the node has {own:?}");
        }
        Ok(())
    })
}

/// Whatever the plan aggregates to.
pub(crate) fn what_may_be_claimed_is_exported() -> Result<()> {
    let exported = Cell::new(0);
    hold(512, arbitrary::scene(), |scene| {
        let config = resolved(&scene)?.config;
        let exports: BTreeSet<IpNet> = model::exports(&config).collect();
        let Announced { anycast, static_addresses } = &scene.announced;
        for address in anycast.keys().chain(static_addresses) {
            if scene.claimable.iter().any(|claimable| claimable.contains(address)) {
                prop_assert!(exports.contains(&IpNet::from(*address)), "{address} is not exported");
                exported.set(exported.get() + 1);
            }
        }
        Ok(())
    })?;
    ensure!(exported.get() >= 512, "only {} addresses in 512 plans: what has been shown?", exported.get());
    Ok(())
}

/// A configuration's anycast routes are replaced in its text as if it had been written with the others.
pub(crate) fn routes_are_replaced_in_the_text() -> Result<()> {
    hold(128, arbitrary::scene(), |scene| {
        let config = resolved(&scene)?.config;
        let conf = render(&config).map_err(failed)?;
        let (base, routes) = Base::read(&conf.text).ok_or_else(|| failed("no place for routes"))?;
        prop_assert_eq!(&routes, &AnycastRoutes::of(&config));
        prop_assert_eq!(base.with(&routes), conf);
        let without = BirdConfig { anycast: BTreeMap::new(), ..config };
        prop_assert_eq!(base.with(&AnycastRoutes::default()), render(&without).map_err(failed)?);
        Ok(())
    })
}

/// Whatever the plan imports, even everything.
pub(crate) fn nothing_protected_is_learned() -> Result<()> {
    hold(512, (arbitrary::scene(), any::<u128>(), 0..=128_u8), |(scene, bits, longer)| {
        let config = resolved(&scene)?.config;
        let on_link = scene.subnets.on_link.iter().map(IpNet::trunc).filter(|net| net.prefix_len() > 0);
        for net in on_link.chain(scene.pools.iter()) {
            prop_assert!(!model::imports(&config, &net), "{net} is learned");
            let part = arbitrary::part_of(net, bits, longer);
            prop_assert!(!model::imports(&config, &part), "{part} of {net} is learned");
        }
        Ok(())
    })
}
