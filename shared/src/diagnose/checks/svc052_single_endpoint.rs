//! SVC052: a workload of one.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(52),
    title: "Single endpoint",
    severity: Severity::Info,
    condition: "The Service has one usable endpoint, and its selector matches one pod that has not finished.",
    explanation: "No redundancy: a restart of the pod is an outage.",
    needs: &[Kind::Pod, Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let mut live = s.live_pods();
    let (Some(pod), None) = (live.next().filter(|_| s.has_selector() && s.usable.len() == 1), live.next())
    else {
        return Vec::new();
    };
    let kind = match pod.meta.owner.as_ref().map(|owner| &*owner.kind) {
        Some("StatefulSet") => "statefulset",
        _ => "deployment",
    };
    let target = format!("{kind}/{}", pod.workload());
    let problem = s
        .problem(format!("only pod {} stands behind it", pod.name()))
        .evidence(pod.object_ref(), "metadata.labels", labels_text(&pod.meta.labels))
        .advice("run two or more replicas, if the application can")
        .kubectl(&["kubectl", "-n", s.namespace(), "scale", &target, "--replicas=2"]);
    vec![problem]
}
