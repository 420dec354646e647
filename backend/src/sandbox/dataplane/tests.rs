//! The data planes as a whole, in all modes, without a clock: shares, faults, modes, counters.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Key, Kind, ProxyMode, Text};
use vipscope_shared::predict::{Question, Reply, ask};
use vipscope_shared::traffic::{DriftKind, DriftLine, NodeFault};

use super::CALLS_ANNOTATION;
use super::plane::Cadence;
use super::world::World;
use crate::agent::meter::Meter;
use crate::agent::{Flow, FlowEnd, drift};

const SECOND: u64 = 1000;
/// After this time nothing waits any more.
const SYNCED: u64 = 2 * SECOND;

/// A world and the objects that it has been shown.
struct Lab {
    world: World,
    objects: BTreeMap<(Kind, Key), Value>,
    now: u64,
}

fn node(name: &str, number: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"podCIDR": format!("10.244.{number}.0/24"), "podCIDRs": [format!("10.244.{number}.0/24")]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": format!("192.168.0.1{number}")}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn pod(name: &str, ip: &str, calls: &str) -> Value {
    let node = if ip.starts_with("10.244.0.") { "node-a" } else { "node-b" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": {CALLS_ANNOTATION: calls}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]},
        "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "c", "state": {"running": {}}}],
        },
    })
}

fn service(name: &str, ip: &str, spec: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"], "type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        service["spec"][field] = value.clone();
    }
    service
}

fn slice(name: &str, ips: &[&str]) -> Value {
    let endpoint = |ip: &&str| {
        let node = if ip.starts_with("10.244.0.") { "node-a" } else { "node-b" };
        json!({"addresses": [ip], "conditions": {"ready": true}, "nodeName": node})
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{name}-1"), "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": ips.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn settings(entries: &[(&str, &str)]) -> Value {
    let conf = |mode: &str| {
        format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n{mode}\nclusterCIDR: 10.244.0.0/16\n"
        )
    };
    let data: BTreeMap<&str, String> = entries.iter().map(|(key, mode)| (*key, conf(mode))).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}, "data": data})
}

const CART: [&str; 4] = ["10.244.0.2", "10.244.0.3", "10.244.1.2", "10.244.1.3"];
const CATALOG: [&str; 2] = ["10.244.0.4", "10.244.1.4"];

impl Lab {
    /// Two nodes, a client on node-a, Services cart (four endpoints, with this spec) and catalog (two).
    fn new(seed: u64, mode: &str, cart: Value, calls: &str) -> Lab {
        let world = World::new(seed, Cadence::default(), Timestamp::UNIX_EPOCH);
        let mut lab = Lab { world, objects: BTreeMap::new(), now: 0 };
        lab.apply(settings(&[("config.conf", mode)]));
        lab.apply(node("node-a", 0));
        lab.apply(node("node-b", 1));
        for (name, ip, ips, spec) in
            [("cart", "10.96.0.10", &CART[..], cart), ("catalog", "10.96.0.11", &CATALOG[..], json!({}))]
        {
            lab.apply(service(name, ip, spec));
            lab.apply(slice(name, ips));
            ips.iter().for_each(|ip| lab.apply(pod(&format!("{name}-{}", ip.replace('.', "-")), ip, "")));
        }
        lab.pass(SYNCED);
        lab.apply(pod("client", "10.244.0.9", calls));
        lab
    }

    fn apply(&mut self, object: Value) {
        let kind = manifest::kind_of(&object);
        let meta = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = Key::new(meta("namespace"), meta("name"));
        self.world.see(kind.unwrap(), &key, Some(&object));
        self.objects.insert((kind.unwrap(), key), object);
    }

    fn delete(&mut self, kind: Kind, name: &str) {
        let key = Key::new("shop", name);
        self.world.see(kind, &key, None);
        self.objects.remove(&(kind, key)).unwrap();
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.world.pass(self.now);
    }

    fn state(&self) -> ClusterState {
        let list =
            json!({"apiVersion": "v1", "kind": "List", "items": self.objects.values().collect::<Vec<_>>()});
        manifest::load(&list.to_string()).unwrap().state
    }

