//! Events on their way to one who reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::{KernelEvent, Loss};

/// Events that nobody has read yet, at most. A deleted link alone makes a dozen.
const CAPACITY: usize = 1024;

/// The kernel's events, in order. A reader that does not keep up gets [`Loss::Overrun`] in the place of all that was
/// waiting.
#[derive(Debug)]
pub struct KernelEvents {
    receiver: Receiver<KernelEvent>,
    overrun: Arc<AtomicBool>,
}

/// The other end of [`KernelEvents`].
#[derive(Debug, Clone)]
pub struct EventSender {
    sender: Sender<KernelEvent>,
    overrun: Arc<AtomicBool>,
}

impl KernelEvents {
    /// Events, and where they come from.
    pub fn channel() -> (EventSender, Self) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let overrun = Arc::new(AtomicBool::new(false));
        (EventSender { sender, overrun: Arc::clone(&overrun) }, Self { receiver, overrun })
    }

    /// Waits for the next event; none when the kernel cannot be followed any more. Loses nothing when it is dropped
    /// while it waits.
    pub async fn next(&mut self) -> Option<KernelEvent> {
        if self.overrun.swap(false, Ordering::SeqCst) {
            // What is waiting is older than what is to be observed now.
            self.drain();
            return Some(KernelEvent::Lost(Loss::Overrun));
        }
        self.receiver.recv().await
    }

    /// Forgets what is waiting: for those who are about to observe everything.
    pub fn drain(&mut self) {
        self.overrun.store(false, Ordering::SeqCst);
        while self.receiver.try_recv().is_ok() {}
    }
}

impl EventSender {
    /// Sends an event, without waiting.
    pub fn send(&self, event: KernelEvent) {
        if self.sender.try_send(event).is_ok() {
            return;
        }
        self.overrun.store(true, Ordering::SeqCst);
        // Whoever has read everything in between would not look at the flag.
        let _ = self.sender.try_send(KernelEvent::Lost(Loss::Overrun));
    }

    /// Waits until nobody listens any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Whether nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn nexthop(id: usize) -> KernelEvent {
        KernelEvent::NexthopGone { id: u32::try_from(id).unwrap() }
    }

    async fn waiting(events: &mut KernelEvents) -> Option<KernelEvent> {
        tokio::time::timeout(Duration::from_millis(1), events.next()).await.ok().flatten()
    }

    #[tokio::test]
    async fn events_come_in_order_and_end_with_their_sender() {
        let (sender, mut events) = KernelEvents::channel();
        (0..CAPACITY).for_each(|id| sender.send(nexthop(id)));
        drop(sender);
        for id in 0..CAPACITY {
            assert_eq!(events.next().await, Some(nexthop(id)));
        }
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn an_overrun_takes_the_place_of_what_was_waiting() {
        for surplus in [1, 2, CAPACITY, 3 * CAPACITY] {
            let (sender, mut events) = KernelEvents::channel();
            (0..CAPACITY + surplus).for_each(|id| sender.send(nexthop(id)));
            assert_eq!(waiting(&mut events).await, Some(KernelEvent::Lost(Loss::Overrun)));
            assert_eq!(waiting(&mut events).await, None, "older than the overrun");
            sender.send(nexthop(7));
            assert_eq!(waiting(&mut events).await, Some(nexthop(7)));
        }
    }

    #[tokio::test]
    async fn an_overrun_reaches_a_reader_in_the_middle_of_the_queue() {
        let (sender, mut events) = KernelEvents::channel();
        (0..CAPACITY).for_each(|id| sender.send(nexthop(id)));
        assert_eq!(waiting(&mut events).await, Some(nexthop(0)));
        sender.send(nexthop(CAPACITY));
        sender.send(nexthop(CAPACITY + 1));
        assert_eq!(waiting(&mut events).await, Some(KernelEvent::Lost(Loss::Overrun)));
    }

    /// The reader empties the queue at any point of a send that finds it full. One who observes everything at an
    /// overrun, and believes single events otherwise, always ends with what is true.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reader_who_observes_at_overruns_ends_with_the_current_state() {
        let (sender, mut events) = KernelEvents::channel();
        let truth = Arc::new(AtomicUsize::new(0));
        let (last, written) = (100 * CAPACITY, Arc::clone(&truth));
        let sending = tokio::task::spawn_blocking(move || {
            for id in 0..=last {
                written.store(id, Ordering::SeqCst);
                sender.send(nexthop(id));
            }
            sender
        });
        let mut believed = 0;
        while believed != last {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
            match event.expect("an overrun was lost").unwrap() {
                KernelEvent::NexthopGone { id } => believed = id as usize,
                _ => believed = truth.load(Ordering::SeqCst),
            }
        }
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn draining_forgets_and_the_next_event_comes() {
        let (sender, mut events) = KernelEvents::channel();
        (0..2 * CAPACITY).for_each(|id| sender.send(nexthop(id)));
        events.drain();
        assert_eq!(waiting(&mut events).await, None);
        sender.send(nexthop(1));
        assert_eq!(waiting(&mut events).await, Some(nexthop(1)));
    }

    #[tokio::test]
    async fn a_sender_knows_that_nobody_listens() {
        let (sender, events) = KernelEvents::channel();
        assert!(!sender.is_closed());
        drop(events);
        sender.closed().await;
        assert!(sender.is_closed());
    }
}
