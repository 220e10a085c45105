//! nfnetlink messages (`linux/netfilter/nfnetlink.h`, `nf_tables.h`) and their attributes.

use netlink_packet_core::{DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::linux::socket::{Family, Message};

/// Netfilter's subsystems.
#[derive(Debug)]
pub(in crate::linux) struct Netfilter;

impl Family for Netfilter {
    const PROTOCOL: isize = NETLINK_NETFILTER;
}

/// `NFNL_SUBSYS_NFTABLES`.
pub(super) const SUBSYSTEM: u16 = 10;

/// `NFNL_MSG_BATCH_BEGIN`.
pub(super) const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`.
pub(super) const BATCH_END: u16 = 17;

/// `NFT_MSG_*`, with the subsystem.
pub(super) mod kind {
    pub(in super::super) const NEW_TABLE: u16 = 0xa00;
    pub(in super::super) const GET_TABLE: u16 = 0xa01;
    pub(in super::super) const DEL_TABLE: u16 = 0xa02;
    pub(in super::super) const NEW_CHAIN: u16 = 0xa03;
    pub(in super::super) const GET_CHAIN: u16 = 0xa04;
    pub(in super::super) const DEL_CHAIN: u16 = 0xa05;
    pub(in super::super) const NEW_RULE: u16 = 0xa06;
    pub(in super::super) const GET_RULE: u16 = 0xa07;
    pub(in super::super) const DEL_RULE: u16 = 0xa08;
    pub(in super::super) const NEW_SET: u16 = 0xa09;
    pub(in super::super) const GET_SET: u16 = 0xa0a;
    pub(in super::super) const DEL_SET: u16 = 0xa0b;
    pub(in super::super) const NEW_ELEMENT: u16 = 0xa0c;
    pub(in super::super) const GET_ELEMENT: u16 = 0xa0d;
    pub(in super::super) const DEL_ELEMENT: u16 = 0xa0e;
    pub(in super::super) const NEW_GENERATION: u16 = 0xa0f;
    pub(in super::super) const GET_GENERATION: u16 = 0xa10;
    pub(in super::super) const NEW_OBJECT: u16 = 0xa12;
    pub(in super::super) const GET_OBJECT: u16 = 0xa13;
    pub(in super::super) const DEL_OBJECT: u16 = 0xa14;
}

/// `struct nfgenmsg`.
const HEADER_LEN: usize = 4;

/// A message of nfnetlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::linux) struct NetfilterMessage {
    /// The subsystem, in the upper byte, and what it is to do.
    pub(super) kind: u16,
    /// `NFPROTO_*`.
    pub(super) family: u8,
    /// Of a batch's begin and end, whose it is.
    pub(super) resource: u16,
    pub(super) attributes: Attributes,
}

impl NetfilterMessage {
    pub(super) fn new(kind: u16, family: u8, attributes: Attributes) -> Self {
        Self { kind, family, resource: 0, attributes }
    }
}

impl Message for NetfilterMessage {
    type Family = Netfilter;
}

impl NetlinkSerializable for NetfilterMessage {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.0.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER_LEN);
        let [high, low] = self.resource.to_be_bytes();
        header.copy_from_slice(&[self.family, 0, high, low]);
        attributes.copy_from_slice(&self.attributes.0);
    }
}

impl NetlinkDeserializable for NetfilterMessage {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let too_short = || DecodeError::from("an nfnetlink message without a header");
        let (head, attributes) = payload.split_first_chunk::<HEADER_LEN>().ok_or_else(too_short)?;
        let [family, _, high, low] = *head;
        Ok(Self {
            kind: header.message_type,
            family,
            resource: u16::from_be_bytes([high, low]),
            attributes: Attributes(attributes.to_vec()),
        })
    }
}

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// `NLA_TYPE_MASK`.
const KIND: u16 = 0x3fff;

const ATTRIBUTE_HEADER: usize = 4;

/// Attributes, as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attributes(pub(super) Vec<u8>);

impl Attributes {
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(super) fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn nested(self, kind: u16, value: &Attributes) -> Self {
        self.bytes(kind | NESTED, &value.0)
    }

    /// The caller sees to it that it is short enough for the 16 bits of its length.
    fn push(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Those of a kind.
    pub(super) fn all(&self, kind: u16) -> impl Iterator<Item = &[u8]> {
        iterate(&self.0).filter(move |(other, _)| *other == kind).map(|(_, value)| value)
    }

    pub(super) fn get(&self, kind: u16) -> Option<&[u8]> {
        self.all(kind).next()
    }

    pub(super) fn get_nested(&self, kind: u16) -> Option<Attributes> {
        self.get(kind).map(|value| Attributes(value.to_vec()))
    }

    pub(super) fn get_be32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    pub(super) fn get_text(&self, kind: u16) -> Option<String> {
        let text = String::from_utf8_lossy(self.get(kind)?);
        Some(text.trim_end_matches('\0').to_owned())
    }
}

/// A truncated rest is left out.
fn iterate(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, _) = rest.split_first_chunk::<ATTRIBUTE_HEADER>()?;
        let [length, kind] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_ne_bytes);
        let length = usize::from(length);
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let inner = Attributes::default().be32(2, 7);
        let all =
            Attributes::default().text(1, "flock").nested(4, &inner).bytes(5, &[1, 2, 3]).bytes(5, &[4]);
        assert_eq!(all.0.len() % 4, 0);
        assert_eq!(all.get_text(1).as_deref(), Some("flock"));
        assert_eq!(all.get_nested(4).and_then(|inner| inner.get_be32(2)), Some(7));
        assert_eq!(all.all(5).collect::<Vec<_>>(), [&[1, 2, 3][..], &[4]]);
        assert_eq!((all.get(3), all.get_be32(1), all.get_be32(5)), (None, None, None));
    }

    #[test]
    fn garbage_has_no_attributes() {
        for bytes in [&[][..], &[1], &[3, 0, 1, 0], &[8, 0, 1, 0, 0], &[255; 8]] {
            assert_eq!(Attributes(bytes.to_vec()).get(1), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = NetfilterMessage {
            resource: SUBSYSTEM,
            ..NetfilterMessage::new(kind::NEW_RULE, 2, Attributes::default().be32(1, 9))
        };
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        assert_eq!(bytes, [2, 0, 0, 10, 8, 0, 1, 0, 0, 0, 0, 9]);
        let mut header = NetlinkHeader::default();
        header.message_type = kind::NEW_RULE;
        assert_eq!(NetfilterMessage::deserialize(&header, &bytes).unwrap(), message);
        assert!(NetfilterMessage::deserialize(&header, &bytes[..3]).is_err());
    }
}
