//! Ghosts on the map: what would come, go or change in a hypothetical cluster, and nothing if it is the same.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::sync::Arc;

use serde_json::{Value, json};
use vipscope_shared::manifest::load;
use vipscope_shared::model::ClusterState;
use vipscope_shared::scene::{Ghost, Hypothesis, ItemKind, Rect, Scene, SceneOptions};

/// A pod: its name, its node, whether it is ready.
type Pod = (&'static str, &'static str, bool);

fn pod((name, node, ready): Pod) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "shop", "labels": { "app": "web" } },
        "spec": { "nodeName": node, "containers": [{ "name": "web", "ports": [{ "containerPort": 80 }] }] },
        "status": { "phase": "Running", "podIP": ip(name), "podIPs": [{ "ip": ip(name) }], "conditions": [{ "type": "Ready", "status": ready }] } })
}

fn ip(name: &str) -> String {
    format!("10.244.0.{}", name.bytes().map(u32::from).sum::<u32>() % 200 + 1)
}

/// Services of these names, all for the same pods.
fn cluster(services: &[&str], pods: &[Pod]) -> ClusterState {
    let node = |name: &str| json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    let mut items = vec![node("node-a"), node("node-b")];
    items.extend(pods.iter().copied().map(pod));
    for (nth, name) in services.iter().enumerate() {
        let vip = format!("10.96.0.{}", nth + 1);
        items.push(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "shop" },
            "spec": { "clusterIP": vip, "clusterIPs": [vip], "selector": { "app": "web" }, "ports": [{ "port": 80 }] } }));
        let endpoint = |(name, node, ready): &Pod| {
            json!({ "addresses": [ip(name)], "nodeName": node, "conditions": { "ready": ready, "serving": ready },
            "targetRef": { "kind": "Pod", "namespace": "shop", "name": name } })
        };
        items.push(json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": format!("{name}-1"), "namespace": "shop", "labels": { "kubernetes.io/service-name": name } },
            "ports": [{ "name": "", "port": 80, "protocol": "TCP" }], "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>() }));
    }
    load(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()).unwrap().state
}

fn haunted(now: &ClusterState, after: ClusterState) -> Scene {
    let hypothesis = Some(Hypothesis(Arc::new(after)));
    let options = SceneOptions { hypothesis, ..SceneOptions::default() };
    Scene::build(now, &options, Some(&Scene::build(now, &SceneOptions::default(), None)))
}

/// `pod/shop/web-0 gone`, `svc/shop/cart → pod/shop/web-0 gone`, sorted.
fn ghosts(scene: &Scene) -> Vec<String> {
    let items = scene.items().iter().filter_map(|item| Some((item.target.to_string(), item.ghost?)));
    let edges =
        scene.edges().iter().filter_map(|edge| Some((format!("{} → {}", edge.from, edge.to), edge.ghost?)));
    let mut all: Vec<String> =
        items.chain(edges).map(|(what, ghost)| format!("{what} {}", ghost.as_str())).collect();
    all.sort();
    all
}

#[test]
fn what_would_come_and_go() {
    const A: Pod = ("web-0", "node-a", true);
    const B: Pod = ("web-1", "node-b", true);
    let rows: [(&str, ClusterState, &[&str]); 6] = [
        ("nothing", cluster(&["cart"], &[A, B]), &[]),
        (
            "a pod goes",
            cluster(&["cart"], &[A]),
            &["pod/shop/web-1 gone", "svc/shop/cart → pod/shop/web-1 gone"],
        ),
        (
            "a pod is no longer ready",
            cluster(&["cart"], &[A, ("web-1", "node-b", false)]),
            &["pod/shop/web-1 changed", "svc/shop/cart changed", "svc/shop/cart → pod/shop/web-1 gone"],
        ),
        (
            "a pod comes",
            cluster(&["cart"], &[A, B, ("web-2", "node-a", true)]),
            &["pod/shop/web-2 new", "svc/shop/cart → pod/shop/web-2 new"],
        ),
        (
            "a pod moves",
            cluster(&["cart"], &[A, ("web-1", "node-a", true)]),
            &[
                "pod/shop/web-1 gone",
                "pod/shop/web-1 new",
                "svc/shop/cart → pod/shop/web-1 gone",
                "svc/shop/cart → pod/shop/web-1 new",
            ],
        ),
        (
            "a Service goes and another one comes",
            cluster(&["other"], &[A, B]),
            &[
                "svc/shop/cart gone",
                "svc/shop/cart → pod/shop/web-0 gone",
                "svc/shop/cart → pod/shop/web-1 gone",
                "svc/shop/other new",
                "svc/shop/other → pod/shop/web-0 new",
                "svc/shop/other → pod/shop/web-1 new",
            ],
        ),
    ];
    let now = cluster(&["cart"], &[A, B]);
    for (what, after, expected) in rows {
        assert_eq!(ghosts(&haunted(&now, after)), expected, "{what}");
    }
}

#[test]
fn without_a_difference_the_picture_is_the_same() {
    let now = cluster(&["cart"], &[("web-0", "node-a", true)]);
    assert_eq!(haunted(&now, now.clone()), Scene::build(&now, &SceneOptions::default(), None));
}

#[test]
fn a_ghost_stands_where_it_would_run_and_covers_nothing() {
    let now = cluster(&["cart"], &[("web-0", "node-a", true), ("web-1", "node-b", true)]);
    let after = cluster(&["cart"], &[("web-0", "node-b", true), ("web-1", "node-b", true)]);
    let scene = haunted(&now, after);
    let panel = |node: &str| scene.find(&format!("node/{node}").parse().unwrap()).unwrap().rect;
    let place = |ghost: Ghost| scene.items().iter().find(|item| item.ghost == Some(ghost)).unwrap().rect;
    let inside = |outer: Rect, inner: Rect| outer.contains(inner.center());
    assert!(inside(panel("node-a"), place(Ghost::Gone)) && inside(panel("node-b"), place(Ghost::New)));
    let rows: Vec<Rect> = scene
        .items()
        .iter()
        .filter(|item| matches!(item.kind, ItemKind::Pod(_)))
        .map(|item| item.rect)
        .collect();
    assert_eq!(rows.len(), 3);
    for (nth, row) in rows.iter().enumerate() {
        assert!(rows[..nth].iter().all(|other| !other.intersects(*row)), "{rows:?}");
    }
}
