//! `GET api/v1/traffic`: what passes the nodes, over a WebSocket of its own, once a second.
//!
//! One task reads all nodes and makes each message once for all readers. A reader that lags skips to the newest: nothing is
//! queued. The first words are the edges, the rates and the nodes as they are.

mod ledger;
mod names;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use vipscope_shared::api::HEARTBEAT_SECONDS;
use vipscope_shared::traffic::{NodeStatus, TrafficBasis, TrafficEdge, TrafficMessage};

use super::AppState;
use super::nodes::NodeWatch;
use super::problem::Problem;
use super::socket::{CLOSE_GOING_AWAY, Client, NotTaken, SILENCE, bounded};
use crate::agent::Fleet;
use crate::cluster::Feed;

pub use ledger::{Edges, Ledger};

/// From one reading of the nodes to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest of everything, ready to be sent.
#[derive(Debug, Clone, Default)]
struct Frame {
    /// Another number means other edges.
    generation: u32,
    edges: Utf8Bytes,
    edge_count: usize,
    /// Another number means other nodes.
    standing: u32,
    nodes: Utf8Bytes,
    rates: Utf8Bytes,
}

/// What passes the nodes that can be read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Traffic {
    fleet: Option<Arc<dyn Fleet>>,
    nodes: Arc<NodeWatch>,
    frames: watch::Receiver<Arc<Frame>>,
}

impl Default for Traffic {
    /// No node can be read.
    fn default() -> Traffic {
        let frames = watch::channel(Arc::new(Frame::empty(TrafficBasis::Observed))).1;
        Traffic { fleet: None, nodes: Arc::default(), frames }
    }
}

impl Traffic {
    /// Starts reading the nodes, until `stop`. Call it inside a tokio runtime.
    pub fn start(fleet: Arc<dyn Fleet>, feed: Feed, stop: CancellationToken) -> Traffic {
        let nodes = Arc::<NodeWatch>::default();
        let (sender, frames) = watch::channel(Arc::new(Frame::empty(fleet.basis())));
        tokio::spawn(follow(fleet.clone(), nodes.clone(), feed, sender, stop));
        Traffic { fleet: Some(fleet), nodes, frames }
    }

    pub fn fleet(&self) -> Option<&Arc<dyn Fleet>> {
        self.fleet.as_ref()
    }

    /// How every node stands now, by name.
    pub async fn nodes(&self, feed: &Feed) -> Vec<NodeStatus> {
        match &self.fleet {
            Some(fleet) => self.nodes.read(&**fleet, feed).await,
            None => Vec::new(),
        }
    }

    /// Edges that have carried traffic lately.
    pub fn edge_count(&self) -> usize {
        self.frames.borrow().edge_count
    }
}

impl Frame {
    /// Before the first reading.
    fn empty(basis: TrafficBasis) -> Frame {
        let mut frame = Frame::default();
        frame.set_edges(0, basis, &[]);
        frame.set_nodes(Vec::new());
        frame
    }

    fn set_edges(&mut self, generation: u32, basis: TrafficBasis, edges: &[TrafficEdge]) {
        (self.generation, self.edge_count) = (generation, edges.len());
        self.edges = json(&TrafficMessage::Edges { generation, basis, edges: edges.to_vec() });
    }

    fn set_nodes(&mut self, nodes: Vec<NodeStatus>) {
        let text = json(&TrafficMessage::Nodes { nodes });
        if text != self.nodes {
            self.nodes = text;
            self.standing = self.standing.wrapping_add(1);
        }
    }
}

/// Empty if a message has no JSON form; none of these is so.
fn json(message: &TrafficMessage) -> Utf8Bytes {
    serde_json::to_string(message).unwrap_or_default().into()
}

async fn follow(
    fleet: Arc<dyn Fleet>,
    nodes: Arc<NodeWatch>,
    feed: Feed,
    frames: watch::Sender<Arc<Frame>>,
    stop: CancellationToken,
) {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ledger = Ledger::default();
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let planes = fleet.planes();
        ledger.keep_nodes(|node| planes.iter().any(|plane| plane.node() == node));
        for plane in &planes {
            match plane.counters().await {
                Ok(counters) => ledger.read(plane.node(), &counters),
                Err(error) => tracing::debug!(%error, "no reading"),
            }
        }
        let seconds = last.elapsed().as_secs_f64().max(0.001);
        last = Instant::now();
        let edges = feed.read(|snapshot| ledger.turn(&snapshot.revision, &snapshot.state));
        let mut frame = (**frames.borrow()).clone();
        if edges == Edges::New {
            frame.set_edges(ledger.generation(), fleet.basis(), ledger.edges());
        }
        let rates = TrafficMessage::Rates {
            generation: ledger.generation(),
            time: Timestamp::now(),
            seconds,
            rates: ledger.rates(seconds),
        };
        frame.rates = json(&rates);
        frame.set_nodes(nodes.glance(&*fleet, &feed).await);
        frames.send_replace(Arc::new(frame));
    }
}

pub async fn upgrade(
    State(state): State<AppState>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => bounded(upgrade).on_upgrade(move |socket| run(socket, state)),
        Err(rejection) => {
            let detail = format!("this is a WebSocket: {}", rejection.body_text());
            Problem::new(StatusCode::BAD_REQUEST, detail).into_response()
        }
    }
}

/// What a reader has been sent.
#[derive(Debug, Default)]
struct Sent {
    generation: Option<u32>,
    standing: Option<u32>,
}

async fn run(socket: WebSocket, state: AppState) {
    let _counted = state.metrics.client();
    let (sink, mut incoming) = socket.split();
    let mut client = Client { sink };
    let mut frames = state.traffic.frames.clone();
    frames.mark_changed();
    let mut sent = Sent::default();
    let mut heartbeat = interval(Duration::from_secs(HEARTBEAT_SECONDS));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    // Without nodes there is no one who sends more: the first frame is the last.
    let mut more = true;
    loop {
        let taken = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => return client.close(CLOSE_GOING_AWAY, "the server is stopping").await,
            message = incoming.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = heartbeat.tick() => {
                if heard.elapsed() > SILENCE {
                    return;
                }
                client.ping().await
            }
            changed = frames.changed(), if more => {
                more = changed.is_ok();
                let frame = frames.borrow_and_update().clone();
                send(&mut client, &frame, &mut sent).await
            }
        };
        if taken.is_err() {
            return;
        }
    }
}

/// Sends of a frame what the reader does not have.
async fn send(client: &mut Client, frame: &Frame, sent: &mut Sent) -> Result<(), NotTaken> {
    if sent.generation != Some(frame.generation) {
        client.send(Message::Text(frame.edges.clone())).await?;
        sent.generation = Some(frame.generation);
    }
    if sent.standing != Some(frame.standing) {
        client.send(Message::Text(frame.nodes.clone())).await?;
        sent.standing = Some(frame.standing);
    }
    if !frame.rates.is_empty() {
        client.send(Message::Text(frame.rates.clone())).await?;
    }
    Ok(())
}
