//! SVC041: external IPs, with which any author of Services captures addresses (CVE-2020-8554).

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(41),
    title: "externalIPs in use (CVE-2020-8554)",
    severity: Severity::Warn,
    condition: "A Service with a cluster IP has externalIPs. Error if one of them is the address of a node, a pod, or a Service (such as the cluster's DNS), or if another Service claims the same address and port.",
    explanation: "Whoever may write Services captures, on every node, the traffic of the cluster to that address. The field is deprecated since Kubernetes 1.36.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ips = &s.service.external_ips;
    if ips.is_empty() || !s.service.is_proxied() {
        return Vec::new();
    }
    let captured: Vec<_> = ips.iter().filter_map(|ip| Some((*ip, owner_of(s, *ip)?))).collect();
    let severity = if captured.is_empty() { Severity::Warn } else { Severity::Error };
    let message = match captured.first() {
        Some((ip, (object, _))) => format!("captures {ip}, which belongs to {object}"),
        None => format!("captures {} on every node", list(ips)),
    };
    let problem = s.problem(message).severity(severity).own("spec.externalIPs", list(ips));
    let problem = captured
        .into_iter()
        .fold(problem, |problem, (ip, (object, field))| problem.evidence(object, field, ip));
    let patch = serde_json::json!([{"op": "remove", "path": "/spec/externalIPs"}]);
    let problem = problem
        .advice("use a LoadBalancer or a Gateway; keep others from it with the admission plugin DenyServiceExternalIPs")
        .kubectl(&json_patch(s, &patch).words());
    vec![problem]
}

/// Whose the address is already.
fn owner_of(s: &Subject<'_>, ip: IpAddr) -> Option<(ObjectRef, &'static str)> {
    let state = s.facts.state;
    if let Some(service) = s.facts.with_cluster_ip(ip) {
        return Some((service.object_ref(), "spec.clusterIP"));
    }
    let has = |node: &&Arc<Node>| node.addresses.iter().any(|address| address.ip == ip);
    if let Some(node) = state.nodes().values().find(has) {
        return Some((node.object_ref(), "status.addresses"));
    }
    if let Some(pod) = state.pods().values().find(|pod| pod.ips.contains(&ip)) {
        return Some((pod.object_ref(), "status.podIPs"));
    }
    let ports: HashSet<_> = s.service.ports.iter().map(|port| (port.port, port.protocol)).collect();
    let claims = |other: &&Arc<Service>| {
        other.key() != s.service.key()
            && other.is_proxied()
            && other.outside_ips().any(|claimed| claimed == ip)
            && other.ports.iter().any(|port| ports.contains(&(port.port, port.protocol)))
    };
    state
        .services()
        .values()
        .find(claims)
        .map(|other| (other.object_ref(), "spec.externalIPs, status.loadBalancer.ingress"))
}
