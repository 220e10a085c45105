//! What the machines of a cluster are plugged into: a router with FRR, a cable of its own subnets to each, and a client
//! behind it that is no part of the cluster.

use anyhow::Result;
use flock_tests::router::{Port, cable};
use flock_tests::{Frr, FrrConfig, Neighbor, Netns, World};

/// The router's autonomous system.
pub const ROUTER_ASN: u32 = 65000;

/// The control plane's cable; nodes have theirs from 1.
pub const CONTROL: u8 = 60;

/// The client's cable.
const CLIENT: u8 = 61;

/// The interface by which every machine is plugged in.
pub const UPLINK: &str = "uplink";

/// The router, and the client behind it. The fields are dropped in this order.
#[derive(Debug)]
pub struct Fabric {
    /// A machine outside of the cluster.
    pub client: Netns,
    /// FRR on the router. Nodes are its neighbours, each with the AS of its number, over each family.
    pub frr: Frr,
    /// The router.
    pub router: Netns,
}

/// The autonomous system of the node with this number.
pub fn asn(number: u8) -> u32 {
    ROUTER_ASN + u32::from(number)
}

/// The cable of this number.
pub fn port(number: u8) -> Port {
    Port { ifname: format!("port{number}"), number }
}

impl Fabric {
    /// A router that expects this many nodes to speak BGP with it.
    ///
    /// # Errors
    /// When a namespace cannot be made or FRR does not start.
    pub fn new(world: &World, nodes: u8) -> Result<Self> {
        let router = world.machine("router")?;
        router.sysctl("ipv6/conf/all/forwarding", "1")?;
        router.sysctl("ipv4/ip_forward", "1")?;
        let client = world.machine("client")?;
        plug(&router, &client, CLIENT)?;
        let frr = Frr::start(&router, &world.dir().join("frr"), &frr_config(nodes))?;
        Ok(Self { client, frr, router })
    }

    /// Plugs a machine in: addresses on both ends, and default routes to the router.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn plug(&self, machine: &Netns, number: u8) -> Result<Port> {
        // A namespace takes its time to go, and the cable of a machine that was switched off with it.
        self.router.ip(&["link", "delete", &port(number).ifname]).ok();
        plug(&self.router, machine, number)
    }

    /// A static route of the router to a prefix behind the machine on this cable.
    ///
    /// # Errors
    /// When the cable is not there.
    pub fn route(&self, prefix: &str, number: u8) -> Result<()> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let via = port(number).node(prefix);
        self.router.ip(&[family, "route", "replace", prefix, "via", &via]).map(drop)
    }

    /// What the router takes for the password of its sessions with the node of this number (RFC 2385), from now on.
    ///
    /// # Errors
    /// When FRR refuses.
    pub fn password(&self, number: u8, password: Option<&str>) -> Result<()> {
        let port = port(number);
        let mut lines = vec![format!("router bgp {ROUTER_ASN}")];
        lines.extend(["::/0", "0.0.0.0/0"].map(|any| match password {
            Some(password) => format!("neighbor {} password {password}", port.node(any)),
            None => format!("no neighbor {} password", port.node(any)),
        }));
        self.frr.configure(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Drops without a word whatever the router would forward between these two cables, until [`Fabric::mend`].
    ///
    /// # Errors
    /// When nft refuses.
    pub fn cut(&self, one: u8, other: u8) -> Result<()> {
        let table = table(one, other);
        let (one, other) = (port(one).ifname, port(other).ifname);
        let hook = "{ type filter hook forward priority -10; }";
        let rules = [
            format!("add table inet {table}"),
            format!("add chain inet {table} forward {hook}"),
            format!("add rule inet {table} forward iifname {one} oifname {other} drop"),
            format!("add rule inet {table} forward iifname {other} oifname {one} drop"),
        ];
        self.router.exec(&["nft", &rules.join(";")]).map(drop)
    }

    /// Undoes [`Fabric::cut`].
    ///
    /// # Errors
    /// When the two were not cut.
    pub fn mend(&self, one: u8, other: u8) -> Result<()> {
        self.router.exec(&["nft", "delete", "table", "inet", &table(one, other)]).map(drop)
    }
}

fn table(one: u8, other: u8) -> String {
    format!("cut-{}-{}", one.min(other), one.max(other))
}

fn plug(router: &Netns, machine: &Netns, number: u8) -> Result<Port> {
    let port = cable(router, machine, UPLINK, number)?;
    machine.ip(&["-6", "route", "add", "default", "via", &port.router("::/0")])?;
    machine.ip(&["-4", "route", "add", "default", "via", &port.router("0.0.0.0/0")])?;
    Ok(port)
}

/// A node is a neighbour over each family, each session carrying its own.
fn frr_config(nodes: u8) -> FrrConfig {
    let neighbors = (1..=nodes).flat_map(|number| {
        let port = port(number);
        ["::/0", "0.0.0.0/0"].map(|any| Neighbor::new(&port.node(any), asn(number)))
    });
    neighbors.fold(FrrConfig::new(ROUTER_ASN), FrrConfig::neighbor)
}
