//! Search finds by name, namespace, address, port and label, the best first, and counts what it does not list.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::sync::Arc;

use vipscope_frontend::search::search;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{ClusterIp, ClusterState, Key, Node, Pod, Service, ServicePort, TargetPort};
use wasm_bindgen_test::wasm_bindgen_test;

fn state() -> ClusterState {
    let mut state = ClusterState::default();
    let mut add = |object| assert!(state.apply(&Change::Upsert(object)).is_changed());
    for (name, vip) in [("cart", "10.96.0.21"), ("cart-admin", "fd00::21"), ("web", "10.96.0.10")] {
        let mut service = Service::named(Key::new("shop", name));
        service.cluster_ip = ClusterIp::Ips(vec![vip.parse().unwrap()]);
        service.ports = vec![ServicePort {
            name: "http".into(),
            protocol: Default::default(),
            port: 80.try_into().unwrap(),
            target_port: TargetPort::Name("http".into()),
            node_port: None,
            app_protocol: None,
        }];
        service.meta.labels = [("app", name)].into_iter().collect();
        add(Object::Service(Arc::new(service)));
    }
    for number in 0..30 {
        let mut pod = Pod::named(Key::new("shop", format!("cart-{number:02}")));
        pod.ips = vec![format!("10.244.0.{number}").parse().unwrap()];
        pod.meta.labels = [("app", "cart")].into_iter().collect();
        add(Object::Pod(Arc::new(pod)));
    }
    add(Object::Node(Arc::new(Node::named("node-a"))));
    state
}

#[wasm_bindgen_test]
fn finds_by_everything_people_type() {
    let rows = [
        ("cart", "svc/shop/cart"),
        ("CART", "svc/shop/cart"),
        ("shop/web", "svc/shop/web"),
        ("10.96.0.21", "svc/shop/cart"),
        ("10.96.0.21:80", "svc/shop/cart:http"),
        ("[fd00::21]:80", "svc/shop/cart-admin:http"),
        ("fd00::21", "svc/shop/cart-admin"),
        ("10.244.0.7", "pod/shop/cart-07"),
        ("10.244.0.7:8080", "pod/shop/cart-07"),
        ("app=web", "svc/shop/web"),
        ("node-a", "node/node-a"),
        ("  web ", "svc/shop/web"),
    ];
    let state = state();
    for (query, expected) in rows {
        let hits = search(&state, query, 5);
        let first = hits.best.first().map(|hit| hit.target.to_string());
        assert_eq!(first.as_deref(), Some(expected), "{query}");
    }
}

#[wasm_bindgen_test]
fn counts_what_it_does_not_list() {
    let hits = search(&state(), "app=cart", 10);
    assert_eq!((hits.best.len(), hits.more), (10, 21));
}

#[wasm_bindgen_test]
fn finds_nothing_where_there_is_nothing() {
    for query in ["", "   ", "10.96.0.21:81", "192.0.2.1", "app=nothing", "=", "no-such-name"] {
        assert!(search(&state(), query, 5).best.is_empty(), "{query}");
    }
}
