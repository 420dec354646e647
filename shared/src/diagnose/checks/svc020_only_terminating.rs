//! SVC020: only dying pods are left.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(20),
    title: "Terminating-only endpoints",
    severity: Severity::Warn,
    condition: "The Service has a cluster IP, no ready endpoint, and at least one that still serves while it terminates.",
    explanation: "Traffic goes to pods that are about to be gone; then it is refused.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.service.is_proxied()
        || s.usable.is_empty()
        || s.usable.iter().any(|endpoint| endpoint.conditions.is_ready())
    {
        return Vec::new();
    }
    let dying = s.usable.iter().filter_map(|endpoint| endpoint.addresses.first()).map(ToString::to_string);
    let problem = s
        .problem(format!("{} left, all terminating", count(s.usable.len(), "endpoint")))
        .own("endpoints[].conditions", format!("ready=false serving=true terminating=true: {}", list(dying)))
        .advice("look at the rollout of the workload behind it");
    let workload = s.live_pods().next().map(|pod| pod.workload());
    let problem = match workload {
        Some(workload) => problem.kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "rollout",
            "status",
            &format!("deployment/{workload}"),
        ]),
        None => problem.kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "-o", "wide"]),
    };
    vec![problem]
}
