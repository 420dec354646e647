//! Changed flows as rows for people: every flow is in exactly one, the gravest come first, and the words are read back and
//! held against the flows, target by target and source by source, in random clusters.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/demo_shop.rs"]
mod demo_shop;
#[path = "support/group_words.rs"]
mod group_words;
#[path = "support/small.rs"]
mod small;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use group_words::{Who, sources_in, targets_in};
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};
use small::Maker;
use vipscope_shared::model::{ClusterState, IpFamily, Key, Keyed, ProxyMode};
use vipscope_shared::proxy::find_node;
use vipscope_shared::trace::{Origin, Verdict};
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::compare::{compare, with_mode};
use vipscope_shared::whatif::difference::{
    Difference, FlowChange, FlowGroup, Grade, GroupPart, Target, TargetKind,
};
use vipscope_shared::whatif::edit::{Edit, NodeEdit};
use vipscope_shared::whatif::{Findings, Options, difference_with};

const CLUSTERS: u64 = 1_000;

fn options() -> Options<'static> {
    Options { findings: Findings::Skip, ..Options::at(Timestamp::UNIX_EPOCH) }
}

/// `3`, `1 or 2`, `1 to 4`.
fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (least, most) = text.split_once(" or ").or(text.split_once(" to ")).unwrap_or((text, text));
    Some(least.parse().ok()?..=most.parse().ok()?)
}

/// What was met in all clusters, so that the laws are not held of nothing.
#[derive(Debug, Default)]
struct Seen {
    flows: usize,
    groups: usize,
    /// Sources asked that are in a part, and that are not.
    inside: usize,
    outside: usize,
    /// Words that hold back a part of a list.
    shortened: usize,
    /// Words that say `some`.
    some: usize,
    several: usize,
    degraded: usize,
}

struct Check<'a> {
    seed: u64,
    states: [&'a ClusterState; 2],
    difference: &'a Difference,
    seen: &'a mut Seen,
}

