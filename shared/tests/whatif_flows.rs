//! Changed flows, held to brute force: in small random clusters every source is asked for every destination on every node, with
//! the rules of all Services, before and after a random change. What differs must be what the difference says, both ways.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/small.rs"]
mod small;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use small::Maker;
use vipscope_shared::model::{
    ClusterState, EndpointSlice, IpFamily, Key, Keyed, Protocol, ProxyMode, Service, ServiceType, Text,
    TrafficPolicy,
};
use vipscope_shared::predict::Predictor;
use vipscope_shared::proxy::node::{NodeContext, NodePorts};
use vipscope_shared::proxy::parts::Diff;
use vipscope_shared::proxy::{find_node, generate};
use vipscope_shared::trace::{Fraction, Origin, Packet, Trace, Verdict};
use vipscope_shared::whatif::difference::{
    Difference, End, Fate, FlowChange, Share, SourceClass, TargetKind,
};

/// Clusters in an ordinary run; `VIPSCOPE_CLUSTERS` asks for more.
const CLUSTERS: u64 = 1_000;

/// What a share is compared by: where it goes, masquerading, conditions, and what kube-proxy answers at a health-check port.
type Chance = (Verdict, Option<SocketAddr>, bool, Option<String>, Option<u32>);
type Chances = BTreeMap<Chance, [u64; 2]>;

fn sum(chances: impl IntoIterator<Item = (Chance, Fraction)>) -> Chances {
    let mut sums: BTreeMap<Chance, Fraction> = BTreeMap::new();
    for (chance, part) in chances {
        let sum = sums.entry(chance).or_insert(Fraction::ZERO);
        *sum = sum.plus(part).unwrap();
    }
    sums.into_iter().map(|(chance, sum)| (chance, [sum.numerator(), sum.denominator()])).collect()
}

/// With all rules.
fn asked(predictor: &Predictor, packet: &Packet, health: Option<u32>) -> Chances {
    let trace: Trace = predictor.trace(packet);
    sum(trace.outcomes.iter().map(|outcome| {
        let delivered = outcome.verdict == Verdict::Deliver;
        let conditions = outcome.conditions;
        let scheduler = conditions.scheduler.map(|number| predictor.program.scheduler(number));
        let condition = format!("{:?} {:?} {}", conditions.affinity, scheduler, conditions.in_turn);
        let condition = (!conditions.is_empty()).then_some(condition);
        let to = delivered.then_some(outcome.destination);
        let health = health.filter(|_| matches!(outcome.verdict, Verdict::Accept | Verdict::NoMatch));
        ((outcome.verdict, to, outcome.masquerade, condition, health), outcome.probability)
    }))
}

/// As the difference says it, without conditions.
fn said(shares: &[Share], class: &SourceClass, source: IpAddr) -> Chances {
    sum(shares.iter().map(|share| {
        let itself = class.hairpin && share.endpoint.is_some_and(|to| to.ip() == source);
        let [part, whole] = share.fraction;
        let masquerade = share.masquerade || itself;
        let chance = (share.verdict, share.endpoint, masquerade, None, share.health);
        (chance, Fraction::new(part, whole).unwrap())
    }))
}

fn without_conditions(chances: &Chances) -> Chances {
    sum(chances.iter().map(|((verdict, to, masquerade, _, health), [part, whole])| {
        ((*verdict, *to, *masquerade, None, *health), Fraction::new(*part, *whole).unwrap())
    }))
}

