//! Our encoder against nft: what it makes of the same rules, what it sends, and what it shows of what we have sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use flock_core::nft::{
    Batch, Chain, ChainType, Data, Expr, Family, Hook, HookPoint, Key, Name, Observed, Op, Policy, Rule, Set,
    SetFlag, SetType, Table, TableId, Type, Value, Verdict, delta, examples,
};
use flock_kernel::linux::LinuxKernel;
use flock_kernel::linux::nft::{bytes, listing};
use flock_kernel::{Firewall, KernelError};
use nftables::schema::{NfListObject, NfObject};

use crate::Body;
use crate::ground::{Ground, Pod};
use crate::marks::nft;

pub(crate) fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("rules_are_the_instructions_that_nft_makes", instructions),
        ("rules_are_the_bytes_that_nft_sends", sent_bytes),
        ("the_kernel_holds_the_instructions_that_nft_makes", held_instructions),
        ("nft_lists_what_was_meant", lists),
        ("a_table_is_read_back_as_it_was_committed", read_back),
        ("a_batch_may_be_larger_than_a_message_or_a_buffer", large),
        ("a_batch_is_carried_out_whole_or_not_at_all", whole),
        ("a_refused_operation_is_named", named),
        ("a_change_of_one_thing_leaves_the_others_alone", one_thing),
        ("an_agent_that_comes_back_changes_nothing", comes_back),
        ("a_table_made_by_text_is_taken_over", taken_over),
        ("a_dead_agents_table_stays", dead_agent),
    ]
}

fn id(family: Family) -> TableId {
    TableId { family, name: "t".into() }
}

fn name(text: &str) -> Name {
    text.into()
}

/// The example rules, each in a chain of its own, with all that they refer to. In a table of one family, only those
/// that nft would not write differently because the family goes without saying.
fn table(family: Family) -> Table {
    let rules = examples::rules().into_iter().filter(|rule| {
        let text = rule.to_string();
        let other = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match family {
            Family::Inet => true,
            Family::Ip => !other(&["ip6 ", "icmpv6"]),
            Family::Ip6 => !other(&["ip saddr", "ip daddr"]),
        }
    });
    let chain = |rules| Chain { hook: None, rules };
    let chains = (1..).zip(rules).map(|(number, rule)| (format!("c{number}").into(), chain(vec![rule])));
    let sets =
        examples::sets().into_iter().map(|(set, kind)| (name(set), Set { kind, elements: BTreeMap::new() }));
    Table {
        chains: chains.chain([(name("x"), chain(vec![]))]).collect(),
        sets: sets.collect(),
        counters: [name("seen")].into(),
    }
}

/// The rules of a table, chain by chain, in the order of their names.
fn rules(table: &Table) -> impl Iterator<Item = (&Name, &Rule)> {
    table.chains.iter().flat_map(|(name, chain)| chain.rules.iter().map(move |rule| (name, rule)))
}

fn text(family: Family, table: &Table) -> String {
    delta(&id(family), None, Some(table)).to_string()
}

const FAMILIES: [Family; 3] = [Family::Inet, Family::Ip, Family::Ip6];

/// Blocks of instructions with the chain that they are of.
fn blocks(shown: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    for line in shown.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["inet" | "ip" | "ip6", "t", chain, ..] => blocks.push(((*chain).to_owned(), Vec::new())),
            ["[", ..] => {
                let line = line.split(']').next().unwrap_or(line).trim().to_owned() + " ]";
                // Flags that the kernel has told of.
                let line = if line.contains("lookup") { line.replace(" 0x0 ]", " ]") } else { line };
                blocks.last_mut().into_iter().for_each(|(_, block)| block.push(line.clone()));
            }
            _ => {}
        }
    }
    blocks.retain(|(_, block)| !block.is_empty());
    blocks
}

fn expected(family: Family, table: &Table) -> Vec<(String, Vec<String>)> {
    rules(table).map(|(chain, rule)| (chain.to_string(), listing(family, rule))).collect()
}

