//! Messages about nexthop objects (`linux/nexthop.h`, `ip nexthop`), as far as flock makes and reads them: single next
//! hops through a gateway, and groups of them. The netlink library knows none of these.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable, NlasIterator, parse_u16, parse_u32,
};
use netlink_packet_route::AddressFamily;

use super::socket::{Message, Route};

/// `RTM_NEWNEXTHOP` and its like, of `linux/rtnetlink.h`.
pub(super) const NEW: u16 = 104;
pub(super) const DEL: u16 = 105;
const GET: u16 = 106;
/// `RTM_NEWNEXTHOPBUCKET`: the kernel tells of each bucket that it moves.
pub(super) const NEW_BUCKET: u16 = 116;
const GET_BUCKET: u16 = 118;

/// `NHA_*`.
const ID: u16 = 1;
const GROUP: u16 = 2;
const GROUP_TYPE: u16 = 3;
const BLACKHOLE: u16 = 4;
const OIF: u16 = 5;
const GATEWAY: u16 = 6;
const ENCAP: u16 = 8;
const FDB: u16 = 11;
const RES_GROUP: u16 = 12;

/// `NHA_RES_GROUP_*`.
const BUCKETS: u16 = 1;
const UNBALANCED_TIMER: u16 = 3;

/// `NEXTHOP_GRP_TYPE_RES`.
const RESILIENT: u16 = 1;

/// `RTNH_F_ONLINK`: the gateway is on the link, whatever the routes say.
const ONLINK: u32 = 4;

/// `struct nhmsg`, `struct nexthop_grp`.
const HEADER_LEN: usize = 8;
const MEMBER_LEN: usize = 8;

/// A message about nexthop objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NexthopMessage {
    /// Make or replace it; it is there.
    New(Nexthop),
    /// Remove it, for which only the id counts; it is gone.
    Del(Nexthop),
    /// Which are there?
    Get,
    /// Asks for a bucket, without saying which: refused as invalid where groups can be resilient, and as unknown
    /// where not (before Linux 5.13).
    GetBucket,
}

/// A nexthop object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nexthop {
    pub(super) id: u32,
    /// Who made it: a routing-protocol number.
    pub(super) protocol: u8,
    pub(super) kind: Kind,
}

/// What a nexthop object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A gateway that is on a link.
    Single(GatewayOnLink),
    /// MultipathMode others.
    Group(Group),
    /// What flock does not make.
    Other,
}

/// A gateway that is on a link, whatever the routes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GatewayOnLink {
    pub(super) via: IpAddr,
    /// The link's index.
    pub(super) link: u32,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) members: Vec<Member>,
    /// None for a group that is not resilient.
    pub(super) table: Option<Table>,
}

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: u32,
    /// Its share, less one; here and on the wire.
    pub(super) extra_weight: u8,
}

/// A resilient group's table: flows hash to buckets, and buckets belong to members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    /// How many; for ever.
    pub(super) buckets: u16,
    /// After how many hundredths of a second buckets in use are taken from a member that has too many; 0: never.
    pub(super) unbalanced_timer: u32,
}

impl NexthopMessage {
    fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        if let NexthopMessage::New(nexthop) = self {
            header[2] = nexthop.protocol;
            if let Kind::Single(hop) = &nexthop.kind {
                let family = if hop.via.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
                header[0] = family.into();
                header[4..].copy_from_slice(&ONLINK.to_ne_bytes());
            }
        }
        header
    }

    fn attributes(&self) -> Vec<DefaultNla> {
        match self {
            NexthopMessage::New(nexthop) => nexthop.attributes(),
            NexthopMessage::Del(nexthop) => vec![u32_attribute(ID, nexthop.id)],
            NexthopMessage::Get | NexthopMessage::GetBucket => Vec::new(),
        }
    }
}

impl Message for NexthopMessage {
    type Family = Route;
}

impl NetlinkSerializable for NexthopMessage {
    fn message_type(&self) -> u16 {
        match self {
            NexthopMessage::New(_) => NEW,
            NexthopMessage::Del(_) => DEL,
            NexthopMessage::Get => GET,
            NexthopMessage::GetBucket => GET_BUCKET,
        }
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes().as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER_LEN);
        header.copy_from_slice(&self.header());
        self.attributes().as_slice().emit(attributes);
    }
}

