//! SVC005: a named target port that some pods lack.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(5),
    title: "Named targetPort missing on some pods",
    severity: Severity::Warn,
    condition: "A targetPort is a name that some of the selected pods have, with the port's protocol, and some have not.",
    explanation: "The pods without it are listed as endpoints, but get no traffic for this port.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let partial = s.ports().filter_map(|(index, port)| {
        let TargetPort::Name(name) = &port.target_port else { return None };
        let (with, without): (Vec<_>, Vec<_>) = s.live_pods().partition(|pod| resolves(pod, port));
        (s.has_selector() && !with.is_empty() && !without.is_empty()).then_some((index, port, name, without))
    });
    let problem = |(index, port, name, without): (usize, &ServicePort, &Text, Vec<&Arc<Pod>>)| {
        s.problem(format!(
            "port {}: {} without a port named {name}",
            port_text(port),
            count(without.len(), "pod")
        ))
        .own(format!("spec.ports[{index}].targetPort"), name)
        .evidence_of("spec.containers[].ports", without.iter().map(|pod| (pod.object_ref(), ports_of(pod))))
        .advice("add the named port to the template of these pods, or narrow the selector")
        .kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "get",
            "pods",
            "-l",
            &s.selector_text(),
            "-o",
            "wide",
        ])
    };
    partial.map(problem).collect()
}
