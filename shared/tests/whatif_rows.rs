//! What a difference says to people: words, grades, groups, connections; and its JSON.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

use std::sync::Arc;

use vipscope_shared::delta::{Change, Object};
use vipscope_shared::manifest;
use vipscope_shared::model::{
    ClusterState, EndpointSlice, Key, Keyed, Kind, Node, ObjectRef, Pod, ProxyMode,
};
use vipscope_shared::whatif::compare::{compare, with_mode, with_settings};
use vipscope_shared::whatif::difference::{Difference, End, Grade, TargetKind};
use vipscope_shared::whatif::{Options, difference};

/// Three nodes in two zones, a Service with three endpoints, by TCP and UDP.
const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: node-a, labels: {topology.kubernetes.io/zone: a}}, spec: {podCIDRs: [10.244.0.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.10}], conditions: [{type: Ready, status: "True"}]}}
- {apiVersion: v1, kind: Node, metadata: {name: node-b, labels: {topology.kubernetes.io/zone: b}}, spec: {podCIDRs: [10.244.1.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.11}], conditions: [{type: Ready, status: "True"}]}}
- {apiVersion: v1, kind: Node, metadata: {name: node-c, labels: {topology.kubernetes.io/zone: b}}, spec: {podCIDRs: [10.244.2.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.12}], conditions: [{type: Ready, status: "True"}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: cart-1, namespace: shop}, spec: {nodeName: node-a}, status: {podIPs: [{ip: 10.244.0.5}], phase: Running}}
- {apiVersion: v1, kind: Pod, metadata: {name: cart-2, namespace: shop}, spec: {nodeName: node-b}, status: {podIPs: [{ip: 10.244.1.5}], phase: Running}}
- {apiVersion: v1, kind: Pod, metadata: {name: cart-3, namespace: shop}, spec: {nodeName: node-c}, status: {podIPs: [{ip: 10.244.2.5}], phase: Running}}
- apiVersion: v1
  kind: Service
  metadata: {name: cart, namespace: shop}
  spec:
    type: NodePort
    clusterIP: 10.96.0.10
    clusterIPs: [10.96.0.10]
    ipFamilies: [IPv4]
    selector: {app: cart}
    ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP}, {name: dns, port: 53, targetPort: 53, nodePort: 30053, protocol: UDP}]
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: cart-x, namespace: shop, labels: {kubernetes.io/service-name: cart}}
  addressType: IPv4
  ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]
  endpoints:
  - {addresses: [10.244.0.5], nodeName: node-a, conditions: {ready: true}, targetRef: {kind: Pod, namespace: shop, name: cart-1}}
  - {addresses: [10.244.1.5], nodeName: node-b, conditions: {ready: true}, targetRef: {kind: Pod, namespace: shop, name: cart-2}}
  - {addresses: [10.244.2.5], nodeName: node-c, conditions: {ready: true}, targetRef: {kind: Pod, namespace: shop, name: cart-3}}
"#;

fn cluster() -> ClusterState {
    let loaded = manifest::load(CLUSTER).unwrap();
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    with_settings(&loaded.state, |settings| {
        settings.detect_local =
            vipscope_shared::model::LocalDetector::ClusterCidr(vec!["10.244.0.0/16".parse().unwrap()]);
    })
}

fn now() -> jiff::Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

fn slice(state: &ClusterState, change: impl FnOnce(&mut EndpointSlice)) -> ClusterState {
    let mut slice = EndpointSlice::clone(state.slices().values().next().unwrap());
    change(&mut slice);
    applied(state, Change::Upsert(Object::EndpointSlice(Arc::new(slice))))
}

fn applied(state: &ClusterState, change: Change) -> ClusterState {
    let mut state = state.clone();
    assert!(state.apply(&change).is_changed());
    state
}

fn pod(state: &ClusterState, name: &str, change: impl FnOnce(&mut Pod)) -> ClusterState {
    let mut pod = Pod::clone(state.pods().get(&Key::new("shop", name)).unwrap());
    change(&mut pod);
    applied(state, Change::Upsert(Object::Pod(Arc::new(pod))))
}

/// `grade kind:port sources: summary`, in the order of the answer.
fn rows(difference: &Difference) -> Vec<String> {
    let row = |flow: &vipscope_shared::whatif::difference::FlowChange| {
        let (kind, port) = (flow.target.kind, flow.target.port);
        format!("{:?} {kind:?}:{port} {}: {}", flow.grade, flow.sources.words, flow.summary)
    };
    difference.flows.iter().map(row).collect()
}

#[test]
fn nothing_differs_from_itself() {
    let state = cluster();
    let same = difference(&state, &state.clone(), now());
    assert_eq!(same, Difference::default());
}

