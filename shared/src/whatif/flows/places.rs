//! Nodes that are in both clusters: what their rules depend on, and who connects from there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashSet;

use super::world::World;
use crate::model::{
    ClusterState, IpFamily, Key, Keyed, Node, Pod, PodsOfNode, ProxyMode, ProxySettings, Text,
};
use crate::proxy::find_node;
use crate::proxy::node::{Detector, NodeContext, NodePorts};

/// A node, in one family, before and after.
pub(super) struct Place<'a> {
    pub name: &'a Text,
    pub family: IpFamily,
    pub before: NodeContext,
    pub after: NodeContext,
    /// Addresses of the node, in both clusters.
    pub own: Vec<IpAddr>,
    pub pods: PodsHere<'a>,
    /// Networks in which other pods of the node have, or would have, their addresses.
    pub pod_nets: Vec<IpNet>,
    /// Not sources from outside: the node's own addresses and networks. See [`Place::inside`].
    inside: Vec<IpNet>,
    /// Addresses of the node's pods that are there in one cluster only, or have moved, and earlier ones of others.
    strays: FxHashSet<IpAddr>,
    pub differs: Differs,
    /// Places with the same number have rules that do the same, but for their own addresses and for how they [stand]
    /// (super::standing) to a Service. `None`: not known of any other.
    pub shape: Option<usize>,
}

/// What rules of places with the same number have in common, before or after. Own addresses are told by their place in the list.
#[derive(PartialEq)]
struct Look<'a> {
    mode: ProxyMode,
    settings: &'a ProxySettings,
    detector: &'a Option<Detector>,
    /// `None`: all.
    node_ports: Option<Vec<Option<usize>>>,
    node_ip: Option<usize>,
    localhost_node_ports: bool,
}

/// What of a node itself is another than before, and so which Services have to be looked at, whether they are others or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Differs {
    /// None.
    Nothing,
    /// Those with hints for zones.
    Zone,
    /// Every one.
    Anything,
}

/// A pod as a source.
#[derive(Clone, Copy)]
pub(super) struct PodHere<'a> {
    pub key: &'a Key,
    pub before: IpAddr,
    pub after: IpAddr,
}

/// Pods of both clusters, by address.
pub(super) struct Pods<'a> {
    states: [&'a ClusterState; 2],
    /// Those that are on another node than before, with a network of their own: before and after.
    pub moved: Vec<[&'a Arc<Pod>; 2]>,
    /// Lowest and highest addresses of a node's pods in one of the clusters, by family.
    spans: [Vec<([IpAddr; 2], &'a PodsOfNode)>; 2],
    /// Where pods have all addresses, from the first to the last, as far as somebody has asked.
    runs: RefCell<BTreeMap<IpAddr, IpAddr>>,
}

/// Pods of a node with a network of their own that are there in both clusters, in one family, by their later address.
pub(super) struct PodsHere<'a> {
    /// Where all pods have the names and addresses that they had.
    same: Option<&'a PodsOfNode>,
    /// Where some are others.
    paired: Vec<PodHere<'a>>,
    family: IpFamily,
}

/// Every node that is in both clusters and has the family.
pub(super) fn places<'a>(before: &World<'a>, after: &World<'a>, pods: &Pods<'a>) -> Vec<Place<'a>> {
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
    number_shapes(&mut places);
    places
}

