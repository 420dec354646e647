//! SVC002: pods are selected, and none of them is ready.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(2),
    title: "Selected pods exist but none is ready",
    severity: Severity::Error,
    condition: "The selector matches pods, none of them has the condition Ready, and publishNotReadyAddresses is off.",
    explanation: "Only ready pods receive traffic. Unless some still serve while they terminate, connections are refused.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let waits = s.has_selector() && !s.service.publish_not_ready && !s.pods.is_empty();
    if !waits || s.pods.iter().any(|pod| pod.ready) {
        return Vec::new();
    }
    let reasons = s.pods.iter().map(|pod| (pod.object_ref(), unready(pod)));
    let selector = s.selector_text();
    let problem = s
        .problem(format!("none of the {} that {selector} selects is ready", count(s.pods.len(), "pod")))
        .evidence_of("status.conditions[Ready]", reasons)
        .advice("find out why the pods are not ready; repair the application or its readiness probe")
        .kubectl(&["kubectl", "-n", s.namespace(), "describe", "pods", "-l", &selector]);
    vec![problem]
}
