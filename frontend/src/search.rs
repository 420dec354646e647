//! Search over the cluster: names, namespaces, IPs, `ip:port`, labels `app=web`, nodes. Pure.
//!
//! In: the state and what was typed. Out: the best hits and how many there are in all, so that none is hidden silently.

use std::net::{IpAddr, SocketAddr};

use vipscope_shared::model::{ClusterState, Keyed, Labels, Pod, Service, Text};
use vipscope_shared::scene::Target;

use crate::words;

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub target: Target,
    pub kind: &'static str,
    pub name: Text,
    /// Where it is, or the address that matched.
    pub detail: String,
    rank: u8,
}

/// What a search found: the best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hits {
    pub best: Vec<Hit>,
    /// How many more there are.
    pub more: usize,
}

/// A query, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Query {
    Ip(IpAddr, Option<u16>),
    Label(String, String),
    Text(String),
}

impl Query {
    fn parse(text: &str) -> Option<Query> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Some(Query::Ip(socket.ip(), Some(socket.port())));
        }
        if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Query::Ip(ip, None));
        }
        Some(match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Query::Label(key.trim().to_owned(), value.trim_start_matches('=').trim().to_owned())
            }
            _ => Query::Text(text.to_lowercase()),
        })
    }
}

/// The best `limit` hits.
pub fn search(state: &ClusterState, query: &str, limit: usize) -> Hits {
    let Some(query) = Query::parse(query) else { return Hits::default() };
    let services = state.services().values().filter_map(|service| service_hit(service, &query));
    let pods = state.pods().values().filter_map(|pod| pod_hit(pod, &query));
    let nodes = state.nodes().values().filter_map(|node| {
        let ips: Vec<IpAddr> = node.addresses.iter().map(|address| address.ip).collect();
        let detail = node.zone().map_or_else(String::new, |zone| zone.to_string());
        let target = Target::Node(node.name().clone());
        hit("node", node.name(), "", &node.meta.labels, &ips, &query, target, detail)
    });
    let namespaces = state.namespaces().values().filter_map(|namespace| {
        let target = Target::Namespace(namespace.name().clone());
        hit("namespace", namespace.name(), "", &namespace.meta.labels, &[], &query, target, String::new())
    });
    let mut all: Vec<Hit> = namespaces.chain(nodes).chain(services).chain(pods).collect();
    all.sort_by(|a, b| {
        (a.rank, kind_rank(a.kind), a.name.len(), &a.name).cmp(&(
            b.rank,
            kind_rank(b.kind),
            b.name.len(),
            &b.name,
        ))
    });
    let more = all.len().saturating_sub(limit);
    all.truncate(limit);
    Hits { best: all, more }
}

fn kind_rank(kind: &str) -> u8 {
    match kind {
        "port" | "service" => 0,
        "node" => 1,
        "namespace" => 2,
        _ => 3,
    }
}

fn service_hit(service: &Service, query: &Query) -> Option<Hit> {
    let key = service.key();
    let vips: Vec<IpAddr> = service.cluster_ip.ips().iter().copied().chain(service.outside_ips()).collect();
    if let Query::Ip(ip, Some(number)) = query {
        let port = service.ports.iter().find(|port| port.port.get() == *number)?;
        vips.contains(ip).then_some(())?;
        let target = Target::Port(key.clone(), words::port_id(port));
        let detail = format!("{} · {}", key.namespace, words::socket(*ip, number));
        return Some(Hit { target, kind: "port", name: key.name.clone(), detail, rank: 0 });
    }
    let detail = format!("{} · {}", key.namespace, words::main_address(service));
    let target = Target::Service(key.clone());
    hit("service", &key.name, &key.namespace, &service.meta.labels, &vips, query, target, detail)
}

fn pod_hit(pod: &Pod, query: &Query) -> Option<Hit> {
    let key = pod.key();
    let query = match query {
        // Any port of a pod's address leads to the pod.
        Query::Ip(ip, Some(_)) => &Query::Ip(*ip, None),
        query => query,
    };
    if pod.host_network && matches!(query, Query::Ip(..)) {
        return None;
    }
    let ip = pod.ips.first().map_or_else(|| "no IP".to_owned(), |ip| ip.to_string());
    let detail = format!("{} · {ip}", key.namespace);
    let target = Target::Pod(key.clone());
    hit("pod", &key.name, &key.namespace, &pod.meta.labels, &pod.ips, query, target, detail)
}

#[expect(clippy::too_many_arguments, reason = "one place that ranks, called with what each kind has")]
fn hit(
    kind: &'static str,
    name: &Text,
    namespace: &str,
    labels: &Labels,
    ips: &[IpAddr],
    query: &Query,
    target: Target,
    detail: String,
) -> Option<Hit> {
    let rank = match query {
        Query::Ip(ip, _) => ips.contains(ip).then_some(0)?,
        Query::Label(key, value) => {
            let found = labels.get(key)?;
            (value.is_empty() || **found == **value).then_some(1)?
        }
        Query::Text(text) => text_rank(text, name, namespace, ips)?,
    };
    Some(Hit { target, kind, name: name.clone(), detail, rank })
}

/// 0 is best: the name itself; then its beginning, its middle, `namespace/name`, an address, the namespace.
fn text_rank(text: &str, name: &str, namespace: &str, ips: &[IpAddr]) -> Option<u8> {
    let name = name.to_lowercase();
    if name == text {
        return Some(0);
    }
    if name.starts_with(text) {
        return Some(1);
    }
    if name.contains(text) {
        return Some(2);
    }
    if text.contains('/') && format!("{namespace}/{name}").contains(text) {
        return Some(2);
    }
    let looks_like_ip = text.contains(['.', ':']);
    if looks_like_ip && ips.iter().any(|ip| ip.to_string().starts_with(text)) {
        return Some(3);
    }
    (!namespace.is_empty() && namespace == text).then_some(4)
}
