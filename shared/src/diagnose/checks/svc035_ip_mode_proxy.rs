//! SVC035: a balancer address that kube-proxy leaves alone.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(35),
    title: "ipMode Proxy",
    severity: Severity::Info,
    condition: "An entry of status.loadBalancer.ingress has ipMode Proxy.",
    explanation: "Traffic from inside the cluster to that address leaves to the balancer and comes back, instead of being short-circuited on the node. That is wanted where the balancer ends TLS or speaks the PROXY protocol.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let ips: Vec<_> = s
        .service
        .ingress
        .iter()
        .filter(|entry| entry.ip_mode == IpMode::Proxy)
        .filter_map(|entry| entry.ip)
        .collect();
    if ips.is_empty() {
        return Vec::new();
    }
    let problem = s
        .problem(format!("traffic to {} always goes through the balancer", list(&ips)))
        .own("status.loadBalancer.ingress[].ipMode", "Proxy")
        .advice("nothing has to be done; the balancer's controller decides it")
        .kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "get",
            "service",
            s.name(),
            "-o",
            "jsonpath={.status.loadBalancer}",
        ]);
    vec![problem]
}
