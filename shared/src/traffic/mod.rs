//! Traffic that was seen: rates per source, VIP and endpoint, and how far each node is with its rules. What the backend
//! tells the browser, apart from the configuration state.
//!
//! `GET api/v1/traffic` (WebSocket) sends a [`TrafficMessage::Edges`] first and whenever edges come or go, and a
//! [`TrafficMessage::Rates`] once a second; numbers in it are of the last `Edges`. `GET api/v1/nodes` answers [`NodesResponse`].

mod calls;

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use calls::{CALLS_ANNOTATION, Call, CallError, parse_calls, rate_of};

use crate::model::{IpFamily, Key, Protocol, ProxyMode, Text, key_text};

/// What a rate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrafficBasis {
    /// The sandbox's own clients.
    Simulated,
    /// Counters read from a node.
    Observed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrafficMessage {
    /// Every edge that has carried traffic lately, numbered from 0 by its place.
    Edges { generation: u32, basis: TrafficBasis, edges: Vec<TrafficEdge> },
    /// New connections per second, for the edges whose rate is not 0: `[edge, rate, total]`.
    Rates { generation: u32, time: Timestamp, seconds: f64, rates: Vec<(u32, f32, u64)> },
    /// How each node stands, whenever that changes.
    Nodes { nodes: Vec<NodeStatus> },
}

/// From where over which VIP to what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficEdge {
    pub source: TrafficSource,
    /// The node whose rules decide.
    pub node: Text,
    /// VIP and port.
    pub vip: SocketAddr,
    pub protocol: Protocol,
    /// The Service port that claims the VIP, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub service: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_name: Option<Text>,
    pub end: TrafficEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrafficSource {
    Pod(#[serde(with = "key_text")] Key),
    Node(Text),
    Outside,
}

/// What became of the connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TrafficEnd {
    /// An endpoint took them.
    Delivered {
        endpoint: SocketAddr,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
        pod: Option<Key>,
    },
    /// Sent to an endpoint that is not there, or does not answer.
    Failed {
        endpoint: SocketAddr,
    },
    Refused,
    Dropped,
    /// No rule of a Service took them.
    Unclaimed,
}

/// Answer of `GET api/v1/nodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodesResponse {
    pub time: Timestamp,
    /// By name; only nodes that can be read.
    pub nodes: Vec<NodeStatus>,
}

/// How a node's service proxy stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    pub node: Text,
    pub basis: TrafficBasis,
    /// The mode its rules are in now.
    pub mode: ProxyMode,
    /// When its rules were last written; `None`: never.
    pub last_sync: Option<Timestamp>,
    /// For how many milliseconds a change has been waiting that its rules do not show; 0: up to date.
    pub lag_ms: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Faults that are switched on (sandbox only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<NodeFault>,
    /// The node's rules against what the engine expects; empty: no drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftLine>,
    /// How many differences there are; `drift` may hold fewer.
    pub drift_count: usize,
    /// Why the node could not be read, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Text>,
}

/// `POST api/v1/sandbox/nodes/{node}/faults` takes the whole list that is to be on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NodeFault {
    /// The proxy is stuck: rules stay as they are.
    SyncStopped,
    /// Every sync takes so long.
    SlowSync { milliseconds: u64 },
    /// Somebody deletes the rules of a Service by hand; the proxy does not notice until it writes them anew.
    RuleDeleted {
        #[serde(with = "key_text")]
        service: Key,
    },
    /// An endpoint that is gone stays in the rules.
    StaleEndpoint {
        #[serde(with = "key_text")]
        service: Key,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftLine {
    pub kind: DriftKind,
    pub family: IpFamily,
    /// Chain, set, map or virtual server.
    pub part: String,
    /// What the engine expects; `None` if it is extra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the node has; `None` if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// The Service it concerns, if one can be told.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub service: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    Missing,
    Extra,
    Changed,
}
