//! Arbitrary valid plans, and nodes that they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use flock_core::anycast::Announced;
use flock_core::attachment::IfName;
use flock_core::bgp::community::{Community, ExtendedCommunity, LargeCommunity};
use flock_core::bgp::config::Password;
use flock_core::bgp::plan::{
    Aggregation, AnycastWeight, Asn, Attributes, Bfd, BfdInterval, BgpPlan, Families, GracefulRestart,
    PasswordSource, Peer, PeerAddress, PrefixRange, Prepend, Reach, RestartTime, RouterId, Timers,
    not_a_router,
};
use flock_core::bgp::resolve::NodeContext;
use flock_core::host::addresses::{NodeAddress, Subnets};
use flock_core::node::Pools;
use flock_core::prefix::{Cidr4, Cidr6, Family, PodAddresses};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::claims;

/// A plan and the node that it is for.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) plan: BgpPlan,
    pub(crate) pools: Pools,
    pub(crate) cluster: BTreeSet<IpNet>,
    pub(crate) subnets: Subnets,
    pub(crate) uplinks: BTreeSet<IfName>,
    pub(crate) pods: BTreeSet<PodAddresses>,
    pub(crate) announced: Announced,
    pub(crate) claimable: BTreeSet<IpNet>,
    pub(crate) passwords: BTreeMap<PasswordSource, Result<Password, String>>,
}

impl Scene {
    pub(crate) fn surroundings(&self) -> NodeContext<'_> {
        let Self { plan: _, pools, cluster, subnets, uplinks, pods, announced, claimable, passwords } = self;
        let (node, bird) = ("node-a", None);
        NodeContext { node, pools, cluster, subnets, uplinks, pods, announced, claimable, passwords, bird }
    }
}

/// Names that the kernel takes, hostile ones among them: no quote, which only a global peer's interface may have.
const INTERFACES: [&str; 6] = ["eth0", "bond0.100", "eth\"0", "};#{%s}\\", "*", "lo"];

/// A part of `net`: bits as given, and so many bits longer, as far as that goes.
pub(crate) fn part_of(net: IpNet, bits: u128, longer: u8) -> IpNet {
    let length = net.prefix_len().saturating_add(longer).min(net.max_prefix_len());
    match net {
        IpNet::V6(net) => {
            let address = net.network().to_bits() | bits & net.hostmask().to_bits();
            IpNet::V6(Ipv6Net::new_assert(address.into(), length).trunc())
        }
        IpNet::V4(net) => {
            let address = net.network().to_bits() | bits as u32 & net.hostmask().to_bits();
            IpNet::V4(Ipv4Net::new_assert(address.into(), length).trunc())
        }
    }
}

pub(crate) fn scene() -> impl Strategy<Value = Scene> {
    (subnets(), pools()).prop_flat_map(|(subnets, pools)| {
        let plan = plan(subnets.clone());
        let interfaces = btree_set(select(INTERFACES.to_vec()).prop_map(|name| name.parse().unwrap()), 0..3);
        let pods = btree_set(pod(pools.clone()), 0..20);
        let source = |file: &str| PasswordSource::File(file.into());
        let secrets = BTreeMap::from(PASSWORDS.map(|(file, content)| (source(file), password(content))));
        let node = (plan, btree_set(net(), 0..5), interfaces, pods, claims::claims());
        node.prop_map(move |(plan, cluster, uplinks, pods, (announced, claimable))| {
            let (pools, subnets, passwords) = (pools.clone(), subnets.clone(), secrets.clone());
            Scene { plan, pools, cluster, subnets, uplinks, pods, announced, claimable, passwords }
        })
    })
}

/// Files and what is in them.
const PASSWORDS: [(&str, &str); 3] =
    [("/good", "secret"), ("/odd", "}; # %s \\ 'x' /* ~ password"), ("/missing", "")];

fn password(content: &str) -> Result<Password, String> {
    content.parse().map_err(|_| "No such file".to_owned())
}

pub(crate) fn net() -> impl Strategy<Value = IpNet> {
    let v6 = (0x2000_u16..0x4000, any::<u128>(), 0..=128_u8).prop_map(|(top, bits, length)| {
        let address = u128::from(top) << 112 | bits >> 16;
        IpNet::V6(Ipv6Net::new_assert(address.into(), length).trunc())
    });
    let v4 = (0x0100_0000_u32..0x7f00_0000, 0..=32_u8)
        .prop_map(|(bits, length)| IpNet::V4(Ipv4Net::new_assert(bits.into(), length).trunc()));
    prop_oneof![v6, v4]
}

