//! SVC004: a named target port that no pod has.

use super::super::similar::likeness;
use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(4),
    title: "Named targetPort found on no pod",
    severity: Severity::Error,
    condition: "A targetPort is a name, and no selected pod has a container port, or one of a sidecar, of this name; where the name is there with another protocol, SVC006 speaks. Warn for a headless Service, whose ports only make SRV records.",
    explanation: "The pods are listed as endpoints without that port, which are useless to kube-proxy: connections are refused.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let named = s.ports().filter_map(|(index, port)| match &port.target_port {
        TargetPort::Name(name) => Some((index, port, name)),
        TargetPort::Number(_) => None,
    });
    let missing = named.filter(|(_, port, name)| {
        let found = s.live_pods().any(|pod| resolves(pod, port) || has_port_named(pod, name));
        s.has_selector() && s.live_pods().next().is_some() && !found
    });
    missing.map(|(index, port, name)| problem(s, index, port, name)).collect()
}

fn problem(s: &Subject<'_>, index: usize, port: &ServicePort, name: &Text) -> Problem {
    let declared = || s.live_pods().flat_map(|pod| &pod.containers).flat_map(|container| &container.ports);
    let same_protocol = || declared().filter(|declared| declared.protocol == port.protocol);
    let near = same_protocol().filter_map(|declared| Some((likeness(name, &declared.name)?, &declared.name)));
    let numbers: BTreeSet<_> = same_protocol().map(|declared| declared.port).collect();
    let path = format!("/spec/ports/{index}/targetPort");
    let value = match (near.min(), numbers.first()) {
        (Some((_, meant)), _) => Some(serde_json::json!(&**meant)),
        (None, Some(only)) if numbers.len() == 1 => Some(serde_json::json!(only.get())),
        _ => None,
    };
    let pods: BTreeMap<ObjectRef, String> =
        s.live_pods().map(|pod| (pod.object_ref(), ports_of(pod))).collect();
    let problem = s
        .problem(format!("port {}: no selected pod has a port named {name}", port_text(port)))
        .own(format!("spec.ports[{index}].targetPort"), name)
        .evidence_of("spec.containers[].ports", pods);
    let problem = if s.service.is_headless() { problem.severity(Severity::Warn) } else { problem };
    match value {
        Some(value) => problem.advice(format!("{value} was probably meant")).kubectl(
            &json_patch(s, &serde_json::json!([{"op": "replace", "path": path, "value": value}])).words(),
        ),
        None => problem.advice("name a port that the containers declare, or give the number").kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "get",
            "pods",
            "-l",
            &s.selector_text(),
            "-o",
            "jsonpath={.items[*].spec.containers[*].ports}",
        ]),
    }
}
