//! Calls of the API server: JSON in, JSON out, none for longer than a person would wait.

use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::{Request, Status};
use serde_json::Value;

use super::FIELD_MANAGER;
use crate::supervision::turn;

/// An API server that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Objects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection<'a>(pub &'a str);

impl Collection<'static> {
    pub const NODES: Self = Self("/api/v1/nodes");
    pub const NODE_CONFIGS: Self = Self("/apis/flock.fritzlab.net/v1alpha1/nodeconfigs");
    pub const NODE_STATES: Self = Self("/apis/flock.fritzlab.net/v1alpha1/nodestates");
}

/// Why a call has failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server says no.
    #[error("{}", reason(.0))]
    Refused(Box<Status>),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// It cannot be asked.
    #[error("{0}")]
    Unreachable(String),
    /// It says what is no JSON. What it said may be a secret.
    #[error("the answer cannot be read")]
    Unreadable,
}

impl CallError {
    /// Another one of the same kind is no news.
    pub fn kind(&self) -> String {
        match self {
            CallError::Refused(status) if status.reason.is_empty() => status.code.to_string(),
            CallError::Refused(status) => status.reason.clone(),
            CallError::Silent => "Silent".to_owned(),
            CallError::Unreachable(_) => "Unreachable".to_owned(),
            CallError::Unreadable => "Unreadable".to_owned(),
        }
    }

    /// There is no such object, or no such kind of objects.
    pub fn is_not_found(&self) -> bool {
        matches!(self, CallError::Refused(status) if status.is_not_found())
    }

    /// There is such an object already.
    pub fn is_already_there(&self) -> bool {
        matches!(self, CallError::Refused(status) if status.is_already_exists())
    }

    /// The agent may not.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, CallError::Refused(status) if status.is_forbidden())
    }

    /// Trying again will not help.
    pub fn is_final(&self) -> bool {
        matches!(self, CallError::Refused(status) if (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 409 | 429))
    }

    /// How long the API server asks to be left alone.
    pub fn retry_after(&self) -> Duration {
        let CallError::Refused(status) = self else { return Duration::ZERO };
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        Duration::from_secs(seconds.into())
    }
}

/// What the API server says, in words. Servers between may give a code and nothing else; kube makes an empty status of an
/// event that it cannot read.
pub fn reason(status: &Status) -> String {
    match status {
        Status { message, .. } if !message.is_empty() => message.clone(),
        Status { reason, .. } if !reason.is_empty() => reason.clone(),
        Status { code: 0, .. } => "the answer cannot be read".to_owned(),
        Status { code, .. } => format!("HTTP status {code}, without a reason"),
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => CallError::Refused(status),
            error => CallError::Unreachable(error.to_string()),
        }
    }
}

pub async fn get(client: &Client, collection: Collection<'_>, name: &str) -> Result<Value, CallError> {
    let request = Request::new(collection.0).get(name, &GetParams::default());
    send(client, request.map_err(built)?).await
}

pub async fn create(client: &Client, collection: Collection<'_>, object: &Value) -> Result<Value, CallError> {
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let request = Request::new(collection.0).create(&parameters, object.to_string().into_bytes());
    send(client, request.map_err(built)?).await
}

/// Server-side apply of an object's status: these fields are flock's, whoever had them before.
pub async fn apply_status(
    client: &Client,
    collection: Collection<'_>,
    name: &str,
    object: &Value,
) -> Result<Value, CallError> {
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let request =
        Request::new(collection.0).patch_subresource("status", name, &parameters, &Patch::Apply(object));
    send(client, request.map_err(built)?).await
}

/// Changes fields of an object.
pub async fn merge(
    client: &Client,
    collection: Collection<'_>,
    name: &str,
    fields: &Value,
) -> Result<Value, CallError> {
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let request = Request::new(collection.0).patch(name, &parameters, &Patch::Merge(fields));
    send(client, request.map_err(built)?).await
}

fn built(error: kube::core::request::Error) -> CallError {
    CallError::Unreachable(error.to_string())
}

/// Not `Client::request`: it logs answers that it cannot read, Secrets among them.
async fn send(client: &Client, request: HttpRequest) -> Result<Value, CallError> {
    let _turn = turn();
    let text = within_patience(client.request_text(request)).await?;
    serde_json::from_str(&text).map_err(|_| CallError::Unreadable)
}

type HttpRequest = axum::http::Request<Vec<u8>>;

async fn within_patience<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_always_has_a_reason() {
        for (status, reason) in [
            (Status::failure("pods is forbidden", "Forbidden").with_code(403), "pods is forbidden"),
            (Status::failure("", "Forbidden").with_code(403), "Forbidden"),
            (Status::failure("", "").with_code(502), "HTTP status 502, without a reason"),
            (Status::default(), "the answer cannot be read"),
        ] {
            assert_eq!(CallError::Refused(status.boxed()).to_string(), reason);
        }
    }
}
