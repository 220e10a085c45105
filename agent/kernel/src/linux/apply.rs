//! Changes to one attachment's link. All of a call's steps are made by one thread, in order.

mod end;

use std::time::{Duration, Instant};

use flock_core::attachment::IfName;
use flock_core::link::{Fact, LinkChange, LinkSpec, RemovableFact, Side};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::io::Errno;

use self::end::End;
use super::await_ready;
use super::errno::Failure;
use super::netns::Namespace;
use super::request;
use super::socket::Socket;
use super::sysctl::{self, Sysctls};
use crate::KernelError;

/// How long the kernel may take to finish what it has promised: microseconds, unless everybody wants the rtnl lock.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// A thread's work on one link. The thread is in the namespace of side `at`.
pub(super) struct Work<'a> {
    spec: &'a LinkSpec,
    node: &'a Namespace,
    sysctls: &'a Sysctls,
    host: End,
    pod: Option<Pod>,
    at: Side,
}

/// The pod's end, opened when it is first needed.
struct Pod {
    namespace: Namespace,
    end: End,
}

/// Removes a link of the socket's namespace, and its peer.
pub(super) fn delete_link(socket: &mut Socket, name: &IfName) -> Result<(), KernelError> {
    let message = RouteNetlinkMessage::DelLink(request::links(Some(name)));
    let deleted = socket.request(message, 0).or_else(|failure| failure.unless(&[Errno::NODEV]));
    deleted.map_err(|failure| failure.of_step(format!("delete link {name}")))
}

impl<'a> Work<'a> {
    /// The calling thread is in the namespace `node`, and may be in another one afterwards.
    pub(super) fn begin(
        node: &'a Namespace,
        sysctls: &'a Sysctls,
        spec: &'a LinkSpec,
    ) -> Result<Self, KernelError> {
        let host = End::open(&spec.host).map_err(|failure| failure.of_step("open a netlink socket"))?;
        Ok(Self { spec, node, sysctls, host, pod: None, at: Side::Host })
    }

    /// Makes one change.
    pub(super) fn make(&mut self, change: &LinkChange) -> Result<(), KernelError> {
        match change {
            LinkChange::DeletePair => self.delete_pair(),
            LinkChange::CreatePair => self.create_pair(),
            LinkChange::Set(fact) => self.set(fact),
            LinkChange::Unset(fact) => self.unset(fact),
        }
    }

    fn delete_pair(&mut self) -> Result<(), KernelError> {
        self.forget();
        delete_link(&mut self.host.socket, &self.spec.host)
    }

