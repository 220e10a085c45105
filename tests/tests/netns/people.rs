//! What people are shown.

use anyhow::{Context, Result, ensure};
use flock_tests::{Outcome, Pod, Router, World, trials};
use libtest_mimic::Trial;
use serde_json::Value;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        pods_are_listed_as_a_table_and_as_json,
        an_attachment_is_shown_with_its_drift,
        errors_are_one_line_that_says_what_to_do,
        a_call_explains_itself_to_who_asks_for_more_logs,
    ]
}

fn says(outcome: &Outcome, words: &[&str]) -> Result<()> {
    ensure!(outcome.code == Some(0), "{outcome:?}");
    words.iter().try_for_each(|word| {
        ensure!(outcome.stdout.contains(word), "{word} should be there:\n{}", outcome.stdout);
        Ok(())
    })
}

fn pods_are_listed_as_a_table_and_as_json(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let (v6, v4, host) = (pod.v6()?.to_string(), pod.v4()?.to_string(), pod.host_link()?);
    let words = ["default/web-0", &v6, &v4, &host, "1500", "Ready"];
    says(&site.node.ctl(&["pods"])?, &words)?;
    let json = site.node.ctl(&["pods", "-o", "json"])?;
    says(&json, &["web-0", &v6, &v4, &host, "Ready"])?;
    serde_json::from_str::<Value>(&json.stdout).context("-o json should print JSON")?;
    site.node.del(&pod.sandbox)?.success()?;
    let empty = site.node.ctl(&["pods"])?;
    says(&empty, &[])?;
    ensure!(!empty.stdout.contains("web-0"), "{}", empty.stdout);
    Ok(())
}

fn an_attachment_is_shown_with_its_drift(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let id = pod.sandbox.container.clone();
    let v6 = pod.v6()?.to_string();
    for selector in [id.as_str(), &format!("{id}@eth0"), "default/web-0"] {
        let shown = site.node.ctl(&["attachment", selector])?;
        says(&shown, &["default/web-0", &v6, &id])?;
        ensure!(!shown.stdout.contains("missing"), "{}", shown.stdout);
    }
    pod.sandbox.netns.ip(&["-6", "route", "delete", "default"])?;
    says(&site.node.ctl(&["attachment", &id])?, &["route ::/0", "missing"])
}

fn errors_are_one_line_that_says_what_to_do(world: &World) -> Result<()> {
    let site = world.site()?;
    let socket = site.node.socket().display().to_string();
    let unknown = site.node.ctl(&["attachment", "ffffffff"])?;
    ensure!(unknown.code != Some(0) && unknown.stderr.contains("ffffffff"), "{unknown:?}");
    ensure!(unknown.stderr.trim().lines().count() == 1, "{unknown:?}");
    site.agent.terminate()?;
    let away = site.node.ctl(&["pods"])?;
    ensure!(away.code != Some(0) && away.stderr.contains(&socket), "{away:?}");
    ensure!(away.stderr.trim().lines().count() == 1, "{away:?}");
    Ok(())
}

/// One line of the log of `verb` for each of the words, and none at level info.
fn a_call_explains_itself_to_who_asks_for_more_logs(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let node = router.node("node-a")?;
    node.configure(&node.config())?;
    let program = world.binaries()?.agent;
    let log_of = |level: &str| {
        let before = std::fs::read_to_string(node.agent_log()).map_or(0, |log| log.len());
        let agent = node.start_program(&program, &[("RUST_LOG", level)])?;
        let pod = node.run(&Pod::new("web-0"))?;
        node.check(&pod)?.success()?;
        node.del(&pod.sandbox)?.success()?;
        let log = agent.log()?.split_off(before);
        agent.terminate()?;
        Ok::<_, anyhow::Error>((log, format!("attachment={}@eth0", pod.sandbox.container)))
    };
    let (log, _) = log_of("info")?;
    ensure!(!log.contains("{attachment="), "calls are named at level info:\n{log}");
    let (log, attachment) = log_of("flock_agent=debug,flock_kernel=debug")?;
    for (verb, words) in [
        ("ADD", &["reserved", "phase=Adding", "CreatePair", "Set(Up", "phase=Ready", "done", "close"][..]),
        ("CHECK", &["done", "close"]),
        ("DEL", &["phase=Deleting", "DeleteLink", "done", "close"]),
    ] {
        let call = format!("{verb}{{{attachment} pod=default/web-0}}");
        for word in words {
            let told = log.lines().any(|line| line.contains(&call) && line.contains(word));
            ensure!(told, "{call} says nothing of {word}:\n{log}");
        }
    }
    ensure!(log.contains("STATUS: "), "{log}");
    let (log, attachment) = log_of("flock_agent=debug,flock_kernel=trace")?;
    let call = format!("ADD{{{attachment}");
    for words in ["netlink: sending kind=16 flags=0x605 sequence=", "netlink: received kind=2 flags="] {
        ensure!(log.lines().any(|line| line.contains(&call) && line.contains(words)), "no {words}:\n{log}");
    }
    Ok(())
}
