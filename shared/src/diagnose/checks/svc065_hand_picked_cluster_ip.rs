//! SVC065: a cluster IP chosen by hand where addresses are also drawn.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(65),
    title: "clusterIP in the dynamic band chosen by hand",
    severity: Severity::Info,
    condition: "The manifest, as kubectl apply noted it, names a clusterIP more than 256 addresses above the start of the Service range, which is one below the address of Service default/kubernetes. (The static band never holds more than 256 addresses; a smaller range has a smaller one.)",
    explanation: "Automatic allocation draws from the dynamic band, so another Service may get the address first when this one is made anew.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

/// The most addresses that a static band holds.
const STATIC_BAND: u128 = 256;

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let declared = s.service.declared.as_deref().and_then(|declared| declared.cluster_ip);
    let api = s.facts.state.services().get(&Key::new("default", "kubernetes"));
    let first = api.and_then(|service| service.cluster_ip.ips().first().copied());
    let (Some(ip), Some(first)) = (declared, first) else { return Vec::new() };
    let same_family = ip.is_ipv4() == first.is_ipv4();
    let offset = bits(ip).checked_sub(bits(first).saturating_sub(1));
    if !same_family
        || offset.is_none_or(|offset| offset <= STATIC_BAND)
        || !s.service.cluster_ip.ips().contains(&ip)
    {
        return Vec::new();
    }
    let problem = s
        .problem(format!("{ip} was chosen by hand, above the static band"))
        .own("spec.clusterIP", ip)
        .advice("take an address of the static band (the first 256 of the range, of a small range the first sixteenth), or leave it out of the manifest")
        .kubectl(&["kubectl", "get", "servicecidrs,ipaddresses"]);
    vec![problem]
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}
