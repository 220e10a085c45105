//! Counts the plugin's calls.

use std::future::Future;

use flock_rpc::error::CniCode;
use flock_rpc::v1alpha1::cni_server::Cni;
use flock_rpc::v1alpha1::{
    AddRequest, AddResponse, CheckRequest, CheckResponse, CniError, DelRequest, DelResponse, GcRequest,
    GcResponse, StatusRequest, StatusResponse,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::metrics::CniCalls;

/// A service whose calls are counted.
pub(super) struct Counted<C> {
    pub(super) inner: C,
    pub(super) calls: CniCalls,
}

type Outcome<T> = Result<Response<T>, Status>;

impl<C> Counted<C> {
    async fn count<T>(&self, verb: &'static str, call: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let start = Instant::now();
        let outcome = call.await;
        let code = outcome.as_ref().map(drop).map_err(|status| CniError::from(status).code);
        self.calls.observe(verb, code, start.elapsed());
        outcome
    }
}

#[tonic::async_trait]
impl<C: Cni> Cni for Counted<C> {
    async fn add(&self, request: Request<AddRequest>) -> Outcome<AddResponse> {
        let start = Instant::now();
        let outcome = self.inner.add(request).await;
        let code = match &outcome {
            // To the runtime it is one call: the plugin asks again.
            Ok(response) if response.get_ref().loopback_pending => Err(CniCode::TryAgain.number()),
            Ok(_) => Ok(()),
            Err(status) => Err(CniError::from(status).code),
        };
        self.calls.observe("ADD", code, start.elapsed());
        outcome
    }

    async fn del(&self, request: Request<DelRequest>) -> Outcome<DelResponse> {
        self.count("DEL", self.inner.del(request)).await
    }

    async fn check(&self, request: Request<CheckRequest>) -> Outcome<CheckResponse> {
        self.count("CHECK", self.inner.check(request)).await
    }

    async fn gc(&self, request: Request<GcRequest>) -> Outcome<GcResponse> {
        self.count("GC", self.inner.gc(request)).await
    }

    async fn status(&self, request: Request<StatusRequest>) -> Outcome<StatusResponse> {
        self.count("STATUS", self.inner.status(request)).await
    }
}
