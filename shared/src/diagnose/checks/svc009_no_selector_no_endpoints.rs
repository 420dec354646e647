//! SVC009: a Service that nobody gives endpoints.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(9),
    title: "Service has no selector and no endpoints",
    severity: Severity::Error,
    condition: "The Service is no ExternalName and has no selector; its slices hold no endpoint, and there are no Endpoints of its name with an address.",
    explanation: "Without a selector no controller makes endpoints, so connections are refused until somebody makes a slice.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let listed = s.slices.iter().any(|slice| !slice.endpoints.is_empty());
    let legacy = s.endpoints.is_some_and(|object| has_addresses(object));
    if s.service.selector.is_some() || s.is_external_name() || listed || legacy {
        return Vec::new();
    }
    let problem = s
        .problem("no selector, and no slice or Endpoints of this name has an address")
        .own("spec.selector", "(absent)");
    if (s.namespace(), s.name()) == ("default", "kubernetes") {
        let list = ["kubectl", "-n", "default", "get", "endpointslices", "-o", "wide"];
        return vec![
            problem
                .advice(
                    "API servers keep these endpoints themselves: see their flag --endpoint-reconciler-type, or \
                     whether the objects at hand are all there are",
                )
                .kubectl(&list),
        ];
    }
    vec![
        problem
            .advice("create an EndpointSlice with the addresses that should answer, or set a selector")
            .manifest(slice_manifest(s.service, "192.0.2.1")),
    ]
}