impl Check<'_> {
    fn all(&mut self) {
        let Difference { flows, groups, .. } = self.difference;
        let mut placed: Vec<usize> = groups.iter().flat_map(FlowGroup::flows).collect();
        placed.sort_unstable();
        assert_eq!(placed, (0..flows.len()).collect::<Vec<_>>(), "seed {}: each flow once", self.seed);
        assert!(groups.is_sorted_by_key(|group| group.grade), "seed {}: the gravest first", self.seed);
        self.seen.flows += flows.len();
        self.seen.groups += groups.len();
        for group in groups {
            self.seen.several += usize::from(group.services().len() > 1);
            self.failing(group);
            for flow in group.flows() {
                self.change(group, &flows[flow]);
            }
            for part in &group.parts {
                assert!(part.flows.is_sorted() && !part.flows.is_empty());
                self.targets(part);
                self.sources(part);
            }
        }
    }

    fn about(&self, part: &GroupPart) -> String {
        let flows = part.flows.iter().map(|flow| &self.difference.flows[*flow]).collect::<Vec<_>>();
        format!("seed {}: {part:#?}\n{flows:#?}", self.seed)
    }

    /// Grade, cause, what changes, and the numbers in it.
    fn change(&self, group: &FlowGroup, flow: &FlowChange) {
        let about = || format!("seed {}: {} {flow:#?}", self.seed, group.change);
        assert_eq!((group.grade, &group.cause), (flow.grade, &flow.cause), "{}", about());
        let ends = [&flow.before, &flow.after].map(|shares| {
            let ends: BTreeSet<_> = shares.iter().filter_map(|share| share.endpoint).collect();
            ends.len()
        });
        let is_same = group.change == flow.summary;
        if let (Some((_, numbers)), false) = (group.change.split_once("200 ("), is_same) {
            let (number, _) = numbers.split_once(" local endpoint").unwrap();
            let counts = [&flow.before, &flow.after].into_iter().flatten().filter_map(|share| share.health);
            assert!(range(number).unwrap().contains(&(counts.max().unwrap() as usize)), "{}", about());
        }
        let others = group.change.strip_suffix(", other ones").or(group.change.strip_suffix(", another one"));
        if let (Some(side), false) = (others, is_same) {
            let number = side.split_once(" endpoint").unwrap().0;
            assert!(ends[0] == ends[1] && range(number).unwrap().contains(&ends[0]), "{}", about());
            return;
        }
        // Without numbers, the same.
        let plain = |text: &str| {
            let words = text.replace("endpoints", "endpoint").replace(" or ", " ").replace(" to ", " ");
            words.chars().filter(|c| !c.is_ascii_digit() && *c != ' ').collect::<String>()
        };
        assert!(is_same || plain(&group.change) == plain(&flow.summary), "{}", about());
        let Some((old, new)) = group.change.split_once(" → ") else { return };
        for (side, count) in [(old, ends[0]), (new, ends[1])] {
            let Some((number, _)) = side.split_once(" endpoint") else { continue };
            assert!(range(number).is_none_or(|range| range.contains(&count)), "{}", about());
        }
    }

    /// The part that fails is that of the flow that loses least, to that of the one that loses most.
    fn failing(&mut self, group: &FlowGroup) {
        // A health check is a connection that succeeds, whatever it is answered.
        let is_health = |flow: &usize| self.difference.flows[*flow].target.kind == TargetKind::HealthCheck;
        let health = group.flows().iter().any(is_health);
        assert_eq!(group.failing.is_some(), group.grade == Grade::Degraded && !health);
        let Some(words) = &group.failing else { return };
        let number = |text: &str| {
            let (part, whole) = text.split_once('/').unwrap();
            part.parse::<f64>().unwrap() / whole.parse::<f64>().unwrap()
        };
        let failed = |flow: usize| -> f64 {
            let after = self.difference.flows[flow].after.iter();
            let failed = after.filter(|share| !matches!(share.verdict, Verdict::Deliver | Verdict::Accept));
            failed.map(|share| share.fraction[0] as f64 / share.fraction[1] as f64).sum()
        };
        let parts: Vec<f64> = group.flows().into_iter().map(failed).collect();
        let (least, most) = words.split_once(" to ").unwrap_or((words, words));
        let ends = [parts.iter().copied().fold(1.0, f64::min), parts.iter().copied().fold(0.0, f64::max)];
        let is_near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(is_near(number(least), ends[0]) && is_near(number(most), ends[1]), "{words} {parts:?}");
        self.seen.degraded += 1;
    }

    /// The words mean the targets of the part and no others.
    fn targets(&mut self, part: &GroupPart) {
        let flows = part.flows.iter().map(|flow| &self.difference.flows[*flow].target);
        let own: BTreeSet<Target> = flows.cloned().collect();
        let mut said: BTreeSet<Target> = BTreeSet::new();
        for reached in &part.to {
            for service in &reached.services {
                let Some(targets) = targets_in(&reached.words, service, self.states, &own) else {
                    self.seen.shortened += 1;
                    return;
                };
                said.extend(targets);
            }
        }
        assert_eq!(said, own, "{}", self.about(part));
    }

    /// The words mean exactly the sources of the flows to each target of the part.
    fn sources(&mut self, part: &GroupPart) {
        let flows: Vec<&FlowChange> = part.flows.iter().map(|flow| &self.difference.flows[*flow]).collect();
        let targets: BTreeSet<&Target> = flows.iter().map(|flow| &flow.target).collect();
        for target in targets {
            let Some(said) = sources_in(&part.sources, self.states, target.family) else {
                self.seen.shortened += 1;
                return;
            };
            let classes = flows.iter().filter(|flow| flow.target == *target);
            let classes: Vec<_> = classes.flat_map(|flow| &flow.sources.classes).collect();
            let mut some = BTreeSet::new();
            for (node, who) in self.probes(target, &flows) {
                let is_in = classes.iter().any(|class| {
                    class.nodes.contains(&node)
                        && match &who {
                            Who::Pod(pod, ip) => class.origin == Origin::Pod && class.has_pod(pod, *ip),
                            Who::Node(ip) => class.origin == Origin::Node && class.has_address(*ip),
                            Who::Outside(ip) => class.origin == Origin::Outside && class.has_address(*ip),
                        }
                });
                *(if is_in { &mut self.seen.inside } else { &mut self.seen.outside }) += 1;
                let about = || format!("{who:?} on {node} to {target:?}\n{}", self.about(part));
                match said.has(&node, &who) {
                    Some(told) => assert_eq!(told, is_in, "{}", about()),
                    None => some.extend([is_in]),
                }
            }
            self.seen.some += usize::from(!some.is_empty());
            assert!(some.is_empty() || some.contains(&true), "{}", self.about(part));
        }
    }

    /// Every pod, and addresses at the edges of every network that a class names: within them all are alike.
    fn probes(&self, target: &Target, flows: &[&FlowChange]) -> Vec<(vipscope_shared::model::Text, Who)> {
        let family = target.family;
        let ours = |ip: &std::net::IpAddr| IpFamily::of(*ip) == family;
        let classes = flows.iter().flat_map(|flow| &flow.sources.classes);
        let nets: Vec<IpNet> =
            classes.clone().flat_map(|class| class.nets.iter().chain(&class.except)).copied().collect();
        let mut ips: BTreeSet<_> = classes.map(|class| class.example).filter(ours).collect();
        for net in nets.iter().filter(|net| ours(&net.addr())) {
            ips.extend([net.network(), net.broadcast()]);
            ips.extend(group_words::neighbours(*net));
        }
        let [before, after] = self.states;
        let mut found = Vec::new();
        for node in after.nodes().values().map(|node| node.name()) {
            if find_node(before, node, family).is_err() || find_node(after, node, family).is_err() {
                continue;
            }
            let there =
                |pod: &Key| before.pods().get(pod).is_some_and(|pod| pod.node.as_deref() == Some(&**node));
            for pod in after.pods_on(node).filter(|pod| !pod.host_network && there(pod.key())) {
                if let Some(ip) = pod.ips.iter().copied().find(ours) {
                    found.push((node.clone(), Who::Pod(pod.key().clone(), ip)));
                }
            }
            // Those of a target on the node itself have no other sources.
            let is_local = target.kind == TargetKind::LocalhostNodePort;
            for ip in &ips {
                found.push((node.clone(), Who::Node(*ip)));
                found.extend((!is_local).then(|| (node.clone(), Who::Outside(*ip))));
            }
        }
        found
    }
}

