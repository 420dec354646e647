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
    ClusterIp, ClusterState, EndpointAddress, EndpointSlice, Key, Keyed, Kind, Node, NodePortAddresses,
    ObjectRef, Pod, Protocol, ProxyMode, SERVICE_NAME_LABEL, Service, ServiceType, TrafficPolicy,
};
use vipscope_shared::whatif::compare::{compare, with_mode, with_settings};
use vipscope_shared::whatif::difference::{BrokenConnections, Difference, End, Grade, TargetKind};
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
fn rows_of(difference: &Difference) -> Vec<String> {
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
    let rows = rows_of(&found);
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
    assert!(found.flows.iter().all(|flow| flow.grade == Grade::Lost), "{:#?}", rows_of(&found));
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
        (&before, gone, vec![(End::Moved, 53), (End::TimeOut, 80)], ["removes the", "not there any longer"]),
        (&before, ending, vec![(End::Moved, 53), (End::Reset, 80)], ["removes the", "grace period"]),
        (
            &before,
            lost,
            vec![(End::Moved, 53), (End::TimeOut, 80)],
            ["removes the", "nothing is heard of node node-a"],
        ),
        (&before, without(&before), vec![(End::Moved, 53)], ["removes the entries of UDP", ""]),
        (&userspace, restarted, vec![(End::Reset, 53), (End::Reset, 80)], ["both halves", "both halves"]),
        (&before, with_mode(&before, ProxyMode::Nftables), vec![], ["", ""]),
    ];
    for (before, after, expected, reasons) in rows {
        let found = difference(before, &after, now()).connections;
        let ends: Vec<_> = found.iter().map(|broken| (broken.end, broken.target.port)).collect();
        assert_eq!(ends, expected, "{reasons:?}: {found:#?}");
        let fits = found.iter().zip(reasons).all(|(broken, reason)| broken.reason.contains(reason));
        assert!(fits, "{found:#?}");
    }
}

fn service(state: &ClusterState, change: impl FnOnce(&mut Service)) -> ClusterState {
    let mut service = Service::clone(state.services().values().next().unwrap());
    change(&mut service);
    applied(state, Change::Upsert(Object::Service(Arc::new(service))))
}

fn deleted(state: &ClusterState) -> ClusterState {
    applied(state, Change::Delete(ObjectRef { kind: Kind::Service, key: Key::new("shop", "cart") }))
}

/// `end kind:port/protocol to whom on nodes: a part of the reason`; `*` is any endpoint.
fn connections(before: &ClusterState, after: &ClusterState) -> Vec<String> {
    let row = |broken: &BrokenConnections| {
        let BrokenConnections { target, endpoint, nodes, end, .. } = broken;
        let to = endpoint.map_or("*".to_owned(), |endpoint| endpoint.to_string());
        let on = if nodes.is_empty() { String::new() } else { format!(" on {}", nodes.join(" ")) };
        format!("{end:?} {:?}:{}/{} {to}{on}", target.kind, target.port, target.protocol.lower())
    };
    let found = difference(before, after, now()).connections;
    assert!(found.iter().all(|broken| !broken.reason.is_empty()), "{found:#?}");
    found.iter().map(row).collect()
}

/// In each mode, what a deleted Service leaves behind; whatever deletes it from kube-proxy's view.
#[test]
fn connections_of_what_is_not_served_any_longer() {
    let cluster = service(&cluster(), |service| service.external_ips = vec!["203.0.113.7".parse().unwrap()]);
    let udp = ["Unknown ClusterIp:53/udp *"];
    let ipvs = [
        "TimeOut ClusterIp:53/udp *",
        "Unknown NodePort:30053/udp *",
        "TimeOut ClusterIp:80/tcp *",
        "Unknown NodePort:30080/tcp *",
    ];
    let closed = ["TimeOut ClusterIp:53/udp *"];
    let rows: [(ProxyMode, &[&str], &str); 4] = [
        (ProxyMode::Iptables, &udp, "finds no Service"),
        (ProxyMode::Nftables, &udp, "finds no Service"),
        (ProxyMode::Ipvs, &ipvs, "expire_nodest_conn"),
        (ProxyMode::Userspace, &closed, "closes the socket"),
    ];
    for (mode, expected, reason) in rows {
        let before = with_mode(&cluster, mode);
        let ways = [
            deleted(&before),
            service(&before, |service| service.service_type = ServiceType::ExternalName),
            service(&before, |service| service.cluster_ip = ClusterIp::Headless),
        ];
        for after in ways {
            assert_eq!(connections(&before, &after), expected, "{mode}");
            let found = difference(&before, &after, now()).connections;
            assert!(found.iter().all(|broken| broken.reason.contains(reason)), "{found:#?}");
        }
        // One port: the other one still keeps the addresses on the node.
        let after = service(&before, |service| service.ports.retain(|port| port.protocol == Protocol::Udp));
        let of_tcp: &[&str] = if mode == ProxyMode::Ipvs { &["Unknown ClusterIp:80/tcp *"] } else { &[] };
        assert_eq!(connections(&before, &after), of_tcp, "{mode}");
        // One address.
        let after = service(&before, |service| service.external_ips.clear());
        let at_external_ip = ["TimeOut ExternalIp:53/udp *", "TimeOut ExternalIp:80/tcp *"];
        let expected: &[&str] = if mode == ProxyMode::Ipvs { &at_external_ip } else { &[] };
        assert_eq!(connections(&before, &after), expected, "{mode}");
    }
    let ipvs = with_mode(&cluster, ProxyMode::Ipvs);
    let found = connections(&ipvs, &with_mode(&ipvs, ProxyMode::Nftables));
    assert_eq!(found, ["TimeOut ClusterIp:53/udp *", "TimeOut ClusterIp:80/tcp *"]);
    assert_eq!(connections(&ipvs, &with_mode(&ipvs, ProxyMode::Iptables)), [""; 0]);
}

