//! A node's service proxy as it really is: [`Dataplane`] is how one node is read, whether it is simulated or real.
//!
//! Nothing here knows where rules come from or who asks. Reading a real node means running its tools, so every method may
//! wait, and may fail; what fails is a value that says which node and why. [`drift`] compares a node's rules
//! with those it should have; [`meter`] makes rates of counters that may be reset.

pub mod drift;
pub mod meter;

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use vipscope_shared::model::{IpFamily, Protocol, ProxyMode, Text};
use vipscope_shared::proxy::Rules;
use vipscope_shared::proxy::userspace::ProxySocket;
use vipscope_shared::traffic::{NodeFault, TrafficBasis};

/// An answer of a node, sooner or later.
pub type Reading<'a, T> = BoxFuture<'a, Result<T, DataplaneError>>;

/// Why a node could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node}: {reason}")]
pub struct DataplaneError {
    pub node: Text,
    pub reason: String,
}

/// One node's service proxy, its rules and its connections.
pub trait Dataplane: Send + Sync + Debug {
    fn node(&self) -> &Text;

    fn basis(&self) -> TrafficBasis;

    /// Cheap: mode, last sync, what waits.
    fn status(&self) -> Reading<'_, ProxyStatus>;

    /// Cheap: how many connections there have been, by flow. Asked for once a second.
    fn counters(&self) -> Reading<'_, Counters>;

    /// The rules themselves, with a counter for each rule that has one.
    fn rules(&self) -> Reading<'_, NodeRuleset>;

    /// The connection table, counted by original and reply tuple.
    fn connections(&self) -> Reading<'_, Vec<ConnectionCount>>;
}

/// The nodes that can be read. They come and go.
pub trait Fleet: Send + Sync + Debug {
    /// What is read there.
    fn basis(&self) -> TrafficBasis;

    /// By name.
    fn planes(&self) -> Vec<Arc<dyn Dataplane>>;
}

/// How a service proxy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyStatus {
    /// The mode its rules are in now.
    pub mode: ProxyMode,
    /// When rules were last written; `None`: never.
    pub last_sync: Option<Timestamp>,
    /// How long the oldest change has been waiting that the rules do not show, by the node's own clock (from kube-proxy's
    /// `sync_proxy_rules_last_queued_timestamp_seconds`, if that is later than its last sync); `None`: up to date.
    pub waits: Option<Duration>,
    /// How often rules have been written.
    pub syncs: u64,
    /// Another number means other rules.
    pub rules_version: u64,
    /// Faults that are switched on; a real node has none that could be switched.
    pub faults: Vec<NodeFault>,
}

/// All rules of a node's service proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRuleset {
    pub mode: ProxyMode,
    /// As [`ProxyStatus::rules_version`].
    pub version: u64,
    /// Only families in which the node has rules.
    pub families: Vec<FamilyRules>,
}

/// Rules of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyRules {
    pub family: IpFamily,
    pub rules: Rules,
    /// Of the userspace proxy: to which endpoints its sockets lead.
    pub sockets: Vec<ProxySocket>,
    /// Rules that have taken packets.
    pub counts: Vec<RuleCount>,
}

/// How often a rule, or a real server, has taken the first packet of a connection since it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleCount {
    /// `nat/KUBE-SERVICES`, `chain NAME`, `virtual server tcp IP:PORT`, as in [`vipscope_shared::proxy::parts`].
    pub part: String,
    pub line: String,
    pub packets: u64,
}

/// Connections from one address to another, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub source: IpAddr,
    /// Where the client wanted to go.
    pub to: SocketAddr,
    pub protocol: Protocol,
    pub end: FlowEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowEnd {
    Delivered(SocketAddr),
    /// Sent to an endpoint that does not answer.
    Failed(SocketAddr),
    Refused,
    Dropped,
    /// No rule of a Service took them.
    Unclaimed,
}

/// A cheap reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Another number means that counting has begun anew.
    pub epoch: u64,
    /// Connections that are open.
    pub open: u64,
    /// New connections since counting began. A flow whose counter was reset shows a smaller number than before.
    pub flows: Vec<(Flow, u64)>,
}

/// Entries of the connection table that differ in the client's port only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionCount {
    /// Of the original tuple: client, and where it wanted to go.
    pub source: IpAddr,
    pub to: SocketAddr,
    pub protocol: Protocol,
    /// The source of the reply tuple: who answers. As [`ConnectionCount::to`] where nothing was rewritten.
    pub reply_from: SocketAddr,
    /// Open connections.
    pub open: u64,
    /// All entries, with those that are over and not yet forgotten.
    pub tracked: u64,
}
