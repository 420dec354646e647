//! SVC033: source ranges that leave out nodes or pods.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(33),
    title: "loadBalancerSourceRanges shut out nodes or pods",
    severity: Severity::Warn,
    condition: "The Service is a LoadBalancer with source ranges, none of them everything, and they do not contain the InternalIP or the pod CIDR of a node, in a family in which there are ranges.",
    explanation: "Pods and nodes that use the balancer's address are filtered by the same rules, and dropped.",
    needs: &[Kind::Node],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ranges = &s.service.source_ranges;
    if !s.is_balancer() || ranges.is_empty() || ranges.iter().any(|range| range.prefix_len() == 0) {
        return Vec::new();
    }
    let families: BTreeSet<_> = ranges.iter().map(|range| IpFamily::of(range.network())).collect();
    let judged = |ip: IpAddr| families.contains(&IpFamily::of(ip));
    let mut out: Vec<(ObjectRef, &'static str, String)> = Vec::new();
    for node in s.facts.state.nodes().values() {
        let internal =
            node.addresses.iter().filter(|address| address.address_type == NodeAddressType::InternalIP);
        let left_out = internal
            .filter(|address| judged(address.ip) && !ranges.iter().any(|range| range.contains(&address.ip)));
        out.extend(left_out.map(|address| (node.object_ref(), "status.addresses", address.ip.to_string())));
        let cidrs = node.pod_cidrs.iter().filter(|cidr| judged(cidr.network()));
        let left_out = cidrs.filter(|cidr| !ranges.iter().any(|range| range.contains(*cidr)));
        out.extend(left_out.map(|cidr| (node.object_ref(), "spec.podCIDRs", cidr.to_string())));
    }
    if out.is_empty() {
        return Vec::new();
    }
    let nodes: BTreeSet<_> = out.iter().map(|(object, ..)| object.key.name.clone()).collect();
    let problem = s
        .problem(format!("the source ranges leave out addresses of {}", list(&nodes)))
        .own("spec.loadBalancerSourceRanges", list(ranges));
    let shown = out.iter().take(6);
    let problem = shown
        .fold(problem, |problem, (object, field, value)| problem.evidence(object.clone(), *field, value));
    let all: Vec<String> = ranges
        .iter()
        .map(ToString::to_string)
        .chain(out.iter().map(|(.., value)| value.clone()))
        .take(12)
        .collect();
    let patch = serde_json::json!({"spec": {"loadBalancerSourceRanges": all}});
    let problem = problem
        .advice("if pods use the balancer's address, add the nodes' addresses and pod CIDRs; if none does, ignore this")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "--type=merge", "-p", &patch.to_string()]);
    vec![problem]
}