/// How many ready endpoints kube-proxy counts on its node for the Service of a health-check node port, from the objects alone;
/// `None` where it does not listen.
fn health(state: &ClusterState, context: &NodeContext, place: &Place) -> Option<u32> {
    let listens = match &context.node_ports {
        NodePorts::All => true,
        NodePorts::On(ips) => ips.contains(&place.ip),
    };
    if place.kind != TargetKind::HealthCheck || context.mode == ProxyMode::Userspace || !listens {
        return None;
    }
    let asks = |service: &&std::sync::Arc<Service>| {
        service.service_type == ServiceType::LoadBalancer
            && service.external_policy == TrafficPolicy::Local
            && service.health_check_node_port.is_some_and(|port| port.get() == place.port)
            && !service.ports.is_empty()
            && vipscope_shared::proxy::ports::cluster_ip(service, context.family).is_some()
    };
    let service = state.services().values().find(asks)?;
    let mut endpoints = BTreeMap::new();
    for slice in state.slices().values() {
        if slice.service().as_ref() != Some(service.key())
            || slice.address_type.family() != Some(context.family)
        {
            continue;
        }
        for port in slice.ports.iter().filter(|port| port.port.is_some()) {
            for endpoint in &slice.endpoints {
                let key = (&port.name, port.protocol, port.port, endpoint.addresses[0].ip().unwrap());
                // Of two, the later one holds, unless it terminates.
                if !(endpoints.contains_key(&key) && endpoint.conditions.terminating == Some(true)) {
                    endpoints.insert(key, endpoint);
                }
            }
        }
    }
    let here = endpoints.iter().filter(|(_, endpoint)| {
        endpoint.conditions.ready != Some(false) && endpoint.node.as_ref() == Some(context.node.name())
    });
    let ips: BTreeSet<IpAddr> = here.map(|((.., ip), _)| *ip).collect();
    Some(ips.len() as u32)
}

#[derive(Debug, Clone)]
struct Source {
    origin: Origin,
    before: IpAddr,
    after: IpAddr,
    pod: Option<Key>,
}

/// Every pod that is there in both clusters, the node's addresses, addresses at the edges of every range, and others.
fn sources(before: &ClusterState, after: &ClusterState, node: &str, family: IpFamily) -> Vec<Source> {
    let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
    let mut found = Vec::new();
    let (old, new) = (before.node(node).unwrap(), after.node(node).unwrap());
    let own = |state: &ClusterState| -> Vec<IpAddr> {
        state.node(node).unwrap().addresses.iter().map(|a| a.ip).filter(ours).collect()
    };
    let (old_own, new_own) = (own(before), own(after));
    for ip in new_own.iter().filter(|ip| old_own.contains(ip)) {
        found.push(Source { origin: Origin::Node, before: *ip, after: *ip, pod: None });
    }
    let loopback: IpAddr = if family == IpFamily::IPv4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
    found.push(Source { origin: Origin::Node, before: loopback, after: loopback, pod: None });
    let mut pod_ips = BTreeSet::new();
    let mut local_ips = BTreeSet::new();
    for state in [before, after] {
        for pod in state.pods().values().filter(|pod| !pod.host_network) {
            pod_ips.extend(pod.ips.iter().copied());
            if pod.node.as_deref() == Some(node) {
                local_ips.extend(pod.ips.iter().copied());
            }
        }
    }
    for pod in after.pods_on(node).filter(|pod| !pod.host_network) {
        let Some(earlier) = before
            .pods()
            .get(pod.key())
            .filter(|earlier| earlier.node.as_deref() == Some(node) && !earlier.host_network)
        else {
            continue;
        };
        let ip = |ips: &[IpAddr]| ips.iter().copied().find(ours);
        if let (Some(before), Some(after)) = (ip(&earlier.ips), ip(&pod.ips)) {
            found.push(Source { origin: Origin::Pod, before, after, pod: Some(pod.key().clone()) });
        }
    }
    let cidrs: Vec<IpNet> = old.pod_cidrs.iter().chain(&new.pod_cidrs).copied().collect();
    let vips: BTreeSet<IpAddr> = [before, after]
        .iter()
        .flat_map(|state| state.services().values())
        .flat_map(|service| {
            let ingress = service.ingress.iter().filter_map(|ingress| ingress.ip);
            service.cluster_ip.ips().iter().copied().chain(service.external_ips.clone()).chain(ingress)
        })
        .collect();
    for ip in edges(before, after, family) {
        let is_own =
            old_own.contains(&ip) || new_own.contains(&ip) || ip.is_loopback() || ip.is_unspecified();
        if is_own || vips.contains(&ip) {
            continue;
        }
        let in_net = cidrs.iter().any(|net| net.contains(&ip));
        let origin = match (in_net, pod_ips.contains(&ip), local_ips.contains(&ip)) {
            (true, false, _) => Origin::Pod,
            (true, true, _) | (false, _, true) => continue,
            (false, _, false) => Origin::Outside,
        };
        found.push(Source { origin, before: ip, after: ip, pod: None });
    }
    found
}

