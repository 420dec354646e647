//! What if and compare without a page: the edit list, what is offered, how differences are told, what settings mean.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation fails the test")]

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use vipscope_frontend::compare::{Cause, Compared, Comparison, Side, compare};
use vipscope_frontend::whatif::{
    Answer, Notation, Offer, Outcome, PartRow, Plan, Tone, ask, chip, counts, group_rows, manifest_of,
    offers, print_edits, print_value, read_edits, read_manifest, rows, selector_edit,
};
use vipscope_shared::manifest::load;
use vipscope_shared::model::ClusterState;
use vipscope_shared::pace::{self, at_once};
use vipscope_shared::scene::Target;
use vipscope_shared::whatif::edit::Edit;
use wasm_bindgen_test::wasm_bindgen_test;

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// `web` has two ready pods, one on each node.
fn cluster() -> ClusterState {
    let node = |name: &str, ip: &str, cidr: &str| {
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": "a" } },
            "spec": { "podCIDR": cidr, "podCIDRs": [cidr] },
            "status": { "addresses": [{ "type": "InternalIP", "address": ip }], "conditions": [{ "type": "Ready", "status": "True" }] } })
    };
    let pod = |name: &str, node: &str, ip: &str| {
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "shop", "labels": { "app": "web", "pod-template-hash": "7f" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7f", "uid": "1", "controller": true }] },
            "spec": { "nodeName": node, "containers": [{ "name": "web", "ports": [{ "containerPort": 80 }] }] },
            "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }], "conditions": [{ "type": "Ready", "status": "True" }] } })
    };
    let endpoint = |name: &str, node: &str, ip: &str| {
        json!({ "addresses": [ip], "nodeName": node, "zone": "a", "conditions": { "ready": true, "serving": true, "terminating": false },
            "targetRef": { "kind": "Pod", "namespace": "shop", "name": name } })
    };
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        node("node-a", "192.168.0.10", "10.244.0.0/24"), node("node-b", "192.168.0.11", "10.244.1.0/24"),
        pod("web-7f-a", "node-a", "10.244.0.5"), pod("web-7f-b", "node-b", "10.244.1.5"),
        { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "shop" },
          "spec": { "type": "NodePort", "clusterIP": "10.96.0.21", "clusterIPs": ["10.96.0.21"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80, "targetPort": 80, "nodePort": 30080, "protocol": "TCP" }] } },
        { "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
          "metadata": { "name": "web-1", "namespace": "shop", "labels": { "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io" } },
          "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }],
          "endpoints": [endpoint("web-7f-a", "node-a", "10.244.0.5"), endpoint("web-7f-b", "node-b", "10.244.1.5")] },
    ]});
    load(&list.to_string()).unwrap().state
}

fn edits(json: serde_json::Value) -> Vec<Edit> {
    serde_json::from_value(json).unwrap()
}

fn edit(json: serde_json::Value) -> Edit {
    serde_json::from_value(json).unwrap()
}

fn unready(pod: &str) -> Edit {
    edit(json!({ "op": "pod", "pod": pod, "state": "unready" }))
}

