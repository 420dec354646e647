//! The endpoint ladder: one healthy cluster, one thing broken at a time, and the rung on which that shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

mod support_yaml;

use std::fs;
use std::path::Path;

use support_yaml::{HEALTHY, edited};
use vipscope_shared::diagnose::ladder::{Ladder, Question, Step, Verdict, ladder};
use vipscope_shared::manifest;
use vipscope_shared::model::{IpFamily, Key, Keyed, ProxyMode};
use vipscope_shared::proxy::{PortView, Via, backends, categorize, shares};

fn question() -> Question {
    Question {
        service: Key::new("shop", "web"),
        port: None,
        pod: Key::new("shop", "web-5d9-a"),
        node: "node-a".into(),
        via: Via::ClusterIp,
        mode: Some(ProxyMode::Iptables),
    }
}

fn climb(text: &str, question: &Question) -> Ladder {
    let loaded = manifest::load(text).unwrap();
    assert_eq!(loaded.faults, []);
    let ladder = ladder(&loaded.state, question);
    let steps: Vec<Step> = ladder.rungs.iter().map(|rung| rung.step).collect();
    assert_eq!(steps, Step::ALL, "every rung is there, in order");
    for rung in &ladder.rungs {
        assert!(!rung.says.is_empty() && rung.verify.starts_with("kubectl "), "{rung:?}");
        assert!(
            rung.verdict != Verdict::Pass || !rung.evidence.is_empty(),
            "what passes rests on something: {rung:?}"
        );
    }
    ladder
}

/// One letter a rung: pass, fail, unknown.
fn letters(ladder: &Ladder) -> String {
    let letter = |verdict| match verdict {
        Verdict::Pass => 'p',
        Verdict::Fail => 'F',
        Verdict::Unknown => '?',
    };
    ladder.rungs.iter().map(|rung| letter(rung.verdict)).collect()
}

