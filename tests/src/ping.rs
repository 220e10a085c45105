//! Echo requests, as a pod's neighbours see it.

use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::netns::Netns;

impl Netns {
    /// One echo request, without a second chance.
    ///
    /// # Errors
    /// When there is no answer within two seconds.
    pub fn ping(&self, address: impl Into<IpAddr>) -> Result<()> {
        let address = address.into().to_string();
        self.exec(&["ping", "-n", "-c", "1", "-W", "2", &address]).map(drop)
    }

    /// An echo request every 20 ms until [`Pinging::stop`].
    ///
    /// # Errors
    /// When `ping` cannot be started.
    pub fn keep_pinging(&self, address: impl Into<IpAddr>) -> Result<Pinging> {
        let address = address.into().to_string();
        let mut ping = command::command(&["ping", "-n", "-q", "-i", "0.02", "-W", "1", &address])?;
        ping.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Pinging { child: self.enter(|| ping.spawn())?.context("start ping")? })
    }
}

/// A `ping` in the background.
#[derive(Debug)]
pub struct Pinging {
    child: Child,
}

impl Pinging {
    /// Ends it and returns how many requests were sent and how many answered.
    ///
    /// # Errors
    /// When `ping` died before or says something unknown.
    pub fn stop(mut self) -> Result<Count> {
        ensure!(self.child.try_wait()?.is_none(), "ping has ended by itself");
        // SIGINT makes it print its summary.
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        let mut output = self.child.stdout.take().context("no pipe from ping")?;
        command::wait(&mut self.child, Duration::from_secs(5))?;
        summary(&std::io::read_to_string(&mut output)?)
    }
}

impl Drop for Pinging {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Echo requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Count {
    pub sent: u32,
    pub received: u32,
}

impl Count {
    /// Fails unless a good number was sent and all were answered. The last one may still be on its way when `ping`
    /// is told to end.
    ///
    /// # Errors
    /// Says how many were lost.
    pub fn ensure_lossless(&self) -> Result<()> {
        ensure!(self.sent > 10, "only {} echo requests were sent", self.sent);
        ensure!(
            self.received + 1 >= self.sent,
            "{} of {} echo requests were lost",
            self.sent - self.received,
            self.sent
        );
        Ok(())
    }
}

/// Reads `12 packets transmitted, 12 received, 0% packet loss, time 11ms`.
fn summary(text: &str) -> Result<Count> {
    let line = text.lines().find(|line| line.contains("packets transmitted"));
    let numbers: Option<Vec<u32>> = line.map(|line| {
        line.split(", ").filter_map(|part| part.split_whitespace().next()?.parse().ok()).collect()
    });
    match numbers.as_deref() {
        Some([sent, received, ..]) => Ok(Count { sent: *sent, received: *received }),
        _ => bail!("ping says {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summary_of_ping() {
        let text =
            "--- ::1 ping statistics ---\n12 packets transmitted, 11 received, 8.3% packet loss, time 11ms\n";
        let count = summary(text).unwrap();
        assert_eq!(count, Count { sent: 12, received: 11 });
        assert!(count.ensure_lossless().is_ok());
        assert!(Count { sent: 12, received: 10 }.ensure_lossless().is_err());
        assert!(summary("").is_err());
    }
}
