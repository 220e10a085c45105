//! The runtime's own plugin for `lo`, which it runs beside us in the same sandbox.
//!
//! The reference plugin `loopback` sets `lo` up, then lists its addresses and fails if there is one that is no loopback
//! address. A pod's anycast addresses are such. Nothing in the sandbox shows when it has looked; its end does, and the
//! runtime that executes both of us gives it `CNI_NETNS` and `CNI_IFNAME` as it gives them to us.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longer than a program takes to end on a busy node. After that the runtime may fail, and tries again.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks at a program that has not ended.
const INTERVAL: Duration = Duration::from_millis(1);

/// Waits until no program configures `lo` in the network namespace at `netns`.
pub(crate) async fn settled(proc: &Path, netns: &str) {
    let deadline = Instant::now() + TIMEOUT;
    for pid in processes(proc) {
        while configures_loopback(&proc.join(&pid), netns) && Instant::now() < deadline {
            sleep(INTERVAL).await;
        }
    }
}

fn processes(proc: &Path) -> Vec<String> {
    let names = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// A process that has ended, even one that nobody has waited for yet, has no environment any more.
fn configures_loopback(process: &Path, netns: &str) -> bool {
    let Ok(environment) = fs::read(process.join("environ")) else { return false };
    let has = |name: &str, value: &str| {
        let variable = format!("{name}={value}");
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    has("CNI_IFNAME", "lo") && has("CNI_NETNS", netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETNS: &str = "/var/run/netns/cni-1";

    fn process(proc: &Path, pid: u32, environment: &[&str]) {
        let process = proc.join(pid.to_string());
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("environ"), environment.join("\0")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_program_for_lo_of_the_same_sandbox_is_waited_for_until_it_ends() {
        let proc = tempfile::tempdir().unwrap();
        let netns = format!("CNI_NETNS={NETNS}");
        process(proc.path(), 7, &["CNI_COMMAND=ADD", "CNI_IFNAME=lo", &netns]);
        let start = Instant::now();
        let ending = async {
            sleep(Duration::from_millis(300)).await;
            // As a zombie's.
            fs::write(proc.path().join("7/environ"), "").unwrap();
        };
        tokio::join!(settled(proc.path(), NETNS), ending);
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(300) && waited < TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_end_is_not_waited_for_for_ever() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 7, &["CNI_IFNAME=lo", &format!("CNI_NETNS={NETNS}")]);
        let start = Instant::now();
        settled(proc.path(), NETNS).await;
        assert!(start.elapsed() >= TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_not_waited_for() {
        let proc = tempfile::tempdir().unwrap();
        let netns = format!("CNI_NETNS={NETNS}");
        process(proc.path(), 1, &[]);
        process(proc.path(), 7, &["CNI_IFNAME=lo", "CNI_NETNS=/var/run/netns/cni-2"]);
        process(proc.path(), 8, &["CNI_IFNAME=eth0", &netns]);
        process(proc.path(), 9, &["XCNI_IFNAME=lo", &netns]);
        fs::create_dir(proc.path().join("self")).unwrap();
        let start = Instant::now();
        settled(proc.path(), NETNS).await;
        settled(Path::new("/nowhere"), NETNS).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
