//! SVC037: one node port, two Services.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(37),
    title: "Duplicate nodePort",
    severity: Severity::Error,
    condition: "Another Service, which comes earlier by creation, then by name, has the same nodePort.",
    explanation: "The API server does not allow it; it happens after restores, and where objects of two clusters are looked at together. Only one of them gets the traffic.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let rank = |service: &Service| (service.meta.created, service.meta.key.clone());
    let own = rank(s.service);
    let ports: BTreeSet<_> = s.ports().filter_map(|(index, port)| Some((port.node_port?, index))).collect();
    let mut seen = BTreeSet::new();
    let clash = |(port, index): (NonZeroU16, usize)| {
        let first = s
            .facts
            .with_node_port(port)
            .iter()
            .filter(|other| rank(other) < own)
            .min_by_key(|other| rank(other))?;
        seen.insert(port).then_some((port, index, *first))
    };
    let clashes: Vec<_> = ports.into_iter().filter_map(clash).collect();
    let problem = |(port, index, first): (NonZeroU16, usize, &Arc<Service>)| {
        let patch = serde_json::json!([{"op": "remove", "path": format!("/spec/ports/{index}/nodePort")}]);
        s.problem(format!("nodePort {port} is taken by Service {}", first.key()))
            .own(format!("spec.ports[{index}].nodePort"), port)
            .evidence(first.object_ref(), "spec.ports[].nodePort", port)
            .advice("let one of the two have another number (a new one is chosen only if the port is renamed, too, or made anew)")
            .kubectl(&json_patch(s, &patch).words())
    };
    clashes.into_iter().map(problem).collect()
}
