//! Damage to what the agent keeps: files that are not what they were, a disk that is full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flock_tests::{Netns, Node, Pod, Router, World, trials};
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        a_corrupt_record_is_set_aside_and_rebuilt,
        a_truncated_record_is_set_aside_and_rebuilt,
        a_record_of_a_later_release_is_not_overwritten,
        a_corrupt_record_of_a_dead_sandbox_does_not_stop_the_agent,
        a_full_disk_fails_add_and_leaves_nothing,
        a_full_disk_does_not_stop_del,
    ]
}

/// Puts `damage` in place of a pod's record while the agent is away, and starts it again.
fn damaged(world: &World, damage: &[u8]) -> Result<()> {
    let site = world.site()?;
    let (pod, other) = (site.node.run(&Pod::new("web-0"))?, site.node.run(&Pod::new("web-1"))?);
    let record = site.node.record(&pod.sandbox)?;
    site.agent.terminate()?;
    fs::write(&record, damage)?;
    let agent = site.node.start_agent()?;
    ensure!(
        set_aside(&site.node.run_dir(), damage)?,
        "the damaged file should be kept for people to look at"
    );
    let name = record.file_name().context("a record without a name")?.to_string_lossy().into_owned();
    ensure!(agent.log()?.contains(&name), "the log should name {name}");
    pod.answers(&site.node.netns)?;
    other.answers(&site.node.netns)?;
    ensure!(same_addresses(&site.node, &pod)?);
    let third = site.node.run(&Pod::new("web-2"))?;
    ensure!(pod.addresses().iter().all(|address| !third.addresses().contains(address)), "an address twice");
    for gone in [&pod, &other, &third] {
        site.node.del(&gone.sandbox)?.success()?;
    }
    site.node.ensure_empty()
}

fn same_addresses(node: &Node, pod: &flock_tests::Attached) -> Result<bool> {
    let again = node.add(&pod.sandbox)?.result()?;
    Ok(flock_tests::sandbox::addresses(&again) == pod.addresses())
}

/// Whether some file other than a record has this content.
fn set_aside(dir: &Path, content: &[u8]) -> Result<bool> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            !path.ends_with("attachments") && set_aside(&path, content)?
        } else {
            path.is_file() && fs::read(&path)? == content
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn a_corrupt_record_is_set_aside_and_rebuilt(world: &World) -> Result<()> {
    damaged(world, b"\x00\x01garbage")
}

fn a_truncated_record_is_set_aside_and_rebuilt(world: &World) -> Result<()> {
    damaged(world, b"{\"version\": 1, \"id\": \"trunc")
}

fn a_record_of_a_later_release_is_not_overwritten(world: &World) -> Result<()> {
    damaged(world, b"{\"version\": 999}")
}

fn a_corrupt_record_of_a_dead_sandbox_does_not_stop_the_agent(world: &World) -> Result<()> {
    let site = world.site()?;
    let pod = site.node.run(&Pod::new("web-0"))?;
    let record = site.node.record(&pod.sandbox)?;
    site.agent.kill()?;
    fs::write(&record, "garbage")?;
    Netns::remove(pod.sandbox.netns.name());
    let _agent = site.node.start_agent()?;
    site.node.del(&pod.sandbox)?.success()?;
    site.node.ensure_empty()
}

/// A small file system in memory; unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn on(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
            .arg(&dir)
            .status()?;
        ensure!(mount.success(), "mount on {}", dir.display());
        Ok(Self(dir))
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut filler = fs::File::create(&path)?;
        while filler.write_all(&[0; 4096]).is_ok() {}
        Ok(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

fn small_disk<'w>(router: &Router<'w>) -> Result<(Node<'w>, Tmpfs)> {
    let node = router.node("node-a")?;
    node.configure(&node.config())?;
    let tmpfs = Tmpfs::on(node.run_dir())?;
    Ok((node, tmpfs))
}

fn a_full_disk_fails_add_and_leaves_nothing(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let (node, tmpfs) = small_disk(&router)?;
    let _agent = node.start_agent()?;
    let warm = node.run(&Pod::new("web-0"))?;
    node.del(&warm.sandbox)?.success()?;
    let sandbox = node.sandbox("web-0")?;
    let filler = tmpfs.fill()?;
    node.add(&sandbox)?.error()?.is(5, &[&node.run_dir().display().to_string()])?;
    node.ensure_empty()?;
    ensure!(sandbox.netns.links()? == ["lo"]);
    fs::remove_file(filler)?;
    ensure!(flock_tests::sandbox::addresses(&node.add(&sandbox)?.result()?).len() == 2);
    Ok(())
}

/// Nothing would ever free the space otherwise.
fn a_full_disk_does_not_stop_del(world: &World) -> Result<()> {
    let router = Router::new(world)?;
    let (node, tmpfs) = small_disk(&router)?;
    let _agent = node.start_agent()?;
    let pod = node.run(&Pod::new("web-0"))?;
    tmpfs.fill()?;
    node.del(&pod.sandbox)?.success()?;
    node.ensure_empty()
}
