//! SVC034: source ranges with an open side door.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(34),
    title: "Source ranges do not protect node ports",
    severity: Severity::Warn,
    condition: "The Service is a LoadBalancer with source ranges, and has node ports.",
    explanation: "The ranges hold for the balancer's address only: whoever reaches a node reaches the node port.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ports: Vec<_> = s.service.ports.iter().filter_map(|port| port.node_port).collect();
    if !s.is_balancer() || s.service.source_ranges.is_empty() || ports.is_empty() {
        return Vec::new();
    }
    let patch = serde_json::json!({"spec": {"allocateLoadBalancerNodePorts": false}});
    let problem = s
        .problem(format!("node ports {} are open to everybody who reaches a node", list(&ports)))
        .own("spec.loadBalancerSourceRanges", list(&s.service.source_ranges))
        .own("spec.ports[].nodePort", list(&ports))
        .advice("if the balancer needs no node ports, switch their allocation off and remove those that are there; else filter on the nodes")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    vec![problem]
}
