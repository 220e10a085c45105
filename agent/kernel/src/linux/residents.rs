//! Threads and tasks that live as long as the kernel does: one that ends is told of.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flock_core::supervision::{Ending, Failed};
use tokio::sync::watch;

use super::LinuxKernel;
use crate::Residents;
use crate::gate::Gates;

/// Who is told. A handle: clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Watcher {
    failed: watch::Sender<Option<Failed>>,
    gates: Gates,
}

impl Watcher {
    /// The same, with threads and tasks going through these gates.
    pub(super) fn through(self, gates: Gates) -> Self {
        Self { gates, ..self }
    }

    /// Is a thread, which is to end with the kernel and not before.
    pub(super) fn run(&self, name: &str, body: impl FnOnce()) {
        let work = || {
            self.gates.resident(name);
            body();
        };
        let ended = catch_unwind(AssertUnwindSafe(work));
        self.tell(name, ended.map_or_else(|panic| Ending::of_panic(&*panic), |()| Ending::Ended));
    }

    /// Starts a task, which may end when nobody needs it any more, but not by a panic.
    pub(super) fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let gates = self.gates.clone();
        let task = tokio::spawn(async move {
            gates.resident(name);
            work.await;
        });
        let watcher = self.clone();
        tokio::spawn(async move {
            let ended = task.await;
            if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
                watcher.tell(name, Ending::of_panic(&*panic));
            }
        });
    }

    /// After the kernel's end nobody listens. The first failure counts.
    pub(super) fn tell(&self, name: &str, ending: Ending) {
        self.failed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(|| Failed { task: name.to_owned(), ending });
            is_first
        });
    }
}

impl Residents for LinuxKernel {
    async fn failed(&self) -> Failed {
        let mut failed = self.residents.failed.subscribe();
        match failed.wait_for(Option::is_some).await.map(|failed| failed.clone()) {
            Ok(Some(failed)) => failed,
            // Not while this handle is there.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn kernel() -> LinuxKernel {
        LinuxKernel::open().unwrap()
    }

    async fn failure(kernel: &LinuxKernel) -> Option<String> {
        timeout(Duration::from_millis(50), kernel.failed()).await.ok().map(|failed| failed.to_string())
    }

    #[tokio::test]
    async fn a_thread_that_ends_or_panics_has_failed() {
        let kernel = kernel();
        assert_eq!(failure(&kernel).await, None);
        kernel.residents.run("flock-nft", || {});
        assert_eq!(failure(&kernel).await.unwrap(), "task flock-nft has ended");
        kernel.residents.run("another", || {});
        assert_eq!(failure(&kernel).await.unwrap(), "task flock-nft has ended", "the first counts");
        let kernel = self::kernel();
        kernel.residents.run("flock-nft", || panic!("at 7"));
        assert_eq!(failure(&kernel).await.unwrap(), "task flock-nft has panicked: at 7");
    }

    #[tokio::test]
    async fn a_task_that_panics_has_failed_and_one_that_nobody_needs_has_not() {
        let kernel = kernel();
        kernel.residents.spawn("kernel-events", async {});
        assert_eq!(failure(&kernel).await, None);
        kernel.residents.spawn("kernel-events", async { panic!("at 7") });
        assert_eq!(failure(&kernel).await.unwrap(), "task kernel-events has panicked: at 7");
    }
}
