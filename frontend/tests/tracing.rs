//! The ends of a trace: what can be one, what is suggested; what the panel says of those who get nothing, and of modes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation fails the test")]

use vipscope_frontend::complete::complete;
use vipscope_frontend::tracing::{End, Run, endpoints_text, left_out, modes, node_of};
use vipscope_frontend::view_state::{Telling, Traced};
use vipscope_shared::manifest::load;
use vipscope_shared::model::ClusterState;
use vipscope_shared::predict::Reply;
use vipscope_shared::predict::names::Source;
use wasm_bindgen_test::wasm_bindgen_test;

/// `local` has an endpoint on node-b only and its policy is Local: modes differ about it on node-a.
const CLUSTER: &str = r#"{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.10"}]}},
{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-b"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.0.11"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"shop"},
 "spec":{"nodeName":"node-b","containers":[{"name":"web","ports":[{"containerPort":8080}]}]},
 "status":{"phase":"Running","podIP":"10.244.1.7","podIPs":[{"ip":"10.244.1.7"}]}},
{"apiVersion":"v1","kind":"Pod","metadata":{"name":"waiting","namespace":"shop"},"spec":{"containers":[]},"status":{"phase":"Pending"}},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},
 "spec":{"clusterIP":"10.96.0.21","clusterIPs":["10.96.0.21"],"ports":[{"name":"http","port":80},{"name":"dns","port":53,"protocol":"UDP"}]}},
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
 "metadata":{"name":"web-1","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}},
 "ports":[{"name":"http","port":8080,"protocol":"TCP"},{"name":"dns","port":8053,"protocol":"UDP"}],
 "endpoints":[{"addresses":["10.244.1.7"],"nodeName":"node-b","conditions":{"ready":true},"targetRef":{"kind":"Pod","namespace":"shop","name":"web-0"}},
  {"addresses":["10.244.0.8"],"nodeName":"node-a","conditions":{"ready":true}},
  {"addresses":["10.244.0.9"],"nodeName":"node-a","conditions":{"ready":false}}]},
{"apiVersion":"v1","kind":"Service","metadata":{"name":"local","namespace":"shop"},
 "spec":{"clusterIP":"10.96.0.22","clusterIPs":["10.96.0.22"],"internalTrafficPolicy":"Local","ports":[{"port":80}]}},
{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
 "metadata":{"name":"local-1","namespace":"shop","labels":{"kubernetes.io/service-name":"local"}},
 "ports":[{"name":"","port":8080,"protocol":"TCP"}],
 "endpoints":[{"addresses":["10.244.1.9"],"nodeName":"node-b","conditions":{"ready":true}}]}
]}"#;

fn state() -> ClusterState {
    load(CLUSTER).unwrap().state
}

fn traced(from: &str, to: &str) -> Traced {
    Traced {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        protocol: None,
        node: None,
        mode: None,
        telling: Telling::Steps,
        answer: 0,
    }
}

#[wasm_bindgen_test]
fn what_is_pointed_at_has_the_name_that_would_be_typed() {
    let rows = [
        ("pod/shop/web-0", Some("pod/shop/web-0"), Some("10.244.1.7:8080")),
        ("pod/shop/waiting", Some("pod/shop/waiting"), None),
        ("node/node-a", Some("node/node-a"), None),
        ("node/-", None, None),
        ("from/outside", Some("external"), None),
        ("from/nodes", Some("node/node-a"), None),
        ("from/pods/shop", Some("pod/shop/web-0"), None),
        ("from/pods/none", None, None),
        ("svc/shop/web", None, Some("svc/shop/web")),
        ("svc/shop/web:dns", None, Some("svc/shop/web:dns")),
        ("address/10.244.0.8", Some("10.244.0.8"), None),
        ("address/db.example.com", None, None),
        ("ns/shop", None, None),
    ];
    let state = state();
    for (target, from, to) in rows {
        let target = target.parse().unwrap();
        let names = End::BOTH.map(|end| end.name(&state, &target));
        assert_eq!([names[0].as_deref(), names[1].as_deref()], [from, to], "{target}");
        for (end, name) in End::BOTH.into_iter().zip(names) {
            assert_eq!(name.and_then(|name| end.problem(&name)), None, "{target}");
        }
    }
}

