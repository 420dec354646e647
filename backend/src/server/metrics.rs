//! `/metrics`: Prometheus text (OpenMetrics 1.0).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use vipscope_shared::model::{Freshness, Kind};

use super::AppState;
use super::problem::Problem;
use super::traffic::Traffic;
use crate::cluster::Feed;

/// The server's own figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    clients: Gauge,
    revision: Gauge<u64, AtomicU64>,
    objects: Family<KindLabel, Gauge>,
    live: Family<KindLabel, Gauge>,
    faults: Gauge,
    nodes: NodeMetrics,
    edges: Gauge,
    /// Streams that were told to take a new snapshot.
    pub resyncs: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

/// How the service proxies of nodes stand, as `api/v1/nodes` has it.
#[derive(Debug, Clone, Default)]
struct NodeMetrics {
    last_sync: Family<NodeLabel, Gauge<f64, AtomicU64>>,
    lag: Family<NodeLabel, Gauge<f64, AtomicU64>>,
    drift: Family<NodeLabel, Gauge>,
    connections: Family<NodeLabel, Gauge>,
    syncs: Family<NodeLabel, Counter>,
}

impl NodeMetrics {
    fn register(&self, registry: &mut Registry) {
        let last = "When the node's rules were last written, in seconds since the epoch";
        registry.register("node_last_sync_timestamp_seconds", last, self.last_sync.clone());
        let lag = "For how long a change has been waiting that the node's rules do not show";
        registry.register("node_lag_seconds", lag, self.lag.clone());
        let drift = "Lines in which the node's rules differ from those that are expected";
        registry.register("node_drift_lines", drift, self.drift.clone());
        registry.register("node_connections", "Connections open through the node", self.connections.clone());
        registry.register("node_syncs", "How often the node's rules were written", self.syncs.clone());
    }

    /// Only of the nodes that can be read now.
    async fn set(&self, traffic: &Traffic, feed: &Feed) {
        let NodeMetrics { last_sync, lag, drift, connections, syncs } = self;
        last_sync.clear();
        lag.clear();
        drift.clear();
        connections.clear();
        syncs.clear();
        for status in traffic.nodes(feed).await.iter().filter(|status| status.trouble.is_none()) {
            let label = NodeLabel { node: status.node.to_string() };
            if let Some(time) = status.last_sync {
                last_sync.get_or_create(&label).set(time.as_millisecond() as f64 / 1000.0);
            }
            lag.get_or_create(&label).set(status.lag_ms as f64 / 1000.0);
            drift.get_or_create(&label).set(i64::try_from(status.drift_count).unwrap_or(i64::MAX));
            connections.get_or_create(&label).set(i64::try_from(status.connections).unwrap_or(i64::MAX));
        }
        for plane in traffic.fleet().map(|fleet| fleet.planes()).unwrap_or_default() {
            if let Ok(status) = plane.status().await {
                let label = NodeLabel { node: plane.node().to_string() };
                syncs.get_or_create(&label).inc_by(status.syncs);
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("vipscope");
        let (clients, faults, resyncs) = (Gauge::default(), Gauge::default(), Counter::default());
        let (revision, objects, live) = (Gauge::default(), Family::default(), Family::default());
        registry.register("stream_clients", "Open WebSocket streams", clients.clone());
        registry.register("stream_resyncs", "Streams that had to take a new snapshot", resyncs.clone());
        registry.register("revision", "Number of the newest revision", revision.clone());
        registry.register("objects", "Objects in the state", objects.clone());
        registry.register("source_live", "1 if the kind is listed and watched, else 0", live.clone());
        registry.register(
            "unreadable_objects",
            "Objects that could not be read, or not wholly",
            faults.clone(),
        );
        let (nodes, edges) = (NodeMetrics::default(), Gauge::default());
        nodes.register(&mut registry);
        registry.register("traffic_edges", "Edges that have carried traffic lately", edges.clone());
        let registry = Arc::new(registry);
        Metrics { registry, clients, revision, objects, live, faults, nodes, edges, resyncs }
    }
}

impl Metrics {
    /// Counts an open stream until dropped.
    pub fn client(&self) -> impl Drop + use<> {
        self.clients.inc();
        Open(self.clients.clone())
    }
}

struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

pub async fn scrape(State(state): State<AppState>) -> Result<Response, Problem> {
    let metrics = &state.metrics;
    metrics.nodes.set(&state.traffic, &state.feed).await;
    metrics.edges.set(i64::try_from(state.traffic.edge_count()).unwrap_or(i64::MAX));
    state.feed.read(|snapshot| {
        let cluster = &snapshot.state;
        metrics.revision.set(snapshot.revision.number);
        metrics.faults.set(cluster.faults().len() as i64);
        for kind in Kind::ALL {
            let count = match kind {
                Kind::Namespace => cluster.namespaces().len(),
                Kind::Node => cluster.nodes().len(),
                Kind::Pod => cluster.pods().len(),
                Kind::Service => cluster.services().len(),
                Kind::EndpointSlice => cluster.slices().len(),
                Kind::Endpoints => cluster.endpoints().len(),
                Kind::ProxyConfig => cluster.proxy_configs().len(),
            };
            let label = KindLabel { kind: kind.as_str() };
            metrics.objects.get_or_create(&label).set(count as i64);
            let freshness = cluster.sources().get(&kind).map(|source| &source.freshness);
            let live = matches!(freshness, Some(Freshness::Live | Freshness::Fixed));
            metrics.live.get_or_create(&label).set(i64::from(live));
        }
    });
    let mut text = String::new();
    encode(&mut text, &metrics.registry)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}
