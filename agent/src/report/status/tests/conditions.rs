//! What is told.

use flock_core::host::addresses::{NodeAddress, Subnets};

use super::*;

const NOW: &str = "2026-11-21T12:00:00.5Z";

fn composed(observed: &Observed) -> NodeStateStatus {
    node_state(observed, &[], at(NOW))
}

fn condition(observed: &Observed, kind: &str) -> Condition {
    composed(observed).conditions.into_iter().find(|condition| condition.kind == kind).unwrap()
}

#[test]
fn a_node_that_is_as_it_should_be_says_so() {
    let told = composed(&observed()).conditions;
    let told: Vec<String> =
        told.iter().map(|it| format!("{}={} {}: {}", it.kind, it.status, it.reason, it.message)).collect();
    assert_eq!(
        told,
        [
            "Ready=True Ready: pods get their network from flock",
            "ConfigValid=True Valid: all that is written is obeyed",
            "BirdRunning=True Running: BIRD 2.0.12 answers",
            "SessionsEstablished=True Established: 2 of 2 sessions are up",
            "ConfigRolledBack=False Applied: BIRD runs the configuration",
            "PoolLow=False Sufficient: there are addresses left",
        ]
    );
}

#[test]
fn what_is_wrong_is_named_by_its_condition() {
    let refused = |reason: &str| Some(reason.to_owned());
    let problem = |place, reason: &str| Problem { place, reason: reason.to_owned() };
    let object = |kind, name: &str| Place::Object { kind, name: name.to_owned() };
    let not_ready = Observed { not_ready: refused("no NodeConfig"), ..observed() };
    let low = Observed { usage: vec![pool("203.0.113.0/26", 61, 55)], ..observed() };
    let no_pool = Observed { usage: Vec::new(), ..observed() };
    let conflict = Conflict { field: "spec.mtu".to_owned(), used: "a".to_owned(), ignored: "b".to_owned() };
    let cases = [
        (not_ready, "Ready=False NotReady", "no NodeConfig"),
        (
            observed().with_desired(|it| it.config.refused = refused("spec.mtu: 9")),
            "ConfigValid=False Refused",
            "spec.mtu: 9; the last good configuration is obeyed",
        ),
        (
            observed().with_desired(|it| (it.config.refused, it.node) = (refused("spec.mtu: 9"), None)),
            "ConfigValid=False Refused",
            "spec.mtu: 9; there is no earlier one that could be obeyed",
        ),
        (
            observed().with_desired(|it| {
                it.problems = vec![problem(object("AddressPool", "dns"), "spec.cidrs: x")]
            }),
            "ConfigValid=False NotObeyed",
            "AddressPool dns: spec.cidrs: x",
        ),
        (
            observed().with_desired(|it| {
                it.config.conflicts = vec![conflict.clone()];
                it.problems = vec![problem(Place::Composition(NODE.to_owned()), "spec.mtu: a and b differ")];
            }),
            "ConfigValid=False TemplateConflict",
            "configuration of node node-a: spec.mtu: a and b differ",
        ),
        (
            observed().with_desired(|it| {
                let others = [object("NodeConfig", "node-b"), object("Pod", "web/web-0")];
                it.problems = others.map(|place| problem(place, "wrong")).to_vec();
            }),
            "ConfigValid=True Valid",
            "",
        ),
        (
            observed().with_bgp(|bgp| bgp.config = ConfigStatus::Refused { reason: "syntax".to_owned() }),
            "ConfigValid=False RefusedByBird",
            "syntax",
        ),
        (
            observed().with_bgp(|bgp| bgp.bird = BirdStatus::Away("no socket".to_owned())),
            "BirdRunning=False Away",
            "no socket",
        ),
        (
            observed().with_bgp(|bgp| bgp.bird = BirdStatus::Away("no socket".to_owned())),
            "SessionsEstablished=Unknown BirdAway",
            "",
        ),
        (
            observed()
                .with_bgp(|bgp| bgp.peers[1] = session(PEERS[1], SessionState::Active, Some("no answer"))),
            "SessionsEstablished=False SessionsDown",
            "1 of 2 sessions are up; 192.0.2.1: no answer",
        ),
        (observed().with_bgp(|bgp| bgp.peers.clear()), "SessionsEstablished=Unknown NotAskedYet", ""),
        (observed().without_bgp(), "BirdRunning=Unknown NotConfigured", "no spec.bgp"),
        (observed().without_bgp(), "SessionsEstablished=Unknown NotConfigured", "no spec.bgp"),
        (observed().without_bgp(), "ConfigRolledBack=False NotConfigured", ""),
        (
            observed().with_bgp(|bgp| {
                let (revision, reason) = ("1".to_owned(), "it took sessions down".to_owned());
                bgp.config = ConfigStatus::RolledBack { revision, reason, at: at(NOW) };
            }),
            "ConfigRolledBack=True SessionsLost",
            "it took sessions down",
        ),
        (
            low,
            "PoolLow=True NearlyFull",
            "90 % or more of the node's IPv4 addresses (203.0.113.0/26) are in use or resting: add a prefix to spec.cidr4",
        ),
        (no_pool, "PoolLow=Unknown NotConfigured", ""),
    ];
    for (observed, expected, words) in cases {
        let condition = condition(&observed, expected.split('=').next().unwrap());
        let told = format!("{}={} {}", condition.kind, condition.status, condition.reason);
        assert_eq!(told, expected);
        assert!(condition.message.contains(words), "{words}: {}", condition.message);
    }
}