    fn drift(&mut self, node: &str) -> Vec<DriftLine> {
        let ruleset = self.world.plane(node).unwrap().ruleset();
        drift::compare(&self.state(), node, &ruleset)
    }

    fn flows(&mut self, node: &str) -> Vec<(Flow, u64)> {
        let mut flows = self.world.plane(node).unwrap().connections.counters(0).flows;
        flows.sort();
        flows
    }

    /// Connections to a VIP by what became of them.
    fn ends(&mut self, vip: &str) -> BTreeMap<FlowEnd, u64> {
        let to: SocketAddr = vip.parse().unwrap();
        let mut ends = BTreeMap::new();
        for (flow, count) in self.flows("node-a").into_iter().filter(|(flow, _)| flow.to == to) {
            *ends.entry(flow.end).or_default() += count;
        }
        ends
    }

    /// What has come during some time.
    fn during(&mut self, milliseconds: u64, vip: &str) -> BTreeMap<FlowEnd, u64> {
        let before = self.ends(vip);
        self.pass(milliseconds);
        let mut ends = self.ends(vip);
        ends.iter_mut().for_each(|(end, count)| *count -= before.get(end).copied().unwrap_or_default());
        ends.retain(|_, count| *count > 0);
        ends
    }

    fn set(&mut self, faults: &[NodeFault]) {
        self.world.set_faults("node-a", faults.to_vec()).unwrap();
    }
}

fn to(ip: &str) -> FlowEnd {
    FlowEnd::Delivered(SocketAddr::new(ip.parse().unwrap(), 8080))
}

fn failed(ip: &str) -> FlowEnd {
    FlowEnd::Failed(SocketAddr::new(ip.parse().unwrap(), 8080))
}

const VIP: &str = "10.96.0.10:80";
const MODES: [&str; 4] = ["mode: iptables", "mode: nftables", "mode: ipvs", "mode: userspace"];

/// Shares that the engine predicts for the client.
fn predicted(state: &ClusterState) -> BTreeMap<FlowEnd, f64> {
    let question = Question {
        node: "node-a".into(),
        mode: None,
        from: "pod/shop/client".parse().unwrap(),
        to: "svc/shop/cart:http".parse().unwrap(),
        protocol: None,
    };
    let Reply::Answers(answers) = ask(state, &question).unwrap() else { panic!("no answers") };
    let outcomes = answers[0].outcomes.iter();
    outcomes.map(|outcome| (FlowEnd::Delivered(outcome.destination), outcome.probability)).collect()
}

/// The sum of (seen - expected)² / expected.
fn chi_squared(seen: &BTreeMap<FlowEnd, u64>, shares: &BTreeMap<FlowEnd, f64>) -> f64 {
    let total = seen.values().sum::<u64>() as f64;
    assert!(seen.keys().all(|end| shares.contains_key(end)), "{seen:?} {shares:?}");
    let part = |(end, share): (&FlowEnd, &f64)| {
        let expected = total * share;
        (seen.get(end).copied().unwrap_or_default() as f64 - expected).powi(2) / expected
    };
    shares.iter().map(part).sum()
}

#[test]
fn connections_are_shared_as_predicted() {
    // The most that 999 of 1000 fair dice stay below, by degrees of freedom; turns leave no room for chance.
    let rows = [
        ("mode: iptables", json!({}), 4, 16.27),
        ("mode: iptables", json!({"internalTrafficPolicy": "Local"}), 2, 10.83),
        ("mode: nftables", json!({}), 4, 16.27),
        ("mode: nftables", json!({"internalTrafficPolicy": "Local"}), 2, 10.83),
        ("mode: ipvs", json!({}), 4, 0.01),
        ("mode: ipvs", json!({"internalTrafficPolicy": "Local"}), 2, 0.01),
        ("mode: ipvs\nipvs: {scheduler: lc}", json!({}), 4, 16.27),
        ("mode: userspace", json!({}), 4, 0.01),
    ];
    for (mode, spec, endpoints, most) in rows {
        let mut lab = Lab::new(1, mode, spec.clone(), "shop/cart:http=100");
        let seen = lab.during(60 * SECOND, VIP);
        let shares = predicted(&lab.state());
        assert_eq!(shares.len(), endpoints, "{mode} {spec}");
        let total: u64 = seen.values().sum();
        assert!((5500..6500).contains(&total), "{mode} {spec}: {total} in a minute at 100 a second");
        let chi = chi_squared(&seen, &shares);
        assert!(chi < most, "{mode} {spec}: {chi} {seen:?}");
    }
}

