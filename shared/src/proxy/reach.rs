//! Who receives traffic, who does not, and why, straight from the objects (basis `configured`).
//!
//! Every endpoint of a Service is listed once: those in its slices, and selected pods that no slice has. For each
//! Service port it says what share of the connections it gets, from how many nodes, or the first reason against it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::common::{Backend, Categories, PortView, backends, categorize};
use crate::model::{
    ClusterState, Conditions, EndpointAddress, IpFamily, Key, Keyed, Pod, Service, ServicePort, Text,
};

/// By which kind of address the traffic comes: it decides which policy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// The cluster IP, from pods and nodes: `internalTrafficPolicy`.
    ClusterIp,
    /// A node port, balancer address or external IP, from outside: `externalTrafficPolicy`.
    External,
}

impl PortView {
    /// Whether only the node's own endpoints count for traffic that comes this way.
    pub fn is_local(self, via: Via) -> bool {
        match via {
            Via::ClusterIp => self.internal_local,
            Via::External => self.external_local,
        }
    }
}

/// Why nothing is delivered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No endpoint anywhere: connections are refused at once.
    Reject,
    /// Endpoints, but none that the policy allows on this node: packets vanish.
    Drop,
}

/// What one node does with new connections to a Service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The endpoints, each chosen with probability `1 / chosen.len()`; indexes into the backends.
    pub chosen: Vec<usize>,
    /// Set if and only if `chosen` is empty.
    pub refusal: Option<Refusal>,
}

/// What `node` does with connections that reach it `via`, given the categories of the port's endpoints there.
pub fn shares(categories: &Categories, view: PortView, via: Via) -> Share {
    let chosen = if view.is_local(via) { categories.local.clone() } else { categories.cluster.clone() };
    let refusal = match (chosen.is_empty(), categories.has_any) {
        (false, _) => None,
        (true, true) => Some(Refusal::Drop),
        (true, false) => Some(Refusal::Reject),
    };
    Share { chosen, refusal }
}

/// Why an endpoint gets nothing of a port: the first reason that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No slice lists the selected pod, because …
    NotListed(NotListed),
    /// The port's name or number does not resolve on this pod.
    NoPort,
    NotReady,
    /// It shuts down, and others are ready.
    Terminating,
    /// It shuts down and no longer serves.
    NotServing,
    /// Policy Local, and it is on no node that could use it.
    NotLocal,
    /// Hints send its share elsewhere.
    Hinted,
    /// Another family than the VIPs', or a name instead of an address.
    NoVip,
    /// The Service is headless or an ExternalName: clients find endpoints by DNS, kube-proxy has no part in it.
    NotProxied,
}

/// Why a selected pod is in no slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotListed {
    Finished,
    NoAddress,
    NotScheduled,
    NodeMissing,
    /// The controller has not caught up yet, or does not run.
    Pending,
}

/// From how many of the nodes an endpoint receives a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeScope {
    All,
    /// From some of them: policies or hints differ by node.
    Some {
        nodes: usize,
        of: usize,
    },
}

/// How one endpoint stands towards one Service port.
#[derive(Debug, Clone, PartialEq)]
pub enum PortStanding {
    /// It receives traffic. `mean` is its share of the connections if every node had equally many; `one_of` is set if it
    /// is exactly one of so many from every node that uses it.
    Receives {
        one_of: Option<usize>,
        mean: f64,
        scope: NodeScope,
    },
    Nothing(Why),
}

/// One endpoint of a Service.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointRow {
    pub address: Option<EndpointAddress>,
    pub pod: Option<Key>,
    pub node: Option<Text>,
    pub zone: Option<Text>,
    /// As the slice has them; absent if no slice lists it.
    pub conditions: Option<Conditions>,
    /// The slice that lists it.
    pub slice: Option<Text>,
    /// In the order of the Service's ports: the port on the endpoint, if it resolves, and the standing.
    pub ports: Vec<(Option<NonZeroU16>, PortStanding)>,
}

impl EndpointRow {
    /// True if any port sends it traffic.
    pub fn receives(&self) -> bool {
        self.ports.iter().any(|(_, standing)| matches!(standing, PortStanding::Receives { .. }))
    }
}

/// Every endpoint of the Service, by address; then the selected pods that no slice lists, by name.
pub fn endpoint_rows(state: &ClusterState, service: &Service, via: Via) -> Vec<EndpointRow> {
    let selected: Vec<_> = state.selected_pods(service).collect();
    endpoint_rows_of(state, service, &selected, via)
}

/// [`endpoint_rows`], for a caller that knows the Service's selected pods already.
pub fn endpoint_rows_of(
    state: &ClusterState,
    service: &Service,
    selected: &[&Arc<Pod>],
    via: Via,
) -> Vec<EndpointRow> {
    let ports: Vec<PortAnswer> =
        service.ports.iter().map(|port| PortAnswer::of(state, service, port, via)).collect();
    let mut rows: BTreeMap<EndpointAddress, EndpointRow> = BTreeMap::new();
    for slice in state.slices_of(service.key()) {
        for endpoint in &slice.endpoints {
            let Some(address) = endpoint.addresses.first() else { continue };
            let known = rows.get(address).and_then(|row| row.conditions);
            if known.is_some_and(|known| !known.is_terminating()) && endpoint.conditions.is_terminating() {
                continue;
            }
            let row = EndpointRow {
                address: Some(address.clone()),
                pod: endpoint.target.as_ref().and_then(|target| target.pod()).cloned(),
                node: endpoint.node.clone(),
                zone: endpoint.zone.clone(),
                conditions: Some(endpoint.conditions),
                slice: Some(slice.name().clone()),
                ports: ports
                    .iter()
                    .map(|port| port.standing(service, address, endpoint.conditions))
                    .collect(),
            };
            rows.insert(address.clone(), row);
        }
    }
    let listed: BTreeSet<Key> = rows.values().filter_map(|row| row.pod.clone()).collect();
    let missing = selected.iter().filter(|pod| !listed.contains(pod.key()));
    let missing = missing.map(|pod| unlisted(state, service, pod));
    let mut all: Vec<EndpointRow> = rows.into_values().collect();
    all.extend(missing);
    all
}