fn answer(list: serde_json::Value) -> Arc<Answer> {
    match at_once(ask(&cluster(), &edits(list), now(), &pace::none)) {
        Outcome::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[wasm_bindgen_test]
fn an_edit_of_the_same_thing_replaces_the_earlier_one_and_every_step_can_be_undone() {
    let gone = edit(json!({ "op": "pod", "pod": "shop/a", "state": "gone" }));
    let drain = edit(json!({ "op": "node", "node": "node-a", "state": "drain" }));
    let patch = |field: &str, value: &str| {
        edit(json!({ "op": "patch", "object": "Service/shop/web", "patch": { "spec": { field: value } } }))
    };
    let mut plan = Plan::default();
    let steps = [
        unready("shop/a"),
        drain.clone(),
        gone.clone(),
        patch("type", "NodePort"),
        patch("sessionAffinity", "ClientIP"),
        patch("type", "ClusterIP"),
    ];
    for step in steps {
        plan.put(step);
    }
    let expected =
        [gone.clone(), drain.clone(), patch("type", "ClusterIP"), patch("sessionAffinity", "ClientIP")];
    assert_eq!(plan.edits(), expected);
    plan.drop_like(&unready("shop/a"));
    assert_eq!(plan.edits().len(), 3);
    plan.undo();
    assert_eq!(plan.edits(), expected);
    for _ in 0..6 {
        plan.undo();
    }
    assert!(plan.edits().is_empty() && !plan.can_undo());
    for _ in 0..6 {
        plan.redo();
    }
    assert_eq!(plan.edits(), expected);
    plan.put(unready("shop/b"));
    plan.undo();
    plan.put(unready("shop/c"));
    assert!(!plan.can_redo());
}

#[wasm_bindgen_test]
fn what_is_typed_is_one_step() {
    let mut plan = Plan::of(vec![unready("shop/a")]);
    plan.type_in(vec![unready("shop/b")]);
    plan.type_in(vec![unready("shop/c")]);
    plan.undo();
    assert_eq!(plan.edits(), [unready("shop/a")]);
    // A name that is typed letter by letter is one object.
    let apply = |name: &str| {
        edit(json!({ "op": "apply", "manifest": { "kind": "Service", "metadata": { "name": name } } }))
    };
    plan.type_over(apply("w"));
    plan.type_over(apply("we"));
    assert_eq!(plan.edits(), [unready("shop/a"), apply("we")]);
    plan.type_in(vec![unready("shop/a")]);
    plan.type_over(apply("web"));
    plan.undo();
    assert_eq!(plan.edits(), [unready("shop/a")]);
    assert!(plan.can_redo());
}

/// `Pod: ready* [unready] terminating gone`: the star is what there is, brackets what is wanted.
fn told(offer: &Offer) -> String {
    let options = |name: &str, options: &[vipscope_frontend::whatif::Opt]| {
        let one = |option: &vipscope_frontend::whatif::Opt| {
            let star = if option.is_present { "*" } else { "" };
            if option.is_on { format!("[{}{star}]", option.words) } else { format!("{}{star}", option.words) }
        };
        format!("{name}: {}", options.iter().map(one).collect::<Vec<_>>().join(" "))
    };
    match offer {
        Offer::Buttons { name, options: all } | Offer::Select { name, options: all } => options(name, all),
        Offer::Scale { workload, present, wanted } => format!("{workload}: {present} → {wanted}"),
        Offer::Selector { wanted, .. } => format!("selector {wanted}"),
        Offer::Zone { present, wanted, .. } => format!("zone {present:?} → {wanted:?}"),
    }
}

#[wasm_bindgen_test]
fn what_is_offered_says_what_is_and_what_is_wanted() {
    let state = cluster();
    let mut plan = Plan::default();
    plan.put(unready("shop/web-7f-a"));
    plan.put(edit(json!({ "op": "scale", "workload": "Deployment/shop/web", "replicas": 5 })));
    let object = "Service/shop/web".parse().unwrap();
    let selector = state.services().values().next().unwrap().selector.clone().unwrap();
    plan.put(selector_edit(&object, &selector, "tier=front").unwrap());
    let lines = |target: &str| -> Vec<String> {
        let target: Target = target.parse().unwrap();
        offers(&state, &plan, &target).iter().map(told).collect()
    };
    assert_eq!(
        lines("pod/shop/web-7f-a"),
        ["Pod: ready* [unready] terminating gone", "Runs on: [node-a*] node-b", "Deployment/shop/web: 2 → 5"]
    );
    assert_eq!(lines("node/node-a")[0], "Node: [as it is*] cordoned drained lost");
    let service = lines("svc/shop/web:http");
    assert_eq!(service[0], "Deployment/shop/web: 2 → 5");
    assert!(service.contains(&"Type: ClusterIP [NodePort*] LoadBalancer".to_owned()), "{service:?}");
    assert!(service.contains(&"selector tier=front".to_owned()), "{service:?}");
    assert!(
        lines("pod/shop/none").is_empty() && lines("from/outside").is_empty() && lines("node/-").is_empty()
    );
}

#[wasm_bindgen_test]
fn a_pod_that_is_not_ready_leaves_everyone_with_the_other_one() {
    let answer = answer(json!([{ "op": "pod", "pod": "shop/web-7f-a", "state": "unready" }]));
    let lines = rows(&cluster(), &answer.difference);
    assert!(!lines.is_empty());
    for row in &lines {
        assert_eq!(row.to, "web:http");
        assert_eq!(row.after.words, "1 pod, no spare", "{row:?}");
        assert_eq!(row.after.tone, Tone::Warn);
        assert!(row.before.words.starts_with("2 pods · 1/2 each"), "{row:?}");
        assert_eq!(row.after.lines, [("all".to_owned(), row.after.lines[0].1.clone())]);
        assert!(row.after.lines[0].1.starts_with("web-7f-b"), "{row:?}");
        assert!(row.trace.is_some());
    }
    assert_eq!(counts(&answer.difference), [lines.len(), 0, 0]);
}

#[wasm_bindgen_test]
fn flows_of_which_the_same_can_be_said_are_one_line_that_unfolds() {
    let answer = answer(json!([{ "op": "pod", "pod": "shop/web-7f-a", "state": "unready" }]));
    let lines = rows(&cluster(), &answer.difference);
    let groups = group_rows(&answer.difference, &lines);
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((&*group.what, &*group.change, group.tone), ("web", "2 endpoints → 1 endpoint", Tone::Plain));
    assert_eq!(group.service.as_ref().unwrap().to_string(), "shop/web");
    let part = |who: &str, to: &str| PartRow { who: who.to_owned(), to: vec![to.to_owned()] };
    let expected = [
        part("everyone", "port http, by cluster IP and node port"),
        part("all nodes themselves", "port http, by node port on localhost"),
    ];
    assert_eq!(group.parts, expected);
    assert_eq!(group.rows, lines);
    assert!(lines.len() > 2 && group.why.is_empty());
    // Whatever becomes of its flows, it is the same line.
    let fewer = group_rows(&answer.difference, &lines[..1]);
    assert_eq!(fewer[0].id(), group.id());
}

#[wasm_bindgen_test]
fn what_breaks_says_so() {
    let both = json!([{ "op": "pod", "pod": "shop/web-7f-a", "state": "gone" }, { "op": "pod", "pod": "shop/web-7f-b", "state": "unready" }]);
    let answer = answer(both);
    let lines = rows(&cluster(), &answer.difference);
    assert!(lines.iter().all(|row| row.after.words == "refused" && row.after.tone == Tone::Bad), "{lines:?}");
    assert_eq!(counts(&answer.difference), [lines.len(), lines.len(), 0]);
    let groups = group_rows(&answer.difference, &lines);
    assert!(
        groups.iter().all(|group| group.tone == Tone::Bad && group.change.ends_with("→ refused")),
        "{groups:?}"
    );
}

#[wasm_bindgen_test]
fn a_refused_edit_is_named_and_nothing_is_answered() {
    let list = edits(json!([
        { "op": "pod", "pod": "shop/web-7f-a", "state": "unready" },
        { "op": "patch", "object": "Service/shop/web", "patch": { "spec": { "type": "Balancer" } } },
    ]));
    match at_once(ask(&cluster(), &list, now(), &pace::none)) {
        Outcome::Refused { index: 1, reason } => assert!(reason.contains("Unsupported value"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[wasm_bindgen_test]
fn edits_survive_both_notations_and_a_manifest_is_the_models() {
    let list = edits(json!([
        { "op": "scale", "workload": "Deployment/shop/web", "replicas": 5 },
        { "op": "zone", "node": "node-a", "zone": null },
        { "op": "proxy", "node": "*", "set": { "mode": "nftables" } },
        { "op": "apply", "manifest": { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "yes", "labels": { "a": "1", "b": "on: #off" } } } },
    ]));
    for notation in [Notation::Yaml, Notation::Json] {
        assert_eq!(read_edits(&print_edits(&list, notation)).unwrap(), list);
    }
    assert_eq!(read_edits(" \n").unwrap(), []);
    assert!(read_edits("- op: pod\n  pod: x\n  state: unready").unwrap_err().contains("edit 1"));
    let manifest = manifest_of(&cluster(), &"Service/shop/web".parse().unwrap()).unwrap();
    assert_eq!(manifest["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(read_manifest(&print_value(&manifest, Notation::Yaml)).unwrap(), manifest);
    // What is not changed changes nothing.
    assert_eq!(counts(&answer(json!([{ "op": "apply", "manifest": manifest }])).difference), [0, 0, 0]);
}

#[wasm_bindgen_test]
fn chips_are_short() {
    let rows = [
        (json!({ "op": "node", "node": "node-d", "state": "drain" }), "drain", "node-d"),
        (json!({ "op": "pod", "pod": "shop/web-0", "state": "unready" }), "web-0", "unready"),
        (json!({ "op": "scale", "workload": "Deployment/shop/web", "replicas": 5 }), "scale web", "5"),
        (
            json!({ "op": "patch", "object": "Service/shop/cart", "patch": { "spec": { "trafficDistribution": "PreferSameZone" } } }),
            "cart",
            "trafficDistribution: PreferSameZone",
        ),
        (json!({ "op": "proxy", "node": "*", "set": { "mode": "ipvs" } }), "all nodes", "mode: ipvs"),
        (json!({ "op": "delete", "object": "Service/shop/cart" }), "delete", "Service cart"),
    ];
    for (json, plain, bold) in rows {
        assert_eq!(chip(&edit(json)), (plain.to_owned(), bold.to_owned()));
    }
}

fn comparison(pairs: &[(&str, &str)]) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, value) in pairs {
        assert!(comparison.read(name, value), "{name}");
    }
    comparison
}

#[wasm_bindgen_test]
fn modes_differ_where_they_are_known_to_and_a_cluster_not_from_itself() {
    let state = cluster();
    let causes =
        |pairs: &[(&str, &str)]| match at_once(compare(&state, &comparison(pairs), None, now(), &pace::none))
        {
            Compared::Differences { causes, .. } => causes,
            other => panic!("{other:?}"),
        };
    assert_eq!(causes(&[]), []);
    assert_eq!(causes(&[("a-mode", "iptables"), ("b-mode", "iptables")]), []);
    // nftables has no node ports on 127.0.0.1.
    let found = causes(&[("b-mode", "nftables")]);
    assert!(found.iter().all(|cause| cause.flows() >= cause.groups.len() && !cause.groups.is_empty()));
    let is_told = |cause: &Cause| cause.groups.iter().all(|group| group.cause.as_ref() == Some(&cause.words));
    assert!(found.iter().all(is_told), "{found:?}");
    let addresses: Vec<&str> = found
        .iter()
        .flat_map(|cause| &cause.groups)
        .flat_map(|group| &group.rows)
        .map(|row| &*row.address)
        .collect();
    assert!(addresses.contains(&"127.0.0.1:30080 tcp"), "{addresses:?}");
    match at_once(compare(&state, &comparison(&[("b-nodeports", "nonsense")]), None, now(), &pace::none)) {
        Compared::Refused { side: Side::B, reason } => assert!(reason.contains("nonsense"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[wasm_bindgen_test]
fn another_file_is_another_cluster() {
    let mut state = cluster();
    let key = state.services().keys().next().unwrap().clone();
    let object = vipscope_shared::model::ObjectRef { kind: vipscope_shared::model::Kind::Service, key };
    let _ = state.apply(&vipscope_shared::delta::Change::Delete(object));
    match at_once(compare(&cluster(), &comparison(&[("against", "file")]), Some(&state), now(), &pace::none))
    {
        Compared::Differences { causes, b, .. } => {
            assert_eq!(b, "the file");
            assert!(
                causes
                    .iter()
                    .flat_map(|cause| &cause.groups)
                    .flat_map(|group| &group.rows)
                    .any(|row| row.to == "web:http"),
                "{causes:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}