/// The first and last addresses of every network that objects name, those next to them, and a few others.
fn edges(before: &ClusterState, after: &ClusterState, family: IpFamily) -> BTreeSet<IpAddr> {
    let mut nets: Vec<IpNet> = Vec::new();
    for state in [before, after] {
        nets.extend(state.nodes().values().flat_map(|node| node.pod_cidrs.clone()));
        nets.extend(state.nodes().values().flat_map(|node| &node.addresses).map(|a| IpNet::from(a.ip)));
        nets.extend(state.services().values().flat_map(|service| service.source_ranges.clone()));
        nets.extend(state.pods().values().flat_map(|pod| pod.ips.clone()).map(IpNet::from));
        let endpoints = state.slices().values().flat_map(|slice| &slice.endpoints);
        nets.extend(endpoints.filter_map(|e| e.addresses[0].ip()).map(IpNet::from));
    }
    let fixed = [
        "10.244.0.0/16",
        "fd00:10:244::/56",
        "0.0.0.0/32",
        "198.51.100.0/24",
        "2001:db8::/32",
        "203.0.113.9/32",
    ];
    nets.extend(fixed.iter().map(|net| net.parse::<IpNet>().unwrap()));
    let mut edges = BTreeSet::new();
    for net in nets.iter().filter(|net| IpFamily::of(net.addr()) == family) {
        for ip in [net.network(), net.broadcast()] {
            edges.extend(neighbours(ip));
        }
    }
    edges
}

fn neighbours(ip: IpAddr) -> Vec<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            let at = u32::from(ip);
            [at.checked_sub(1), Some(at), at.checked_add(1)]
                .into_iter()
                .flatten()
                .map(|n| IpAddr::V4(n.into()))
                .collect()
        }
        IpAddr::V6(ip) => {
            let at = u128::from(ip);
            [at.checked_sub(1), Some(at), at.checked_add(1)]
                .into_iter()
                .flatten()
                .map(|n| IpAddr::V6(n.into()))
                .collect()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    kind: TargetKind,
    /// Node ports: of the node.
    ip: IpAddr,
    port: u16,
    protocol: Protocol,
}

/// Everything that a Service claims, before or after.
fn destinations(
    before: &ClusterState,
    after: &ClusterState,
    node: &str,
    family: IpFamily,
) -> BTreeSet<Place> {
    let own: Vec<IpAddr> = after.node(node).unwrap().addresses.iter().map(|a| a.ip).collect();
    let own = own.into_iter().filter(|ip| before.node(node).unwrap().addresses.iter().any(|a| a.ip == *ip));
    let own: Vec<IpAddr> = own.filter(|ip| IpFamily::of(*ip) == family).collect();
    let loopback: IpAddr = if family == IpFamily::IPv4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
    let mut found = BTreeSet::new();
    for state in [before, after] {
        for service in state.services().values() {
            if vipscope_shared::proxy::ports::cluster_ip(service, family).is_none() {
                continue;
            }
            let cluster = vipscope_shared::proxy::ports::cluster_ip(service, family).unwrap();
            let external = service.external_ips.iter().map(|ip| (TargetKind::ExternalIp, *ip));
            let balancer =
                service.ingress.iter().filter_map(|i| i.ip).map(|ip| (TargetKind::LoadBalancer, ip));
            let ips: Vec<_> =
                [(TargetKind::ClusterIp, cluster)].into_iter().chain(external).chain(balancer).collect();
            for (kind, ip) in ips.into_iter().filter(|(_, ip)| IpFamily::of(*ip) == family) {
                for port in &service.ports {
                    found.insert(Place { kind, ip, port: port.port.get(), protocol: port.protocol });
                }
                found.insert(Place { kind: TargetKind::UnusedPort, ip, port: 1, protocol: Protocol::Tcp });
            }
            for port in &service.ports {
                let Some(number) = port.node_port else { continue };
                let of = |kind, ip| Place { kind, ip, port: number.get(), protocol: port.protocol };
                found.extend(own.iter().map(|ip| of(TargetKind::NodePort, *ip)));
                found.insert(of(TargetKind::LocalhostNodePort, loopback));
            }
            if let Some(number) = service.health_check_node_port {
                let of = |ip| Place {
                    kind: TargetKind::HealthCheck,
                    ip,
                    port: number.get(),
                    protocol: Protocol::Tcp,
                };
                found.extend(own.iter().map(|ip| of(*ip)));
            }
        }
    }
    found
}

