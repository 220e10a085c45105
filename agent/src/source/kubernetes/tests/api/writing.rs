//! What agents write: objects that are made, and server-side apply, as far as agents can tell.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};
use serde_json::Value;

use super::{Api, refusal};

impl Api {
    /// What was written since it was looked at last, as `PATCH /api/v1/nodes/node-a/status`.
    pub(in super::super) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.store.lock().unwrap().writes)
    }

    /// How many events watches were sent since it was looked at last, by collection.
    pub(in super::super) fn delivered(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.store.lock().unwrap().delivered).into_iter().collect()
    }

    pub(super) async fn write(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body: Value = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
        let path = parts.uri.path();
        self.store.lock().unwrap().writes.push(format!("{} {path}", parts.method));
        match parts.method {
            Method::POST => self.make(path, body),
            _ => self.apply(path, &body),
        }
    }

    fn make(&self, collection: &str, mut object: Value) -> Response<Body> {
        object["metadata"]["uid"] = format!("made-{}", self.version()).into();
        self.put(collection, object.clone());
        Response::new(Body::from(object.to_string()))
    }

    fn apply(&self, path: &str, body: &Value) -> Response<Body> {
        let object = path.trim_end_matches("/status");
        let (collection, name) = object.rsplit_once('/').unwrap();
        let key = (collection.to_owned(), name.to_owned());
        let Some(mut object) = self.store.lock().unwrap().objects.get(&key).cloned() else {
            return refusal(404);
        };
        object["status"] = body["status"].clone();
        self.put(collection, object.clone());
        Response::new(Body::from(object.to_string()))
    }
}
