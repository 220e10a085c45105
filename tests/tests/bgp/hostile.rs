//! Values that nobody means well by: none gets as far as BIRD's configuration, and the sessions do not notice.

use anyhow::{Context, Result, ensure};
use flock_tests::{PATIENCE, Plan, Speaker, World, eventually, trials};
use libtest_mimic::Trial;

use crate::site::ups;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        no_hostile_value_gets_as_far_as_bird,
        a_password_file_with_a_hostile_name_or_content_starts_no_session
    ]
}

/// Where a value is put, and how its path is told.
const FIELDS: &[(&str, &str)] = &[
    ("asn: VALUE", "spec.bgp.asn"),
    ("asn: 65001, routerID: VALUE", "spec.bgp.routerID"),
    ("asn: 65001, listenPort: VALUE", "spec.bgp.listenPort"),
    ("asn: 65001, aggregation: VALUE", "spec.bgp.aggregation"),
    ("asn: 65001, import: {prefixes: [{cidr: VALUE}]}", "spec.bgp.import.prefixes[0].cidr"),
    ("asn: 65001, import: {prefixes: [{cidr: '::/0', le: VALUE}]}", "spec.bgp.import.prefixes[0].le"),
    ("asn: 65001, peers: [{asn: 65000, address: VALUE}]", "spec.bgp.peers[0].address"),
];

/// The same for the fields of a peer.
const PEER_FIELDS: &[(&str, &str)] = &[
    ("asn: VALUE", "asn"),
    ("port: VALUE", "port"),
    ("sourceAddress: VALUE", "sourceAddress"),
    ("passwordFile: VALUE", "passwordFile"),
    ("holdTime: VALUE", "holdTime"),
    ("keepaliveTime: VALUE", "keepaliveTime"),
    ("connectRetryTime: VALUE", "connectRetryTime"),
    ("multihop: VALUE", "multihop"),
    ("ttlSecurity: VALUE", "ttlSecurity"),
    ("bfd: {minRx: VALUE}", "bfd.minRx"),
    ("bfd: {minTx: VALUE}", "bfd.minTx"),
    ("bfd: {multiplier: VALUE}", "bfd.multiplier"),
    ("gracefulRestart: {enabled: VALUE}", "gracefulRestart.enabled"),
    ("gracefulRestart: {time: VALUE}", "gracefulRestart.time"),
    ("families: [VALUE]", "families[0]"),
    ("communities: {standard: [VALUE]}", "communities.standard[0]"),
    ("communities: {large: [VALUE]}", "communities.large[0]"),
    ("communities: {extended: [VALUE]}", "communities.extended[0]"),
    ("med: VALUE", "med"),
    ("localPref: VALUE", "localPref"),
    ("prepend: VALUE", "prepend"),
    ("importLimit: VALUE", "importLimit"),
    ("exportLimit: VALUE", "exportLimit"),
    ("passive: VALUE", "passive"),
];

/// All fields of `spec.bgp`, with their paths. Templates keep the word VALUE.
fn fields() -> Vec<(String, String)> {
    let own = FIELDS.iter().map(|(template, path)| (format!("bgp: {{{template}}}"), (*path).to_owned()));
    let of_peer = PEER_FIELDS.iter().map(|(template, path)| {
        let asn = if template.starts_with("asn") { "" } else { "asn: 65000, " };
        let peer = format!("{{address: '2001:db8:ffff:1::1', {asn}{template}}}");
        (format!("bgp: {{asn: 65001, peers: [{peer}]}}"), format!("spec.bgp.peers[0].{path}"))
    });
    own.chain(of_peer).collect()
}

/// Each begins like something that could be meant, and each carries a word to be looked for.
fn values() -> Vec<String> {
    let long = format!("hostile{}", "x".repeat(1 << 20));
    vec![
        "hostile".to_owned(),
        "1; } protocol device hostile { }".to_owned(),
        "2001:db8::1; hostile".to_owned(),
        "65001:1}hostile".to_owned(),
        "1\nhostile".to_owned(),
        "fe80::1%\";hostile".to_owned(),
        long,
    ]
}

fn no_hostile_value_gets_as_far_as_bird(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let (before, conf) = (ups(&site)?, site.nodes[0].bird_conf()?);
    for (template, path) in fields() {
        for value in values() {
            let shown: String = value.chars().take(40).collect();
            refused(site.node()?, &template, &value, &path).with_context(|| format!("{path}: {shown:?}"))?;
        }
        ensure_untouched(site.node()?, &conf).with_context(|| path)?;
    }
    ensure!(ups(&site)? == before, "the sessions were not to notice");
    site.ensure_established()
}

/// Writes a NodeConfig with the value in this place, waits until the node has refused it for that, and puts the good
/// one back, so that no refusal is taken for that of the next.
fn refused(speaker: &Speaker, template: &str, value: &str, path: &str) -> Result<()> {
    let quoted = serde_json::Value::from(value).to_string();
    speaker.node.configure(&speaker.config.clone().with(&template.replace("VALUE", &quoted)))?;
    let told = || Ok::<_, anyhow::Error>(speaker.node.ctl(&["node", "-o", "json"])?.stdout);
    eventually(PATIENCE, || {
        let shown = told()?;
        ensure!(shown.contains(&format!("{path}:")), "flockctl node should name {path}: {:.2000}", shown);
        ensure!(shown.len() < 1 << 14, "a report of {} bytes", shown.len());
        Ok(())
    })?;
    speaker.node.configure(&speaker.manifest())?;
    eventually(PATIENCE, || {
        ensure!(!told()?.contains("spec.bgp"), "the good configuration is not read yet");
        Ok(())
    })
}

/// Fails unless BIRD's configuration is what it was, and none of its files says what only the hostile values do.
fn ensure_untouched(speaker: &Speaker, conf: &str) -> Result<()> {
    ensure!(speaker.bird_conf()? == conf, "bird.conf has changed");
    let dir = speaker.bird_files().config;
    for entry in std::fs::read_dir(dir.parent().context("a file in no directory")?)? {
        let file = entry?.path();
        ensure!(!std::fs::read_to_string(&file)?.contains("hostile"), "{}", file.display());
    }
    Ok(())
}

/// A file's name is any text, and its content too; neither is trusted.
fn a_password_file_with_a_hostile_name_or_content_starts_no_session(world: &World) -> Result<()> {
    let mut site = Plan::new(world, 1)?.up()?;
    let node = site.node()?;
    let contents: &[&[u8]] = &[
        b"a\"; } protocol device hostile { }",
        b"a\nhostile",
        b"\0hostile",
        b"",
        &[b'x'; 1 << 20],
        b"\xff\xfehostile",
    ];
    for (number, content) in contents.iter().enumerate() {
        let file = node.file(&format!("hostile; }} {number}"));
        std::fs::write(&file, content)?;
        let field = format!("passwordFile: {:?}", file.display().to_string());
        let changed = flock_tests::fabric::bgp(&node.node).each(|peer| peer.with(&field));
        node.change(changed)?;
        eventually(PATIENCE * 2, || {
            let status = node.status()?;
            let reason = status["peers"][0]["reason"].to_string();
            ensure!(
                reason.contains("passwordFile") && reason.contains(&format!("hostile; }} {number}")),
                "{status}"
            );
            Ok(())
        })?;
        ensure!(!node.bird_conf()?.contains("hostile {"), "{}", node.bird_conf()?);
        let log = std::fs::read_to_string(node.node.agent_log())?;
        ensure!(!log.contains("protocol device hostile"), "a password's content is told to nobody");
    }
    Ok(())
}
