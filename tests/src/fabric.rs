//! A site whose only routes are learned: nodes that speak BGP with a router, and a client behind it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bird::RouterPeer;
use crate::eventually::eventually;
use crate::frr::{Frr, FrrConfig, Neighbor};
use crate::manifest::{Bgp, Peer};
use crate::netns::Netns;
use crate::node::Node;
use crate::router::Router;
use crate::speaker::Speaker;
use crate::world::World;

/// How long sessions may take to come up: BIRD and FRR both wait some seconds after a connection that failed.
pub const SESSION_PATIENCE: Duration = Duration::from_secs(30);

/// The router's autonomous system.
pub const ROUTER_ASN: u32 = 65000;

/// A router without a single route of its own making, and a client behind it. The client is dropped first.
#[derive(Debug)]
pub struct Fabric<'w> {
    /// The client.
    pub client: Netns,
    /// The router.
    pub router: Router<'w>,
    world: &'w World,
}

impl<'w> Fabric<'w> {
    /// Without nodes.
    ///
    /// # Errors
    /// When a namespace cannot be made.
    pub fn new(world: &'w World) -> Result<Self> {
        let (router, client) = (Router::new(world)?, world.machine("client")?);
        client.veth("uplink", &router.netns, "client")?;
        for (ours, theirs) in [("2001:db8:c::2/64", "2001:db8:c::1/64"), ("192.0.2.2/30", "192.0.2.1/30")] {
            client.address("uplink", ours)?;
            router.netns.address("client", theirs)?;
        }
        client.ip(&["-6", "route", "add", "default", "via", "2001:db8:c::1"])?;
        client.ip(&["-4", "route", "add", "default", "via", "192.0.2.1"])?;
        Ok(Self { client, router, world })
    }

    /// The trial's world.
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// FRR on the router.
    ///
    /// # Errors
    /// When it does not start.
    pub fn frr(&self, config: &FrrConfig) -> Result<Frr> {
        Frr::start(&self.router.netns, &self.world.dir().join("frr"), config)
    }
}

/// What a node of this number says of BGP unless a trial says otherwise: a session over each family, each carrying
/// its own.
pub fn bgp(node: &Node) -> Bgp {
    let port = node.port();
    ["::/0", "0.0.0.0/0"].iter().fold(Bgp::new(65000 + u32::from(port.number)), |bgp, any| {
        bgp.peer(Peer::new(&port.router(any), ROUTER_ASN))
    })
}

/// What the router says of that node.
pub fn neighbors(node: &Node) -> [Neighbor; 2] {
    let port = node.port();
    ["::/0", "0.0.0.0/0"].map(|any| Neighbor::new(&port.node(any), 65000 + u32::from(port.number)))
}

/// What a BIRD that is the router says of these nodes.
pub fn router_peers(nodes: &[&Node]) -> Vec<RouterPeer> {
    let facing = |node: &&Node| {
        let port = node.port();
        ["::/0", "0.0.0.0/0"].map(|any| RouterPeer {
            address: port.node(any),
            local: port.router(any),
            asn: 65000 + u32::from(port.number),
        })
    };
    nodes.iter().flat_map(facing).collect()
}

/// A site before anything runs in it. A trial changes what it is about, and starts it.
#[derive(Debug)]
pub struct Plan<'w> {
    /// The nodes.
    pub nodes: Vec<Speaker<'w>>,
    /// The router's configuration.
    pub frr: FrrConfig,
    /// The machines.
    pub fabric: Fabric<'w>,
}

impl<'w> Plan<'w> {
    /// With so many nodes: dual-stack, a session over each family, eBGP.
    ///
    /// # Errors
    /// When a machine cannot be made.
    pub fn new(world: &'w World, nodes: usize) -> Result<Self> {
        let fabric = Fabric::new(world)?;
        let names = ["node-a", "node-b", "node-c"];
        let nodes = names.iter().take(nodes).map(|name| {
            let node = fabric.router.bare_node(name)?;
            let (config, bgp) = (node.config(), bgp(&node));
            Ok(Speaker::idle(node, config, bgp))
        });
        let nodes: Vec<Speaker> = nodes.collect::<Result<_>>()?;
        let all = nodes.iter().flat_map(|speaker| neighbors(&speaker.node));
        let frr = all.fold(FrrConfig::new(ROUTER_ASN), FrrConfig::neighbor);
        Ok(Self { nodes, frr, fabric })
    }