    fn create_pair(&mut self) -> Result<(), KernelError> {
        self.forget();
        let netns = self.pod()?.namespace.raw_fd();
        let message = RouteNetlinkMessage::NewLink(request::pair(self.spec, netns));
        match self.host.socket.request(message, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) => Ok(()),
            Err(failure) if failure.errno == Errno::EXIST => Err(self.taken(failure)),
            Err(failure) => Err(failure.of_step(self.creation())),
        }
    }

    fn creation(&self) -> String {
        format!("create veth pair {} - {}", self.spec.host, self.spec.id.ifname)
    }

    /// Which of the two names is taken: the kernel's error is the same for both.
    fn taken(&mut self, failure: Failure) -> KernelError {
        let on_node = self.host.look_up();
        let in_pod = self.pod.as_mut().map_or(Ok(None), |pod| pod.end.look_up());
        match (on_node, in_pod, &self.spec.netns) {
            (Ok(Some(_)), _, _) => KernelError::HostLinkExists(self.spec.host.clone()),
            (_, Ok(Some(_)), Some(netns)) => {
                KernelError::InterfaceExists { netns: netns.clone(), ifname: self.spec.id.ifname.clone() }
            }
            _ => failure.of_step(self.creation()),
        }
    }

    /// Another interface under the same name has another index.
    fn forget(&mut self) {
        self.host.index = None;
        if let Some(pod) = &mut self.pod {
            pod.end.index = None;
        }
    }

    fn set(&mut self, fact: &Fact) -> Result<(), KernelError> {
        let side = fact.side();
        let done = match fact {
            Fact::Sysctl { sysctl, value, .. } => {
                let path = sysctl.path(self.ifname(side));
                self.enter(side)?;
                self.sysctls.write(&path, *value).or_else(|failure| {
                    match sysctl::has_no_effect(&path, *value, &failure) {
                        true => Ok(()),
                        false => Err(failure),
                    }
                })
            }
            Fact::AltName { name } => {
                self.set_altname(name);
                Ok(())
            }
            _ => self.end(side)?.set(fact),
        };
        done.map_err(|failure| failure.of_step(self.action("set", fact)))?;
        match fact {
            Fact::Up { side: Side::Host } => self.await_ready(fact),
            _ => Ok(()),
        }
    }

    /// Waits until the pod's first packet can be answered, see [`await_ready`].
    fn await_ready(&mut self, fact: &Fact) -> Result<(), KernelError> {
        let until = Instant::now() + READY_TIMEOUT;
        while !self.is_ready().map_err(|failure| failure.of_step(self.action("set", fact)))? {
            if Instant::now() > until {
                return Err(Failure::from(Errno::TIMEDOUT).of_step(self.action("wait for", fact)));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn is_ready(&mut self) -> Result<bool, Failure> {
        let host = await_ready::is_ready(&mut self.host.socket, &self.spec.host)?;
        // A repair of the host side alone may not know where the pod's is.
        let pod = self.pod().ok().map(|pod| await_ready::is_ready(&mut pod.end.socket, &pod.end.ifname));
        Ok(host && pod.transpose()?.unwrap_or(true))
    }

    /// A name that another link has, or that the kernel does not like, is only a name less for people.
    fn set_altname(&mut self, name: &str) {
        let set = self.host.index().and_then(|index| {
            let message = RouteNetlinkMessage::NewLinkProp(request::link_altname(index, name));
            self.host.socket.request(message, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND)
        });
        if let Err(error) = set {
            tracing::debug!(link = %self.spec.host, name, %error, "no alternative name");
        }
    }

    fn unset(&mut self, removed: &RemovableFact) -> Result<(), KernelError> {
        let fact = Fact::from(removed.clone());
        let done = match self.end(fact.side()) {
            Ok(end) => end.unset(removed),
            // Whatever was in a namespace that is gone is gone.
            Err(KernelError::NoNamespace(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let gone = [Errno::NODEV, Errno::NOENT, Errno::SRCH, Errno::ADDRNOTAVAIL];
        done.or_else(|failure| failure.unless(&gone))
            .map_err(|failure| failure.of_step(self.action("remove", &fact)))
    }

    fn ifname(&self, side: Side) -> &IfName {
        match side {
            Side::Host => &self.spec.host,
            Side::Pod => &self.spec.id.ifname,
        }
    }

    fn action(&self, verb: &str, fact: &Fact) -> String {
        let place = match (fact.side(), &self.spec.netns) {
            (Side::Pod, Some(netns)) => format!(" in {}", netns.display()),
            _ => String::new(),
        };
        format!("{verb} {} ({}) dev {}{place}", fact.subject(), fact.value(), self.ifname(fact.side()))
    }

    fn end(&mut self, side: Side) -> Result<&mut End, KernelError> {
        match side {
            Side::Host => Ok(&mut self.host),
            Side::Pod => Ok(&mut self.pod()?.end),
        }
    }

    fn pod(&mut self) -> Result<&mut Pod, KernelError> {
        let pod = match self.pod.take() {
            Some(pod) => pod,
            None => self.open_pod()?,
        };
        Ok(self.pod.insert(pod))
    }

    fn open_pod(&mut self) -> Result<Pod, KernelError> {
        let Some(path) = &self.spec.netns else {
            let unknown = Failure { errno: Errno::NOENT, text: Some("its path is not known".to_owned()) };
            return Err(unknown.of_step(format!("enter the network namespace of {}", self.spec.id)));
        };
        let namespace = Namespace::of_pod(path)?;
        namespace.enter_pod(path)?;
        self.at = Side::Pod;
        let end = End::open(&self.spec.id.ifname)
            .map_err(|failure| failure.of_step(format!("open a netlink socket in {}", path.display())))?;
        Ok(Pod { namespace, end })
    }

    /// Puts the thread into one side's namespace.
    fn enter(&mut self, side: Side) -> Result<(), KernelError> {
        if self.at == side {
            return Ok(());
        }
        let entered = match side {
            Side::Host => self.node.enter(),
            Side::Pod => self.pod()?.namespace.enter(),
        };
        entered
            .map_err(|errno| Failure::from(errno).of_step(format!("enter the {side}'s network namespace")))?;
        self.at = side;
        Ok(())
    }
}
