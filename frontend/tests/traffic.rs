//! Live traffic: rates belong to their generation, counters that go back make nothing, what has gone is forgotten after a
//! minute, and shares are judged only when there is something to judge.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use jiff::Timestamp;
use vipscope_frontend::traffic::{
    Difference, Expected, HISTORY, Judgement, Rates, RuleDrift, Traffic, expected, is_of_port, judge,
    of_endpoints, rate_text, seen,
};
use vipscope_frontend::ui::sparkline;
use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, IpFamily, Key, Protocol, ProxyMode};
use vipscope_shared::proxy::Via;
use vipscope_shared::proxy::reading::LineId;
use vipscope_shared::traffic::{
    DriftKind, DriftLine, NodeFault, NodeStatus, TrafficBasis, TrafficEdge, TrafficEnd, TrafficMessage,
    TrafficSource,
};
use wasm_bindgen_test::wasm_bindgen_test;

/// `web` has one endpoint on each node; `local` keeps traffic on its node.
const CLUSTER: &str = r#"{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.10"}]}},
{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-b"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.11"}]}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},
 "spec":{"clusterIP":"10.96.0.21","clusterIPs":["10.96.0.21"],"ports":[{"name":"http","port":80}]}},
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
 "metadata":{"name":"web-1","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}},
 "ports":[{"name":"http","port":8080,"protocol":"TCP"}],
 "endpoints":[{"addresses":["10.244.0.7"],"nodeName":"node-a","conditions":{"ready":true}},
  {"addresses":["10.244.1.7"],"nodeName":"node-b","conditions":{"ready":READY}}]},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"local","namespace":"shop"},
 "spec":{"clusterIP":"10.96.0.22","clusterIPs":["10.96.0.22"],"internalTrafficPolicy":"Local","ports":[{"port":80}]}},
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
 "metadata":{"name":"local-1","namespace":"shop","labels":{"kubernetes.io/service-name":"local"}},
 "ports":[{"name":"","port":8080,"protocol":"TCP"}],
 "endpoints":[{"addresses":["10.244.0.9"],"nodeName":"node-a","conditions":{"ready":true}},
  {"addresses":["10.244.1.9"],"nodeName":"node-b","conditions":{"ready":true}}]}
]}"#;

fn state(ready: bool) -> ClusterState {
    load(&CLUSTER.replace("READY", if ready { "true" } else { "false" })).unwrap().state
}

fn edge(node: &str, service: &str, endpoint: &str) -> TrafficEdge {
    let (vip, name) = if service == "web" { ("10.96.0.21:80", "http") } else { ("10.96.0.22:80", "") };
    TrafficEdge {
        source: TrafficSource::Pod(Key::new("shop", "client")),
        node: node.into(),
        vip: vip.parse().unwrap(),
        protocol: Protocol::Tcp,
        service: Some(Key::new("shop", service)),
        port_name: Some(name.into()),
        end: match endpoint {
            "refused" => TrafficEnd::Refused,
            endpoint => TrafficEnd::Delivered { endpoint: endpoint.parse().unwrap(), pod: None },
        },
    }
}

fn edges(generation: u32, edges: Vec<TrafficEdge>) -> TrafficMessage {
    TrafficMessage::Edges { generation, basis: TrafficBasis::Simulated, edges }
}

fn rates(generation: u32, rates: &[(u32, f32, u64)]) -> TrafficMessage {
    TrafficMessage::Rates { generation, time: Timestamp::UNIX_EPOCH, seconds: 1.0, rates: rates.to_vec() }
}

fn node(name: &str, faults: Vec<NodeFault>) -> NodeStatus {
    NodeStatus {
        node: name.into(),
        basis: TrafficBasis::Simulated,
        mode: ProxyMode::Iptables,
        last_sync: None,
        lag_ms: 0,
        connections: 0,
        faults,
        drift: Vec::new(),
        drift_count: 0,
        trouble: None,
    }
}

/// Takes messages one second apart.
fn taken(messages: Vec<TrafficMessage>) -> Traffic {
    let mut traffic = Traffic::default();
    let state = state(true);
    for (second, message) in messages.into_iter().enumerate() {
        traffic.receive(message, &state, second as f64 * 1_000.0);
    }
    traffic
}

