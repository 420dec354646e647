//! Pods that are on another node than before: each is asked with the rules of its old node, from its old address, and with
//! those of its new node, from its new one. The nodes need not be in both clusters.
//!
//! They are asked for Services that the change can concern, and for those whose policy Local, or hints for nodes, tell the two
//! nodes apart. Other Services mean the same on both, but for what is the node's: its zone, its own kube-proxy settings, its
//! place in a source range. Node ports are not asked for: which node's a pod means is not known.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::change::{Change, Claim, Destination};
use super::evaluate::{Changed, Pair, ask};
use super::places::Pods;
use super::world::{Closure, World};
use super::{Compare, Groups};
use crate::model::{IpFamily, Key, Keyed, Pod, ProxyMode, Text, TrafficPolicy};
use crate::proxy::find_node;
use crate::proxy::node::NodeContext;
use crate::trace::{Origin, Trace};
use crate::whatif::difference::SourceClass;

/// From one node to another, in one family.
pub(super) struct Route<'a> {
    from: &'a Text,
    to: &'a Text,
    family: IpFamily,
    contexts: [NodeContext; 2],
    /// By name.
    pods: Vec<Mover<'a>>,
}

#[derive(Clone, Copy)]
struct Mover<'a> {
    key: &'a Key,
    /// Before and after.
    ips: [IpAddr; 2],
}

/// By nodes and family.
pub(super) fn routes<'a>(worlds: &[World<'a>; 2], pods: &Pods<'a>) -> Vec<Route<'a>> {
    let mut routes: BTreeMap<(&'a Text, &'a Text, IpFamily), Option<Route<'a>>> = BTreeMap::new();
    for [old, new] in pods.moved.iter().copied() {
        let (Some(from), Some(to)) = (&old.node, &new.node) else { continue };
        for family in IpFamily::BOTH {
            let ip = |pod: &Pod| pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family);
            let (Some(before), Some(after)) = (ip(old), ip(new)) else { continue };
            let route = match routes.entry((from, to, family)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Route::new(worlds, [from, to], family)),
            };
            if let Some(route) = route {
                route.pods.push(Mover { key: old.key(), ips: [before, after] });
            }
        }
    }
    routes.into_values().flatten().collect()
}

/// Services with policy Local that have an endpoint on one of the routes' nodes, and those with a hint for one of them.
pub(super) fn local_services(worlds: &[World<'_>; 2], routes: &[Route<'_>]) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    let nodes: FxHashSet<&str> = routes.iter().flat_map(|route| [&**route.from, &**route.to]).collect();
    if nodes.is_empty() {
        return found;
    }
    for world in worlds {
        for slice in world.state.slices().values() {
            let here = |node: &Text| nodes.contains(&**node);
            let hinted = slice.endpoints.iter().any(|endpoint| endpoint.node_hints.iter().any(here));
            if !hinted && !slice.endpoints.iter().any(|endpoint| endpoint.node.as_ref().is_some_and(here)) {
                continue;
            }
            let is_local = |service: &&Key| {
                world.service(service).is_some_and(|service| {
                    [service.internal_policy, service.external_policy].contains(&TrafficPolicy::Local)
                })
            };
            found.extend(slice.service().filter(|service| hinted || is_local(&service)));
        }
    }
    found
}

impl<'a> Route<'a> {
    /// `None` where one of the nodes is not known, or has no such family.
    fn new(
        [before, after]: &[World<'a>; 2],
        [from, to]: [&'a Text; 2],
        family: IpFamily,
    ) -> Option<Route<'a>> {
        let context = |world: &World<'a>, name: &Text| {
            let node = find_node(world.state, name, family).ok()?;
            Some(NodeContext::new(world.state, node, family, world.state.proxy_settings(name).mode))
        };
        let contexts = [context(before, from)?, context(after, to)?];
        Some(Route { from, to, family, contexts, pods: Vec::new() })
    }

    fn is_userspace(&self) -> bool {
        self.contexts.iter().any(|context| context.mode == ProxyMode::Userspace)
    }
}

impl<'a> Compare<'a, '_> {
    /// What the route's pods are answered otherwise.
    pub fn of_route(&self, route: &Route<'a>, destinations: &[(Destination, Claim)], groups: &mut Groups) {
        let mut ready: Vec<([Closure<'a>; 2], Pair)> = Vec::new();
        for (to, claim) in destinations.iter().filter(|(to, _)| to.family == route.family) {
            let Some(ip) = to.ip else { continue };
            let nth = self.ready_for(route, (to, ip), &mut ready);
            let pair = &ready[nth].1;
            for (change, pods) in route.changes(pair, to, ip) {
                let Some(first) = pods.first() else { continue };
                let changed = Changed {
                    change: change.into(),
                    classes: vec![route.class(&pods, first.ips[1])],
                    example: (Origin::Pod, first.ips),
                };
                groups.add(&to.target(to.ip, claim), changed, (pair, to, ip), self.worlds);
            }
        }
    }

    /// The rules of both nodes for a destination, unless they are at hand.
    fn ready_for(
        &self,
        route: &Route<'a>,
        (to, ip): (&Destination, IpAddr),
        ready: &mut Vec<([Closure<'a>; 2], Pair)>,
    ) -> usize {
        let closures = self.closures(to, ip, route.is_userspace());
        let is_known = |(known, _): &([Closure<'a>; 2], Pair)| {
            known[0].is_same(&closures[0]) && known[1].is_same(&closures[1])
        };
        if let Some(nth) = ready.iter().position(is_known) {
            return nth;
        }
        let [before, after] =
            [0, 1].map(|nth: usize| self.worlds[nth].predictor(&closures[nth], &route.contexts[nth]));
        ready.push((closures, Pair::new(before, after, route.family)));
        ready.len() - 1
    }
}

impl<'a> Route<'a> {
    /// Pods that no rule tells apart are asked once.
    fn changes(&self, pair: &Pair, to: &Destination, ip: IpAddr) -> BTreeMap<Change, Vec<Mover<'a>>> {
        let mut alike: BTreeMap<[usize; 2], Vec<Mover<'a>>> = BTreeMap::new();
        for pod in &self.pods {
            alike.entry(pair.cells(pod.ips)).or_default().push(*pod);
        }
        let mut trace = Trace::default();
        let mut found: BTreeMap<Change, Vec<Mover<'a>>> = BTreeMap::new();
        for pods in alike.into_values() {
            let Some(Mover { ips: [before, after], .. }) = pods.first().copied() else { continue };
            let change = Change {
                before: ask(&pair.before, to.packet(ip, Origin::Pod, before), &mut trace),
                after: ask(&pair.after, to.packet(ip, Origin::Pod, after), &mut trace),
            };
            if change.is_change() {
                found.entry(change).or_default().extend(pods);
            }
        }
        found
    }

    fn class(&self, pods: &[Mover<'a>], example: IpAddr) -> SourceClass {
        let mut keys: Vec<Key> = pods.iter().map(|pod| pod.key.clone()).collect();
        keys.sort_unstable();
        SourceClass {
            nodes: vec![self.to.clone()],
            origin: Origin::Pod,
            pods: keys,
            except_pods: Vec::new(),
            nets: Vec::new(),
            except: Vec::new(),
            moved_from: Some(self.from.clone()),
            hairpin: false,
            example,
        }
    }
}
