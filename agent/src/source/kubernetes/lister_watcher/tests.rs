use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::http::StatusCode;
use serde_json::json;

use super::*;

struct Nobody;

impl Handler for Nobody {
    fn begin(&mut self) {}
    fn listed(&mut self, _: &Object<'_>) {}
    fn complete(&mut self, _: &str) {}
    fn applied(&mut self, _: &Object<'_>) {}
    fn deleted(&mut self, _: &Object<'_>) {}
    fn following(&mut self) {}
    fn failing(&mut self, _: Failure) {}
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_asks_for_time_is_given_it() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let refuse = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 429,
            "reason": "TooManyRequests", "message": "later", "details": {"retryAfterSeconds": 60}});
        async move { (StatusCode::TOO_MANY_REQUESTS, status.to_string()) }
    };
    let client = Client::new(Router::new().fallback(refuse), "default");
    let working = Arc::new(Notify::new());
    let query = Query { path: "/api/v1/pods", ..Query::default() };
    let run = ListerWatcher::new(client, query, Timing::default(), Nobody, Arc::clone(&working));
    tokio::spawn(run.run());
    sleep(Duration::from_secs(30)).await;
    working.notify_waiters();
    sleep(Duration::from_secs(29)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1, "not even if others are answered");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn busy_is_told_from_a_version_that_is_too_late() {
    let failure = |code: u16, message: &str| {
        let status =
            json!({"kind": "Status", "status": "Failure", "code": code, "reason": "R", "message": message});
        Failure::from(serde_json::from_value::<kube::core::Status>(status).unwrap())
    };
    let late = "Too large resource version: 9, current: 1";
    let cases = [(400, late, true), (504, late, true), (503, late, false), (504, "timeout", false)];
    for (code, message, expected) in cases {
        assert_eq!(failure(code, message).is_too_large_version(), expected, "{code} {message}");
    }
    let pauses = [failure(429, "busy"), failure(503, "busy")].map(|failure| failure.retry_after);
    assert_eq!(pauses, [Duration::from_secs(1), Duration::ZERO]);
}
