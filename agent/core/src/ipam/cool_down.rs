//! Released IPv4 addresses, in the order in which they began to rest.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;

/// When a rest began, and which one of that moment it is.
type Ticket = (Timestamp, u64);

/// A queue with an index. All operations take O(log r) steps per address.
#[derive(Debug, Clone, Default)]
pub(super) struct CoolDowns {
    tickets: BTreeMap<Ipv4Addr, Ticket>,
    queue: BTreeMap<Ticket, Ipv4Addr>,
    started: u64,
}

/// Equal queues are equal, however they came about.
impl PartialEq for CoolDowns {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for CoolDowns {}

impl CoolDowns {
    /// A rest begins, or begins anew.
    pub(super) fn start(&mut self, address: Ipv4Addr, since: Timestamp) {
        self.started += 1;
        let ticket = (since, self.started);
        if let Some(former) = self.tickets.insert(address, ticket) {
            self.queue.remove(&former);
        }
        self.queue.insert(ticket, address);
    }

    /// A rest that began in the future began before the clock was set back. It counts from now, so that it ends one
    /// cool-down from now at the latest.
    pub(super) fn set_clock(&mut self, now: Timestamp) {
        for ((_, number), address) in self.queue.split_off(&(now, u64::MAX)) {
            self.queue.insert((now, number), address);
            self.tickets.insert(address, (now, number));
        }
    }

    /// Whether the address still cools down.
    pub(super) fn is_cooling_down(&self, address: Ipv4Addr, now: Timestamp, cooldown: Duration) -> bool {
        self.tickets.get(&address).is_some_and(|(since, _)| !has_ended(*since, now, cooldown))
    }

    /// Drops the cool-downs that have ended, the longest first.
    pub(super) fn expire(&mut self, now: Timestamp, cooldown: Duration) -> Vec<Ipv4Addr> {
        let mut ended = Vec::new();
        while let Some(first) =
            self.queue.first_entry().filter(|first| has_ended(first.key().0, now, cooldown))
        {
            let address = first.remove();
            self.tickets.remove(&address);
            ended.push(address);
        }
        ended
    }

    /// Addresses and since when, the longest-resting first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, Timestamp)> {
        self.queue.iter().map(|((since, _), address)| (*address, *since))
    }
}

fn has_ended(since: Timestamp, now: Timestamp, cooldown: Duration) -> bool {
    since <= now && now.duration_since(since).unsigned_abs() >= cooldown
}
