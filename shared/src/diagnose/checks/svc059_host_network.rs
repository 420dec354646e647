//! SVC059: endpoints with the addresses of nodes.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(59),
    title: "hostNetwork backends",
    severity: Severity::Info,
    condition: "A selected pod has hostNetwork.",
    explanation: "Its endpoint is the node's address: ports may conflict, externalTrafficPolicy Local counts nodes, and NetworkPolicies do not apply.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let hosts: Vec<_> = s.live_pods().filter(|pod| pod.host_network && s.has_selector()).collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    let problem = s
        .problem(format!("{} with the node's address", count(hosts.len(), "pod")))
        .evidence_of("spec.hostNetwork", hosts.iter().map(|pod| (pod.object_ref(), true)))
        .advice("run at most one on a node, or leave hostNetwork")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "-l", &s.selector_text(), "-o", "wide"]);
    vec![problem]
}
