//! The router that a site's nodes are on: static routes, both families.

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

impl<'w> Router<'w> {
    /// A router without nodes.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn new(world: &'w World) -> Result<Self> {
        let netns = world.machine("router")?;
        netns.sysctl("ipv6/conf/all/forwarding", "1")?;
        netns.sysctl("ipv4/ip_forward", "1")?;
        Ok(Self { world, netns, nodes: Cell::new(0) })
    }

    /// A node behind `uplink`, with default routes to the router and the router's routes to its pods' prefixes.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn node(&self, name: &str) -> Result<Node<'w>> {
        let number = self.nodes.get() + 1;
        self.nodes.set(number);
        let netns = self.world.machine(name)?;
        let port = format!("port{number}");
        netns.veth("uplink", &self.netns, &port)?;
        self.netns.address(&port, &format!("2001:db8:ffff:{number}::1/64"))?;
        self.netns.address(&port, &format!("198.51.100.{}/30", 4 * number + 1))?;
        netns.address("uplink", &format!("2001:db8:ffff:{number}::2/64"))?;
        netns.address("uplink", &format!("198.51.100.{}/30", 4 * number + 2))?;
        netns.ip(&["-6", "route", "add", "default", "via", &format!("2001:db8:ffff:{number}::1")])?;
        netns.ip(&["-4", "route", "add", "default", "via", &format!("198.51.100.{}", 4 * number + 1)])?;
        let node = Node::new(self.world, netns, number, config(name, number))?;
        self.route_pools(&node)?;
        Ok(node)
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