fn number_shapes(places: &mut [Place<'_>]) {
    let mut numbers: Vec<Option<usize>> = Vec::with_capacity(places.len());
    let mut known: Vec<(IpFamily, usize, [Look<'_>; 2])> = Vec::new();
    for place in &*places {
        numbers.push(place.looks().map(|looks| {
            let shape = (place.family, place.own.len(), looks);
            known.iter().position(|other| *other == shape).unwrap_or_else(|| {
                known.push(shape);
                known.len() - 1
            })
        }));
    }
    let mut members = vec![0; known.len()];
    numbers.iter().flatten().for_each(|number| members[*number] += 1);
    drop(known);
    for (place, number) in places.iter_mut().zip(numbers) {
        place.shape = number.filter(|number| members[*number] > 1);
    }
}

impl<'a> Pods<'a> {
    pub fn of(before: &'a ClusterState, after: &'a ClusterState) -> Pods<'a> {
        let is_other = |node: &Text, old: &Arc<PodsOfNode>| {
            after.pods_of_node(node).is_none_or(|new| !Arc::ptr_eq(old, new))
        };
        let others = before.pods_of_nodes().filter(|(node, old)| is_other(node, old));
        let mut moved: Vec<[&Arc<Pod>; 2]> = Vec::new();
        for (_, pods) in others.clone() {
            let pair = |key: &Key| Some([before.pods().get(key)?, after.pods().get(key)?]);
            let has_moved = |[old, new]: &[&Arc<Pod>; 2]| {
                new.node.is_some() && old.node != new.node && !old.host_network && !new.host_network
            };
            moved.extend(pods.keys().filter_map(pair).filter(has_moved));
        }
        moved.sort_unstable_by_key(|[old, _]| old.key());
        let all: Vec<&PodsOfNode> = after.pods_of_nodes().chain(others).map(|(_, pods)| &**pods).collect();
        let spans = IpFamily::BOTH
            .map(|family| all.iter().filter_map(|pods| Some((pods.span(family)?, *pods))).collect());
        Pods { states: [before, after], moved, spans, runs: RefCell::default() }
    }

    /// If a pod has the address, in one of the clusters: an address up to which, from there on, pods have all. None is looked at
    /// beyond `most`, but for a node's own.
    pub fn taken_until(&self, ip: IpAddr, most: IpAddr) -> Option<IpAddr> {
        let known = self.runs.borrow().range(..=ip).next_back().map(|(_, last)| *last);
        if let Some(last) = known.filter(|last| ip <= *last) {
            return Some(last);
        }
        let mut until = None;
        let mut at = Some(ip);
        while let Some(last) = at.and_then(|at| self.taken_on_one_node(at)) {
            until = Some(last);
            at = IpFamily::next_address(last).filter(|next| *next <= most);
        }
        if let Some(last) = until {
            self.runs.borrow_mut().insert(ip, last);
        }
        until
    }

    fn taken_on_one_node(&self, ip: IpAddr) -> Option<IpAddr> {
        let mut spans = self.spans[IpFamily::of(ip) as usize].iter();
        spans.find_map(|([first, last], pods)| (*first <= ip && ip <= *last).then(|| pods.taken_until(ip))?)
    }

    /// The pods of a node that are there in both clusters, and the addresses of those that are not, or have moved.
    fn on(&self, node: &str, family: IpFamily) -> (PodsHere<'a>, Vec<IpAddr>) {
        let indexes = self.states.map(|state| state.pods_of_node(node));
        if let [Some(old), Some(new)] = indexes
            && Arc::ptr_eq(old, new)
        {
            return (PodsHere { same: Some(new), paired: Vec::new(), family }, Vec::new());
        }
        let keys: BTreeSet<&Key> = indexes.iter().flatten().flat_map(|pods| pods.keys()).collect();
        let (mut paired, mut hidden) = (Vec::new(), Vec::new());
        for key in keys {
            let is_here = |pod: &&Arc<Pod>| pod.node.as_deref() == Some(node) && !pod.host_network;
            let pods = self.states.map(|state| state.pods().get(key).filter(is_here));
            let ip = |pod: &Pod| pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family);
            match pods {
                [Some(old), Some(new)] => {
                    if let (Some(before), Some(after)) = (ip(old), ip(new)) {
                        paired.push(PodHere { key, before, after });
                    }
                }
                _ => hidden.extend(pods.into_iter().flatten().flat_map(|pod| pod.ips.iter().copied())),
            }
        }
        paired.sort_unstable_by(|a, b| (a.after, a.key).cmp(&(b.after, b.key)));
        (PodsHere { same: None, paired, family }, hidden)
    }
}

impl<'a> PodsHere<'a> {
    pub fn all(&self) -> impl Iterator<Item = PodHere<'a>> {
        self.starting_at(match self.family {
            IpFamily::IPv4 => Ipv4Addr::UNSPECIFIED.into(),
            IpFamily::IPv6 => Ipv6Addr::UNSPECIFIED.into(),
        })
    }

    /// From this address on.
    pub fn starting_at(&self, first: IpAddr) -> impl Iterator<Item = PodHere<'a>> {
        let same = self.same.map(|pods| pods.starting_at(first)).into_iter().flatten();
        let same = same.map(|(ip, key)| PodHere { key, before: ip, after: ip });
        let from = self.paired.partition_point(|pod| pod.after < first);
        same.chain(self.paired[from..].iter().copied())
    }

    pub fn has(&self, ip: IpAddr) -> bool {
        IpFamily::of(ip) == self.family && self.starting_at(ip).next().is_some_and(|pod| pod.after == ip)
    }

    /// Those whose address is another than before, by number.
    pub fn drifters(&self) -> impl Iterator<Item = (usize, &PodHere<'a>)> {
        self.paired.iter().enumerate().filter(|(_, pod)| pod.before != pod.after)
    }

    /// One of the drifters.
    pub fn drifter(&self, number: usize) -> Option<&PodHere<'a>> {
        self.paired.get(number)
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
        pods: &Pods<'a>,
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
        let (here, hidden) = pods.on(name, family);
        let mut inside: Vec<IpNet> = real_nets.clone();
        inside.extend(addresses(old).chain(addresses(new)).map(IpNet::from));
        // An address that kube-proxy is to bind to is one of the node's, too.
        let bound = [&before, &after].into_iter().filter_map(|context| context.settings.bind_address);
        inside.extend(bound.filter(ours).map(IpNet::from));
        inside.extend(loopback(family));
        let earlier = here.drifters().map(|(_, pod)| pod.before);
        let strays = hidden.into_iter().filter(ours).chain(earlier).collect();
        let detected = match &after.detector {
            Some(Detector::Cidr(net)) => Some(*net),
            _ => virtual_net,
        };
        let pod_nets = if real_nets.is_empty() { detected.into_iter().collect() } else { real_nets };
        let same_sources = old.pod_cidrs == new.pod_cidrs && here.drifters().next().is_none();
        let differs = match () {
            () if !(same_sources && before.differs_in_zone_only(&after)) => Differs::Anything,
            () if before.node.zone() != after.node.zone() => Differs::Zone,
            () => Differs::Nothing,
        };
        Place { name, family, before, after, own, pods: here, pod_nets, inside, strays, differs, shape: None }
    }
}

