//! Anycast in the words of NodeState `status.anycast`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use flock_core::anycast::{Group, Member, MemberState};
use flock_core::bgp::status::ConfigStatus;
use flock_core::pod::Readiness;
use flock_core::prefix::Family;
use flock_core::record::{Record, Records};
use flock_crds::anycast::{AnycastPodStatus, AnycastStatus};

use crate::anycast::AnycastView;
use crate::bird::{self, Advertised, BgpView};

/// What the BIRD behind `socket` advertises of anycast addresses; or why nobody knows.
pub async fn advertised(bgp: &BgpView, socket: &Path) -> Result<Advertised, String> {
    if bgp.status.config == ConfigStatus::None {
        return Err("this node speaks no BGP: its NodeConfig has no spec.bgp".to_owned());
    }
    bird::advertised(socket, &bgp.sessions).await.map_err(|error| error.to_string())
}

/// NodeState `status.anycast`. `advertised` is what BIRD says, or why nobody knows.
pub fn node_status(
    view: &AnycastView,
    records: &Records,
    advertised: &Result<Advertised, String>,
) -> Vec<AnycastStatus> {
    let mut all: BTreeMap<IpAddr, Group> = view.groups.clone();
    for address in advertised.iter().flat_map(|advertised| advertised.since.keys()) {
        all.entry(*address).or_default();
    }
    let of = |(address, group): (&IpAddr, &Group)| AnycastStatus {
        address: address.to_string(),
        advertised: advertised.as_ref().is_ok_and(|advertised| advertised.since.contains_key(address)),
        since: advertised
            .as_ref()
            .ok()
            .and_then(|advertised| *advertised.since.get(address)?)
            .map(|since| since.to_string()),
        peers: advertised
            .iter()
            .flat_map(|advertised| advertised.peers.get(address))
            .flatten()
            .cloned()
            .collect(),
        reason: reason(view, *address, advertised),
        pods: group
            .members
            .iter()
            .map(|(id, member)| pod(*address, member, records.get(id).map(AsRef::as_ref)))
            .collect(),
    };
    all.iter().map(of).collect()
}

fn reason(view: &AnycastView, address: IpAddr, advertised: &Result<Advertised, String>) -> Option<String> {
    let withheld = view.withheld.get(&address).map(|withheld| withheld.as_str().to_owned());
    // Routers may have an address that nobody serves as long as BIRD does not answer.
    withheld.or_else(|| advertised.as_ref().err().cloned())
}

fn pod(address: IpAddr, member: &Member, record: Option<&Record>) -> AnycastPodStatus {
    let serves = member.state == MemberState::Serving;
    let record = record.filter(|_| serves);
    let same_family = |own: &IpAddr| Family::of(*own) == Family::of(address);
    let via = record.and_then(|record| record.addresses.iter().find(same_family));
    AnycastPodStatus {
        pod: member.pod.to_string(),
        state: state(&member.state).to_owned(),
        reason: match &member.state {
            MemberState::Refused(problem) => Some(problem.to_string()),
            _ => None,
        },
        via: via.map(|via| via.to_string()),
        link: record.map(|record| record.host_link.to_string()),
    }
}

fn state(state: &MemberState) -> &'static str {
    match state {
        MemberState::Serving | MemberState::Out(Readiness::Ready) => "Serving",
        MemberState::Out(Readiness::NotReady) => "NotReady",
        MemberState::Out(Readiness::Terminating) => "Terminating",
        MemberState::Out(Readiness::Unknown) => "Unknown",
        MemberState::Refused(_) => "Refused",
        MemberState::NoFamily => "NoFamily",
    }
}