#[test]
fn words_say_what_the_flows_say_and_no_more() {
    let mut seen = Seen::default();
    for seed in 0..CLUSTERS {
        let mut maker = Maker::new(seed);
        let before = maker.cluster();
        let (after, _) = maker.change(&before);
        // With causes, too.
        let difference = match seed % 2 {
            0 => difference_with(&before, &after, &options()),
            _ => compare(&before, &after, &options()),
        };
        Check { seed, states: [&before, &after], difference: &difference, seen: &mut seen }.all();
        assert_eq!(difference.groups.is_empty(), difference.flows.is_empty());
    }
    println!("{seen:?}");
    assert!(seen.groups * 2 < seen.flows && seen.several > 50 && seen.degraded > 0, "{seen:?}");
    assert!(seen.inside > 10_000 && seen.outside > 10_000 && seen.shortened * 20 < seen.groups, "{seen:?}");
}

/// `grade Services: change`, then `  who → where` of each part.
fn rows(difference: &Difference) -> Vec<String> {
    let mut rows = Vec::new();
    let names = |services: &[&Key]| services.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    for group in &difference.groups {
        rows.push(format!("{:?} {}: {}", group.grade, names(&group.services()), group.change));
        for part in &group.parts {
            for to in &part.to {
                let services = names(&to.services.iter().collect::<Vec<_>>());
                rows.push(format!("  {} → {services} {}", part.sources, to.words));
            }
        }
    }
    rows
}

fn edited(state: &ClusterState, edits: &[Edit]) -> (ClusterState, Difference) {
    let after = apply(state, edits, Timestamp::UNIX_EPOCH).unwrap();
    let options = Options { changed: Some(&after.changed), ..options() };
    let difference = difference_with(state, &after.state, &options);
    (after.state, difference)
}

