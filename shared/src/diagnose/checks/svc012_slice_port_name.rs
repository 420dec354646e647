//! SVC012: a hand-made slice whose ports have other names than the Service's.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(12),
    title: "Slice port name differs from the Service port's",
    severity: Severity::Error,
    condition: "The Service has a cluster IP and slices with endpoints and ports, not all of them kept by the EndpointSlice controller, and no port of any of them has the name and protocol of one of the Service's ports.",
    explanation: "kube-proxy joins slices to Service ports by name and protocol; an unmatched port has no endpoints and refuses connections.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let filled = || s.slices.iter().filter(|slice| !slice.endpoints.is_empty() && !slice.ports.is_empty());
    if !s.service.is_proxied() || filled().all(|slice| is_controllers(&slice.meta)) {
        return Vec::new();
    }
    let joined = |port: &ServicePort| {
        filled()
            .flat_map(|slice| &slice.ports)
            .any(|other| other.name == port.name && other.protocol == port.protocol)
    };
    let problem = |(index, port): (usize, &ServicePort)| {
        let named = |slice: &Arc<EndpointSlice>| {
            list(slice.ports.iter().map(|port| format!("{:?}/{}", &*port.name, port.protocol)))
        };
        s.problem(format!("no slice has a port {:?}/{}", &*port.name, port.protocol))
            .own(format!("spec.ports[{index}].name"), format!("{:?}", &*port.name))
            .evidence_of("ports[].name", filled().map(|slice| (slice.object_ref(), named(slice))))
            .advice("give the slice's port the name and protocol of the Service's port")
            .kubectl(&mend(s, filled().next(), port).iter().map(String::as_str).collect::<Vec<_>>())
    };
    s.ports().filter(|(_, port)| !joined(port)).map(problem).collect()
}

/// The command that names the slice's port; of a mirrored slice, that of its Endpoints, since the mirror follows those.
fn mend(s: &Subject<'_>, slice: Option<&&Arc<EndpointSlice>>, port: &ServicePort) -> Vec<String> {
    let mirrored = slice.is_some_and(|slice| is_mirrored(&slice.meta));
    let (kind, name, path) = match slice {
        Some(slice) if !mirrored => ("endpointslice", &**slice.name(), "/ports/0/name"),
        _ => ("endpoints", s.name(), "/subsets/0/ports/0/name"),
    };
    let patch = serde_json::json!([{"op": "add", "path": path, "value": &*port.name}]).to_string();
    let words = ["kubectl", "-n", s.namespace(), "patch", kind, name, "--type=json", "-p", &patch];
    words.map(str::to_owned).to_vec()
}
