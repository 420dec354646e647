//! SVC046: settings for load balancing on a Service that balances nothing.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(46),
    title: "Headless Service with load-balancing expectations",
    severity: Severity::Info,
    condition: "The Service is headless, and a port differs from its targetPort (a named one as it resolves on the pods), or it has session affinity or trafficDistribution.",
    explanation: "Clients connect to the pods themselves: ports are not translated, and nobody keeps clients with a pod or in a zone.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.service.is_headless() || s.is_external_name() {
        return Vec::new();
    }
    let translated = s.ports().filter_map(|(index, port)| {
        let target = match &port.target_port {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => s.live_pods().find_map(|pod| pod.named_port(name, port.protocol)),
        };
        let target = target.filter(|target| *target != port.port)?;
        Some((
            format!("spec.ports[{index}].targetPort"),
            format!("port {} is {target} on the pods", port.port),
        ))
    });
    let affinity =
        s.service.affinity_seconds.map(|_| ("spec.sessionAffinity".to_owned(), "ClientIP".to_owned()));
    let distribution = s
        .service
        .traffic_distribution
        .map(|value| ("spec.trafficDistribution".to_owned(), value.as_str().to_owned()));
    let all: Vec<_> = translated.chain(affinity).chain(distribution).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let problem =
        s.problem(format!("no effect on a headless Service: {}", list(all.iter().map(|(_, value)| value))));
    let problem = all.iter().fold(problem, |problem, (field, value)| problem.own(field.as_str(), value));
    let problem = problem
        .advice("give clients the target port; or make the Service anew without clusterIP: None")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "service", s.name(), "-o", "yaml"]);
    vec![problem]
}
