//! SVC008: one name, several numbers.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(8),
    title: "targetPort varies between pods",
    severity: Severity::Info,
    condition: "A named targetPort resolves to two or more numbers on the selected pods.",
    explanation: "Legal. Shown because what assumes one port (NetworkPolicies, health checks of balancers) breaks.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, port) in s.ports().filter(|_| s.has_selector()) {
        let TargetPort::Name(name) = &port.target_port else { continue };
        let resolved = s.live_pods().filter_map(|pod| Some((pod.named_port(name, port.protocol)?, pod)));
        let by_number: BTreeMap<NonZeroU16, &Arc<Pod>> = resolved.collect();
        if by_number.len() < 2 {
            continue;
        }
        problems.push(
            s.problem(format!("port {}: {name} is {}", port_text(port), list(by_number.keys())))
                .own(format!("spec.ports[{index}].targetPort"), name)
                .evidence_of("spec.containers[].ports", by_number.values().map(|pod| (pod.object_ref(), ports_of(pod))))
                .advice("nothing has to be done; to have one number, edit ports[].containerPort in the pods' templates")
                .kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "-l", &s.selector_text(), "-o", "wide"]),
        );
    }
    problems
}
