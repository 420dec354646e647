//! SVC023: an address family that no pod has.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(23),
    title: "Pod lacks an IP of the Service's family",
    severity: Severity::Error,
    condition: "A family of ipFamilies is one in which no selected pod has an address, although some have one of the other.",
    explanation: "The Service's address of that family has no endpoints, so connections to it are refused.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let has: BTreeSet<_> = s.live_pods().flat_map(|pod| pod.ips.iter().copied().map(IpFamily::of)).collect();
    if !s.has_selector() || has.is_empty() {
        return Vec::new();
    }
    let missing = s.service.ip_families.iter().filter(|family| !has.contains(*family));
    let families = list(&s.service.ip_families);
    let problem = |family: &IpFamily| {
        let ips = s.live_pods().map(|pod| (pod.object_ref(), list(&pod.ips)));
        s.problem(format!("no selected pod has an {family} address"))
            .own("spec.ipFamilies", &families)
            .evidence_of("status.podIPs", ips)
            .advice("take the family out of ipFamilies (the primary one needs a new Service), or give the pods' network that family")
            .kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "-l", &s.selector_text(), "-o", "jsonpath={.items[*].status.podIPs}"])
    };
    missing.map(problem).collect()
}
