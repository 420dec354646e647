//! SVC048: session affinity that does not hold what it promises.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(48),
    title: "Session affinity weakened",
    severity: Severity::Warn,
    condition: "Session affinity is ClientIP on a Service with a cluster IP, and externalTrafficPolicy is Cluster on a LoadBalancer or NodePort, or there is just one usable endpoint, or the timeout is more than 3 hours.",
    explanation: "Affinity is state of each node's kernel, by the source address that the node sees: it is lost when a balancer picks another node, and means nothing with one endpoint. Old entries keep clients away from new pods.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

/// Three hours: the default.
const LONG_SECONDS: u32 = 10_800;

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some(seconds) = s.service.affinity_seconds.filter(|_| s.service.is_proxied()) else {
        return Vec::new();
    };
    let open = matches!(s.service.service_type, ServiceType::LoadBalancer | ServiceType::NodePort)
        && s.service.external_policy == TrafficPolicy::Cluster;
    let reasons = [
        (
            open,
            "spec.externalTrafficPolicy",
            "Cluster",
            "clients from outside may meet another node each time",
        ),
        (s.usable.len() == 1, "endpoints", "1", "there is just one endpoint"),
        (
            seconds > LONG_SECONDS,
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            "more than 10800",
            "the timeout is longer than three hours",
        ),
    ];
    let reasons: Vec<_> = reasons.into_iter().filter(|(holds, ..)| *holds).collect();
    if reasons.is_empty() {
        return Vec::new();
    }
    let problem = s
        .problem(list(reasons.iter().map(|(.., why)| *why)))
        .own("spec.sessionAffinity", format!("ClientIP, {seconds} s"));
    let problem = reasons.iter().fold(problem, |problem, (_, field, value, _)| problem.own(*field, value));
    let problem = problem.advice("use policy Local, or let an HTTP proxy keep sessions with cookies; do not rely on affinity for correctness");
    let patch = serde_json::json!({"spec": {"externalTrafficPolicy": "Local"}});
    let problem = if open {
        problem.kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "patch",
            "service",
            s.name(),
            "-p",
            &patch.to_string(),
        ])
    } else {
        problem.kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "get",
            "service",
            s.name(),
            "-o",
            "jsonpath={.spec.sessionAffinityConfig}",
        ])
    };
    vec![problem]
}
