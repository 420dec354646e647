//! SVC029: policy Local for traffic from outside, and no endpoint at all.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(29),
    title: "externalTrafficPolicy Local: no endpoint on any node",
    severity: Severity::Error,
    condition: "externalTrafficPolicy is Local on a Service that is reached from outside, and no endpoint is ready or serves while it terminates.",
    explanation: "No node takes the traffic, and every balancer's health check fails.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.is_external_local() || !s.usable.is_empty() {
        return Vec::new();
    }
    let label = format!("{SERVICE_NAME_LABEL}={}", s.name());
    let problem = s
        .problem("no usable endpoint on any node")
        .own("spec.externalTrafficPolicy", "Local")
        .own(
            "endpoints",
            count(s.slices.iter().map(|slice| slice.endpoints.len()).sum(), "endpoint") + ", none usable",
        )
        .advice("make pods ready; nothing else helps")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "endpointslices", "-l", &label, "-o", "yaml"]);
    vec![problem]
}
