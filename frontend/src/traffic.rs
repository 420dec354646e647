//! Live traffic: which edges carry how much, for the last minute; sums over them; how far what is seen
//! agrees with what the rules let expect.
//!
//! In: messages of `api/v1/traffic`, from [`crate::api`] alone. [`Traffic`] is the pure part, without signals, clock or sockets;
//! [`Live`] wraps it for components. Invariants: a rate belongs to the edge that had its number in
//! the same generation, or is not taken; histories of all edges are equally long; counters that go back count nothing.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use vipscope_shared::model::{
    ClusterState, EndpointSlice, Key, Keyed, ProxyMode, Service, ServicePort, Text,
};
use vipscope_shared::traffic::{
    NodeFault, NodeStatus, TrafficBasis, TrafficEdge, TrafficEnd, TrafficMessage, TrafficSource,
};

mod agreement;
mod endpoints;
mod expect;
mod live;
mod rule_drift;

pub use agreement::{Expected, Judgement, MIN_SAMPLES, Seen, judge, seen};
pub use endpoints::{EndpointTraffic, of_endpoints};
pub use expect::expected;
pub use live::Live;
pub use rule_drift::{Difference, RuleDrift};

/// Messages whose rates are kept: a minute.
pub const HISTORY: usize = crate::ui::SPARKS;
/// Without a message for so many milliseconds, what is known is stale.
pub const STALE_MS: f64 = 3_000.0;
/// Most messages over which a rate is the mean: connections are few and irregular.
const SMOOTHED: u32 = 5;
/// After its endpoints have changed, a Service's connections are not counted for so many messages: nodes take a moment to
/// follow.
const SETTLING: u32 = 3;

/// One edge and what was seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub edge: TrafficEdge,
    /// New connections per second: a mean of the last seconds, but only of those since its Service was last changed.
    pub rate: f64,
    /// By messages, the newest last.
    history: VecDeque<f32>,
    /// The counter as last told.
    total: Option<u64>,
    counted: u64,
}

impl Flow {
    fn new(edge: TrafficEdge, length: usize) -> Flow {
        let history = std::iter::repeat_n(0.0, length).collect();
        Flow { edge, rate: 0.0, history, total: None, counted: 0 }
    }

    fn push(&mut self, rate: f64) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(rate as f32);
    }

    fn smooth(&mut self, window: u32) {
        let last = self.history.iter().rev().take(window as usize);
        let (count, sum) = last.fold((0, 0.0), |(count, sum), rate| (count + 1, sum + f64::from(*rate)));
        self.rate = sum / f64::from(count.max(1));
    }

    /// Takes a counter, and how many connections there were since the message before, if that one was seen.
    fn count(&mut self, total: u64, lately: f64) {
        let before = self.total.replace(total).filter(|before| *before <= total);
        // A counter that is new here, or began anew, tells nothing of what was before.
        self.counted += before.map_or(lately.round() as u64, |before| total - before);
    }

    /// Connections since its Service was last changed, as far as they were seen.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// It was sent to an endpoint, whatever became of it there.
    pub fn is_sent(&self) -> bool {
        self.endpoint().is_some()
    }

    /// The endpoint it was sent to.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        match &self.edge.end {
            TrafficEnd::Delivered { endpoint, .. } | TrafficEnd::Failed { endpoint } => Some(*endpoint),
            TrafficEnd::Refused | TrafficEnd::Dropped | TrafficEnd::Unclaimed => None,
        }
    }

    fn is_forgotten(&self) -> bool {
        self.history.iter().all(|rate| *rate == 0.0)
    }
}

/// What a Service's shares depend on, and how many messages ago it changed.
#[derive(Debug, Clone, PartialEq)]
struct Grounds {
    service: Option<Arc<Service>>,
    slices: Vec<Arc<EndpointSlice>>,
    /// Messages since it changed, up to [`HISTORY`].
    age: u32,
}

impl Grounds {
    fn of(state: &ClusterState, key: &Key) -> Grounds {
        let slices = state.slices_of(key).cloned().collect();
        Grounds { service: state.services().get(key).cloned(), slices, age: 0 }
    }

    fn is_settling(&self) -> bool {
        self.age < SETTLING
    }

    /// The first message after a change is of a time before it.
    fn window(&self) -> u32 {
        self.age.saturating_sub(1).clamp(1, SMOOTHED)
    }

    fn is_same(&self, other: &Grounds) -> bool {
        (&self.service, &self.slices) == (&other.service, &other.slices)
    }
}

/// How a node's proxy is set: with another setting, counting starts anew.
type Setting = (Text, ProxyMode, Vec<NodeFault>);

/// New connections per second, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    pub delivered: f64,
    pub failed: f64,
    pub refused: f64,
    pub dropped: f64,
    pub unclaimed: f64,
}

impl Rates {
    pub fn add(&mut self, end: &TrafficEnd, rate: f64) {
        *match end {
            TrafficEnd::Delivered { .. } => &mut self.delivered,
            TrafficEnd::Failed { .. } => &mut self.failed,
            TrafficEnd::Refused => &mut self.refused,
            TrafficEnd::Dropped => &mut self.dropped,
            TrafficEnd::Unclaimed => &mut self.unclaimed,
        } += rate;
    }

