//! A node with a client on one side and three pods that serve an anycast address on the other; TCP connections between
//! them. A socket stays in the namespace that it was made in, so all of them are used by the trial's own thread.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flock_core::link::LinkSpec;
use flock_core::steering::{FlowSlot, SteeredPod, Steering};
use flock_kernel::KernelError;
use flock_kernel::linux::LinuxKernel;

use crate::ground::{Ground, Pod, addresses, ip, spec};

pub(crate) const ANYCAST6: &str = "2001:db8:53::1";
pub(crate) const ANYCAST4: &str = "198.51.100.53";
pub(crate) const BOTH: [&str; 2] = [ANYCAST6, ANYCAST4];

/// The client's own.
pub(crate) const CLIENT6: &str = "2001:db8:c::2";
pub(crate) const CLIENT4: &str = "198.18.0.2";

const PORT: u16 = 7;

/// For what works: never waited for in full.
const PATIENCE: Duration = Duration::from_secs(10);

/// The node and what is around it.
pub(crate) struct Site<'a> {
    ground: &'a Ground,
    /// What steers.
    pub(crate) kernel: LinuxKernel,
    pub(crate) client: Pod,
    pub(crate) pods: Vec<(Pod, LinkSpec)>,
}

impl<'a> Site<'a> {
    /// All three pods are in the group.
    pub(crate) fn new(ground: &'a Ground) -> Result<Self> {
        for sysctl in [
            "ipv4/ip_forward",
            "ipv6/conf/all/forwarding",
            // By ports too: one client's connections go to different pods.
            "ipv4/fib_multipath_hash_policy",
            "ipv6/fib_multipath_hash_policy",
        ] {
            std::fs::write(format!("/proc/sys/net/{sysctl}"), "1").with_context(|| sysctl.to_owned())?;
        }
        at_once()?;
        let client = client()?;
        let pods = (1..=3).map(|number| serving_pod(ground, number)).collect::<Result<_>>()?;
        let site = Self { ground, kernel: ground.kernel.clone(), client, pods };
        for (number, (_, spec)) in (1..).zip(&site.pods) {
            ip(&format!("nexthop add id 4{number} via 203.0.113.{number} dev {} onlink", spec.host))?;
            ip(&format!("nexthop add id 6{number} via 2001:db8:a:1::{number} dev {}", spec.host))?;
        }
        site.serve(&[1, 2, 3])?;
        ip(&format!("route add {ANYCAST4} nhid 4"))?;
        ip(&format!("-6 route add {ANYCAST6} nhid 6"))?;
        Ok(site)
    }

    /// The same on a kernel on which a table dies with its owner.
    pub(crate) fn without_table_owners(self) -> Self {
        Self { kernel: self.kernel.clone().without_table_owners(), ..self }
    }

    /// The pods that new connections go to.
    pub(crate) fn serve(&self, members: &[u16]) -> Result<()> {
        for family in [4, 6] {
            let group: Vec<String> = members.iter().map(|number| format!("{family}{number}")).collect();
            ip(&format!("nexthop replace id {family} group {}", group.join("/")))?;
        }
        Ok(())
    }

    /// What is to be steered: pod n has slot n.
    pub(crate) fn steering(&self, members: &[u16]) -> Result<Steering> {
        let pod = |number: &u16| {
            let spec = &self.pods[usize::from(*number) - 1].1;
            let anycast = BOTH.iter().map(|text| Ok(text.parse()?)).collect::<Result<_>>()?;
            let pod = SteeredPod { link: spec.host.clone(), addresses: spec.addresses, anycast };
            Ok((FlowSlot::try_from(*number)?, pod))
        };
        Ok(Steering { pods: members.iter().map(pod).collect::<Result<_>>()? })
    }

    pub(crate) fn steer(&self, members: &[u16]) -> Result<()> {
        Ok(self.apply(&self.steering(members)?)?)
    }

    pub(crate) fn apply(&self, steering: &Steering) -> Result<(), KernelError> {
        self.ground.wait(flock_kernel::steer(&self.kernel, steering))
    }

    /// Listens in every pod.
    pub(crate) fn listen(&self, address: &str) -> Result<Service> {
        let address = SocketAddr::new(address.parse()?, PORT);
        let listen = |(pod, _): &(Pod, LinkSpec)| {
            pod.run(|| {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            })
        };
        Ok(Service { address, listeners: self.pods.iter().map(listen).collect::<Result<_>>()? })
    }
}

fn client() -> Result<Pod> {
    let client = Pod::new()?;
    client.run(at_once)?;
    ip(&format!("link add up0 type veth peer name eth0 netns {}", client.thread))?;
    for command in
        ["link set up0 up", "addr add 198.18.0.1/24 dev up0", "addr add 2001:db8:c::1/64 dev up0 nodad"]
    {
        ip(command)?;
    }
    client.run(|| {
        ip("link set lo up")?;
        ip("link set eth0 up")?;
        ip(&format!("addr add {CLIENT4}/24 dev eth0"))?;
        ip(&format!("addr add {CLIENT6}/64 dev eth0 nodad"))?;
        ip("route add default via 198.18.0.1")?;
        ip("-6 route add default via 2001:db8:c::1")
    })?;
    Ok(client)
}

