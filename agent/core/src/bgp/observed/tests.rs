use super::*;
use crate::bgp::control::{BirdVersion, Line, decode};

/// The beginning of a conversation: greeting, `show protocols all`, `show bfd sessions`. Each has the same sessions.
const CAPTURED: [(&str, &str); 4] = [
    ("2.0.12", include_str!("bird-2.0.12.txt")),
    ("2.17.5", include_str!("bird-2.17.5.txt")),
    ("3.1.7", include_str!("bird-3.1.7.txt")),
    ("3.4.0", include_str!("bird-3.4.0.txt")),
];

fn replies(text: &str) -> [Reply; 3] {
    let mut bytes = text.as_bytes();
    let replies = std::array::from_fn(|_| {
        let (reply, taken) = decode(bytes).unwrap().unwrap();
        bytes = &bytes[taken..];
        reply
    });
    assert!(bytes.is_empty());
    replies
}

fn at(time: &str) -> Option<Timestamp> {
    Some(format!("2026-11-21T{time}Z").parse().unwrap())
}

fn channel(imported: u64, filtered: u64, exported: u64) -> ObservedChannel {
    ObservedChannel { up: true, imported, filtered, exported, ..ObservedChannel::default() }
}

#[test]
fn the_captured_texts_are_of_the_versions_that_they_are_named_after() {
    for (version, text) in CAPTURED {
        let [greeting, ..] = replies(text);
        assert_eq!(BirdVersion::of_greeting(&greeting).unwrap().to_string(), version);
    }
}

#[test]
fn only_bgp_protocols_are_sessions() {
    for (version, text) in CAPTURED {
        let names: Vec<String> = sessions(&replies(text)[1]).into_keys().collect();
        let expected = [
            "_2001_db8_1__1",
            "_2001_db8_2__1",
            "_2001_db8_3__1",
            "_2001_db8__1",
            "_2001_db8__9",
            "_fe80__1_up0",
        ];
        assert_eq!(names, expected.map(|name| format!("peer{name}")), "{version}");
    }
}

#[test]
fn an_established_session_has_its_routes_counted() {
    for ((version, text), since) in CAPTURED.into_iter().zip(["09:44:12", "09:44:53", "09:45:06", "09:45:18"])
    {
        let session = &sessions(&replies(text)[1])["peer_2001_db8__1"];
        let channels = [(Family::IPv6, channel(3, 1, 1)), (Family::IPv4, channel(1, 0, 1))].into();
        let expected = ObservedSession {
            state: SessionState::Established,
            since: at(since),
            last_error: None,
            channels,
        };
        assert_eq!(*session, expected, "{version}");
        let link_local = &sessions(&replies(text)[1])["peer_fe80__1_up0"];
        assert_eq!(link_local.channels[&Family::IPv4], channel(0, 0, 1), "{version}");
    }
}

#[test]
fn a_limit_that_is_reached_is_seen() {
    for (version, text) in CAPTURED {
        let session = &sessions(&replies(text)[1])["peer_2001_db8_1__1"];
        let expected = ObservedChannel { import_limit_hit: true, ..channel(1, 0, 1) };
        assert_eq!(session.channels, [(Family::IPv6, expected)].into(), "{version}");
    }
}

#[test]
fn a_session_that_is_down_says_why() {
    let refused = [
        (SessionState::Idle, "BGP Error: Bad peer AS"),
        (SessionState::Idle, "BGP Error: Bad peer AS"),
        (SessionState::Active, "Socket: Connection closed"),
        (SessionState::Active, "Socket: Connection closed"),
    ];
    for ((version, text), (state, error)) in CAPTURED.into_iter().zip(refused) {
        let sessions = sessions(&replies(text)[1]);
        let session = &sessions["peer_2001_db8_2__1"];
        assert_eq!((session.state, session.last_error.as_deref()), (state, Some(error)), "{version}");
        assert_eq!(session.channels, [(Family::IPv6, ObservedChannel::default())].into(), "{version}");
        let silent = &sessions["peer_2001_db8__9"];
        assert_eq!((silent.state, &silent.last_error), (SessionState::Connect, &None), "{version}");
        assert_eq!(sessions["peer_2001_db8_3__1"].state, SessionState::Down, "{version}");
    }
}

