//! Whether the node's network is there for pods: the Node's condition `NetworkUnavailable`.
//!
//! Kubernetes taints a node while the condition is `True`, and never changes it by itself. So flock says `False` once the
//! node can take pods, and `True` only where somebody has asked that pods wait for BGP: a node that never said anything
//! is not to be taken out because its agent has just been installed. What was said once is not taken back: pods that
//! run already could not be helped by that.

use std::time::Duration;

use crate::bgp::plan::RequireEstablished;

/// The network is there.
pub const READY: &str = "FlockReady";
/// The node cannot take pods yet.
pub const STARTING: &str = "FlockStarting";
/// The sessions that `spec.bgp.requireEstablished` asks for are not up yet.
pub const WAITING_FOR_BGP: &str = "WaitingForBGP";

/// The condition, as it is on the Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// Why, for programs.
    pub reason: &'a str,
}

/// What the verdict follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation<'a> {
    /// This agent has said already that the network is there.
    pub said: bool,
    /// The condition on the Node; none: it has none.
    pub seen: Option<Seen<'a>>,
    /// Why the node cannot take pods; none: it can.
    pub not_ready: Option<&'a str>,
    /// The sessions that pods wait for; none: for no sessions.
    pub sessions: Option<Sessions>,
}

/// The sessions that pods wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    /// What is required.
    pub required: RequireEstablished,
    /// How many peers there are.
    pub peers: usize,
    /// How many of them have a session.
    pub established: usize,
    /// Since the agent has known of the requirement.
    pub waited: Duration,
}

impl Sessions {
    /// How many must be up: the share that is asked for, rounded up.
    pub fn needed(&self) -> usize {
        (self.peers * usize::from(self.required.percent.get())).div_ceil(100)
    }

    fn are_awaited(&self) -> bool {
        self.established < self.needed() && self.waited < self.required.timeout
    }
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: whatever is on the Node stays.
    Leave,
    /// `False`: the network is there.
    Available,
    /// `True`: it is not yet.
    Unavailable {
        /// Why, for programs.
        reason: &'static str,
        /// Why, for people.
        message: String,
    },
}

/// What is to be said of the node.
pub fn verdict(situation: &Situation<'_>) -> Verdict {
    let Situation { said, seen, not_ready, sessions } = situation;
    if *said || *seen == Some(Seen { status: "False", reason: READY }) {
        return Verdict::Available;
    }
    let awaited = sessions.as_ref().filter(|sessions| sessions.are_awaited());
    match (not_ready, sessions, awaited) {
        (None, _, None) => Verdict::Available,
        (_, None, _) => Verdict::Leave,
        _ if !seen.is_none_or(is_own_doubt) => Verdict::Leave,
        (Some(reason), ..) => Verdict::Unavailable { reason: STARTING, message: (*reason).to_owned() },
        (None, _, Some(sessions)) => {
            Verdict::Unavailable { reason: WAITING_FOR_BGP, message: waiting(sessions) }
        }
    }
}

/// Nobody but flock has said it.
fn is_own_doubt(seen: Seen<'_>) -> bool {
    seen.status == "True" && [STARTING, WAITING_FOR_BGP].contains(&seen.reason)
}

fn waiting(sessions: &Sessions) -> String {
    let Sessions { required, peers, established, .. } = sessions;
    format!(
        "{established} of {peers} BGP sessions are established; {} are required, or {} s of patience (spec.bgp.requireEstablished)",
        sessions.needed(),
        required.timeout.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::plan::Within;

    const SETTINGS: &str = "the node's own settings are not made yet";

    fn sessions(percent: u16, peers: usize, established: usize, waited: u64) -> Option<Sessions> {
        let percent = Within::new(percent).unwrap();
        let required = RequireEstablished { percent, timeout: Duration::from_secs(120) };
        Some(Sessions { required, peers, established, waited: Duration::from_secs(waited) })
    }

    fn seen(text: &'static str) -> Option<Seen<'static>> {
        let (status, reason) = text.split_once('/')?;
        Some(Seen { status, reason })
    }

    /// `False`, `True/REASON` or `-`.
    fn said(situation: &Situation<'_>) -> String {
        match verdict(situation) {
            Verdict::Leave => "-".to_owned(),
            Verdict::Available => "False".to_owned(),
            Verdict::Unavailable { reason, .. } => format!("True/{reason}"),
        }
    }

    #[test]
    fn what_is_said_follows_from_readiness_sessions_and_what_is_there() {
        let cases = [
            // Nobody waits for BGP: nothing is said before the node can take pods.
            ("", Some(SETTINGS), None, "-"),
            ("True/CalicoIsDown", Some(SETTINGS), None, "-"),
            ("True/FlockStarting", Some(SETTINGS), None, "-"),
            ("", None, None, "False"),
            ("True/CalicoIsDown", None, None, "False"),
            ("True/WaitingForBGP", None, None, "False"),
            // Pods wait for BGP.
            ("", Some(SETTINGS), sessions(100, 2, 2, 0), "True/FlockStarting"),
            ("", None, sessions(100, 2, 1, 0), "True/WaitingForBGP"),
            ("True/FlockStarting", None, sessions(100, 2, 1, 119), "True/WaitingForBGP"),
            ("True/WaitingForBGP", None, sessions(100, 2, 2, 0), "False"),
            ("True/WaitingForBGP", None, sessions(100, 2, 0, 120), "False"),
            ("", Some(SETTINGS), sessions(100, 2, 0, 500), "True/FlockStarting"),
            // What others have said stays until flock knows better.
            ("True/NoRouteCreated", None, sessions(100, 2, 1, 0), "-"),
            ("False/RouteCreated", None, sessions(100, 2, 1, 0), "-"),
            ("Unknown/X", Some(SETTINGS), sessions(100, 2, 1, 0), "-"),
            ("True/NoRouteCreated", None, sessions(100, 2, 2, 0), "False"),
            // An agent that is started again takes nothing back.
            ("False/FlockReady", Some(SETTINGS), None, "False"),
            ("False/FlockReady", Some(SETTINGS), sessions(100, 2, 0, 0), "False"),
        ];
        for (there, not_ready, sessions, expected) in cases {
            let situation = Situation { said: false, seen: seen(there), not_ready, sessions };
            assert_eq!(said(&situation), expected, "{situation:?}");
        }
    }

    #[test]
    fn what_was_said_once_is_said_again_whatever_others_say() {
        for there in ["", "True/CalicoIsDown", "False/RouteCreated"] {
            let sessions = sessions(100, 2, 0, 0);
            let situation = Situation { said: true, seen: seen(there), not_ready: Some(SETTINGS), sessions };
            assert_eq!(verdict(&situation), Verdict::Available);
        }
    }

    #[test]
    fn the_share_of_sessions_is_rounded_up() {
        for (percent, peers, needed) in
            [(100, 2, 2), (50, 2, 1), (50, 3, 2), (1, 3, 1), (34, 3, 2), (100, 0, 0)]
        {
            assert_eq!(sessions(percent, peers, 0, 0).unwrap().needed(), needed, "{percent} % of {peers}");
        }
    }

    #[test]
    fn the_message_says_how_many_sessions_are_missing() {
        let situation =
            Situation { said: false, seen: None, not_ready: None, sessions: sessions(50, 3, 1, 7) };
        let Verdict::Unavailable { message, .. } = verdict(&situation) else { panic!("{situation:?}") };
        assert_eq!(
            message,
            "1 of 3 BGP sessions are established; 2 are required, or 120 s of patience (spec.bgp.requireEstablished)"
        );
    }
}
