//! SVC018: Endpoints that are kept from being mirrored.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(18),
    title: "Mirroring blocked",
    severity: Severity::Warn,
    condition: "The Service has no selector, its Endpoints have addresses and the label endpointslice.kubernetes.io/skip-mirror: \"true\", and it has no slice with endpoints. (Mirroring that was cut short shows only in events, which are not read.)",
    explanation: "kube-proxy reads slices. Without a mirror the Endpoints reach nobody.",
    needs: &[Kind::Endpoints, Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let skipped = |object: &&Arc<Endpoints>| {
        object.meta.labels.get(SKIP_LABEL).is_some_and(|value| &**value == "true") && has_addresses(object)
    };
    let listed = s.slices.iter().any(|slice| !slice.endpoints.is_empty());
    let Some(object) = s
        .endpoints
        .filter(skipped)
        .filter(|_| s.service.selector.is_none() && !s.is_external_name() && !listed)
    else {
        return Vec::new();
    };
    let problem = s
        .problem("its Endpoints are kept from being mirrored, and no slice stands in for them")
        .evidence(object.object_ref(), format!("metadata.labels.{SKIP_LABEL}"), "true")
        .advice("remove the label, or write an EndpointSlice")
        .kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "label",
            "endpoints",
            s.name(),
            &format!("{SKIP_LABEL}-"),
        ]);
    vec![problem]
}
