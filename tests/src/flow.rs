//! A flow whose every packet is accounted for: UDP, one packet each millisecond, numbered, echoed by the far end.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::netns::Netns;

/// The time between two packets.
pub const INTERVAL: Duration = Duration::from_millis(1);

/// How long the last answers may take.
const GRACE: Duration = Duration::from_secs(2);

/// How often a thread that hears nothing looks whether it is wanted.
const TICK: Duration = Duration::from_millis(50);

/// Room for all packets of some seconds: a test machine's stall must not look like a network's loss.
const BUFFER: usize = 16 << 20;

/// The port that echoes (RFC 862).
const PORT: u16 = 7;

/// A flow that runs; dropped, it ends.
#[derive(Debug)]
pub struct Flow {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<Vec<bool>>>,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    answered: AtomicU64,
    sending: AtomicBool,
    receiving: AtomicBool,
}

impl Flow {
    /// Sends from `from` to `address`, which is one of `to`'s, until [`Flow::stop`].
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn start(from: &Netns, to: &Netns, address: impl Into<IpAddr>) -> Result<Self> {
        let address = address.into();
        let here: IpAddr =
            if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let far = socket(to, SocketAddr::new(address, PORT))?;
        let near = socket(from, SocketAddr::new(here, 0))?;
        let shared = Arc::new(Shared::default());
        shared.sending.store(true, Ordering::SeqCst);
        shared.receiving.store(true, Ordering::SeqCst);
        let flow = Arc::clone(&shared);
        thread::spawn(move || echo(&far, &flow));
        let (flow, socket) = (Arc::clone(&shared), near.try_clone()?);
        let receiver = thread::spawn(move || receive(&socket, &flow));
        let (flow, target) = (Arc::clone(&shared), SocketAddr::new(address, PORT));
        let sender = thread::spawn(move || send(&near, target, &flow));
        Ok(Self { shared, sender: Some(sender), receiver: Some(receiver) })
    }

    /// Waits until so many more packets were sent.
    pub fn pass(&self, packets: u64) {
        let goal = self.shared.sent.load(Ordering::SeqCst) + packets;
        while self.shared.sent.load(Ordering::SeqCst) < goal {
            thread::sleep(TICK / 10);
        }
    }

    /// Ends it and tells what came of each packet.
    ///
    /// # Errors
    /// When a thread of it has panicked.
    pub fn stop(mut self) -> Result<Report> {
        self.shared.sending.store(false, Ordering::SeqCst);
        join(self.sender.take())?;
        let sent = self.shared.sent.load(Ordering::SeqCst);
        let deadline = Instant::now() + GRACE;
        while self.shared.answered.load(Ordering::SeqCst) < sent && Instant::now() < deadline {
            thread::sleep(TICK / 10);
        }
        self.shared.receiving.store(false, Ordering::SeqCst);
        let answered = join(self.receiver.take())?;
        let is_lost =
            |number: &u64| !usize::try_from(*number).is_ok_and(|n| answered.get(n).copied().unwrap_or(false));
        Ok(Report { sent, lost: (0..sent).filter(is_lost).collect() })
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.shared.sending.store(false, Ordering::SeqCst);
        self.shared.receiving.store(false, Ordering::SeqCst);
    }
}

fn socket(netns: &Netns, address: SocketAddr) -> Result<UdpSocket> {
    let socket = netns.enter(|| UdpSocket::bind(address))?;
    let socket = socket.with_context(|| format!("bind {address} in {}", netns.name()))?;
    set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket)
}

fn join<T>(thread: Option<JoinHandle<T>>) -> Result<T> {
    let thread = thread.context("a flow can be stopped once")?;
    thread.join().map_err(|_| anyhow!("a thread of the flow panicked"))
}

/// Late is never made up for: a burst would find full queues that no millisecond's packet ever sees.
fn send(socket: &UdpSocket, target: SocketAddr, flow: &Shared) {
    while flow.sending.load(Ordering::SeqCst) {
        let number = flow.sent.fetch_add(1, Ordering::SeqCst);
        // A packet that there is no way for is a lost one.
        socket.send_to(&number.to_be_bytes(), target).ok();
        thread::sleep(INTERVAL);
    }
}

fn echo(socket: &UdpSocket, flow: &Shared) {
    let mut packet = [0; 8];
    while flow.receiving.load(Ordering::SeqCst) {
        if let Ok((length, from)) = socket.recv_from(&mut packet) {
            socket.send_to(&packet[..length], from).ok();
        }
    }
}

fn receive(socket: &UdpSocket, flow: &Shared) -> Vec<bool> {
    let mut answered: Vec<bool> = Vec::new();
    let mut packet = [0; 8];
    while flow.receiving.load(Ordering::SeqCst) {
        if socket.recv_from(&mut packet).is_err() {
            continue;
        }
        let Ok(number) = usize::try_from(u64::from_be_bytes(packet)) else { continue };
        if answered.len() <= number {
            answered.resize(number + 1, false);
        }
        if !answered[number] {
            answered[number] = true;
            flow.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
    answered
}

/// What came of a flow's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many were sent.
    pub sent: u64,
    /// The numbers of those that were not answered.
    pub lost: Vec<u64>,
}

impl Report {
    /// Fails unless a good number was sent and all were answered.
    ///
    /// # Errors
    /// Says which were lost.
    pub fn ensure_lossless(&self) -> Result<()> {
        ensure!(self.sent > 100, "only {} packets were sent", self.sent);
        ensure!(self.lost.is_empty(), "{self}");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} packets were lost", self.lost.len(), self.sent)?;
        match (self.lost.first(), self.lost.last()) {
            (Some(first), Some(last)) => write!(f, ", between number {first} and number {last}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_with_its_place() {
        let report = Report { sent: 1000, lost: vec![7, 8, 500] };
        assert_eq!(report.to_string(), "3 of 1000 packets were lost, between number 7 and number 500");
        assert!(report.ensure_lossless().is_err());
        assert!(Report { sent: 1000, lost: Vec::new() }.ensure_lossless().is_ok());
        assert!(Report { sent: 0, lost: Vec::new() }.ensure_lossless().is_err());
    }
}