    pub fn sum(&self) -> f64 {
        self.delivered + self.lost()
    }

    /// Of clients that got no answer from an endpoint.
    pub fn lost(&self) -> f64 {
        self.failed + self.refused + self.dropped + self.unclaimed
    }

    /// What went wrong in words: `4.2/s refused, 1/s failed`; empty if nothing did.
    pub fn trouble(&self) -> String {
        let parts = [
            (self.refused, "refused"),
            (self.dropped, "dropped"),
            (self.failed, "failed"),
            (self.unclaimed, "claimed by no Service"),
        ];
        let words = parts.into_iter().filter(|(rate, _)| *rate > 0.0);
        words.map(|(rate, what)| format!("{} {what}", rate_text(rate))).collect::<Vec<_>>().join(", ")
    }
}

/// Rate and history of several edges together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sum {
    pub rates: Rates,
    /// All connections, by messages, the newest last; as long as is known, at most [`HISTORY`].
    pub history: Vec<f32>,
    /// Connections since the Service was last changed.
    pub counted: u64,
}

/// What is known of traffic and of nodes.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    generation: Option<u32>,
    basis: Option<TrafficBasis>,
    flows: Vec<Flow>,
    index: HashMap<TrafficEdge, usize>,
    /// The flow of each number of this generation.
    numbers: Vec<usize>,
    /// Messages in the histories.
    length: usize,
    grounds: HashMap<Key, Grounds>,
    settings: Vec<Setting>,
    nodes: Vec<NodeStatus>,
    time: Option<Timestamp>,
    /// When a message came, by the page's own clock, in milliseconds.
    heard: Option<f64>,
}

impl Traffic {
    /// Takes a message that came at `now` (milliseconds of the page's clock). `state` says what a Service's shares depend on.
    pub fn receive(&mut self, message: TrafficMessage, state: &ClusterState, now: f64) {
        self.heard = Some(now);
        match message {
            TrafficMessage::Edges { generation, basis, edges } => {
                self.generation = Some(generation);
                self.basis = Some(basis);
                self.take_edges(edges);
            }
            TrafficMessage::Rates { generation, time, seconds, rates }
                if self.generation == Some(generation) =>
            {
                self.time = Some(time);
                self.take_rates(&rates, seconds, state);
            }
            // Of a generation whose edges are still to come, or were lost: numbers that mean nothing here.
            TrafficMessage::Rates { .. } => {}
            TrafficMessage::Nodes { nodes } => self.take_nodes(nodes),
        }
    }

    /// The stream broke: what comes next does not join on to what was.
    pub fn interrupt(&mut self) {
        self.generation = None;
        self.numbers.clear();
        self.length = 0;
        for flow in &mut self.flows {
            flow.rate = 0.0;
            flow.history.clear();
            flow.total = None;
        }
    }

    fn take_edges(&mut self, edges: Vec<TrafficEdge>) {
        let mut numbers = Vec::with_capacity(edges.len());
        for edge in edges {
            let next = self.flows.len();
            let nth = *self.index.entry(edge).or_insert_with_key(|edge| {
                self.flows.push(Flow::new(edge.clone(), self.length));
                next
            });
            numbers.push(nth);
        }
        self.numbers = numbers;
        self.forget();
    }

    /// Lets go of edges that are no longer told of, once the last minute knows nothing of them.
    fn forget(&mut self) {
        let mut kept = vec![false; self.flows.len()];
        self.numbers.iter().for_each(|nth| kept[*nth] = true);
        if kept.iter().zip(&self.flows).all(|(kept, flow)| *kept || !flow.is_forgotten()) {
            return;
        }
        let mut moved = vec![0; self.flows.len()];
        let mut flows = Vec::with_capacity(self.flows.len());
        for (nth, flow) in std::mem::take(&mut self.flows).into_iter().enumerate() {
            if kept[nth] || !flow.is_forgotten() {
                moved[nth] = flows.len();
                flows.push(flow);
            }
        }
        self.flows = flows;
        self.numbers.iter_mut().for_each(|nth| *nth = moved[*nth]);
        self.index = self.flows.iter().enumerate().map(|(nth, flow)| (flow.edge.clone(), nth)).collect();
    }

    fn take_rates(&mut self, rates: &[(u32, f32, u64)], seconds: f64, state: &ClusterState) {
        let mut now = vec![0.0; self.flows.len()];
        for (number, rate, total) in rates {
            let Some(&nth) = self.numbers.get(*number as usize) else { continue };
            // A rate is a number from outside.
            now[nth] = f64::from(*rate).clamp(0.0, 1e9);
            if now[nth].is_nan() {
                now[nth] = 0.0;
            }
            let lately = now[nth] * seconds.clamp(0.0, 60.0);
            self.flows[nth].count(*total, lately);
        }
        for (flow, rate) in self.flows.iter_mut().zip(now) {
            flow.push(rate);
        }
        self.length = (self.length + 1).min(HISTORY);
        self.follow(state);
    }

