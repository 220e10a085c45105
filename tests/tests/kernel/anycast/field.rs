//! A node with pods that share anycast addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};

use anyhow::{Context, Result, bail, ensure};
use flock_core::anycast::{NextHop, RouteChange, Routes};
use flock_core::link::LinkSpec;
use flock_kernel::linux::LinuxKernel;
use flock_kernel::{KernelError, Routes as _};

use crate::ground::{Ground, Pod, addresses, ip, spec};

pub(crate) const V6: &str = "2001:db8:53::1";
pub(crate) const V4: &str = "198.51.100.53";
pub(crate) const BOTH: [&str; 2] = [V6, V4];

/// The first of flock's nexthop ids.
pub(crate) const BASE: u32 = 0x464c_0000;

/// The node, with pods 1, 2, ...
pub(crate) struct Field<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) kernel: LinuxKernel,
    pub(crate) pods: Vec<(Pod, LinkSpec)>,
}

impl<'a> Field<'a> {
    pub(crate) fn new(ground: &'a Ground, pods: u8) -> Result<Self> {
        // For packets of the node's own.
        ip("addr add 2001:db8:ffff::1/128 dev lo")?;
        ip("addr add 203.0.113.1/32 dev lo")?;
        let pods = (1..=pods).map(|number| attached(ground, number)).collect::<Result<_>>()?;
        Ok(Self { ground, kernel: ground.kernel.clone(), pods })
    }

    /// The same on a kernel without nexthop objects.
    pub(crate) fn without_nexthop_objects(mut self) -> Self {
        self.kernel = self.kernel.without_nexthop_objects();
        self
    }

    pub(crate) fn link(&self, pod: u8) -> &str {
        self.pods[usize::from(pod) - 1].1.host.as_str()
    }

    /// The next hops to an address by way of those pods.
    pub(crate) fn hops(&self, address: &str, pods: &[u8]) -> Result<BTreeSet<NextHop>> {
        let v6 = address.parse::<IpAddr>()?.is_ipv6();
        let hop = |pod: &u8| {
            let via = if v6 { format!("2001:db8::{pod}") } else { format!("192.0.2.{pod}") };
            Ok(NextHop { via: via.parse()?, link: self.link(*pod).parse()? })
        };
        pods.iter().map(hop).collect()
    }

    /// To those pods; to none: no route.
    pub(crate) fn change(&self, address: &str, pods: &[u8]) -> Result<RouteChange> {
        let destination = address.parse()?;
        Ok(match pods {
            [] => RouteChange::Remove(destination),
            pods => RouteChange::Set(destination, self.hops(address, pods)?),
        })
    }

    pub(crate) fn apply(&self, changes: &[RouteChange]) -> Result<(), KernelError> {
        self.ground.wait(self.kernel.change_anycast_routes(changes))
    }

    pub(crate) fn set(&self, address: &str, pods: &[u8]) -> Result<()> {
        self.apply(&[self.change(address, pods)?]).with_context(|| format!("{address} to {pods:?}"))
    }

    pub(crate) fn set_both(&self, pods: &[u8]) -> Result<()> {
        BOTH.into_iter().try_for_each(|address| self.set(address, pods))
    }

    pub(crate) fn routes(&self) -> Result<Routes> {
        Ok(self.ground.wait(self.kernel.anycast_routes())?)
    }

    /// That there is one route to the address, and that it is seen to lead to those pods; to none: that it is broken.
    pub(crate) fn leads_to(&self, address: &str, pods: &[u8]) -> Result<()> {
        let (routes, expected) = (self.routes()?, self.hops(address, pods)?);
        ensure!(
            routes.get(&address.parse()?) == Some(&expected),
            "{address} to {pods:?}? {routes:#?}\n{}",
            shown(address)?
        );
        Ok(())
    }

    pub(crate) fn both_lead_to(&self, pods: &[u8]) -> Result<()> {
        BOTH.into_iter().try_for_each(|address| self.leads_to(address, pods))
    }
}

fn attached(ground: &Ground, number: u8) -> Result<(Pod, LinkSpec)> {
    let pod = Pod::new()?;
    let (v6, v4) = (format!("2001:db8::{number}"), format!("192.0.2.{number}"));
    let mut spec = spec(&format!("{number:04x}"), &pod, addresses(Some(&v6), Some(&v4)))?;
    spec.pod = format!("default/web-{number}").parse()?;
    ground.attach(&spec)?;
    Ok((pod, spec))
}

/// Every route to an address, as `ip` shows them: one line for each route and each next hop of several.
pub(crate) fn shown(address: &str) -> Result<String> {
    let family = if address.contains(':') { "-6" } else { "-4" };
    ip(&format!("{family} route show {address}"))
}

/// `ip` with a family.
pub(crate) fn ip_for(address: &str, arguments: &str) -> Result<String> {
    let family = if address.contains(':') { "-6" } else { "-4" };
    ip(&format!("{family} {arguments}"))
}

/// Every nexthop object, with all that `ip` tells of it but for a clock that runs.
pub(crate) fn nexthops() -> Result<String> {
    let shown = ip("-d nexthop")?;
    let mut words = Vec::new();
    let mut clock = false;
    for word in shown.split(' ') {
        if !std::mem::replace(&mut clock, word == "unbalanced_time") {
            words.push(word);
        }
    }
    Ok(words.join(" "))
}

/// The ids of the objects whose line has that word.
pub(crate) fn ids(word: &str) -> Result<Vec<u32>> {
    let shown = nexthops()?;
    let lines = shown.lines().filter(|line| line.split_whitespace().any(|found| found == word));
    lines.map(|line| Ok(line.split_whitespace().nth(1).context("an id")?.parse()?)).collect()
}

/// The id of the only group.
pub(crate) fn the_group() -> Result<u32> {
    match ids("group")?[..] {
        [id] => Ok(id),
        _ => bail!("not one group: {}", nexthops()?),
    }
}

/// Which member each bucket of a group belongs to.
pub(crate) fn buckets(group: u32) -> Result<Vec<u32>> {
    let shown = ip(&format!("nexthop bucket show id {group}"))?;
    let member = |line: &str| {
        let id = line.split_whitespace().skip_while(|word| *word != "nhid").nth(1);
        Ok(id.context("a bucket")?.parse()?)
    };
    shown.lines().map(member).collect()
}

/// Whether there is a route now. A lookup of IPv6 that has found a route which is replaced at that moment may fail (the
/// kernel's `ip6_rt_pcpu_alloc`; seen with multipath routes): one that begins afterwards must not.
pub(crate) fn is_routed(socket: &UdpSocket, address: IpAddr) -> Result<bool> {
    Ok(finds_route(socket, address)? || finds_route(socket, address)?)
}

/// A microsecond's work; a socket remembers no route.
fn finds_route(socket: &UdpSocket, address: IpAddr) -> Result<bool> {
    match socket.connect((address, 9)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NetworkUnreachable => Ok(false),
        Err(error) => Err(error.into()),
    }
}
