//! What runtimes do: the same call twice, two at once, DEL of what never was.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use flock_tests::{Outcome, Pod, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        add_again_gives_the_same_answer,
        two_adds_at_once_give_the_same_answer,
        many_pods_at_once_get_different_addresses,
        add_and_del_at_once_leave_all_or_nothing,
        del_of_the_unknown_succeeds,
        del_twice_succeeds,
        del_without_netns_succeeds,
        del_after_the_namespace_is_gone_succeeds,
        a_name_that_is_taken_is_left_alone,
        a_recreated_sandbox_gets_its_own_attachment,
    ]
}

fn joined<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("a thread panicked"))?
}

fn add_again_gives_the_same_answer(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    ensure!(site.node.add(&pod.sandbox)?.result()? == pod.result);
    ensure!(site.node.netns.flock_links()?.len() == 1 && site.node.records()?.len() == 1);
    pod.answers(&site.node.netns)
}

fn two_adds_at_once_give_the_same_answer(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    // Known to the agent by now, so that nobody is told to come back.
    let warm = node.run(&Pod::new("web-0"))?;
    node.del(&warm.sandbox)?.success()?;
    let sandbox = node.sandbox("web-0")?;
    let (one, two) = thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| node.add(&sandbox)), scope.spawn(|| node.add(&sandbox)));
        Ok::<_, anyhow::Error>((joined(one)?, joined(two)?))
    })?;
    ensure!(one.result()? == two.result()?, "{one:?} {two:?}");
    ensure!(node.netns.flock_links()?.len() == 1 && node.records()?.len() == 1);
    node.del(&sandbox)?.success()?;
    node.ensure_empty()
}

fn many_pods_at_once_get_different_addresses(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    let sandboxes =
        (0..12).map(|i| node.schedule(&Pod::new(&format!("web-{i}")))).collect::<Result<Vec<_>>>()?;
    let answers = thread::scope(|scope| {
        let calls: Vec<_> =
            sandboxes.iter().map(|s| scope.spawn(|| node.add_scheduled(s)?.result())).collect();
        calls.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?;
    let addresses: Vec<_> = answers.iter().flat_map(flock_tests::sandbox::addresses).collect();
    let distinct: std::collections::BTreeSet<_> = addresses.iter().collect();
    ensure!(addresses.len() == 24 && distinct.len() == 24, "{addresses:?}");
    thread::scope(|scope| {
        let calls: Vec<_> = sandboxes.iter().map(|s| scope.spawn(|| node.del(s)?.success())).collect();
        calls.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?;
    node.ensure_empty()
}

fn add_and_del_at_once_leave_all_or_nothing(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    let pod = node.run(&Pod::new("web-0"))?;
    let (add, del) = thread::scope(|scope| {
        let add = scope.spawn(|| node.add(&pod.sandbox));
        let del = scope.spawn(|| node.del(&pod.sandbox));
        Ok::<_, anyhow::Error>((joined(add)?, joined(del)?))
    })?;
    ensure!(add.code == Some(0) && del.code == Some(0), "{add:?} {del:?}");
    ensure!(node.netns.flock_links()?.len() == node.records()?.len());
    node.del(&pod.sandbox)?.success()?;
    node.ensure_empty()
}

fn del_of_the_unknown_succeeds(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.sandbox("never-added")?;
    site.node.del(&sandbox)?.success()?;
    site.node.call("DEL", &sandbox)?.without("CNI_ARGS").run()?.success()?;
    site.node.ensure_empty()
}

fn del_twice_succeeds(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    site.node.del(&pod.sandbox)?.success()?;
    site.node.del(&pod.sandbox)?.success()?;
    site.node.ensure_empty()
}

fn del_without_netns_succeeds(world: &World) -> Result<()> {
    let site = world.site()?;
    let node = &site.node;
    let outcomes: Vec<Outcome> =
        [("web-0", None), ("web-1", Some("")), ("web-2", Some("/run/netns/flk-gone"))]
            .into_iter()
            .map(|(name, netns)| {
                let pod = node.run(&Pod::new(name))?;
                let call = node.call("DEL", &pod.sandbox)?.without("CNI_NETNS");
                let call = if let Some(path) = netns { call.env("CNI_NETNS", path) } else { call };
                call.run()
            })
            .collect::<Result<_>>()?;
    outcomes.iter().try_for_each(Outcome::success)?;
    node.ensure_empty()
}

fn del_after_the_namespace_is_gone_succeeds(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    // Its kernel object goes with the name, and both ends of the pair with that.
    flock_tests::Netns::remove(pod.sandbox.netns.name());
    site.node.del(&pod.sandbox)?.success()?;
    site.node.ensure_empty()
}

fn a_name_that_is_taken_is_left_alone(world: &World) -> Result<()> {
    let site = world.site()?;
    let sandbox = site.node.schedule(&Pod::new("web-0"))?;
    let taken = sandbox.host_link();
    site.node.netns.ip(&["link", "add", &taken, "type", "veth", "peer", "name", "foreign"])?;
    let result = site.node.add_scheduled(&sandbox)?.result()?;
    let pod = flock_tests::Attached { sandbox, result };
    let given = pod.host_link()?;
    ensure!(given != taken && given.starts_with("flock"), "{given}");
    pod.answers(&site.node.netns)?;
    site.node.check(&pod)?.success()?;
    ensure!(site.node.add(&pod.sandbox)?.result()? == pod.result);
    site.node.del(&pod.sandbox)?.success()?;
    ensure!(site.node.netns.flock_links()? == [taken]);
    Ok(())
}

fn a_recreated_sandbox_gets_its_own_attachment(world: &World) -> Result<()> {
    let site = world.site()?;
    let old = site.node.run(&Pod::new("web-0"))?;
    // The pod's new sandbox comes before the old one's DEL, as after a crash of the runtime.
    let new = site.node.run(&Pod::new("web-0"))?;
    ensure!(old.addresses().iter().all(|address| !new.addresses().contains(address)));
    site.node.del(&old.sandbox)?.success()?;
    new.answers(&site.node.netns)?;
    site.node.check(&new)?.success()
}
