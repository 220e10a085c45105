//! The agent as the plugin sees it: a socket, patience and deadlines.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use flock_rpc::CniError;
use flock_rpc::client::{self, ConnectError, Uds};
use flock_rpc::v1alpha1::cni_client::CniClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status};

/// How long ADD waits for an agent that is away: its restart takes less than a second.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(50);
/// The time an agent has for an answer. Runtimes give up after one to four minutes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(45);
/// The same for STATUS, which asks for nothing that takes time.
pub(crate) const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}: the agent on {1} restarted or crashed, its log says more")]
    Broke(String, String),
    #[error("the agent on {0} did not answer within {sec} s, its log says more", sec = .1.as_secs())]
    Late(String, Duration),
    /// The agent's own error, or one that fits what tonic said.
    #[error("{}", .0.msg)]
    Refused(CniError),
}

/// The agent of this node.
pub(crate) struct Agent {
    pub(crate) socket: PathBuf,
}

impl Agent {
    /// Connects or fails at once.
    pub(crate) async fn connect(&self) -> Result<CniClient<Uds>, CallError> {
        Ok(client::cni(client::connect(&self.socket).await?))
    }

    /// Connects and waits for an agent that is away or busy.
    pub(crate) async fn connect_patiently(&self) -> Result<CniClient<Uds>, CallError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.connect().await {
                Err(CallError::Connect(ConnectError::Away(_) | ConnectError::Busy(_)))
                    if Instant::now() < give_up =>
                {
                    sleep(RETRY_EVERY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits for the answer of one call.
    pub(crate) async fn answer<R>(
        &self,
        deadline: Duration,
        answer: impl Future<Output = Result<Response<R>, Status>>,
    ) -> Result<R, CallError> {
        match timeout(deadline, answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if client::broke(&status) => Err(self.broke(&status)),
            Ok(Err(status)) => Err(CallError::Refused(CniError::from(&status))),
            Err(_) => Err(CallError::Late(self.socket.display().to_string(), deadline)),
        }
    }

    fn broke(&self, status: &Status) -> CallError {
        CallError::Broke(status.message().to_owned(), self.socket.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flock_rpc::v1alpha1::StatusRequest;
    use std::os::unix::net::UnixListener;

    fn agent(dir: &tempfile::TempDir) -> Agent {
        Agent { socket: dir.path().join("agent.sock") }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_never_answers_is_late() {
        let dir = tempfile::tempdir().unwrap();
        let agent = agent(&dir);
        let _listener = UnixListener::bind(&agent.socket).unwrap();
        let mut client = agent.connect().await.unwrap();
        let began = Instant::now();
        let outcome = agent.answer(DEADLINE, client.status(StatusRequest::default())).await;
        assert!(matches!(outcome, Err(CallError::Late(..))), "{outcome:?}");
        assert_eq!(began.elapsed().as_secs(), 45);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_five_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let outcome = agent(&dir).connect_patiently().await.map(drop);
        assert!(matches!(outcome, Err(CallError::Connect(ConnectError::Away(_)))), "{outcome:?}");
        assert_eq!(began.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_cannot_mend_fails_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let agent = Agent { socket: file.path().join("agent.sock") };
        let began = Instant::now();
        let outcome = agent.connect_patiently().await.map(drop);
        assert!(matches!(outcome, Err(CallError::Connect(ConnectError::Io { .. }))), "{outcome:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
