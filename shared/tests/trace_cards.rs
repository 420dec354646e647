//! A trace in cards: the steps in order, the choice once, one verdict; in every mode.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation fails the test")]

use std::collections::BTreeSet;

use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, ProxyMode};
use vipscope_shared::predict::cards::{Card, Share, fraction_text, shares_text};
use vipscope_shared::predict::names::Source;
use vipscope_shared::predict::{Answer, Question, Reply, ask};
use vipscope_shared::proxy::reading::LineId;
use vipscope_shared::trace::Verdict;

/// Two nodes; `web` has three ready endpoints, `late` has one that is not ready, `local` has one on the other node only.
const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: { name: node-a }
spec: { podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24] }
status: { addresses: [{ type: InternalIP, address: 192.168.0.10 }] }
---
apiVersion: v1
kind: Node
metadata: { name: node-b }
spec: { podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24] }
status: { addresses: [{ type: InternalIP, address: 192.168.0.11 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: shop }
spec: { nodeName: node-a, containers: [] }
status: { phase: Running, podIP: 10.244.0.9, podIPs: [{ ip: 10.244.0.9 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: ClusterIP, clusterIP: 10.96.0.21, clusterIPs: [10.96.0.21], ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints:
- { addresses: [10.244.0.9], nodeName: node-a, conditions: { ready: true }, targetRef: { kind: Pod, namespace: shop, name: client } }
- { addresses: [10.244.0.12], nodeName: node-a, conditions: { ready: true } }
- { addresses: [10.244.1.7], nodeName: node-b, conditions: { ready: true } }
---
apiVersion: v1
kind: Service
metadata: { name: late, namespace: shop }
spec: { type: ClusterIP, clusterIP: 10.96.0.22, clusterIPs: [10.96.0.22], ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: local, namespace: shop }
spec: { type: ClusterIP, clusterIP: 10.96.0.23, clusterIPs: [10.96.0.23], internalTrafficPolicy: Local, ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata: { name: local-1, namespace: shop, labels: { kubernetes.io/service-name: local } }
ports: [{ name: "", port: 8080, protocol: TCP }]
endpoints: [{ addresses: [10.244.1.8], nodeName: node-b, conditions: { ready: true } }]
"#;

fn state() -> ClusterState {
    load(CLUSTER).unwrap().state
}

fn answer(state: &ClusterState, mode: ProxyMode, from: &str, to: &str) -> Answer {
    let question = Question {
        node: "node-a".into(),
        mode: Some(mode),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        protocol: None,
    };
    let Reply::Answers(mut answers) = ask(state, &question).unwrap() else { panic!("no VIP") };
    answers.remove(0)
}

/// `hook table title: chains: matched: effect`.
fn shown(card: &Card) -> String {
    let shares =
        if card.shares.is_empty() { String::new() } else { format!(" [{}]", shares_text(&card.shares)) };
    format!(
        "{} {} {} | {} | {} | {}{shares}",
        card.hook,
        card.table,
        card.title,
        card.chains.join(" → "),
        card.matched,
        card.effect
    )
}

fn check(mode: ProxyMode, from: &str, to: &str, headline: &str, cards: &[&str]) {
    let story = answer(&state(), mode, from, to).story();
    assert_eq!(story.headline, headline, "{mode} {from} {to}");
    assert_eq!(story.cards.iter().map(shown).collect::<Vec<_>>(), cards, "{mode} {from} {to}");
}

const ONE_OF_3: &str = "delivered to one of 3 endpoints";

#[test]
fn the_way_to_an_endpoint_in_each_mode() {
    let rows: [(ProxyMode, Vec<String>); 4] = [
        (
            ProxyMode::Iptables,
            vec![
                "prerouting nat match | PREROUTING → KUBE-SERVICES | to 10.96.0.21, TCP port 80 | to KUBE-SVC-67NZLRHBNDSAWJRO".into(),
                "prerouting nat choice | KUBE-SVC-67NZLRHBNDSAWJRO |  | on to the one that is chosen [1/3 · 1/3 · 1/3]".into(),
                "prerouting nat DNAT | KUBE-SEP-GGIGR6VVAOCSQD2H | over TCP | DNAT to 10.244.0.12:8080".into(),
                "forward filter pass | FORWARD |  | no rule refuses it".into(),
                "postrouting nat return | POSTROUTING → KUBE-POSTROUTING | not marked for masquerading | return: not marked, so the source stays".into(),
            ],
        ),
        (
            ProxyMode::Nftables,
            vec![
                "prerouting kube-proxy match | nat-prerouting → services | to 10.96.0.21, TCP port 80 | to service-KHN6ECMT-shop/web/tcp/http".into(),
                "prerouting kube-proxy choice | service-KHN6ECMT-shop/web/tcp/http |  | DNAT to the one that is chosen [1/3 · 1/3 · 1/3]".into(),
                "forward kube-proxy pass | filter-forward |  | no rule refuses it".into(),
            ],
        ),
        (
            ProxyMode::Ipvs,
            vec![
                "prerouting nat match | PREROUTING → KUBE-SERVICES | to any address of this node | to KUBE-NODE-PORT".into(),
                "prerouting nat accept | KUBE-SERVICES | whose destination, protocol and port are in the set KUBE-CLUSTER-IP | accept".into(),
                "input filter return | INPUT → KUBE-IPVS-FILTER | whose destination, protocol and port are in the set KUBE-CLUSTER-IP | return".into(),
                "input IPVS choice |  |  | IPVS sends it to the one that is chosen [1/3 · 1/3 · 1/3]".into(),
                "output filter pass | OUTPUT |  | no rule refuses it".into(),
                "postrouting nat return | POSTROUTING → KUBE-POSTROUTING | not marked for masquerading | return: not marked, so the source stays".into(),
            ],
        ),
        (
            ProxyMode::Userspace,
            vec![
                "prerouting nat redirect | PREROUTING → KUBE-PORTALS-CONTAINER | TCP port 80, to 10.96.0.21 | redirect to port 48100 of this node".into(),
                "input filter pass | INPUT |  | no rule refuses it".into(),
                "input kube-proxy choice |  |  | kube-proxy connects to the one that is chosen [1/3 · 1/3 · 1/3]".into(),
            ],
        ),
    ];
    for (mode, cards) in rows {
        let cards: Vec<&str> = cards.iter().map(String::as_str).collect();
        check(mode, "pod/shop/client", "svc/shop/web:http", ONE_OF_3, &cards);
    }
}

#[test]
fn what_is_not_delivered_ends_in_the_rule_that_says_so() {
    let begins =
        |to: &str, chain: &str| format!("forward filter match | {chain} | that begin a connection | to {to}");
    let refused = "refused: the client is told at once";
    let dropped = "dropped: the client waits in vain";
    check(
        ProxyMode::Iptables,
        "pod/shop/client",
        "svc/shop/late",
        refused,
        &[
            &begins("KUBE-SERVICES", "FORWARD"),
            "forward filter reject | KUBE-SERVICES | to 10.96.0.22, TCP port 80 | reject",
        ],
    );
    check(
        ProxyMode::Iptables,
        "external",
        "svc/shop/local",
        dropped,
        &[
            &begins("KUBE-SERVICES", "FORWARD"),
            "forward filter drop | KUBE-SERVICES | to 10.96.0.23, TCP port 80 | drop",
        ],
    );
    // The jump says which packets, the chain that it leads to what becomes of them.
    check(
        ProxyMode::Nftables,
        "pod/shop/client",
        "svc/shop/late",
        refused,
        &[
            "forward kube-proxy match | filter-forward | that begin a connection | to service-endpoints-check",
            "forward kube-proxy reject | service-endpoints-check → reject-chain | to 10.96.0.22, TCP port 80 | reject",
        ],
    );
    check(
        ProxyMode::Iptables,
        "external",
        "192.0.2.1:80",
        "not a Service's: it goes on as it is",
        &[
            "forward filter pass | FORWARD |  | no rule refuses it",
            "postrouting nat return | POSTROUTING → KUBE-POSTROUTING | not marked for masquerading | return: not marked, so the source stays",
        ],
    );
}

#[test]
fn cards_name_every_line_that_the_steps_went_through() {
    for mode in ProxyMode::ALL {
        for (from, to) in [
            ("pod/shop/client", "svc/shop/web"),
            ("external", "svc/shop/web"),
            ("node/node-a", "svc/shop/late"),
            ("external", "svc/shop/local"),
        ] {
            let answer = answer(&state(), mode, from, to);
            let all: BTreeSet<LineId> = answer.lines().into_iter().collect();
            let story = answer.story();
            let named: BTreeSet<LineId> = story.cards.iter().flat_map(|card| card.lines.clone()).collect();
            assert!(named.is_subset(&all), "{mode} {from} {to}");
            let one = answer.outcomes.iter().find(|outcome| {
                outcome.steps.iter().flat_map(|step| step.lines()).all(|line| named.contains(&line))
            });
            assert!(one.is_some(), "{mode} {from} {to}: some outcome is told in full");
            assert_eq!(story.reason, one.unwrap().reason);
        }
    }
}

#[test]
fn a_hairpin_is_an_exception_among_the_shares() {
    let answer = answer(&state(), ProxyMode::Iptables, "pod/shop/client", "svc/shop/web");
    let story = answer.story();
    let choice = story.cards.iter().find(|card| !card.shares.is_empty()).unwrap();
    let masqueraded: Vec<bool> = choice.shares.iter().map(|share| share.masquerade).collect();
    assert_eq!(masqueraded, [false, true, false], "in the byte order of addresses");
    assert_eq!(choice.shares[1].pod.as_ref().unwrap().to_string(), "shop/client");
    assert!(story.cards.iter().all(|card| card.title != "masquerade"), "it is not the usual way");
}

#[test]
fn where_half_are_masqueraded_the_plain_way_is_told() {
    let mut answer = answer(&state(), ProxyMode::Iptables, "pod/shop/client", "svc/shop/web");
    answer.outcomes.remove(0);
    assert!(answer.outcomes[0].masquerade && !answer.outcomes[1].masquerade);
    assert_eq!(answer.story().reason, answer.outcomes[1].reason);
}

#[test]
fn outcomes_that_differ_are_all_in_the_headline() {
    let mut answer = answer(&state(), ProxyMode::Iptables, "external", "svc/shop/web");
    answer.outcomes[0].verdict = Verdict::Unknown;
    assert_eq!(answer.headline(), "unknown 1/3, deliver 2/3");
    assert_eq!(answer.story().verdict, Verdict::Deliver, "of most");
    answer.outcomes.clear();
    assert_eq!((answer.headline().as_str(), answer.story().cards.len()), ("unknown", 0));
}

#[test]
fn shares_of_many_are_the_first_and_a_count() {
    let one = Share {
        fraction: [1, 6],
        destination: "10.0.0.1:80".parse().unwrap(),
        pod: None,
        verdict: Verdict::Deliver,
        masquerade: false,
    };
    let rows = [
        (1, "1/6"),
        (3, "1/6 · 1/6 · 1/6"),
        (4, "1/6 · 1/6 · 1/6 · 1/6"),
        (6, "1/6 · 1/6 · 1/6 · … 6 in all"),
    ];
    for (count, expected) in rows {
        assert_eq!(shares_text(&vec![one.clone(); count]), expected);
    }
    assert_eq!([[1, 1], [1, 3]].map(fraction_text), ["all", "1/3"]);
}

#[test]
fn a_source_is_at_home_where_its_packets_are_seen_first() {
    let rows = [
        ("pod/shop/client", Some("node-a")),
        ("pod/shop/gone", None),
        ("node/node-b", Some("node-b")),
        ("node/gone", None),
        ("10.244.1.7", Some("node-b")),
        ("192.168.0.11", Some("node-b")),
        ("198.51.100.1", None),
        ("external", None),
    ];
    let state = state();
    for (source, home) in rows {
        let source: Source = source.parse().unwrap();
        assert_eq!(source.home(&state).map(|name| &**name), home, "{source}");
    }
}
