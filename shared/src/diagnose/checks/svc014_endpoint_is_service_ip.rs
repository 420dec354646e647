//! SVC014: an endpoint that is itself a VIP.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(14),
    title: "Manual endpoint address is a Service IP",
    severity: Severity::Warn,
    condition: "An address of a slice or of Endpoints made by hand is the cluster IP of a Service. (ServiceCIDRs are not watched, so an unused address of a Service range goes unseen.)",
    explanation: "Destination NAT is not applied twice on one path, so packets to that address go nowhere on most ways.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let of_slices = s.foreign_slices().flat_map(|slice| {
        let all = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
        all.map(|ip| (slice.object_ref(), "endpoints[].addresses", ip))
    });
    let made = s.endpoints.filter(|object| s.facts.is_hand_made(object));
    let of_endpoints = made.into_iter().flat_map(|object| {
        let all = object.subsets.iter().flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready));
        all.map(|address| (object.object_ref(), "subsets[].addresses", address.ip))
    });
    let all = of_slices.chain(of_endpoints);
    let vips = all.filter_map(|(object, field, ip)| Some((object, field, ip, s.facts.with_cluster_ip(ip)?)));
    let problem = |(object, field, ip, other): (ObjectRef, &'static str, IpAddr, &Arc<Service>)| {
        s.problem(format!("{ip} is the cluster IP of Service {}", other.key()))
            .evidence(object, field, ip)
            .evidence(other.object_ref(), "spec.clusterIP", ip)
            .advice("use the addresses of pods, or of hosts outside the cluster; to give a Service a second name, use ExternalName")
            .kubectl(&["kubectl", "-n", other.namespace(), "get", "endpointslices", "-l", &format!("{SERVICE_NAME_LABEL}={}", other.name())])
    };
    vips.map(problem).collect()
}