/// The one change that concerns a source at a destination.
fn said_of<'a>(
    difference: &'a Difference,
    place: &Place,
    node: &Text,
    source: &Source,
) -> Vec<(&'a FlowChange, &'a SourceClass)> {
    let is_target = |flow: &&FlowChange| {
        let target = &flow.target;
        target.kind == place.kind
            && target.port == place.port
            && target.protocol == place.protocol
            && target.family == IpFamily::of(place.ip)
            && target.ip.is_none_or(|ip| ip == place.ip)
    };
    let is_source = |class: &&SourceClass| {
        let who = match (&source.pod, class.pods.is_empty()) {
            (Some(pod), _) => class.has_pod(pod, source.after),
            (None, true) => class.has_address(source.after),
            (None, false) => false,
        };
        class.nodes.contains(node) && class.origin == source.origin && class.moved_from.is_none() && who
    };
    let flows = difference.flows.iter().filter(is_target);
    flows
        .flat_map(|flow| flow.sources.classes.iter().filter(is_source).map(move |class| (flow, class)))
        .collect()
}

/// What was met, so that the test knows that it tests something.
#[derive(Default, Debug)]
struct Seen {
    asked: usize,
    changed: usize,
    /// Of these, at health-check node ports.
    health: usize,
    /// Changes for pods that are on another node.
    moved: usize,
    grades: BTreeMap<String, usize>,
    ends: BTreeMap<String, usize>,
}