    /// With a change to what each node says of BGP.
    #[must_use]
    pub fn each(mut self, change: impl Fn(Bgp) -> Bgp) -> Self {
        for node in &mut self.nodes {
            node.bgp = change(node.bgp.clone());
        }
        self
    }

    /// With a change to what the router says of each neighbour.
    #[must_use]
    pub fn each_neighbor(mut self, change: impl FnMut(Neighbor) -> Neighbor) -> Self {
        self.frr = self.frr.each(change);
        self
    }

    /// With a change to the router's configuration.
    #[must_use]
    pub fn router(mut self, change: impl FnOnce(FrrConfig) -> FrrConfig) -> Self {
        self.frr = change(self.frr);
        self
    }

    /// Starts everything, FRR as the router. Sessions may still be coming up.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(self) -> Result<Running<'w>> {
        let Self { nodes, frr: config, fabric } = self;
        let frr = fabric.frr(&config)?;
        let nodes = start_nodes(nodes)?;
        let neighbors = config.neighbors.into_iter().map(|neighbor| neighbor.address).collect();
        Ok(Running { nodes, neighbors, frr, fabric })
    }

    /// Starts everything and waits until all sessions are up and FRR has all the nodes' prefixes.
    ///
    /// # Errors
    /// When that does not come to be.
    pub fn up(self) -> Result<Running<'w>> {
        let running = self.start()?;
        running.eventually_up()?;
        Ok(running)
    }
}

/// Writes each node's configuration, to every node as in a cluster, and starts agents and BIRDs.
///
/// # Errors
/// When something does not start.
pub fn start_nodes(mut nodes: Vec<Speaker>) -> Result<Vec<Speaker>> {
    for speaker in &nodes {
        speaker.node.configure(&speaker.manifest())?;
        for other in nodes.iter().filter(|other| other.node.name() != speaker.node.name()) {
            speaker.node.write(&format!("other-{}.yaml", other.node.name()), &other.manifest().yaml())?;
        }
    }
    nodes.iter_mut().try_for_each(Speaker::start)?;
    Ok(nodes)
}

/// A site that runs. The fields are dropped in this order.
#[derive(Debug)]
pub struct Running<'w> {
    /// The nodes.
    pub nodes: Vec<Speaker<'w>>,
    /// The addresses that FRR knows the nodes by.
    pub neighbors: Vec<String>,
    /// The router.
    pub frr: Frr,
    /// The machines.
    pub fabric: Fabric<'w>,
}

impl<'w> Running<'w> {
    /// The first node.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&mut self) -> Result<&mut Speaker<'w>> {
        self.nodes.first_mut().context("a site without nodes")
    }

    /// Fails unless all sessions are up.
    ///
    /// # Errors
    /// Names one that is not.
    pub fn ensure_established(&self) -> Result<()> {
        self.frr.ensure_established(&self.neighbors)
    }

    /// Waits until all sessions are up and FRR has all the nodes' prefixes.
    ///
    /// # Errors
    /// When that does not come to be.
    pub fn eventually_up(&self) -> Result<()> {
        eventually(SESSION_PATIENCE, || {
            self.ensure_established()?;
            self.nodes
                .iter()
                .flat_map(|speaker| prefixes(&speaker.node))
                .try_for_each(|p| self.frr.ensure_has(&p))
        })
    }

    /// Waits until each node has routes of BIRD's making to all of the others' prefixes.
    ///
    /// # Errors
    /// When that does not come to be.
    pub fn eventually_learned(&self) -> Result<()> {
        eventually(SESSION_PATIENCE, || ensure_learned(&self.nodes))
    }
}

/// Fails unless each node has routes of BIRD's making to all of the others' prefixes.
///
/// # Errors
/// Names one that is missing.
pub fn ensure_learned(nodes: &[Speaker]) -> Result<()> {
    for speaker in nodes {
        for other in nodes.iter().filter(|other| other.node.name() != speaker.node.name()) {
            for prefix in prefixes(&other.node) {
                let learned = speaker.node.netns.learned()?;
                ensure!(learned.contains(&prefix), "{} lacks {prefix}: {learned:?}", speaker.node.name());
            }
        }
    }
    Ok(())
}

/// A node's prefixes, both families.
pub fn prefixes(node: &Node) -> Vec<String> {
    let config = node.config();
    config.cidr6.into_iter().chain(config.cidr4).collect()
}
