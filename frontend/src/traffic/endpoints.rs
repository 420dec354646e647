//! What each endpoint of a Service gets: its rate, its share so far, and whether that is what the rules let expect.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vipscope_shared::model::{ClusterState, Service, ServicePort};
use vipscope_shared::proxy::Via;

use super::{Expected, Flow, Judgement, Seen, Sum, Traffic, expected, is_of_port, judge, seen, sum};

/// One endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointTraffic {
    pub sum: Sum,
    /// Of the connections that were sent to any endpoint, since endpoints or rules last changed.
    pub seen: Option<Seen>,
    pub expected: Expected,
    pub judgement: Judgement,
}

/// The endpoints that get traffic of these ports, and those of `rows`.
pub fn of_endpoints(
    traffic: &Traffic,
    state: &ClusterState,
    service: &Service,
    ports: &[ServicePort],
    via: Via,
    rows: &[IpAddr],
) -> BTreeMap<IpAddr, EndpointTraffic> {
    let is_this_way = |flow: &&Flow| {
        let is_inside = service.cluster_ip.ips().contains(&flow.edge.vip.ip());
        is_inside == (via == Via::ClusterIp)
    };
    let flows = traffic.of_service(&service.meta.key).into_iter().filter(is_this_way);
    let of_port = |flow: &&Flow| ports.iter().any(|port| is_of_port(&flow.edge, port));
    let flows: Vec<&Flow> = flows.filter(of_port).filter(|flow| flow.is_sent()).collect();
    let total: u64 = flows.iter().map(|flow| flow.counted()).sum();
    let sent = flows.iter().filter_map(|flow| flow.endpoint()).map(|endpoint| endpoint.ip());
    let mut found = BTreeMap::new();
    for ip in rows.iter().copied().chain(sent) {
        found.entry(ip).or_insert_with(|| {
            let own = flows.iter().copied().filter(|flow| flow.endpoint().is_some_and(|to| to.ip() == ip));
            let sum = sum(own, traffic.length());
            let expected = of_all_ports(state, service, ports, via, ip, &flows);
            EndpointTraffic {
                seen: seen(sum.counted, total),
                judgement: judge(expected, sum.counted, total),
                expected,
                sum,
            }
        });
    }
    found
}

/// Of several ports, each counts as much as it has traffic.
fn of_all_ports(
    state: &ClusterState,
    service: &Service,
    ports: &[ServicePort],
    via: Via,
    ip: IpAddr,
    flows: &[&Flow],
) -> Expected {
    let (mut share, mut total) = (0.0, 0);
    for port in ports {
        let own: Vec<&Flow> = flows.iter().copied().filter(|flow| is_of_port(&flow.edge, port)).collect();
        let counted: u64 = own.iter().map(|flow| flow.counted()).sum();
        if counted == 0 {
            continue;
        }
        match expected(state, service, port, via, ip, &own) {
            Expected::Share(one) => share += one * counted as f64,
            Expected::Unknown => return Expected::Unknown,
        }
        total += counted;
    }
    if total == 0 { Expected::Unknown } else { Expected::Share(share / total as f64) }
}
