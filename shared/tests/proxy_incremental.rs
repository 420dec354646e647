//! Law: rules that follow the cluster step by step equal those made anew after every step, and the differences that they
//! report lead from each ruleset to the next. `VIPSCOPE_EVENTS=100000` makes the run as long as that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{
    AddressType, ClusterIp, ClusterState, Endpoint, EndpointAddress, EndpointPort, EndpointSlice, Ingress,
    IpFamily, IpMode, Key, Keyed, Kind, LocalDetector, Meta, Node, NodeAddress, NodeAddressType, ObjectRef,
    Protocol, ProxyConfig, ProxyMode, ProxySettings, SERVICE_NAME_LABEL, Service, ServicePort, ServiceType,
    TargetPort, TrafficPolicy, ZONE_LABEL,
};
use vipscope_shared::proxy;
use vipscope_shared::proxy::incremental::{NodeRules, SharedPorts};
use vipscope_shared::proxy::parts::{Fate, Parts};
use vipscope_shared::synthetic::Random;

const SERVICES: usize = 12;
const NODES: usize = 3;

fn ip(a: u8, b: u8, c: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, (c / 250) as u8, (c % 250) as u8 + 1))
}

fn service_key(nth: usize) -> Key {
    Key::new(format!("ns{}", nth % 3), format!("s{nth}"))
}

fn node(nth: usize, random: &mut Random) -> Object {
    let mut node = Node::named(format!("n{nth}"));
    let zone = ["a", "b"][random.below(2)];
    node.meta.labels = [(ZONE_LABEL, zone)].into_iter().collect();
    node.ready = !random.once_in(4);
    let address = NodeAddress { address_type: NodeAddressType::InternalIP, ip: ip(192, 168, nth) };
    node.addresses = vec![address];
    Object::Node(Arc::new(node))
}

/// Few addresses and ports, so that Services often claim the same.
fn service(nth: usize, random: &mut Random) -> Object {
    let mut service = Service::named(service_key(nth));
    service.cluster_ip = ClusterIp::Ips(vec![ip(10, 96, random.below(10))]);
    service.service_type =
        [ServiceType::ClusterIP, ServiceType::NodePort, ServiceType::LoadBalancer][random.below(3)];
    if random.once_in(10) {
        service.cluster_ip = ClusterIp::Headless;
    }
    let names = [&["http"][..], &["http", "admin"], &[""]][random.below(3)];
    for name in names {
        service.ports.push(ServicePort {
            name: (*name).into(),
            protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][random.below(3)],
            port: NonZeroU16::new(80 + random.below(2) as u16).unwrap(),
            target_port: TargetPort::Number(NonZeroU16::new(8080).unwrap()),
            node_port: NonZeroU16::new(30_000 + random.below(4) as u16).filter(|_| random.once_in(2)),
            app_protocol: None,
        });
    }
    if random.once_in(3) {
        service.external_ips = vec![ip(198, 51, random.below(3))];
    }
    if random.once_in(3) {
        let ip = Some(ip(203, 0, random.below(3)));
        service.ingress = vec![Ingress { ip, hostname: None, ip_mode: IpMode::Vip }];
    }
    if random.once_in(3) {
        let ranges = ["10.0.0.0/8", "192.168.0.0/16", "0.0.0.0/0"];
        service.source_ranges = vec![ranges[random.below(3)].parse().unwrap()];
    }
    service.affinity_seconds = random.once_in(3).then_some(600);
    service.health_check_node_port = NonZeroU16::new(31_000 + nth as u16).filter(|_| random.once_in(2));
    let policies = [TrafficPolicy::Cluster, TrafficPolicy::Local];
    service.external_policy = policies[random.below(2)];
    service.internal_policy = policies[usize::from(random.once_in(4))];
    Object::Service(Arc::new(service))
}

