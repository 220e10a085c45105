//! Peers' passwords out of Secrets: those that the node's plan names, in the agent's own namespace, and nothing else.
//!
//! They are asked for one by one (`get`): an agent that may list or watch Secrets can read all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flock_core::bgp::config::Password;
use flock_core::bgp::plan::PasswordSource;
use flock_core::bgp::secrets::Secrets;
use flock_core::desired::Desired;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::call::{self, Collection};
use crate::api::retry::JITTER;
use crate::environment::jittered;

#[cfg(test)]
mod tests;

/// Nobody tells when a Secret changes.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// A Secret that could not be asked for is asked for again sooner.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What is said before a Secret was asked for.
const NOT_YET: &str = "not read yet";

/// Before the first Secret is read.
pub fn none_yet() -> Secrets {
    Secrets { read: BTreeMap::new(), otherwise: NOT_YET, is_asking: true }
}

/// Follows the Secrets that the plan names, for ever.
pub async fn follow(
    client: Client,
    namespace: String,
    desired: watch::Receiver<Arc<Desired>>,
    read: watch::Sender<Secrets>,
) {
    Reader::new(client, &namespace).run(desired, read).await;
}

/// Passwords, or why there is none, by where they are named.
type Read = BTreeMap<PasswordSource, Result<Password, String>>;

/// After so many rounds without an answer it is time to say so. Before, whatever an earlier agent has told BIRD stays.
const GRACE_ROUNDS: u32 = 5;

struct Reader {
    client: Client,
    namespace: String,
    /// Rounds in which the API server has not answered.
    unanswered: u32,
}

/// What the API server says of a Secret.
enum Answer {
    /// Its `data`, which may be a password.
    Data(BTreeMap<String, ByteString>),
    /// It is not there.
    None,
    /// The agent may not know.
    Forbidden,
    Silence(String),
}

impl Reader {
    fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), unanswered: 0 }
    }

    async fn run(mut self, mut desired: watch::Receiver<Arc<Desired>>, read: watch::Sender<Secrets>) {
        let mut due = Instant::now();
        loop {
            let named = named(&desired.borrow_and_update());
            let known = read.borrow().read.clone();
            let is_due = Instant::now() >= due;
            let asked = named.iter().filter(|source| is_due || !known.contains_key(source)).collect();
            let (answers, all_answered) = self.ask(&asked, &known).await;
            self.unanswered = if all_answered { 0 } else { self.unanswered.saturating_add(1) };
            publish(&read, &named, answers);
            if is_due || !all_answered {
                due = Instant::now() + jittered(if all_answered { ASK_EVERY } else { TRY_AGAIN }, JITTER);
            }
            tokio::select! {
                Ok(()) = desired.changed() => {}
                () = tokio::time::sleep_until(due), if !named.is_empty() => {}
            }
        }
    }

    /// What these are now, and whether the API server has said so of all of them.
    async fn ask(&self, sources: &BTreeSet<&PasswordSource>, known: &Read) -> (Read, bool) {
        let mut secrets: BTreeMap<&str, Answer> = BTreeMap::new();
        let (mut answers, mut all_answered) = (Read::new(), true);
        for source in sources {
            let PasswordSource::Secret { name, key } = source else { continue };
            if !secrets.contains_key(name.as_str()) {
                secrets.insert(name, self.secret(name).await);
            }
            let Some(answer) = secrets.get(name.as_str()) else { continue };
            all_answered &= matches!(answer, Answer::Data(_) | Answer::None);
            let password = self.password(name, key, answer, known.get(source));
            answers.extend(password.map(|password| ((*source).clone(), password)));
        }
        (answers, all_answered)
    }

    async fn secret(&self, name: &str) -> Answer {
        let path = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        match call::get(&self.client, Collection(&path), name).await {
            // Its errors would repeat what they cannot read.
            Ok(object) => match data(object) {
                Some(data) => Answer::Data(data),
                None => Answer::Silence("the API server's answer cannot be read".to_owned()),
            },
            Err(error) if error.is_not_found() => Answer::None,
            Err(error) if error.is_forbidden() => Answer::Forbidden,
            Err(error) => Answer::Silence(format!("the API server cannot be asked: {error}")),
        }
    }

    /// The password that a Secret holds; none: what is known already stays. A session must not end because a Role is
    /// being replaced, or because the API server is away.
    fn password(
        &self,
        name: &str,
        key: &str,
        answer: &Answer,
        known: Option<&Result<Password, String>>,
    ) -> Option<Result<Password, String>> {
        let namespace = &self.namespace;
        let is_known = matches!(known, Some(Ok(_)));
        let refused = match answer {
            Answer::Data(data) => match data.get(key) {
                Some(value) => {
                    return Some(Password::of_bytes(value.0.clone()).map_err(|error| error.to_string()));
                }
                None => format!(
                    "Secret {namespace}/{name} has no key {key} in its data: add it, or name another in passwordSecret.key"
                ),
            },
            Answer::None => format!(
                "there is no such Secret: `kubectl -n {namespace} create secret generic {name} --from-file={key}=FILE` makes it"
            ),
            Answer::Forbidden if !is_known => format!(
                "the agent may not read it: let a Role of namespace {namespace} allow its ServiceAccount `get` on `secrets` with resourceNames [{name}]"
            ),
            Answer::Silence(reason) if known.is_none() && self.unanswered >= GRACE_ROUNDS => reason.clone(),
            Answer::Forbidden | Answer::Silence(_) => return None,
        };
        Some(Err(refused))
    }
}

/// The Secrets that the node's plan names.
fn named(desired: &Desired) -> BTreeSet<PasswordSource> {
    let plan = desired.node.as_ref().and_then(|node| node.bgp.as_ref());
    let sources = plan.into_iter().flat_map(|plan| &plan.peers).filter_map(|peer| peer.password.clone());
    sources.filter(|source| matches!(source, PasswordSource::Secret { .. })).collect()
}

/// Tells of what has changed; what is not named any more is forgotten.
fn publish(read: &watch::Sender<Secrets>, named: &BTreeSet<PasswordSource>, answers: Read) {
    for (source, answer) in &answers {
        let before = read.borrow().read.get(source).cloned();
        match answer {
            Err(reason) if before.as_ref() != Some(answer) => {
                tracing::warn!(%source, reason, "there is no password");
            }
            Ok(_) if before.as_ref() != Some(answer) => tracing::info!(%source, "read the password"),
            _ => {}
        }
    }
    read.send_if_modified(|secrets| {
        let before = secrets.read.clone();
        secrets.read.extend(answers);
        secrets.read.retain(|source, _| named.contains(source));
        secrets.read != before
    });
}

fn data(mut object: Value) -> Option<BTreeMap<String, ByteString>> {
    match object.get_mut("data").map(Value::take) {
        None | Some(Value::Null) => Some(BTreeMap::new()),
        Some(data) => serde_json::from_value(data).ok(),
    }
}
