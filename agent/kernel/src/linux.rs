//! The real kernel.
//!
//! Each call is a thread's life: it enters the node's network namespace, opens route netlink sockets there and, if
//! need be, in the pod's, does its work step by step, and dies. Nothing is kept between calls, so nothing goes stale
//! or has to be reopened, and no async worker ever waits for the kernel or sits in the wrong namespace.
//!
//! * `wire`, `socket`: netlink messages and errors; requests and dumps. `errno`: what the kernel refuses.
//! * `netns`: namespaces and the threads for them. `sysctl`: files below `/proc/sys/net`.
//! * `request`: the messages that we send; `rtnetlink`: questions with typed answers. `decode`, `observe`: from the kernel's messages to facts.
//! * `host`, `pod`: the node and one pod, looked at. `apply`: changes to a link.
//! * `nexthop`: messages about nexthop objects. `anycast`: routes to anycast addresses.
//! * `steering`: established connections stay with their pod.
//! * `watch`: multicast messages about changes.

mod anycast;
mod apply;
mod decode;
mod errno;
mod host;
mod netns;
mod nexthop;
mod observe;
mod pod;
mod request;
mod rtnetlink;
mod settle;
mod socket;
mod steering;
mod sysctl;
mod watch;
mod wire;

use std::path::Path;
use std::sync::Arc;

use flock_core::anycast::{RouteChange, Routes};
use flock_core::attachment::IfName;
use flock_core::host::{HostChange, HostLink, HostState};
use flock_core::link::{LinkChange, LinkSpec, PodObserved};
use flock_core::steering::Steering;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use self::anycast::Several;
use self::errno::Failure;
use self::netns::{Namespace, on_own_thread};
use self::socket::Socket;
use crate::{Changes, Kernel, KernelError};

/// The kernel that this program runs on. A handle: clones are the same.
#[derive(Debug, Clone)]
pub struct LinuxKernel {
    node: Arc<Namespace>,
    turns: Arc<Semaphore>,
    /// Held while anycast routes are changed: what is free, and what is unused, is decided by what is there.
    anycast: Arc<Mutex<()>>,
    several: Several,
}

/// How many links are changed at once. Every step of a change waits for the rtnl lock, which is one for the whole
/// machine and first come, first served: with fifty changes at once, each of an ADD's two dozen steps would queue
/// behind forty-nine others', deletions with their grace periods among them, and an ADD could take most of a minute.
/// So whoever has begun is let through, and the others wait here, in order.
const TURNS: usize = 4;

impl LinuxKernel {
    /// The kernel, with the calling thread's network namespace as the node's. Fails if flock cannot work on it: it
    /// needs Linux 4.20 or later (strict checking of dump requests). Its calls must be made in a tokio runtime.
    pub fn open() -> Result<Self, KernelError> {
        let opening = |failure: Failure| failure.of_step("open a netlink socket");
        let several = Several::probe(&mut Socket::open().map_err(opening)?);
        let node = Namespace::of_this_thread().map_err(|error| opening(error.into()))?;
        let turns = Arc::new(Semaphore::new(TURNS));
        Ok(Self { node: Arc::new(node), turns, anycast: Arc::default(), several })
    }

    /// The same with sysctls below `root` instead of `/proc/sys/net`, which is read-only in a container that is not
    /// privileged: for the whole process, so the first place counts.
    #[must_use]
    pub fn with_sysctls_at(self, root: std::path::PathBuf) -> Self {
        if !sysctl::move_to(root) {
            tracing::warn!("sysctls are somewhere else already: that stays");
        }
        self
    }

    /// The kernel as it would be if it had no nexthop objects: anycast routes with several next hops are plain
    /// multipath routes. Linux before 5.13 is such a kernel; this is for tests on a later one.
    #[cfg(any(test, feature = "fake"))]
    #[must_use]
    pub fn without_nexthop_objects(self) -> Self {
        Self { several: Several::Multipath, ..self }
    }

    /// Waits for a turn. It belongs to the thread that does the work, which goes on when its caller goes away.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, KernelError> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| KernelError::Closed)
    }

    /// Does `work` with a socket in the node's namespace, on a thread that is in it.
    async fn on_node<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Socket) -> Result<T, KernelError> + Send + 'static,
    ) -> Result<T, KernelError> {
        let node = Arc::clone(&self.node);
        let opened = || Socket::open().map_err(|failure| failure.of_step("open a netlink socket"));
        on_own_thread(move || entered(&node, || work(&mut opened()?))).await
    }
}

/// Does `work` in the node's namespace. Only for threads made for it.
fn entered<T>(node: &Namespace, work: impl FnOnce() -> Result<T, KernelError>) -> Result<T, KernelError> {
    node.enter().map_err(|errno| Failure::from(errno).of_step("enter the node's network namespace"))?;
    work()
}

impl Kernel for LinuxKernel {
    async fn host(&self) -> Result<HostState, KernelError> {
        self.on_node(|socket| host::observe(socket).map_err(|failure| failure.of_step("observe the node")))
            .await
    }

    async fn host_link(&self, name: &IfName) -> Result<Option<HostLink>, KernelError> {
        let name = name.clone();
        self.on_node(move |socket| {
            host::observe_link(socket, &name)
                .map_err(|failure| failure.of_step(format!("observe link {name}")))
        })
        .await
    }

    async fn pod(&self, netns: &Path, ifname: &IfName) -> Result<PodObserved, KernelError> {
        let (netns, ifname) = (netns.to_owned(), ifname.clone());
        on_own_thread(move || pod::observe(&netns, &ifname)).await
    }

    async fn change_link(&self, spec: &LinkSpec, changes: &[LinkChange]) -> Result<(), KernelError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (node, spec, changes) = (Arc::clone(&self.node), spec.clone(), changes.to_vec());
        let turn = self.turn().await?;
        on_own_thread(move || {
            let _turn = turn;
            entered(&node, || apply::apply(&node, &spec, &changes))
        })
        .await
    }

    async fn delete_link(&self, name: &IfName) -> Result<(), KernelError> {
        let (name, turn) = (name.clone(), self.turn().await?);
        self.on_node(move |socket| {
            let _turn = turn;
            apply::delete_link(socket, &name)
        })
        .await
    }

    async fn change_host(&self, changes: &[HostChange]) -> Result<(), KernelError> {
        let changes = changes.to_vec();
        self.on_node(move |socket| host::apply(socket, &changes)).await
    }

    async fn anycast_routes(&self) -> Result<Routes, KernelError> {
        let several = self.several;
        self.on_node(move |socket| anycast::observe(socket, several)).await
    }

    async fn change_anycast_routes(&self, changes: &[RouteChange]) -> Result<(), KernelError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (several, changes) = (self.several, changes.to_vec());
        let turn = Arc::clone(&self.anycast).lock_owned().await;
        self.on_node(move |socket| {
            let _turn = turn;
            anycast::apply(socket, several, &changes)
        })
        .await
    }

    async fn steer(&self, steering: &Steering) -> Result<(), KernelError> {
        let steering = steering.clone();
        self.on_node(move |socket| steering::apply(socket, &steering)).await
    }

    fn watch(&self) -> Result<Changes, KernelError> {
        let (sender, changes) = Changes::channel();
        watch::start(Arc::clone(&self.node), sender)?;
        Ok(changes)
    }
}
