//! Changed flows: every destination that a Service claims, before or after, asked from every class of sources on every node.
//!
//! Exhaustive, not sampled: sources are cut into cells that no rule can tell apart, and one address of each is followed
//! through the rules of both clusters. What cannot differ is not looked at: a destination whose Services, and those that
//! share an address, a port number or an endpoint with them, have the same ports and endpoints, on a node that is the same.
//!
//! A pod that is on another node than before is a source of its own: see [`movers`].
//!
//! Sources that are not asked: addresses that only one of the clusters has (a pod that is new or gone); processes that bind to
//! a loopback address and speak to any other; and what the kernel itself drops, such as packets from outside with an address of
//! the node.

mod asked;
mod change;
mod connections;
mod evaluate;
mod health;
mod movers;
mod places;
mod rules;
pub(super) mod sources;
mod standing;
mod touched;
pub(super) mod words;
mod world;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use asked::Asked;
use change::{Change, Claim, Destination};
use evaluate::{Changed, Pair};
use health::Counts;
use places::{Differs, Place, Pods, places};
use rustc_hash::FxHashMap;
use world::{Closure, World};

use super::difference::{FlowChange, Share, SourceClass, Sources, Target, TargetKind};
use crate::model::{ClusterState, IpFamily, Key, ObjectRef, Protocol, Service};
use crate::predict::{OutcomeView, Predictor};
use crate::proxy::ports::cluster_ip;

/// Two clusters, looked at side by side.
pub(super) struct Survey<'a> {
    worlds: [World<'a>; 2],
    pods: Pods<'a>,
    places: Vec<Place<'a>>,
    /// Services that the change can concern, wherever nodes are the same.
    touched: BTreeSet<Key>,
    /// The same, on nodes that are in another zone: these, and those that hints for zones can concern.
    zoned: BTreeSet<Key>,
}

impl<'a> Survey<'a> {
    /// `changed`: the only objects that can be others, if that is known.
    pub fn new(
        before: &'a ClusterState,
        after: &'a ClusterState,
        changed: Option<&[ObjectRef]>,
    ) -> Survey<'a> {
        let touched = touched::changed_services(before, after, changed);
        let mut worlds = [World::new(before), World::new(after)];
        let pods = Pods::of(before, after);
        let places = places(&worlds[0], &worlds[1], &pods);
        let userspace = places.iter().any(Place::is_userspace);
        let touched = touched::spread(&mut worlds, touched, userspace);
        let mut zoned = touched.clone();
        if places.iter().any(|place| place.differs == Differs::Zone) {
            zoned.extend(touched::hinted(&worlds));
            zoned = touched::spread(&mut worlds, zoned, userspace);
        }
        Survey { worlds, pods, places, touched, zoned }
    }

    /// Whether a Service has to be looked at on a node.
    fn concerns(&self, place: &Place<'_>, service: &Key) -> bool {
        match place.differs {
            Differs::Nothing => self.touched.contains(service),
            Differs::Zone => self.zoned.contains(service),
            Differs::Anything => true,
        }
    }

    /// The flows that differ.
    pub async fn flows(&mut self, pause: &impl AsyncFn()) -> Vec<FlowChange> {
        let routes = movers::routes(&self.worlds, &self.pods);
        let mut of_routes = movers::local_services(&self.worlds, &routes);
        let mut known = of_routes.is_subset(&self.zoned);
        of_routes.extend(self.touched.iter().cloned());
        let mut services = of_routes.clone();
        services.extend(self.zoned.iter().cloned());
        if self.places.iter().any(|place| place.differs == Differs::Anything) {
            let all = self.worlds.iter().flat_map(|world| world.state.services().keys());
            services = all.cloned().collect();
            known = false;
        }
        if !known {
            let ends = self.worlds.iter().flat_map(|world| touched::endpoints(world, &services)).collect();
            world::share(&mut self.worlds, &ends);
        }
        let mut compare = Compare {
            worlds: &self.worlds,
            pods: &self.pods,
            closures: RefCell::default(),
            counts: RefCell::default(),
        };
        let mut groups = Groups::default();
        for (service, destinations) in compare.destinations(&services) {
            pause().await;
            compare.closures = RefCell::default();
            compare.counts = RefCell::default();
            let mut asked = Asked::new(&compare, &destinations);
            for (number, place) in self.places.iter().enumerate() {
                if self.concerns(place, &service) {
                    asked.on(number, place, &mut groups);
                    pause().await;
                }
            }
            asked.tell(&mut groups);
            if of_routes.contains(&service) {
                routes.iter().for_each(|route| compare.of_route(route, &destinations, &mut groups));
            }
        }
        pause().await;
        groups.into_flows(&words::Names::of(&self.places, self.worlds[1].state), pause).await
    }
}