impl NetlinkDeserializable for NexthopMessage {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match header.message_type {
            NEW => Nexthop::parse(payload).map(NexthopMessage::New),
            DEL => Nexthop::parse(payload).map(NexthopMessage::Del),
            other => Err(DecodeError::from(format!("message type {other} is not about nexthop objects"))),
        }
    }
}

impl Nexthop {
    fn attributes(&self) -> Vec<DefaultNla> {
        let mut attributes = vec![u32_attribute(ID, self.id)];
        match &self.kind {
            Kind::Single(hop) => attributes.extend([
                u32_attribute(OIF, hop.link),
                DefaultNla::new(
                    GATEWAY,
                    match hop.via {
                        IpAddr::V6(via) => via.octets().to_vec(),
                        IpAddr::V4(via) => via.octets().to_vec(),
                    },
                ),
            ]),
            Kind::Group(group) => attributes.extend(group.attributes()),
            Kind::Other => {}
        }
        attributes
    }

    fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let (header, rest) =
            payload.split_at_checked(HEADER_LEN).ok_or_else(|| DecodeError::from("a nexthop is cut off"))?;
        let mut found = attributes(rest)?;
        let id = parse_u32(&found.remove(&ID).unwrap_or_default())?;
        let kind = match Group::parse(&found)? {
            Some(group) => Kind::Group(group),
            None if parse_u32(&header[4..])? & ONLINK == 0 => Kind::Other,
            None => GatewayOnLink::parse(&found)?.map_or(Kind::Other, Kind::Single),
        };
        Ok(Self { id, protocol: header[2], kind })
    }
}

impl GatewayOnLink {
    /// None for one without a gateway, or that does more to a packet than to send it there.
    fn parse(found: &Attributes) -> Result<Option<Self>, DecodeError> {
        let (Some(via), Some(link)) = (found.get(&GATEWAY), found.get(&OIF)) else { return Ok(None) };
        if [BLACKHOLE, ENCAP, FDB].iter().any(|more| found.contains_key(more)) {
            return Ok(None);
        }
        Ok(Some(Self { via: netlink_packet_core::parse_ip(via)?, link: parse_u32(link)? }))
    }
}

impl Group {
    fn attributes(&self) -> Vec<DefaultNla> {
        let member = |member: &Member| {
            let [a, b, c, d] = member.id.to_ne_bytes();
            [a, b, c, d, member.extra_weight, 0, 0, 0]
        };
        let members = self.members.iter().flat_map(member).collect();
        let mut attributes = vec![DefaultNla::new(GROUP, members)];
        if let Some(table) = self.table {
            attributes.push(DefaultNla::new(GROUP_TYPE, RESILIENT.to_ne_bytes().to_vec()));
            attributes.push(nested(
                RES_GROUP,
                &[
                    DefaultNla::new(BUCKETS, table.buckets.to_ne_bytes().to_vec()),
                    u32_attribute(UNBALANCED_TIMER, table.unbalanced_timer),
                ],
            ));
        }
        attributes
    }

    fn parse(found: &Attributes) -> Result<Option<Self>, DecodeError> {
        let Some(members) = found.get(&GROUP) else { return Ok(None) };
        let members = members.chunks_exact(MEMBER_LEN);
        let member = |bytes: &[u8]| Ok(Member { id: parse_u32(&bytes[..4])?, extra_weight: bytes[4] });
        let members = members.map(member).collect::<Result<_, DecodeError>>()?;
        Ok(Some(Self { members, table: Table::parse(found)? }))
    }
}

impl Table {
    fn parse(found: &Attributes) -> Result<Option<Self>, DecodeError> {
        let Some(table) = found.get(&RES_GROUP) else { return Ok(None) };
        let table = attributes(table)?;
        let (Some(buckets), Some(timer)) = (table.get(&BUCKETS), table.get(&UNBALANCED_TIMER)) else {
            return Ok(None);
        };
        Ok(Some(Self { buckets: parse_u16(buckets)?, unbalanced_timer: parse_u32(timer)? }))
    }
}

type Attributes = BTreeMap<u16, Vec<u8>>;

fn attributes(bytes: &[u8]) -> Result<Attributes, DecodeError> {
    let read =
        NlasIterator::new(bytes).map(|found| found.map(|found| (found.kind(), found.value().to_vec())));
    read.collect()
}

fn u32_attribute(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    let mut value = vec![0; attributes.buffer_len()];
    attributes.emit(&mut value);
    DefaultNla::new(kind | NLA_F_NESTED, value)
}

#[cfg(test)]
mod tests;