#[test]
fn bfd_sessions_are_told_by_address_and_interface() {
    let times = [
        ("09:44:12", "09:44:11"),
        ("09:44:52", "09:44:52"),
        ("09:45:05", "09:45:05"),
        ("09:45:18", "09:45:17"),
    ];
    for ((version, text), (up, down)) in CAPTURED.into_iter().zip(times) {
        let row = |address: &str, state: &str, since: &str| {
            let bfd = ObservedBfd { state: state.to_owned(), since: at(since) };
            ((address.parse().unwrap(), "up0".to_owned()), bfd)
        };
        let expected =
            [row("2001:db8::1", "Up", up), row("fe80::1", "Up", up), row("2001:db8::9", "Down", down)];
        assert_eq!(bfd(&replies(text)[2]), expected.into(), "{version}");
    }
}

fn reply(lines: &[(u16, &str)]) -> Reply {
    let line = |(code, text): &(u16, &str)| Line { code: *code, text: (*text).to_owned() };
    Reply { lines: lines.iter().map(line).collect() }
}

#[test]
fn a_row_alone_tells_the_state() {
    let sessions = sessions(&reply(&[
        (2002, "Name       Proto      Table      State  Since         Info"),
        (1002, "a BGP --- up 2026-11-21T09:44:12+0100 Established"),
        (1002, "b BGP --- start 2026-11-21 09:44:12 OpenConfirm   Socket: Connection reset"),
        (1002, "c BGP --- down 09:44"),
        (1002, "d BGP --- start"),
        (1002, "e BGP"),
        (1002, "f"),
        (1002, ""),
    ]));
    let seen: Vec<_> =
        sessions.iter().map(|(name, session)| (name.as_str(), session.state, session.since)).collect();
    let expected = [
        ("a", SessionState::Established, at("08:44:12")),
        ("b", SessionState::OpenConfirm, None),
        ("c", SessionState::Down, None),
        ("d", SessionState::Unknown, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn details_belong_to_the_channel_above_them() {
    let sessions = sessions(&reply(&[
        (1006, "  BGP state:          Established"),
        (1002, "a BGP --- up 2026-11-21T09:44:12+0000"),
        (1006, "  Description:    BGP state: Idle"),
        (1006, "  BGP state:          OpenSent"),
        (1006, "  Channel ipv4"),
        (1006, "    Export limit:   10 [HIT]"),
        (1006, "    Routes:         4 imported, x filtered, 99999999999999999999 exported, 2"),
        (1006, "  Channel vpn6-mpls"),
        (1006, "    State:          UP"),
        (1002, "own6 Static master6 up 2026-11-21T09:44:12+0000"),
        (1006, "    Last error:  not the session's"),
    ]));
    let channel = ObservedChannel { imported: 4, export_limit_hit: true, ..ObservedChannel::default() };
    assert_eq!(sessions["a"].state, SessionState::OpenSent);
    assert_eq!((sessions["a"].last_error.as_deref(), sessions.len()), (None, 1));
    assert_eq!(sessions["a"].channels, [(Family::IPv4, channel)].into());
}

#[test]
fn a_bfd_session_over_several_hops_has_no_interface() {
    let bfd = bfd(&reply(&[
        (1020, "bfd1:"),
        (1020, "IP address                Interface  State      Since         Interval  Timeout"),
        (1020, "192.0.2.1                 ---        Init       09:44:11      1.000    0.000"),
        (1020, "192.0.2.2                 ---"),
        (0, ""),
    ]));
    let init = ObservedBfd { state: "Init".to_owned(), since: None };
    assert_eq!(bfd, [(("192.0.2.1".parse().unwrap(), String::new()), init)].into());
}