struct Compare<'a, 'b> {
    worlds: &'b [World<'a>; 2],
    pods: &'b Pods<'a>,
    /// Those of the Service that is looked at: the same on all nodes.
    closures: RefCell<FxHashMap<(Destination, IpAddr, bool), [Closure<'a>; 2]>>,
    /// Of its health-check node ports.
    counts: RefCell<FxHashMap<Destination, [Counts; 2]>>,
}

impl<'a> Compare<'a, '_> {
    /// By Service.
    fn destinations(&self, services: &BTreeSet<Key>) -> BTreeMap<Key, Vec<(Destination, Claim)>> {
        let mut found: BTreeMap<Destination, Claim> = BTreeMap::new();
        // What the later cluster says of a destination comes first.
        for world in self.worlds.iter().rev() {
            for service in services.iter().filter_map(|key| world.service(key)) {
                for (to, claim) in destinations(service, self.worlds) {
                    found.entry(to).or_insert(claim);
                }
            }
        }
        let mut by_service: BTreeMap<Key, Vec<(Destination, Claim)>> = BTreeMap::new();
        for (to, claim) in found {
            by_service.entry(claim.service.clone()).or_default().push((to, claim));
        }
        by_service
    }

    /// What kube-proxy answers there, if it does, before and after.
    fn health(&self, place: &Place<'_>, to: &Destination, ip: IpAddr) -> [Option<u32>; 2] {
        if to.kind != TargetKind::HealthCheck {
            return [None, None];
        }
        let mut known = self.counts.borrow_mut();
        let counts = known
            .entry(to.clone())
            .or_insert_with(|| [0, 1].map(|nth: usize| Counts::of(&self.worlds[nth], to.port, to.family)));
        [counts[0].answer(&place.before, ip), counts[1].answer(&place.after, ip)]
    }

    fn closures(&self, to: &Destination, ip: IpAddr, userspace: bool) -> [Closure<'a>; 2] {
        let mut known = self.closures.borrow_mut();
        let closures = known.entry((to.clone(), ip, userspace));
        closures
            .or_insert_with(|| [0, 1].map(|nth: usize| self.worlds[nth].closure(to, ip, userspace)))
            .clone()
    }
}

