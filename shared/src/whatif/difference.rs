//! What becomes of traffic: the flows of two clusters compared, for every source that rules can tell apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::diagnose::Finding;
use crate::model::{IpFamily, Key, Protocol, ProxyMode, Text, key_text};
use crate::trace::{Origin, Verdict};

/// Everything that differs. Empty lists mean: nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// By Service, destination and group of sources; the gravest first.
    pub flows: Vec<FlowChange>,
    /// The flows as few rows for people, the gravest first. Each flow is in exactly one part of one group.
    #[serde(default)]
    pub groups: Vec<FlowGroup>,
    /// Connections that are open now and would not outlive the change, and clients whom affinity would not keep.
    pub connections: Vec<BrokenConnections>,
    /// By node, mode and family.
    pub rules: Vec<RulesChange>,
    pub findings: FindingsChange,
}

/// The same destination answers the same group of sources otherwise than before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowChange {
    pub sources: Sources,
    pub target: Target,
    /// How bad it is for who connects.
    pub grade: Grade,
    /// What can happen to a new connection, with exact shares that sum to 1.
    pub before: Vec<Share>,
    pub after: Vec<Share>,
    /// `3 endpoints → 1`, `delivered → refused`.
    pub summary: String,
    /// Why, when modes or configurations are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Changed flows of which the same can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowGroup {
    /// Of each of the flows.
    pub grade: Grade,
    /// The summary of each of the flows; where they differ in the number or names of endpoints, what is true of all:
    /// `1 to 4 endpoints → refused`.
    pub change: String,
    /// Of degraded flows, the part of new connections that fails afterwards: `1/3`, `1/4 to 1/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Why, when modes or configurations are compared: of each of the flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// By who connects; never empty, those that concern most Services first.
    pub parts: Vec<GroupPart>,
}

/// Flows of a group that are for the same people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPart {
    /// Who connects, to each of the part's targets: exactly the sources of all of the part's flows to it, as in
    /// [`Sources::words`]; `everyone` for all of them. Where rules tell too many addresses apart, `outside through
    /// node-a, from some addresses`: the flows say which.
    pub sources: String,
    /// Where to: exactly the targets of the part's flows.
    pub to: Vec<Reached>,
    /// Places in [`Difference::flows`], ascending; never empty.
    pub flows: Vec<usize>,
}

/// Services that are reached in the same ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Ordered; empty: no Service has the addresses.
    #[serde(with = "key_texts")]
    pub services: Vec<Key>,
    /// `ports http and metrics, by cluster IP and node port, IPv4 and IPv6`; of several Services, `at all addresses and ports`.
    pub words: String,
}

impl FlowGroup {
    /// All Services of the group, ordered.
    pub fn services(&self) -> Vec<&Key> {
        ordered(self.parts.iter().flat_map(GroupPart::services))
    }

    /// Places in [`Difference::flows`], ascending.
    pub fn flows(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.parts.iter().flat_map(|part| part.flows.iter().copied()).collect();
        all.sort_unstable();
        all
    }
}

impl GroupPart {
    /// All Services of the part, ordered.
    pub fn services(&self) -> Vec<&Key> {
        ordered(self.to.iter().flat_map(|reached| &reached.services))
    }
}

fn ordered<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Vec<&'a Key> {
    keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// It worked and would not.
    Lost,
    /// A part of the connections would fail.
    Degraded,
    /// Other endpoints, shares, or another source address seen by the endpoint.
    Moved,
    /// More of the connections succeed than before.
    Gained,
}

/// Who connects: classes of sources that are answered alike, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sources {
    /// `all pods in zone b`, `pods on node-d`, `outside through node-a, from 10.0.0.0/8`.
    pub words: String,
    /// Never empty; ordered.
    pub classes: Vec<SourceClass>,
}

/// Sources that rules cannot tell apart for the destination at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceClass {
    /// Whose rules decide: a source of one of these nodes. Never empty; ordered.
    pub nodes: Vec<Text>,
    pub origin: Origin,
    /// The pods of the class, if it is of certain pods; empty: all others of the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "key_texts")]
    pub pods: Vec<Key>,
    /// Pods of the nodes that are not in the class, although `pods` is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "key_texts")]
    pub except_pods: Vec<Key>,
    /// The addresses of the class as networks, if rules tell addresses apart; empty: all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<IpNet>,
    /// Networks that are not in the class. An address is in the class if the smallest network of `nets` and `except` that has
    /// it is one of `nets`, or if none has it and `nets` is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<IpNet>,
    /// The node on which the pods of the class were before: that of `nodes` is the one on which they are now. Pods that move are in no
    /// other class: neither among "all others" of a node nor in a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Text>,
    /// Some of the sources are endpoints of the target: where one of them is sent to itself, its source becomes an address of
    /// the node, whatever [`Share::masquerade`] says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hairpin: bool,
    /// One address of the class, on the first node: a trace from here shows the change.
    pub example: IpAddr,
}

