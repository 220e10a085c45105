//! The cluster's other nodes: what they give their pods addresses of, and where they are.
//!
//! Two nodes must not give the same addresses. A prefix is a node's that says in its status that it gives addresses of it;
//! where both say so, or neither, it is the node's whose NodeConfig is older, and without times the one's that is first in
//! the alphabet. All nodes judge by the same objects, so that exactly one of two is refused.
//!
//! `podCIDRs` are given out by Kubernetes, which takes them back from nodes that are gone: what the NodeConfig of such a
//! node still says in its status counts for nothing against them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use flock_core::node::NodePlan;
use flock_core::prefix::overlap;
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;

use super::Inputs;
use super::layers::Layers;
use super::merge::merge;

/// Who has given the node its prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    Configs,
    /// `podCIDRs` of its Node.
    Kubernetes,
}

/// All nodes but one, by name.
#[derive(Debug, Default)]
pub(super) struct Others {
    own: Claim,
    nodes: BTreeMap<String, Claim>,
}

/// What is known of a node.
#[derive(Debug, Default)]
struct Claim {
    name: String,
    /// When its NodeConfig was made.
    created: Option<Timestamp>,
    /// What it is told to give addresses of.
    told: Vec<IpNet>,
    /// What it gives addresses of, as it says itself.
    in_use: Vec<IpNet>,
    addresses: Vec<IpAddr>,
}

impl Others {
    pub(super) fn of(inputs: &Inputs, node: &str) -> Self {
        let names: BTreeSet<&String> = inputs.nodes.keys().chain(inputs.configs.keys()).collect();
        let others = names.into_iter().filter(|name| *name != node);
        Self {
            own: Claim::of(inputs, node),
            nodes: others.map(|name| (name.clone(), Claim::of(inputs, name))).collect(),
        }
    }

    /// The first of the plan's prefixes that is another node's, as the field's path, and why.
    pub(super) fn contradict(&self, plan: &NodePlan, giver: Giver) -> Option<(String, String)> {
        let v6 = plan.pools.v6.iter().enumerate();
        let v6 = v6.map(|(index, cidr)| (format!("spec.cidr6[{index}]"), IpNet::V6(cidr.net())));
        let v4 = plan.pools.v4.iter().enumerate();
        let v4 = v4.map(|(index, cidr)| (format!("spec.cidr4[{index}]"), IpNet::V4(cidr.net())));
        v6.chain(v4).find_map(|(field, net)| {
            let told =
                |other: &&Claim| giver == Giver::Configs || other.told.iter().any(|of| overlap(of, &net));
            let reason =
                self.nodes.values().filter(told).find_map(|other| self.own.contradicts(other, &net))?;
            Some((field, reason))
        })
    }

    /// What they give addresses of, but for what is the node's own.
    pub(super) fn prefixes_beside(&self, plan: Option<&NodePlan>) -> BTreeSet<IpNet> {
        let own: Vec<IpNet> = plan.into_iter().flat_map(|plan| plan.pools.iter()).collect();
        let all = self.nodes.values().flat_map(Claim::prefixes).copied();
        all.filter(|net| !own.iter().any(|own| overlap(own, net))).collect()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.nodes.values().flat_map(|claim| claim.addresses.iter().copied())
    }
}

impl Claim {
    fn of(inputs: &Inputs, name: &str) -> Self {
        let config = inputs.configs.get(name);
        let node = inputs.nodes.get(name);
        let said = merge(&Layers::of(inputs, name));
        let told = if said.says_prefixes() {
            ["cidr6", "cidr4"].iter().filter_map(|field| said.spec.get(*field)).flat_map(prefixes).collect()
        } else {
            node.map(|node| node.pod_cidrs.clone()).unwrap_or_default()
        };
        let status = config.map(|config| config.addresses.iter().copied());
        let addresses = node.map(|node| node.addresses.iter().copied());
        Self {
            name: name.to_owned(),
            created: config.and_then(|config| config.created),
            told,
            in_use: config.map(|config| config.pools_in_use.clone()).unwrap_or_default(),
            addresses: status.into_iter().flatten().chain(addresses.into_iter().flatten()).collect(),
        }
    }

    fn prefixes(&self) -> impl Iterator<Item = &IpNet> {
        self.in_use.iter().chain(&self.told)
    }

    /// The first of its prefixes that has addresses in common with this one.
    fn takes(&self, net: &IpNet) -> Option<IpNet> {
        self.prefixes().find(|own| overlap(own, net)).copied()
    }

    /// Why a prefix of this node cannot be its own; none: as far as the other node goes, it can.
    fn contradicts(&self, other: &Claim, net: &IpNet) -> Option<String> {
        let theirs = other.takes(net)?;
        let why = self.yields(other, net)?;
        Some(format!(
            "{net} overlaps {theirs} of node {}, {why}: two nodes must not give the same addresses; take it out of one \
             of the two NodeConfigs",
            other.name
        ))
    }

    fn uses(&self, net: &IpNet) -> bool {
        self.in_use.iter().any(|own| overlap(own, net))
    }

    /// Why a prefix is another's and not its own; none: it is its own.
    fn yields(&self, other: &Claim, net: &IpNet) -> Option<&'static str> {
        let age = |claim: &Claim| (claim.created.is_none(), claim.created, claim.name.clone());
        match (self.uses(net), other.uses(net)) {
            (true, false) => None,
            (false, true) => Some("whose pods have addresses of it"),
            _ if age(self) < age(other) => None,
            _ if other.created == self.created => Some("which is first in the alphabet"),
            _ => Some("whose NodeConfig is older"),
        }
    }
}

fn prefixes(list: &Value) -> impl Iterator<Item = IpNet> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| text.trim().parse().ok()).map(|net: IpNet| net.trunc())
}
