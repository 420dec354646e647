//! SVC045: fields that mean nothing on an ExternalName.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(45),
    title: "ExternalName with ports, selector or affinity",
    severity: Severity::Info,
    condition: "The type is ExternalName, and ports, a selector or session affinity is set.",
    explanation: "They have no effect: a CNAME neither maps ports nor balances.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let service = s.service;
    let set = [
        ("ports", (!service.ports.is_empty()).then(|| list(service.ports.iter().map(port_text)))),
        ("selector", service.selector.as_ref().map(|_| s.selector_text())),
        ("sessionAffinity", service.affinity_seconds.map(|_| "ClientIP".to_owned())),
    ];
    let set: Vec<(&str, String)> =
        set.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
    if !s.is_external_name() || set.is_empty() {
        return Vec::new();
    }
    let problem = s.problem(format!("{} without effect", list(set.iter().map(|(field, _)| *field))));
    let problem =
        set.iter().fold(problem, |problem, (field, value)| problem.own(format!("spec.{field}"), value));
    let patch: Vec<_> = set
        .iter()
        .map(|(field, _)| serde_json::json!({"op": "remove", "path": format!("/spec/{field}")}))
        .collect();
    let problem = problem
        .advice("remove the fields; to map ports, use a Gateway or an Ingress")
        .kubectl(&json_patch(s, &patch.into()).words());
    vec![problem]
}