/// Sometimes of another Service than before, and sometimes so large that the cluster becomes large.
fn slice(nth: usize, random: &mut Random) -> Object {
    let mut meta = Meta::named(Key::new(format!("ns{}", nth % 3), format!("slice{nth}")));
    let owner = service_key(nth % 3 + 3 * random.below(SERVICES / 3));
    meta.labels = [(SERVICE_NAME_LABEL, &*owner.name)].into_iter().collect();
    let mut slice =
        EndpointSlice { meta, address_type: AddressType::IPv4, ports: Vec::new(), endpoints: Vec::new() };
    for name in ["http", "admin", ""] {
        slice.ports.push(EndpointPort {
            name: name.into(),
            protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][random.below(3)],
            port: NonZeroU16::new(8080),
            app_protocol: None,
        });
    }
    let count = if random.once_in(150) { 1200 } else { random.below(5) };
    for _ in 0..count {
        let mut endpoint: Endpoint = serde_json::from_str(r#"{"addresses": []}"#).unwrap();
        let address = ip(10, 244, random.below(if count > 5 { 60_000 } else { 12 }));
        endpoint.addresses = vec![EndpointAddress::Ip(address)];
        endpoint.node = Some(format!("n{}", random.below(NODES)).into());
        endpoint.conditions.ready = Some(!random.once_in(4));
        endpoint.conditions.terminating = Some(random.once_in(4));
        if random.once_in(2) {
            endpoint.zone_hints = vec![["a", "b"][random.below(2)].into()];
        }
        slice.endpoints.push(endpoint);
    }
    Object::EndpointSlice(Arc::new(slice))
}

fn config(random: &mut Random) -> Object {
    let mut settings = ProxySettings::default();
    settings.iptables.all = random.once_in(2);
    settings.nftables.bit = random.below(32) as u8;
    settings.ipvs_scheduler = ["", "mh"][random.below(2)].into();
    if random.once_in(2) {
        settings.detect_local = LocalDetector::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]);
    }
    let meta = Meta::named(ProxyConfig::well_known_key());
    Object::ProxyConfig(Arc::new(ProxyConfig { meta, settings, nodes: Default::default() }))
}

fn event(state: &ClusterState, random: &mut Random) -> Change {
    let object = match random.below(100) {
        0 => node(random.below(NODES), random),
        1 => config(random),
        2..45 => service(random.below(SERVICES), random),
        _ => slice(random.below(2 * SERVICES), random),
    };
    let gone = object.object_ref();
    let deletable = matches!(gone.kind, Kind::Service | Kind::EndpointSlice);
    let exists = state.services().contains(&gone.key) || state.slices().contains(&gone.key);
    if deletable && exists && random.once_in(4) { Change::Delete(gone) } else { Change::Upsert(object) }
}

fn object_of(change: &Change) -> ObjectRef {
    match change {
        Change::Upsert(object) => object.object_ref(),
        Change::Delete(object) => object.clone(),
        other => panic!("{other:?}"),
    }
}

fn sorted(mut parts: Parts) -> Parts {
    parts.values_mut().for_each(|lines| lines.sort());
    parts
}

struct Follower {
    mode: ProxyMode,
    rules: NodeRules,
    parts: Parts,
}

