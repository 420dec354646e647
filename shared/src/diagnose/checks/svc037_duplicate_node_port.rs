//! SVC037: one node port, two Services, or a Service and a process of a node.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(37),
    title: "Duplicate nodePort",
    severity: Severity::Error,
    condition: "Another Service, which comes earlier by creation, then by name, has the same nodePort; or a pod with hostNetwork that is not one of its own backends has a container port of that number and protocol.",
    explanation: "The API server does not allow it; it happens after restores, and where objects of two clusters are looked at together. Only one of them gets the traffic. kube-proxy takes connections to the port before a process of the node sees them.",
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
    let mut problems: Vec<Problem> = clashes.into_iter().map(problem).collect();
    problems.extend(with_hosts(s));
    problems
}

/// Ports that a process in a node's own network listens on.
fn with_hosts(s: &Subject<'_>) -> Vec<Problem> {
    let backends: HashSet<_> = s.pods.iter().map(|pod| pod.key()).collect();
    let mut problems = Vec::new();
    for (index, port) in s.ports() {
        let Some(number) = port.node_port else { continue };
        let listening = s.facts.on_host_port(number).iter();
        let strangers =
            listening.filter(|(protocol, pod)| *protocol == port.protocol && !backends.contains(pod));
        let pods: Vec<&Arc<Pod>> = strangers.filter_map(|(_, pod)| s.facts.state.pods().get(pod)).collect();
        let Some(first) = pods.first() else { continue };
        let others = if pods.len() > 1 { format!(" and {} more", pods.len() - 1) } else { String::new() };
        problems.push(
            s.problem(format!("nodePort {number} is a port of pod {} on its node{others}", first.key()))
                .own(format!("spec.ports[{index}].nodePort"), number)
                .evidence_of(
                    "spec.containers[].ports[].containerPort",
                    pods.iter().map(|pod| (pod.object_ref(), number)),
                )
                .advice("let the process or the Service have another port")
                .kubectl(&["kubectl", "-n", s.namespace(), "get", "service", s.name(), "-o", "yaml"]),
        );
    }
    problems
}