#[test]
fn the_time_of_a_transition_is_that_of_the_status_alone() {
    let first = node_state(&observed(), &[], at(NOW));
    assert!(first.conditions.iter().all(|it| it.last_transition_time == "2026-11-21T12:00:00Z"));
    let down = observed().with_bgp(|bgp| bgp.peers[0].state = SessionState::Idle);
    let second = node_state(&down, &first.conditions, at("2026-11-21T13:00:00Z"));
    let both_down =
        observed().with_bgp(|bgp| bgp.peers.iter_mut().for_each(|it| it.state = SessionState::Idle));
    let third = node_state(&both_down, &second.conditions, at("2026-11-21T14:00:00Z"));
    let since = |status: &NodeStateStatus, kind: &str| {
        let condition = status.conditions.iter().find(|it| it.kind == kind).unwrap();
        condition.last_transition_time.clone()
    };
    assert_eq!(since(&second, "SessionsEstablished"), "2026-11-21T13:00:00Z");
    assert_eq!(since(&third, "SessionsEstablished"), "2026-11-21T13:00:00Z");
    assert_eq!(since(&third, "Ready"), "2026-11-21T12:00:00Z");
}

#[test]
fn a_time_that_somebody_has_spoilt_is_now() {
    let mut spoilt = composed(&observed());
    spoilt.conditions[0].last_transition_time = "yesterday".to_owned();
    let again = node_state(&observed(), &spoilt.conditions, at("2026-11-21T13:00:00Z"));
    assert_eq!(again.conditions[0].last_transition_time, "2026-11-21T13:00:00Z");
}

#[test]
fn what_is_told_is_about_a_generation_and_has_whole_seconds() {
    let status = composed(&observed());
    assert_eq!(
        (status.config_generation, status.heartbeat.as_deref()),
        (Some(3), Some("2026-11-21T12:00:00Z"))
    );
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    let bgp = status.bgp.unwrap();
    assert_eq!(
        (bgp.established.as_str(), bgp.peers[0].since.as_deref()),
        ("2/2", Some("2026-11-21T11:00:00Z"))
    );
    assert_eq!(composed(&observed().without_bgp()).bgp, None);
}

/// An API server takes no number beyond this one for an integer, nor an object beyond 1.5 MiB.
#[test]
fn nothing_is_too_large_for_an_api_server() {
    let mut observed = observed();
    let pod = AnycastPodStatus { pod: "p".repeat(300), ..AnycastPodStatus::default() };
    observed.anycast =
        (0..500).map(|n| AnycastStatus { pods: vec![pod.clone(); 250], ..anycast(n) }).collect();
    observed = observed.with_bgp(|bgp| bgp.peers[0].reason = Some("é".repeat(100_000)));
    let status = composed(&observed);
    assert_eq!(status.pools[0].size, u64::try_from(i64::MAX).unwrap());
    assert_eq!(status.anycast.len(), 100);
    assert!(serde_json::to_string(&status).unwrap().len() < 1 << 20);
    let ready = condition(&observed, "Ready");
    assert!(ready.message.contains("the first 100 of 500 anycast addresses"), "{}", ready.message);
}

