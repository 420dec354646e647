//! SVC064: machinery that is on its way out.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(64),
    title: "Deprecated machinery in use",
    severity: Severity::Info,
    condition: "kube-proxy runs in mode ipvs or userspace; or a Service has the annotation topology-aware-hints or tolerate-unready-endpoints; or Endpoints made by hand belong to a Service.",
    explanation: "Mode ipvs is deprecated and userspace is gone since Kubernetes 1.26; the first annotation has a successor, the second has no effect; v1 Endpoints are deprecated since 1.33.",
    needs: &[],
    of_deleted: false,
    how: How::Cluster(find),
};

const ANNOTATIONS: [(&str, &str); 2] = [
    (
        "service.kubernetes.io/topology-aware-hints",
        "use service.kubernetes.io/topology-mode or spec.trafficDistribution",
    ),
    ("service.alpha.kubernetes.io/tolerate-unready-endpoints", "use spec.publishNotReadyAddresses"),
];

fn find(facts: &Facts<'_>) -> Vec<Problem> {
    proxy_modes(facts).into_iter().chain(annotations(facts)).chain(endpoints(facts)).collect()
}

fn proxy_modes(facts: &Facts<'_>) -> Option<Problem> {
    let config = facts.state.proxy_config()?;
    let old: Vec<_> =
        [ProxyMode::Ipvs, ProxyMode::Userspace].into_iter().filter(|mode| facts.uses_mode(*mode)).collect();
    let (namespace, name) = PROXY_CONFIG_MAP;
    let problem = Problem::new(config.object_ref(), format!("kube-proxy runs in mode {}", list(&old)))
        .own("config.conf: mode", list(&old))
        .advice("move to mode nftables, or iptables")
        .kubectl(&["kubectl", "-n", namespace, "edit", "configmap", name])
        .kubectl(&["kubectl", "-n", namespace, "rollout", "restart", "daemonset/kube-proxy"]);
    (!old.is_empty()).then_some(problem)
}

fn annotations(facts: &Facts<'_>) -> Vec<Problem> {
    let of_service = |service: &Arc<Service>| -> Vec<Problem> {
        let found = ANNOTATIONS
            .iter()
            .filter_map(|(key, advice)| Some((*key, *advice, service.meta.annotations.get(key)?)));
        let problem = |(key, advice, value): (&str, &str, &Text)| {
            Problem::new(service.object_ref(), format!("the annotation {key} is deprecated"))
                .own(format!("metadata.annotations.{key}"), value)
                .advice(advice)
                .kubectl(&[
                    "kubectl",
                    "-n",
                    service.namespace(),
                    "annotate",
                    "service",
                    service.name(),
                    &format!("{key}-"),
                ])
        };
        found.map(problem).collect()
    };
    facts.in_scope(facts.state.services()).flat_map(of_service).collect()
}

fn endpoints(facts: &Facts<'_>) -> Vec<Problem> {
    let made = facts
        .in_scope(facts.state.endpoints())
        .filter(|object| facts.is_hand_made(object) && facts.state.services().contains(object.key()));
    let problem = |object: &Arc<Endpoints>| {
        Problem::new(object.object_ref(), "v1 Endpoints made by hand")
            .own("metadata.labels.endpoints.kubernetes.io/managed-by", "(absent)")
            .advice("write EndpointSlices instead")
            .kubectl(&[
                "kubectl",
                "-n",
                object.namespace(),
                "get",
                "endpointslices",
                "-l",
                &format!("{SERVICE_NAME_LABEL}={}", object.name()),
                "-o",
                "yaml",
            ])
    };
    made.map(problem).collect()
}