fn check(seed: u64, before: &ClusterState, after: &ClusterState, what: &str, seen: &mut Seen) {
    let now = "2026-01-31T12:00:00Z".parse().unwrap();
    let difference = vipscope_shared::whatif::difference(before, after, now);
    for flow in &difference.flows {
        *seen.grades.entry(format!("{:?}", flow.grade)).or_default() += 1;
        assert!(
            !flow.sources.classes.is_empty() && !flow.sources.words.is_empty() && !flow.summary.is_empty()
        );
        assert!(
            flow.before.iter().chain(&flow.after).all(|share| !share.reason.is_empty()),
            "{what}: {flow:#?}"
        );
    }
    check_moved(seed, [before, after], &difference, what, seen);
    check_connections(seed, [before, after], &difference, what, seen);
    for name in after.nodes().keys().filter(|key| before.nodes().contains(key)).map(|key| &key.name) {
        for family in IpFamily::BOTH {
            let (Ok(old), Ok(new)) = (find_node(before, name, family), find_node(after, name, family)) else {
                continue;
            };
            let mode = |state: &ClusterState| state.proxy_settings(name).mode;
            check_rules(seed, [before, after], (name, family), &difference, what);
            let old = Predictor::new(before, old, family, mode(before));
            let new = Predictor::new(after, new, family, mode(after));
            let sources = sources(before, after, name, family);
            for place in destinations(before, after, name, family) {
                for source in &sources {
                    // Loopback speaks to loopback only, and only loopback to it.
                    if source.after.is_loopback() != place.ip.is_loopback() {
                        continue;
                    }
                    // From outside, nobody has an address of the node: here, the one that kube-proxy is to bind to.
                    let local = |predictor: &Predictor| predictor.host.is_local(source.after);
                    if source.origin != Origin::Node && (local(&old) || local(&new)) {
                        continue;
                    }
                    let packet = |ip: IpAddr| Packet {
                        source: ip,
                        destination: place.ip,
                        port: place.port,
                        protocol: place.protocol,
                        origin: source.origin,
                    };
                    let was = asked(&old, &packet(source.before), health(before, &old.context, &place));
                    let is = asked(&new, &packet(source.after), health(after, &new.context, &place));
                    if place.kind == TargetKind::HealthCheck && was != is {
                        seen.health += 1;
                    }
                    let said_of = said_of(&difference, &place, name, source);
                    seen.asked += 1;
                    let about = || {
                        format!(
                            "seed {seed}: {what}\nnode {name} {family} {} → {}\n{place:?}\n{source:?}\nbefore {was:#?}\nafter {is:#?}\nsaid {said_of:#?}",
                            mode(before),
                            mode(after)
                        )
                    };
                    if was == is {
                        assert!(said_of.is_empty(), "nothing differs\n{}", about());
                        continue;
                    }
                    seen.changed += 1;
                    let [(flow, class)] = &said_of[..] else {
                        let flows = difference.flows.iter().filter(|flow| flow.target.port == place.port);
                        panic!("it differs\n{}\n{:#?}", about(), flows.collect::<Vec<_>>())
                    };
                    let told =
                        (said(&flow.before, class, source.before), said(&flow.after, class, source.after));
                    let plain = (without_conditions(&was), without_conditions(&is));
                    assert_eq!(told, plain, "{}", about());
                }
            }
        }
    }
}

/// What no mode may say of connections, whatever changes.
fn check_connections(
    seed: u64,
    [before, after]: [&ClusterState; 2],
    difference: &Difference,
    what: &str,
    seen: &mut Seen,
) {
    for broken in &difference.connections {
        let about = || format!("seed {seed}: {what}\n{broken:#?}");
        *seen.ends.entry(format!("{:?}", broken.end)).or_default() += 1;
        let service = broken.target.service.as_ref().and_then(|key| before.services().get(key));
        let service = service.unwrap_or_else(|| panic!("none was there before: {}", about()));
        assert!(!broken.reason.is_empty(), "{}", about());
        let modes = |state: &ClusterState| -> BTreeSet<ProxyMode> {
            let all: Vec<&Text> = state.nodes().keys().map(|key| &key.name).collect();
            let nodes = broken.nodes.iter().chain(all.into_iter().filter(|_| broken.nodes.is_empty()));
            nodes.map(|name| state.proxy_settings(name).mode).collect()
        };
        let netfilter = |mode: &ProxyMode| matches!(mode, ProxyMode::Iptables | ProxyMode::Nftables);
        let all_netfilter = modes(before).iter().chain(&modes(after)).all(netfilter);
        // A pod that is there as before answers as before.
        let pod = broken.pod.as_ref().and_then(|pod| Some((before.pods().get(pod)?, after.pods().get(pod))));
        let stays = pod.is_none_or(|(old, new)| new.is_some_and(|new| new.ips == old.ips));
        match broken.end {
            End::Unpinned => assert!(service.affinity_seconds.is_some(), "{}", about()),
            _ if broken.target.protocol == Protocol::Udp => {}
            // The kernel's entries of TCP and SCTP outlive all rules.
            end => assert!(
                !(all_netfilter && stays) || (end == End::TimeOut && broken.pod.is_some()),
                "{}",
                about()
            ),
        }
        // Of UDP, kube-proxy removes entries in each of these modes, but only if something serves.
        if all_netfilter && broken.end == End::Moved {
            let serving = |slice: &std::sync::Arc<EndpointSlice>| {
                slice.endpoints.iter().any(|endpoint| endpoint.conditions.serving != Some(false))
            };
            assert!(broken.target.protocol == Protocol::Udp, "{}", about());
            assert!(after.slices().values().any(serving), "{}", about());
        }
    }
}

