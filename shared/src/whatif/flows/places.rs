//! Nodes that are in both clusters: what their rules depend on, and who connects from there.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::world::World;
use crate::model::{ClusterState, IpFamily, Key, Keyed, Node, Pod, Text};
use crate::proxy::find_node;
use crate::proxy::node::{Detector, NodeContext};

/// A node, in one family, before and after.
pub(super) struct Place<'a> {
    pub name: &'a Text,
    pub family: IpFamily,
    pub before: NodeContext,
    pub after: NodeContext,
    /// Addresses of the node, in both clusters.
    pub own: Vec<IpAddr>,
    /// Pods with a network of their own that are there in both clusters, by address.
    pub pods: Vec<PodHere<'a>>,
    /// Networks in which other pods of the node have, or would have, their addresses.
    pub pod_nets: Vec<IpNet>,
    /// Not sources from outside: the node's own addresses and networks. See [`Place::inside`].
    inside: Vec<IpNet>,
    /// Addresses of the node's pods that are there in one cluster only, or have moved, and earlier ones of others.
    strays: FxHashSet<IpAddr>,
    /// Something of the node itself is another than before, so that every destination has to be looked at.
    pub differs: bool,
}

/// A pod as a source.
#[derive(Clone, Copy)]
pub(super) struct PodHere<'a> {
    pub key: &'a Key,
    pub before: IpAddr,
    pub after: IpAddr,
}

/// Pods of both clusters.
#[derive(Default)]
pub(super) struct Pods<'a> {
    nodes: FxHashMap<&'a str, PodsOfNode<'a>>,
    /// Those that are on another node than before, with a network of their own: before and after.
    pub moved: Vec<[&'a Arc<Pod>; 2]>,
    /// Every pod's address, by family.
    taken: [FxHashSet<u128>; 2],
}

#[derive(Default)]
struct PodsOfNode<'a> {
    /// By family.
    here: [Vec<PodHere<'a>>; 2],
    /// Addresses of the node's pods that are there in one cluster only, or have moved.
    hidden: Vec<IpAddr>,
}

/// Every node that is in both clusters and has the family.
pub(super) fn places<'a>(before: &World<'a>, after: &World<'a>, pods: &mut Pods<'a>) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    for family in IpFamily::BOTH {
        let virtual_net = virtual_net(before.state, after.state, family);
        for node in after.state.nodes().values() {
            let name = node.name();
            if let (Ok(old), Ok(new)) =
                (find_node(before.state, name, family), find_node(after.state, name, family))
            {
                let nodes = [(before.state, old), (after.state, new)];
                places.push(Place::of(nodes, family, pods, virtual_net));
            }
        }
    }
    pods.note_taken(&places);
    places
}

impl<'a> Pods<'a> {
    pub fn of(before: &'a ClusterState, after: &'a ClusterState) -> Pods<'a> {
        let mut pods = Pods::default();
        let mut old = before.pods().values().peekable();
        for new in after.pods().values() {
            while let Some(gone) = old.next_if(|old| !Arc::ptr_eq(old, new) && old.key() < new.key()) {
                pods.hide(gone);
            }
            match old.next_if(|old| Arc::ptr_eq(old, new) || old.key() == new.key()) {
                Some(old) => pods.pair(old, new),
                None => pods.hide(new),
            }
        }
        old.for_each(|gone| pods.hide(gone));
        pods
    }

    fn pair(&mut self, old: &'a Arc<Pod>, new: &'a Arc<Pod>) {
        match (&old.node, &new.node) {
            (Some(a), Some(b)) if a == b && !old.host_network && !new.host_network => {
                let here = &mut self.nodes.entry(a).or_default().here;
                let mut listed = 0;
                for family in IpFamily::BOTH {
                    let ip = |pod: &Pod| pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family);
                    if let (Some(before), Some(after)) = (ip(old), ip(new)) {
                        here[family as usize].push(PodHere { key: old.key(), before, after });
                        listed += 1;
                    }
                }
                // Addresses that only one of them has, or more than one of a family.
                if [old, new].iter().any(|pod| pod.ips.len() > listed) {
                    old.ips.iter().chain(&new.ips).for_each(|ip| self.take_address(*ip));
                }
            }
            nodes => {
                if nodes.0.is_some() && nodes.1.is_some() && !old.host_network && !new.host_network {
                    self.moved.push([old, new]);
                }
                [old, new].into_iter().for_each(|pod| self.hide(pod));
            }
        }
    }

    fn hide(&mut self, pod: &'a Arc<Pod>) {
        if let (Some(node), false) = (&pod.node, pod.host_network) {
            self.nodes.entry(node).or_default().hidden.extend(&pod.ips);
        }
    }

    fn take_address(&mut self, ip: IpAddr) {
        self.taken[IpFamily::of(ip) as usize].insert(number(ip));
    }

    /// Whether a pod has the address.
    pub fn is_taken(&self, ip: IpAddr) -> bool {
        self.taken[IpFamily::of(ip) as usize].contains(&number(ip))
    }

    /// Notes the addresses of all pods; those of places are with them.
    fn note_taken(&mut self, places: &[Place<'a>]) {
        let mut taken = std::mem::take(&mut self.taken);
        for family in IpFamily::BOTH {
            let ours = places.iter().filter(|place| place.family == family);
            let set = &mut taken[family as usize];
            set.reserve(ours.clone().map(|place| place.pods.len()).sum());
            let elsewhere = self.nodes.values().map(|of_node| &of_node.here[family as usize]);
            for pod in ours.map(|place| &place.pods).chain(elsewhere).flatten() {
                set.insert(number(pod.after));
                if pod.before != pod.after {
                    set.insert(number(pod.before));
                }
            }
            let hidden = self.nodes.values().flat_map(|of_node| &of_node.hidden);
            set.extend(hidden.filter(|ip| IpFamily::of(**ip) == family).map(|ip| number(*ip)));
        }
        self.taken = taken;
    }

    /// Those of a node, by their later address.
    fn take(&mut self, node: &str, family: IpFamily) -> Vec<PodHere<'a>> {
        let of_node = self.nodes.get_mut(node);
        let mut here =
            of_node.map(|of_node| std::mem::take(&mut of_node.here[family as usize])).unwrap_or_default();
        // All are of one family: their numbers are in the order of addresses, and compared faster.
        here.sort_unstable_by(|a, b| number(a.after).cmp(&number(b.after)).then_with(|| a.key.cmp(b.key)));
        here
    }
}

