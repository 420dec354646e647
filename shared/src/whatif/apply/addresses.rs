//! Addresses of pods that start: free ones of the node's `podCIDRs`. Nodes without one (networks of clouds) are given the
//! neighbourhood of the pods that they have, or of any pod.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Outcome;
use super::world::World;
use crate::model::{IpFamily, Keyed, Node, Pod};

/// Ranges of a cluster without pods and without `podCIDRs`: kubeadm's usual ones.
const USUAL: [&str; 2] = ["10.244.0.0/16", "fd00:10:244::/64"];

/// An address of each family for a pod that starts on `node`.
pub(super) fn choose(
    world: &mut World<'_>,
    pod: &Pod,
    node: &Node,
    families: &[IpFamily],
) -> Outcome<Vec<IpAddr>> {
    if pod.host_network {
        return Ok(families.iter().filter_map(|family| node.primary_ip(*family)).collect());
    }
    let full = |family: &IpFamily| format!("node {} has no free {family} address for a pod", node.name());
    families.iter().map(|family| free(world, node, *family).ok_or_else(|| full(family))).collect()
}

/// The families of a pod: those that it has, or that a pod like it has, or the node's.
pub(super) fn families(pod: &Pod, like: Option<&Pod>, node: &Node) -> Vec<IpFamily> {
    let of_pod = |pod: &Pod| -> Vec<IpFamily> { pod.ips.iter().map(|ip| IpFamily::of(*ip)).collect() };
    let mut found = of_pod(pod);
    if found.is_empty() {
        found = like.map(of_pod).unwrap_or_default();
    }
    if found.is_empty() {
        found = node.pod_cidrs.iter().map(|cidr| IpFamily::of(cidr.addr())).collect();
    }
    if found.is_empty() {
        found.push(IpFamily::IPv4);
    }
    let mut once = Vec::new();
    found.into_iter().for_each(|family| {
        if !once.contains(&family) {
            once.push(family)
        }
    });
    once
}

fn free(world: &mut World<'_>, node: &Node, family: IpFamily) -> Option<IpAddr> {
    let cidr = node.pod_cidrs.iter().copied().find(|cidr| IpFamily::of(cidr.addr()) == family);
    let nets = cidr.map_or_else(|| neighbourhood(world, node, family), |cidr| vec![cidr]);
    // After the network's own address, the first one is the bridge's.
    nets.into_iter().find_map(|net| world.first_free(net, 2))
}

/// Around the addresses of pods, the nearer network first.
fn neighbourhood(world: &World<'_>, node: &Node, family: IpFamily) -> Vec<IpNet> {
    let ip_of = |pod: &Arc<Pod>| {
        let ips = pod.ips.iter().copied().filter(|_| !pod.host_network);
        ips.into_iter().find(|ip| IpFamily::of(*ip) == family)
    };
    let here = world.state.pods_on(node.name()).find_map(ip_of);
    let known = here.or_else(|| world.state.pods().values().find_map(ip_of));
    let Some(ip) = known else {
        let usual = USUAL.iter().filter_map(|text| text.parse().ok());
        return usual.filter(|net: &IpNet| IpFamily::of(net.addr()) == family).collect();
    };
    let lengths = if ip.is_ipv4() { [16, 8] } else { [64, 48] };
    lengths.iter().filter_map(|length| IpNet::new(ip, *length).ok()).map(|net| net.trunc()).collect()
}