impl Place<'_> {
    /// `None` where more than that tells it from other places.
    fn looks(&self) -> Option<[Look<'_>; 2]> {
        let own = |context: &NodeContext| {
            let of_family = context.node.addresses.iter().map(|address| address.ip);
            let mut of_family = of_family.filter(|ip| IpFamily::of(*ip) == self.family);
            of_family.all(|ip| self.own.contains(&ip)) && context.settings.bind_address.is_none()
        };
        let contexts = [&self.before, &self.after];
        let alone = contexts.iter().any(|context| context.mode == ProxyMode::Userspace || !own(context));
        if alone || self.pods.drifters().next().is_some() {
            return None;
        }
        let nth = |ip: &IpAddr| self.own.iter().position(|own| own == ip);
        Some(contexts.map(|context| Look {
            mode: context.mode,
            settings: &context.settings,
            detector: &context.detector,
            node_ports: match &context.node_ports {
                NodePorts::All => None,
                NodePorts::On(ips) => {
                    let mut numbers: Vec<Option<usize>> = ips.iter().map(nth).collect();
                    numbers.sort_unstable();
                    Some(numbers)
                }
            },
            node_ip: nth(&context.node_ip),
            localhost_node_ports: context.localhost_node_ports,
        }))
    }

    /// The network of the node or the address of its pods that the address is in: then nobody outside has it.
    pub fn inside(&self, ip: IpAddr) -> Option<IpNet> {
        self.beside_pods(ip).or_else(|| self.pods.has(ip).then(|| IpNet::from(ip)))
    }

    /// The same, but for pods that are there in both clusters.
    pub fn beside_pods(&self, ip: IpAddr) -> Option<IpNet> {
        let net = self.inside.iter().find(|net| net.contains(&ip)).copied();
        net.or_else(|| self.strays.contains(&ip).then(|| IpNet::from(ip)))
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
