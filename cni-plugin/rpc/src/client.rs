//! A gRPC transport over one Unix socket. tonic's own channel would bring a TCP resolver, balancing, buffering and
//! reconnects; the plugin makes one call and ends.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tower_service::Service;

use crate::v1alpha1::cni_client::CniClient;
use crate::v1alpha1::inspect_client::InspectClient;

/// Why there is no connection. Each names the socket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No socket there, or nobody listens on it: the agent does not run.
    #[error("the agent does not listen on {0}")]
    Away(PathBuf),
    /// The listener's backlog is full: the agent runs and does not keep up.
    #[error("the agent on {0} takes no more connections for now")]
    Busy(PathBuf),
    /// Something else is wrong with the path.
    #[error("cannot connect to the agent on {socket}: {source}")]
    Io {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// HTTP/2 did not begin.
    #[error("no HTTP/2 connection with the agent on {socket}: {source}")]
    Handshake {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        source: hyper::Error,
    },
}

impl ConnectError {
    fn new(socket: &Path, source: io::Error) -> Self {
        let socket = socket.to_owned();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Self::Away(socket),
            ErrorKind::WouldBlock => Self::Busy(socket),
            _ => Self::Io { socket, source },
        }
    }
}

/// The connection ended before the call was answered. The source of a [`Status`] of which [`broke`] is true.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the agent broke: {0}")]
struct Broken(#[source] hyper::Error);

/// Whether the connection ended before the answer: nobody knows how far the agent came.
pub fn broke(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(|source| source.is::<Broken>())
}

/// One connection. Calls on clones share it. It lives on the tokio runtime on which it was made.
#[derive(Clone)]
pub struct Uds(SendRequest<Body>);

/// Connects once, without retries.
///
/// # Errors
/// See [`ConnectError`]; an agent that dies after `connect` shows in the calls.
pub async fn connect(socket: &Path) -> Result<Uds, ConnectError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| ConnectError::new(socket, source))?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|source| ConnectError::Handshake { socket: socket.to_owned(), source })?;
    // Its error also reaches each pending call.
    tokio::spawn(async { drop(connection.await) });
    Ok(Uds(sender))
}

/// The CNI verbs over `uds`.
pub fn cni(uds: Uds) -> CniClient<Uds> {
    CniClient::with_origin(uds, origin())
}

/// What `flockctl` asks, over `uds`.
pub fn inspect(uds: Uds) -> InspectClient<Uds> {
    InspectClient::with_origin(uds, origin())
}

/// HTTP/2 wants an authority; a Unix socket has none.
fn origin() -> Uri {
    Uri::from_static("http://flock")
}

impl Service<Request<Body>> for Uds {
    type Response = Response<MapErr<Incoming, fn(hyper::Error) -> Status>>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx).map_err(broken)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let response = self.0.send_request(request);
        Box::pin(async move {
            let map: fn(hyper::Error) -> Status = broken;
            response.await.map(|response| response.map(|body| body.map_err(map))).map_err(broken)
        })
    }
}

fn broken(source: hyper::Error) -> Status {
    let error = Broken(source);
    let mut status = Status::unavailable(error.to_string());
    status.set_source(Arc::new(error));
    status
}