#[test]
fn clients_with_affinity_stay_where_they_were() {
    let affinity = |seconds: u32| json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}});
    for mode in MODES {
        let mut lab = Lab::new(3, mode, affinity(10), "shop/cart:http=5");
        for number in 10..60 {
            lab.apply(pod(&format!("client-{number}"), &format!("10.244.0.{number}"), "shop/cart:http=5"));
        }
        lab.pass(20 * SECOND);
        let mut by_client: BTreeMap<_, BTreeSet<FlowEnd>> = BTreeMap::new();
        for (flow, _) in lab.flows("node-a") {
            by_client.entry(flow.source).or_default().insert(flow.end);
        }
        assert_eq!(by_client.len(), 51, "{mode}");
        assert!(by_client.values().all(|ends| ends.len() == 1), "{mode}: {by_client:?}");
        let used: BTreeSet<_> = by_client.values().flatten().collect();
        assert_eq!(used.len(), 4, "{mode}: new clients are shared among all");
        // Too seldom to be remembered.
        let mut lab = Lab::new(3, mode, affinity(1), "shop/cart:http=0.05");
        let seen = lab.during(600 * SECOND, VIP);
        assert!(seen.len() > 1, "{mode}: {seen:?}");
    }
}

#[test]
fn turns_go_on_over_a_change_of_endpoints() {
    for mode in ["mode: ipvs", "mode: userspace"] {
        let mut lab = Lab::new(1, mode, json!({}), "shop/cart:http=100");
        lab.pass(10 * SECOND);
        lab.apply(slice("cart", &CART[..3]));
        lab.pass(SYNCED);
        let seen = lab.during(30 * SECOND, VIP);
        let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
        assert!(seen.len() == 3 && most - least <= 1, "{mode}: {seen:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_connections() {
    let run = |seed: u64, steps: &[u64]| {
        let mut lab = Lab::new(seed, "mode: iptables", json!({}), "shop/cart:http=20, shop/catalog:http=20");
        steps.iter().for_each(|step| lab.pass(*step));
        lab.flows("node-a")
    };
    assert_eq!(run(7, &[10_000]), run(7, &[2_500, 5_000, 2_500]));
    assert_ne!(run(7, &[10_000]), run(8, &[10_000]));
}

#[test]
fn a_change_is_shown_after_a_moment_and_syncs_do_not_follow_at_once() {
    let mut lab = Lab::new(1, "mode: iptables", json!({}), "");
    let syncs = |lab: &Lab| lab.world.status("node-a").unwrap().syncs;
    let before = syncs(&lab);
    lab.apply(slice("cart", &CART[..3]));
    lab.pass(200);
    let waits = lab.world.status("node-a").unwrap().waits.unwrap();
    assert_eq!((syncs(&lab), waits.as_millis()), (before, 200));
    assert!(!lab.drift("node-a").is_empty());
    lab.pass(200);
    let status = lab.world.status("node-a").unwrap();
    assert_eq!((syncs(&lab), status.waits), (before + 1, None));
    assert_eq!(lab.drift("node-a"), []);
    // Within the shortest pause of a second.
    lab.apply(slice("cart", &CART[..2]));
    lab.pass(800);
    assert_eq!(syncs(&lab), before + 1);
    lab.pass(200);
    assert_eq!(syncs(&lab), before + 2);
    // What rules do not depend on makes no sync.
    lab.apply(pod("other", "10.244.1.77", ""));
    lab.pass(5 * SECOND);
    assert_eq!((syncs(&lab), lab.world.status("node-a").unwrap().waits), (before + 2, None));
}

/// Drift lines by kind, all of which have to concern this Service.
fn kinds(lines: &[DriftLine], service: &str) -> (usize, usize, usize) {
    for line in lines {
        assert_eq!(line.service.as_ref().map(Key::to_string).as_deref(), Some(service), "{line:?}");
    }
    let count = |kind: DriftKind| lines.iter().filter(|line| line.kind == kind).count();
    (count(DriftKind::Missing), count(DriftKind::Extra), count(DriftKind::Changed))
}

fn cart() -> Key {
    Key::new("shop", "cart")
}

#[test]
fn a_healthy_node_shows_no_drift_in_any_mode() {
    let external = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000, "externalIPs": ["198.51.100.9"],
        "sessionAffinity": "ClientIP",
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}],
    });
    for mode in MODES {
        for spec in [json!({}), external.clone(), json!({"internalTrafficPolicy": "Local"})] {
            let mut lab = Lab::new(1, mode, spec, "");
            lab.pass(SYNCED);
            assert_eq!((lab.drift("node-a"), lab.drift("node-b")), (vec![], vec![]), "{mode}");
        }
    }
}

