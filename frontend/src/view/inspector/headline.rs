//! What anything on the map is, in a name, a kind and a line or two. Pure.

use vipscope_shared::model::{ClusterState, Key, Keyed, Node, Pod, Service, ServiceType, Text};
use vipscope_shared::proxy::EndpointRow;
use vipscope_shared::scene::{Health, NO_NODE, ServiceStatus, SourceId, Target};

use crate::ui::Mark;
use crate::words;

/// The heading of the inspector, and the text of a tooltip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    pub name: String,
    /// Type or kind, for a chip.
    pub kind: &'static str,
    /// Empty if it is in none.
    pub namespace: String,
    pub mark: Mark,
    /// The mark in a word.
    pub state: String,
    pub lines: Vec<String>,
}

/// `None` if the state does not have it.
pub fn headline(state: &ClusterState, target: &Target) -> Option<Headline> {
    match target {
        Target::Service(key) => service(state, key, None),
        Target::Port(key, port) => service(state, key, Some(port)),
        Target::Pod(key) => pod(state, state.pods().get(key)?),
        Target::Node(name) if &**name == NO_NODE => Some(nowhere(state)),
        Target::Node(name) => node(state, state.node(name)?),
        Target::Namespace(name) => namespace(state, name),
        Target::Source(source) => Some(from(state, source)),
        Target::Address(address) => listed(state, address),
    }
}

fn service(state: &ClusterState, key: &Key, port: Option<&Text>) -> Option<Headline> {
    let service = state.services().get(key)?;
    let status = ServiceStatus::of(state, service);
    let (mark, word) = health_mark(status.health);
    let mut address = words::main_address(service);
    if let Some(id) = port {
        let port = service.ports.iter().find(|port| words::port_id(port) == *id)?;
        let vip = service.cluster_ip.ips().first();
        address = vip.map_or(address, |ip| words::socket(*ip, port.port));
    }
    let mut lines = vec![format!("{address} · {}", endpoint_count(service, &status.rows))];
    if !status.problem.is_empty() {
        lines.push(status.problem.to_string());
    }
    let name = port.map_or_else(|| key.name.to_string(), |port| format!("{}:{port}", key.name));
    Some(Headline {
        name,
        kind: words::service_type(service),
        namespace: key.namespace.to_string(),
        mark,
        state: word.to_owned(),
        lines,
    })
}

/// `3 of 4 endpoints receive traffic`.
fn endpoint_count(service: &Service, rows: &[EndpointRow]) -> String {
    if service.service_type == ServiceType::ExternalName {
        return "an alias, no endpoints".to_owned();
    }
    let useful = rows.iter().filter(|row| is_useful(service, row)).count();
    let verb = if service.is_headless() { "found by DNS" } else { "receive traffic" };
    match rows.len() {
        0 => "no endpoints".to_owned(),
        1 if useful == 1 && !service.is_headless() => "its 1 endpoint receives traffic".to_owned(),
        all => format!("{useful} of {} {verb}", words::count(all, "endpoint", "endpoints")),
    }
}

/// Clients reach it: by the proxy, or by DNS for a headless Service.
pub fn is_useful(service: &Service, row: &EndpointRow) -> bool {
    if service.is_headless() {
        return row.conditions.is_some_and(|conditions| service.publish_not_ready || conditions.is_ready());
    }
    row.receives()
}

/// Orders health: the higher, the worse.
pub fn severity(health: Health) -> u8 {
    match health {
        Health::Ok => 0,
        Health::Unknown => 1,
        Health::Degraded => 2,
        Health::Failing => 3,
    }
}

/// True if someone should.
pub fn needs_a_look(health: Health) -> bool {
    matches!(health, Health::Degraded | Health::Failing)
}

/// Mark and word for a Service's health.
pub fn health_mark(health: Health) -> (Mark, &'static str) {
    match health {
        Health::Ok => (Mark::Ok, "healthy"),
        Health::Degraded => (Mark::Warn, "degraded"),
        Health::Failing => (Mark::Bad, "failing"),
        Health::Unknown => (Mark::Off, "not judged"),
    }
}

fn pod(state: &ClusterState, pod: &Pod) -> Option<Headline> {
    let (mark, words) = pod_state(pod);
    let ip = pod.ips.first().map_or_else(|| "no IP".to_owned(), |ip| ip.to_string());
    let place = match &pod.node {
        Some(node) => format!("{ip} · on {node}{}", zone_of(state, node)),
        None => format!("{ip} · on no node yet"),
    };
    Some(Headline {
        name: pod.name().to_string(),
        kind: "Pod",
        namespace: pod.namespace().to_string(),
        mark,
        state: words.clone(),
        lines: vec![place, words],
    })
}

fn zone_of(state: &ClusterState, node: &str) -> String {
    state.node(node).and_then(|node| node.zone()).map(|zone| format!(" in {zone}")).unwrap_or_default()
}