/// The address goes to another Service, whose endpoint is none of the first one's.
#[test]
fn an_address_that_is_taken_over_takes_datagrams_along() {
    for (mode, expected) in [
        (ProxyMode::Iptables, &["Moved ClusterIp:53/udp *", "Unknown NodePort:30053/udp *"][..]),
        (ProxyMode::Userspace, &["TimeOut NodePort:30053/udp *"]),
    ] {
        let before = with_mode(&cluster(), mode);
        let mut other = Service::clone(before.services().values().next().unwrap());
        other.meta.key = Key::new("shop", "other");
        other.service_type = ServiceType::ClusterIP;
        other.ports.iter_mut().for_each(|port| port.node_port = None);
        let mut slice = EndpointSlice::clone(before.slices().values().next().unwrap());
        slice.meta.key = Key::new("shop", "other-x");
        slice.meta.labels = [(SERVICE_NAME_LABEL, "other")].into_iter().collect();
        slice.endpoints.truncate(1);
        slice.endpoints[0].addresses = vec![EndpointAddress::Ip("10.244.2.9".parse().unwrap())];
        let after = applied(&deleted(&before), Change::Upsert(Object::Service(Arc::new(other))));
        let after = applied(&after, Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
        assert_eq!(connections(&before, &after), expected, "{mode}");
    }
}

/// An endpoint leaves while its pod runs on: what the mode does to what is open to it.
#[test]
fn connections_to_an_endpoint_that_leaves() {
    let sctp = |state: &ClusterState| {
        let state = service(state, |service| {
            service.ports[0].protocol = Protocol::Sctp;
            service.service_type = ServiceType::ClusterIP;
            service.ports.iter_mut().for_each(|port| port.node_port = None);
        });
        slice(&state, |slice| slice.ports[0].protocol = Protocol::Sctp)
    };
    let local = |state: &ClusterState| {
        service(&sctp(state), |service| service.internal_policy = TrafficPolicy::Local)
    };
    let first: fn(&mut EndpointSlice) = |slice| drop(slice.endpoints.remove(0));
    let unready: fn(&mut EndpointSlice) = |slice| {
        for endpoint in &mut slice.endpoints {
            (endpoint.conditions.ready, endpoint.conditions.serving) = (Some(false), Some(false));
        }
    };
    let (plain, ipvs) = (sctp(&cluster()), with_mode(&sctp(&cluster()), ProxyMode::Ipvs));
    let (userspace, local) = (with_mode(&plain, ProxyMode::Userspace), local(&cluster()));
    let left = |end: &str| {
        let ips = ["10.244.0.5", "10.244.1.5", "10.244.2.5"];
        ips.map(|ip| format!("{end} ClusterIp:53/udp {ip}:53")).to_vec()
    };
    let mut gone = left("Reset");
    let ips = ["10.244.0.5", "10.244.1.5", "10.244.2.5"];
    gone.extend(ips.map(|ip| format!("Unknown ClusterIp:80/sctp {ip}:8080")));
    let ipvs_first = ["Moved ClusterIp:53/udp 10.244.0.5:53", "Unknown ClusterIp:80/sctp 10.244.0.5:8080"]
        .map(String::from);
    let rows = [
        ("iptables, one", &plain, first, vec!["Moved ClusterIp:53/udp 10.244.0.5:53".to_owned()]),
        ("iptables, all", &plain, unready, left("Unknown")),
        ("ipvs, one", &ipvs, first, ipvs_first.to_vec()),
        ("ipvs, all", &ipvs, unready, gone),
        ("userspace, one", &userspace, first, vec![]),
        ("userspace, all", &userspace, unready, vec![]),
        ("local, one", &local, first, vec!["TimeOut ClusterIp:53/udp 10.244.0.5:53 on node-a".to_owned()]),
    ];
    for (name, before, change, expected) in rows {
        assert_eq!(connections(before, &slice(before, change)), expected, "{name}");
    }
}

/// Nothing that is open ends, but affinity lets clients go.
#[test]
fn whom_affinity_does_not_keep() {
    let pinned = service(&cluster(), |service| {
        service.affinity_seconds = Some(10_800);
        service.ports.retain(|port| port.protocol == Protocol::Tcp);
    });
    let without = |state: &ClusterState| slice(state, |slice| drop(slice.endpoints.remove(0)));
    let off = |state: &ClusterState| service(state, |service| service.affinity_seconds = None);
    let one = |state: &ClusterState| slice(state, |slice| slice.endpoints.truncate(1));
    let at = "Unpinned ClusterIp:80/tcp 10.244.0.5:8080";
    let any = "Unpinned ClusterIp:80/tcp *".to_owned();
    for mode in ProxyMode::ALL {
        let before = with_mode(&pinned, mode);
        assert_eq!(connections(&before, &without(&before)), [at], "{mode}");
        // userspace mode: not documented.
        let expected = if mode == ProxyMode::Userspace { vec![] } else { vec![any.clone()] };
        assert_eq!(connections(&before, &off(&before)), expected, "{mode}");
        // Nobody was kept, or there is nowhere else to go.
        for (before, after) in [(off(&before), before.clone()), (one(&before), off(&one(&before)))] {
            assert_eq!(connections(&before, &after), [""; 0], "{mode}");
        }
        let unready = slice(&before, |slice| slice.endpoints.clear());
        assert_eq!(connections(&before, &unready), [""; 0], "{mode}");
    }
    let other = with_mode(&pinned, ProxyMode::Nftables);
    assert_eq!(connections(&pinned, &other), [any]);
    let found = difference(&pinned, &other, now()).connections;
    assert!(found[0].reason.contains("does not know which client"), "{found:#?}");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json[0]["end"], "unpinned");
}