fn pools() -> impl Strategy<Value = Pools> {
    vec(net(), 0..8).prop_map(|nets| {
        let mut pools = Pools::default();
        for net in nets {
            let overlaps = pools.iter().any(|own| own.contains(&net) || net.contains(&own));
            match net {
                _ if overlaps => {}
                IpNet::V6(net) => pools.v6.extend(Cidr6::try_from(net).ok()),
                IpNet::V4(net) => pools.v4.extend(Cidr4::try_from(net).ok()),
            }
        }
        pools
    })
}

/// An address out of the node's prefixes, or from anywhere.
fn pod(pools: Pools) -> impl Strategy<Value = PodAddresses> {
    (any::<u128>(), any::<usize>(), any::<bool>()).prop_map(move |(bits, pick, foreign)| {
        let pools: Vec<IpNet> = pools.iter().collect();
        let address = match pools.get(pick % pools.len().max(1)).filter(|_| !foreign) {
            Some(pool) => part_of(*pool, bits, 128).addr(),
            None => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        match address {
            IpAddr::V6(v6) => PodAddresses { v6: Some(v6), v4: None },
            IpAddr::V4(v4) => PodAddresses { v6: None, v4: Some(v4) },
        }
    })
}

fn subnets() -> impl Strategy<Value = Subnets> {
    let address = (select(INTERFACES.to_vec()), net(), any::<u128>(), 1..=128_u8, prop::bool::weighted(0.1));
    let address =
        address.prop_filter_map("an address of a node", |(ifname, net, bits, longer, secondary)| {
            let address = part_of(net, bits, 128).addr();
            let length = net.prefix_len().saturating_add(longer).min(net.max_prefix_len());
            let net = IpNet::new(address, length).ok()?;
            let usable = not_a_router(address).is_none();
            usable.then(|| NodeAddress { ifname: ifname.parse().unwrap(), net, secondary })
        });
    (btree_set(address, 0..6), btree_set(net(), 0..3)).prop_map(|(addresses, more)| {
        let on_link = addresses.iter().map(|own| own.net.trunc()).chain(more).collect();
        Subnets { addresses, on_link }
    })
}

fn plan(subnets: Subnets) -> impl Strategy<Value = BgpPlan> {
    let aggregation = select(vec![Aggregation::NodePrefix, Aggregation::Pods, Aggregation::Both]);
    let weight = select(vec![AnycastWeight::None, AnycastWeight::LinkBandwidth, AnycastWeight::Med]);
    let router_id = option::of(any::<u32>().prop_filter_map("not 0.0.0.0", |id| RouterId::new(id.into())));
    (asn(), router_id, port(), vec(range(), 0..8), aggregation, weight).prop_flat_map(
        move |(asn, router_id, listen_port, import, aggregation, anycast_weight)| {
            vec(peer(asn, subnets.clone()), 0..5).prop_map(move |mut peers| {
                let mut seen = BTreeSet::new();
                peers.retain(|peer| seen.insert((peer.address.clone(), peer.port)));
                let import = import.clone();
                let own = BgpPlan::new(asn);
                BgpPlan { router_id, listen_port, peers, import, aggregation, anycast_weight, ..own }
            })
        },
    )
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![Just(65001), Just(65000), Just(u32::MAX), 1..u32::MAX]
        .prop_map(|number| Asn(NonZeroU32::new(number).unwrap()))
}

fn port() -> impl Strategy<Value = NonZeroU16> {
    prop_oneof![Just(179), 1..=u16::MAX].prop_map(|port| NonZeroU16::new(port).unwrap())
}

fn range() -> impl Strategy<Value = PrefixRange> {
    (net(), option::of(0..=128_u8), option::of(0..=128_u8))
        .prop_filter_map("ge and le in order", |(net, ge, le)| PrefixRange::new(net, ge, le).ok())
}

fn peer(own: Asn, subnets: Subnets) -> impl Strategy<Value = Peer> {
    let addresses: Vec<IpAddr> = subnets.addresses.iter().map(|own| own.net.addr()).collect();
    let source = (prop::bool::weighted(0.3), any::<usize>()).prop_map(move |(there, pick)| {
        addresses.get(pick % addresses.len().max(1)).copied().filter(|_| there)
    });
    let asn = prop_oneof![Just(own), asn()];
    let place = place(subnets).prop_flat_map(|address| (reach(&address), Just(address)));
    let ends = (place, source, port());
    let transport = (ends, option::of(select(PASSWORDS.map(|(file, _)| file).to_vec())), timers());
    let options = (any::<bool>(), option::of(bfd()), graceful_restart(), families(), any::<bool>());
    let limits = (option::of(1..=u32::MAX), option::of(1..=u32::MAX));
    (asn, transport, options, attributes(), limits).prop_map(
        move |(asn, transport, options, attributes, limits)| {
            let (((reach, address), source, port), password_file, timers) = transport;
            let (ttl_security, bfd, graceful_restart, families, passive) = options;
            let internal = asn == own;
            let source = source.filter(|source| may_be_source(*source, &address));
            Peer {
                address,
                port,
                asn,
                source,
                password: password_file.map(|path| PasswordSource::File(path.into())),
                timers,
                reach,
                ttl_security,
                bfd,
                graceful_restart,
                families,
                attributes: Attributes {
                    local_pref: attributes.local_pref.filter(|_| internal),
                    prepend: if internal { Attributes::default().prepend } else { attributes.prepend },
                    ..attributes
                },
                import_limit: limits.0.and_then(NonZeroU32::new),
                export_limit: limits.1.and_then(NonZeroU32::new),
                passive,
            }
        },
    )
}

/// What NodeConfig's validation lets through.
fn may_be_source(source: IpAddr, peer: &PeerAddress) -> bool {
    matches!(peer, PeerAddress::Global(ip) if Family::of(*ip) == Family::of(source) && *ip != source)
}

/// Beside an address of the node, on a link, or anywhere.
fn place(subnets: Subnets) -> impl Strategy<Value = PeerAddress> {
    let own: Vec<IpNet> = subnets.addresses.iter().map(|own| own.net).collect();
    let beside = (any::<u128>(), any::<usize>()).prop_map(move |(bits, pick)| {
        let net = own.get(pick % own.len().max(1)).copied();
        net.map_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), |net| part_of(net, bits, 128).addr()).to_string()
    });
    let on_link = (0..1_u128 << 118, select(INTERFACES.to_vec()))
        .prop_map(|(bits, ifname)| format!("{}%{ifname}", Ipv6Addr::from_bits(0xfe80 << 112 | bits)));
    let anywhere = (net(), any::<u128>()).prop_map(|(net, bits)| part_of(net, bits, 128).addr().to_string());
    prop_oneof![5 => beside, 2 => on_link, 2 => anywhere]
        .prop_filter_map("the address of a router", |text| text.parse().ok())
}

