//! The node's routes to anycast addresses, and the changes that make them right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::NextHop;

/// Host routes with flock's protocol number that lead through a pod's own address, by destination. An observed route
/// that is broken in any way has fewer next hops than it should, or none.
pub type Routes = BTreeMap<IpAddr, BTreeSet<NextHop>>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// Make the route, or replace its next hops; there is at least one.
    Set(IpAddr, BTreeSet<NextHop>),
    /// Remove it.
    Remove(IpAddr),
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteChange::Set(address, hops) => {
                let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
                write!(f, "route {address} {}", hops.join(", "))
            }
            RouteChange::Remove(address) => write!(f, "remove the route to {address}"),
        }
    }
}

/// From what is to what should be. What is right is not touched; additions come first.
pub fn route_changes(desired: &Routes, observed: &Routes) -> Vec<RouteChange> {
    let wrong = |(address, hops): &(&IpAddr, &BTreeSet<NextHop>)| observed.get(*address) != Some(*hops);
    let set = desired.iter().filter(|(_, hops)| !hops.is_empty()).filter(wrong);
    let surplus = observed.keys().filter(|address| desired.get(*address).is_none_or(BTreeSet::is_empty));
    let set = set.map(|(address, hops)| RouteChange::Set(*address, hops.clone()));
    set.chain(surplus.copied().map(RouteChange::Remove)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(given: &[(&str, &[u8])]) -> Routes {
        let hop = |n: &u8| NextHop {
            via: format!("2001:db8:a:1::{n}").parse().unwrap(),
            link: format!("flock0000000{n}").parse().unwrap(),
        };
        given
            .iter()
            .map(|(address, hops)| (address.parse().unwrap(), hops.iter().map(hop).collect()))
            .collect()
    }

    fn words(desired: &[(&str, &[u8])], observed: &[(&str, &[u8])]) -> Vec<String> {
        route_changes(&routes(desired), &routes(observed)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_right_is_not_touched() {
        assert!(words(&[("::1:1", &[1, 2])], &[("::1:1", &[2, 1])]).is_empty());
        assert!(words(&[("::1:1", &[])], &[]).is_empty());
    }

    #[test]
    fn every_difference_is_one_change() {
        let hops = "via 2001:db8:a:1::1 dev flock00000001, via 2001:db8:a:1::2 dev flock00000002";
        assert_eq!(words(&[("::1:1", &[1, 2])], &[("::1:1", &[1])]), [format!("route ::1:1 {hops}")]);
        assert_eq!(words(&[("::1:1", &[])], &[("::1:1", &[1])]), ["remove the route to ::1:1"]);
        assert_eq!(words(&[], &[("::1:1", &[])]), ["remove the route to ::1:1"]);
    }
}
