//! Answers as tables and as JSON.

mod anycast;
mod bgp;

use std::io::{self, Write as _};
use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use flock_rpc::v1alpha1::{Attachment, Fact, ShowAttachmentResponse, ShowNodeResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use anycast::anycast;
pub(super) use bgp::bgp;

use super::Format;

/// Prints, and takes it well when the reader has gone (`flockctl pods | head -1`).
pub(super) fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            super::fail(&format!("cannot print: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

pub(super) fn pods(mut attachments: Vec<Attachment>, format: Format) -> String {
    attachments.sort_by_cached_key(|attachment| (pod_name(attachment), container_id(attachment)));
    match format {
        Format::Json => pretty(&attachments.iter().map(attachment_json).collect::<Value>()),
        Format::Table => table(
            &["POD", "ADDRESSES", "VETH", "MTU", "STATE", "AGE", "CONTAINER"],
            attachments.iter().map(|attachment| {
                let container: String = container_id(attachment).chars().take(12).collect();
                [
                    pod_name(attachment),
                    attachment.addresses.join(", "),
                    attachment.host_link.clone(),
                    attachment.mtu.to_string(),
                    attachment.phase.clone(),
                    age(attachment),
                    container,
                ]
            }),
        ),
    }
}

pub(super) fn attachment(response: ShowAttachmentResponse, format: Format) -> String {
    let ShowAttachmentResponse { attachment, facts } = response;
    let attachment = attachment.unwrap_or_default();
    match format {
        Format::Json => {
            let mut value = attachment_json(&attachment);
            value["facts"] = facts.iter().map(fact_json).collect();
            value["drift"] = json!(facts.iter().any(is_drift));
            pretty(&value)
        }
        Format::Table => {
            let drift = facts.iter().filter(|fact| is_drift(fact)).count();
            let verdict =
                if drift == 0 { "no drift".to_owned() } else { format!("{drift} differences, marked !") };
            format!("{}\n{}\n{verdict}\n", headings(&attachment), fact_table(&facts))
        }
    }
}

pub(super) fn node(node: &ShowNodeResponse, format: Format) -> String {
    let ShowNodeResponse { node: name, version, not_ready_reason, pools, uplinks, mtu, problems } = node;
    let ready = not_ready_reason.is_empty();
    if format == Format::Json {
        let pools: Vec<Value> = pools
            .iter()
            .map(|pool| json!({"cidr": pool.cidr, "size": pool.size, "used": pool.used, "resting": pool.resting}))
            .collect();
        return pretty(&json!({
            "node": name, "version": version, "ready": ready, "reason": not_ready_reason,
            "uplinks": uplinks, "mtu": mtu, "pools": pools, "problems": problems,
        }));
    }
    let state = if ready { "ready".to_owned() } else { format!("not ready: {not_ready_reason}") };
    let mut text = format!(
        "node     {name}\nagent    {version}\nstate    {state}\nuplinks  {}\nmtu      {mtu}\n\n",
        if uplinks.is_empty() { "none: no default route".to_owned() } else { uplinks.join(", ") }
    );
    let rows = pools.iter().map(|pool| {
        let size = if pool.size == u64::MAX { "2^64 or more".to_owned() } else { pool.size.to_string() };
        [pool.cidr.clone(), size, pool.used.to_string(), pool.resting.to_string()]
    });
    text.push_str(&table(&["POOL", "SIZE", "USED", "RESTING"], rows));
    for problem in problems {
        text.push_str(&format!("\nproblem: {problem}"));
    }
    if !problems.is_empty() {
        text.push('\n');
    }
    text
}

fn headings(attachment: &Attachment) -> String {
    let id = attachment.id.clone().unwrap_or_default();
    let rows = [
        ("pod", pod_name(attachment)),
        ("container", id.container_id),
        ("interface", id.ifname),
        ("addresses", attachment.addresses.join(", ")),
        ("veth", attachment.host_link.clone()),
        ("mtu", attachment.mtu.to_string()),
        ("state", attachment.phase.clone()),
        ("age", age(attachment)),
        ("network", attachment.network.clone()),
        (
            "netns",
            if attachment.netns.is_empty() { "not known".to_owned() } else { attachment.netns.clone() },
        ),
    ];
    rows.iter().map(|(key, value)| format!("{key:<10} {value}\n")).collect()
}

fn fact_table(facts: &[Fact]) -> String {
    let rows = facts.iter().map(|fact| {
        let mark = if is_drift(fact) { "!" } else { "" };
        let (desired, observed) = (short(&fact.desired), short(&fact.observed));
        [mark.to_owned(), fact.side.clone(), fact.subject.clone(), desired, observed, fact.verdict.clone()]
    });
    table(&["", "SIDE", "WHAT", "DESIRED", "OBSERVED", "VERDICT"], rows)
}

/// A value in a cell: JSON has the long ones (aliases) whole.
fn short(text: &str) -> String {
    match text.char_indices().nth(32) {
        _ if text.is_empty() => "-".to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_drift(fact: &Fact) -> bool {
    matches!(fact.verdict.as_str(), "missing" | "differs" | "extra")
}

fn table<const N: usize>(header: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn attachment_json(attachment: &Attachment) -> Value {
    let id = attachment.id.clone().unwrap_or_default();
    let pod = attachment.pod.clone().unwrap_or_default();
    json!({
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "containerID": id.container_id,
        "ifname": id.ifname,
        "addresses": attachment.addresses,
        "veth": attachment.host_link,
        "mtu": attachment.mtu,
        "state": attachment.phase,
        "created": created(attachment).map(|time| time.to_string()),
        "ageSeconds": age_seconds(attachment),
        "network": attachment.network,
        "netns": attachment.netns,
    })
}

fn fact_json(fact: &Fact) -> Value {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "side": fact.side,
        "subject": fact.subject,
        "desired": optional(&fact.desired),
        "observed": optional(&fact.observed),
        "verdict": fact.verdict,
    })
}

fn pod_name(attachment: &Attachment) -> String {
    attachment.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name)).unwrap_or_default()
}

fn container_id(attachment: &Attachment) -> String {
    attachment.id.as_ref().map(|id| id.container_id.clone()).unwrap_or_default()
}

fn created(attachment: &Attachment) -> Option<Timestamp> {
    Timestamp::from_millisecond(attachment.created_unix_ms).ok()
}

fn age_seconds(attachment: &Attachment) -> i64 {
    created(attachment).map_or(0, |created| Timestamp::now().duration_since(created).as_secs().max(0))
}

/// The age as kubectl prints it: the largest unit, and the next one while it matters.
fn age(attachment: &Attachment) -> String {
    human_age(age_seconds(attachment))
}

fn human_age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (121, "2m1s"),
            (700, "11m"),
            (7300, "121m"),
            (90_000, "25h"),
            (200_000, "2d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_age(seconds), text);
        }
    }

    #[test]
    fn an_empty_table_is_its_header() {
        assert_eq!(pods(Vec::new(), Format::Table), "POD  ADDRESSES  VETH  MTU  STATE  AGE  CONTAINER\n");
        assert_eq!(pods(Vec::new(), Format::Json), "[]\n");
    }

    #[test]
    fn drift_is_marked() {
        let fact = |subject: &str, verdict: &str| Fact {
            side: "host".to_owned(),
            subject: subject.to_owned(),
            desired: "up".to_owned(),
            observed: String::new(),
            verdict: verdict.to_owned(),
        };
        let response = ShowAttachmentResponse {
            attachment: Some(Attachment::default()),
            facts: vec![fact("state", "ok"), fact("route 2001:db8::5/128", "missing")],
        };
        let text = attachment(response, Format::Table);
        assert!(text.contains("\n!  host  route 2001:db8::5/128  up       -         missing\n"), "{text}");
        assert!(text.ends_with("1 differences, marked !\n"));
    }
}