/// Where pods may be, if a node does not say it.
fn virtual_net(before: &ClusterState, after: &ClusterState, family: IpFamily) -> Option<IpNet> {
    let all = [after, before].into_iter();
    let pods = all.clone().flat_map(|state| state.pods().values().take(50)).filter(|pod| !pod.host_network);
    let mut ips = pods.flat_map(|pod| pod.ips.clone());
    let endpoints = all.flat_map(|state| state.slices().values().take(50)).flat_map(|slice| &slice.endpoints);
    let mut endpoints = endpoints.filter_map(|endpoint| endpoint.addresses.first()?.ip());
    let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
    let ip = ips.find(ours).or_else(|| endpoints.find(ours))?;
    IpNet::new(ip, if ip.is_ipv4() { 16 } else { 64 }).ok().map(|net| net.trunc())
}

impl<'a> Place<'a> {
    fn of(
        [(old_state, old), (new_state, new)]: [(&'a ClusterState, &'a Arc<Node>); 2],
        family: IpFamily,
        pods: &mut Pods<'a>,
        virtual_net: Option<IpNet>,
    ) -> Place<'a> {
        let name = new.name();
        let context = |state: &ClusterState, node: &Arc<Node>| {
            NodeContext::new(state, node, family, state.proxy_settings(name).mode)
        };
        let (before, after) = (context(old_state, old), context(new_state, new));
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let addresses = |node: &'a Node| node.addresses.iter().map(|address| address.ip).filter(ours);
        let mut own: Vec<IpAddr> =
            addresses(new).filter(|ip| addresses(old).any(|known| known == *ip)).collect();
        let mut seen = FxHashSet::default();
        own.retain(|ip| seen.insert(*ip));
        let cidrs = |node: &'a Node| {
            node.pod_cidrs.iter().copied().map(|net| net.trunc()).filter(|net| ours(&net.network()))
        };
        let mut real_nets: Vec<IpNet> = cidrs(old).chain(cidrs(new)).collect();
        real_nets.sort_unstable();
        real_nets.dedup();
        let here = pods.take(name, family);
        let mut inside: Vec<IpNet> = real_nets.clone();
        inside.extend(addresses(old).chain(addresses(new)).map(IpNet::from));
        // An address that kube-proxy is to bind to is one of the node's, too.
        let bound = [&before, &after].into_iter().filter_map(|context| context.settings.bind_address);
        inside.extend(bound.filter(ours).map(IpNet::from));
        inside.extend(loopback(family));
        let hidden = pods.nodes.get(&**name).into_iter().flat_map(|of_node| &of_node.hidden);
        let earlier = here.iter().filter(|pod| pod.before != pod.after).map(|pod| pod.before);
        let strays = hidden.copied().filter(ours).chain(earlier).collect();
        let detected = match &after.detector {
            Some(Detector::Cidr(net)) => Some(*net),
            _ => virtual_net,
        };
        let pod_nets = if real_nets.is_empty() { detected.into_iter().collect() } else { real_nets };
        let same = before.makes_same_rules(&after)
            && old.pod_cidrs == new.pod_cidrs
            && here.iter().all(|pod| pod.before == pod.after);
        Place { name, family, before, after, own, pods: here, pod_nets, inside, strays, differs: !same }
    }
}

impl Place<'_> {
    /// The network of the node or the address of its pods that the address is in: then nobody outside has it.
    pub fn inside(&self, ip: IpAddr) -> Option<IpNet> {
        let net = self.inside.iter().find(|net| net.contains(&ip)).copied();
        let is_pod = || self.strays.contains(&ip) || self.has_pod_at(ip);
        net.or_else(|| is_pod().then(|| IpNet::from(ip)))
    }

    /// Pods are sorted by address.
    fn has_pod_at(&self, ip: IpAddr) -> bool {
        IpFamily::of(ip) == self.family
            && self.pods.binary_search_by_key(&number(ip), |pod| number(pod.after)).is_ok()
    }
}

/// Compares as the address does with others of its family.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// The family's loopback network, and its unspecified address.
fn loopback(family: IpFamily) -> Vec<IpNet> {
    let nets = match family {
        IpFamily::IPv4 => ["127.0.0.0/8", "0.0.0.0/32"],
        IpFamily::IPv6 => ["::1/128", "::/128"],
    };
    nets.iter().filter_map(|net| net.parse().ok()).collect()
}
