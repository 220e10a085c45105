//! A node's containerd.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flock_tests::eventually;

use super::{Member, config};
use crate::images;
use crate::kubectl::PATIENCE;
use crate::machine::Process;
use crate::plan::Runtime;

/// The folder of the runtime's programs.
fn program(member: &Member, name: &str) -> PathBuf {
    match member.runtime {
        Runtime::Containerd2 => member.site.programs.built(name),
        Runtime::Containerd1 => PathBuf::from("/usr/bin").join(name),
    }
}

/// Starts it and waits until it answers.
pub(super) fn start(member: &Member) -> Result<Process> {
    let machine = member.machine()?;
    let mut command = machine.command(&program(member, "containerd"));
    command.arg("--config").arg(config::containerd_file(member));
    let mut process = machine.start(command, &member.log("containerd"))?;
    let ctr = program(member, "ctr").display().to_string();
    process.serving(|| machine.run(&[&ctr, "version"]).map(drop))?;
    Ok(process)
}

/// Imports all images. What is there already is not imported twice.
pub(super) fn import(member: &Member) -> Result<()> {
    let ctr = program(member, "ctr").display().to_string();
    for archive in images::archives(&member.site.programs, &member.site.plan) {
        let file = archive.display().to_string();
        // Its plugins take a moment longer than its socket.
        eventually(PATIENCE, || {
            member.machine()?.run(&[&ctr, "--namespace=k8s.io", "images", "import", &file])
        })
        .with_context(|| format!("import {file} on {}", member.name))?;
    }
    Ok(())
}