    /// Starts counting anew for Services that have changed.
    fn follow(&mut self, state: &ClusterState) {
        let mut grounds: HashMap<Key, Grounds> = HashMap::new();
        for flow in &self.flows {
            let Some(key) = flow.edge.service.as_ref().filter(|key| !grounds.contains_key(*key)) else {
                continue;
            };
            let mut new = Grounds::of(state, key);
            match self.grounds.get(key) {
                Some(old) if old.is_same(&new) => new.age = (old.age + 1).min(HISTORY as u32),
                Some(_) => {}
                // Seen for the first time: there is no change to wait for.
                None => new.age = HISTORY as u32,
            }
            grounds.insert(key.clone(), new);
        }
        for flow in &mut self.flows {
            let of_service = flow.edge.service.as_ref().and_then(|key| grounds.get(key));
            if of_service.is_some_and(Grounds::is_settling) {
                flow.counted = 0;
            }
            flow.smooth(of_service.map_or(SMOOTHED, Grounds::window));
        }
        self.grounds = grounds;
    }

    fn take_nodes(&mut self, nodes: Vec<NodeStatus>) {
        let settings: Vec<Setting> =
            nodes.iter().map(|node| (node.node.clone(), node.mode, node.faults.clone())).collect();
        if settings != self.settings {
            self.settings = settings;
            self.flows.iter_mut().for_each(|flow| flow.counted = 0);
            self.grounds.values_mut().for_each(|grounds| grounds.age = 0);
        }
        self.nodes = nodes;
    }

    /// There is a node that can be read, or was traffic.
    pub fn is_any(&self) -> bool {
        !(self.nodes.is_empty() && self.flows.is_empty())
    }

    /// `None` until there was a message with edges.
    pub fn basis(&self) -> Option<TrafficBasis> {
        self.basis
    }

    /// All edges that the last minute knows of.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Edges with their rates.
    pub fn rated(&self) -> impl Iterator<Item = (&TrafficEdge, f64)> {
        self.flows.iter().map(|flow| (&flow.edge, flow.rate))
    }

    /// By name.
    pub fn nodes(&self) -> &[NodeStatus] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| &*node.node == name)
    }

    /// When the last rates were measured, by the server's clock.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// True if no message came for [`STALE_MS`], though there was one.
    pub fn is_stale(&self, now: f64) -> bool {
        self.heard.is_some_and(|heard| now - heard > STALE_MS)
    }

    /// The edges that `wanted` chooses, together.
    pub fn sum(&self, wanted: impl Fn(&TrafficEdge) -> bool) -> Sum {
        sum(self.flows.iter().filter(|flow| wanted(&flow.edge)), self.length)
    }

    /// The edges of a Service.
    pub fn of_service(&self, key: &Key) -> Vec<&Flow> {
        self.flows.iter().filter(|flow| flow.edge.service.as_ref() == Some(key)).collect()
    }

    /// Messages that the histories hold.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// Some flows together; `length` as in [`Traffic::length`].
pub fn sum<'a>(flows: impl Iterator<Item = &'a Flow>, length: usize) -> Sum {
    let mut sum = Sum { history: vec![0.0; length], ..Sum::default() };
    for flow in flows {
        sum.rates.add(&flow.edge.end, flow.rate);
        sum.counted += flow.counted;
        let skipped = length.saturating_sub(flow.history.len());
        for (all, one) in sum.history.iter_mut().skip(skipped).zip(&flow.history) {
            *all += one;
        }
    }
    sum
}

/// True if the pod sends or receives on it.
pub fn is_from_pod(edge: &TrafficEdge, pod: &Key) -> bool {
    matches!(&edge.source, TrafficSource::Pod(key) if key == pod)
}

pub fn is_to_pod(edge: &TrafficEdge, pod: &Key) -> bool {
    matches!(&edge.end, TrafficEnd::Delivered { pod: Some(key), .. } if key == pod)
}

/// True if the edge is of this port of the Service.
pub fn is_of_port(edge: &TrafficEdge, port: &ServicePort) -> bool {
    edge.protocol == port.protocol
        && match &edge.port_name {
            Some(name) => *name == port.name,
            // The Service's one port; its node port is another number.
            None => port.name.is_empty(),
        }
}

/// `0/s`, `0.4/s`, `4.2/s`, `41/s`, `1.2k/s`: two digits that matter.
pub fn rate_text(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 => "0/s".to_owned(),
        rate if rate < 0.05 => "<0.1/s".to_owned(),
        rate if rate < 9.95 => {
            let text = format!("{rate:.1}");
            format!("{}/s", text.trim_end_matches(".0"))
        }
        rate if rate < 999.5 => format!("{rate:.0}/s"),
        rate if rate < 9_950.0 => format!("{:.1}k/s", rate / 1e3),
        rate if rate < 999_500.0 => format!("{:.0}k/s", rate / 1e3),
        rate => format!("{:.1}M/s", rate / 1e6),
    }
}

/// Services that kube-proxy has rules for.
pub fn proxied(state: &ClusterState) -> Vec<Key> {
    state.services().values().filter(|service| service.is_proxied()).map(|s| s.key().clone()).collect()
}
