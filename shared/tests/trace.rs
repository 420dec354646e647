//! Following packets through rules: held to a second answer that is worked out from the objects alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "support/small.rs"]
mod small;
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::env;

use support::packets::Pool;
use support::{Varied, cases, varied};
use vipscope_shared::model::{ClusterState, IpFamily, ProxyMode};
use vipscope_shared::predict::Predictor;
use vipscope_shared::proxy::reference::{Fate, From, Probe, answer};
use vipscope_shared::synthetic::Random;
use vipscope_shared::trace::{Fraction, Origin, Outcome, Packet, Trace, Verdict};

/// Packets for each mode in an ordinary run; `VIPSCOPE_PACKETS` asks for more.
const PACKETS: usize = 10_000;

fn packets() -> usize {
    env::var("VIPSCOPE_PACKETS").ok().and_then(|text| text.parse().ok()).unwrap_or(PACKETS)
}

fn expected(state: &ClusterState, predictor: &Predictor, packet: &Packet) -> Fate {
    let Packet { source, destination, port, protocol, origin } = predictor.as_sent(*packet);
    let from = match origin {
        Origin::Pod => From::Pod,
        Origin::Node => From::Node,
        Origin::Outside => From::Outside,
    };
    answer(state, &predictor.context, &Probe { source, destination, port, protocol, from })
}

/// The trace in the reference's words. Every endpoint must be as likely as the others, and all together certain.
fn told(trace: &Trace) -> Fate {
    let sum = trace.outcomes.iter().fold(Fraction::ZERO, |sum, one| sum.plus(one.probability).unwrap());
    assert_eq!(sum, Fraction::ONE, "{trace:?}");
    let [first, ..] = &trace.outcomes[..] else { panic!("no outcome") };
    let each = Fraction::new(1, trace.outcomes.len() as u64).unwrap();
    let one = |outcome: &Outcome| {
        assert_eq!(outcome.probability, each, "{trace:?}");
        (outcome.destination, outcome.masquerade)
    };
    let (kept, lost): (Vec<&Outcome>, Vec<&Outcome>) =
        trace.outcomes.iter().partition(|outcome| outcome.verdict == Verdict::Deliver);
    if !kept.is_empty() && !lost.is_empty() {
        assert!(lost.iter().all(|outcome| outcome.verdict == Verdict::Drop), "{trace:?}");
        return Fate::Partly(
            kept.into_iter().map(one).collect(),
            lost.into_iter().map(|lost| one(lost).0).collect(),
        );
    }
    match first.verdict {
        Verdict::Accept => Fate::Accept,
        Verdict::Drop => Fate::Drop,
        Verdict::Reject => Fate::Reject,
        Verdict::NoMatch => Fate::NoMatch,
        Verdict::Unknown => panic!("unknown: {trace:?}"),
        Verdict::Deliver => Fate::Deliver(kept.into_iter().map(one).collect()),
    }
}

fn sorted(fate: Fate) -> Fate {
    match fate {
        Fate::Deliver(mut all) => {
            all.sort_unstable();
            Fate::Deliver(all)
        }
        Fate::Partly(mut kept, mut lost) => {
            kept.sort_unstable();
            lost.sort_unstable();
            Fate::Partly(kept, lost)
        }
        other => other,
    }
}

/// Draws packets in random clusters until there are enough; counts what became of them.
fn compare(mode: ProxyMode) {
    let (cases, wanted) = (cases(), packets());
    let (mut drawn, mut seed) = (0, 0_u64);
    let mut fates = std::collections::BTreeMap::<&str, usize>::new();
    while drawn < wanted {
        let case = &cases[seed as usize % cases.len()];
        let Varied { state, node, family } = if seed.is_multiple_of(3) {
            let state = vipscope_shared::manifest::load(&case.text).unwrap().state;
            Varied { state, node: case.node.clone(), family: case.family }
        } else {
            varied(case, seed)
        };
        let node = state.node(&node).unwrap();
        let predictor = Predictor::new(&state, node, family, mode);
        let pool = Pool::of(&state, node, family);
        let mut random = Random(seed);
        for _ in 0..60 {
            let packet = pool.draw(&mut random, &state, node);
            let trace = predictor.trace(&packet);
            let (told, expected) = (sorted(told(&trace)), sorted(expected(&state, &predictor, &packet)));
            if told != expected {
                let answer = predictor.answer(&state, &packet);
                panic!(
                    "{} seed {seed} node {} {family} {mode}\n{packet:?}\nrules: {told:?}\nobjects: {expected:?}\n{:#?}\n{:#?}",
                    case.name, predictor.context.node.meta.key.name, answer.outcomes, predictor.context
                );
            }
            *fates.entry(name(&told)).or_default() += 1;
            drawn += 1;
        }
        seed += 1;
    }
    println!("{mode}: {drawn} packets in {seed} clusters: {fates:?}");
    let enough = |fate: &str| fates.get(fate).is_some_and(|count| *count > wanted / 100);
    let rare = if mode == ProxyMode::Userspace {
        &["deliver", "no match"][..]
    } else {
        &["deliver", "drop", "reject", "no match"]
    };
    assert!(rare.iter().all(|fate| enough(fate)), "packets must meet everything: {fates:?}");
}

fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Deliver(_) => "deliver",
        Fate::Partly(..) => "deliver in part",
        Fate::Accept => "accept",
        Fate::Drop => "drop",
        Fate::Reject => "reject",
        Fate::NoMatch => "no match",
    }
}

#[test]
fn iptables_rules_and_objects_agree() {
    compare(ProxyMode::Iptables);
}

#[test]
fn nftables_rules_and_objects_agree() {
    compare(ProxyMode::Nftables);
}

#[test]
fn ipvs_rules_and_objects_agree() {
    compare(ProxyMode::Ipvs);
}

#[test]
fn userspace_rules_and_objects_agree() {
    compare(ProxyMode::Userspace);
}

/// The rules of the Services that claim a packet answer like those of all Services.
#[test]
fn the_rules_that_concern_a_packet_answer_like_all() {
    for (nth, case) in cases().iter().enumerate() {
        let Varied { state, node, family } = varied(case, nth as u64);
        let node = state.node(&node).unwrap();
        let pool = Pool::of(&state, node, family);
        let mut random = Random(nth as u64);
        for mode in ProxyMode::ALL {
            let all = Predictor::new(&state, node, family, mode);
            for _ in 0..10 {
                let packet = pool.draw(&mut random, &state, node);
                let some = Predictor::for_packet(&state, node, family, mode, &packet);
                let (some, all) = (some.answer(&state, &packet), all.answer(&state, &packet));
                assert_eq!(some.outcomes, all.outcomes, "{} {mode} {packet:?}", case.name);
            }
        }
    }
}

/// Also where Services lead to each other: endpoints that are nodes, at node ports of others, or at others' addresses.
#[test]
fn services_that_lead_to_each_other_answer_like_all() {
    for seed in 0..150 {
        let mut maker = small::Maker::new(seed);
        let (state, mut random) = (maker.cluster(), Random(seed));
        for node in state.nodes().values() {
            let pool = Pool::of(&state, node, IpFamily::IPv4);
            for mode in ProxyMode::ALL {
                let all = Predictor::new(&state, node, IpFamily::IPv4, mode);
                for _ in 0..30 {
                    let packet = pool.draw(&mut random, &state, node);
                    let some = Predictor::for_packet(&state, node, IpFamily::IPv4, mode, &packet);
                    let (some, all) = (some.answer(&state, &packet), all.answer(&state, &packet));
                    assert_eq!(some.outcomes, all.outcomes, "seed {seed} {mode} {packet:?}");
                }
            }
        }
    }
}

/// The endpoint is the node itself, at a port that is the node port of a Service without endpoints: that one's rule refuses it.
#[test]
fn an_endpoint_at_the_node_port_of_another_service() {
    let text = "
{apiVersion: v1, kind: Node, metadata: {name: node-a}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: front, namespace: shop}, spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: front, namespace: shop, labels: {kubernetes.io/service-name: front}}, addressType: IPv4, ports: [{name: '', port: 30080}], endpoints: [{addresses: [192.168.0.1]}]}
---
{apiVersion: v1, kind: Service, metadata: {name: lonely, namespace: shop}, spec: {type: NodePort, clusterIP: 10.96.0.2, ports: [{port: 80, nodePort: 30080}]}}
";
    let state = vipscope_shared::manifest::load(text).unwrap().state;
    let node = state.node("node-a").unwrap();
    let packet = Packet {
        source: "198.51.100.7".parse().unwrap(),
        destination: "10.96.0.1".parse().unwrap(),
        port: 80,
        protocol: vipscope_shared::model::Protocol::Tcp,
        origin: Origin::Outside,
    };
    let rows = [ProxyMode::Iptables, ProxyMode::Nftables].map(|mode| {
        let some = Predictor::for_packet(&state, node, IpFamily::IPv4, mode, &packet);
        let all = Predictor::new(&state, node, IpFamily::IPv4, mode);
        [some, all].map(|predictor| predictor.trace(&packet).outcomes[0].verdict)
    });
    assert_eq!(rows, [[Verdict::Reject; 2]; 2]);
}