fn reach(address: &PeerAddress) -> BoxedStrategy<Reach> {
    match address {
        PeerAddress::LinkLocal { .. } => Just(Reach::Direct).boxed(),
        PeerAddress::Global(_) => {
            let far = (2..=255_u8).prop_map(|hops| Reach::Multihop(NonZeroU8::new(hops).unwrap()));
            prop_oneof![Just(Reach::Direct), far].boxed()
        }
    }
}

fn timers() -> impl Strategy<Value = Timers> {
    let seconds = |max: u16| option::of((1..=max).prop_map(|s| Duration::from_secs(s.into())));
    (seconds(u16::MAX), seconds(u16::MAX / 3), seconds(3600)).prop_filter_map(
        "keepalive within hold",
        |(hold, keepalive, retry)| {
            let hold = hold.map(|hold| hold.max(Duration::from_secs(3)));
            Timers::new(hold, keepalive, retry).ok()
        },
    )
}

fn bfd() -> impl Strategy<Value = Bfd> {
    (10..=60_000_u16, 10..=60_000_u16, 2..=255_u8).prop_map(|(min_rx, min_tx, multiplier)| Bfd {
        min_rx: BfdInterval::new(min_rx).unwrap(),
        min_tx: BfdInterval::new(min_tx).unwrap(),
        multiplier: NonZeroU8::new(multiplier).unwrap(),
    })
}

fn graceful_restart() -> impl Strategy<Value = GracefulRestart> {
    let on = (1..=4095_u16).prop_map(|seconds| GracefulRestart::On(RestartTime::new(seconds).unwrap()));
    prop_oneof![Just(GracefulRestart::Off), on]
}

fn families() -> impl Strategy<Value = Families> {
    let both = Families::new(&BTreeSet::from([Family::IPv6, Family::IPv4])).unwrap();
    select(vec![Families::only(Family::IPv6), Families::only(Family::IPv4), both])
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let standard = any::<(u16, u16)>().prop_map(|(a, b)| Community(a, b));
    let large = any::<(u32, u32, u32)>().prop_map(|(a, b, c)| LargeCommunity(a, b, c));
    let extended = prop_oneof![
        any::<(u16, u32)>().prop_map(|(a, b)| ExtendedCommunity::RouteTarget(a.into(), b)),
        any::<(u32, u16)>().prop_map(|(a, b)| ExtendedCommunity::RouteOrigin(a, b.into())),
        any::<(u32, u32)>().prop_map(|(a, b)| ExtendedCommunity::Generic(a, b)),
    ];
    let lists = (vec(standard, 0..4), vec(large, 0..4), vec(extended, 0..4));
    (lists, option::of(any::<u32>()), option::of(any::<u32>()), 0..=16_u16).prop_map(
        |((communities, large, extended), med, local_pref, prepend)| Attributes {
            communities,
            large,
            extended,
            med,
            local_pref,
            prepend: Prepend::new(prepend).unwrap(),
        },
    )
}