/// What balancers hear at a health-check node port, and how bad that is.
#[test]
fn health_checks_hear_of_local_endpoints() {
    let before = service(&cluster(), |service| {
        service.service_type = ServiceType::LoadBalancer;
        service.external_policy = TrafficPolicy::Local;
        service.health_check_node_port = std::num::NonZeroU16::new(32_000);
    });
    let unready = slice(&before, |slice| slice.endpoints[0].conditions.ready = Some(false));
    let more = slice(&before, |slice| {
        let mut second = slice.endpoints[1].clone();
        second.addresses = vec![EndpointAddress::Ip("10.244.1.9".parse().unwrap())];
        slice.endpoints.push(second);
    });
    let elsewhere = with_settings(&before, |settings| {
        settings.node_port_addresses = NodePortAddresses::Cidrs(vec![
            "192.168.0.10/32".parse().unwrap(),
            "127.0.0.0/8".parse().unwrap(),
        ]);
    });
    let on = |node: &str| format!("pods on {node}; {node} itself; outside through {node}");
    let everywhere = "all pods; all nodes themselves; outside through any node";
    let others = "all pods in zone b; the nodes of zone b themselves; outside through the nodes of zone b";
    let none = "200 (1 local endpoint) → not answered";
    let gone = "200 (1 local endpoint) → 503 (no local endpoint)";
    let rows = [
        (unready.clone(), format!("Degraded HealthCheck:32000 {}: health check: {gone}", on("node-a"))),
        (
            more,
            format!(
                "Moved HealthCheck:32000 {}: health check: 200 (1 local endpoint) → 200 (2 local endpoints)",
                on("node-b")
            ),
        ),
        (deleted(&before), format!("Lost HealthCheck:32000 {everywhere}: health check: {none}")),
        (elsewhere, format!("Lost HealthCheck:32000 {others}: health check: {none}")),
        (
            with_mode(&before, ProxyMode::Userspace),
            format!("Lost HealthCheck:32000 {everywhere}: health check: {none}"),
        ),
        (
            with_mode(&before, ProxyMode::Nftables),
            format!("Moved HealthCheck:32000 {everywhere}: taken by the node → not touched"),
        ),
    ];
    let of_health = |difference: &Difference| -> Vec<String> {
        rows_of(difference).into_iter().filter(|row| row.contains(" HealthCheck:")).collect()
    };
    for (after, expected) in rows {
        assert_eq!(of_health(&difference(&before, &after, now())), [expected]);
    }
    // In nftables mode, where no rule says anything, too.
    let (old, new) = (with_mode(&before, ProxyMode::Nftables), with_mode(&unready, ProxyMode::Nftables));
    let found = difference(&new, &old, now());
    let back = "200 (1 local endpoint)";
    let expected =
        format!("Gained HealthCheck:32000 {}: health check: 503 (no local endpoint) → {back}", on("node-a"));
    assert_eq!(of_health(&found), [expected]);
    let flow = found.flows.iter().find(|flow| flow.target.kind == TargetKind::HealthCheck).unwrap();
    assert_eq!((flow.before[0].health, flow.after[0].health), (Some(0), Some(1)));
    assert!(flow.after[0].reason.starts_with("kube-proxy answers 200 (1 local endpoint): "), "{flow:#?}");
    // Endpoints on other nodes are none of the node's business, nor are Services of policy Cluster.
    let far = slice(&unready, |slice| drop(slice.endpoints.remove(0)));
    assert_eq!(of_health(&difference(&unready, &far, now())), [""; 0]);
    let cluster =
        |state: &ClusterState| service(state, |service| service.external_policy = TrafficPolicy::Cluster);
    assert_eq!(of_health(&difference(&cluster(&before), &cluster(&unready), now())), [""; 0]);
}

