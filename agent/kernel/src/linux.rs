//! The real kernel.
//!
//! Each call is a thread's life: it enters the node's network namespace, opens route netlink sockets there and, if
//! need be, in the pod's, does its work step by step, and dies. Nothing but nftables is kept between calls, so nothing
//! goes stale or has to be reopened, and no async worker ever waits for the kernel or sits in the wrong namespace.
//!
//! * `wire`, `socket`: netlink messages and errors; requests and dumps. `errno`: what the kernel refuses.
//! * `netns`: namespaces and the threads for them. `sysctl`: files below `/proc/sys/net`.
//! * `request`: the messages that we send; `rtnetlink`: questions with typed answers. `decode`, `observe`: from the
//!   kernel's messages to facts.
//! * `links`: attachments' links: `pod`, one pod looked at; `apply`, changes; `await_ready`, what the kernel does later.
//! * `node`: the node looked at and changed.
//! * `routes`: `anycast`, with `nexthop`: messages about nexthop objects; `steering`, the rules and routes that it needs.
//! * [`nft`]: nftables tables, on a thread that lives as long as the kernel does.
//! * `events`, `multicast`: what the kernel tells by itself.
//! * `residents`: threads and tasks that live as long as the kernel does.

mod anycast;
mod apply;
mod await_ready;
mod decode;
mod errno;
mod events;
mod links;
mod multicast;
mod netns;
mod nexthop;
pub mod nft;
mod node;
mod observe;
mod pod;
mod request;
mod residents;
mod routes;
mod rtnetlink;
mod socket;
mod steering;
mod sysctl;
mod wire;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use self::anycast::MultipathMode;
use self::errno::Failure;
use self::netns::{Namespace, on_own_thread};
use self::residents::Watcher;
use self::socket::Socket;
use self::sysctl::Sysctls;
use crate::KernelError;
use crate::gate::{Gate, Gates};

/// The kernel that this program runs on. A handle: clones are the same.
#[derive(Debug, Clone)]
pub struct LinuxKernel {
    node: Arc<Namespace>,
    link_changes: Arc<Semaphore>,
    /// Held while anycast routes are changed: what is free, and what is unused, is decided by what is there.
    anycast: Arc<Mutex<()>>,
    multipath: MultipathMode,
    sysctls: Sysctls,
    gates: Gates,
    ownership: nft::Ownership,
    nft: Arc<OnceLock<nft::Handle>>,
    received: Arc<AtomicU64>,
    residents: Watcher,
}

/// How many links are changed at once. Every step of a change waits for the rtnl lock, which is one for the whole
/// machine and first come, first served: with fifty changes at once, each of an ADD's two dozen steps would queue
/// behind forty-nine others', deletions with their grace periods among them, and an ADD could take most of a minute.
/// So whoever has begun is let through, and the others wait here, in order.
const CONCURRENT_LINK_CHANGES: usize = 4;

impl LinuxKernel {
    /// The kernel, with the calling thread's network namespace as the node's. Fails if flock cannot work on it: it
    /// needs Linux 4.20 or later (strict checking of dump requests). Its calls must be made in a tokio runtime.
    pub fn open() -> Result<Self, KernelError> {
        let opening = |failure: Failure| failure.of_step("open a netlink socket");
        let multipath = MultipathMode::probe(&mut Socket::open().map_err(opening)?);
        let node = Namespace::of_this_thread().map_err(|error| opening(error.into()))?;
        let link_changes = Arc::new(Semaphore::new(CONCURRENT_LINK_CHANGES));
        Ok(Self {
            node: Arc::new(node),
            link_changes,
            anycast: Arc::default(),
            multipath,
            sysctls: Sysctls::default(),
            gates: Gates::default(),
            ownership: nft::Ownership::default(),
            nft: Arc::default(),
            received: Arc::default(),
            residents: Watcher::default(),
        })
    }

    /// The same with sysctls below `root` instead of `/proc/sys/net`, which is read-only in a container that is not
    /// privileged.
    #[must_use]
    pub fn with_sysctls_at(self, root: PathBuf) -> Self {
        Self { sysctls: Sysctls::at(root), ..self }
    }

    /// The same, with every operation going through a gate: for tests.
    #[must_use]
    pub fn behind(self, gate: impl Gate) -> Self {
        let gates = Gates::through(gate);
        Self { residents: self.residents.clone().through(gates.clone()), gates, ..self }
    }

    /// The kernel as it would be if it had no nexthop objects: anycast routes with several next hops are plain
    /// multipath routes. Linux before 5.13 is such a kernel; this is for tests on a later one.
    #[cfg(any(test, feature = "fake"))]
    #[must_use]
    pub fn without_nexthop_objects(self) -> Self {
        Self { multipath: MultipathMode::PlainRoute, ..self }
    }

    /// Waits until one more link may be changed. The permit belongs to the thread that does the work, which goes on when
    /// its caller goes away.
    async fn link_change_permit(&self) -> Result<OwnedSemaphorePermit, KernelError> {
        Arc::clone(&self.link_changes).acquire_owned().await.map_err(|_| KernelError::Closed)
    }

    /// Looks at something in the node's namespace; `action` names what, for errors.
    async fn observe<T: Send + 'static>(
        &self,
        action: impl Into<String> + Send + 'static,
        look: impl FnOnce(&mut Socket) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, KernelError> {
        self.gates.observe()?;
        self.on_node(move |socket| look(socket).map_err(|failure| failure.of_step(action))).await
    }

    /// Makes changes in the node's namespace, in order; stops at the first one that fails.
    async fn change<C: Clone + Debug + Send + 'static>(
        &self,
        changes: &[C],
        make: impl Fn(&mut Socket, &C) -> Result<(), KernelError> + Send + 'static,
    ) -> Result<(), KernelError> {
        let (gates, changes) = (self.gates.clone(), changes.to_vec());
        self.on_node(move |socket| {
            changes.iter().try_for_each(|change| gates.step(change, || make(socket, change)))
        })
        .await
    }

    /// Does `work` with a socket in the node's namespace, on a thread that is in it.
    async fn on_node<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Socket) -> Result<T, KernelError> + Send + 'static,
    ) -> Result<T, KernelError> {
        let node = Arc::clone(&self.node);
        let received = Arc::clone(&self.received);
        on_own_thread(move || {
            entered(&node, || {
                let opened = Socket::open();
                let mut socket = opened.map_err(|failure| failure.of_step("open a netlink socket"))?;
                let done = work(&mut socket);
                received.fetch_add(socket.received(), Ordering::Relaxed);
                done
            })
        })
        .await
    }

    /// How many messages the kernel has answered with since it was opened, about the node as a whole: what looking
    /// at it costs.
    pub fn messages_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Does `work` in the node's namespace. Only for threads made for it.
fn entered<T>(node: &Namespace, work: impl FnOnce() -> Result<T, KernelError>) -> Result<T, KernelError> {
    node.enter().map_err(|errno| Failure::from(errno).of_step("enter the node's network namespace"))?;
    work()
}
