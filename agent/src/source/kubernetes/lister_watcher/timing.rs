//! How long a lister-watcher waits.

use std::time::Duration;

/// How long is waited for what.
#[derive(Debug, Clone)]
pub(in crate::source::kubernetes) struct Timing {
    /// The API server ends a watch after so long: the one sign of life that a quiet watch gives.
    pub(in crate::source::kubernetes) watch: Duration,
    /// The end may come so much later.
    pub(in crate::source::kubernetes) margin: Duration,
    /// The beginning of an answer.
    pub(in crate::source::kubernetes) open: Duration,
    /// Two objects of a list, or a page of it.
    pub(in crate::source::kubernetes) gap: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub(in crate::source::kubernetes) first_pause: Duration,
    pub(in crate::source::kubernetes) longest_pause: Duration,
    /// A watch that has lasted so long has worked: the next one begins at once.
    pub(in crate::source::kubernetes) lasting: Duration,
    /// An API server that could not begin a watch with a list is not asked to for so long: it may have been busy, or be
    /// another one by then.
    pub(in crate::source::kubernetes) pages: Duration,
    /// The answer about one object, while a runtime waits.
    pub(in crate::source::kubernetes) refresh: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            watch: Duration::from_secs(45),
            margin: Duration::from_secs(4),
            open: Duration::from_secs(8),
            gap: Duration::from_secs(20),
            // client-go's: a cluster's agents must not keep an API server down that comes up.
            first_pause: Duration::from_millis(800),
            longest_pause: Duration::from_secs(30),
            lasting: Duration::from_secs(1),
            pages: Duration::from_secs(300),
            refresh: Duration::from_secs(3),
        }
    }
}
