use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};

use super::*;

fn single(via: &str) -> Nexthop {
    let hop = GatewayOnLink { via: via.parse().unwrap(), link: 7 };
    Nexthop { id: 0x464c_0001, protocol: 70, kind: Kind::Single(hop) }
}

fn group() -> Nexthop {
    let members = [(1, 0), (2, 3)].map(|(id, extra_weight)| Member { id, extra_weight }).to_vec();
    let table = Some(Table { buckets: 256, unbalanced_timer: 0 });
    Nexthop { id: 0x464c_0003, protocol: 70, kind: Kind::Group(Group { members, table }) }
}

fn bytes(message: NexthopMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn read(bytes: &[u8]) -> Result<NexthopMessage, DecodeError> {
    match NetlinkMessage::deserialize(bytes)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message),
        other => Err(DecodeError::from(format!("{other:?}"))),
    }
}

/// The attributes' bytes, as a kernel of this byte order writes them.
fn raw(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = raw(&[&length.to_ne_bytes(), &kind.to_ne_bytes(), value]);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn a_single_next_hop_is_written_as_the_kernel_wants_it() {
    let written = bytes(NexthopMessage::New(single("192.0.2.5")));
    let expected = raw(&[
        &[2, 0, 70, 0],
        &4u32.to_ne_bytes(),
        &attribute(1, &0x464c_0001u32.to_ne_bytes()),
        &attribute(5, &7u32.to_ne_bytes()),
        &attribute(6, &[192, 0, 2, 5]),
    ]);
    assert_eq!(&written[16..], expected);
    assert_eq!(&written[4..6], 104u16.to_ne_bytes());
    assert_eq!(bytes(NexthopMessage::New(single("2001:db8::5")))[16], 10);
}

#[test]
fn a_resilient_group_is_written_as_the_kernel_wants_it() {
    let table = raw(&[&attribute(1, &256u16.to_ne_bytes()), &attribute(3, &[0; 4])]);
    let members = raw(&[&1u32.to_ne_bytes(), &[0; 4], &2u32.to_ne_bytes(), &[3, 0, 0, 0]]);
    let expected = raw(&[
        &[0, 0, 70, 0, 0, 0, 0, 0],
        &attribute(1, &0x464c_0003u32.to_ne_bytes()),
        &attribute(2, &members),
        &attribute(3, &1u16.to_ne_bytes()),
        &attribute(12 | NLA_F_NESTED, &table),
    ]);
    assert_eq!(&bytes(NexthopMessage::New(group()))[16..], expected);
}

#[test]
fn requests_say_no_more_than_the_kernel_takes() {
    let delete = bytes(NexthopMessage::Del(group()));
    assert_eq!(&delete[16..], raw(&[&[0; 8], &attribute(1, &0x464c_0003u32.to_ne_bytes())]));
    for (message, kind) in [(NexthopMessage::Get, 106u16), (NexthopMessage::GetBucket, 118)] {
        let written = bytes(message);
        assert_eq!((&written[4..6], &written[16..]), (&kind.to_ne_bytes()[..], &[0; 8][..]));
    }
}

#[test]
fn what_was_written_is_read() {
    for nexthop in [single("192.0.2.5"), single("2001:db8::5"), group()] {
        let message = NexthopMessage::New(nexthop);
        assert_eq!(read(&bytes(message.clone())).unwrap(), message);
    }
}

fn parsed(header: [u8; 8], attributes: &[Vec<u8>]) -> Result<Kind, DecodeError> {
    let id = attribute(1, &9u32.to_ne_bytes());
    Nexthop::parse(&raw(&[&header, &id, &attributes.concat()])).map(|nexthop| nexthop.kind)
}

#[test]
fn what_flock_does_not_make_is_other() {
    let [oif, gateway] = [attribute(5, &7u32.to_ne_bytes()), attribute(6, &[192, 0, 2, 5])];
    let onlink = [2, 0, 4, 0, 4, 0, 0, 0];
    assert!(matches!(parsed(onlink, &[oif.clone(), gateway.clone()]), Ok(Kind::Single(_))));
    // An attribute that a later kernel may add says nothing.
    assert!(matches!(
        parsed(onlink, &[oif.clone(), gateway.clone(), attribute(99, &[])]),
        Ok(Kind::Single(_))
    ));
    assert_eq!(parsed([2, 0, 4, 0, 0, 0, 0, 0], &[oif.clone(), gateway.clone()]).unwrap(), Kind::Other);
    for more in [attribute(4, &[]), attribute(8, &[]), attribute(11, &[])] {
        assert_eq!(parsed(onlink, &[oif.clone(), gateway.clone(), more]).unwrap(), Kind::Other);
    }
    assert_eq!(parsed(onlink, std::slice::from_ref(&oif)).unwrap(), Kind::Other);
}

#[test]
fn a_group_without_a_table_is_not_resilient() {
    let members = attribute(2, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let Ok(Kind::Group(group)) = parsed([0; 8], &[members, attribute(3, &[0, 0])]) else {
        panic!("no group")
    };
    assert_eq!((group.members.len(), group.table), (1, None));
}

#[test]
fn garbage_is_refused() {
    for bytes in [&[][..], &[0; 7], &[0; 8], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0], &[255; 40]] {
        assert!(Nexthop::parse(bytes).is_err(), "{bytes:?}");
    }
    let mut other = bytes(NexthopMessage::Get);
    other[4..6].copy_from_slice(&24u16.to_ne_bytes());
    assert!(read(&other).is_err());
}
