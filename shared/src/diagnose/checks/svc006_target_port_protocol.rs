//! SVC006: a named target port of another protocol.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(6),
    title: "Named targetPort exists with another protocol",
    severity: Severity::Error,
    condition: "A targetPort is a name that selected pods have, but none of them with the port's protocol.",
    explanation: "Name and protocol must both match, so the port resolves nowhere and connections are refused.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, port) in s.ports().filter(|_| s.has_selector()) {
        let TargetPort::Name(name) = &port.target_port else { continue };
        if s.live_pods().any(|pod| resolves(pod, port)) {
            continue;
        }
        let others: Vec<_> = s.live_pods().filter(|pod| has_port_named(pod, name)).collect();
        let declared = others.iter().flat_map(|pod| &pod.containers).flat_map(|container| &container.ports);
        let Some(other) = declared.into_iter().find(|declared| declared.name == *name) else { continue };
        let patch = serde_json::json!([{"op": "replace", "path": format!("/spec/ports/{index}/protocol"), "value": other.protocol.as_str()}]);
        problems.push(
            s.problem(format!("port {}: the pods' port {name} is {}", port_text(port), other.protocol))
                .own(format!("spec.ports[{index}].protocol"), port.protocol)
                .evidence_of(
                    "spec.containers[].ports",
                    others.iter().map(|pod| (pod.object_ref(), ports_of(pod))),
                )
                .advice(format!(
                    "make the Service's port {}, or the container's port {}",
                    other.protocol, port.protocol
                ))
                .kubectl(&json_patch(s, &patch).words()),
        );
    }
    problems
}
