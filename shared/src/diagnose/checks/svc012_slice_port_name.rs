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
        let first = filled().next().map_or("SLICE", |slice| slice.name());
        let patch = serde_json::json!([{"op": "replace", "path": "/ports/0/name", "value": &*port.name}]);
        s.problem(format!("no slice has a port {:?}/{}", &*port.name, port.protocol))
            .own(format!("spec.ports[{index}].name"), format!("{:?}", &*port.name))
            .evidence_of("ports[].name", filled().map(|slice| (slice.object_ref(), named(slice))))
            .advice("give the slice's port the name and protocol of the Service's port")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "patch",
                "endpointslice",
                first,
                "--type=json",
                "-p",
                &patch.to_string(),
            ])
    };
    s.ports().filter(|(_, port)| !joined(port)).map(problem).collect()
}
