//! The thread that owns flock's tables.
//!
//! The kernel counts a table's owner by its socket, so one socket must live as long as the agent. What has been
//! committed through it is remembered, and a change is the difference to that: an owned table changes by nobody else's
//! hand.
//!
//! Kernels before 6.9 would remove an owned table with its owner, and so with the agent: there tables have no owner.
//! Each transaction then names the generation that it is based on, and whenever somebody else has committed something,
//! what there is is read back and, if need be, repaired.

use std::sync::Arc;

use flock_core::nft::{Batch, Observed, Table, TableId};
use flock_core::supervision::Ending;
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tracing::Span;

use super::generation;
use super::message::Netfilter;
use super::owner::Owner;
use crate::KernelError;
use crate::linux::entered;
use crate::linux::errno::Failure;
use crate::linux::netns::Namespace;
use crate::linux::residents::Watcher;
use crate::linux::socket::Socket;

/// Whether tables have an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::linux) enum Ownership {
    /// If the kernel lets them outlive it.
    #[default]
    WherePossible,
    /// As on kernels before 6.9: for tests on later ones.
    #[cfg(any(test, feature = "fake"))]
    Never,
}

/// What the thread is asked.
pub(super) enum Request {
    Replace {
        table: TableId,
        desired: Option<Table>,
        answer: Answer<()>,
    },
    Commit {
        batch: Batch,
        answer: Answer<()>,
    },
    Observe {
        table: TableId,
        answer: Answer<Option<Observed>>,
    },
    /// Somebody has committed something.
    Check,
}

type Answer<T> = oneshot::Sender<Result<T, KernelError>>;

/// A request on its way.
pub(super) struct Asked {
    request: Request,
    /// What the thread logs meanwhile belongs to who has asked.
    span: Span,
}

impl From<Request> for Asked {
    fn from(request: Request) -> Self {
        Self { request, span: Span::current() }
    }
}

/// The way to the thread, which ends when the last of these is gone.
#[derive(Debug)]
pub(in crate::linux) struct Handle(UnboundedSender<Asked>);

/// The thread's name.
const NAME: &str = "flock-nft";

impl Handle {
    /// Starts the thread. Must be called in a tokio runtime.
    pub(in crate::linux) fn start(node: Arc<Namespace>, ownership: Ownership, residents: Watcher) -> Self {
        let (sender, requests) = unbounded_channel();
        let notices = sender.downgrade();
        let runtime = tokio::runtime::Handle::current();
        let thread = Thread { node, ownership, residents: residents.clone(), runtime };
        let body = move || thread.residents.run(NAME, || thread.work(requests, notices));
        // Without a thread the requests are dropped, and their answers are errors.
        if let Err(error) = std::thread::Builder::new().name(NAME.to_owned()).spawn(body) {
            tracing::error!(%error, "no thread can be started for nftables");
            residents.tell(NAME, Ending::Ended);
        }
        Self(sender)
    }

    pub(super) async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, KernelError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(request(sender).into()).map_err(|_| KernelError::Closed)?;
        receiver.await.unwrap_or(Err(KernelError::Closed))
    }
}

/// What the thread has from its beginning.
struct Thread {
    node: Arc<Namespace>,
    ownership: Ownership,
    residents: Watcher,
    runtime: tokio::runtime::Handle,
}

impl Thread {
    fn work(&self, requests: UnboundedReceiver<Asked>, notices: WeakUnboundedSender<Asked>) {
        let served = entered(&self.node, || {
            self.serve(requests, notices);
            Ok(())
        });
        if let Err(error) = served {
            tracing::error!(%error, "nftables cannot be programmed");
        }
    }

    /// Works until nobody can ask any more. Without nftables every request is answered with the reason, and the next one
    /// tries again: the module may be loaded later.
    fn serve(&self, mut requests: UnboundedReceiver<Asked>, notices: WeakUnboundedSender<Asked>) {
        let (_alive, end) = oneshot::channel();
        let mut follower = Some((notices, end));
        let mut owner = None;
        while let Some(Asked { request, span }) = requests.blocking_recv() {
            let _span = span.entered();
            if owner.is_none() {
                match open(self.ownership) {
                    Ok(opened) => owner = Some(opened),
                    Err(failure) => {
                        request.fail(failure);
                        continue;
                    }
                }
            }
            let Some(owner) = owner.as_mut() else { continue };
            // Nobody else can change what is owned.
            if let Some((notices, end)) = follower.take_if(|_| !owner.is_exclusive()) {
                let _runtime = self.runtime.enter();
                generation::follow(&self.node, &self.residents, notices, end);
            }
            answer(owner, request);
        }
    }
}

fn open(ownership: Ownership) -> Result<Owner, Failure> {
    Socket::<Netfilter>::open().and_then(|socket| Owner::new(socket, ownership))
}

/// Who has asked may be gone by now.
fn answer(owner: &mut Owner, request: Request) {
    match request {
        Request::Replace { table, desired, answer } => {
            let _ = answer.send(owner.replace(&table, desired));
        }
        Request::Commit { batch, answer } => {
            let _ = answer.send(owner.commit(&batch));
        }
        Request::Observe { table, answer } => {
            let _ = answer.send(owner.observe(&table));
        }
        Request::Check => owner.check(),
    }
}

impl Request {
    /// What is answered where nftables cannot be reached.
    fn fail(self, failure: Failure) {
        let no_tables = is_missing(&failure);
        let error = failure.of_step("open a netlink socket for nftables (a kernel with nf_tables is needed)");
        match self {
            // Without nftables there is nothing to remove.
            Request::Replace { desired: None, answer, .. } if no_tables => {
                let _ = answer.send(Ok(()));
            }
            Request::Replace { answer, .. } | Request::Commit { answer, .. } => {
                let _ = answer.send(Err(error));
            }
            Request::Observe { answer, .. } => {
                let _ = answer.send(Err(error));
            }
            Request::Check => {}
        }
    }
}

/// Whether the kernel has no nfnetlink, or none for nftables (`nfnetlink_rcv_msg`).
fn is_missing(failure: &Failure) -> bool {
    matches!(failure.errno, Errno::PROTONOSUPPORT | Errno::INVAL | Errno::OPNOTSUPP)
}
