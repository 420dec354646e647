//! SVC013: a hand-made slice without a port number.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(13),
    title: "Manual slice port is null or 0",
    severity: Severity::Error,
    condition: "The Service has a cluster IP, and a slice with endpoints that no controller keeps has no ports, or a port without a number.",
    explanation: "An endpoint without a port number is useless to kube-proxy.",
    needs: &[Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let broken = s.foreign_slices().filter(|slice| {
        let useless = slice.ports.is_empty() || slice.ports.iter().any(|port| port.port.is_none());
        s.service.is_proxied() && !slice.endpoints.is_empty() && useless
    });
    let problem = |slice: &Arc<EndpointSlice>| {
        let ports: Vec<_> = s.service.ports.iter().map(|port| serde_json::json!({"name": &*port.name, "port": port.port.get(), "protocol": port.protocol.as_str()})).collect();
        let value = if slice.ports.is_empty() { "(none)" } else { "a port without a number" };
        s.problem(format!("slice {} has no usable port", slice.name()))
            .evidence(slice.object_ref(), "ports", value)
            .advice("give the slice the ports on which the endpoints answer, with the names of the Service's ports")
            .kubectl(&["kubectl", "-n", s.namespace(), "patch", "endpointslice", slice.name(), "--type=merge", "-p", &serde_json::json!({"ports": ports}).to_string()])
    };
    broken.map(problem).collect()
}
