//! Interface identifiers that no pod may have.
//!
//! RFC 5453 and the IANA registry it founded ("Reserved IPv6 Interface Identifiers"), and ISATAP (RFC 5214, section
//! 6.1), whose identifiers make other hosts tunnel. They are judged on an address's low 64 bits whatever the prefix
//! length, since a host that sees the address knows nothing of our prefix.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// First and last identifier of each reserved range; the ranges are disjoint.
const RESERVED: [(u64, u64); 5] = [
    // Subnet-router anycast, RFC 4291, section 2.6.1.
    (0, 0),
    // ISATAP with a private and with a globally unique IPv4 address.
    (0x0000_5efe_0000_0000, 0x0000_5efe_ffff_ffff),
    (0x0200_5efe_0000_0000, 0x0200_5efe_ffff_ffff),
    // IANA's Ethernet block, Proxy Mobile IPv6 among it (RFC 6543).
    (0x0200_5eff_fe00_0000, 0x0200_5eff_feff_ffff),
    // Subnet anycast, RFC 2526.
    (0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff),
];

/// Whether no pod may have `address` out of `prefix`: its identifier is reserved, or it is the prefix's subnet-router
/// anycast address, the one with a host part of zeros.
pub fn is_reserved(address: Ipv6Addr, prefix: Ipv6Net) -> bool {
    address == prefix.network() || in_registry(low_bits(address))
}

/// How many addresses of `prefix` pods may have.
pub fn usable(prefix: Ipv6Net) -> u128 {
    let length = prefix.prefix_len();
    if length <= 64 {
        let identifiers = (1_u128 << 64) - reserved_between(0, u64::MAX);
        return identifiers.saturating_mul(1_u128 << (64 - length));
    }
    let first = low_bits(prefix.network());
    let last = low_bits(prefix.broadcast());
    let anycast = u128::from(!in_registry(first));
    (1_u128 << (128 - length)) - reserved_between(first, last) - anycast
}

fn low_bits(address: Ipv6Addr) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn in_registry(identifier: u64) -> bool {
    RESERVED.iter().any(|(first, last)| (*first..=*last).contains(&identifier))
}

/// How many identifiers from `first` to `last` are in the registry.
fn reserved_between(first: u64, last: u64) -> u128 {
    let overlaps = RESERVED.iter().filter(|range| range.0 <= last && range.1 >= first);
    overlaps.map(|range| u128::from(range.1.min(last) - range.0.max(first)) + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    #[test]
    fn the_registrys_identifiers_are_reserved() {
        let cases = [
            ("::", true),
            ("::1", false),
            ("::5efd:ffff:ffff", false),
            ("::5efe:0:0", true),
            ("::5efe:c000:204", true),
            ("::5eff:0:0", false),
            ("::200:5efd:ffff:ffff", false),
            ("::200:5efe:0:0", true),
            ("::200:5efe:ffff:ffff", true),
            ("::200:5eff:fdff:ffff", false),
            ("::200:5eff:fe00:0", true),
            ("::200:5eff:fe00:5213", true),
            ("::200:5eff:feff:ffff", true),
            ("::200:5eff:ff00:0", false),
            ("::fdff:ffff:ffff:ff7f", false),
            ("::fdff:ffff:ffff:ff80", true),
            ("::fdff:ffff:ffff:ffff", true),
            ("::fe00:0:0:0", false),
        ];
        for (identifier, reserved) in cases {
            let identifier: Ipv6Addr = identifier.parse().unwrap();
            for prefix in ["2001:db8::/48", "2001:db8::/64", "2001:db8::/65"] {
                let address = Ipv6Addr::from_bits(identifier.to_bits() | net(prefix).network().to_bits());
                assert_eq!(is_reserved(address, net(prefix)), reserved, "{address} in {prefix}");
            }
        }
    }

    #[test]
    fn identifiers_are_the_low_64_bits_whatever_the_prefix() {
        let address = "2001:db8:0:0:fdff:ffff:ffff:ff90".parse().unwrap();
        for prefix in ["2001:db8::/48", "2001:db8::/64", "2001:db8:0:0:fdff:ffff:ffff:ff00/120"] {
            assert!(is_reserved(address, net(prefix)), "{prefix}");
        }
    }

    #[test]
    fn a_host_part_of_zeros_is_reserved_for_every_length() {
        for prefix in ["2001:db8::/48", "2001:db8:0:1::/64", "2001:db8::5:0:0/80", "2001:db8::aa00/120"] {
            assert!(is_reserved(net(prefix).network(), net(prefix)), "{prefix}");
        }
        // With a /48 every one of its /64 subnets has such an address.
        assert!(is_reserved("2001:db8:0:7::".parse().unwrap(), net("2001:db8::/48")));
    }

    #[test]
    fn usable_addresses_are_counted() {
        let per_subnet = (1_u128 << 64) - 1 - 2 * (1 << 32) - (1 << 24) - 128;
        let cases = [
            ("2001:db8::/48", per_subnet << 16),
            ("2001:db8::/64", per_subnet),
            ("2001:db8::/120", 255),
            ("2001:db8::aa00/120", 255),
            ("2001:db8:0:0:fdff:ffff:ffff:ff00/120", 127),
            ("2001:db8:0:0:fdff:ffff:ffff:0/112", 65535 - 128),
            ("2001:db8::5efe:0:0/96", 0),
            ("2001:db8:0:0:200:5eff:fe00:0/104", 0),
        ];
        for (prefix, count) in cases {
            assert_eq!(usable(net(prefix)), count, "{prefix}");
        }
    }
}