fn all(traffic: &Traffic) -> (f64, u64) {
    let sum = traffic.sum(|_| true);
    (sum.rates.sum(), sum.counted)
}

#[wasm_bindgen_test]
fn rates_belong_to_the_edges_of_their_generation() {
    let (a, b) = (edge("node-a", "web", "10.244.0.7:8080"), edge("node-a", "web", "10.244.1.7:8080"));
    let mut traffic =
        taken(vec![edges(1, vec![a.clone(), b.clone()]), rates(1, &[(0, 2.0, 2), (1, 3.0, 3)])]);
    assert_eq!(all(&traffic).0, 5.0);
    // Numbers are of other edges now, and of none that is not there.
    let state = state(true);
    traffic.receive(edges(2, vec![b.clone()]), &state, 0.0);
    traffic.receive(rates(1, &[(0, 99.0, 99)]), &state, 0.0);
    assert_eq!(all(&traffic).0, 5.0, "of a generation that has passed: not taken");
    traffic.receive(rates(2, &[(0, 4.0, 7), (7, 99.0, 99)]), &state, 0.0);
    // One edge has 2 and 0, the other 3 and 4: rates are means of the last seconds.
    assert_eq!(all(&traffic), (4.5, 9));
    let of_b = traffic.sum(|edge| *edge == b);
    assert_eq!(of_b.history, [3.0, 4.0], "the history goes on over generations");
    assert_eq!(traffic.sum(|edge| *edge == a).history, [2.0, 0.0]);
}

#[wasm_bindgen_test]
fn what_has_gone_is_forgotten_after_a_minute() {
    let (a, b) = (edge("node-a", "web", "10.244.0.7:8080"), edge("node-a", "web", "10.244.1.7:8080"));
    let mut traffic = taken(vec![edges(1, vec![a, b.clone()]), rates(1, &[(0, 2.0, 2)])]);
    let state = state(true);
    traffic.receive(edges(2, vec![b.clone()]), &state, 0.0);
    assert_eq!(traffic.flows().len(), 2);
    for total in 0..HISTORY as u64 {
        traffic.receive(rates(2, &[(0, 1.0, total)]), &state, 0.0);
    }
    traffic.receive(edges(3, vec![b]), &state, 0.0);
    assert_eq!(traffic.flows().len(), 1);
    assert_eq!(traffic.sum(|_| true).history, [1.0; HISTORY]);
}

#[wasm_bindgen_test]
fn counters_that_go_back_and_numbers_that_are_none_count_nothing() {
    let one = || edge("node-a", "web", "10.244.0.7:8080");
    type Told = &'static [(f32, u64)];
    let rows: [(Told, f64, u64); 6] = [
        (&[(1.0, 10)], 1.0, 1),
        (&[(1.0, 10), (2.0, 12)], 1.5, 3),
        // A message was missed, and the counter knows.
        (&[(1.0, 10), (2.0, 17)], 1.5, 8),
        (&[(1.0, 10), (1.0, 1), (1.0, 3)], 1.0, 4),
        (&[(f32::NAN, 10)], 0.0, 0),
        (&[(-5.0, 10)], 0.0, 0),
    ];
    for (told, rate, counted) in rows {
        let mut messages = vec![edges(1, vec![one()])];
        messages.extend(told.iter().map(|(rate, total)| rates(1, &[(0, *rate, *total)])));
        assert_eq!(all(&taken(messages)), (rate, counted), "{told:?}");
    }
}

