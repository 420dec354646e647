//! SVC019: more endpoints than the legacy object holds.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(19),
    title: "Legacy Endpoints truncated",
    severity: Severity::Warn,
    condition: "The Endpoints have the annotation endpoints.kubernetes.io/over-capacity: truncated, or the Service's slices list more than 1000 addresses.",
    explanation: "Slices are complete; whoever reads Endpoints misses backends.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// What an Endpoints object holds at most.
const CAPACITY: usize = 1000;

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let addresses: HashSet<_> = s
        .slices
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .filter_map(|endpoint| endpoint.addresses.first())
        .collect();
    let truncated = |object: &&Arc<Endpoints>| {
        object.meta.annotations.get(OVER_CAPACITY).is_some_and(|value| &**value == "truncated")
    };
    let marked = s.endpoints.filter(truncated);
    if marked.is_none() && addresses.len() <= CAPACITY {
        return Vec::new();
    }
    let problem = s
        .problem("the Endpoints object holds at most 1000 addresses, the first ones")
        .own("EndpointSlices", count(addresses.len(), "address").replace("addresss", "addresses"));
    let problem = match marked {
        Some(object) => problem.evidence(
            object.object_ref(),
            format!("metadata.annotations.{OVER_CAPACITY}"),
            "truncated",
        ),
        None => problem,
    };
    let label = format!("{SERVICE_NAME_LABEL}={}", s.name());
    let problem = problem.advice("let consumers of Endpoints read EndpointSlices").kubectl(&[
        "kubectl",
        "-n",
        s.namespace(),
        "get",
        "endpointslices",
        "-l",
        &label,
    ]);
    vec![problem]
}
