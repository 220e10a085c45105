//! The conditions: all of them in NodeState, those of the configuration in NodeConfig `status` too.

use flock_core::bgp::observed::SessionState;
use flock_core::bgp::status::{BirdStatus, ConfigStatus, PeerStatus};
use flock_core::ipam;
use flock_core::prefix::Family;
use flock_crds::status::{Condition, NodeConfigStatus};
use ipnet::IpNet;
use jiff::Timestamp;

use super::observed::Observed;
use super::{ANYCAST_LISTED, cut};
use crate::report::seconds;

/// At most so many things are named in one message.
const NAMED: usize = 8;

const CONFIG_ROLLED_BACK: &str = "ConfigRolledBack";

const REFUSED: &str = "Refused";
const REFUSED_BY_BIRD: &str = "RefusedByBird";
const PENDING: &str = "Pending";
const ON_TRIAL: &str = "OnTrial";
const APPLIED: &str = "Applied";

/// A condition that does not know its own past.
struct Now {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

const fn now(kind: &'static str, (status, reason): (&'static str, &'static str), message: String) -> Now {
    Now { kind, status, reason, message }
}

/// All conditions. `former` are those that were told before.
pub(super) fn conditions(observed: &Observed, former: &[Condition], at: Timestamp) -> Vec<Condition> {
    let all = [
        ready(observed),
        config_valid(observed),
        bird_running(observed),
        sessions_established(observed),
        config_rolled_back(observed),
        pool_low(observed),
    ];
    let generation = observed.desired.config.generation;
    all.into_iter().map(|now| with_past(now, former, generation, at)).collect()
}

/// Those that say whether the configuration is obeyed. Each change of them is delivered to all nodes, and BIRD gets
/// another configuration whenever the world changes, such as by a new node. So while BIRD's word is open, what was told of
/// the same generation stands.
pub(super) fn of_configuration(
    observed: &Observed,
    former: Option<&NodeConfigStatus>,
    at: Timestamp,
) -> Vec<Condition> {
    let generation = observed.desired.config.generation;
    let told = former.map(|former| former.conditions.as_slice()).unwrap_or_default();
    let standing = former.filter(|former| former.observed_generation == generation && is_open(observed));
    let of = |now: Now| {
        let before = standing.and_then(|former| former.conditions.iter().find(|it| it.kind == now.kind));
        match before.filter(|before| is_birds_word(before) && now.reason != REFUSED) {
            Some(before) => before.clone(),
            None => with_past(now, told, generation, at),
        }
    };
    [config_valid(observed), config_rolled_back(observed)].map(of).into()
}

/// Whether BIRD has yet to say what becomes of the configuration.
fn is_open(observed: &Observed) -> bool {
    let config = &observed.bgp.status.config;
    let is_open = matches!(config, ConfigStatus::None | ConfigStatus::Pending | ConfigStatus::OnTrial { .. });
    is_open && observed.plan().is_some()
}

/// Whether a condition says what BIRD has made of the configuration, and not what is wrong with it by itself.
fn is_birds_word(condition: &Condition) -> bool {
    match condition.kind.as_str() {
        CONFIG_ROLLED_BACK => condition.reason != NOT_CONFIGURED.1,
        _ => condition.reason == REFUSED_BY_BIRD,
    }
}

/// What becomes of the configuration, in one word.
pub(super) fn configuration(observed: &Observed) -> &'static str {
    let (valid, rolled_back) = (config_valid(observed), config_rolled_back(observed));
    match (valid.status, rolled_back.status) {
        ("False", _) if valid.reason == REFUSED => REFUSED,
        (_, "True") => "RolledBack",
        ("False", _) => valid.reason,
        _ if [ON_TRIAL, PENDING].contains(&rolled_back.reason) => rolled_back.reason,
        _ => APPLIED,
    }
}

fn with_past(now: Now, former: &[Condition], generation: Option<i64>, at: Timestamp) -> Condition {
    let Now { kind, status, reason, message } = now;
    let same = former.iter().find(|before| before.kind == kind && before.status == status);
    let since = same.and_then(|same| same.last_transition_time.parse().ok()).unwrap_or(at);
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        observed_generation: generation,
        last_transition_time: seconds(since),
        reason: reason.to_owned(),
        message: cut(message),
    }
}

fn ready(observed: &Observed) -> Now {
    let is = |status, message| now("Ready", status, message);
    let unlisted = match observed.anycast.len() {
        number if number > ANYCAST_LISTED => {
            format!(
                "; the first {ANYCAST_LISTED} of {number} anycast addresses are listed here, `flockctl anycast` lists all"
            )
        }
        _ => String::new(),
    };
    match &observed.not_ready {
        None => is(("True", "Ready"), format!("pods get their network from flock{unlisted}")),
        Some(reason) => is(("False", "NotReady"), format!("{reason}{unlisted}")),
    }
}

