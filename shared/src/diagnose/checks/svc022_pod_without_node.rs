//! SVC022: a running pod whose node is not there.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(22),
    title: "Pod has no node or unknown node",
    severity: Severity::Error,
    condition: "A selected pod runs and has an address, but its nodeName is empty or names a Node that is not there; publishNotReadyAddresses is off.",
    explanation: "The EndpointSlice controller skips such pods; the legacy Endpoints may list them.",
    needs: &[Kind::Pod, Kind::Node],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let lost: Vec<_> = s
        .live_pods()
        .filter(|pod| pod.phase == PodPhase::Running && !pod.ips.is_empty())
        .filter(|pod| pod.node.as_ref().is_none_or(|node| s.facts.state.node(node).is_none()))
        .collect();
    let Some(first) = lost.first().filter(|_| s.has_selector() && !s.service.publish_not_ready) else {
        return Vec::new();
    };
    let node = |pod: &Pod| pod.node.as_deref().unwrap_or("(empty)").to_owned();
    let problem = s
        .problem(format!("{} on no node that is known", count(lost.len(), "pod")))
        .evidence_of("spec.nodeName", lost.iter().map(|pod| (pod.object_ref(), node(pod))))
        .advice("see what became of the node; delete the pod, so that it is made anew and scheduled")
        .kubectl(&["kubectl", "get", "node", &node(first)])
        .kubectl(&["kubectl", "-n", s.namespace(), "delete", "pod", first.name()]);
    vec![problem]
}
