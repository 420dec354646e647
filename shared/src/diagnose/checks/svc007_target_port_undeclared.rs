//! SVC007: a numeric target port that no container declares.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(7),
    title: "Numeric targetPort not declared as containerPort",
    severity: Severity::Info,
    condition: "A targetPort is a number that no selected pod declares, although the pods declare some ports. Warn if it is the Service's only port.",
    explanation: "Declarations are informational: the port may be open all the same. Often it is a slip.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let declared: BTreeSet<_> = s
        .live_pods()
        .flat_map(|pod| &pod.containers)
        .flat_map(|container| container.ports.iter().map(|port| port.port))
        .collect();
    if !s.has_selector() || declared.is_empty() {
        return Vec::new();
    }
    let pod = s.live_pods().next().map_or("POD", |pod| pod.name());
    let severity = if s.service.ports.len() == 1 { Severity::Warn } else { Severity::Info };
    let unknown = s.ports().filter_map(|(index, port)| match port.target_port {
        TargetPort::Number(number) if !declared.contains(&number) => Some((index, port, number)),
        _ => None,
    });
    let problem = |(index, port, number): (usize, &ServicePort, NonZeroU16)| {
        s.problem(format!("port {}: the pods declare {}, not {number}", port_text(port), list(&declared)))
            .severity(severity)
            .own(format!("spec.ports[{index}].targetPort"), number)
            .evidence_of(
                "spec.containers[].ports",
                s.live_pods().map(|pod| (pod.object_ref(), ports_of(pod))),
            )
            .advice("see whether the pods answer on that port; if not, correct targetPort")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "port-forward",
                &format!("pod/{pod}"),
                &format!("{number}:{number}"),
            ])
    };
    unknown.map(problem).collect()
}