#[wasm_bindgen_test]
fn counting_starts_anew_when_endpoints_or_a_node_change() {
    let one = edge("node-a", "web", "10.244.0.7:8080");
    let mut traffic = taken(vec![edges(1, vec![one]), rates(1, &[(0, 5.0, 5)]), rates(1, &[(0, 5.0, 10)])]);
    assert_eq!(all(&traffic).1, 10);
    let (mut total, changed) = (10, state(false));
    let mut second = |traffic: &mut Traffic| {
        total += 5;
        traffic.receive(rates(1, &[(0, 5.0, total)]), &changed, 0.0);
        all(traffic).1
    };
    // Nodes take a moment to follow: what they do meanwhile is not held against them.
    assert_eq!([0; 5].map(|_| second(&mut traffic)), [0, 0, 0, 5, 10]);
    traffic.receive(TrafficMessage::Nodes { nodes: vec![node("node-a", vec![])] }, &changed, 0.0);
    assert_eq!([0; 4].map(|_| second(&mut traffic)), [0, 0, 5, 10]);
    traffic.receive(TrafficMessage::Nodes { nodes: vec![node("node-a", vec![])] }, &changed, 0.0);
    assert_eq!(all(&traffic).1, 10, "the same once more");
    let stuck = vec![node("node-a", vec![NodeFault::SyncStopped])];
    traffic.receive(TrafficMessage::Nodes { nodes: stuck }, &changed, 0.0);
    assert_eq!(all(&traffic).1, 0);
}

#[wasm_bindgen_test]
fn rates_are_smooth_but_follow_a_change_at_once() {
    let one = edge("node-a", "web", "10.244.0.7:8080");
    let mut traffic = taken(vec![edges(1, vec![one])]);
    let (before, after) = (state(true), state(false));
    let mut taken = |rate: f32, state: &ClusterState| {
        traffic.receive(rates(1, &[(0, rate, 0)]), state, 0.0);
        all(&traffic).0
    };
    assert_eq!(
        [0.0, 10.0, 0.0, 10.0, 0.0, 10.0].map(|rate| taken(rate, &before)),
        [0.0, 5.0, 10.0 / 3.0, 5.0, 4.0, 6.0]
    );
    // Nothing of what was before the change.
    assert_eq!([4.0, 0.0, 0.0, 2.0, 1.0].map(|rate| taken(rate, &after)), [4.0, 0.0, 0.0, 1.0, 1.0]);
}

#[wasm_bindgen_test]
fn silence_makes_it_stale_and_a_broken_stream_leaves_no_rates() {
    let one = edge("node-a", "web", "10.244.0.7:8080");
    assert!(!Traffic::default().is_stale(1e9), "never heard: nothing that could be stale");
    let mut traffic = taken(vec![edges(1, vec![one]), rates(1, &[(0, 5.0, 5)])]);
    assert_eq!([3_900.0, 4_100.0].map(|now| traffic.is_stale(now)), [false, true]);
    traffic.interrupt();
    assert_eq!(all(&traffic), (0.0, 5), "no rate, but what was counted was seen");
    assert_eq!(traffic.sum(|_| true).history, Vec::<f32>::new());
    traffic.receive(rates(1, &[(0, 5.0, 5)]), &state(true), 0.0);
    assert_eq!(all(&traffic).0, 0.0, "after a break, edges come first");
}

#[wasm_bindgen_test]
fn sums_say_what_became_of_connections() {
    let ends = vec![edge("node-a", "web", "10.244.0.7:8080"), edge("node-b", "web", "refused")];
    let traffic = taken(vec![edges(1, ends), rates(1, &[(0, 3.0, 3), (1, 1.5, 2)])]);
    let sum = traffic.sum(|_| true);
    assert_eq!(sum.rates, Rates { delivered: 3.0, refused: 1.5, ..Rates::default() });
    assert_eq!((sum.rates.trouble(), sum.rates.lost()), ("1.5/s refused".to_owned(), 1.5));
    let on_b = traffic.sum(|edge| &*edge.node == "node-b");
    assert_eq!(on_b.rates.delivered, 0.0);
    assert_eq!(traffic.of_service(&Key::new("shop", "web")).len(), 2);
    assert_eq!(traffic.of_service(&Key::new("shop", "local")).len(), 0);
}