type Row = (&'static [(&'static str, &'static str)], fn(&mut Question), &'static str, &'static str);

/// The pod on node-a terminates, and still serves.
const DYING: (&str, &str) = (
    "name: web-5d9-a}, conditions: {ready: true, serving: true, terminating: false}",
    "name: web-5d9-a}, conditions: {ready: false, serving: true, terminating: true}",
);

const PORTLESS: &[(&str, &str)] = &[
    ("clusterIP: 10.96.1.5", "clusterIP: None"),
    (", ports: [{name: http, port: 80, targetPort: http}]", ""),
    ("ports: [{name: http, port: 8080, protocol: TCP}]\n", ""),
];

/// What is edited, what is asked, one letter for each rung, and what the first failure says.
const ROWS: &[Row] = &[
    (&[], |_| {}, "ppppppppp", ""),
    (&[], |q| q.node = "node-c".into(), "ppppppppp", ""),
    (&[], |q| q.service = Key::new("shop", "wbe"), "F????????", "Service shop/wbe is not there"),
    (&[], |q| q.port = Some("8080".into()), "F????????", "no port 8080"),
    (&[], |q| q.port = Some("http".into()), "ppppppppp", ""),
    (&[], |q| q.port = Some("80".into()), "ppppppppp", ""),
    (
        &[("type: ClusterIP", "type: ExternalName, externalName: a.example")],
        |_| {},
        "F????????",
        "ExternalName",
    ),
    (&[], |q| q.pod = Key::new("shop", "web-9"), "pF???????", "Pod shop/web-9 is not there"),
    (
        &[("selector: {app: web}", "selector: {app: web, tier: x}")],
        |_| {},
        "pFppppppp",
        "the pod lacks tier=x",
    ),
    (
        &[("targetPort: http", "targetPort: https")],
        |_| {},
        "ppFpppppp",
        "no container has a TCP port named https",
    ),
    // Not listed at all: nothing above can be judged.
    (
        &[
            ("- {addresses: [10.244.0.5], nodeName: node-a", "- {addresses: [10.244.0.9], nodeName: node-a"),
            ("name: web-5d9-a}, conditions", "name: gone}, conditions"),
        ],
        |_| {},
        "pppF?????",
        "no slice of the Service lists it",
    ),
    (
        &[(
            "ports: [{name: http, port: 8080, protocol: TCP}]",
            "ports: [{name: web, port: 8080, protocol: TCP}]",
        )],
        |_| {},
        "pppFppppF",
        "without the port",
    ),
    (
        &[(
            "10.244.0.5], nodeName: node-a, zone: z1, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: true",
            "10.244.0.5], nodeName: node-a, zone: z1, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: false",
        )],
        |_| {},
        "ppppFpppF",
        "not ready",
    ),
    // All terminate and still serve: they are used.
    (
        &[(
            "conditions: {ready: true, serving: true, terminating: false}",
            "conditions: {ready: false, serving: true, terminating: true}",
        )],
        |_| {},
        "ppppppppp",
        "",
    ),
    (
        &[(
            "conditions: {ready: true, serving: true, terminating: false}",
            "conditions: {ready: false, serving: false, terminating: true}",
        )],
        |_| {},
        "ppppFpppF",
        "no longer serves",
    ),
    (&[("type: ClusterIP", "type: ClusterIP, internalTrafficPolicy: Local")], |_| {}, "ppppppppp", ""),
    (
        &[("type: ClusterIP", "type: ClusterIP, internalTrafficPolicy: Local")],
        |q| q.node = "node-b".into(),
        "pppppFppF",
        "the pod is on node-a, not on node-b",
    ),
    (&[], |q| q.via = Via::External, "pppppFppp", "neither a node port"),
    (
        &[("type: ClusterIP", "type: NodePort"), ("targetPort: http", "targetPort: http, nodePort: 30080")],
        |q| q.via = Via::External,
        "ppppppppp",
        "",
    ),
    (
        &[
            ("type: ClusterIP", "type: NodePort, externalTrafficPolicy: Local"),
            ("targetPort: http", "targetPort: http, nodePort: 30080"),
        ],
        |q| {
            q.via = Via::External;
            q.node = "node-b".into();
        },
        // The cluster IP's chain still leads to it, so a rule is there.
        "pppppFppp",
        "policy Local",
    ),
    (
        &[
            ("zone: z1, targetRef", "zone: z1, hints: {forZones: [{name: z1}]}, targetRef"),
            ("zone: z2, targetRef", "zone: z2, hints: {forZones: [{name: z2}]}, targetRef"),
            ("zone: z3, targetRef", "zone: z3, hints: {forZones: [{name: z3}]}, targetRef"),
        ],
        |_| {},
        "ppppppppp",
        "",
    ),
    (
        &[
            ("zone: z1, targetRef", "zone: z1, hints: {forZones: [{name: z1}]}, targetRef"),
            ("zone: z2, targetRef", "zone: z2, hints: {forZones: [{name: z2}]}, targetRef"),
            ("zone: z3, targetRef", "zone: z3, hints: {forZones: [{name: z3}]}, targetRef"),
        ],
        |q| q.node = "node-b".into(),
        "ppppppFpF",
        "hints keep",
    ),
    // Hinted, but not ready: that alone is what is wrong.
    (
        &[
            ("zone: z1, targetRef", "zone: z1, hints: {forZones: [{name: z1}]}, targetRef"),
            ("zone: z2, targetRef", "zone: z2, hints: {forZones: [{name: z1}]}, targetRef"),
            ("zone: z3, targetRef", "zone: z3, hints: {forZones: [{name: z3}]}, targetRef"),
            ("name: web-5d9-b}, conditions: {ready: true", "name: web-5d9-b}, conditions: {ready: false"),
        ],
        |q| q.pod = Key::new("shop", "web-5d9-b"),
        "ppppFpppF",
        "not ready",
    ),
    // One endpoint without a hint: no hints at all.
    (
        &[("zone: z2, targetRef", "zone: z2, hints: {forZones: [{name: z2}]}, targetRef")],
        |q| q.node = "node-b".into(),
        "ppppppppp",
        "",
    ),
    (&[("type: ClusterIP", "type: ClusterIP, sessionAffinity: ClientIP")], |_| {}, "ppppppp?p", ""),
    (
        &[("type: ClusterIP", "type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Local")],
        |_| {},
        "ppppppppp",
        "",
    ),
    (&[], |q| q.node = "node-z".into(), "pppp????F", "Node node-z is not there"),
    (
        &[("labels: {app: web}", "labels: {app: web, service.kubernetes.io/service-proxy-name: other}")],
        |_| {},
        "ppppppppF",
        "no rule on node-a",
    ),
    // A pod that terminates: others are ready, but under policy Local none on its node.
    (&[DYING], |_| {}, "ppppFpppF", "others are ready"),
    (&[DYING, ("type: ClusterIP", "type: ClusterIP, internalTrafficPolicy: Local")], |_| {}, "ppppppppp", ""),
    (
        &[DYING, ("type: ClusterIP", "type: ClusterIP, internalTrafficPolicy: Local")],
        |q| q.node = "node-b".into(),
        "pppppFppF",
        "the pod is on node-a, not on node-b",
    ),
    // Listed twice for a moment: what does not terminate counts.
    (
        &[(
            "- {addresses: [10.244.1.5]",
            "- {addresses: [10.244.0.5], nodeName: node-a, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: false, serving: true, terminating: true}}\n- {addresses: [10.244.1.5]",
        )],
        |_| {},
        "ppppppppp",
        "",
    ),
    // Another pod has the same address, that of the node, and only that one is listed.
    (
        &[
            ("podIP: 10.244.1.5", "podIP: 10.244.0.5"),
            ("addresses: [10.244.1.5]", "addresses: [10.244.9.9]"),
            ("name: web-5d9-b}, conditions", "name: gone}, conditions"),
        ],
        |q| q.pod = Key::new("shop", "web-5d9-b"),
        "pppF?????",
        "no slice of the Service lists it",
    ),
    // Headless, of the pod's second family.
    (
        &[
            ("clusterIP: 10.96.1.5", "clusterIP: None"),
            ("podIP: 10.244.0.5,", "podIP: 'fd00::5', podIPs: [{ip: 'fd00::5'}, {ip: 10.244.0.5}],"),
        ],
        |_| {},
        "ppppp????",
        "",
    ),
    // A headless Service needs no port.
    (PORTLESS, |_| {}, "ppppp????", ""),
    (PORTLESS, |q| q.port = Some("80".into()), "F????????", "no port 80"),
    // Headless: DNS alone.
    (&[("clusterIP: 10.96.1.5", "clusterIP: None")], |_| {}, "ppppp????", ""),
    (&[("selector: {app: web}, ", "")], |_| {}, "p??pppppp", ""),
];

#[test]
fn the_first_failing_rung_names_the_trouble() {
    for (edits, ask, expected, says) in ROWS {
        let mut question = question();
        ask(&mut question);
        let found = climb(&edited(HEALTHY, edits), &question);
        assert_eq!(letters(&found), *expected, "{edits:?} {question:?}");
        let first = found.first_failure().map_or("", |rung| &rung.says);
        assert!(first.contains(says), "{edits:?}: {first}");
        assert_eq!(first.is_empty(), says.is_empty(), "{edits:?}: {first}");
    }
}

#[test]
fn the_last_rung_asks_the_rules_of_every_mode() {
    let rows = [
        (
            ProxyMode::Iptables,
            Verdict::Pass,
            "--to-destination 10.244.0.5:8080",
            "iptables-save -t nat | grep -F 10.244.0.5:8080",
        ),
        (
            ProxyMode::Nftables,
            Verdict::Pass,
            "10.244.0.5 . 8080",
            "nft list table ip kube-proxy | grep -F 10.244.0.5",
        ),
        (ProxyMode::Ipvs, Verdict::Pass, "10.244.0.5:8080", "ipvsadm -Ln | grep -F 10.244.0.5:8080"),
        (ProxyMode::Userspace, Verdict::Unknown, "userspace", "iptables-save"),
    ];
    for (mode, verdict, evidence, command) in rows {
        let found = climb(HEALTHY, &Question { mode: Some(mode), ..question() });
        let rung = &found.rungs[8];
        assert_eq!(rung.verdict, verdict, "{mode}: {rung:?}");
        assert!(
            rung.evidence.iter().any(|evidence_of| evidence_of.value.contains(evidence)),
            "{mode}: {rung:?}"
        );
        assert!(rung.verify.contains(command), "{mode}: {}", rung.verify);
        let gone = edited(HEALTHY, &[("10.244.0.5], nodeName", "10.244.0.50], nodeName")]);
        let other = climb(&gone, &Question { mode: Some(mode), ..question() });
        assert_ne!(other.rungs[8].verdict, Verdict::Pass, "{mode}: 10.244.0.50 is not 10.244.0.5");
    }
}

/// Every Service, pod and node of a real cluster: no rung fails if and only if kube-proxy there would choose the pod.
#[test]
fn the_ladder_agrees_with_what_kube_proxy_chooses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/real-cluster-1.36.json");
    let state = manifest::load(&fs::read_to_string(path).unwrap()).unwrap().state;
    let (mut reached, mut failed) = (0, 0);
    for service in state.services().values().filter(|service| service.is_proxied()) {
        for (pod, node) in
            state.pods().values().flat_map(|pod| state.nodes().values().map(move |node| (pod, node)))
        {
            for via in [Via::ClusterIp, Via::External] {
                let port = &service.ports[0];
                let all = backends(&state, service, port, IpFamily::IPv4);
                let view = PortView::of(service, port, IpFamily::IPv4);
                let chosen = shares(&categorize(&all, view, node), view, via).chosen;
                let offered = via == Via::ClusterIp || view.external;
                let chosen =
                    offered && chosen.iter().any(|index| all[*index].pod.as_ref() == Some(pod.key()));
                let question = Question {
                    service: service.key().clone(),
                    port: None,
                    pod: pod.key().clone(),
                    node: node.name().clone(),
                    via,
                    mode: None,
                };
                let found = ladder(&state, &question);
                assert_eq!(found.first_failure().is_none(), chosen, "{question:?}\n{}", letters(&found));
                *(if chosen { &mut reached } else { &mut failed }) += 1;
            }
        }
    }
    assert!(reached > 100 && failed > 500, "{reached} {failed}");
}

#[test]
fn hostile_names_stay_words_of_the_command() {
    let question = Question { service: Key::new("shop", "$(reboot)"), ..question() };
    let found = climb(HEALTHY, &question);
    assert!(found.rungs[0].verify.contains("'$(reboot)'"), "{}", found.rungs[0].verify);
}
