//! What can be typed as an end of a trace: pods, nodes and `external`; Services, their ports and VIPs. Pure.
//!
//! In: the state, the end, and what was typed. Out: the best suggestions and how many there are in all.

use std::net::{IpAddr, SocketAddr};

use vipscope_shared::model::{ClusterState, Keyed, Service, Text};
use vipscope_shared::predict::names::{Destination, Source};

use crate::tracing::End;
use crate::words;

/// A text that would do, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    rank: u8,
    pub text: String,
    pub detail: String,
}

/// The best suggestions first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suggestions {
    pub best: Vec<Suggestion>,
    /// How many more there are.
    pub more: usize,
}

/// At most `limit` suggestions for an end.
pub fn complete(state: &ClusterState, end: End, typed: &str, limit: usize) -> Suggestions {
    let typed = typed.trim().to_lowercase();
    let mut all = match end {
        End::From => sources(state, &typed),
        End::To => destinations(state, &typed),
    };
    all.sort_unstable();
    let more = all.len().saturating_sub(limit);
    all.truncate(limit);
    Suggestions { best: all, more }
}

/// How well a name fits what was typed: 0 is best, `None` not at all.
fn rank(typed: &str, text: &str, namespace: &str, name: &str) -> Option<u8> {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    if typed.is_empty() || text.starts_with(typed) {
        return Some(0);
    }
    if name.starts_with(typed) {
        return Some(1);
    }
    let in_place = || typed.contains('/') && format!("{namespace}/{name}").to_lowercase().contains(typed);
    (name.contains(typed) || in_place()).then_some(2).or_else(|| (namespace == typed).then_some(3))
}

/// Addresses are suggested once their beginning was typed.
fn rank_ip(typed: &str, ip: IpAddr) -> Option<u8> {
    let looks_like_one = typed.contains(['.', ':']) || typed.parse::<u8>().is_ok();
    (looks_like_one && ip.to_string().starts_with(typed.trim_start_matches('['))).then_some(1)
}

fn sources(state: &ClusterState, typed: &str) -> Vec<Suggestion> {
    let external = rank(typed, "external", "", "outside").map(|rank| Suggestion {
        rank,
        text: Source::External.to_string(),
        detail: "somebody outside the cluster".to_owned(),
    });
    let nodes = state.nodes().values().filter_map(|node| {
        let text = Source::Node(node.name().clone()).to_string();
        let ip = || node.addresses.iter().find_map(|address| rank_ip(typed, address.ip));
        let rank = rank(typed, &text, "", node.name()).or_else(ip)?;
        let detail = node.addresses.first().map(|address| address.ip.to_string()).unwrap_or_default();
        Some(Suggestion { rank, text, detail })
    });
    let pods = state.pods().values().filter(|pod| !pod.phase.is_final()).filter_map(|pod| {
        let key = pod.key();
        let text = Source::Pod(key.clone()).to_string();
        let ip = || pod.ips.iter().find_map(|ip| rank_ip(typed, *ip));
        let rank = rank(typed, &text, &key.namespace, &key.name).or_else(ip)?;
        let node = pod.node.as_ref().map_or_else(|| "on no node".to_owned(), |node| format!("on {node}"));
        // What is typed least comes first while nothing is typed.
        Some(Suggestion { rank: rank + u8::from(typed.is_empty()), text, detail: node })
    });
    external.into_iter().chain(nodes).chain(pods).collect()
}

fn destinations(state: &ClusterState, typed: &str) -> Vec<Suggestion> {
    let mut all = Vec::new();
    for service in state.services().values() {
        by_name(service, typed, &mut all);
        by_address(service, typed, &mut all);
    }
    all
}

/// The Service, and each of its ports if there are several or one is being typed.
fn by_name(service: &Service, typed: &str, all: &mut Vec<Suggestion>) {
    let key = service.key();
    let whole = Destination::Service(key.clone(), None).to_string();
    if let Some(rank) = rank(typed, &whole, &key.namespace, &key.name) {
        all.push(Suggestion { rank, text: whole.clone(), detail: words::main_address(service) });
    }
    let with_ports = service.ports.len() > 1 || typed.contains(':');
    for port in service.ports.iter().filter(|_| with_ports) {
        let id: Text = words::port_id(port);
        let text = Destination::Service(key.clone(), Some(id.clone())).to_string();
        let name = format!("{}:{id}", key.name);
        if let Some(rank) = rank(typed, &text, &key.namespace, &name) {
            all.push(Suggestion { rank, text, detail: format!("{}/{}", port.port, port.protocol.lower()) });
        }
    }
}

fn by_address(service: &Service, typed: &str, all: &mut Vec<Suggestion>) {
    for ip in service.cluster_ip.ips().iter().copied().chain(service.outside_ips()) {
        for port in &service.ports {
            let text = SocketAddr::new(ip, port.port.get()).to_string();
            if rank_ip(typed, ip).is_some() || (typed.contains(':') && text.starts_with(typed)) {
                all.push(Suggestion { rank: 1, text, detail: service.key().to_string() });
            }
        }
    }
}
