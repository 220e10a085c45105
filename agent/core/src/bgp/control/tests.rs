use proptest::prelude::*;

use super::*;

fn whole(text: &str) -> Reply {
    let (reply, taken) = decode(text.as_bytes()).unwrap().unwrap();
    assert_eq!(taken, text.len());
    reply
}

fn lines(text: &str) -> Vec<(u16, String)> {
    whole(text).lines.into_iter().map(|line| (line.code, line.text)).collect()
}

#[test]
fn an_answer_ends_with_the_line_whose_code_is_followed_by_a_space() {
    let text = "0002-Reading configuration from /a b/bird.conf\n0020 Configuration OK\n";
    let configuration = (2, "Reading configuration from /a b/bird.conf".to_owned());
    assert_eq!(lines(text), [configuration, (20, "Configuration OK".to_owned())]);
    assert_eq!(lines("0000 \n"), [(0, String::new())]);
    assert_eq!(lines("0023 9f3c0d\n"), [(23, "9f3c0d".to_owned())]);
}

#[test]
fn a_line_without_a_code_has_the_code_of_the_line_before() {
    let text = "1006-  Description:    x\n   BGP state:  Down\n \n\ttab\n0000 \n";
    let expected =
        [(1006, "  Description:    x"), (1006, "  BGP state:  Down"), (1006, ""), (1006, "\ttab"), (0, "")];
    assert_eq!(lines(text), expected.map(|(code, text)| (code, text.to_owned())));
}

#[test]
fn echoes_of_the_log_are_no_part_of_an_answer() {
    assert_eq!(lines("+1000 <INFO> Reconfigured\n0003 Reconfigured\n"), [(3, "Reconfigured".to_owned())]);
    assert_eq!(decode(b"+1000 <INFO> Reconfigured\n"), Ok(None));
}

#[test]
fn only_the_first_answer_is_taken() {
    let (reply, taken) = decode(b"0018 Reconfiguration confirmed\n0000 \n").unwrap().unwrap();
    assert_eq!((reply.code(), taken), (18, 31));
}

#[test]
fn failures_have_codes_from_8000() {
    let missing = whole("0002-Reading configuration from /nope\n8002 /nope: No such file or directory\n");
    assert_eq!((missing.code(), missing.failure()), (8002, Some("/nope: No such file or directory")));
    assert_eq!(whole("9001 syntax error\n").failure(), Some("syntax error"));
    assert_eq!(whole("0021-Undo requested\n0019 Nothing to do\n").failure(), None);
    assert_eq!(Reply { lines: vec![] }.code(), 0);
}

#[test]
fn what_is_not_utf_8_is_replaced() {
    let (reply, _) = decode(b"0000 a\xffb\n").unwrap().unwrap();
    assert_eq!(reply.lines[0].text, "a\u{fffd}b");
}

#[test]
fn what_is_no_answer_is_refused_before_its_line_ends() {
    for text in
        ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0", "00", "0", "00x", "0000", "0000x", "\n", " first\n", "\0"]
    {
        let refused = !matches!(text, "00" | "0" | "0000");
        assert_eq!(decode(text.as_bytes()).is_err(), refused, "{text:?}");
    }
    let long = [b'x'; 1000];
    assert_eq!(decode(&long), Err(ProtocolError::Nonsense("x".repeat(80))));
}

#[test]
fn an_answer_without_end_is_refused() {
    let line = [b'1'; 4].into_iter().chain([b'-']).chain([b'x'; 1018]).chain([b'\n']).collect::<Vec<u8>>();
    let endless = line.repeat(LONGEST_REPLY / line.len());
    assert_eq!(decode(&endless), Ok(None));
    assert_eq!(decode(&[&endless[..], b"0000 \n"].concat()), Err(ProtocolError::Endless(LONGEST_REPLY)));
    let one_line = vec![b' '; LONGEST_REPLY];
    assert_eq!(decode(&one_line), Err(ProtocolError::Endless(LONGEST_REPLY)));
}

fn version(greeting: &str) -> Option<String> {
    BirdVersion::of_greeting(&whole(greeting)).map(|version| version.to_string())
}

#[test]
fn the_greeting_tells_the_version() {
    for (greeting, expected) in [
        ("0001 BIRD 2.0.12 ready.\n", Some("2.0.12")),
        ("0001 BIRD 3.4.0 ready.\n", Some("3.4.0")),
        ("0001 BIRD 2.17.5 ready.\n", Some("2.17.5")),
        ("0001 BIRD 2.0.12+deb ready.\n", Some("2.0.12")),
        ("0001 BIRD v2.15.1-3-gabcdef ready.\n", Some("2.15.1")),
        ("0001 BIRD 3.2 ready.\n", Some("3.2.0")),
        ("0001 BIRD 3.0alpha2 ready.\n", Some("3.0.0")),
        ("0001 BIRD 2. ready.\n", None),
        ("0001 BIRD 2.99999.1 ready.\n", None),
        ("0001 BIRD \u{fc}.\u{fc} ready.\n", None),
        ("0001 BIRD ready.\n", None),
        ("0001 BIRDS 2.0.12\n", None),
        ("0000 BIRD 2.0.12 ready.\n", None),
        ("0001 \n", None),
    ] {
        assert_eq!(version(greeting).as_deref(), expected, "{greeting:?}");
    }
    let [old, oldest] =
        [(2, 0, 9), (2, 0, 12)].map(|(major, minor, patch)| BirdVersion { major, minor, patch });
    assert!(old < BirdVersion::OLDEST && oldest == BirdVersion::OLDEST);
}

fn answer() -> impl Strategy<Value = String> {
    let line = prop_oneof!["[0-9]{4}-[ -~]{0,20}\n", "\\+[ -~]{0,20}\n"];
    let tail = prop::collection::vec(" [ -~\u{fc}]{0,20}\n", 0..3);
    let body = prop::collection::vec((line, tail), 0..6).prop_map(|lines| {
        let mut any = false;
        let mut text = String::new();
        for (line, tail) in lines {
            any |= !line.starts_with('+');
            text += &line;
            // A continuation needs a line to continue.
            if any {
                text += &tail.concat();
            }
        }
        text
    });
    (body, "[0-9]{4} [ -~]{0,20}\n").prop_map(|(body, last)| body + &last)
}

proptest! {
    #[test]
    fn cut_anywhere_the_answers_are_the_same(answers in prop::collection::vec(answer(), 1..4), cut in 0_usize..200) {
        let expected: Vec<Reply> = answers.iter().map(|text| whole(text)).collect();
        let stream = answers.concat().into_bytes();
        let cut = cut.min(stream.len());
        let (mut buffer, mut replies) = (Vec::new(), Vec::new());
        for part in [&stream[..cut], &stream[cut..]] {
            buffer.extend_from_slice(part);
            while let Some((reply, taken)) = decode(&buffer).unwrap() {
                replies.push(reply);
                buffer.drain(..taken);
            }
        }
        prop_assert_eq!(replies, expected);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn nothing_makes_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Some((reply, taken))) = decode(&bytes) {
            prop_assert!(taken <= bytes.len() && !reply.lines.is_empty());
        }
    }
}