#[test]
fn the_versions_are_the_agents_and_birds_while_it_answers() {
    let versions = composed(&observed()).versions;
    assert_eq!(
        (versions.agent.as_str(), versions.bird.as_deref()),
        (env!("CARGO_PKG_VERSION"), Some("2.0.12"))
    );
    let away = observed().with_bgp(|bgp| bgp.bird = BirdStatus::Away("no socket".to_owned()));
    assert_eq!(composed(&away).versions.bird, None);
}

fn rolled_back() -> ConfigStatus {
    let (revision, reason) = ("1".to_owned(), "it took sessions down".to_owned());
    ConfigStatus::RolledBack { revision, reason, at: at(NOW) }
}

fn on_trial() -> ConfigStatus {
    ConfigStatus::OnTrial { revision: "2".to_owned() }
}

fn with_config(config: ConfigStatus) -> Observed {
    observed().with_bgp(|bgp| bgp.config = config)
}

#[test]
fn what_becomes_of_the_configuration_is_one_word() {
    let problem = Problem { place: Place::Composition(NODE.to_owned()), reason: "wrong".to_owned() };
    let disobeyed = |observed: Observed| observed.with_desired(|it| it.problems = vec![problem.clone()]);
    let conflict = Conflict { field: "spec.mtu".to_owned(), used: "a".to_owned(), ignored: "b".to_owned() };
    let cases = [
        (observed(), "Applied"),
        (observed().without_bgp(), "Applied"),
        (with_config(ConfigStatus::Pending), "Pending"),
        (with_config(ConfigStatus::None), "Pending"),
        (with_config(on_trial()), "OnTrial"),
        (with_config(rolled_back()), "RolledBack"),
        (with_config(ConfigStatus::Refused { reason: "syntax".to_owned() }), "RefusedByBird"),
        (refused("spec.mtu: 9"), "Refused"),
        (refused("spec.mtu: 9").with_bgp(|bgp| bgp.config = rolled_back()), "Refused"),
        (disobeyed(observed()), "NotObeyed"),
        (disobeyed(with_config(on_trial())), "NotObeyed"),
        (disobeyed(with_config(rolled_back())), "RolledBack"),
        (
            disobeyed(observed()).with_desired(|it| it.config.conflicts = vec![conflict.clone()]),
            "TemplateConflict",
        ),
    ];
    for (observed, word) in cases {
        assert_eq!(composed(&observed).config, word, "{:?}", observed.bgp.status.config);
    }
}

fn told(observed: &Observed, former: Option<&NodeConfigStatus>) -> Vec<String> {
    let status = node_config_status(observed, former, at(NOW));
    status.conditions.iter().map(|it| format!("{}={} {}", it.kind, it.status, it.reason)).collect()
}

#[test]
fn a_node_config_says_what_others_need_and_whether_it_is_obeyed() {
    let conflict = Conflict { field: "spec.mtu".to_owned(), used: "a".to_owned(), ignored: "b".to_owned() };
    let observed = observed().with_desired(|it| {
        it.config.templates = vec!["a".to_owned(), "b".to_owned()];
        it.config.conflicts = vec![conflict];
    });
    let own = NodeAddress {
        ifname: "eth0".parse().unwrap(),
        net: "192.0.2.7/24".parse().unwrap(),
        secondary: false,
    };
    let subnets = Subnets { addresses: [own].into(), ..Subnets::default() };
    let status = node_config_status(&Observed { subnets, ..observed }, None, at(NOW));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 3,
            "lastTransitionTime": "2026-11-21T12:00:00Z"})
    };
    let expected = json!({
        "observedGeneration": 3,
        "conditions": [
            condition("ConfigValid", "True", "Valid", "all that is written is obeyed"),
            condition("ConfigRolledBack", "False", "Applied", "BIRD runs the configuration"),
        ],
        "templates": ["a", "b"],
        "conflicts": [{"field": "spec.mtu", "used": "a", "ignored": "b"}],
        "addresses": ["192.0.2.7"],
        "pools": [{"cidr": "2001:db8:a:1::/64"}, {"cidr": "203.0.113.0/26"}],
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);
}

