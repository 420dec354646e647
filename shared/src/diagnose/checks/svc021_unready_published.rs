//! SVC021: endpoints that are published though they do not serve.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(21),
    title: "Not-ready addresses published",
    severity: Severity::Info,
    condition: "publishNotReadyAddresses is on and an endpoint is ready, but not serving. Warn unless the Service is headless.",
    explanation: "Meant for peers that must find each other before they are ready. A load-balanced Service sends clients to pods that don't answer.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let published =
        |endpoint: &&&Endpoint| endpoint.conditions.is_ready() && !endpoint.conditions.is_serving();
    let found: Vec<String> = s
        .usable
        .iter()
        .filter(published)
        .filter_map(|endpoint| endpoint.addresses.first())
        .map(ToString::to_string)
        .collect();
    if !s.service.publish_not_ready || s.is_external_name() || found.is_empty() {
        return Vec::new();
    }
    let severity = if s.service.is_headless() { Severity::Info } else { Severity::Warn };
    let patch = serde_json::json!({"spec": {"publishNotReadyAddresses": false}});
    let problem = s
        .problem(format!("{} published though not serving", count(found.len(), "endpoint")))
        .severity(severity)
        .own("spec.publishNotReadyAddresses", true)
        .own("endpoints[].conditions", format!("ready=true serving=false: {}", list(&found)))
        .advice("turn it off, unless clients cope with peers that are not ready")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    vec![problem]
}
