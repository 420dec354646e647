//! SVC040: a health check port that is taken, or missing.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(40),
    title: "healthCheckNodePort conflict",
    severity: Severity::Error,
    condition: "The Service is a LoadBalancer with externalTrafficPolicy Local, and its healthCheckNodePort is a nodePort of some Service or the healthCheckNodePort of another, or is 0. (A port taken by a process of the node shows only in events, which are not read.)",
    explanation: "The balancer cannot tell which nodes have endpoints, so it sends traffic to nodes that drop it.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.is_balancer() || !s.is_external_local() {
        return Vec::new();
    }
    let Some(port) = s.service.health_check_node_port else {
        let problem = s
            .problem("no healthCheckNodePort, though the policy is Local")
            .own("spec.healthCheckNodePort", 0);
        return vec![mend(s, problem)];
    };
    let services = s.facts.state.services().values();
    let same =
        services.filter(|other| other.health_check_node_port == Some(port) && other.key() != s.service.key());
    let Some(other) = s.facts.with_node_port(port).iter().copied().chain(same).next() else {
        return Vec::new();
    };
    let problem = s
        .problem(format!("healthCheckNodePort {port} is taken by Service {}", other.key()))
        .own("spec.healthCheckNodePort", port)
        .evidence(other.object_ref(), "spec.ports[].nodePort, spec.healthCheckNodePort", port);
    vec![mend(s, problem)]
}

fn mend(s: &Subject<'_>, problem: Problem) -> Problem {
    problem
        .advice("the field is immutable: delete the Service and make it anew without healthCheckNodePort, or free the port")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "service", s.name(), "-o", "yaml"])
        .kubectl(&["kubectl", "-n", s.namespace(), "delete", "service", s.name()])
}