#[test]
fn both_families_are_covered() {
    let families: std::collections::BTreeSet<IpFamily> =
        cases().iter().take(30).enumerate().map(|(nth, case)| varied(case, nth as u64).family).collect();
    assert_eq!(families.len(), 2);
}

/// Every rule that does something to a packet for a Service's cluster IP is a line of the Rules panel of that Service. (Jumps
/// into chains that hold nothing of the Service are left out there.)
#[test]
fn steps_are_lines_of_the_rules_panel() {
    use std::collections::BTreeSet;
    use vipscope_shared::model::Key;
    use vipscope_shared::proxy::reading::{self, LineId, View};
    use vipscope_shared::proxy::{Scope, generate_for};
    let mut found = 0;
    for (nth, case) in cases().iter().enumerate() {
        let state = vipscope_shared::manifest::load(&case.text).unwrap().state;
        let node = state.node(&case.node).unwrap();
        let mode = ProxyMode::ALL[nth % 4];
        let predictor = Predictor::new(&state, node, case.family, mode);
        let ports = vipscope_shared::proxy::ports::port_infos(&state, case.family);
        for info in ports.iter().take(3) {
            let key = Key::new(info.namespace.clone(), info.service.clone());
            let rules = generate_for(&state, node, case.family, mode, Scope::Service(&key));
            let lit = BTreeSet::new();
            let panel = reading::read(&rules, View { limit: usize::MAX, focus: None, lit: &lit });
            let lines: BTreeSet<LineId> = panel
                .sections
                .iter()
                .flat_map(|section| &section.blocks)
                .flat_map(|block| block.lines.iter().map(|line| line.id.clone()))
                .collect();
            let foreign = if case.family == IpFamily::IPv4 { "198.51.100.7" } else { "2001:db8::7" };
            let packet = Packet {
                source: foreign.parse().unwrap(),
                destination: info.cluster_ip,
                port: info.port,
                protocol: info.protocol,
                origin: Origin::Outside,
            };
            let answer = predictor.answer(&state, &packet);
            for step in answer.outcomes.iter().flat_map(|outcome| &outcome.steps) {
                let jump = step.effect.starts_with("to ") && step.element.is_none();
                for line in step.lines().into_iter().filter(|_| !jump) {
                    assert!(
                        lines.contains(&line),
                        "{} {mode} {key}: {line:?} not among {lines:#?}",
                        case.name
                    );
                    found += 1;
                }
            }
        }
    }
    assert!(found > 500, "{found}");
}

/// The shares that the map shows are those of the rules.
#[test]
fn shares_on_the_map_are_those_of_the_rules() {
    use vipscope_shared::proxy::{Via, categorize, shares};
    let mut compared = 0;
    for case in cases() {
        let state = vipscope_shared::manifest::load(&case.text).unwrap().state;
        let node = state.node(&case.node).unwrap();
        let predictor = Predictor::new(&state, node, case.family, ProxyMode::Iptables);
        let foreign = if case.family == IpFamily::IPv4 { "198.51.100.7" } else { "2001:db8::7" };
        for info in vipscope_shared::proxy::ports::port_infos(&state, case.family) {
            let packet = Packet {
                source: foreign.parse().unwrap(),
                destination: info.cluster_ip,
                port: info.port,
                protocol: info.protocol,
                origin: Origin::Outside,
            };
            if predictor.claim(packet.destination, packet.port, packet.protocol).map(|claim| &claim.name)
                != Some(&info.name)
            {
                continue;
            }
            let trace = predictor.trace(&packet);
            let mut by_rules: Vec<_> = trace
                .outcomes
                .iter()
                .filter(|outcome| outcome.verdict == Verdict::Deliver)
                .map(|outcome| outcome.destination)
                .collect();
            by_rules.sort_unstable();
            let categories = categorize(&info.endpoints, info.view, node);
            let share = shares(&categories, info.view, Via::ClusterIp);
            let mut by_map: Vec<_> =
                share.chosen.iter().map(|index| info.endpoints[*index].socket()).collect();
            by_map.sort_unstable();
            assert_eq!(by_rules, by_map, "{} {}", case.name, info.name);
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
}