/// A pod that goes to another node takes its way to Services along, whether it is an endpoint of them or a client alone.
#[test]
fn pods_that_move_are_clients_too() {
    let local = service(&cluster(), |service| {
        service.internal_policy = TrafficPolicy::Local;
        service.service_type = ServiceType::ClusterIP;
        service.ports.truncate(1);
        service.ports[0].node_port = None;
    });
    let mut client = Pod::clone(local.pods().get(&Key::new("shop", "cart-1")).unwrap());
    client.meta.key = Key::new("shop", "client");
    client.ips = vec!["10.244.0.9".parse().unwrap()];
    let before = applied(&local, Change::Upsert(Object::Pod(Arc::new(client))));
    let moved = |state: &ClusterState, node: &str, ip: &str| {
        pod(state, "client", |pod| {
            pod.node = Some(node.into());
            pod.ips = vec![ip.parse().unwrap()];
        })
    };
    let after = moved(&before, "node-b", "10.244.1.9");
    let found = difference(&before, &after, now());
    let who = "pod shop/client (moved from node-a to node-b)";
    assert_eq!(rows_of(&found), [format!("Moved ClusterIp:80 {who}: shop/cart-1 → shop/cart-2")]);
    let class = &found.flows[0].sources.classes[0];
    assert_eq!((&*class.nodes[0], class.moved_from.as_deref()), ("node-b", Some("node-a")));
    assert_eq!(serde_json::to_value(class).unwrap()["moved_from"], "node-a");
    // To a node without an endpoint, and back.
    let alone = slice(&before, |slice| slice.endpoints.truncate(1));
    let after = moved(&alone, "node-b", "10.244.1.9");
    let rows = rows_of(&difference(&alone, &after, now()));
    assert_eq!(rows, [format!("Lost ClusterIp:80 {who}: 1 endpoint → dropped")]);
    let back = rows_of(&difference(&after, &alone, now()));
    let who = "pod shop/client (moved from node-b to node-a)";
    assert_eq!(back, [format!("Gained ClusterIp:80 {who}: dropped → 1 endpoint")]);
    // Policy Cluster means the same everywhere; on its node, another address means the same, too.
    let cluster =
        |state: &ClusterState| service(state, |service| service.internal_policy = TrafficPolicy::Cluster);
    for (before, after) in
        [(cluster(&alone), cluster(&after)), (before.clone(), moved(&before, "node-a", "10.244.0.10"))]
    {
        assert_eq!(rows_of(&difference(&before, &after, now())), [""; 0]);
    }
    // An endpoint that moves: it reaches itself from its new node, others reach it there.
    let after = pod(&before, "cart-1", |pod| {
        pod.node = Some("node-b".into());
        pod.ips = vec!["10.244.1.7".parse().unwrap()];
    });
    let after = slice(&after, |slice| {
        slice.endpoints[0].addresses = vec![EndpointAddress::Ip("10.244.1.7".parse().unwrap())];
        slice.endpoints[0].node = Some("node-b".into());
    });
    let rows = rows_of(&difference(&before, &after, now()));
    let itself = "Moved ClusterIp:80 pod shop/cart-1 (moved from node-a to node-b): 1 endpoint → 2 endpoints";
    assert!(rows.iter().any(|row| row == itself), "{rows:#?}");
    assert!(rows.iter().any(|row| row.starts_with("Lost ClusterIp:80 pods on node-a")), "{rows:#?}");
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
