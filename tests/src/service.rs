//! A service, by TCP and UDP, that says which pod answers, and connections to it that stay open.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

/// The port of every service.
const PORT: u16 = 8080;

/// How long an answer may take: longer than TCP needs to send a packet again.
const ANSWER: Duration = Duration::from_secs(5);

/// How often a thread that hears nothing looks whether it is wanted.
const TICK: Duration = Duration::from_millis(5);

/// Enough for a loop that reads and writes.
const STACK: usize = 128 << 10;

/// A pod's service. Dropped, it ends, and its connections with it.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Service {
    /// Listens on `addresses` in the pod's namespace, and answers with `name`.
    ///
    /// # Errors
    /// When an address is not the pod's.
    pub fn start(netns: &Netns, name: &str, addresses: &[IpAddr]) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        for address in addresses {
            let at = SocketAddr::new(*address, PORT);
            let listener = netns.enter(|| TcpListener::bind(at))?;
            let listener = listener.with_context(|| format!("listen on {at} in {}", netns.name()))?;
            listener.set_nonblocking(true)?;
            let datagrams = netns.enter(|| UdpSocket::bind(at))??;
            datagrams.set_read_timeout(Some(TICK))?;
            let (line, tcp, udp) = (format!("{name}\n"), Arc::clone(&shared), Arc::clone(&shared));
            thread::spawn(move || serve(&listener, &line, &tcp));
            let name = name.to_owned();
            thread::spawn(move || serve_datagrams(&datagrams, &name, &udp));
        }
        Ok(Self { shared })
    }

    /// How many connections have been made to it.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn serve(listener: &TcpListener, name: &str, shared: &Arc<Shared>) {
    while !shared.stopped.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if let Ok(copy) = stream.try_clone() {
                    shared.streams.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                }
                let name = name.to_owned();
                thread::Builder::new().stack_size(STACK).spawn(move || answer(stream, &name)).ok();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TICK),
            Err(_) => return,
        }
    }
}

fn serve_datagrams(socket: &UdpSocket, name: &str, shared: &Shared) {
    let mut question = [0; 1];
    while !shared.stopped.load(Ordering::SeqCst) {
        if let Ok((_, from)) = socket.recv_from(&mut question) {
            socket.send_to(name.as_bytes(), from).ok();
        }
    }
}

/// A question is one byte, an answer the name.
fn answer(mut stream: TcpStream, name: &str) {
    stream.set_nonblocking(false).ok();
    let mut question = [0];
    while stream.read_exact(&mut question).is_ok() && stream.write_all(name.as_bytes()).is_ok() {}
}

/// A socket that asks by UDP, always from the same port.
#[derive(Debug)]
pub struct Asker(UdpSocket);

impl Asker {
    /// Asks the service at `address`.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn new(netns: &Netns, address: IpAddr) -> Result<Self> {
        let any: IpAddr =
            if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let socket = netns.enter(|| UdpSocket::bind(SocketAddr::new(any, 0)))??;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.connect(SocketAddr::new(address, PORT))?;
        Ok(Self(socket))
    }

    /// Who answers.
    ///
    /// # Errors
    /// When nobody does.
    pub fn ask(&self) -> Result<String> {
        let mut name = [0; 64];
        self.0.send(b"?")?;
        let length = self.0.recv(&mut name)?;
        Ok(String::from_utf8_lossy(&name[..length]).into_owned())
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The pod that answered first.
    pub pod: String,
}

impl Connection {
    /// Opens `count` connections, one after the other, and asks each who answers.
    ///
    /// # Errors
    /// When one cannot be opened or is not answered.
    pub fn open(netns: &Netns, address: IpAddr, count: usize) -> Result<Vec<Self>> {
        netns.enter(|| (0..count).map(|_| Self::one(address)).collect())?
    }

    fn one(address: IpAddr) -> Result<Self> {
        let to = SocketAddr::new(address, PORT);
        let stream = TcpStream::connect_timeout(&to, ANSWER).with_context(|| format!("connect to {to}"))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, pod: String::new() };
        connection.pod = connection.ask()?;
        Ok(connection)
    }

    /// Who answers now.
    ///
    /// # Errors
    /// When nobody does: the connection is cut.
    pub fn ask(&mut self) -> Result<String> {
        self.stream.write_all(b"?")?;
        let (mut name, mut byte) = (String::new(), [0]);
        loop {
            self.stream.read_exact(&mut byte)?;
            if byte[0] == b'\n' {
                return Ok(name);
            }
            name.push(char::from(byte[0]));
        }
    }
}

/// Asks all of them again: how many are cut.
pub fn cut(connections: &mut [Connection]) -> usize {
    connections.iter_mut().filter_map(|connection| connection.ask().err()).count()
}

/// How many of the connections are with this pod.
pub fn with_pod(connections: &[Connection], pod: &str) -> usize {
    connections.iter().filter(|connection| connection.pod == pod).count()
}

/// Fails unless `part` of `whole` is `share`, give or take `tolerance` (each from 0 to 1).
///
/// # Errors
/// Says what it is.
pub fn ensure_share(part: usize, whole: usize, share: f64, tolerance: f64) -> Result<()> {
    let is = part as f64 / whole as f64;
    ensure!(
        (is - share).abs() <= tolerance,
        "{part} of {whole} is {is:.3}, not {share} give or take {tolerance}"
    );
    Ok(())
}