#[test]
fn a_drain_is_a_few_rows() {
    let mut seen = Seen::default();
    for (dual, most) in [(false, 9), (true, 10)] {
        let before = demo_shop::cluster(dual);
        for node in ["node-a", "node-b", "node-c", "node-d"] {
            let (after, difference) = edited(&before, &[drain(node)]);
            Check { seed: 0, states: [&before, &after], difference: &difference, seen: &mut seen }.all();
            let (flows, groups) = (difference.flows.len(), difference.groups.len());
            println!("{flows} flows, {groups} groups");
            assert!(flows >= 50 && groups <= most, "{flows} flows, {:#?}", rows(&difference));
        }
    }
}

fn drain(node: &str) -> Edit {
    Edit::Node { node: node.into(), state: NodeEdit::Drain }
}

fn scale(workload: &str, replicas: u32) -> Edit {
    Edit::Scale { workload: format!("Deployment/{workload}").parse().unwrap(), replicas }
}

#[test]
fn a_drain_in_words() {
    let (_, difference) = edited(&demo_shop::cluster(false), &[drain("node-a")]);
    assert_eq!(difference.flows.len(), 54);
    let expected = [
        "Lost shop/search shop/web: 1 endpoint → dropped",
        "  outside through node-a, except 10.244.0.0/16 → shop/web ports http and https, by load balancer and node port",
        "  everyone on or through node-a → shop/search port http, by cluster IP",
        "Degraded shop/web: health check: 200 (1 local endpoint) → 503 (no local endpoint)",
        "  everyone on or through node-a → shop/web by health check node port",
        "Moved shop/web: health check: 200 (1 local endpoint) → 200 (2 local endpoints)",
        "  everyone on or through node-b → shop/web by health check node port",
        "Moved shop/cart: 3 endpoints → 2 endpoints",
        "  everyone on or through zone eu-1a → shop/cart ports http and metrics, by cluster IP",
        "Moved shop/catalog: 7 endpoints → 6 endpoints",
        "  everyone → shop/catalog port http, by cluster IP",
        "Moved edge/dns-cache edge/gateway kube-system/kube-dns shop/payments shop/web: 2 to 6 endpoints, other ones",
        "  everyone → edge/dns-cache edge/gateway kube-system/kube-dns shop/payments at all addresses and ports",
        "  everyone → shop/web by cluster IP",
        "  all nodes themselves → edge/gateway shop/web by node port on localhost",
        "  all pods; all nodes themselves; outside through any node, from 10.244.0.0/16 → shop/web ports http and https, by load balancer and node port",
        "Moved shop/cart: 2 endpoints → 3 endpoints",
        "  everyone on or through node-b → shop/cart ports http and metrics, by cluster IP",
        "Moved shop/search shop/web: 1 endpoint → 2 endpoints",
        "  outside through node-b, except 10.244.0.0/16 → shop/web ports http and https, by load balancer and node port",
        "  everyone on or through node-b → shop/search port http, by cluster IP",
    ];
    assert_eq!(rows(&difference), expected);
}

#[test]
fn families_are_named_where_there_are_two() {
    let edits = [scale("shop/search", 0), scale("shop/payments", 0), scale("edge/gateway", 0)];
    let (_, difference) = edited(&demo_shop::cluster(true), &edits);
    let expected = [
        "Lost edge/gateway shop/payments shop/search: 1 to 4 endpoints → refused",
        "  everyone → edge/gateway shop/payments shop/search at all addresses and ports",
        "  all nodes themselves → edge/gateway port http, by node port on localhost, IPv4",
        "Moved edge/gateway: not touched → refused",
        "  all nodes themselves → edge/gateway port http, by node port on localhost, IPv6",
    ];
    assert_eq!(rows(&difference), expected);
}