fn instructions(_: &Ground) -> Result<()> {
    for family in FAMILIES {
        let table = table(family);
        let shown = nft(&["--debug=netlink", "-c", "-f", "-"], &text(family, &table))?;
        let (found, expected) = (blocks(&shown), expected(family, &table));
        ensure!(found.len() == expected.len(), "{shown}");
        for (found, expected) in found.iter().zip(&expected) {
            ensure!(found == expected, "{family}: nft makes {found:#?}\nwe make {expected:#?}");
        }
    }
    Ok(())
}

/// The attributes of the messages that add rules, as nft shows them.
fn messages(shown: &str) -> Vec<Vec<u8>> {
    let (mut messages, mut current): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    let mut kind = String::new();
    for line in shown.lines() {
        // Colours, which nft shows to everybody.
        let line: String = line
            .split('\x1b')
            .enumerate()
            .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
            .collect();
        let cell = line.trim_start_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
        if line.contains("type | flags") {
            kind = cell.first().map_or("", |word| *word).to_owned();
        } else if line.contains("extra header") {
            messages.extend(current.take());
            // NFT_MSG_NEWRULE.
            current = (kind == "02566").then(Vec::new);
        } else if line.contains("|len |flags| type|") {
            let (length, flags, kind) = (cell[0].parse::<u16>(), cell[1], cell[2].parse::<u16>());
            if let (Some(bytes), Ok(length), Ok(kind)) = (&mut current, length, kind) {
                let nested = if flags.starts_with('N') { 0x8000 } else { 0 };
                bytes.extend([length.to_ne_bytes(), (kind | nested).to_ne_bytes()].concat());
            }
        } else if line.contains("data")
            && let Some(bytes) = &mut current
        {
            let words = cell[0].split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok());
            bytes.extend(words);
        }
    }
    messages.extend(current);
    messages
}

/// The attributes of a list, a header and a value each.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])).max(4);
        all.push((u16::from_ne_bytes([bytes[2], bytes[3]]), &bytes[4..length.min(bytes.len())]));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// An expression: its name, and its attributes by their numbers.
type Expression = (String, Vec<(u16, Vec<u8>)>);

/// Expressions without the one attribute that nft adds: the number that it has given a set itself, besides its name.
fn comparable(expressions: &[u8]) -> Vec<Expression> {
    let all = attributes(expressions).into_iter().map(|(_, expression)| {
        let parts = attributes(expression);
        let kind = String::from_utf8_lossy(parts[0].1).into_owned();
        let data = attributes(parts.get(1).map_or(&[], |part| part.1));
        let is_set_number = |at: u16| kind.starts_with("lookup") && at == 4;
        let kept =
            data.into_iter().filter(|(at, _)| !is_set_number(*at)).map(|(at, value)| (at, value.to_vec()));
        let kept = kept.collect();
        (kind, kept)
    });
    all.collect()
}

fn sent_bytes(_: &Ground) -> Result<()> {
    for family in FAMILIES {
        let table = table(family);
        let shown = nft(&["--debug=mnl", "-c", "-f", "-"], &text(family, &table))?;
        let sent = messages(&shown);
        ensure!(sent.len() == rules(&table).count(), "{} messages", sent.len());
        for (sent, (_, rule)) in sent.iter().zip(rules(&table)) {
            let attributes = attributes(sent);
            // NFTA_RULE_EXPRESSIONS.
            let expressions = attributes.iter().find(|(kind, _)| kind & 0xfff == 4).map(|(_, value)| *value);
            let (theirs, ours) =
                (comparable(expressions.unwrap_or_default()), comparable(&bytes(family, rule)));
            ensure!(theirs == ours, "{family} {rule}: nft sends {theirs:02x?}\nwe send {ours:02x?}");
        }
    }
    Ok(())
}

fn held_instructions(ground: &Ground) -> Result<()> {
    for family in FAMILIES {
        let table = table(family);
        ground.wait(ground.kernel.replace_table(&id(family), Some(&table)))?;
        let (kind, t) = (family.to_string(), "t");
        let shown = nft(&["--debug=netlink", "list", "table", &kind, t], "")?;
        let mut found = blocks(&shown);
        found.sort();
        let mut expected = expected(family, &table);
        expected.sort();
        for (found, expected) in found.iter().zip(&expected) {
            ensure!(found == expected, "{family}: the kernel has {found:#?}\nwe mean {expected:#?}");
        }
        ensure!(found.len() == expected.len(), "{shown}");
    }
    Ok(())
}

