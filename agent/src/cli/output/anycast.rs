//! `flockctl anycast`.

use flock_crds::anycast::{AnycastPodStatus, AnycastStatus};
use jiff::Timestamp;

use super::super::Format;
use super::{human_age, pretty, table};

/// The answer to `flockctl anycast`. `status` is NodeConfig's `status.anycast` as JSON.
pub(in super::super) fn anycast(status: &[u8], format: Format) -> Result<String, String> {
    let unreadable = |error: serde_json::Error| format!("the agent's answer cannot be read: {error}");
    match format {
        Format::Json => serde_json::from_slice(status).map(|value| pretty(&value)).map_err(unreadable),
        Format::Table => {
            serde_json::from_slice(status).map(|status: Vec<_>| text(&status)).map_err(unreadable)
        }
    }
}

fn text(status: &[AnycastStatus]) -> String {
    let rows = status.iter().flat_map(|address| {
        let pods: Vec<Option<&AnycastPodStatus>> = match address.pods.as_slice() {
            [] => vec![None],
            pods => pods.iter().map(Some).collect(),
        };
        pods.into_iter().enumerate().map(|(index, pod)| row(address, pod, index == 0))
    });
    let mut text = table(&["ADDRESS", "ADVERTISED TO", "SINCE", "POD", "STATE", "NEXT HOP"], rows);
    for (address, reason) in status.iter().filter_map(|it| Some((&it.address, it.reason.as_ref()?))) {
        text.push_str(&format!("\n{address}: {reason}\n"));
    }
    let refused = status.iter().flat_map(|address| address.pods.iter().map(move |pod| (address, pod)));
    for (address, pod, reason) in
        refused.filter_map(|(at, pod)| Some((&at.address, pod, pod.reason.as_ref()?)))
    {
        text.push_str(&format!("\n{}: {address} {reason}\n", pod.pod));
    }
    text
}

/// What is said of the address stands on its first line only.
fn row(address: &AnycastStatus, pod: Option<&AnycastPodStatus>, first: bool) -> [String; 6] {
    let of_address = |text: String| if first { text } else { String::new() };
    let dash = || "-".to_owned();
    let hop = pod.and_then(|pod| Some(format!("{} dev {}", pod.via.as_ref()?, pod.link.as_ref()?)));
    [
        of_address(address.address.clone()),
        of_address(advertised(address)),
        of_address(since(address)),
        pod.map_or_else(dash, |pod| pod.pod.clone()),
        pod.map_or_else(dash, |pod| pod.state.clone()),
        hop.unwrap_or_else(dash),
    ]
}

fn advertised(address: &AnycastStatus) -> String {
    match (address.advertised, address.peers.as_slice()) {
        (false, _) => "-".to_owned(),
        (true, []) => "nobody".to_owned(),
        (true, peers) => peers.join(" "),
    }
}

fn since(address: &AnycastStatus) -> String {
    let time: Option<Timestamp> = address.since.as_ref().and_then(|since| since.parse().ok());
    let age = |time| human_age(Timestamp::now().duration_since(time).as_secs().max(0));
    time.map_or_else(|| "-".to_owned(), age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, state: &str, via: Option<&str>) -> AnycastPodStatus {
        AnycastPodStatus {
            pod: name.to_owned(),
            state: state.to_owned(),
            reason: None,
            via: via.map(str::to_owned),
            link: via.map(|_| "flock00000001".to_owned()),
        }
    }

    fn status() -> Vec<AnycastStatus> {
        let served = AnycastStatus {
            address: "2001:db8:53::1".to_owned(),
            advertised: true,
            peers: vec!["2001:db8::1".to_owned(), "192.0.2.1".to_owned()],
            pods: vec![pod("dns/a", "Serving", Some("2001:db8:a:1::5")), pod("dns/b", "NotReady", None)],
            ..AnycastStatus::default()
        };
        let refused = AnycastStatus {
            address: "198.51.100.53".to_owned(),
            reason: Some("held down".to_owned()),
            pods: vec![AnycastPodStatus {
                reason: Some("is in no pool".to_owned()),
                ..pod("dns/a", "Refused", None)
            }],
            ..AnycastStatus::default()
        };
        vec![served, refused]
    }

    #[test]
    fn the_table_has_a_line_for_each_pod_and_reasons_below() {
        let expected = "\
ADDRESS         ADVERTISED TO          SINCE  POD    STATE     NEXT HOP
2001:db8:53::1  2001:db8::1 192.0.2.1  -      dns/a  Serving   2001:db8:a:1::5 dev flock00000001
                                              dns/b  NotReady  -
198.51.100.53   -                      -      dns/a  Refused   -

198.51.100.53: held down

dns/a: 198.51.100.53 is in no pool
";
        let text = anycast(&serde_json::to_vec(&status()).unwrap(), Format::Table).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn json_is_the_status_itself() {
        let json = anycast(&serde_json::to_vec(&status()).unwrap(), Format::Json).unwrap();
        assert_eq!(serde_json::from_str::<Vec<AnycastStatus>>(&json).unwrap(), status());
        assert!(anycast(b"{", Format::Json).is_err());
    }
}