#[test]
fn a_stuck_proxy_sends_to_pods_that_are_gone() {
    for mode in MODES {
        let mut lab = Lab::new(1, mode, json!({}), "shop/cart:http=50");
        lab.set(&[NodeFault::SyncStopped]);
        lab.apply(slice("cart", &CART[..3]));
        lab.delete(Kind::Pod, "cart-10-244-1-3");
        let seen = lab.during(20 * SECOND, VIP);
        let gone = seen.get(&failed("10.244.1.3")).copied().unwrap_or_default();
        // The userspace proxy tries the next endpoint.
        assert_eq!(gone > 100, mode != "mode: userspace", "{mode}: {seen:?}");
        assert_eq!(lab.world.status("node-a").unwrap().waits.unwrap().as_secs(), 20, "{mode}");
        let lines = lab.drift("node-a");
        let (missing, extra, changed) = kinds(&lines, "shop/cart");
        assert!(missing + extra + changed > 0, "{mode}");
        assert!(
            lines.iter().any(|line| line.actual.as_ref().is_some_and(|text| text.contains("10.244.1.3"))),
            "{mode}: {lines:#?}"
        );
        assert_eq!(lab.drift("node-b"), [], "{mode}: the other node goes on");
        lab.set(&[]);
        lab.pass(SYNCED);
        assert_eq!(lab.drift("node-a"), [], "{mode}");
        assert_eq!(lab.during(5 * SECOND, VIP).get(&failed("10.244.1.3")), None, "{mode}");
    }
}

#[test]
fn a_slow_sync_is_late() {
    let mut lab = Lab::new(1, "mode: nftables", json!({}), "");
    lab.set(&[NodeFault::SlowSync { milliseconds: 5000 }]);
    lab.apply(slice("cart", &CART[..3]));
    lab.pass(5200);
    assert_eq!(lab.world.status("node-a").unwrap().waits.unwrap().as_millis(), 5200);
    assert!(kinds(&lab.drift("node-a"), "shop/cart") != (0, 0, 0));
    lab.pass(200);
    assert_eq!(lab.drift("node-a"), []);
}

#[test]
fn rules_deleted_by_hand_are_missing_until_they_are_written_anew() {
    // What becomes of connections, and whether any sync writes the rules again.
    let rows = [
        ("mode: iptables", FlowEnd::Unclaimed, false),
        // What is for a cluster IP and no Service takes it is refused there.
        ("mode: nftables", FlowEnd::Refused, false),
        ("mode: ipvs", FlowEnd::Unclaimed, true),
        ("mode: userspace", FlowEnd::Unclaimed, false),
    ];
    for (mode, end, any_sync) in rows {
        let mut lab = Lab::new(1, mode, json!({}), "shop/cart:http=50, shop/catalog:http=50");
        lab.set(&[NodeFault::RuleDeleted { service: cart() }]);
        let seen = lab.during(10 * SECOND, VIP);
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&end], "{mode}");
        assert_eq!(lab.during(10 * SECOND, "10.96.0.11:80").len(), 2, "{mode}: catalog is as it was");
        let (missing, extra, changed) = kinds(&lab.drift("node-a"), "shop/cart");
        assert!(missing > 0 && extra == 0 && changed == 0, "{mode}: {missing} {extra} {changed}");
        lab.apply(slice("catalog", &CATALOG[..1]));
        lab.pass(SYNCED);
        assert_eq!(lab.drift("node-a").is_empty(), any_sync, "{mode}: another Service has changed");
        lab.apply(slice("cart", &CART[..3]));
        lab.pass(SYNCED);
        assert_eq!(
            (lab.drift("node-a"), lab.world.plane("node-a").unwrap().faults()),
            (vec![], &[][..]),
            "{mode}"
        );
        assert!(lab.during(SECOND, VIP).contains_key(&to("10.244.0.2")), "{mode}");
    }
}

