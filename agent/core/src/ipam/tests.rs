//! What the allocator promises, one case each. Their combinations: [`super::model`].

mod both;
mod v4;
mod v6;

use ipnet::{Ipv4Net, Ipv6Net};

use super::*;
use crate::attachment::PodName;
use crate::node::{NodePlan, Pools};
use crate::pod::Pod;
use crate::pod::annotation::PREFIX;
use crate::pod::intent;
use crate::prefix::{Cidr4, Cidr6};

const COOLDOWN: Duration = Duration::from_secs(30);

/// Gives these host bits in turn, then the last ones again and again.
struct Script(Vec<u128>);

impl Random for Script {
    fn fill(&mut self, bytes: &mut [u8]) {
        let next = if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] };
        bytes.copy_from_slice(&next.to_be_bytes());
    }
}

pub(super) fn pools(cidrs: &[&str]) -> Pools {
    let v6 = cidrs.iter().filter_map(|cidr| cidr.parse::<Ipv6Net>().ok());
    let v4 = cidrs.iter().filter_map(|cidr| cidr.parse::<Ipv4Net>().ok());
    Pools {
        v6: v6.map(|net| Cidr6::try_from(net).unwrap()).collect(),
        v4: v4.map(|net| Cidr4::try_from(net).unwrap()).collect(),
    }
}

pub(super) fn id(number: usize) -> AttachmentId {
    format!("c{number}@eth0").parse().unwrap()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What a pod `default/web-0` with these annotations gets out of the pools.
pub(super) fn intent(pools: &Pools, annotations: &[(&str, &str)]) -> PodIntent {
    let plan = NodePlan { pools: pools.clone(), cooldown: COOLDOWN, ..NodePlan::new("node-a") };
    let annotations = annotations.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()));
    let name = PodName::new("default", "web-0").unwrap();
    let pod = Pod::new(name).annotated(&annotations.collect());
    intent::resolve(&plan, &pod).unwrap().0
}

/// A node with an allocator of its own, whose randomness is the script.
struct Node {
    pools: Pools,
    ipam: Allocator,
    random: Script,
}

impl Node {
    fn new(cidrs: &[&str]) -> Self {
        Self { pools: pools(cidrs), ipam: Allocator::default(), random: Script(vec![1]) }
    }

    fn drawing(mut self, script: &[u128]) -> Self {
        self.random = Script(script.to_vec());
        self
    }

    fn ask(
        &mut self,
        number: usize,
        second: i64,
        annotations: &[(&str, &str)],
    ) -> Result<PodAddresses, IpamError> {
        let intent = intent(&self.pools, annotations);
        let draw = Draw { random: &mut self.random, now: at(second), cooldown: COOLDOWN };
        self.ipam.allocate(&id(number), &intent, draw)
    }

    /// The IPv4 address of a pod that says nothing.
    fn v4(&mut self, number: usize, second: i64) -> Option<String> {
        self.ask(number, second, &[]).ok()?.v4.map(|address| address.to_string())
    }

    /// The IPv6 address of a pod that says nothing.
    fn v6(&mut self, number: usize) -> Option<String> {
        self.ask(number, 0, &[]).ok()?.v6.map(|address| address.to_string())
    }
}

fn addresses(texts: &[&str]) -> PodAddresses {
    PodAddresses {
        v6: texts.iter().find_map(|text| text.parse().ok()),
        v4: texts.iter().find_map(|text| text.parse().ok()),
    }
}
