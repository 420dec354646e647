//! SVC036: deprecated ways to talk to a balancer.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(36),
    title: "Deprecated loadBalancerIP or source-range annotation",
    severity: Severity::Info,
    condition: "spec.loadBalancerIP is set, or the annotation service.beta.kubernetes.io/load-balancer-source-ranges.",
    explanation: "Both are deprecated; what they do depends on the provider.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ip = s.service.load_balancer_ip.as_ref().map(|ip| {
        let patch = serde_json::json!([{"op": "remove", "path": "/spec/loadBalancerIP"}]);
        s.problem("spec.loadBalancerIP is deprecated")
            .own("spec.loadBalancerIP", ip)
            .advice("use the provider's annotation instead")
            .kubectl(&json_patch(s, &patch).words())
    });
    let ranges = s.service.meta.annotations.get(RANGES_ANNOTATION).map(|value| {
        s.problem("the annotation for source ranges is deprecated")
            .own(format!("metadata.annotations.{RANGES_ANNOTATION}"), value)
            .advice("use spec.loadBalancerSourceRanges")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "annotate",
                "service",
                s.name(),
                &format!("{RANGES_ANNOTATION}-"),
            ])
    });
    ip.into_iter().chain(ranges).collect()
}
