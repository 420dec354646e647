//! Requests, responses and stream messages: what the backend and the browser say to each other. JSON everywhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::delta::{Delta, Revision, Snapshot};
use crate::diagnose::{Finding, Skipped};
use crate::model::{ClusterState, Text};
use crate::whatif::difference::Difference;
use crate::whatif::edit::ObjectName;

/// Close code of the WebSocket after a [`StreamMessage::Resync`].
pub const CLOSE_RESYNC: u16 = 4410;
/// Seconds between two [`StreamMessage::Heartbeat`]s; a client that hears nothing for three of them is disconnected.
pub const HEARTBEAT_SECONDS: u64 = 5;

/// Where the objects come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    InCluster,
    Kubeconfig,
    Sandbox,
    File,
}

/// Which cluster this is. Always visible in the dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfo {
    pub source: SourceKind,
    /// For people: the cluster's name in the kubeconfig, `sandbox`, a file's name.
    pub name: Text,
    /// The kubeconfig's context, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Text>,
    /// The API server's URL, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Text>,
}

/// Answer of `GET api/v1/snapshot`. Its `ETag` is the revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "SnapshotFields")]
pub struct SnapshotResponse {
    pub cluster: ClusterInfo,
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// The same on the wire. Reading a flattened struct would buffer the whole state and compile every reader twice.
#[derive(Deserialize)]
struct SnapshotFields {
    cluster: ClusterInfo,
    revision: Revision,
    time: Timestamp,
    state: ClusterState,
}

impl From<SnapshotFields> for SnapshotResponse {
    fn from(fields: SnapshotFields) -> SnapshotResponse {
        let SnapshotFields { cluster, revision, time, state } = fields;
        SnapshotResponse { cluster, snapshot: Snapshot { revision, time, state } }
    }
}

/// What `api/v1/stream?after=REVISION` sends, one JSON text message each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamMessage {
    /// The next revision; the first one has the number after `after`.
    Delta(Delta),
    /// Nothing new, but alive: the server's clock and its current revision.
    Heartbeat { time: Timestamp, revision: Revision },
    /// The stream can't go on from where the client is: take a new snapshot. The socket is then closed with
    /// [`CLOSE_RESYNC`].
    Resync { reason: Text },
}

/// Answer of `GET api/v1/findings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsResponse {
    pub revision: Revision,
    /// The server's clock, by which ages are judged.
    pub time: Timestamp,
    /// Worst first, then by code and subject; suppressed ones are among them, and marked.
    pub findings: Vec<Finding>,
    /// Checks that were not run, since no object of a kind that they need is known.
    pub skipped: Vec<Skipped>,
}

/// Answer of `POST api/v1/whatif`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhatIfResponse {
    /// Of the state that the edits were made in.
    pub revision: Revision,
    /// The server's clock, by which ages are judged.
    pub time: Timestamp,
    /// The objects that differ, as `KIND/NAMESPACE/NAME`; sorted.
    pub changed: Vec<ObjectName>,
    #[serde(flatten)]
    pub difference: Difference,
}

/// `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`: the title says it.
    #[serde(rename = "type")]
    pub problem_type: Text,
    pub title: Text,
    pub status: u16,
    /// What exactly is wrong, and what to do.
    pub detail: Text,
}
