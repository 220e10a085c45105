//! People's questions.

use std::path::PathBuf;
use std::sync::Arc;

use flock_core::ipam::PoolUsage;
use flock_core::link::Comparison;
use flock_kernel::Kernel;
use flock_rpc::v1alpha1::inspect_server::Inspect;
use flock_rpc::v1alpha1::{
    self as wire, ListAttachmentsRequest, ListAttachmentsResponse, ShowAnycastRequest, ShowAnycastResponse,
    ShowAttachmentRequest, ShowAttachmentResponse, ShowBgpRequest, ShowBgpResponse, ShowNodeRequest,
    ShowNodeResponse,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::convert;
use crate::anycast::AnycastView;
use crate::attach::{Attachments, Inspection};
use crate::bird::BgpView;
use crate::report;
use crate::source::Source;

pub(super) struct Service<K, S> {
    pub(super) attachments: Arc<Attachments<K, S>>,
    pub(super) node: String,
    pub(super) bgp: watch::Receiver<Arc<BgpView>>,
    pub(super) anycast: watch::Receiver<Arc<AnycastView>>,
    pub(super) unsteered: watch::Receiver<Option<String>>,
    pub(super) bird: PathBuf,
}

#[tonic::async_trait]
impl<K: Kernel, S: Source> Inspect for Service<K, S> {
    async fn list_attachments(
        &self,
        _: Request<ListAttachmentsRequest>,
    ) -> Result<Response<ListAttachmentsResponse>, Status> {
        let mtu = self.attachments.host_view().mtu;
        let records = self.attachments.records();
        let attachments = records.iter().map(|record| convert::attachment(record, mtu)).collect();
        Ok(Response::new(ListAttachmentsResponse { attachments }))
    }

    async fn show_attachment(
        &self,
        request: Request<ShowAttachmentRequest>,
    ) -> Result<Response<ShowAttachmentResponse>, Status> {
        let record =
            self.attachments.select(&request.into_inner().selector).map_err(|e| convert::status(&e))?;
        let Inspection { record, mtu, facts } =
            self.attachments.inspect(record).await.map_err(|e| convert::status(&e))?;
        let attachment = Some(convert::attachment(&record, mtu));
        Ok(Response::new(ShowAttachmentResponse { attachment, facts: facts.into_iter().map(fact).collect() }))
    }

    async fn show_node(&self, _: Request<ShowNodeRequest>) -> Result<Response<ShowNodeResponse>, Status> {
        let desired = self.attachments.desired();
        let view = self.attachments.host_view();
        let (unrouted, unsteered) = (self.anycast.borrow().problem.clone(), self.unsteered.borrow().clone());
        let unrouted = unrouted.map(|problem| format!("anycast routes: {problem}"));
        let unsteered =
            unsteered.map(|problem| format!("established connections are not steered: {problem}"));
        Ok(Response::new(ShowNodeResponse {
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            not_ready_reason: self.attachments.not_ready().unwrap_or_default(),
            pools: self.attachments.usage().into_iter().map(pool).collect(),
            uplinks: view.uplinks.iter().map(ToString::to_string).collect(),
            mtu: view.mtu,
            problems: desired
                .problems
                .iter()
                .map(ToString::to_string)
                .chain(unrouted)
                .chain(unsteered)
                .collect(),
        }))
    }

    async fn show_bgp(&self, _: Request<ShowBgpRequest>) -> Result<Response<ShowBgpResponse>, Status> {
        let status = report::bgp::node_status(&self.bgp.borrow().status);
        let status = serde_json::to_vec(&status).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(ShowBgpResponse { status }))
    }

    async fn show_anycast(
        &self,
        _: Request<ShowAnycastRequest>,
    ) -> Result<Response<ShowAnycastResponse>, Status> {
        let view = self.anycast.borrow().clone();
        let bgp = self.bgp.borrow().clone();
        // Asked now, not remembered.
        let advertised = report::anycast::advertised(&bgp, &self.bird).await;
        let records = self.attachments.follow_records().borrow().clone();
        let status = report::anycast::node_status(&view, &records, &advertised);
        let status = serde_json::to_vec(&status).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(ShowAnycastResponse { status }))
    }
}

fn fact(row: Comparison) -> wire::Fact {
    let Comparison { side, subject, desired, observed, verdict } = row;
    wire::Fact {
        side: side.to_string(),
        subject,
        desired: desired.unwrap_or_default(),
        observed: observed.unwrap_or_default(),
        verdict: verdict.as_str().to_owned(),
    }
}

fn pool(usage: PoolUsage) -> wire::PoolUsage {
    let PoolUsage { cidr, size, used, resting } = usage;
    wire::PoolUsage { cidr: cidr.to_string(), size, used, resting }
}