/// A pod's state in words: phase, readiness, and the reason if it is not ready.
pub fn pod_state(pod: &Pod) -> (Mark, String) {
    let phase = pod.phase.as_str();
    if pod.meta.terminating() {
        let ready = if pod.ready { ", still ready" } else { "" };
        return (Mark::Warn, format!("shutting down{ready}"));
    }
    if pod.phase.is_final() {
        return (Mark::Off, phase.to_owned());
    }
    if pod.ready {
        return (Mark::Ok, format!("{phase}, ready"));
    }
    let waiting = pod.containers.iter().find_map(|container| container.waiting.as_ref());
    let reason =
        waiting.or(pod.unready_reason.as_ref()).map(|reason| format!(": {reason}")).unwrap_or_default();
    (Mark::Bad, format!("{phase}, not ready{reason}"))
}

fn node(state: &ClusterState, node: &Node) -> Option<Headline> {
    let (mark, words) = node_state(node);
    let pods = state.pods_on(node.name()).count();
    let zone = node.zone().map_or_else(|| "no zone".to_owned(), |zone| format!("zone {zone}"));
    Some(Headline {
        name: node.name().to_string(),
        kind: "Node",
        namespace: String::new(),
        mark,
        state: words.clone(),
        lines: vec![format!("{zone} · {} · {words}", words::count(pods, "pod", "pods"))],
    })
}

/// What is on no node: pods that are not placed yet, and addresses that no node is named for.
fn nowhere(state: &ClusterState) -> Headline {
    let pods = state.pods().values().filter(|pod| pod.node.is_none()).count();
    Headline {
        name: "On no node".to_owned(),
        kind: "Group",
        namespace: String::new(),
        mark: Mark::Off,
        state: String::new(),
        lines: vec![
            format!("{} not placed yet", words::count(pods, "pod", "pods")),
            "and addresses that are written by hand".to_owned(),
        ],
    }
}

/// The Services that list an address as endpoint, by key.
pub fn services_at(state: &ClusterState, address: &str) -> Vec<Key> {
    let lists = |slice: &vipscope_shared::model::EndpointSlice| {
        slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).any(|one| one.to_string() == address)
    };
    let slices = state.slices().values().filter(|slice| lists(slice));
    let services: std::collections::BTreeSet<Key> = slices.filter_map(|slice| slice.service()).collect();
    services.into_iter().collect()
}

fn listed(state: &ClusterState, address: &str) -> Option<Headline> {
    let services = services_at(state, address);
    (!services.is_empty()).then(|| Headline {
        name: address.to_owned(),
        kind: "Address",
        namespace: String::new(),
        mark: Mark::Off,
        state: String::new(),
        lines: vec![format!(
            "endpoint of {}, not a pod",
            words::count(services.len(), "Service", "Services")
        )],
    })
}

/// A node's state in words.
pub fn node_state(node: &Node) -> (Mark, String) {
    match (node.ready, node.unschedulable) {
        (true, false) => (Mark::Ok, "ready".to_owned()),
        (true, true) => (Mark::Warn, "ready, cordoned".to_owned()),
        (false, false) => (Mark::Bad, "not ready".to_owned()),
        (false, true) => (Mark::Bad, "not ready, cordoned".to_owned()),
    }
}

/// A namespace is there if anything is in it, even if its own object may not be read.
fn namespace(state: &ClusterState, name: &Text) -> Option<Headline> {
    let services = state.services().in_namespace(name).count();
    let pods = state.pods().in_namespace(name).count();
    let known = state.namespaces().contains(&Key::cluster(name.clone()));
    if !known && services + pods == 0 {
        return None;
    }
    let worst = state.services().in_namespace(name).map(|service| ServiceStatus::of(state, service).health);
    let worst = worst.reduce(Health::worst);
    let (mark, word) = worst.map_or((Mark::Off, "empty"), health_mark);
    Some(Headline {
        name: name.to_string(),
        kind: "Namespace",
        namespace: String::new(),
        mark,
        state: word.to_owned(),
        lines: vec![format!(
            "{} · {}",
            words::count(services, "Service", "Services"),
            words::count(pods, "pod", "pods")
        )],
    })
}

fn from(state: &ClusterState, source: &SourceId) -> Headline {
    let (name, kind, line) = match source {
        SourceId::Outside => {
            ("Outside".to_owned(), "Source", "everything that is not in the cluster".to_owned())
        }
        SourceId::Nodes => (
            "Nodes".to_owned(),
            "Source",
            words::count(state.nodes().len(), "node itself", "nodes themselves"),
        ),
        SourceId::Pods(namespace) => {
            let pods = state.pods().in_namespace(namespace).count();
            (format!("Pods of {namespace}"), "Source", words::count(pods, "pod", "pods"))
        }
    };
    Headline {
        name,
        kind,
        namespace: String::new(),
        mark: Mark::Off,
        state: String::new(),
        lines: vec![line],
    }
}
