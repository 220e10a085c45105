//! What a person must act on, told where they look: Events, when there is an API server.

use flock_core::attachment::PodName;
use tokio::sync::mpsc;

/// So many wait for the API server at most; more are lost, and the log has them all.
const WAITING: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notice {
    /// What it is about.
    pub about: About,
    /// Whether a person must act.
    pub severity: Severity,
    /// Why, for programs: CamelCase, as `AddressRefused`.
    pub reason: &'static str,
    /// What was being done: CamelCase, as `Attaching`.
    pub action: &'static str,
    /// Why, for people: what happened, and what to do.
    pub note: String,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum About {
    Pod {
        name: PodName,
        /// Its UID, where it is known.
        uid: Option<String>,
    },
    Node,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

/// Takes notices and never waits.
#[derive(Debug, Clone, Default)]
pub struct Notices(Option<mpsc::Sender<Notice>>);

impl Notices {
    /// Notices, and where they come out.
    pub fn channel() -> (Self, mpsc::Receiver<Notice>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(Some(sender)), receiver)
    }

    /// Where nobody takes them: without an API server.
    pub fn nowhere() -> Self {
        Self(None)
    }

    pub fn tell(&self, notice: Notice) {
        let Some(sender) = &self.0 else { return };
        if let Err(error) = sender.try_send(notice) {
            tracing::debug!(%error, "a notice is lost");
        }
    }
}
