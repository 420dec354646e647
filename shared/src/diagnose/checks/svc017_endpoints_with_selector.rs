//! SVC017: hand-made Endpoints that a controller overwrites.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(17),
    title: "Hand-made Endpoints for a Service with selector",
    severity: Severity::Warn,
    condition: "The Service has a selector, and the Endpoints of its name lack the controller's label, which other Endpoints of this cluster have (it is new in Kubernetes 1.33).",
    explanation: "The controller overwrites them, or they are from another tool that fights with it.",
    needs: &[Kind::Endpoints],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some(object) = s.endpoints.filter(|object| s.has_selector() && s.facts.is_hand_made(object)) else {
        return Vec::new();
    };
    let patch = serde_json::json!([{"op": "remove", "path": "/spec/selector"}]);
    let problem = s
        .problem("the Endpoints of this name were not made by the controller")
        .own("spec.selector", s.selector_text())
        .evidence(object.object_ref(), "metadata.labels.endpoints.kubernetes.io/managed-by", "(absent)")
        .advice("either drop the selector, so that the Endpoints count, or delete the Endpoints")
        .kubectl(&json_patch(s, &patch).words())
        .kubectl(&["kubectl", "-n", s.namespace(), "delete", "endpoints", s.name()]);
    vec![problem]
}
