//! The gRPC service: the plugin's verbs and people's questions, for root only.

mod cni;
mod convert;
mod counted;
mod inspect;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use flock_kernel::Kernel;
use flock_rpc::v1alpha1::cni_server::CniServer;
use flock_rpc::v1alpha1::inspect_server::InspectServer;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use crate::anycast::AnycastView;
use crate::attach::Attachments;
use crate::bird::BgpView;
use crate::metrics::CniCalls;
use crate::source::Source;
use crate::supervision::Tasks;

/// What the service answers from.
pub struct Parts<K, S> {
    pub attachments: Arc<Attachments<K, S>>,
    pub node: String,
    /// BGP, as it is.
    pub bgp: watch::Receiver<Arc<BgpView>>,
    /// Anycast, as it is.
    pub anycast: watch::Receiver<Arc<AnycastView>>,
    /// Why established connections cannot be steered.
    pub unsteered: watch::Receiver<Option<String>>,
    pub bird: PathBuf,
    pub tasks: Tasks,
    pub calls: CniCalls,
}

/// Serves until `shutdown`, then finishes the calls that are under way.
pub async fn serve<K: Kernel, S: Source>(
    parts: Parts<K, S>,
    listener: UnixListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let Parts { attachments, node, bgp, anycast, unsteered, bird, tasks, calls } = parts;
    let inner = cni::Service { attachments: Arc::clone(&attachments), tasks };
    let cni = counted::Counted { inner, calls };
    let inspect = inspect::Service { attachments, node, bgp, anycast, unsteered, bird };
    Server::builder()
        .add_service(CniServer::with_interceptor(cni, root_only))
        .add_service(InspectServer::with_interceptor(inspect, root_only))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), shutdown)
        .await
}

/// The socket's mode keeps others out; this does too when somebody has changed it. What counts is who connected
/// (SO_PEERCRED), not who the connection was handed to.
fn root_only(request: Request<()>) -> Result<Request<()>, Status> {
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    match peer {
        Some(peer) if peer.uid() == 0 => Ok(request),
        Some(peer) => {
            tracing::warn!(uid = peer.uid(), pid = peer.pid(), "refused a caller that is not root");
            Err(Status::permission_denied(format!("user {} may not talk to the agent", peer.uid())))
        }
        None => Err(Status::permission_denied("the caller's user is not known")),
    }
}