/// The examples, with elements in their sets and hooks.
fn filled(family: Family) -> Result<Table> {
    let mut table = table(family);
    let fields = |values: &[Value]| Key::Fields(values.to_vec());
    let v4 = |text: &str| Ok::<_, anyhow::Error>(Value::Ipv4Addr(text.parse()?));
    let v6 = |text: &str| Ok::<_, anyhow::Error>(Value::Ipv6Addr(text.parse()?));
    let link = |text: &str| Ok::<_, anyhow::Error>(Value::Ifname(text.parse()?));
    let (tcp, port) = (Value::InetProto(6), Value::InetService(8080));
    let verdict = |verdict| Some(Data::Verdict(verdict));
    let elements: Vec<(&str, Key, Option<Data>)> = vec![
        ("s4", v4("192.0.2.1")?.into(), None),
        ("s4", v4("192.0.2.2")?.into(), None),
        ("s6", v6("2001:db8::1")?.into(), None),
        ("blocks", Key::Interval(v4("10.0.0.0")?, v4("10.255.255.255")?), None),
        ("blocks", Key::Interval(v4("192.0.2.7")?, v4("192.0.2.7")?), None),
        ("blocks", Key::Interval(v4("198.51.100.3")?, v4("198.51.100.77")?), None),
        ("blocks", Key::Interval(v4("198.51.100.78")?, v4("198.51.100.80")?), None),
        ("blocks", Key::Interval(v4("240.0.0.0")?, v4("255.255.255.255")?), None),
        ("ports", fields(&[tcp.clone(), port.clone()]), None),
        ("sources", fields(&[link("flock0a")?, v4("192.0.2.1")?]), None),
        ("sources6", fields(&[link("flock0a")?, v6("2001:db8::1")?]), None),
        ("named", fields(&[link("flock0a")?, tcp, port]), None),
        ("hairpin", fields(&[link("flock0a")?, link("flock0a")?]), None),
        ("by-mark", Value::Mark(0x0010_0000).into(), verdict(Verdict::Goto(name("x")))),
        ("by-mark", Value::Mark(0xfff0_0000).into(), verdict(Verdict::Jump(name("x")))),
        ("by-link", link("flock0a")?.into(), verdict(Verdict::Accept)),
        ("by-link", link("flock0b")?.into(), verdict(Verdict::Drop)),
        ("by-link", link("flock0c")?.into(), verdict(Verdict::Return)),
        ("marks", link("flock0a")?.into(), Some(Data::Value(Value::Mark(7)))),
    ];
    for (set, key, data) in elements {
        table.sets.get_mut(set).context("no set")?.elements.insert(key, data);
    }
    let timeout = SetType { flags: [SetFlag::Timeout].into(), ..SetType::set([Type::Ipv4Addr]) };
    table
        .sets
        .insert(name("fqdn"), Set { kind: timeout, elements: [(v4("192.0.2.9")?.into(), None)].into() });
    let hooks = [
        ("h1", ChainType::Filter, HookPoint::Prerouting, -300, Policy::Accept),
        ("h2", ChainType::Filter, HookPoint::Input, -10, Policy::Drop),
        ("h3", ChainType::Filter, HookPoint::Forward, -9, Policy::Accept),
        ("h4", ChainType::Route, HookPoint::Output, -99, Policy::Accept),
        ("h5", ChainType::Nat, HookPoint::Postrouting, 100, Policy::Accept),
    ];
    for (chain, kind, point, priority, policy) in hooks {
        let hook = Some(Hook { kind, point, priority, policy });
        let rules = vec![Rule::from([Expr::Counter]), Rule::from([Expr::Verdict(Verdict::Jump(name("x")))])];
        table.chains.insert(name(chain), Chain { hook, rules });
    }
    Ok(table)
}

