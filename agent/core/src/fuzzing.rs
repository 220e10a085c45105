//! What the fuzz targets run, one function each: here, so that their corpus is replayed by the ordinary tests too.
//! Each takes bytes from outside and must come back, whatever they are.

use std::collections::BTreeMap;

use crate::attachment::PodName;
use crate::bgp::control::{self, BirdVersion, Reply};
use crate::bgp::observed;
use crate::link::LinkAlias;
use crate::pod::algo::{self, Identity};
use crate::pod::annotation::{PREFIX, PodRequests};
use crate::prefix::Cidr6;
use crate::record::Record;

/// Annotations of a pod: one `KEY=VALUE` on a line, keys without flock's prefix.
pub fn annotations(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let annotations: BTreeMap<String, String> =
        pairs.map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned())).collect();
    let Ok(name) = PodName::new("default", "web-0") else { return };
    match PodRequests::parse(&name, &annotations) {
        Ok((parsed, warnings)) => {
            let lines = warnings.iter().map(ToString::to_string);
            assert!(
                lines.chain(parsed.ip_algo).all(|line| line.len() < 64 * 1024 || line.len() <= text.len())
            );
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "an error must stay on its line"),
    }
}

/// An `ip-algo` and the identity that it embeds, separated by newlines: value, prefix length, app, image.
pub fn ip_algo(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (Some(value), Some(length)) = (lines.next(), lines.next().and_then(|line| line.parse().ok())) else {
        return;
    };
    let prefix = ipnet::Ipv6Net::new("2001:db8::".parse().unwrap_or(std::net::Ipv6Addr::UNSPECIFIED), length);
    let Some(cidr) = prefix.ok().and_then(|prefix| Cidr6::try_from(prefix).ok()) else { return };
    let (Some(algo), _) = algo::resolve(Some(value), None) else { return };
    let Ok(pod) = PodName::new("default", "web-0") else { return };
    let app = lines.next().unwrap_or_default().to_owned();
    let identity = Identity { pod, app, image: lines.next().map(str::to_owned) };
    for retry in 0..algo::RETRIES {
        let host = algo.host_bits(&identity, cidr, retry);
        assert!(cidr.contains(cidr.address(host)), "{algo} leaves {cidr}");
        assert_eq!(host & 0xf, u128::from(retry), "the last nibble is the retry counter");
    }
}

/// An attachment record: what is read back is what was written.
pub fn attachment_record(data: &[u8]) {
    let Ok(record) = Record::decode(data) else { return };
    let again = record.encode().ok().and_then(|bytes| Record::decode(&bytes).ok());
    assert_eq!(again, Some(record));
}

/// A host link's alias: what is read back names the same attachment.
pub fn link_alias(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(alias) = text.parse::<LinkAlias>() else { return };
    assert_eq!(alias.to_string().parse::<LinkAlias>().map(|again| again.id), Ok(alias.id));
}

/// What comes over BIRD's control socket: the first byte says where the rest is cut in two, as reads may do.
pub fn bird_reply(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (first, _) = stream.split_at(usize::from(cut).min(stream.len()));
    let Ok(Some((reply, taken))) = control::decode(stream) else { return };
    assert!(0 < taken && taken <= stream.len(), "{taken} of {} bytes", stream.len());
    let early = control::decode(first);
    match taken <= first.len() {
        true => assert_eq!(
            early,
            Ok(Some((reply.clone(), taken))),
            "what follows an answer is none of its business"
        ),
        false => assert_eq!(early, Ok(None), "the beginning of an answer is no answer, and no error"),
    }
    let _ = BirdVersion::of_greeting(&reply);
}

/// The text of an answer to `show protocols all` or `show bfd sessions`, codes in front of its lines or not.
pub fn bird_sessions(data: &[u8]) {
    let coded = |code: u16| {
        let text = String::from_utf8_lossy(data);
        Reply { lines: text.lines().map(|line| control::Line { code, text: line.to_owned() }).collect() }
    };
    let whole = control::decode(data).ok().flatten().map(|(reply, _)| reply);
    for reply in whole.into_iter().chain([1002, 1006, 1020].map(coded)) {
        let rows = reply.lines.len();
        assert!(observed::sessions(&reply).len() <= rows && observed::bfd(&reply).len() <= rows);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 6] = [
        ("annotations", super::annotations),
        ("ip_algo", super::ip_algo),
        ("attachment_record", super::attachment_record),
        ("link_alias", super::link_alias),
        ("bird_reply", super::bird_reply),
        ("bird_sessions", super::bird_sessions),
    ];

    #[test]
    fn every_corpus_is_replayed() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let mut names: Vec<_> = corpora.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let mut expected = TARGETS.map(|(name, _)| name);
        expected.sort_unstable();
        assert_eq!(names, expected, "a corpus without a target, or the other way round");
        for (name, target) in TARGETS {
            let inputs: Vec<_> =
                corpora.join(name).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!inputs.is_empty(), "{name} has no corpus");
            for input in inputs {
                target(&std::fs::read(&input).unwrap());
            }
        }
    }
}
