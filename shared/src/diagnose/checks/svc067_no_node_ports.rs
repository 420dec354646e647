//! SVC067: a balancer without node ports that does not come.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(67),
    title: "allocateLoadBalancerNodePorts false, and no balancer address",
    severity: Severity::Warn,
    condition: "The type is LoadBalancer, allocateLoadBalancerNodePorts is false, no port has a node port, and status.loadBalancer.ingress is empty, more than 5 minutes after the creation if that is known. (Which providers need node ports is not known.)",
    explanation: "Many balancers send traffic to node ports; without them they cannot serve the Service.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let without = s.service.allocate_node_ports == Some(false)
        && s.service.ports.iter().all(|port| port.node_port.is_none());
    let young = s.facts.age(s.service.meta.created).is_some_and(|age| age <= minutes(5));
    if !s.is_balancer() || !without || !s.service.ingress.is_empty() || young {
        return Vec::new();
    }
    let patch = serde_json::json!({"spec": {"allocateLoadBalancerNodePorts": true}});
    let problem = s
        .problem("no node ports, and no balancer has taken the Service")
        .own("spec.allocateLoadBalancerNodePorts", false)
        .own("status.loadBalancer.ingress", "(empty)")
        .advice("allocate node ports, unless the balancer sends traffic straight to pods")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    vec![problem]
}