/// What `nft -j` lists, without what differs between one table and its copy: handles, comments, who owns it, order.
fn listed(family: Family) -> Result<Vec<String>> {
    let json = nft(&["-j", "list", "table", &family.to_string(), "t"], "")?;
    let listed: serde_json::Value = serde_json::from_str(&json)?;
    let objects = listed["nftables"].as_array().context("no list")?;
    let mut all = Vec::new();
    for object in objects.iter().filter(|object| object.get("metainfo").is_none()) {
        all.push(comparable_object(object).with_context(|| object.to_string())?);
    }
    // Rules stay in order within their chain.
    all.sort_by_key(|(chain, object)| {
        (chain.clone(), if chain.is_empty() { object.clone() } else { String::new() })
    });
    Ok(all.into_iter().map(|(_, object)| object).collect())
}

/// The chain of a rule, and the object as the crate has read it.
fn comparable_object(object: &serde_json::Value) -> Result<(String, String)> {
    let text = object.to_string();
    let Ok(NfObject::ListObject(mut object)) = serde_json::from_str(&text) else { return unknown(object) };
    let mut chain = String::new();
    match &mut object {
        NfListObject::Table(table) => table.handle = None,
        NfListObject::Chain(chain) => chain.handle = None,
        NfListObject::Rule(rule) => {
            chain = rule.chain.to_string();
            (rule.handle, rule.index, rule.comment) = (None, None, None);
        }
        NfListObject::Set(set) => set.handle = None,
        NfListObject::Map(map) => map.handle = None,
        NfListObject::Counter(counter) => counter.handle = None,
        _ => {}
    }
    Ok((chain, serde_json::to_string(&object)?))
}

/// What the crate cannot read: maps to verdicts, and bits that are not set. These are compared as they are.
fn unknown(object: &serde_json::Value) -> Result<(String, String)> {
    let mut object = object.clone();
    let (kind, fields) =
        object.as_object_mut().and_then(|object| object.iter_mut().next()).context("nothing")?;
    let text = fields.to_string();
    ensure!(text.contains("\"map\":\"verdict\"") || text.contains("\"op\":\"!\""), "{kind}: {text}");
    let fields = fields.as_object_mut().context("no object")?;
    ["handle", "comment"].iter().for_each(|part| drop(fields.remove(*part)));
    let chain = fields.get("chain").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok((chain, object.to_string()))
}

/// A table that we have sent is listed as the one that nft has made of the text.
fn lists(ground: &Ground) -> Result<()> {
    let other = Pod::new()?;
    for family in FAMILIES {
        let table = filled(family)?;
        ground.wait(ground.kernel.replace_table(&id(family), Some(&table)))?;
        let text = text(family, &table);
        let by_nft = other.run(|| {
            nft(&["-f", "-"], &text)?;
            listed(family)
        })?;
        let ours = listed(family)?;
        ensure!(ours.len() == by_nft.len(), "{ours:#?}\n\n{by_nft:#?}");
        for (ours, theirs) in ours.iter().zip(&by_nft) {
            ensure!(ours == theirs, "{family}: ours is listed as\n{ours}\nnft's as\n{theirs}");
        }
        ensure!(ours.iter().filter(|line| line.contains("\"rule\"")).count() == rules(&table).count());
    }
    Ok(())
}

fn read_back(ground: &Ground) -> Result<()> {
    let other = Pod::new()?;
    for family in FAMILIES {
        let table = filled(family)?;
        ground.wait(ground.kernel.replace_table(&id(family), Some(&table)))?;
        let found = ground.wait(ground.kernel.table(&id(family)))?.context("no table")?;
        ensure!(found == Observed::of(&table), "{found:#?}\n\n{table:#?}");
        // The same of what nft has made, but for the rules' fingerprints.
        let text = text(family, &table);
        let by_nft = other.run(|| {
            nft(&["-f", "-"], &text)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(async { LinuxKernel::open()?.table(&id(family)).await })?)
        })?;
        let by_nft = by_nft.context("no table")?;
        ensure!((&by_nft.sets, &by_nft.counters) == (&found.sets, &found.counters), "{:#?}", by_nft.sets);
        ensure!(by_nft.chains.keys().eq(found.chains.keys()));
    }
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), None))?;
    ensure!(ground.wait(ground.kernel.table(&id(Family::Ip)))?.is_none());
    Ok(())
}

