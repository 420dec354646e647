//! SVC042: external IPs without effect.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(42),
    title: "externalIPs ignored",
    severity: Severity::Info,
    condition: "A headless Service or an ExternalName has externalIPs.",
    explanation: "kube-proxy programs nothing for such Services.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ignored = s.is_external_name() || s.service.is_headless();
    if !ignored || s.service.external_ips.is_empty() {
        return Vec::new();
    }
    let patch = serde_json::json!([{"op": "remove", "path": "/spec/externalIPs"}]);
    let problem = s
        .problem("externalIPs have no effect here")
        .own("spec.externalIPs", list(&s.service.external_ips))
        .own("spec.type", if s.is_external_name() { "ExternalName" } else { "ClusterIP, clusterIP: None" })
        .advice("remove spec.externalIPs")
        .kubectl(&json_patch(s, &patch).words());
    vec![problem]
}
