//! SVC047: pods that want names which DNS does not give them.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(47),
    title: "Headless hostname records missing",
    severity: Severity::Warn,
    condition: "Pods have a subdomain (StatefulSets set it to spec.serviceName), and no Service of that name is in the namespace, or it is not headless; or the Service is right, but a pod has no hostname.",
    explanation: "A name such as web-0.web.shop.svc.cluster.local needs a headless Service named like the pod's subdomain, and the pod's hostname.",
    needs: &[Kind::Pod, Kind::Service],
    of_deleted: false,
    how: How::Cluster(find),
};

fn find(facts: &Facts<'_>) -> Vec<Problem> {
    let mut by_domain: BTreeMap<Key, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in facts.in_scope(facts.state.pods()).filter(|pod| !pod.phase.is_final()) {
        let Some(subdomain) = &pod.subdomain else { continue };
        let key = Key { namespace: pod.namespace().clone(), name: subdomain.clone() };
        by_domain.entry(key).or_default().push(pod);
    }
    by_domain.iter().filter_map(|(key, pods)| of_subdomain(facts, key, pods)).collect()
}

fn of_subdomain(facts: &Facts<'_>, key: &Key, pods: &[&Arc<Pod>]) -> Option<Problem> {
    let first = pods.first()?;
    let service = facts.state.services().get(key);
    let subdomains = |problem: Problem| {
        problem.evidence_of("spec.subdomain", pods.iter().map(|pod| (pod.object_ref(), key.name.clone())))
    };
    let create = [
        "kubectl",
        "-n",
        &key.namespace,
        "create",
        "service",
        "clusterip",
        &key.name,
        "--clusterip=None",
        "--tcp=80",
    ];
    match service {
        None => {
            let problem =
                Problem::new(first.object_ref(), format!("the subdomain {} has no Service", key.name));
            Some(
                subdomains(problem)
                    .advice("create a headless Service of that name that selects the pods")
                    .kubectl(&create),
            )
        }
        Some(service) if !service.is_headless() => {
            let problem = Problem::new(
                service.object_ref(),
                format!("{} have it as subdomain, but it is not headless", count(pods.len(), "pod")),
            );
            let problem = subdomains(problem.own("spec.clusterIP", list(service.cluster_ip.ips())));
            Some(
                problem
                    .advice("create a headless Service for the names, and set serviceName or subdomain to it")
                    .kubectl(&["kubectl", "-n", &key.namespace, "get", "service", &key.name, "-o", "yaml"]),
            )
        }
        Some(service) => {
            let nameless: Vec<_> = pods.iter().filter(|pod| pod.hostname.is_none()).collect();
            let problem = Problem::new(
                service.object_ref(),
                format!("{} without a hostname", count(nameless.len(), "pod")),
            )
            .evidence_of("spec.hostname", nameless.iter().map(|pod| (pod.object_ref(), "(empty)")))
            .advice("set spec.hostname in the pods, or let a StatefulSet do it")
            .kubectl(&[
                "kubectl",
                "-n",
                &key.namespace,
                "get",
                "pods",
                "-o",
                "custom-columns=NAME:.metadata.name,HOSTNAME:.spec.hostname,SUBDOMAIN:.spec.subdomain",
            ]);
            (!nameless.is_empty()).then_some(problem)
        }
    }
}