impl SourceClass {
    /// The first of the nodes.
    pub fn node(&self) -> Option<&Text> {
        self.nodes.first()
    }

    /// Whether the classes are the same but for their nodes and example, and name nothing that is one node's own.
    pub(super) fn joins(&self, other: &SourceClass) -> bool {
        let what = |class: &SourceClass| (class.origin, class.hairpin, class.moved_from.is_none());
        let names = |class: &SourceClass| !(class.pods.is_empty() && class.except_pods.is_empty());
        what(self) == what(other)
            && (&self.nets, &self.except) == (&other.nets, &other.except)
            && self.moved_from.is_none()
            && !names(self)
            && !names(other)
    }

    /// Whether an address is one of the class, as far as its networks say. Of pods, the names decide first.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        let longest =
            |nets: &[IpNet]| nets.iter().filter(|net| net.contains(&ip)).map(IpNet::prefix_len).max();
        match (longest(&self.nets), longest(&self.except)) {
            (None, None) => self.nets.is_empty(),
            (inside, outside) => inside > outside,
        }
    }

    /// Whether a pod of one of the class's nodes, which was there before, too, is one of the class.
    pub fn has_pod(&self, pod: &Key, ip: IpAddr) -> bool {
        match self.pods.is_empty() {
            true => !self.except_pods.contains(pod) && self.has_address(ip),
            false => self.pods.contains(pod),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Where they connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// `None`: no Service claims it, before or after.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub service: Option<Key>,
    /// Empty if the port has no name.
    pub port_name: Text,
    pub kind: TargetKind,
    /// `None` stands for the addresses of the node that is asked (node ports).
    pub ip: Option<IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    pub family: IpFamily,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    ClusterIp,
    ExternalIp,
    LoadBalancer,
    NodePort,
    /// `127.0.0.1:NODEPORT`.
    LocalhostNodePort,
    /// Where kube-proxy tells balancers whether the node has endpoints of the Service. Its answer is a part of the outcome.
    HealthCheck,
    /// A port of a cluster IP that no Service has.
    UnusedPort,
}

/// One thing that can happen to a new connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Numerator and denominator.
    pub fraction: [u64; 2],
    pub verdict: Verdict,
    /// `None` unless it is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// The pod behind it, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub pod: Option<Key>,
    /// The endpoint sees an address of the node as the source.
    pub masquerade: bool,
    /// State outside the rules on which it depends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// At a health-check node port, how many ready endpoints of the Service kube-proxy finds on the node: it answers 200 and
    /// that number (`X-Load-Balancing-Endpoint-Weight`), or 503 if there is none. `None`: it does not listen there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<u32>,
    pub reason: String,
}

/// Open connections to an endpoint that would not go on as they are, or clients whom affinity keeps there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenConnections {
    pub target: Target,
    /// `None`: all of the target's.
    pub endpoint: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub pod: Option<Key>,
    /// Nodes whose rules carry them; empty: all.
    pub nodes: Vec<Text>,
    pub end: End,
    /// What ends them, in words.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The peer is told (RST; of UDP, ICMP port unreachable for the next packet).
    Reset,
    /// Nobody answers any longer; the client has to find out.
    TimeOut,
    /// The next packet goes to another endpoint (UDP).
    Moved,
    /// Whether it ends, or how, is not documented or depends on the release: the reason says what is known.
    Unknown,
    /// Nothing that is open ends: the next connection of clients whom affinity keeps at an endpoint goes to another.
    Unpinned,
}

/// Rules of a node that come and go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesChange {
    pub node: Text,
    pub family: IpFamily,
    /// `None`: the node is not there.
    pub mode_before: Option<ProxyMode>,
    pub mode_after: Option<ProxyMode>,
    /// How many lines; [`RulesChange::lines`] may hold fewer.
    pub added: usize,
    pub removed: usize,
    pub lines: Vec<RuleLine>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleLine {
    pub fate: Fate,
    #[serde(flatten)]
    pub line: LineText,
    /// The Service it concerns, if one can be told.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub service: Option<Key>,
}

/// A line by its part (a chain, set or map) and its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineText {
    pub part: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Added,
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FindingsChange {
    pub appeared: Vec<Finding>,
    pub vanished: Vec<Finding>,
}

/// `namespace/name`.
fn key_of(text: &str) -> Result<Key, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Key::new(namespace, name)),
        _ => Err(format!("`{text}` is not NAMESPACE/NAME")),
    }
}

/// Keys as texts.
mod key_texts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::Key;

    pub fn serialize<S: Serializer>(keys: &[Key], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(keys.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Key>, D::Error> {
        let texts = Vec::<String>::deserialize(input)?;
        texts.iter().map(|text| super::key_of(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