#[wasm_bindgen_test]
fn ports_are_known_by_name_or_by_number() {
    let state = state(true);
    let port = |service: &str| state.services().get(&Key::new("shop", service)).unwrap().ports[0].clone();
    let (web, local) = (edge("node-a", "web", "refused"), edge("node-a", "local", "refused"));
    let unnamed = TrafficEdge { port_name: None, ..local.clone() };
    let rows =
        [(&web, "web", true), (&web, "local", false), (&local, "local", true), (&unnamed, "local", true)];
    for (edge, service, is) in rows {
        assert_eq!(is_of_port(edge, &port(service)), is, "{edge:?} {service}");
    }
}

#[wasm_bindgen_test]
fn what_is_expected_follows_the_nodes_that_decide() {
    let state = state(true);
    let rows = [
        // Where every node may choose any endpoint, it does not matter which one decides.
        ("web", "10.244.0.7", 30, 10, 0.5),
        ("web", "10.244.1.7", 30, 10, 0.5),
        ("web", "10.244.1.8", 30, 10, 0.0),
        // Where traffic stays on its node, it does.
        ("local", "10.244.0.9", 30, 10, 0.75),
        ("local", "10.244.1.9", 30, 10, 0.25),
    ];
    for (service, address, on_a, on_b, share) in rows {
        let ends =
            vec![edge("node-a", service, "10.244.0.7:8080"), edge("node-b", service, "10.244.0.7:8080")];
        let traffic = taken(vec![
            edges(1, ends),
            rates(1, &[(0, 0.0, 0), (1, 0.0, 0)]),
            rates(1, &[(0, 1.0, on_a), (1, 1.0, on_b)]),
        ]);
        let key = Key::new("shop", service);
        let (flows, found) = (traffic.of_service(&key), state.services().get(&key).unwrap());
        let asked =
            expected(&state, found, &found.ports[0], Via::ClusterIp, address.parse().unwrap(), &flows);
        assert_eq!(asked, Expected::Share(share), "{service} {address}");
    }
    let found = state.services().get(&Key::new("shop", "web")).unwrap();
    let address = "10.244.0.7".parse().unwrap();
    let asked = expected(&state, found, &found.ports[0], Via::ClusterIp, address, &[]);
    assert_eq!(asked, Expected::Unknown, "nothing was decided yet");
}

#[wasm_bindgen_test]
fn shares_have_an_interval_and_a_careful_verdict() {
    let third = Expected::Share(1.0 / 3.0);
    let rows = [
        (third, 333, 1_000, "0.33 ± 0.03", Judgement::Agrees),
        (third, 370, 1_000, "0.37 ± 0.03", Judgement::Agrees),
        (third, 500, 1_000, "0.50 ± 0.03", Judgement::TooMuch),
        (third, 200, 1_000, "0.20 ± 0.02", Judgement::TooLittle),
        (third, 0, 1_000, "0.00 ± 0.01", Judgement::Missing),
        (third, 90, 99, "0.91 ± 0.06", Judgement::Open),
        (Expected::Share(0.0), 300, 1_000, "0.30 ± 0.03", Judgement::Unexpected),
        (Expected::Share(0.0), 2, 1_000, "0.00 ± 0.01", Judgement::Agrees),
        (Expected::Share(1.0), 1_000, 1_000, "1.00 ± 0.01", Judgement::Agrees),
        (Expected::Unknown, 900, 1_000, "0.90 ± 0.02", Judgement::Open),
    ];
    for (expected, count, of, text, judgement) in rows {
        assert_eq!(seen(count, of).unwrap().text(), text, "{count} of {of}");
        assert_eq!(judge(expected, count, of), judgement, "{expected:?}: {count} of {of}");
        assert_eq!(judgement.words().is_none(), matches!(judgement, Judgement::Open | Judgement::Agrees));
    }
    assert_eq!(seen(0, 0), None);
}

#[wasm_bindgen_test]
fn rates_in_words() {
    let rows = [
        (0.0, "0/s"),
        (0.01, "<0.1/s"),
        (0.4, "0.4/s"),
        (4.0, "4/s"),
        (4.24, "4.2/s"),
        (9.96, "10/s"),
        (41.4, "41/s"),
        (999.6, "1.0k/s"),
        (1_234.0, "1.2k/s"),
        (45_678.0, "46k/s"),
        (2_500_000.0, "2.5M/s"),
    ];
    for (rate, text) in rows {
        assert_eq!(rate_text(rate), text);
    }
}