#[test]
fn fewer_endpoints_are_a_few_groups() {
    let before = cluster();
    let after = slice(&before, |slice| slice.endpoints.truncate(1));
    let found = difference(&before, &after, now());
    let rows = rows(&found);
    let both = "all pods; outside through any node, from 10.244.0.0/16: 3 endpoints → 1 endpoint";
    assert_eq!(rows.iter().filter(|row| row.ends_with(both)).count(), 2, "{rows:#?}");
    assert!(
        rows.iter().all(|row| row.starts_with("Moved") && row.ends_with("3 endpoints → 1 endpoint")),
        "{rows:#?}"
    );
    let everyone = "Moved NodePort:30080 all pods; all nodes themselves; outside through any node: 3 endpoints → 1 endpoint";
    assert!(rows.iter().any(|row| row == everyone), "{rows:#?}");
    let cluster_ip = found.flows.iter().find(|flow| flow.target.kind == TargetKind::ClusterIp).unwrap();
    assert_eq!(cluster_ip.before.iter().map(|share| share.fraction).collect::<Vec<_>>(), [[1, 3]; 3]);
    assert_eq!(cluster_ip.after[0].pod, Some(Key::new("shop", "cart-1")));
    // Lines of three nodes, and UDP alone is moved: the pods still run.
    assert_eq!(found.rules.len(), 3);
    let ends: Vec<_> = found.connections.iter().map(|broken| (broken.end, broken.target.port)).collect();
    assert_eq!(ends, [(End::Moved, 53), (End::Moved, 53)]);
    let lines: Vec<_> = found.rules.iter().flat_map(|change| &change.lines).collect();
    assert!(lines.iter().filter(|line| line.service == Some(Key::new("shop", "cart"))).count() > 10);
}

#[test]
fn no_endpoint_left_is_lost_and_stands_first() {
    let before = cluster();
    let after = slice(&before, |slice| slice.endpoints.clear());
    let found = difference(&before, &after, now());
    assert!(found.flows.iter().all(|flow| flow.grade == Grade::Lost), "{:#?}", rows(&found));
    assert!(found.flows.iter().all(|flow| flow.summary.starts_with("3 endpoints → ")));
    let back = difference(&after, &before, now());
    assert!(back.flows.iter().all(|flow| flow.grade == Grade::Gained));
}

#[test]
fn what_ends_connections() {
    let before = cluster();
    let without = |state: &ClusterState| slice(state, |slice| drop(slice.endpoints.remove(0)));
    let gone = without(&applied(
        &before,
        Change::Delete(ObjectRef { kind: Kind::Pod, key: Key::new("shop", "cart-1") }),
    ));
    let ending = without(&pod(&before, "cart-1", |pod| pod.meta.deleted = Some(now())));
    let mut node = Node::clone(before.node("node-a").unwrap());
    node.ready = false;
    let lost = without(&applied(&before, Change::Upsert(Object::Node(Arc::new(node)))));
    let userspace = with_mode(&before, ProxyMode::Userspace);
    let restarted = with_mode(&userspace, ProxyMode::Iptables);
    let rows = [
        (&before, gone, vec![(End::TimeOut, 53), (End::TimeOut, 80)], "not there any longer"),
        (&before, ending, vec![(End::Reset, 53), (End::Reset, 80)], "grace period"),
        (&before, lost, vec![(End::TimeOut, 53), (End::TimeOut, 80)], "nothing is heard of node node-a"),
        (&before, without(&before), vec![(End::Moved, 53)], "removes the entries of UDP"),
        (&userspace, restarted, vec![(End::Reset, 53), (End::Reset, 80)], "both halves"),
        (&before, with_mode(&before, ProxyMode::Nftables), vec![], ""),
    ];
    for (before, after, expected, reason) in rows {
        let found = difference(before, &after, now()).connections;
        let ends: Vec<_> = found.iter().map(|broken| (broken.end, broken.target.port)).collect();
        assert_eq!(ends, expected, "{reason}: {found:#?}");
        assert!(found.iter().all(|broken| broken.reason.contains(reason)), "{found:#?}");
    }
}

#[test]
fn causes_are_those_of_the_flow() {
    let state = cluster();
    let rows = [
        (ProxyMode::Nftables, TargetKind::LocalhostNodePort, "route_localnet"),
        (ProxyMode::Nftables, TargetKind::UnusedPort, "cluster-ips-check"),
        (ProxyMode::Ipvs, TargetKind::UnusedPort, "kube-ipvs0"),
        (ProxyMode::Ipvs, TargetKind::ClusterIp, "scheduler, rr"),
        (ProxyMode::Userspace, TargetKind::ClusterIp, "kube-proxy process opens the connection"),
    ];
    for (mode, kind, words) in rows {
        let (before, after) = (with_mode(&state, ProxyMode::Iptables), with_mode(&state, mode));
        let flows = compare(&before, &after, &Options::at(now())).flows;
        let of_kind: Vec<_> = flows.iter().filter(|flow| flow.target.kind == kind).collect();
        assert!(
            of_kind.iter().any(|flow| flow.cause.as_ref().unwrap().contains(words)),
            "{mode} {kind:?}: {of_kind:#?}"
        );
    }
}

#[test]
fn json_is_read_back_and_names_objects_as_text() {
    let before = cluster();
    let after = slice(&before, |slice| slice.endpoints.truncate(2));
    let found = difference(&before, &after, now());
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["flows"][0]["target"]["service"], "shop/cart");
    assert_eq!(json["flows"][0]["before"][0]["pod"], "shop/cart-1");
    let back: Difference = serde_json::from_value(json).unwrap();
    assert_eq!(back, found);
    assert_eq!(before.services().values().next().unwrap().name().as_ref(), "cart");
}
