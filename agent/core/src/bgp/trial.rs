//! Whether a new configuration is kept or taken back.
//!
//! BIRD reverts a configuration by itself unless it is confirmed in time (`configure timeout`). It is confirmed once
//! every session that was up before, and still is configured, is up again. If none of those is configured any more,
//! one of the new ones must come up. Where no session was up there is nothing to lose.

use std::collections::{BTreeMap, BTreeSet};

use super::observed::{ObservedSession, SessionState};

/// What a new configuration must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Sessions that were up before and still are configured.
    expected: BTreeSet<String>,
    /// Sessions of which one is enough: all of the new ones, if everything that was up is gone from the plan.
    alternatives: BTreeSet<String>,
}

/// What becomes of a configuration that is on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does no harm.
    Keep,
    /// Not known yet: these sessions are not up.
    Wait(BTreeSet<String>),
    /// A peer refuses it: which session, and BIRD's words.
    TakeBack {
        /// The session's name in BIRD.
        session: String,
        /// What was said.
        error: String,
    },
}

/// OPEN message errors (RFC 4271, section 6.2; RFC 5492), as BIRD writes them: what the two ends tell each other
/// about their configurations. No time heals them.
const CONFIGURATION_ERRORS: [&str; 7] = [
    "Bad peer AS",
    "Bad BGP identifier",
    "Unsupported optional parameter",
    "Unsupported parameter",
    "Unsupported version number",
    "Unacceptable hold time",
    "Required capability missing",
];

impl Trial {
    /// What is asked of a configuration with the sessions `configured`, when those of `up` were up before it.
    pub fn new(up: &BTreeSet<String>, configured: &BTreeSet<String>) -> Self {
        let expected: BTreeSet<String> = up.intersection(configured).cloned().collect();
        let replaced = expected.is_empty() && !up.is_empty();
        let alternatives = if replaced { configured.clone() } else { BTreeSet::new() };
        Self { expected, alternatives }
    }

    /// What the sessions, as they are now, say.
    pub fn judge(&self, now: &BTreeMap<String, ObservedSession>) -> Verdict {
        let is_up = |name: &&String| now.get(*name).is_some_and(ObservedSession::is_established);
        let mut down: BTreeSet<String> = self.expected.iter().filter(|name| !is_up(name)).cloned().collect();
        if !self.alternatives.is_empty() && !self.alternatives.iter().any(|name| is_up(&name)) {
            down.extend(self.alternatives.iter().cloned());
        }
        if down.is_empty() {
            return Verdict::Keep;
        }
        let refusal = down.iter().find_map(|name| Some((name, refusal(now.get(name)?)?)));
        match refusal {
            Some((name, error)) if !self.has_other_hope(name) => {
                Verdict::TakeBack { session: name.clone(), error: error.to_owned() }
            }
            _ => Verdict::Wait(down),
        }
    }

    /// Of several new sessions another one may still come up.
    fn has_other_hope(&self, name: &String) -> bool {
        self.alternatives.len() > 1 && self.alternatives.contains(name)
    }
}

/// The statements of `new` that are not in `old`, the first few, without comments and secrets: what a person has
/// changed.
pub fn changed_lines(old: &str, new: &str) -> Vec<String> {
    const MOST: usize = 4;
    let statements = |text: &'_ str| -> Vec<String> {
        let code = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
        code.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    };
    let before: BTreeSet<String> = statements(old).into_iter().collect();
    let hidden = |line: &str| line.starts_with("define flock_");
    let secret = |line: String| if line.starts_with("password ") { "password ...;".to_owned() } else { line };
    let changed = statements(new).into_iter().filter(|line| !before.contains(line) && !hidden(line));
    changed.map(secret).take(MOST).collect()
}

fn refusal(session: &ObservedSession) -> Option<&str> {
    let error = session.last_error.as_deref()?;
    CONFIGURATION_ERRORS.iter().any(|known| error.contains(known)).then_some(error)
}

impl ObservedSession {
    /// Whether routes are exchanged.
    pub fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn session(state: SessionState, error: Option<&str>) -> ObservedSession {
        ObservedSession {
            state,
            since: None,
            last_error: error.map(str::to_owned),
            channels: BTreeMap::new(),
        }
    }

    fn sessions(states: &[(&str, SessionState)]) -> BTreeMap<String, ObservedSession> {
        states.iter().map(|(name, state)| ((*name).to_owned(), session(*state, None))).collect()
    }

    use SessionState::{Active, Established};

    #[test]
    fn what_was_up_must_be_up_again() {
        let trial = Trial::new(&names(&["a", "b"]), &names(&["a", "b", "c"]));
        let now = sessions(&[("a", Established), ("b", Active), ("c", Active)]);
        assert_eq!(trial.judge(&now), Verdict::Wait(names(&["b"])));
        let now = sessions(&[("a", Established), ("b", Established), ("c", Active)]);
        assert_eq!(trial.judge(&now), Verdict::Keep);
    }

    #[test]
    fn where_nothing_was_up_there_is_nothing_to_lose() {
        assert_eq!(Trial::new(&names(&[]), &names(&["a"])).judge(&sessions(&[])), Verdict::Keep);
    }

    #[test]
    fn peers_may_be_removed_but_not_all_be_exchanged_for_dead_ones() {
        let trial = Trial::new(&names(&["a", "b"]), &names(&["b"]));
        assert_eq!(trial.judge(&sessions(&[("b", Established)])), Verdict::Keep);
        assert_eq!(Trial::new(&names(&["a"]), &names(&[])).judge(&sessions(&[])), Verdict::Keep);
        let trial = Trial::new(&names(&["a"]), &names(&["b", "c"]));
        assert_eq!(trial.judge(&sessions(&[("b", Active)])), Verdict::Wait(names(&["b", "c"])));
        assert_eq!(trial.judge(&sessions(&[("c", Established)])), Verdict::Keep);
    }

    #[test]
    fn a_change_is_told_without_its_secrets() {
        let old =
            "define flock_revision = \"1\";\nneighbor 2001:db8::1 as 65000; # spec\npassword \"old\";\n";
        let new =
            "define flock_revision = \"2\";\nneighbor 2001:db8::1 as 65009; # spec\npassword \"new\";\n# x\n";
        assert_eq!(changed_lines(old, new), ["neighbor 2001:db8::1 as 65009;", "password ...;"]);
        assert!(changed_lines(new, new).is_empty());
    }

    #[test]
    fn a_peer_that_refuses_the_configuration_ends_the_trial_at_once() {
        let trial = Trial::new(&names(&["a"]), &names(&["a"]));
        for (error, taken_back) in [
            ("Received: Bad peer AS", true),
            ("Bad peer AS: 65009", true),
            ("Socket: Connection refused", false),
            ("Hold timer expired", false),
            ("Received: Connection collision resolution", false),
        ] {
            let now = BTreeMap::from([("a".to_owned(), session(SessionState::Idle, Some(error)))]);
            assert_eq!(matches!(trial.judge(&now), Verdict::TakeBack { .. }), taken_back, "{error}");
        }
    }
}
