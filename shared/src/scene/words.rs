//! The short texts on the map: addresses of a Service, shares, reasons, pod names.

use std::net::{IpAddr, SocketAddr};

use crate::model::{ClusterIp, Keyed, Pod, Service, ServicePort, ServiceType, Text, TrafficPolicy};
use crate::proxy::reach::NotListed;
use crate::proxy::{NodeScope, PortStanding, Why};

/// By which address the Service is known: `10.96.0.21:80`, `lb 203.0.113.7:443`, `node port 30080`,
/// `headless · 2 names`, `CNAME db.example.com`.
pub(super) fn service_address(service: &Service, endpoints: usize) -> Text {
    if service.service_type == ServiceType::ExternalName {
        return format!("CNAME {}", service.external_name.as_deref().unwrap_or("?")).into();
    }
    let vip = match &service.cluster_ip {
        ClusterIp::Headless => return format!("headless · {}", count(endpoints, "name")).into(),
        ClusterIp::Unset => return "no cluster IP yet".into(),
        ClusterIp::Ips(ips) => ips.first(),
    };
    let one = match service.ports.as_slice() {
        [port] => Some(port),
        _ => None,
    };
    let mut text =
        outside_address(service, one).or_else(|| vip.map(|ip| address(*ip, one))).unwrap_or_default();
    if service.internal_policy == TrafficPolicy::Local {
        text.push_str(" · Local");
    }
    text.into()
}

fn outside_address(service: &Service, port: Option<&ServicePort>) -> Option<String> {
    let node_port = || port.and_then(|port| port.node_port).map(|number| format!("node port {number}"));
    match service.service_type {
        ServiceType::LoadBalancer => {
            let entry = service.ingress.first()?;
            let host = entry.hostname.as_ref().map(|name| format!("lb {name}"));
            entry.ip.map(|ip| format!("lb {}", address(ip, port))).or(host)
        }
        ServiceType::NodePort => node_port(),
        _ => None,
    }
}

fn address(ip: IpAddr, port: Option<&ServicePort>) -> String {
    match port {
        Some(port) => SocketAddr::new(ip, port.port.get()).to_string(),
        None => ip.to_string(),
    }
}

/// `80/TCP → 8080`, with the node port if there is one.
pub(super) fn port_line(port: &ServicePort) -> Text {
    let node_port = port.node_port.map(|number| format!(" · node {number}")).unwrap_or_default();
    format!("{} → {}{node_port}", port.port, port.target_port).into()
}

/// `1 pod`, `3 pods`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A share as people write it: `⅓`, `1/7`, `all`, `33 %` where it differs by node.
pub fn share_text(one_of: Option<usize>, mean: f64, scope: NodeScope) -> Text {
    const FRACTIONS: [(usize, &str); 7] =
        [(1, "all"), (2, "½"), (3, "⅓"), (4, "¼"), (5, "⅕"), (6, "⅙"), (8, "⅛")];
    let Some(of) = one_of.filter(|_| scope == NodeScope::All) else {
        let percent = mean * 100.0;
        return if percent > 0.0 && percent < 1.0 {
            "< 1 %".into()
        } else {
            format!("{percent:.0} %").into()
        };
    };
    let known = FRACTIONS.iter().find(|(n, _)| *n == of);
    known.map_or_else(|| format!("1/{of}").into(), |(_, text)| (*text).into())
}

/// What is written on the row of an endpoint: its share, or why it has none.
pub fn standing_text(standing: &PortStanding) -> Text {
    match standing {
        PortStanding::Receives { one_of, mean, scope } => share_text(*one_of, *mean, *scope),
        PortStanding::Nothing(why) => why_text(why).into(),
    }
}

/// A reason in two words.
pub fn why_text(why: &Why) -> &'static str {
    match why {
        Why::NotListed(NotListed::Finished) => "finished",
        Why::NotListed(NotListed::NoAddress) => "no address",
        Why::NotListed(NotListed::NotScheduled) => "not scheduled",
        Why::NotListed(NotListed::NodeMissing) => "node missing",
        Why::NotListed(NotListed::Pending) => "not listed",
        Why::NoPort => "no such port",
        Why::NotReady => "not ready",
        Why::Terminating => "terminating",
        Why::NotServing => "not serving",
        Why::NotLocal => "not local",
        Why::Hinted => "hinted away",
        Why::NoVip => "other family",
        Why::NotProxied => "by DNS",
    }
}

/// A pod's name without the hash of its ReplicaSet: `cart-5d8f7c9b6-p4c2x` is `cart-p4c2x`.
pub(super) fn pod_label(pod: &Pod) -> Text {
    let name = pod.name();
    let Some(owner) = &pod.meta.owner else { return name.clone() };
    let workload = pod.workload();
    match name.strip_prefix(&*owner.name) {
        Some(suffix) if workload != owner.name => format!("{workload}{suffix}").into(),
        _ => name.clone(),
    }
}
