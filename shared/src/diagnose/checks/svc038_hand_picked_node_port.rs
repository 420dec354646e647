//! SVC038: a node port chosen by hand where numbers are also drawn.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(38),
    title: "Hand-picked nodePort in the dynamic band or outside the range",
    severity: Severity::Info,
    condition: "The manifest, as kubectl apply noted it, names a nodePort of 30086 or more; or a nodePort lies outside 30000-32767 while other Services have ports inside. The default range is assumed.",
    explanation: "Automatic allocation draws from 30086 up, so another Service may get the number first when this one is made anew. Ports outside the range cannot be had again.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

/// The first number that is drawn automatically.
const DYNAMIC: u16 = 30_086;

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let declared = s.service.declared.as_deref();
    let mut problems = Vec::new();
    for (index, port) in s.ports() {
        let Some(number) = port.node_port else { continue };
        let by_hand = declared.is_some_and(|declared| declared.node_ports.contains(&number));
        let message = if !DEFAULT_NODE_PORTS.contains(&number.get()) {
            if !s.facts.has_default_node_ports() {
                continue;
            }
            format!("nodePort {number} is outside 30000-32767")
        } else if by_hand && number.get() >= DYNAMIC {
            format!("nodePort {number} was chosen by hand, above the static band 30000-30085")
        } else {
            continue;
        };
        let patch = serde_json::json!([{"op": "replace", "path": format!("/spec/ports/{index}/nodePort"), "value": 30_050}]);
        problems.push(
            s.problem(message)
                .own(format!("spec.ports[{index}].nodePort"), number)
                .advice("choose a free number from 30000 to 30085, or leave it out of the manifest")
                .kubectl(&json_patch(s, &patch).words()),
        );
    }
    problems
}