/// Pods on other nodes than before: each is asked on its old node before and on its new one after.
fn check_moved(
    seed: u64,
    [before, after]: [&ClusterState; 2],
    difference: &Difference,
    what: &str,
    seen: &mut Seen,
) {
    for pod in after.pods().values().filter(|pod| !pod.host_network) {
        let Some(earlier) = before.pods().get(pod.key()) else { continue };
        let (Some(from), Some(to)) = (&earlier.node, &pod.node) else { continue };
        if from == to || earlier.host_network {
            continue;
        }
        for family in IpFamily::BOTH {
            let ip = |ips: &[IpAddr]| ips.iter().copied().find(|ip| IpFamily::of(*ip) == family);
            let (Some(old_ip), Some(new_ip)) = (ip(&earlier.ips), ip(&pod.ips)) else { continue };
            let predictor = |state: &ClusterState, name: &Text| {
                let mode = state.proxy_settings(name).mode;
                Some(Predictor::new(state, find_node(state, name, family).ok()?, family, mode))
            };
            let (Some(old), Some(new)) = (predictor(before, from), predictor(after, to)) else { continue };
            for place in destinations(before, after, to, family) {
                if matches!(
                    place.kind,
                    TargetKind::NodePort | TargetKind::LocalhostNodePort | TargetKind::HealthCheck
                ) {
                    continue;
                }
                let packet = |source: IpAddr| Packet {
                    source,
                    destination: place.ip,
                    port: place.port,
                    protocol: place.protocol,
                    origin: Origin::Pod,
                };
                let (was, is) = (asked(&old, &packet(old_ip), None), asked(&new, &packet(new_ip), None));
                let said_of = said_of_moved(difference, &place, from, to, pod.key());
                let about = || {
                    format!(
                        "seed {seed}: {what}\n{} from {from} to {to}\n{place:?}\nbefore {was:#?}\nafter {is:#?}\nsaid {said_of:#?}",
                        pod.key()
                    )
                };
                if was == is {
                    assert!(said_of.is_empty(), "nothing differs\n{}", about());
                    continue;
                }
                // Of Services that are as before, and mean the same on both nodes, it need not be said.
                if said_of.is_empty() && !is_concerned([before, after], [from, to], place.ip) {
                    continue;
                }
                let [(flow, class)] = &said_of[..] else { panic!("it differs\n{}", about()) };
                let told = (said(&flow.before, class, old_ip), said(&flow.after, class, new_ip));
                assert_eq!(told, (without_conditions(&was), without_conditions(&is)), "{}", about());
                seen.moved += 1;
            }
        }
    }
}

/// The classes of pods that moved.
fn said_of_moved<'a>(
    difference: &'a Difference,
    place: &Place,
    from: &Text,
    to: &Text,
    pod: &Key,
) -> Vec<(&'a FlowChange, &'a SourceClass)> {
    let is_it = |class: &&SourceClass| {
        (&class.nodes[..], class.moved_from.as_ref(), class.origin)
            == (std::slice::from_ref(to), Some(from), Origin::Pod)
            && class.pods.contains(pod)
    };
    let is_target = |flow: &&FlowChange| {
        let target = &flow.target;
        (target.kind, target.port, target.protocol, target.ip)
            == (place.kind, place.port, place.protocol, Some(place.ip))
    };
    let flows = difference.flows.iter().filter(is_target);
    flows.flat_map(|flow| flow.sources.classes.iter().filter(is_it).map(move |class| (flow, class))).collect()
}

