//! SVC057: TCP and UDP behind one balancer.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(57),
    title: "Mixed protocols on LoadBalancer",
    severity: Severity::Info,
    condition: "The type is LoadBalancer, and there are TCP and UDP ports.",
    explanation: "Not every provider serves both on one address.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let has = |protocol| s.service.ports.iter().any(|port| port.protocol == protocol);
    if !s.is_balancer() || !has(Protocol::Tcp) || !has(Protocol::Udp) {
        return Vec::new();
    }
    let problem = s
        .problem("TCP and UDP ports on one balancer")
        .own("spec.ports[].protocol", list(s.service.ports.iter().map(port_text)))
        .advice("if the provider refuses, make two Services and let them share the address by the provider's annotation")
        .kubectl(&["kubectl", "-n", s.namespace(), "describe", "service", s.name()]);
    vec![problem]
}
