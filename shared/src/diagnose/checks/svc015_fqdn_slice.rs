//! SVC015: a slice of host names.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(15),
    title: "Slice of type FQDN",
    severity: Severity::Warn,
    condition: "A slice of the Service has addressType FQDN.",
    explanation: "kube-proxy ignores such slices; a name is what ExternalName is for.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let named = s.slices.iter().filter(|slice| slice.address_type == AddressType::Fqdn);
    let problem = |slice: &&Arc<EndpointSlice>| {
        let first = slice.endpoints.iter().find_map(|endpoint| endpoint.addresses.first());
        let host = first.map_or_else(|| "host.example.com".to_owned(), ToString::to_string);
        let patch = serde_json::json!({"spec": {"type": "ExternalName", "externalName": host}});
        s.problem(format!("slice {} holds names, which kube-proxy ignores", slice.name()))
            .evidence(slice.object_ref(), "addressType", "FQDN")
            .advice("make the Service an ExternalName, or list addresses")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "patch",
                "service",
                s.name(),
                "-p",
                &patch.to_string(),
            ])
    };
    named.map(problem).collect()
}