/// Whether a Service at the address is another than before, has other endpoints, or has some on these nodes and policy Local.
fn is_concerned(states: [&ClusterState; 2], nodes: [&Text; 2], ip: IpAddr) -> bool {
    let [before, after] = states;
    let is_at = |service: &Service| {
        let outside = service.external_ips.iter().copied();
        let ingress = service.ingress.iter().filter_map(|ingress| ingress.ip);
        service.cluster_ip.ips().iter().copied().chain(outside).chain(ingress).any(|known| known == ip)
    };
    let local = |state: &ClusterState, service: &Service| {
        let mut endpoints = state.slices_of(service.key()).flat_map(|slice| &slice.endpoints);
        [service.internal_policy, service.external_policy].contains(&TrafficPolicy::Local)
            && endpoints.any(|endpoint| endpoint.node.as_ref().is_some_and(|node| nodes.contains(&node)))
    };
    states.into_iter().any(|state| {
        state.services().values().filter(|service| is_at(service)).any(|service| {
            let key = service.key();
            before.services().get(key) != after.services().get(key)
                || !before.slices_of(key).eq(after.slices_of(key))
                || local(state, service)
        })
    })
}

/// The lines that come and go are counted as those of all rules, made anew.
fn check_rules(
    seed: u64,
    [before, after]: [&ClusterState; 2],
    (name, family): (&Text, IpFamily),
    difference: &Difference,
    what: &str,
) {
    let parts = |state: &ClusterState| {
        let mode = state.proxy_settings(name).mode;
        generate(state, state.node(name).unwrap(), family, mode).parts()
    };
    let diff = Diff::between(&parts(before), &parts(after));
    let added = diff.parts.values().map(|part| part.added.len()).sum();
    let removed = diff.parts.values().map(|part| part.removed.len()).sum();
    let said = difference.rules.iter().find(|change| change.node == *name && change.family == family);
    let counts = said.map_or((0, 0), |change| (change.added, change.removed));
    assert_eq!(counts, (added, removed), "seed {seed}: {what}\n{name} {family}: {diff:#?}");
    let lines = said.map(|change| &change.lines[..]).unwrap_or_default();
    let mut told: Vec<(&str, bool, &str)> =
        lines.iter().map(|line| (&*line.line.part, line.fate == Fate::Added, &*line.line.text)).collect();
    let mut all = Vec::new();
    for (part, diff) in &diff.parts {
        all.extend(diff.removed.iter().map(|text| (&**part, false, &**text)));
        all.extend(diff.added.iter().map(|text| (&**part, true, &**text)));
    }
    let parts = |lines: &[(&str, bool, &str)]| -> Vec<(String, bool)> {
        lines.iter().map(|(part, added, _)| ((*part).to_owned(), *added)).collect()
    };
    // The first ones, by part.
    assert_eq!(parts(&told), parts(&all[..told.len()]), "seed {seed}: {what}\n{name} {family}");
    assert!(told.iter().all(|line| all.contains(line)), "seed {seed}: {what}\n{name} {family}: {told:#?}");
    if told.len() == all.len() {
        told.sort_unstable();
        all.sort_unstable();
        assert_eq!(told, all, "seed {seed}: {what}\n{name} {family}");
    }
}

#[test]
fn brute_force_finds_the_same() {
    let clusters = env::var("VIPSCOPE_CLUSTERS").ok().and_then(|text| text.parse().ok()).unwrap_or(CLUSTERS);
    let first = env::var("VIPSCOPE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut seen = Seen::default();
    for seed in first..first + clusters {
        let mut maker = Maker::new(seed);
        let before = maker.cluster();
        let (after, what) = maker.change(&before);
        check(seed, &before, &after, &what, &mut seen);
    }
    println!("{seen:?}");
    if clusters >= CLUSTERS {
        assert!(
            seen.changed * 50 > seen.asked
                && seen.grades.len() == 4
                && seen.health * 1_000 > seen.changed
                && seen.moved > 50
                && seen.ends.len() == 5,
            "changes must meet everything: {seen:?}"
        );
    }
}