#[test]
fn a_stale_endpoint_takes_connections_to_nowhere() {
    for mode in MODES {
        let mut lab = Lab::new(1, mode, json!({}), "shop/cart:http=50");
        lab.set(&[NodeFault::StaleEndpoint { service: cart() }]);
        let seen = lab.during(20 * SECOND, VIP);
        let fails = seen
            .iter()
            .filter(|(end, _)| matches!(end, FlowEnd::Failed(_)))
            .map(|(_, count)| count)
            .sum::<u64>();
        let total: u64 = seen.values().sum();
        // One in five, but for the userspace proxy, which tries the next.
        let share = fails as f64 / total as f64;
        let expected = if mode == "mode: userspace" { 0.0..0.001 } else { 0.15..0.25 };
        assert!(expected.contains(&share), "{mode}: {share}");
        let (_, extra, changed) = kinds(&lab.drift("node-a"), "shop/cart");
        assert!(extra + changed > 0, "{mode}");
        lab.set(&[]);
        lab.pass(SYNCED);
        assert_eq!(lab.drift("node-a"), [], "{mode}");
    }
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    let mut lab = Lab::new(1, "mode: iptables", json!({}), "");
    lab.apply(service("empty", "10.96.0.12", json!({})));
    let gone = Key::new("shop", "gone");
    let rows = [
        ("node-x", vec![NodeFault::SyncStopped], "the node is not there"),
        ("node-a", vec![NodeFault::RuleDeleted { service: gone.clone() }], "Service shop/gone is not there"),
        ("node-a", vec![NodeFault::StaleEndpoint { service: gone }], "Service shop/gone is not there"),
        (
            "node-a",
            vec![NodeFault::StaleEndpoint { service: Key::new("shop", "empty") }],
            "Service shop/empty has no endpoint that could have stayed behind",
        ),
        (
            "node-a",
            vec![NodeFault::SlowSync { milliseconds: 600_001 }],
            "a sync takes at most 600000 milliseconds",
        ),
        ("node-a", vec![NodeFault::SyncStopped; 33], "a node has at most 32 faults"),
    ];
    for (node, faults, expected) in rows {
        let refused = lab.world.set_faults(node, faults).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    assert_eq!(lab.world.plane("node-a").unwrap().faults(), []);
}

#[test]
fn a_node_changes_its_mode_while_traffic_flows() {
    let mut lab = Lab::new(1, "mode: iptables", json!({}), "shop/cart:http=50");
    for mode in ["mode: nftables", "mode: ipvs", "mode: userspace", "mode: iptables"] {
        lab.apply(settings(&[("config.conf", "mode: iptables"), ("node-a.config.conf", mode)]));
        assert!(
            !lab.drift("node-a").is_empty() || mode == "mode: iptables",
            "{mode} is expected, and not there yet"
        );
        let seen = lab.during(10 * SECOND, VIP);
        let reached: BTreeSet<FlowEnd> = CART.iter().map(|ip| to(ip)).collect();
        assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), reached, "{mode}");
        let ruleset = lab.world.plane("node-a").unwrap().ruleset();
        let name: Text = format!("mode: {}", ruleset.mode).into();
        assert_eq!((&*name, lab.drift("node-a")), (mode, vec![]));
        assert_eq!(
            lab.world.plane("node-b").unwrap().mode(),
            Some(ProxyMode::Iptables),
            "the other node stays"
        );
    }
}

