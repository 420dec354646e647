//! SVC053: address families that do not fit together.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(53),
    title: "Dual-stack mismatch",
    severity: Severity::Warn,
    condition: "Nodes or pods of the cluster have both families, and: the policy is SingleStack while the selected pods have both and some other pod has only the other family; or the policy is PreferDualStack with one family only. Or, in any cluster, an external IP or balancer address is of a family that is not in ipFamilies.",
    explanation: "Clients of the missing family cannot reach the Service; addresses of a family that it does not have get no rules.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let service = s.service;
    let [only] = service.ip_families.as_slice() else { return Vec::new() };
    if s.is_external_name() || service.is_headless() {
        return Vec::new();
    }
    let balancer = service.ingress.iter().filter_map(|entry| entry.ip);
    let strange: Vec<_> = service
        .external_ips
        .iter()
        .copied()
        .chain(balancer)
        .filter(|ip| IpFamily::of(*ip) != *only)
        .collect();
    let policy = service.ip_family_policy.as_deref();
    let problem = if !strange.is_empty() {
        s.problem(format!("{} of a family that the Service does not have", list(&strange)))
            .own("spec.externalIPs, status.loadBalancer.ingress", list(&strange))
    } else if policy == Some("PreferDualStack") && s.facts.dual_stack() {
        s.problem(format!("PreferDualStack, but only {only}, in a cluster with both families"))
            .own("spec.ipFamilyPolicy", "PreferDualStack")
    } else if policy == Some("SingleStack")
        && let Some(client) = cut_off(s, *only)
    {
        s.problem(format!(
            "SingleStack {only}, though the pods have both families and some clients only the other"
        ))
        .own("spec.ipFamilyPolicy", "SingleStack")
        .evidence(client.object_ref(), "status.podIPs", list(&client.ips))
    } else {
        return Vec::new();
    };
    let patch = serde_json::json!({"spec": {"ipFamilyPolicy": "PreferDualStack"}});
    let problem = problem
        .own("spec.ipFamilies", only)
        .advice("ask for both families (set the policy anew, so that the second address is allocated)")
        .kubectl(&["kubectl", "-n", s.namespace(), "patch", "service", s.name(), "-p", &patch.to_string()]);
    vec![problem]
}

/// A pod that has only the other family, if the Service's own pods have both (which makes the cluster one with both).
fn cut_off<'a>(s: &Subject<'a>, only: IpFamily) -> Option<&'a Arc<Pod>> {
    let has = |pod: &Pod, family| pod.ips.iter().any(|ip| IpFamily::of(*ip) == family);
    let both = |pod: &Arc<Pod>| IpFamily::BOTH.into_iter().all(|family| has(pod, family));
    if s.live_pods().next().is_none() || !s.live_pods().all(both) {
        return None;
    }
    s.facts.pod_lacking(only)
}
