//! Which nodes advertise an address of which not all that could may (AddressPool `maxAdvertisers`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::fnv::fnv1a_32;

/// Whether `node` is among the `most` of those that `serve` the address. Every node that knows of the same pods comes
/// to the same answer without asking the others; addresses are spread over the nodes (rendezvous hashing), and one
/// node that comes or goes moves no other choice than it must.
pub fn is_elected(node: &str, address: IpAddr, serve: &BTreeSet<&str>, most: Option<NonZeroU32>) -> bool {
    let Some(most) = most else { return true };
    let rank = |node: &str| (fnv1a_32(format!("{address} {node}").as_bytes()), node.to_owned());
    let own = rank(node);
    let ahead = serve.iter().filter(|other| **other != node && rank(other) < own).count();
    u32::try_from(ahead).is_ok_and(|ahead| ahead < most.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];

    fn elected(address: &str, serve: &[&str], most: u32) -> Vec<String> {
        let serve: BTreeSet<&str> = serve.iter().copied().collect();
        let is_one = |node: &&&str| is_elected(node, address.parse().unwrap(), &serve, NonZeroU32::new(most));
        serve.iter().filter(is_one).map(|node| (*node).to_owned()).collect()
    }

    #[test]
    fn as_many_as_may_are_elected() {
        for most in 1..=5 {
            assert_eq!(elected("2001:db8:53::1", &NODES, most).len(), most as usize);
        }
        assert_eq!(elected("2001:db8:53::1", &NODES, 0).len(), 5);
        assert_eq!(elected("2001:db8:53::1", &NODES[..2], 3).len(), 2);
    }

    #[test]
    fn a_node_that_goes_moves_only_its_own_choice() {
        for number in 1..50 {
            let address = format!("198.51.100.{number}");
            let before = elected(&address, &NODES, 2);
            for gone in NODES {
                let rest: Vec<&str> = NODES.into_iter().filter(|node| *node != gone).collect();
                let after = elected(&address, &rest, 2);
                assert!(
                    before.iter().filter(|node| *node != gone).all(|node| after.contains(node)),
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn addresses_are_spread() {
        let first = |number| elected(&format!("198.51.100.{number}"), &NODES, 1).remove(0);
        let chosen: BTreeSet<String> = (1..60).map(first).collect();
        assert_eq!(chosen.len(), NODES.len());
    }
}
