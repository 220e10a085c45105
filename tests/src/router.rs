//! The router that a site's nodes are on: links, both families, and static routes where a site has no BGP.

use std::cell::Cell;

use anyhow::Result;

use crate::manifest::NodeConfig;
use crate::netns::Netns;
use crate::node::Node;
use crate::world::World;

/// A forwarding namespace with one link to each node.
#[derive(Debug)]
pub struct Router<'w> {
    world: &'w World,
    /// Its namespace.
    pub netns: Netns,
    nodes: Cell<u8>,
}

/// A link between a router and a node: a /64 and a /30 out of the documentation ranges (RFC 3849, RFC 5737).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The router's interface.
    pub ifname: String,
    /// The link's number, from 1.
    pub number: u8,
}

impl Port {
    /// The link's IPv6 subnet.
    pub fn subnet6(&self) -> String {
        format!("2001:db8:ffff:{}::/64", self.number)
    }

    /// The link's IPv4 subnet.
    pub fn subnet4(&self) -> String {
        format!("198.51.100.{}/30", 4 * self.number)
    }

    /// The router's address of the family of `cidr`.
    pub fn router(&self, cidr: &str) -> String {
        if cidr.contains(':') {
            format!("2001:db8:ffff:{}::1", self.number)
        } else {
            format!("198.51.100.{}", 4 * self.number + 1)
        }
    }

    /// The node's address of the family of `cidr`.
    pub fn node(&self, cidr: &str) -> String {
        if cidr.contains(':') {
            format!("2001:db8:ffff:{}::2", self.number)
        } else {
            format!("198.51.100.{}", 4 * self.number + 2)
        }
    }
}

impl<'w> Router<'w> {
    /// A router without nodes.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn new(world: &'w World) -> Result<Self> {
        Self::named(world, "router")
    }

    /// A router without nodes, in a namespace of this name.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn named(world: &'w World, name: &str) -> Result<Self> {
        let netns = world.machine(name)?;
        netns.sysctl("ipv6/conf/all/forwarding", "1")?;
        netns.sysctl("ipv4/ip_forward", "1")?;
        Ok(Self { world, netns, nodes: Cell::new(0) })
    }

    /// A node behind `uplink`, with default routes to the router and the router's routes to its pods' prefixes.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn node(&self, name: &str) -> Result<Node<'w>> {
        let node = self.bare_node(name)?;
        self.route_pools(&node)?;
        Ok(node)
    }

    /// A node behind `uplink`, with default routes to the router, which knows nothing of it.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn bare_node(&self, name: &str) -> Result<Node<'w>> {
        let number = self.nodes.get() + 1;
        self.nodes.set(number);
        let netns = self.world.machine(name)?;
        let port = self.plug(&netns, "uplink", number)?;
        netns.ip(&["-6", "route", "add", "default", "via", &port.router("::/0")])?;
        netns.ip(&["-4", "route", "add", "default", "via", &port.router("0.0.0.0/0")])?;
        Node::new(self.world, netns, number, config(name, number))
    }

    /// A link from `ifname` of `netns` to the router, with addresses at both ends.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn plug(&self, netns: &Netns, ifname: &str, number: u8) -> Result<Port> {
        cable(&self.netns, netns, ifname, number)
    }

    fn route_pools(&self, node: &Node) -> Result<()> {
        let config = node.config();
        config.cidr6.iter().chain(&config.cidr4).try_for_each(|cidr| self.route(cidr, node))
    }

    /// A static route to `cidr` by way of `node`.
    ///
    /// # Errors
    /// When there is one already.
    pub fn route(&self, cidr: &str, node: &Node) -> Result<()> {
        let family = if cidr.contains(':') { "-6" } else { "-4" };
        self.netns.ip(&[family, "route", "add", cidr, "via", &node.next_hop(cidr)]).map(drop)
    }
}

/// A link from `ifname` of `netns` to a router's namespace, with addresses at both ends.
///
/// # Errors
/// When a step of it fails.
pub fn cable(router: &Netns, netns: &Netns, ifname: &str, number: u8) -> Result<Port> {
    let port = Port { ifname: format!("port{number}"), number };
    netns.veth(ifname, router, &port.ifname)?;
    for any in ["::/0", "0.0.0.0/0"] {
        let length = if any.contains(':') { 64 } else { 30 };
        router.address(&port.ifname, &format!("{}/{length}", port.router(any)))?;
        netns.address(ifname, &format!("{}/{length}", port.node(any)))?;
    }
    Ok(port)
}

/// Prefixes out of the documentation ranges (RFC 3849, RFC 5737), a /64 and a /26 for each node.
fn config(name: &str, number: u8) -> NodeConfig {
    NodeConfig {
        name: name.to_owned(),
        cidr6: vec![format!("2001:db8:a:{number}::/64")],
        cidr4: vec![format!("203.0.113.{}/26", 64 * (number - 1))],
        fields: Vec::new(),
        ip_algo: None,
    }
}
