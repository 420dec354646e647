//! Plain words for what the model says: reasons, ages, counts, addresses. Pure; English; no markup.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use vipscope_shared::api::{ClusterInfo, SourceKind};
use vipscope_shared::model::{
    ClusterIp, ClusterState, Kind, Pod, ProxyMode, Service, ServicePort, ServiceType, Text,
};
use vipscope_shared::proxy::{EndpointRow, NodeScope, PortStanding, Via, Why, reach::NotListed};

/// `1 pod`, `3 pods`, `12 Services`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number as u64), if number == 1 { one } else { many })
}

/// `48 211`: groups of three, with a narrow no-break space.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `9.2 s`, `42 s`, `7 min`, `3 h`, `12 d`.
pub fn duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago `then` was at `now`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    duration(now.duration_since(then))
}

/// `IP:PORT`, IPv6 in brackets.
pub fn socket(ip: IpAddr, port: impl std::fmt::Display) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    }
}

/// By which name a URL and the map know a port: its name, or its number if it has none.
pub fn port_id(port: &ServicePort) -> Text {
    if port.name.is_empty() { port.port.to_string().into() } else { port.name.clone() }
}

/// `ClusterIP`, `Headless`, `NodePort`, …: headless Services get their own word.
pub fn service_type(service: &Service) -> &'static str {
    if service.is_headless() && service.service_type == ServiceType::ClusterIP {
        "Headless"
    } else {
        service.service_type.as_str()
    }
}

/// The Service's main address, for a heading: VIP and first port, or what stands in for it.
pub fn main_address(service: &Service) -> String {
    let port = service.ports.first();
    match (&service.cluster_ip, &service.external_name, port) {
        (_, Some(name), _) if service.service_type == ServiceType::ExternalName => format!("CNAME {name}"),
        (ClusterIp::Headless, _, _) => "no VIP".to_owned(),
        (ClusterIp::Unset, _, _) => "no cluster IP yet".to_owned(),
        (ClusterIp::Ips(ips), _, Some(port)) => socket(ips[0], port.port),
        (ClusterIp::Ips(ips), _, None) => ips[0].to_string(),
    }
}

/// How clients find a Service that has no VIP.
pub fn found_by(service: &Service) -> Option<String> {
    let key = &service.meta.key;
    if service.service_type == ServiceType::ExternalName {
        let name = service.external_name.as_deref().unwrap_or("(no name)");
        return Some(format!(
            "An alias. Looking up {}.{}.svc answers with the name {name}; where that leads is up to DNS. There is no \
             VIP, and kube-proxy has no part in it.",
            key.name, key.namespace
        ));
    }
    service.is_headless().then(|| {
        format!(
            "Headless: no VIP. Looking up {}.{}.svc answers with the addresses of its endpoints, and the client picks \
             one itself. kube-proxy has no part in it.",
            key.name, key.namespace
        )
    })
}

/// What shares of a Service rest on, in a word: kube-proxy's rules, if it is known to serve the Service; else the objects
/// alone.
pub fn share_basis(basis: ModeBasis, service: &Service) -> &'static str {
    match basis {
        ModeBasis::Configured if service.is_proxied() => "predicted",
        _ => "configured",
    }
}

/// `1/3 predicted`, `all of 2 nodes` (of what they send), `33 % predicted`. `basis`: see [`share_basis`].
pub fn share(standing: &PortStanding, basis: &str) -> Option<String> {
    match standing {
        PortStanding::Receives { one_of: Some(1), scope: NodeScope::All, .. } => Some(format!("all {basis}")),
        PortStanding::Receives { one_of: Some(n), scope: NodeScope::All, .. } => {
            Some(format!("1/{n} {basis}"))
        }
        PortStanding::Receives { one_of: Some(n), scope: NodeScope::Some { nodes, .. }, .. } => {
            let part = if *n == 1 { "all".to_owned() } else { format!("1/{n}") };
            Some(format!("{part} of {}", count(*nodes, "node", "nodes")))
        }
        PortStanding::Receives { mean, .. } => Some(format!("{:.0} % {basis}", mean * 100.0)),
        PortStanding::Nothing(_) => None,
    }
}

/// Why an endpoint does or does not receive traffic of one port.
pub fn standing(
    state: &ClusterState,
    service: &Service,
    row: &EndpointRow,
    standing: &PortStanding,
    via: Via,
) -> String {
    match standing {
        PortStanding::Receives { scope, .. } => receives(service, row, *scope, via),
        PortStanding::Nothing(why) => nothing(state, service, row, why, via),
    }
}

fn receives(service: &Service, row: &EndpointRow, scope: NodeScope, via: Via) -> String {
    let conditions = row.conditions.unwrap_or_default();
    let mut text = if conditions.is_terminating() {
        "shuts down, but still serves, and nothing else it could be sent to is ready".to_owned()
    } else if service.publish_not_ready {
        "counts as ready: publishNotReadyAddresses".to_owned()
    } else {
        "ready".to_owned()
    };
    if let NodeScope::Some { nodes, of } = scope {
        let cause = if is_local(service, via) {
            format!("{} is Local", policy_name(via))
        } else {
            "topology hints".to_owned()
        };
        text.push_str(&format!(", from {nodes} of {of} nodes ({cause})"));
    }
    text
}

