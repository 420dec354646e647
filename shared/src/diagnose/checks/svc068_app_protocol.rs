//! SVC068: a port whose name and appProtocol contradict each other.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(68),
    title: "appProtocol contradicts the port name",
    severity: Severity::Info,
    condition: "A word of the port's name is http2, grpc or https (grpc-web is left out), and its appProtocol is one that cannot carry that.",
    explanation: "Proxies and meshes go by appProtocol; people go by the name.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

/// For a word in a name: the values that fit, the first of which is proposed.
const FITTING: [(&str, &[&str]); 3] = [
    ("grpc", &["kubernetes.io/h2c", "grpc", "http2", "h2c", "https", "tls", "grpcs"]),
    ("http2", &["kubernetes.io/h2c", "http2", "h2c", "h2", "grpc", "https", "tls"]),
    ("https", &["https", "kubernetes.io/wss", "tls", "wss", "h2"]),
];

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let contradicts = |(index, port): (usize, &ServicePort)| {
        let value = port.app_protocol.clone()?;
        let name = port.name.to_lowercase();
        let mut known = FITTING.iter().filter(|(word, _)| name.split('-').any(|part| part == *word));
        let (_, fitting) = known.next().filter(|_| !name.contains("grpc-web"))?;
        (!fitting.contains(&&*value.to_lowercase())).then(|| (index, port.name.clone(), value, fitting[0]))
    };
    let problem = |(index, name, value, proposed): (usize, Text, Text, &str)| {
        let patch = serde_json::json!([{"op": "replace", "path": format!("/spec/ports/{index}/appProtocol"), "value": proposed}]);
        s.problem(format!("port {name} has appProtocol {value}"))
            .own(format!("spec.ports[{index}].name"), name)
            .own(format!("spec.ports[{index}].appProtocol"), value)
            .advice(format!("set appProtocol to what the port speaks, for example {proposed}"))
            .kubectl(&json_patch(s, &patch).words())
    };
    s.ports().filter_map(contradicts).map(problem).collect()
}
