//! Metrics in the OpenMetrics text format, and whether the agent is well, over HTTP, made anew at each request from what
//! is known.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flock_core::bgp::status::{BirdStatus, ConfigStatus};
use flock_core::ipam::PoolUsage;
use flock_core::prefix::Family as AddressFamily;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::bird::BgpView;
use crate::latencies::Latencies;
use crate::metrics::Metrics;
use crate::supervision::Tasks;

/// What OpenMetrics 1.0 is announced as.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that metrics are made of.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Attachments that are ready.
    pub attachments: usize,
    pub pools: Vec<PoolUsage>,
    pub bgp: Arc<BgpView>,
    /// Why the node cannot take pods; none when it can.
    pub not_ready: Option<String>,
    /// How long ADDs have waited for `lo`.
    pub loopback_waits: Latencies,
    /// What is counted as it happens.
    pub counted: Metrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Peer {
    peer: String,
    asn: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerFamily {
    peer: String,
    asn: u32,
    family: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    cidr: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFamily {
    address_family: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    change: &'static str,
}

/// The client's own histogram counts itself; this one was counted elsewhere.
#[derive(Debug)]
struct Histogram(Latencies);

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bound = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<_> = self.0.buckets().map(|(upper, count)| (bound(upper), count)).collect();
        encoder.encode_histogram::<NoLabelSet>(self.0.sum().as_secs_f64(), self.0.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The text of a snapshot.
///
/// # Errors
/// When a value cannot be formatted, which none of these can fail at.
pub fn exposition(snapshot: &Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("flock");
    let attachments = Gauge::<i64>::default();
    attachments.set(saturated(snapshot.attachments));
    registry.register("attachments", "Attachments that are ready", attachments);
    register_pools(&mut registry, &snapshot.pools);
    registry.register(
        "cni_loopback_wait_seconds",
        "Time that the ADD of a pod with anycast addresses waited for the runtime to set lo up",
        Histogram(snapshot.loopback_waits),
    );
    register_bgp(&mut registry, &snapshot.bgp);
    snapshot.counted.register(&mut registry);
    let mut body = String::new();
    text::encode(&mut body, &registry)?;
    Ok(body)
}

fn register_pools(registry: &mut Registry, pools: &[PoolUsage]) {
    let family = Family::<Pool, Gauge>::default;
    let (size, used, resting) = (family(), family(), family());
    for pool in pools {
        let labels = Pool { cidr: pool.cidr.to_string() };
        size.get_or_create(&labels).set(saturated(pool.size));
        used.get_or_create(&labels).set(saturated(pool.used));
        resting.get_or_create(&labels).set(saturated(pool.resting));
    }
    registry.register("ipam_pool_addresses", "Addresses that pods can have", size);
    registry.register("ipam_pool_used_addresses", "Addresses that pods have", used);
    registry.register(
        "ipam_pool_resting_addresses",
        "Released addresses that are not used again yet",
        resting,
    );
}

fn register_bgp(registry: &mut Registry, view: &BgpView) {
    let running = Gauge::<i64>::default();
    running.set(i64::from(matches!(view.status.bird, BirdStatus::Running(_))));
    registry.register("bird_up", "Whether BIRD answers on its control socket", running);
    let applied = Gauge::<i64>::default();
    let good = matches!(view.status.config, ConfigStatus::Applied { .. } | ConfigStatus::None);
    applied.set(i64::from(good));
    registry.register("bgp_config_applied", "Whether BIRD runs the configuration that is wanted", applied);
    let outcomes = Family::<Outcome, Counter>::default();
    let counters = view.counters;
    for (outcome, count) in
        [("applied", counters.applied), ("refused", counters.refused), ("rolled_back", counters.rolled_back)]
    {
        outcomes.get_or_create(&Outcome { outcome }).inc_by(count);
    }
    registry.register("bgp_config_changes", "Configurations by what became of them", outcomes);
    register_peers(registry, view);
    register_anycast(registry, view);
}

fn register_anycast(registry: &mut Registry, view: &BgpView) {
    let advertised = Family::<OfFamily, Gauge>::default();
    for (family, count) in &view.anycast {
        advertised.get_or_create(&OfFamily { address_family: label(*family) }).set(saturated(*count));
    }
    registry.register("anycast_advertised", "Anycast addresses that BIRD advertises", advertised);
    let changes = Family::<Change, Counter>::default();
    let counters = view.counters.anycast;
    for (change, count) in [("announced", counters.announced), ("withdrawn", counters.withdrawn)] {
        changes.get_or_create(&Change { change }).inc_by(count);
    }
    registry.register(
        "anycast_changes",
        "Anycast addresses that BIRD was told to announce or withdraw",
        changes,
    );
    registry.register(
        "anycast_withdraw_seconds",
        "Time from the cause of a withdrawal to BIRD's answer",
        Histogram(counters.withdrawing),
    );
}

fn register_peers(registry: &mut Registry, view: &BgpView) {
    let (up, bfd) = (Family::<Peer, Gauge>::default(), Family::<Peer, Gauge>::default());
    let family = Family::<PeerFamily, Gauge>::default;
    let (imported, filtered, exported) = (family(), family(), family());
    for peer in &view.status.peers {
        let (name, asn) = (peer.address.to_string(), peer.asn.0.get());
        let labels = Peer { peer: name.clone(), asn };
        up.get_or_create(&labels).set(i64::from(peer.is_established()));
        if let Some(session) = &peer.bfd {
            bfd.get_or_create(&labels).set(i64::from(session.state == "Up"));
        }
        for (family, channel) in &peer.families {
            let labels = PeerFamily { peer: name.clone(), asn, family: label(*family).to_owned() };
            imported.get_or_create(&labels).set(saturated(channel.imported));
            filtered.get_or_create(&labels).set(saturated(channel.filtered));
            exported.get_or_create(&labels).set(saturated(channel.exported));
        }
    }
    registry.register("bgp_session_up", "Whether the session is established", up);
    registry.register("bfd_session_up", "Whether the session's BFD is up", bfd);
    registry.register("bgp_imported_prefixes", "Prefixes taken from the peer", imported);
    registry.register(
        "bgp_filtered_prefixes",
        "Prefixes of the peer that the import filter refused",
        filtered,
    );
    registry.register("bgp_exported_prefixes", "Prefixes advertised to the peer", exported);
}

fn label(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::IPv6 => "ipv6",
        AddressFamily::IPv4 => "ipv4",
    }
}

fn saturated(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Where metrics are served. An address that cannot be had is logged, never a reason for pods to go without a network.
pub async fn listen(address: SocketAddr) -> Option<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener
        .inspect_err(|error| {
            tracing::error!(%address, %error, "no metrics and no health: cannot listen; name another address with --metrics-address");
        })
        .ok()
}

/// Serves until the shutdown: `GET /metrics`; `GET /livez`, which succeeds as long as the tasks turn, whatever the API
/// server and BIRD do; `GET /readyz`, which succeeds while the node can take pods. Both say why else.
pub async fn serve(
    listener: TcpListener,
    snapshot: impl Fn() -> Snapshot + Clone + Send + Sync + 'static,
    tasks: Tasks,
) {
    let shutdown = tasks.cancelled();
    if let Err(error) = axum::serve(listener, router(snapshot, tasks)).with_graceful_shutdown(shutdown).await
    {
        tracing::error!(%error, "metrics ended");
    }
}

fn router(snapshot: impl Fn() -> Snapshot + Clone + Send + Sync + 'static, tasks: Tasks) -> Router {
    let readiness = snapshot.clone();
    Router::new()
        .route("/metrics", get(async move || metrics(&snapshot())))
        .route("/livez", get(async move || well(tasks.stuck())))
        .route("/readyz", get(async move || well(readiness().not_ready)))
}

fn metrics(snapshot: &Snapshot) -> Response {
    match exposition(snapshot) {
        Ok(body) => ([(CONTENT_TYPE, OPEN_METRICS)], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn well(otherwise: Option<String>) -> Response {
    match otherwise {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