#[test]
fn who_does_not_listen_does_not_answer() {
    let mut lab = Lab::new(1, "mode: iptables", json!({}), "shop/cart:http=50");
    let mut crashed = pod("cart-10-244-0-2", "10.244.0.2", "");
    crashed["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    lab.apply(crashed);
    let mut other_port = pod("cart-10-244-0-3", "10.244.0.3", "");
    other_port["spec"]["containers"][0]["ports"][0]["containerPort"] = 9090.into();
    lab.apply(other_port);
    let mut silent = node("node-b", 1);
    silent["metadata"]["annotations"] = json!({"vipscope.dev/fail": "true"});
    lab.apply(silent);
    let seen = lab.during(10 * SECOND, VIP);
    assert_eq!(
        seen.keys().copied().collect::<BTreeSet<_>>(),
        CART.iter().map(|ip| failed(ip)).collect::<BTreeSet<_>>()
    );
}

#[test]
fn what_has_no_endpoints_is_refused_in_every_mode() {
    for mode in MODES {
        let mut lab = Lab::new(1, mode, json!({}), "shop/cart:http=50");
        lab.apply(slice("cart", &[]));
        lab.pass(SYNCED);
        let seen = lab.during(5 * SECOND, VIP);
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&FlowEnd::Refused], "{mode}");
    }
}

#[test]
fn counters_of_chains_that_a_sync_writes_begin_anew_and_rates_do_not_notice() {
    let mut lab = Lab::new(1, "mode: iptables", json!({}), "shop/cart:http=50, shop/catalog:http=50");
    let packets = |lab: &mut Lab, part: &str| -> u64 {
        let ruleset = lab.world.plane("node-a").unwrap().ruleset();
        let counts = ruleset.families.iter().flat_map(|family| &family.counts);
        counts.filter(|count| count.part.starts_with(part)).map(|count| count.packets).sum()
    };
    lab.pass(20 * SECOND);
    let all: u64 = lab.flows("node-a").iter().map(|(_, count)| count).sum();
    assert_eq!(packets(&mut lab, "nat/KUBE-SERVICES"), all);
    // Every connection went through one chain of a Service and one of an endpoint.
    assert_eq!((packets(&mut lab, "nat/KUBE-SEP-"), packets(&mut lab, "nat/KUBE-SVC-")), (all, all));
    let mut meter = Meter::default();
    meter.read(&lab.world.plane("node-a").unwrap().connections.counters(0));
    for round in 0..20 {
        lab.apply(slice("catalog", &CATALOG[..1 + round % 2]));
        lab.pass(SECOND);
        let grown = meter.read(&lab.world.plane("node-a").unwrap().connections.counters(0));
        let more: u64 = grown.iter().map(|(_, more)| more).sum();
        // 100 are expected; the standard deviation is 10.
        assert!((60..150).contains(&more), "round {round}: {more}");
        assert!(grown.iter().all(|(_, more)| *more < 100), "round {round}: {grown:?}");
    }
    assert!(packets(&mut lab, "nat/KUBE-SERVICES") < 300, "written anew a moment ago");
    let kept = packets(&mut lab, "nat/KUBE-SVC-");
    assert!(kept > 1500, "the chains of cart were left alone: {kept}");
}

#[test]
fn the_connection_table_of_a_node_has_tuples_of_both_directions() {
    let mut lab = Lab::new(1, "mode: nftables", json!({}), "shop/cart:http=50");
    lab.pass(30 * SECOND);
    let counts = lab.world.plane("node-a").unwrap().connections.counts();
    let tracked: u64 = counts.iter().map(|count| count.tracked).sum();
    let all: u64 = lab.flows("node-a").iter().map(|(_, count)| count).sum();
    assert_eq!(tracked, all, "nothing is forgotten within two minutes");
    for count in &counts {
        assert_eq!((count.source, count.to), ("10.244.0.9".parse().unwrap(), VIP.parse().unwrap()));
        assert!(CART.contains(&count.reply_from.ip().to_string().as_str()), "{count:?}");
        assert!(count.open < count.tracked, "{count:?}");
    }
    lab.apply(pod("client", "10.244.0.9", ""));
    lab.pass(130 * SECOND);
    assert_eq!(lab.world.plane("node-a").unwrap().connections.counts(), []);
}
