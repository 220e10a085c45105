//! The plugin's verbs.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use flock_core::attachment::AttachmentId;
use flock_kernel::Kernel;
use flock_rpc::error::CniCode;
use flock_rpc::v1alpha1::cni_server::Cni;
use flock_rpc::v1alpha1::{
    AddRequest, AddResponse, CheckRequest, CheckResponse, DelRequest, DelResponse, GcRequest, GcResponse,
    StatusRequest, StatusResponse,
};
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, Span, debug_span};

use super::convert;
use crate::attach::{AttachError, Attachments};
use crate::source::Source;
use crate::supervision::Tasks;

pub(super) struct Service<K, S> {
    pub(super) attachments: Arc<Attachments<K, S>>,
    pub(super) tasks: Tasks,
}

impl<K: Kernel, S: Source> Service<K, S> {
    /// A call is carried through even when its caller goes away: half an ADD helps nobody, and its lock is held.
    async fn carry_through<T: Send + 'static>(
        &self,
        span: Span,
        call: impl Future<Output = Result<T, AttachError>> + Send + 'static,
    ) -> Result<T, Status> {
        let told = async {
            let outcome = call.await;
            match &outcome {
                Ok(_) => tracing::debug!("done"),
                Err(error) => tracing::debug!(%error, "refused"),
            }
            outcome
        };
        match self.tasks.spawn_call(told.instrument(span)).await {
            Ok(outcome) => outcome.map_err(|error| convert::status(&error)),
            Err(panic) => {
                let fault = format!("the agent's own fault: {panic}; its log says more");
                Err(CniCode::Internal.error(fault).into())
            }
        }
    }

    /// The attachment's pod, for the log.
    fn pod(&self, id: &AttachmentId) -> String {
        self.attachments.pod(id).map_or_else(|| "unknown".to_owned(), |pod| pod.to_string())
    }
}

#[tonic::async_trait]
impl<K: Kernel, S: Source> Cni for Service<K, S> {
    async fn add(&self, request: Request<AddRequest>) -> Result<Response<AddResponse>, Status> {
        let call = convert::add_call(request.into_inner())?;
        let attachments = Arc::clone(&self.attachments);
        let span = debug_span!("ADD", attachment = %call.id, pod = %call.pod);
        let added = self.carry_through(span, async move {
            let is_pending = attachments.awaits_loopback(&call).await?;
            if is_pending { Ok(None) } else { attachments.add(call).await.map(Some) }
        });
        let pending = || AddResponse { loopback_pending: true, ..AddResponse::default() };
        let response = added.await?.as_ref().map_or_else(pending, convert::add_response);
        Ok(Response::new(response))
    }

    async fn del(&self, request: Request<DelRequest>) -> Result<Response<DelResponse>, Status> {
        let id = convert::attachment_id(request.into_inner().attachment)?;
        let attachments = Arc::clone(&self.attachments);
        let span = debug_span!("DEL", attachment = %id, pod = %self.pod(&id));
        self.carry_through(span, async move { attachments.del(&id).await }).await?;
        Ok(Response::new(DelResponse {}))
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let call = convert::check_call(request.into_inner())?;
        let attachments = Arc::clone(&self.attachments);
        let span = debug_span!("CHECK", attachment = %call.id, pod = %self.pod(&call.id));
        self.carry_through(span, async move { attachments.check(call).await }).await?;
        Ok(Response::new(CheckResponse {}))
    }

    async fn gc(&self, request: Request<GcRequest>) -> Result<Response<GcResponse>, Status> {
        let GcRequest { network, valid } = request.into_inner();
        // One name that is not valid would otherwise make a live attachment look stale.
        let valid = valid
            .into_iter()
            .map(|id| convert::attachment_id(Some(id)))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let attachments = Arc::clone(&self.attachments);
        let span = debug_span!("GC", network, valid = valid.len());
        let removed = self.carry_through(span, async move { attachments.gc(&network, &valid).await }).await?;
        tracing::info!(removed = removed.len(), "GC");
        Ok(Response::new(GcResponse {
            removed: removed.iter().map(convert::attachment_id_message).collect(),
        }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let _span = debug_span!("STATUS").entered();
        let not_ready = self.attachments.not_ready();
        tracing::debug!(not_ready, "done");
        match not_ready {
            None => Ok(Response::new(StatusResponse {})),
            Some(reason) => Err(CniCode::Unavailable.error(reason).into()),
        }
    }
}
