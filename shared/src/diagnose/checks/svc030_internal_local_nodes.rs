//! SVC030: policy Local for traffic from inside, and clients on nodes without an endpoint.

use super::prelude::*;
use crate::traffic::{CALLS_ANNOTATION, parse_calls};

pub const CHECK: Check = Check {
    code: Code(30),
    title: "internalTrafficPolicy Local leaves nodes without endpoint",
    severity: Severity::Warn,
    condition: "internalTrafficPolicy is Local, the Service has usable endpoints, and a node that runs other pods of its namespace has none of them. An error if one of those pods is known to connect to it (annotation `vipscope.dev/simulated-calls`).",
    explanation: "Connections from those pods to the cluster IP are dropped: they hang until they time out.",
    needs: &[Kind::Pod, Kind::EndpointSlice],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let local = s.service.is_proxied() && s.service.internal_policy == TrafficPolicy::Local;
    if !local || s.usable.is_empty() {
        return Vec::new();
    }
    let with = s.nodes();
    let backends: HashSet<_> = s.pods.iter().map(|pod| pod.key()).collect();
    let clients = s.facts.state.pods().in_namespace(s.service.namespace()).filter(|pod| {
        !pod.phase.is_final()
            && !backends.contains(pod.key())
            && pod.node.as_ref().is_some_and(|node| !with.contains(node))
    });
    let mut stranded: BTreeMap<&Text, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in clients {
        stranded.entry(pod.node.as_ref().unwrap_or(pod.name())).or_default().push(pod);
    }
    if stranded.is_empty() {
        return Vec::new();
    }
    let patch = serde_json::json!({"spec": {"internalTrafficPolicy": "Cluster"}});
    let pods =
        stranded.values().flatten().map(|pod| (pod.object_ref(), pod.node.as_deref().unwrap_or_default()));
    let callers: Vec<&Arc<Pod>> = stranded.values().flatten().copied().filter(|pod| calls(pod, s)).collect();
    let problem = s
        .problem(format!(
            "pods of namespace {} run on {} without an endpoint",
            s.namespace(),
            list(stranded.keys())
        ))
        .own("spec.internalTrafficPolicy", "Local")
        .own("endpoints[].nodeName", list(&with))
        .evidence_of("spec.nodeName", pods)
        .advice("run the backend on every node (a DaemonSet), or use policy Cluster")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    let Some(first) = callers.first() else { return vec![problem] };
    let named = first.meta.annotations.get(CALLS_ANNOTATION).cloned().unwrap_or_else(|| "".into());
    let field = format!("metadata.annotations.{CALLS_ANNOTATION}");
    vec![problem.severity(Severity::Error).evidence(first.object_ref(), field, named)]
}

/// The pod says that it connects to the Service.
fn calls(pod: &Pod, s: &Subject<'_>) -> bool {
    let text = pod.meta.annotations.get(CALLS_ANNOTATION);
    let calls = text.and_then(|text| parse_calls(text).ok()).unwrap_or_default();
    calls.iter().any(|call| call.service == *s.service.key())
}