fn addresses(count: u32) -> Set {
    let address = |number: u32| Value::Ipv4Addr(number.into()).into();
    Set {
        kind: SetType::set([Type::Ipv4Addr]),
        elements: (0..count).map(|number| (address(number), None)).collect(),
    }
}

fn large(ground: &Ground) -> Result<()> {
    let mut table = Table { sets: [(name("s"), addresses(100_000))].into(), ..Table::default() };
    // Long names: as many elements as one message may have do not fit into it.
    let chain: Name = "c".repeat(200).into();
    table.chains.insert(chain.clone(), Chain::default());
    let verdict = Some(Data::Verdict(Verdict::Goto(chain)));
    let elements = (0..3000).map(|number| (Value::Mark(number).into(), verdict.clone())).collect();
    table.sets.insert(name("m"), Set { kind: SetType::verdicts([Type::Mark]), elements });
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
    let found = ground.wait(ground.kernel.table(&id(Family::Ip)))?.context("no table")?;
    ensure!(
        found == Observed::of(&table),
        "{} and {} elements",
        found.sets["s"].elements.len(),
        found.sets["m"].elements.len()
    );
    table.sets.insert(name("s"), addresses(10));
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
    let found = ground.wait(ground.kernel.table(&id(Family::Ip)))?.context("no table")?;
    ensure!(found == Observed::of(&table), "{} elements", found.sets["s"].elements.len());
    Ok(())
}

fn add(set: &str, address: u32) -> (TableId, Op) {
    (id(Family::Ip), Op::AddElement(name(set), Value::Ipv4Addr(address.into()).into(), None))
}

fn whole(ground: &Ground) -> Result<()> {
    let table = Table { sets: [(name("s"), addresses(3))].into(), ..Table::default() };
    let batch = Batch { ops: vec![add("s", 7), add("s", 8)] };
    ensure!(ground.wait(ground.kernel.commit(&batch)).is_err(), "the table is not known");
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
    ground.wait(ground.kernel.commit(&batch))?;
    let count = || {
        let found = ground.wait(ground.kernel.table(&id(Family::Ip)))?.context("no table")?;
        Ok::<_, anyhow::Error>(found.sets["s"].elements.len())
    };
    ensure!(count()? == 5);
    let missing = (id(Family::Ip), Op::DeleteSet(name("missing")));
    let batch = Batch { ops: vec![add("s", 9), missing] };
    ensure!(ground.wait(ground.kernel.commit(&batch)).is_err());
    ensure!(count()? == 5);
    // What the table holds is not known any more, and it is read back.
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
    ensure!(count()? == 3);
    Ok(())
}

fn named(ground: &Ground) -> Result<()> {
    let table = Table { sets: [(name("s"), addresses(3))].into(), ..Table::default() };
    ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
    for (batch, text) in [
        (
            vec![add("s", 9), (id(Family::Ip), Op::DeleteChain(name("none")))],
            "nftables: delete chain ip t none",
        ),
        (vec![add("s", 9), add("t", 1), add("t", 2)], "nftables: add element ip t t { 0.0.0.1 } and 1 more"),
    ] {
        ground.wait(ground.kernel.replace_table(&id(Family::Ip), Some(&table)))?;
        let Err(KernelError::Step { action, cause }) =
            ground.wait(ground.kernel.commit(&Batch { ops: batch }))
        else {
            anyhow::bail!("not refused: {text}");
        };
        ensure!(action == text && cause.kind() == std::io::ErrorKind::NotFound, "{action}: {cause}");
    }
    Ok(())
}