fn unlisted(state: &ClusterState, service: &Service, pod: &Pod) -> EndpointRow {
    let why = if pod.phase.is_final() {
        NotListed::Finished
    } else if pod.node.is_none() {
        NotListed::NotScheduled
    } else if pod.ips.is_empty() {
        NotListed::NoAddress
    } else if pod.node.as_ref().is_some_and(|node| state.node(node).is_none()) {
        NotListed::NodeMissing
    } else {
        NotListed::Pending
    };
    let zone = pod.node.as_ref().and_then(|node| state.node(node)?.zone().cloned());
    EndpointRow {
        address: pod.ips.first().copied().map(EndpointAddress::Ip),
        pod: Some(pod.key().clone()),
        node: pod.node.clone(),
        zone,
        conditions: None,
        slice: None,
        ports: service.ports.iter().map(|_| (None, PortStanding::Nothing(Why::NotListed(why)))).collect(),
    }
}

/// What all nodes together do with a Service port, in each family.
struct PortAnswer {
    view: PortView,
    via: Via,
    backends: Vec<Backend>,
    /// For each backend: on how many nodes it is chosen, its mean share, and out of how many it is one everywhere.
    stats: Vec<Stats>,
    nodes: usize,
}

#[derive(Clone, Default)]
struct Stats {
    nodes: usize,
    sum: f64,
    one_of: BTreeSet<usize>,
}

impl PortAnswer {
    fn of(state: &ClusterState, service: &Service, port: &ServicePort, via: Via) -> PortAnswer {
        let families: BTreeSet<IpFamily> =
            service.cluster_ip.ips().iter().copied().map(IpFamily::of).collect();
        let mut answer = PortAnswer {
            view: PortView::of(service, port, IpFamily::IPv4),
            via,
            backends: Vec::new(),
            stats: Vec::new(),
            nodes: state.nodes().len(),
        };
        if !service.is_proxied() {
            return answer;
        }
        for family in families {
            let found = backends(state, service, port, family);
            let mut stats = vec![Stats::default(); found.len()];
            answer.view = PortView::of(service, port, family);
            // Where neither policy nor hints tell nodes apart, one node speaks for all.
            let uniform = !answer.is_local()
                && found.iter().all(|b| b.zone_hints.is_empty() && b.node_hints.is_empty());
            let (asked, weight) = if uniform { (1, answer.nodes) } else { (answer.nodes, 1) };
            for node in state.nodes().values().take(asked) {
                let share = shares(&categorize(&found, answer.view, node), answer.view, via);
                for &index in &share.chosen {
                    stats[index].nodes += weight;
                    stats[index].sum += weight as f64 / share.chosen.len() as f64;
                    stats[index].one_of.insert(share.chosen.len());
                }
            }
            answer.backends.extend(found);
            answer.stats.extend(stats);
        }
        answer
    }

    fn is_local(&self) -> bool {
        self.view.is_local(self.via)
    }

    fn standing(
        &self,
        service: &Service,
        address: &EndpointAddress,
        conditions: Conditions,
    ) -> (Option<NonZeroU16>, PortStanding) {
        let nothing = |why| PortStanding::Nothing(why);
        if !service.is_proxied() {
            return (None, nothing(Why::NotProxied));
        }
        let Some(ip) = address.ip().filter(|ip| has_vip(service, *ip)) else {
            return (None, nothing(Why::NoVip));
        };
        let Some(index) = self.backends.iter().position(|backend| backend.address == ip) else {
            return (None, nothing(Why::NoPort));
        };
        let (backend, stats) = (&self.backends[index], &self.stats[index]);
        let port = Some(backend.port);
        if stats.nodes > 0 {
            let scope = if stats.nodes == self.nodes {
                NodeScope::All
            } else {
                NodeScope::Some { nodes: stats.nodes, of: self.nodes }
            };
            let one_of = stats.one_of.iter().copied().next().filter(|_| stats.one_of.len() == 1);
            return (port, PortStanding::Receives { one_of, mean: stats.sum / self.nodes as f64, scope });
        }
        let local = self.is_local();
        let why = match (conditions.is_ready(), conditions.is_terminating(), conditions.is_serving()) {
            (false, true, true) => Why::Terminating,
            (false, true, false) => Why::NotServing,
            (false, false, _) => Why::NotReady,
            (true, ..) if local => Why::NotLocal,
            (true, ..) => Why::Hinted,
        };
        (port, nothing(why))
    }
}

fn has_vip(service: &Service, ip: IpAddr) -> bool {
    service.cluster_ip.ips().iter().any(|vip| vip.is_ipv4() == ip.is_ipv4())
}