fn is_local(service: &Service, via: Via) -> bool {
    let policy = match via {
        Via::ClusterIp => service.internal_policy,
        Via::External => service.external_policy,
    };
    !policy.is_cluster()
}

/// The field that decides for traffic that comes this way.
pub fn policy_name(via: Via) -> &'static str {
    match via {
        Via::ClusterIp => "internalTrafficPolicy",
        Via::External => "externalTrafficPolicy",
    }
}

fn nothing(state: &ClusterState, service: &Service, row: &EndpointRow, why: &Why, via: Via) -> String {
    let pod = row.pod.as_ref().and_then(|key| state.pods().get(key));
    match why {
        Why::NotListed(why) => not_listed(*why, row),
        Why::NoPort => format!("no port: {}", unresolved(service)),
        Why::NotReady => format!("not ready{}", pod.and_then(|pod| unready(pod)).unwrap_or_default()),
        Why::Terminating => "shuts down; it still serves, but others are ready and take over".to_owned(),
        Why::NotServing => "shuts down and no longer serves".to_owned(),
        Why::NotLocal => format!(
            "{} is Local, and no node of the cluster would send to it{}",
            policy_name(via),
            row.node.as_ref().map_or(" (it has no node)", |_| "")
        ),
        Why::Hinted => "topology hints send every node's traffic to other endpoints".to_owned(),
        Why::NoVip => match row.address.as_ref().and_then(|address| address.ip()) {
            Some(ip) => format!("an {} endpoint, but the Service has no such VIP", family(ip)),
            None => "a host name, not an address: kube-proxy ignores it".to_owned(),
        },
        Why::NotProxied => "found by DNS; kube-proxy has no part in it".to_owned(),
    }
}

fn not_listed(why: NotListed, row: &EndpointRow) -> String {
    let node = row.node.as_deref().unwrap_or("?");
    match why {
        NotListed::Finished => "in no slice: the pod has finished".to_owned(),
        NotListed::NoAddress => "in no slice: the pod has no IP yet".to_owned(),
        NotListed::NotScheduled => "in no slice: the pod is on no node yet".to_owned(),
        NotListed::NodeMissing => format!("in no slice: its node {node} does not exist"),
        NotListed::Pending => {
            "selected, but in no slice: the EndpointSlice controller has not caught up, or does not run"
                .to_owned()
        }
    }
}

fn unresolved(service: &Service) -> String {
    let names: Vec<String> = service.ports.iter().map(|port| port.target_port.to_string()).collect();
    format!("targetPort {} does not resolve on this pod", names.join(", "))
}

/// `: REASON`, after a pod's "not ready".
fn unready(pod: &Pod) -> Option<String> {
    let waiting = pod.containers.iter().find_map(|container| container.waiting.as_ref());
    let reason = waiting.or(pod.unready_reason.as_ref())?;
    Some(format!(": {reason}"))
}

/// `IPv4` or `IPv6`.
pub fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The source, as the cluster chip says it.
pub fn source(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::InCluster => "in-cluster",
        SourceKind::Kubeconfig => "kubeconfig",
        SourceKind::Sandbox => "sandbox",
        SourceKind::File => "file",
    }
}

/// All that is known about which cluster this is, on one line.
pub fn cluster_line(info: &ClusterInfo) -> String {
    let mut parts = vec![format!("source {}", source(info.source)), format!("cluster {}", info.name)];
    parts.extend(info.context.as_ref().map(|context| format!("context {context}")));
    parts.extend(info.server.as_ref().map(|server| format!("server {server}")));
    parts.join(" · ")
}

/// `Services`, `EndpointSlices`, …
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "Namespaces",
        Kind::Node => "Nodes",
        Kind::Pod => "Pods",
        Kind::Service => "Services",
        Kind::EndpointSlice => "EndpointSlices",
        Kind::Endpoints => "Endpoints",
        Kind::ProxyConfig => "kube-proxy's ConfigMap",
    }
}

/// The mode of a node's proxy, and whether that is read or assumed.
pub fn proxy_mode(mode: ProxyMode, basis: ModeBasis) -> String {
    match basis {
        ModeBasis::Configured => mode.to_string(),
        ModeBasis::Assumed => format!("{mode}, assumed"),
    }
}

/// Where a node's proxy mode is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeBasis {
    /// kube-proxy's ConfigMap.
    Configured,
    /// There is none to be seen: a stock kube-proxy is assumed, if there is one at all.
    Assumed,
}

impl ModeBasis {
    pub fn of(state: &ClusterState) -> ModeBasis {
        if state.proxy_config().is_some() { ModeBasis::Configured } else { ModeBasis::Assumed }
    }
}
