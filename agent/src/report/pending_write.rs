//! What was written comes back through a watch, later. Until then the watch shows what was there before: nobody has
//! changed anything then.

use std::time::Duration;

use tokio::time::Instant;

/// What is written is seen by then; if not, it is written again.
const LAG: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct PendingWrite<T> {
    before: T,
    after: T,
    at: Instant,
    is_back: bool,
}

impl<T: PartialEq> PendingWrite<T> {
    /// The watch showed `before`, and the write made it `after`.
    pub(crate) fn of(before: T, after: T) -> Self {
        let is_back = before == after;
        Self { before, after, at: Instant::now(), is_back }
    }

    /// Whether what is seen is what was written, or what was there before and nobody can know better yet.
    pub(crate) fn explains(&mut self, seen: &T) -> bool {
        if *seen == self.after {
            self.is_back = true;
            return true;
        }
        !self.is_back && *seen == self.before && self.at.elapsed() < LAG
    }

    /// When it is too late for the write to come back; none: it has, or something else has.
    pub(crate) fn overdue_at(&self) -> Option<Instant> {
        (!self.is_back).then(|| self.at + LAG).filter(|at| *at > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_there_before_is_no_news_until_the_write_is_back() {
        let mut pending = PendingWrite::of("foreign", "ours");
        assert!(pending.explains(&"foreign"));
        assert!(!pending.explains(&"another"));
        assert!(pending.explains(&"ours"));
        assert_eq!(pending.overdue_at(), None);
        // Now somebody has changed it back.
        assert!(!pending.explains(&"foreign"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_never_comes_back_was_undone() {
        let mut pending = PendingWrite::of("foreign", "ours");
        assert_eq!(pending.overdue_at(), Some(Instant::now() + LAG));
        tokio::time::advance(LAG).await;
        assert!(!pending.explains(&"foreign"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_changes_nothing_is_back_at_once() {
        assert_eq!(PendingWrite::of("ours", "ours").overdue_at(), None);
    }
}
