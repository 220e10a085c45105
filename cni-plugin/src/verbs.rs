//! What each verb makes of the agent's answer, and of an agent that is away.

use std::path::Path;

use flock_rpc::client::ConnectError;
use flock_rpc::v1alpha1::{AddRequest, CheckRequest, DelRequest, GcRequest, Loopback, StatusRequest};
use flock_rpc::{AttachmentId, CniCode, CniError, tombstone};

use crate::agent::{Agent, CallError, DEADLINE, STATUS_DEADLINE};
use crate::call::{Add, Call, Request};
use crate::loopback;
use crate::output::version_json;
use crate::result::CniResult;

/// The text for standard output, if the verb has one.
pub(crate) fn run(call: Call) -> Result<Option<String>, CniError> {
    match call {
        Call::Version(cni_version) => version_json(cni_version.as_deref()).map(Some),
        Call::Agent { socket, request } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            let runtime =
                runtime.map_err(|error| CniCode::Io.error(format!("cannot wait for the agent: {error}")))?;
            runtime.block_on(ask(&Agent { socket }, request))
        }
    }
}

async fn ask(agent: &Agent, request: Request) -> Result<Option<String>, CniError> {
    match request {
        Request::Add(call) => add(agent, *call).await.map(Some),
        Request::Del(request) => del(agent, request).await.map(|()| None),
        Request::Check(request) => check(agent, request).await.map_err(try_again).map(|()| None),
        Request::Gc(request) => gc(agent, request).await.map_err(try_again).map(|()| None),
        Request::Status(request) => status(agent, request).await.map_err(unavailable).map(|()| None),
    }
}

async fn add(agent: &Agent, Add { request, version, config }: Add) -> Result<String, CniError> {
    let mut client = agent.connect_patiently().await.map_err(try_again)?;
    let mut added = agent.answer(DEADLINE, client.add(request.clone())).await.map_err(try_again)?;
    if added.loopback_pending {
        loopback::settled(Path::new("/proc"), &request.netns).await;
        let settled = AddRequest { loopback: Loopback::Settled.into(), ..request };
        added = agent.answer(DEADLINE, client.add(settled)).await.map_err(try_again)?;
    }
    CniResult::chained(config.prev_result, added, config.dns).into_json(version)
}

/// Succeeds without an agent: the tombstone makes its next start do what this call could not.
async fn del(agent: &Agent, request: DelRequest) -> Result<(), CniError> {
    let attachment = request.attachment.clone().unwrap_or_default();
    let outcome = match agent.connect().await {
        Ok(mut client) => agent.answer(DEADLINE, client.del(request)).await.map(drop),
        Err(error) => Err(error),
    };
    match outcome {
        // An agent that is there must say itself that it is done.
        Err(
            error @ (CallError::Connect(ConnectError::Busy(_)) | CallError::Late(..) | CallError::Refused(_)),
        ) => Err(try_again(error)),
        Err(error @ (CallError::Connect(_) | CallError::Broke(..))) => {
            leave_tombstone(agent, &attachment, &error)
        }
        Ok(()) => Ok(()),
    }
}

fn leave_tombstone(agent: &Agent, attachment: &AttachmentId, cause: &CallError) -> Result<(), CniError> {
    let left = tombstone::leave(&tombstone::socket_dir(&agent.socket), attachment);
    left.map_err(|error| {
        CniCode::Io.error(format!("{cause}; and the note for its next start could not be left: {error}"))
    })
}

async fn check(agent: &Agent, request: CheckRequest) -> Result<(), CallError> {
    let mut client = agent.connect().await?;
    agent.answer(DEADLINE, client.check(request)).await.map(drop)
}

async fn gc(agent: &Agent, request: GcRequest) -> Result<(), CallError> {
    let mut client = agent.connect().await?;
    agent.answer(DEADLINE, client.gc(request)).await.map(drop)
}

async fn status(agent: &Agent, request: StatusRequest) -> Result<(), CallError> {
    let mut client = agent.connect().await?;
    agent.answer(STATUS_DEADLINE, client.status(request)).await.map(drop)
}

/// What the agent says goes through; an agent that says nothing is a passing condition.
fn try_again(error: CallError) -> CniError {
    match error {
        CallError::Refused(error) => error,
        silent => CniCode::TryAgain.error(advised(&silent)),
    }
}

/// The same for STATUS, which has a code of its own for this.
fn unavailable(error: CallError) -> CniError {
    match error {
        CallError::Refused(error) if !error.is(CniCode::TryAgain) => error,
        error => CniCode::Unavailable.error(advised(&error)),
    }
}

fn advised(error: &CallError) -> String {
    match error {
        CallError::Connect(_) => format!("{error}: is the flock-agent DaemonSet's pod running on this node?"),
        _ => error.to_string(),
    }
}
