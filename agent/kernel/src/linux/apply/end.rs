//! One end of a pair: what is set and unset there by netlink.

use flock_core::attachment::IfName;
use flock_core::link::{Fact, RemovableFact};
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{In6AddrGenMode, LinkAttribute, LinkMessage};
use rustix::io::Errno;

use crate::linux::errno::Failure;
use crate::linux::request::{self, LOOPBACK};
use crate::linux::socket::Socket;

const PUT: u16 = NLM_F_CREATE | NLM_F_REPLACE;

/// One end of the pair, and a socket in its namespace.
pub(super) struct End {
    pub(super) socket: Socket,
    pub(super) ifname: IfName,
    pub(super) index: Option<u32>,
}

impl End {
    /// The end in the calling thread's namespace.
    pub(super) fn open(ifname: &IfName) -> Result<Self, Failure> {
        Ok(Self { socket: Socket::open()?, ifname: ifname.clone(), index: None })
    }

    /// The interface's index; none: there is no such interface.
    pub(super) fn look_up(&mut self) -> Result<Option<u32>, Failure> {
        Ok(self.socket.link_by_name(&self.ifname)?.map(|link| link.header.index))
    }

    /// The interface's index, looked up once.
    pub(super) fn index(&mut self) -> Result<u32, Failure> {
        if self.index.is_none() {
            self.index = self.look_up()?;
        }
        self.index.ok_or_else(|| Errno::NODEV.into())
    }

    /// Changes the link itself.
    fn set_link(&mut self, message: LinkMessage) -> Result<(), Failure> {
        self.socket.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Makes a fact true that is netlink's.
    pub(super) fn set(&mut self, fact: &Fact) -> Result<(), Failure> {
        match fact {
            Fact::Link { .. } => self.index().map(drop),
            Fact::Mac { mac, .. } => self.set_attribute(LinkAttribute::Address(mac.0.to_vec())),
            Fact::Mtu { mtu, .. } => self.set_attribute(LinkAttribute::Mtu(*mtu)),
            Fact::Alias { alias } => self.set_attribute(LinkAttribute::IfAlias(alias.clone())),
            Fact::NoAddressGeneration => self.set_address_generation(In6AddrGenMode::None),
            Fact::LoopbackUp => self.set_link(request::link_up(LOOPBACK)),
            Fact::Up { .. } => {
                let message = request::link_up(self.index()?);
                self.set_link(message)
            }
            Fact::Address { net, .. } => {
                let message = request::address(self.index()?, *net);
                self.socket.request(RouteNetlinkMessage::NewAddress(message), PUT)
            }
            Fact::LoopbackAddress { address } => {
                let message = request::address(LOOPBACK, IpNet::from(*address));
                self.socket.request(RouteNetlinkMessage::NewAddress(message), PUT)
            }
            Fact::Neighbour { address, mac, .. } => {
                let message = request::neighbour(self.index()?, *address, Some(*mac));
                self.socket.request(RouteNetlinkMessage::NewNeighbour(message), PUT)
            }
            Fact::Route { route, .. } => {
                let message = request::route(self.index()?, route);
                self.socket.request(RouteNetlinkMessage::NewRoute(message), PUT)
            }
            // Not of netlink's, see [`super::Work`].
            Fact::AltName { .. } | Fact::Sysctl { .. } => Err(Errno::OPNOTSUPP.into()),
        }
    }

    /// Makes a fact untrue.
    pub(super) fn unset(&mut self, fact: &RemovableFact) -> Result<(), Failure> {
        let index = self.index()?;
        match fact {
            RemovableFact::Alias { .. } => {
                self.set_link(request::link(index, vec![LinkAttribute::IfAlias(String::new())]))
            }
            RemovableFact::AltName { name } => {
                self.socket.request(RouteNetlinkMessage::DelLinkProp(request::link_altname(index, name)), 0)
            }
            RemovableFact::NoAddressGeneration => self.set_address_generation(In6AddrGenMode::Eui64),
            RemovableFact::Address { net, .. } => {
                self.socket.request(RouteNetlinkMessage::DelAddress(request::address(index, *net)), 0)
            }
            RemovableFact::LoopbackAddress { address } => {
                let message = request::address(LOOPBACK, IpNet::from(*address));
                self.socket.request(RouteNetlinkMessage::DelAddress(message), 0)
            }
            RemovableFact::Neighbour { address, .. } => self
                .socket
                .request(RouteNetlinkMessage::DelNeighbour(request::neighbour(index, *address, None)), 0),
            RemovableFact::Route { route, .. } => {
                self.socket.request(RouteNetlinkMessage::DelRoute(request::route(index, route)), 0)
            }
            RemovableFact::Link { .. } => {
                self.socket.request(RouteNetlinkMessage::DelLink(request::link(index, Vec::new())), 0)
            }
        }
    }

    fn set_attribute(&mut self, attribute: LinkAttribute) -> Result<(), Failure> {
        let message = request::link(self.index()?, vec![attribute]);
        self.set_link(message)
    }

    fn set_address_generation(&mut self, mode: In6AddrGenMode) -> Result<(), Failure> {
        let message = request::link_address_generation(self.index()?, mode);
        // A link without IPv6 generates no address.
        self.set_link(message).or_else(|failure| failure.unless(&[Errno::AFNOSUPPORT, Errno::OPNOTSUPP]))
    }
}
