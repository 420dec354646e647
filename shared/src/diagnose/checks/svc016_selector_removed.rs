//! SVC016: slices that outlived the selector.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(16),
    title: "Selector removed, old slices left",
    severity: Severity::Warn,
    condition: "The Service has no selector and is no ExternalName, and slices of the EndpointSlice controller are still there.",
    explanation: "Nobody keeps them any more: they list the pods of the day when the selector was removed.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let left: Vec<_> = s.slices.iter().filter(|slice| is_controllers(&slice.meta)).collect();
    if s.service.selector.is_some() || s.is_external_name() || left.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = left.iter().map(|slice| &**slice.name()).collect();
    let words = [&["kubectl", "-n", s.namespace(), "delete", "endpointslices"], names.as_slice()].concat();
    let addresses = |slice: &Arc<EndpointSlice>| count(slice.endpoints.len(), "endpoint");
    let problem = s
        .problem(format!("no selector, but {} of the EndpointSlice controller", count(left.len(), "slice")))
        .own("spec.selector", "(absent)")
        .evidence_of("endpoints", left.iter().map(|slice| (slice.object_ref(), addresses(slice))))
        .advice("delete the old slices; or set the selector again")
        .kubectl(&words);
    vec![problem]
}