#[test]
fn losses_are_one_row_whatever_there_was() {
    let edits = [
        scale("shop/payments", 0),
        scale("edge/gateway", 0),
        scale("shop/web", 1),
        scale("shop/catalog", 1),
        scale("shop/cart", 2),
    ];
    let (_, difference) = edited(&demo_shop::cluster(false), &edits);
    let expected = [
        "Lost edge/gateway shop/payments: 4 endpoints → refused",
        "  everyone → edge/gateway shop/payments at all addresses and ports",
        "  all nodes themselves → edge/gateway port http, by node port on localhost",
        "Lost shop/web: 1 or 2 endpoints → dropped",
        "  outside through node-a, node-c and node-d, except 10.244.0.0/16 → shop/web ports http and https, by load balancer and node port",
        "Degraded shop/web: health check: 200 (1 or 2 local endpoints) → 503 (no local endpoint)",
        "  everyone on or through node-a, node-c and node-d → shop/web by health check node port",
        "Moved shop/web: 6 endpoints → 1 endpoint",
        "  all pods; all nodes themselves; outside through any node, from 10.244.0.0/16 → shop/web ports http and https, by load balancer and node port",
        "  everyone → shop/web ports http and https, by cluster IP",
        "  all nodes themselves → shop/web ports http and https, by node port on localhost",
        "Moved shop/catalog: 7 endpoints → 2 endpoints",
        "  everyone → shop/catalog port http, by cluster IP",
        "Moved shop/cart: 3 endpoints → 1 endpoint",
        "  everyone on or through zone eu-1a → shop/cart ports http and metrics, by cluster IP",
        "Moved shop/cart: 2 endpoints → 1 endpoint",
        "  everyone on or through node-b → shop/cart ports http and metrics, by cluster IP",
    ];
    assert_eq!(rows(&difference), expected);
}

#[test]
fn only_what_changes_is_named() {
    let port =
        |name: &str, port: u16, target: &str| json!({ "name": name, "port": port, "targetPort": target });
    let ports = |ports: [Value; 2]| {
        let object = "Service/shop/cart".parse().unwrap();
        let patch = json!({ "spec": { "ports": ports } });
        rows(&edited(&demo_shop::cluster(false), &[Edit::Patch { object, patch }]).1)
    };
    let other_number = [
        "Lost shop/cart: 1 to 3 endpoints → not touched",
        "  everyone → shop/cart port metrics, by cluster IP 10.96.211.104:9090 tcp",
        "Gained shop/cart: not touched → 1 to 3 endpoints",
        "  everyone → shop/cart port metrics, by cluster IP 10.96.211.104:9091 tcp",
    ];
    assert_eq!(ports([port("http", 80, "http"), port("metrics", 9091, "metrics")]), other_number);
    let other_target =
        ["Moved shop/cart: 1 to 3 endpoints, other ones", "  everyone → shop/cart port http, by cluster IP"];
    assert_eq!(ports([port("http", 80, "metrics"), port("metrics", 9090, "metrics")]), other_target);
}

#[test]
fn modes_differ_by_cause() {
    let state = demo_shop::cluster(false);
    let difference =
        compare(&with_mode(&state, ProxyMode::Iptables), &with_mode(&state, ProxyMode::Nftables), &options());
    assert_eq!(difference.flows.len(), 91);
    let expected = [
        "Lost edge/gateway shop/web: 4 to 6 endpoints → not touched",
        "  all nodes themselves → edge/gateway shop/web by node port on localhost",
        "Moved data/queue data/warehouse edge/dns-cache edge/gateway kube-system/kube-dns shop/cart shop/catalog shop/orders shop/payments shop/recommendations shop/search shop/web: not touched → refused",
        "  everyone → data/queue data/warehouse edge/dns-cache edge/gateway kube-system/kube-dns shop/cart shop/catalog shop/orders shop/payments shop/recommendations shop/search shop/web by any unused port of the cluster IP",
        "Moved shop/web: taken by the node → not touched",
        "  everyone → shop/web by health check node port",
        "Moved data/queue edge/dns-cache edge/gateway kube-system/kube-dns shop/cart shop/catalog shop/payments shop/web: the endpoint sees the client's address instead of one of the node",
        "  outside through any node, from some addresses → data/queue edge/dns-cache kube-system/kube-dns shop/catalog shop/payments shop/web at all addresses and ports",
        "  outside through any node, from some addresses → edge/gateway by cluster IP",
        "  outside through node-d, from 10.244.0.18 and 10.244.0.22; outside through node-a, from 10.244.3.21 → shop/cart ports http and metrics, by cluster IP",
    ];
    assert_eq!(rows(&difference), expected);
    assert!(difference.groups.iter().all(|group| group.cause.is_some()));
    let same = compare(&state, &state, &options());
    assert_eq!(same.groups, []);
}