/// Links are to be used at once. A first packet that waits until an address is no longer tentative is sent again while
/// it waits, and Linux gives each repetition another hash: within one kernel they go to different pods.
pub(crate) fn at_once() -> Result<()> {
    Ok(std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")?)
}

fn serving_pod(ground: &Ground, number: u16) -> Result<(Pod, LinkSpec)> {
    let pod = Pod::new()?;
    let own = addresses(Some(&format!("2001:db8:a:1::{number}")), Some(&format!("203.0.113.{number}")));
    let mut spec = spec(&format!("0f3{number}"), &pod, own)?;
    spec.claimed.anycast = BOTH.iter().map(|text| Ok(text.parse()?)).collect::<Result<_>>()?;
    ground.attach(&spec)?;
    Ok((pod, spec))
}

/// An address that the pods listen at.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    listeners: Vec<TcpListener>,
}

impl Service {
    /// Connections from the calling thread's namespace, to whichever pods they go.
    pub(crate) fn dial(&self, count: usize) -> Result<Vec<TcpStream>> {
        let dial = |_| self.dial_for(PATIENCE);
        (0..count).map(dial).collect()
    }

    /// A connection from the calling thread's namespace, if there is one in time.
    pub(crate) fn dial_for(&self, patience: Duration) -> Result<TcpStream> {
        TcpStream::connect_timeout(&self.address, patience).context("connect")
    }

    /// The other ends, by the clients' addresses.
    pub(crate) fn flows(&self, clients: Vec<TcpStream>) -> Result<Vec<Flow>> {
        let mut accepted: HashMap<SocketAddr, (u16, TcpStream)> = HashMap::new();
        let started = Instant::now();
        while accepted.len() < clients.len() {
            ensure!(started.elapsed() < PATIENCE, "{} of {} were accepted", accepted.len(), clients.len());
            for (pod, listener) in (1..).zip(&self.listeners) {
                while let Ok((server, from)) = listener.accept() {
                    accepted.insert(from, (pod, server));
                }
            }
        }
        let flow = |client: TcpStream| {
            let Some((pod, server)) = accepted.remove(&client.local_addr()?) else {
                bail!("not accepted: {client:?}")
            };
            // What a listener's connections inherit differs between systems.
            server.set_nonblocking(false)?;
            Ok(Flow { client, server, pod })
        };
        clients.into_iter().map(flow).collect()
    }

    /// `count` connections from the client.
    pub(crate) fn connect(&self, site: &Site, count: usize) -> Result<Vec<Flow>> {
        self.flows(site.client.run(|| self.dial(count))?)
    }
}

/// A connection, from both ends.
pub(crate) struct Flow {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    /// The pod that has it: 1, 2 or 3.
    pub(crate) pod: u16,
}

impl Flow {
    /// A byte to the pod and one back, from then to then.
    fn echo(&mut self, patience: Duration) -> std::io::Result<()> {
        for end in [&self.client, &self.server] {
            end.set_read_timeout(Some(patience))?;
        }
        self.client.write_all(b"?")?;
        self.server.read_exact(&mut [0])?;
        self.server.write_all(b"!")?;
        self.client.read_exact(&mut [0])
    }

    /// Waits for a broken one's end only as long as a client would not wait.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.echo(Duration::from_millis(500)).is_err()
    }

    /// What the client is told by whoever gets its next packet.
    pub(crate) fn refusal(&mut self) -> Result<ErrorKind> {
        self.client.set_read_timeout(Some(PATIENCE))?;
        self.client.write_all(b"?")?;
        match self.client.read(&mut [0]) {
            Ok(read) => bail!("{read} bytes from pod {}", self.pod),
            Err(error) => Ok(error.kind()),
        }
    }

    /// `bytes` from the pod to the client.
    pub(crate) fn deliver(&mut self, bytes: usize) -> Result<()> {
        self.client.set_read_timeout(Some(PATIENCE))?;
        self.server.set_write_timeout(Some(PATIENCE))?;
        let Self { client, server, pod } = self;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || server.write_all(&vec![b'.'; bytes]));
            client.read_exact(&mut vec![0; bytes]).with_context(|| format!("from pod {pod}"))?;
            writing.join().map_err(|_| anyhow::anyhow!("panicked"))??;
            Ok(())
        })
    }
}

/// Fails unless every connection works, both ways, and several times: the first packet tells where the next ones go.
pub(crate) fn all_alive(flows: &mut [Flow], when: &str) -> Result<()> {
    for _ in 0..2 {
        for flow in &mut *flows {
            flow.echo(PATIENCE)
                .with_context(|| format!("{when}: connection of pod {} to {:?}", flow.pod, flow.client))?;
        }
    }
    Ok(())
}

/// How many of the connections are with each pod.
pub(crate) fn shares(flows: &[Flow]) -> [usize; 3] {
    [1, 2, 3].map(|pod| flows.iter().filter(|flow| flow.pod == pod).count())
}

/// The family's flag for `ip`.
pub(crate) fn flag(address: &str) -> Result<&'static str> {
    Ok(if address.parse::<IpAddr>()?.is_ipv6() { "-6" } else { "-4" })
}
