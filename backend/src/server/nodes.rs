//! `GET api/v1/nodes`: how every node's service proxy stands: mode, last sync, lag, faults, and its drift: the rules it has
//! against those that the engine makes of the newest state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::sync::Mutex;
use vipscope_shared::delta::Revision;
use vipscope_shared::model::{ProxyMode, Text};
use vipscope_shared::traffic::{DriftLine, NodeStatus, NodesResponse};

use super::AppState;
use super::problem::Problem;
use super::traffic::Traffic;
use crate::agent::{Dataplane, DataplaneError, Fleet, NodeRuleset, ProxyStatus, drift};
use crate::cluster::Feed;

/// Lines of drift that are told; all are counted.
const MOST_LINES: usize = 200;
/// Comparing rules that nobody asked about takes at most one part in so many of the time.
const IDLE_SHARE: u32 = 20;

pub async fn get(State(state): State<AppState>) -> Response {
    let nodes = state.traffic.nodes(&state.feed).await;
    let response = NodesResponse { time: Timestamp::now(), nodes };
    ([(CACHE_CONTROL, "no-store")], Json(response)).into_response()
}

/// The rules that a node has, if it can be read.
pub async fn ruleset(traffic: &Traffic, node: &str) -> Result<NodeRuleset, Problem> {
    let planes = traffic.fleet().map(|fleet| fleet.planes()).unwrap_or_default();
    let plane = planes.into_iter().find(|plane| &**plane.node() == node).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("the rules of node {node} are not read here"))
    })?;
    plane.rules().await.map_err(|error| Problem::new(StatusCode::BAD_GATEWAY, error.to_string()))
}

/// What was compared with what, and what came of it.
#[derive(Debug, Clone)]
struct Compared {
    version: u64,
    revision: Revision,
    lines: Arc<Vec<DriftLine>>,
}

#[derive(Debug, Default)]
struct Memory {
    compared: HashMap<Text, Compared>,
    /// When rules may be compared again unasked.
    rests_until: Option<Instant>,
}

/// Reads nodes and compares their rules, again only when one of the two is another.
#[derive(Debug, Default)]
pub struct NodeWatch(Mutex<Memory>);

/// Whether somebody waits for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Yes,
    No,
}

impl NodeWatch {
    /// Everything as it is now.
    pub async fn read(&self, fleet: &dyn Fleet, feed: &Feed) -> Vec<NodeStatus> {
        self.statuses(fleet, feed, Asked::Yes).await
    }

    /// The same, but in large clusters the drift may be of a moment ago.
    pub async fn glance(&self, fleet: &dyn Fleet, feed: &Feed) -> Vec<NodeStatus> {
        self.statuses(fleet, feed, Asked::No).await
    }

    async fn statuses(&self, fleet: &dyn Fleet, feed: &Feed, asked: Asked) -> Vec<NodeStatus> {
        let mut memory = self.0.lock().await;
        let planes = fleet.planes();
        memory.compared.retain(|node, _| planes.iter().any(|plane| plane.node() == node));
        let mut statuses = Vec::new();
        for plane in planes {
            statuses.push(memory.status(&*plane, feed, asked).await);
        }
        statuses
    }
}

impl Memory {
    async fn status(&mut self, plane: &dyn Dataplane, feed: &Feed, asked: Asked) -> NodeStatus {
        let open = plane.counters().await.map(|counters| counters.open);
        let drift = self.drift(plane, feed, asked).await;
        // Last, so that what waits is not older than the comparison.
        let read = plane.status().await;
        let trouble =
            [read.as_ref().err(), open.as_ref().err(), drift.as_ref().err()].into_iter().flatten().next();
        let trouble = trouble.map(|error| Text::from(error.to_string()));
        let lines = drift.unwrap_or_default();
        let ProxyStatus { mode, last_sync, waits, faults, .. } = read.unwrap_or_else(|_| unknown());
        NodeStatus {
            node: plane.node().clone(),
            basis: plane.basis(),
            mode,
            last_sync,
            lag_ms: waits.map_or(0, |waits| u64::try_from(waits.as_millis()).unwrap_or(u64::MAX).max(1)),
            connections: open.unwrap_or_default(),
            faults,
            drift_count: lines.len(),
            drift: lines.iter().take(MOST_LINES).cloned().collect(),
            trouble,
        }
    }

    async fn drift(
        &mut self,
        plane: &dyn Dataplane,
        feed: &Feed,
        asked: Asked,
    ) -> Result<Arc<Vec<DriftLine>>, DataplaneError> {
        let (version, revision) = (plane.status().await?.rules_version, feed.revision());
        let known = self.compared.get(plane.node());
        let rests = asked == Asked::No && self.rests_until.is_some_and(|until| Instant::now() < until);
        if let Some(known) =
            known.filter(|known| rests || (known.version, &known.revision) == (version, &revision))
        {
            return Ok(known.lines.clone());
        }
        let ruleset = plane.rules().await?;
        let (begin, snapshot, node) = (Instant::now(), feed.snapshot(), plane.node().clone());
        let (version, revision) = (ruleset.version, snapshot.revision.clone());
        // Large rulesets take a while: not on the thread that carries the streams.
        let compared =
            tokio::task::spawn_blocking(move || drift::compare(&snapshot.state, &node, &ruleset)).await;
        let lines = Arc::new(compared.unwrap_or_default());
        self.rests_until = Some(Instant::now() + begin.elapsed() * IDLE_SHARE);
        self.compared.insert(plane.node().clone(), Compared { version, revision, lines: lines.clone() });
        Ok(lines)
    }
}

fn unknown() -> ProxyStatus {
    ProxyStatus {
        mode: ProxyMode::default(),
        last_sync: None,
        waits: None::<Duration>,
        syncs: 0,
        rules_version: 0,
        faults: Vec::new(),
    }
}
