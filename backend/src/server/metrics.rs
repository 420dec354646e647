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

/// The server's own figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    clients: Gauge,
    revision: Gauge<u64, AtomicU64>,
    objects: Family<KindLabel, Gauge>,
    live: Family<KindLabel, Gauge>,
    faults: Gauge,
    /// Streams that were told to take a new snapshot.
    pub resyncs: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
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
        Metrics { registry: Arc::new(registry), clients, revision, objects, live, faults, resyncs }
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