/// Runs events over one node in every mode, and counts differences that were not empty.
fn run(events: usize, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut state = ClusterState::default();
    for nth in 0..NODES {
        let _ = state.apply(&Change::Upsert(node(nth, &mut random)));
    }
    let family = IpFamily::IPv4;
    let mut shared = SharedPorts::new(&state, family);
    let follow = |mode| {
        let rules = NodeRules::new(&state, &shared, state.node("n1").unwrap(), mode);
        let parts = sorted(rules.rules().parts());
        Follower { mode, rules, parts }
    };
    let mut followers: Vec<Follower> = ProxyMode::ALL.into_iter().map(follow).collect();
    let mut differences = 0;
    for nth in 0..events {
        let change = event(&state, &mut random);
        let _ = state.apply(&change);
        let touched = shared.update(&state, &object_of(&change));
        for Follower { mode, rules, parts } in &mut followers {
            let diff = rules.update(&state, &shared, &touched);
            differences += usize::from(!diff.is_empty());
            let expected = proxy::generate(&state, state.node("n1").unwrap(), family, *mode);
            assert!(rules.rules() == expected, "seed {seed}, event {nth}, {mode}: {:?}", object_of(&change));
            diff.apply(parts);
            *parts = sorted(std::mem::take(parts));
            let expected = sorted(expected.parts());
            if *parts != expected {
                let names: Vec<_> = expected.keys().chain(parts.keys()).collect();
                let wrong = names.into_iter().find(|name| parts.get(*name) != expected.get(*name)).unwrap();
                panic!(
                    "seed {seed}, event {nth}, {mode}: {:?} in {wrong}:\n{:#?}\n{:#?}\ndiff {:#?}",
                    object_of(&change),
                    parts.get(wrong),
                    expected.get(wrong),
                    diff.parts.get(wrong)
                );
            }
        }
    }
    differences
}

#[test]
fn following_equals_starting_anew() {
    let events = std::env::var("VIPSCOPE_EVENTS").map_or(2_000, |text| text.parse().unwrap());
    let differences = run(events, 7);
    println!("{events} events, {differences} differences in four modes");
    assert!(differences > events, "{differences}: the events hardly change anything");
}

#[test]
fn a_changed_endpoint_changes_its_chains_only() {
    let mut random = Random(3);
    let mut state = ClusterState::default();
    let _ = state.apply(&Change::Upsert(node(1, &mut random)));
    for nth in 0..SERVICES {
        let mut service = Service::named(service_key(nth));
        service.cluster_ip = ClusterIp::Ips(vec![ip(10, 96, nth)]);
        service.ports =
            vec![serde_json::from_str(r#"{"protocol": "TCP", "port": 80, "targetPort": "8080"}"#).unwrap()];
        let _ = state.apply(&Change::Upsert(Object::Service(Arc::new(service))));
    }
    let mut shared = SharedPorts::new(&state, IpFamily::IPv4);
    let mut rules = NodeRules::new(&state, &shared, state.node("n1").unwrap(), ProxyMode::Iptables);
    let mut slice: EndpointSlice = serde_json::from_str(
        r#"{"meta": {"key": {"ns": "ns0", "name": "one"}, "labels": {"kubernetes.io/service-name": "s0"}}, "addressType": "IPv4",
            "ports": [{"name": "", "protocol": "TCP", "port": 8080}], "endpoints": [{"addresses": ["10.244.0.1"]}]}"#,
    )
    .unwrap();
    let mut step = |slice: &EndpointSlice| {
        let object = slice.object_ref();
        let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice.clone()))));
        let touched = shared.update(&state, &object);
        rules.update(&state, &shared, &touched)
    };
    let first = step(&slice);
    let fates: Vec<_> = first.parts.iter().map(|(name, diff)| (&name[..15], diff.fate)).collect();
    assert_eq!(
        fates,
        [
            ("filter/KUBE-SER", Fate::Changed),
            ("nat/KUBE-SEP-4U", Fate::Added),
            ("nat/KUBE-SERVIC", Fate::Changed),
            ("nat/KUBE-SVC-T2", Fate::Added),
        ],
        "{first:#?}"
    );
    assert!(step(&slice).is_empty(), "the same again");
    slice.endpoints[0].addresses = vec![EndpointAddress::Ip(ip(10, 244, 1))];
    let moved = step(&slice);
    let fates: Vec<Fate> = moved.parts.values().map(|diff| diff.fate).collect();
    assert_eq!(fates.len(), 3, "{moved:#?}");
    assert_eq!(
        fates.iter().filter(|fate| **fate == Fate::Changed).count(),
        1,
        "only the balancing chain stays"
    );
}