/// Handles tell a chain, a rule or a set from its successor.
fn one_thing(ground: &Ground) -> Result<()> {
    let mut table = filled(Family::Inet)?;
    ground.wait(ground.kernel.replace_table(&id(Family::Inet), Some(&table)))?;
    let handles = || nft(&["-a", "list", "table", "inet", "t"], "");
    let before = handles()?;
    ground.wait(ground.kernel.replace_table(&id(Family::Inet), Some(&table)))?;
    ensure!(handles()? == before);
    let key = Key::from(Value::Ipv4Addr([192, 0, 2, 77].into()));
    table.sets.get_mut("s4").context("no set")?.elements.insert(key.clone(), None);
    ground.wait(ground.kernel.replace_table(&id(Family::Inet), Some(&table)))?;
    let with = handles()?;
    ensure!(with.matches("192.0.2.77").count() == 1, "{with}");
    let kept = |text: &str| {
        text.lines().filter(|line| line.contains("# handle")).map(str::to_owned).collect::<Vec<_>>()
    };
    ensure!(kept(&with) == kept(&before), "{before}\n{with}");
    table.sets.get_mut("s4").context("no set")?.elements.remove(&key);
    ground.wait(ground.kernel.replace_table(&id(Family::Inet), Some(&table)))?;
    ensure!(kept(&handles()?) == kept(&before));
    Ok(())
}

fn comes_back(ground: &Ground) -> Result<()> {
    let table = filled(Family::Inet)?;
    ground.wait(async { LinuxKernel::open()?.replace_table(&id(Family::Inet), Some(&table)).await })?;
    let handles = || nft(&["-a", "list", "table", "inet", "t"], "");
    let without_owner = |text: String| {
        text.lines()
            .filter(|line| !line.contains("table inet t") && !line.starts_with("\tflags"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    wait_for_orphan()?;
    let before = without_owner(handles()?);
    ground.wait(ground.kernel.replace_table(&id(Family::Inet), Some(&table)))?;
    let after = without_owner(handles()?);
    ensure!(after == before, "{before:#?}\n\nbecame\n{after:#?}");
    let refused = nft(&["delete", "table", "inet", "t"], "");
    ensure!(refused.is_err(), "the table has no owner again");
    Ok(())
}

/// A thread's socket is closed a moment after its owner is gone.
fn wait_for_orphan() -> Result<()> {
    for _ in 0..200 {
        // An owner is shown in the table's line or as a flag; whoever is no owner may not change it.
        if nft(&["add", "counter", "inet", "t", "probe"], "").is_ok() {
            return nft(&["delete", "counter", "inet", "t", "probe"], "").map(drop);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    anyhow::bail!("the table still has an owner")
}

/// Without a gap: it is one transaction. And on both kinds of kernels.
fn taken_over(ground: &Ground) -> Result<()> {
    let table = filled(Family::Inet)?;
    let unowned = ground.kernel.clone().without_table_owners();
    for kernel in [&unowned, &ground.kernel] {
        nft(&["-f", "-"], FORMER)?;
        ground.wait(kernel.replace_table(&id(Family::Inet), Some(&table)))?;
        let found = ground.wait(kernel.table(&id(Family::Inet)))?.context("no table")?;
        ensure!(found == Observed::of(&table), "{found:#?}");
        ground.wait(kernel.replace_table(&id(Family::Inet), None))?;
    }
    Ok(())
}

/// As flock has written tables by text: anonymous maps, sets and chains of the same names but other contents.
const FORMER: &str = "table inet t {
    set s4 { type ipv4_addr; elements = { 198.51.100.53 } }
    set s6 { type ipv6_addr; flags interval; elements = { 2001:db8::/64 } }
    map by-link { type ifname : verdict; elements = { \"flock0a\" : goto x } }
    chain x { }
    chain steer-1 { meta mark set meta mark & 0x000fffff | 0x00100000; }
    chain c1 { iifname vmap { \"flock0000000a\" : goto steer-1 }; ip saddr @s4 goto x; }
    chain h1 { type filter hook prerouting priority -99; policy accept; ip daddr @s4 goto c1; iifname vmap @by-link; }
    chain revision-accdef76cee9d3f6 { }
}";

fn dead_agent(ground: &Ground) -> Result<()> {
    let table = filled(Family::Inet)?;
    ground.wait(async { LinuxKernel::open()?.replace_table(&id(Family::Inet), Some(&table)).await })?;
    wait_for_orphan()?;
    let found =
        ground.wait(async { LinuxKernel::open()?.table(&id(Family::Inet)).await })?.context("no table")?;
    ensure!(found == Observed::of(&table), "{found:#?}");
    Ok(())
}
