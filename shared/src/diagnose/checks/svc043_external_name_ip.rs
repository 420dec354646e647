//! SVC043: an address where a name belongs.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(43),
    title: "ExternalName is an IP literal",
    severity: Severity::Error,
    condition: "The type is ExternalName, and externalName, without a dot at its end, is an IP address.",
    explanation: "A CNAME must lead to a name: the lookup yields nothing.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let name = s.service.external_name.as_deref().filter(|_| s.is_external_name());
    let Some(ip) = name.and_then(|name| name.trim_end_matches('.').parse::<IpAddr>().ok()) else {
        return Vec::new();
    };
    let problem = s
        .problem(format!("{ip} is an address, not a name"))
        .own("spec.externalName", name.unwrap_or_default())
        .advice("make it a Service without selector, with an EndpointSlice that holds the address")
        .manifest(slice_manifest(s.service, &ip.to_string()));
    vec![problem]
}