#[wasm_bindgen_test]
fn suggestions_are_what_can_be_traced_the_best_first() {
    let rows: [(End, &str, &[&str]); 12] = [
        (End::From, "", &["external", "node/node-a", "node/node-b", "pod/shop/waiting", "pod/shop/web-0"]),
        (End::From, "web", &["pod/shop/web-0"]),
        (End::From, "pod/shop/w", &["pod/shop/waiting", "pod/shop/web-0"]),
        (End::From, "shop/web", &["pod/shop/web-0"]),
        (End::From, "10.244.1", &["pod/shop/web-0"]),
        (End::From, "192.168.0.11", &["node/node-b"]),
        (End::From, "out", &["external"]),
        (End::To, "local", &["svc/shop/local"]),
        (End::To, "web", &["svc/shop/web", "svc/shop/web:dns", "svc/shop/web:http"]),
        (End::To, "svc/shop/web:h", &["svc/shop/web:http"]),
        (End::To, "10.96.0.2", &["10.96.0.21:53", "10.96.0.21:80", "10.96.0.22:80"]),
        (End::To, "nothing", &[]),
    ];
    let state = state();
    for (end, typed, expected) in rows {
        let found = complete(&state, end, typed, 20);
        let texts: Vec<&str> = found.best.iter().map(|one| one.text.as_str()).collect();
        assert_eq!((texts.as_slice(), found.more), (expected, 0), "{typed}");
        assert!(texts.iter().all(|text| end.problem(text).is_none()), "{typed}");
    }
    let few = complete(&state, End::From, "", 2);
    assert_eq!((few.best.len(), few.more), (2, 3));
}

#[wasm_bindgen_test]
fn the_node_follows_a_pod_and_else_the_choice() {
    let state = state();
    let rows = [
        (Some("pod/shop/web-0"), Some("node-a"), "node-b"),
        (Some("node/node-b"), None, "node-b"),
        (Some("node/node-b"), Some("node-a"), "node-a"),
        (Some("external"), None, "node-a"),
        (Some("external"), Some("node-b"), "node-b"),
        (None, None, "node-a"),
    ];
    for (from, chosen, expected) in rows {
        let from: Option<Source> = from.map(|from| from.parse().unwrap());
        let node = node_of(&state, from.as_ref(), chosen.map(Into::into).as_ref());
        assert_eq!(node.as_deref(), Some(expected), "{from:?} {chosen:?}");
    }
    assert_eq!(node_of(&ClusterState::default(), None, None), None);
}

#[wasm_bindgen_test]
fn those_who_get_nothing_are_named_with_the_reason() {
    let state = state();
    let others = |from: &str, to: &str| {
        let run = Run::of(&state, &traced(from, to));
        let others = left_out(&state, &run.answers()[0]);
        others.into_iter().map(|one| format!("{}: {}", one.name, one.why)).collect::<Vec<_>>()
    };
    assert_eq!(others("external", "svc/shop/web:http"), ["10.244.0.9: not ready"]);
    let from_a = others("node/node-a", "svc/shop/local");
    assert_eq!(from_a.len(), 1);
    assert!(from_a[0].starts_with("10.244.1.9: not from this node: ready, from 1 of 2 nodes"), "{from_a:?}");
    assert_eq!(others("node/node-b", "svc/shop/local"), Vec::<String>::new());
    assert_eq!(others("external", "192.0.2.1:80"), Vec::<String>::new());
}

#[wasm_bindgen_test]
fn modes_say_in_what_they_differ_from_the_configured_one() {
    let state = state();
    let rows = modes(&state, &traced("node/node-a", "svc/shop/local")).unwrap();
    let shown: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {} {:?}", row.mode, row.verdict.as_str(), row.is_configured, row.differs))
        .collect();
    assert_eq!(
        shown,
        [
            "userspace deliver false [\"another verdict\"]",
            "iptables drop true []",
            "nftables drop false []",
            "ipvs reject false [\"another verdict\"]",
        ]
    );
    let rows = modes(&state, &traced("pod/shop/web-0", "svc/shop/web:http")).unwrap();
    let masquerade: Vec<&str> = rows.iter().map(|row| row.masquerade.as_str()).collect();
    assert_eq!(masquerade, ["yes", "for 1 of 2", "for 1 of 2", "for 1 of 2"]);
    assert_eq!(rows[0].differs, ["another source address"]);
    assert_eq!(endpoints_text(&rows[1].endpoints), "10.244.0.8:8080 1/2\nweb-0 1/2");
    let problem = modes(&state, &traced("pod/shop/gone", "svc/shop/web")).unwrap_err();
    assert_eq!(problem, "Pod shop/gone is not there");
}

#[wasm_bindgen_test]
fn a_run_is_an_answer_or_says_what_is_wrong() {
    let state = state();
    let run = Run::of(&state, &traced("pod/shop/web-0", "svc/shop/web"));
    assert_eq!((&*run.node, run.answers().len()), ("node-b", 2));
    let run = Run::of(&state, &traced("external", "svc/shop/nope"));
    assert_eq!(run.reply, Err("Service shop/nope is not there".to_owned()));
    let run = Run::of(&ClusterState::default(), &traced("external", "10.96.0.1:80"));
    let Err(problem) = run.reply else { panic!("there is no node") };
    assert!(problem.contains("node"), "{problem}");
    let reply =
        Run::of(&state, &Traced { node: Some("node-b".into()), ..traced("external", "svc/shop/web:dns") })
            .reply;
    let Ok(Reply::Answers(answers)) = reply else { panic!("{reply:?}") };
    assert_eq!((&*answers[0].node, answers[0].packet.protocol.lower()), ("node-b", "udp"));
}