/// BIRD is configured anew whenever a node comes or goes, and a thousand nodes need not hear of a thousand trials.
#[test]
fn a_trial_of_the_same_generation_is_not_told_to_all_nodes() {
    let applied = node_config_status(&observed(), None, at(NOW));
    let (valid, obeyed) = ("ConfigValid=True Valid", "ConfigRolledBack=False Applied");
    for open in [ConfigStatus::None, ConfigStatus::Pending, on_trial()] {
        assert_eq!(told(&with_config(open.clone()), Some(&applied)), [valid, obeyed], "{open:?}");
        let newer = with_config(open).with_desired(|it| it.config.generation = Some(4));
        assert_ne!(told(&newer, Some(&applied))[1], obeyed);
        assert_ne!(told(&newer, None)[1], obeyed);
    }
    let back = node_config_status(&with_config(rolled_back()), Some(&applied), at(NOW));
    assert_eq!(told(&with_config(on_trial()), Some(&back)), [valid, "ConfigRolledBack=True SessionsLost"]);
    assert_eq!(told(&observed(), Some(&back)), [valid, obeyed]);
    let syntax = with_config(ConfigStatus::Refused { reason: "syntax".to_owned() });
    let by_bird = node_config_status(&syntax, Some(&applied), at(NOW));
    let both = ["ConfigValid=False RefusedByBird", "ConfigRolledBack=False Refused"];
    assert_eq!(told(&with_config(on_trial()), Some(&by_bird)), both);
    assert_eq!(told(&observed(), Some(&by_bird)), [valid, obeyed]);
}

#[test]
fn what_is_wrong_with_the_configuration_itself_is_told_during_a_trial() {
    let applied = node_config_status(&observed(), None, at(NOW));
    let wrong = refused("spec.mtu: 9").with_bgp(|bgp| bgp.config = on_trial());
    assert_eq!(told(&wrong, Some(&applied))[0], "ConfigValid=False Refused");
    let syntax = with_config(ConfigStatus::Refused { reason: "syntax".to_owned() });
    let by_bird = node_config_status(&syntax, Some(&applied), at(NOW));
    assert_eq!(told(&wrong, Some(&by_bird))[0], "ConfigValid=False Refused");
    // The first spec.bgp, out of a template.
    let silent = node_config_status(&observed().without_bgp(), None, at(NOW));
    assert_eq!(told(&with_config(on_trial()), Some(&silent))[1], "ConfigRolledBack=False OnTrial");
}

#[test]
fn figures_do_not_matter_but_words_and_states_do() {
    let down = |reason: &str, state| {
        observed().with_bgp(|bgp| bgp.peers[1] = session(PEERS[1], state, Some(reason)))
    };
    let trouble = down("no answer (3 refused)", SessionState::Active);
    let same = |left: &Observed, right: &Observed| {
        outline::of_state(&composed(left)) == outline::of_state(&composed(right))
    };
    let fuller = Observed { usage: vec![observed().usage[0], pool("203.0.113.0/26", 61, 9)], ..observed() };
    let prefixes = observed().with_bgp(|bgp| {
        bgp.peers[0].families.values_mut().for_each(|channel| channel.imported += 5);
    });
    for figures in [fuller, prefixes] {
        assert!(same(&figures, &observed()));
        assert_ne!(composed(&figures), composed(&observed()));
    }
    assert!(same(&trouble, &down("no answer (4 refused)", SessionState::Connect)));
    assert!(!same(&trouble, &down("bad peer AS", SessionState::Active)));
    assert!(!same(&trouble, &observed()));
    assert!(!same(&Observed { anycast: vec![anycast(1)], ..observed() }, &observed()));
    let other_pool =
        Observed { usage: vec![observed().usage[0], pool("203.0.113.64/26", 61, 7)], ..observed() };
    assert!(!same(&other_pool, &observed()));
}
