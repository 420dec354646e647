//! SVC056: SCTP, which not everybody carries.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(56),
    title: "SCTP port",
    severity: Severity::Info,
    condition: "A port has protocol SCTP, and the type is LoadBalancer or NodePort, or kube-proxy runs in mode userspace or on a Windows node. Warn in the latter cases.",
    explanation: "SCTP needs support of the kernel, the network plugin and the balancer; kube-proxy has none in mode userspace and on Windows.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let sctp: Vec<_> = s.service.ports.iter().filter(|port| port.protocol == Protocol::Sctp).collect();
    if sctp.is_empty() || !s.service.is_proxied() {
        return Vec::new();
    }
    let on_windows =
        |node: &Arc<Node>| node.meta.labels.get("kubernetes.io/os").is_some_and(|os| &**os == "windows");
    let unable = s.facts.uses_mode(ProxyMode::Userspace) || s.facts.state.nodes().values().any(on_windows);
    let outside = matches!(s.service.service_type, ServiceType::LoadBalancer | ServiceType::NodePort);
    if !(unable || outside) {
        return Vec::new();
    }
    let why = if unable {
        "kube-proxy cannot serve it on some nodes"
    } else {
        "kernel, network plugin and balancer must support it"
    };
    let problem = s
        .problem(format!("{}: {why}", list(sctp.iter().map(|port| port_text(port)))))
        .severity(if unable { Severity::Warn } else { Severity::Info })
        .own("spec.ports[].protocol", "SCTP")
        .own("spec.type", s.service.service_type)
        .advice("check the support of network plugin and provider, or use TCP or UDP")
        .kubectl(&["kubectl", "get", "nodes", "-o", "wide"]);
    vec![problem]
}