fn config_valid(observed: &Observed) -> Now {
    let is = |status, message| now("ConfigValid", status, message);
    let problems: Vec<String> = observed.problems().map(ToString::to_string).collect();
    match (&observed.desired.config.refused, &observed.bgp.status.config) {
        (Some(reason), _) => {
            let instead = match &observed.desired.node {
                Some(_) => "the last good configuration is obeyed",
                None => "there is no earlier one that could be obeyed",
            };
            is(("False", REFUSED), format!("{reason}; {instead}"))
        }
        (None, ConfigStatus::Refused { reason }) if observed.plan().is_some() => {
            is(("False", REFUSED_BY_BIRD), reason.clone())
        }
        _ if problems.is_empty() => is(("True", "Valid"), "all that is written is obeyed".to_owned()),
        _ if !observed.desired.config.conflicts.is_empty() => {
            is(("False", "TemplateConflict"), listed(&problems))
        }
        _ => is(("False", "NotObeyed"), listed(&problems)),
    }
}

fn bird_running(observed: &Observed) -> Now {
    let is = |status, message| now("BirdRunning", status, message);
    match &observed.bgp.status.bird {
        _ if observed.plan().is_none() => is(NOT_CONFIGURED, no_bgp()),
        BirdStatus::Running(version) => is(("True", "Running"), format!("BIRD {version} answers")),
        BirdStatus::Away(reason) => is(("False", "Away"), reason.clone()),
        BirdStatus::Unknown => is(("Unknown", "NotAskedYet"), "BIRD has not been asked yet".to_owned()),
    }
}

const NOT_CONFIGURED: (&str, &str) = ("Unknown", "NotConfigured");

fn no_bgp() -> String {
    "the node speaks no BGP: it has no spec.bgp".to_owned()
}

fn sessions_established(observed: &Observed) -> Now {
    let is = |status, message| now("SessionsEstablished", status, message);
    let Some(plan) = observed.plan() else { return is(NOT_CONFIGURED, no_bgp()) };
    let status = &observed.bgp.status;
    let down: Vec<&PeerStatus> = status.peers.iter().filter(|peer| !peer.is_established()).collect();
    let of = status.peers.len();
    match &status.bird {
        BirdStatus::Away(_) => is(("Unknown", "BirdAway"), "BIRD does not answer".to_owned()),
        _ if plan.peers.is_empty() && of == 0 => is(("True", "NoPeers"), "spec.bgp has no peers".to_owned()),
        _ if of == 0 || down.iter().any(|peer| peer.state == SessionState::Unknown) => {
            is(("Unknown", "NotAskedYet"), "BIRD has not been asked for its sessions yet".to_owned())
        }
        _ if down.is_empty() => is(("True", "Established"), format!("{of} of {of} sessions are up")),
        _ => {
            let reasons: Vec<String> = down.iter().map(|peer| why_down(peer)).collect();
            let up = of - down.len();
            is(("False", "SessionsDown"), format!("{up} of {of} sessions are up; {}", listed(&reasons)))
        }
    }
}

fn why_down(peer: &PeerStatus) -> String {
    let reason = peer.reason.as_deref().filter(|reason| !reason.is_empty());
    format!("{}: {}", peer.address, reason.unwrap_or("not up yet"))
}

fn config_rolled_back(observed: &Observed) -> Now {
    let is = |status, message| now(CONFIG_ROLLED_BACK, status, message);
    let said = |text: &str| text.to_owned();
    match &observed.bgp.status.config {
        _ if observed.plan().is_none() => is(("False", "NotConfigured"), no_bgp()),
        ConfigStatus::RolledBack { reason, .. } => is(("True", "SessionsLost"), reason.clone()),
        ConfigStatus::OnTrial { .. } => {
            is(("False", ON_TRIAL), said("BIRD runs the configuration; it is kept if sessions come up again"))
        }
        ConfigStatus::Applied { .. } => is(("False", APPLIED), said("BIRD runs the configuration")),
        ConfigStatus::Refused { .. } => {
            is(("False", REFUSED), said("BIRD was not told of the configuration: see ConfigValid"))
        }
        ConfigStatus::Pending | ConfigStatus::None => {
            is(("False", PENDING), said("BIRD has not been told of the configuration yet"))
        }
    }
}

fn pool_low(observed: &Observed) -> Now {
    let is = |status, message| now("PoolLow", status, message);
    let low = ipam::low(&observed.usage);
    if observed.usage.is_empty() {
        return is(("Unknown", "NotConfigured"), "the node has no prefixes".to_owned());
    }
    if low.is_empty() {
        return is(("False", "Sufficient"), "there are addresses left".to_owned());
    }
    let families: Vec<String> = low.iter().map(|(family, cidrs)| shortage(*family, cidrs)).collect();
    is(("True", "NearlyFull"), families.join("; "))
}

/// Without figures: they change all the time, and stand in `status.pools`.
pub(in crate::report) fn shortage(family: Family, cidrs: &[IpNet]) -> String {
    let cidrs: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    let field = match family {
        Family::IPv6 => "spec.cidr6",
        Family::IPv4 => "spec.cidr4",
    };
    format!(
        "{} % or more of the node's {family} addresses ({}) are in use or resting: add a prefix to {field}",
        ipam::LOW_PERCENT,
        listed(&cidrs)
    )
}

fn listed(things: &[String]) -> String {
    let rest = things.len().saturating_sub(NAMED);
    let mut named: Vec<String> = things.iter().take(NAMED).cloned().collect();
    named.extend((rest > 0).then(|| format!("and {rest} more")));
    named.join("; ")
}