#[wasm_bindgen_test]
fn a_sparkline_ends_at_the_right() {
    assert_eq!(sparkline(&[], 59.0, 12.0), "");
    assert_eq!(sparkline(&[0.0, 5.0, 10.0], 59.0, 12.0), "57.0,11.0 58.0,6.0 59.0,1.0");
    assert!(sparkline(&[0.0; HISTORY], 59.0, 12.0).starts_with("0.0,11.0 1.0,11.0"));
}

#[wasm_bindgen_test]
fn endpoints_get_what_they_should_or_it_is_said() {
    let state = state(true);
    let key = Key::new("shop", "web");
    let service = state.services().get(&key).unwrap();
    let ends = ["10.244.0.7:8080", "10.244.1.7:8080", "10.244.9.9:8080"];
    let judged = |totals: [u64; 3]| {
        let traffic = taken(vec![
            edges(1, ends.map(|end| edge("node-a", "web", end)).to_vec()),
            rates(1, &[(0, 0.0, 0), (1, 0.0, 0), (2, 0.0, 0)]),
            rates(1, &[(0, 2.0, totals[0]), (1, 4.0, totals[1]), (2, 0.0, totals[2])]),
        ]);
        let rows = ["10.244.0.7".parse().unwrap()];
        let of = |via| of_endpoints(&traffic, &state, service, &service.ports, via, &rows);
        assert!(of(Via::External).values().all(|one| one.seen.is_none()), "none came from outside");
        let found = of(Via::ClusterIp);
        assert_eq!(found.values().map(|one| one.sum.rates.sum()).collect::<Vec<_>>(), [1.0, 2.0, 0.0]);
        found.into_values().map(|one| one.judgement).collect::<Vec<_>>()
    };
    use Judgement::{Agrees, Missing, Open, TooLittle, TooMuch, Unexpected};
    for (totals, judgements) in [
        ([500, 510, 0], [Agrees, Agrees, Agrees]),
        ([50, 40, 0], [Open, Open, Open]),
        ([800, 200, 0], [TooMuch, TooLittle, Agrees]),
        ([1_000, 0, 0], [TooMuch, Missing, Agrees]),
        ([333, 333, 333], [TooLittle, TooLittle, Unexpected]),
    ] {
        assert_eq!(judged(totals), judgements, "{totals:?}");
    }
}

#[wasm_bindgen_test]
fn drift_is_told_by_line_and_of_the_service_that_is_looked_at() {
    let line = |kind, service: Option<&str>, expected: Option<&str>, actual: Option<&str>| DriftLine {
        kind,
        family: IpFamily::IPv4,
        part: "nat/KUBE-SERVICES".to_owned(),
        expected: expected.map(Into::into),
        actual: actual.map(Into::into),
        service: service.map(|name| Key::new("shop", name)),
    };
    let status = NodeStatus {
        drift: vec![
            line(DriftKind::Missing, Some("web"), Some("a"), None),
            line(DriftKind::Changed, Some("web"), Some("b"), Some("c")),
            line(DriftKind::Extra, None, None, Some("d")),
            line(DriftKind::Missing, Some("other"), Some("e"), None),
        ],
        drift_count: 9,
        ..node("node-a", Vec::new())
    };
    let of = |family| RuleDrift::of(&status, &Key::new("shop", "web"), family);
    let drift = of(IpFamily::IPv4);
    let at =
        |text: &str| drift.of_line(&LineId { part: "nat/KUBE-SERVICES".into(), text: text.into() }).cloned();
    assert_eq!(at("a"), Some(Difference::Missing));
    assert_eq!(at("b"), Some(Difference::Changed("c".to_owned())));
    assert_eq!((at("d"), at("e")), (None, None));
    assert_eq!(drift.extra, [("nat/KUBE-SERVICES".to_owned(), "d".to_owned())]);
    assert_eq!((drift.count(), drift.untold), (3, 5));
    assert_eq!(of(IpFamily::IPv6).count(), 0);
}
