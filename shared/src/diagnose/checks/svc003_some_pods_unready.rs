//! SVC003: a part of the pods is not ready.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(3),
    title: "Only part of the pods ready",
    severity: Severity::Info,
    condition: "Some of the selected pods are ready and some are not; pods that have finished or are being deleted are not counted. Warn below one half.",
    explanation: "The ready ones carry all the traffic.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.has_selector() {
        return Vec::new();
    }
    let pods = s.live_pods().filter(|pod| !pod.meta.terminating());
    let (ready, unready): (Vec<_>, Vec<_>) = pods.partition(|pod| pod.ready);
    let total = ready.len() + unready.len();
    if ready.is_empty() || unready.is_empty() {
        return Vec::new();
    }
    let severity = if ready.len() * 2 < total { Severity::Warn } else { Severity::Info };
    let problem = s
        .problem(format!("{} of {} ready", ready.len(), count(total, "pod")))
        .severity(severity)
        .evidence_of(
            "status.conditions[Ready]",
            unready.iter().map(|pod| (pod.object_ref(), unready_text(pod))),
        )
        .advice("find out why the others are not ready")
        .kubectl(&["kubectl", "-n", s.namespace(), "describe", "pods", "-l", &s.selector_text()]);
    vec![problem]
}

fn unready_text(pod: &Pod) -> String {
    unready(pod)
}