/// Everything by which a Service can be reached, and a port of each of its addresses that is unused.
fn destinations(service: &Service, worlds: &[World<'_>; 2]) -> Vec<(Destination, Claim)> {
    let mut found = own_destinations(service);
    let claim = || Claim { service: service.meta.key.clone(), port_name: "".into() };
    for (_, ip) in own_addresses(service) {
        if let Some(port) = unused_port(ip, worlds) {
            let (kind, protocol, family) = (TargetKind::UnusedPort, Protocol::Tcp, IpFamily::of(ip));
            found.push((Destination { kind, ip: Some(ip), port, protocol, family }, claim()));
        }
    }
    found
}

/// The addresses that are the Service's own, not a node's.
pub(super) fn own_addresses(service: &Service) -> Vec<(TargetKind, IpAddr)> {
    let mut found = Vec::new();
    for family in IpFamily::BOTH {
        let Some(cluster_ip) = cluster_ip(service, family) else { continue };
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let external = service.external_ips.iter().copied().filter(ours);
        let balancer = service.ingress.iter().filter_map(|ingress| ingress.ip).filter(ours);
        found.push((TargetKind::ClusterIp, cluster_ip));
        found.extend(external.map(|ip| (TargetKind::ExternalIp, ip)));
        found.extend(balancer.map(|ip| (TargetKind::LoadBalancer, ip)));
    }
    found
}

/// Everything by which a Service says that it can be reached.
pub(super) fn own_destinations(service: &Service) -> Vec<(Destination, Claim)> {
    let mut found = Vec::new();
    let claim = |port_name: &str| Claim { service: service.meta.key.clone(), port_name: port_name.into() };
    let mut add = |kind, ip, port, protocol, family, name: &str| {
        found.push((Destination { kind, ip, port, protocol, family }, claim(name)));
    };
    let ips = own_addresses(service);
    for port in &service.ports {
        for (kind, ip) in &ips {
            add(*kind, Some(*ip), port.port.get(), port.protocol, IpFamily::of(*ip), &port.name);
        }
    }
    for family in IpFamily::BOTH.into_iter().filter(|family| cluster_ip(service, *family).is_some()) {
        for port in &service.ports {
            let Some(number) = port.node_port else { continue };
            for kind in [TargetKind::NodePort, TargetKind::LocalhostNodePort] {
                add(kind, None, number.get(), port.protocol, family, &port.name);
            }
        }
        if let Some(number) = service.health_check_node_port {
            add(TargetKind::HealthCheck, None, number.get(), Protocol::Tcp, family, "");
        }
    }
    found
}

/// The first port that no Service has at the address, in either cluster, nor on nodes.
fn unused_port(ip: IpAddr, worlds: &[World<'_>; 2]) -> Option<u16> {
    let used = |port: u16| {
        worlds.iter().any(|world| {
            let mut ports = world.at(ip).iter().flat_map(|service| &service.ports);
            ports.any(|known| known.port.get() == port) || !world.on_port(port).is_empty()
        })
    };
    (1..=u16::MAX).find(|port| !used(*port))
}

/// Changes that are the same for a target, whoever connects.
#[derive(Default)]
struct Groups {
    found: BTreeMap<Target, BTreeMap<Change, Group>>,
}

struct Group {
    sources: Sources,
    before: Vec<Share>,
    after: Vec<Share>,
}

impl Groups {
    fn add(
        &mut self,
        target: &Target,
        changed: Changed,
        (pair, to, ip): (&Pair, &Destination, IpAddr),
        worlds: &[World<'_>; 2],
    ) {
        let Changed { change, classes, example: (origin, [old, new]) } = changed;
        let change = std::rc::Rc::unwrap_or_clone(change);
        let group =
            self.found.entry(target.clone()).or_default().entry(change).or_insert_with_key(|change| {
                let shares = |predictor: &Predictor, world: &World<'_>, source, chances| {
                    let packet = to.packet(ip, origin, source);
                    shares(target.kind, chances, &predictor.answer(world.state, &packet).outcomes)
                };
                Group {
                    sources: Sources { words: String::new(), classes: Vec::new() },
                    before: shares(&pair.before, &worlds[0], old, &change.before),
                    after: shares(&pair.after, &worlds[1], new, &change.after),
                }
            });
        for class in classes {
            match group.sources.classes.iter_mut().find(|known| known.joins(&class)) {
                Some(known) => {
                    // The example is one of the first node.
                    if class.nodes.first() < known.nodes.first() {
                        known.example = class.example;
                        known.nodes.splice(0..0, class.nodes);
                    } else {
                        known.nodes.extend(class.nodes);
                    }
                }
                None => group.sources.classes.push(class),
            }
        }
    }

    async fn into_flows(self, names: &words::Names, pause: &impl AsyncFn()) -> Vec<FlowChange> {
        let mut flows = Vec::new();
        for (target, changes) in self.found {
            pause().await;
            for (change, group) in changes {
                let mut sources = group.sources;
                order(&mut sources.classes);
                sources.words = names.of_classes(&sources.classes);
                flows.push(FlowChange {
                    grade: words::grade(&change, &target),
                    summary: words::summary(&change, &group.before, &group.after),
                    target: target.clone(),
                    sources,
                    before: group.before,
                    after: group.after,
                    cause: None,
                });
            }
        }
        flows.sort_by(|a, b| {
            let rank = |flow: &FlowChange| (flow.grade, flow.target.service.clone(), flow.target.clone());
            rank(a).cmp(&rank(b)).then_with(|| a.sources.words.cmp(&b.sources.words))
        });
        flows
    }
}

/// By their first nodes.
fn order(classes: &mut [SourceClass]) {
    for class in classes.iter_mut() {
        class.nodes.sort_unstable();
        class.nodes.dedup();
    }
    classes.sort_by(|a, b| {
        let rank = |class: &SourceClass| (class.nodes.first().cloned(), class.origin);
        rank(a).cmp(&rank(b)).then_with(|| (&a.pods, &a.nets).cmp(&(&b.pods, &b.nets)))
    });
}

/// With the words of the outcomes that they stand for.
fn shares(kind: TargetKind, chances: &[change::Chance], outcomes: &[OutcomeView]) -> Vec<Share> {
    let share = |chance: &change::Chance| {
        let is_it = |outcome: &&OutcomeView| {
            outcome.verdict == chance.verdict
                && chance.endpoint.is_none_or(|endpoint| endpoint == outcome.destination)
        };
        let outcome = outcomes.iter().find(is_it);
        Share {
            fraction: chance.fraction,
            verdict: chance.verdict,
            endpoint: chance.endpoint,
            pod: outcome.and_then(|outcome| outcome.pod.clone()),
            masquerade: chance.masquerade,
            condition: outcome.and_then(|outcome| outcome.condition.clone()),
            health: chance.health,
            reason: words::reason(kind, chance, outcome.map(|outcome| &*outcome.reason).unwrap_or_default()),
        }
    };
    chances.iter().map(share).collect()
}
