//! SVC028: policy Local for traffic from outside, and nodes without an endpoint.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(28),
    title: "externalTrafficPolicy Local: nodes without endpoint",
    severity: Severity::Warn,
    condition: "externalTrafficPolicy is Local on a Service that is reached from outside and has usable endpoints, and a ready, schedulable node has none of them (nodes that balancers leave out are not counted for a LoadBalancer). Error for a NodePort, and for a LoadBalancer without a health check port.",
    explanation: "Traffic from outside that arrives on such a node is dropped. A balancer with health checks avoids these nodes; nobody else does.",
    needs: &[Kind::Node, Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

/// Label of nodes that balancers leave out.
const EXCLUDED_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.is_external_local() || s.usable.is_empty() {
        return Vec::new();
    }
    let with = s.nodes();
    let counts = |node: &&Arc<Node>| !s.is_balancer() || node.meta.labels.get(EXCLUDED_LABEL).is_none();
    let without: Vec<_> =
        s.facts.schedulable().filter(counts).filter(|node| !with.contains(node.name())).collect();
    if without.is_empty() {
        return Vec::new();
    }
    let unchecked = match s.service.service_type {
        ServiceType::NodePort => true,
        ServiceType::LoadBalancer => s.service.health_check_node_port.is_none(),
        ServiceType::ClusterIP | ServiceType::ExternalName => false,
    };
    let severity = if unchecked { Severity::Error } else { Severity::Warn };
    let patch = serde_json::json!({"spec": {"externalTrafficPolicy": "Cluster"}});
    let problem = s
        .problem(format!("{} without an endpoint: {}", count(without.len(), "node"), list(without.iter().map(|node| node.name()))))
        .severity(severity)
        .own("spec.externalTrafficPolicy", "Local")
        .own("endpoints[].nodeName", list(&with))
        .advice("run an endpoint on every node that gets traffic (a DaemonSet, or spread the pods), or give up client addresses with policy Cluster")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    vec![problem]
}
