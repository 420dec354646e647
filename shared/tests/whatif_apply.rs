//! Edits: what state results from each, and what is refused, in which words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

mod support_yaml;

use jiff::Timestamp;
use support_yaml::{HEALTHY, edited};
use vipscope_shared::manifest;
use vipscope_shared::model::{
    ClusterState, EndpointSlice, Key, Keyed, MANAGED_BY_LABEL, Pod, ProxyMode, Service, TrafficPolicy,
};
use vipscope_shared::whatif::apply::{Edited, Refusal, apply};
use vipscope_shared::whatif::edit::parse;

fn load(text: &str) -> ClusterState {
    let loaded = manifest::load(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.faults, [], "{text}");
    loaded.state
}

fn cluster() -> ClusterState {
    load(HEALTHY)
}

fn with(added: &str) -> ClusterState {
    load(&format!("{HEALTHY}---\n{added}\n"))
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn make(state: &ClusterState, edits: &str) -> Result<Edited, Refusal> {
    apply(state, &parse(edits).unwrap_or_else(|error| panic!("{error}: {edits}")), now())
}

fn made(state: &ClusterState, edits: &str) -> ClusterState {
    make(state, edits).unwrap_or_else(|refusal| panic!("{refusal}")).state
}

/// What changes, one word an object.
fn changed(state: &ClusterState, edits: &str) -> String {
    let words: Vec<String> = make(state, edits).unwrap().changed.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn refused(state: &ClusterState, edits: &str) -> String {
    make(state, edits).expect_err(edits).to_string()
}

/// The endpoints of a Service's slices, by address: node, zone, flags, hints.
fn endpoints(state: &ClusterState, service: &str) -> Vec<String> {
    let (namespace, name) = service.split_once('/').unwrap();
    let mut all: Vec<String> = Vec::new();
    for slice in state.slices_of(&Key::new(namespace, name)) {
        for endpoint in &slice.endpoints {
            let c = endpoint.conditions;
            let flags = [
                (c.is_ready(), " ready"),
                (c.is_serving() && !c.is_ready(), " serving"),
                (c.is_terminating(), " terminating"),
            ];
            let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
            let zone_hints: String = endpoint.zone_hints.iter().map(|zone| format!(" for:{zone}")).collect();
            let node_hints: String = endpoint.node_hints.iter().map(|node| format!(" on:{node}")).collect();
            let (node, zone) =
                (endpoint.node.as_deref().unwrap_or("-"), endpoint.zone.as_deref().unwrap_or("-"));
            all.push(format!("{} {node} {zone}{flags}{zone_hints}{node_hints}", endpoint.addresses[0]));
        }
    }
    all.sort();
    all
}

fn service(state: &ClusterState, name: &str) -> Service {
    let (namespace, name) = name.split_once('/').unwrap();
    Service::clone(state.services().get(&Key::new(namespace, name)).unwrap())
}

fn pods(state: &ClusterState, namespace: &str) -> Vec<String> {
    let shown = |pod: &Pod| format!("{} {}", pod.name(), pod.node.as_deref().unwrap_or("-"));
    state.pods().in_namespace(&namespace.into()).map(|pod| shown(pod)).collect()
}

#[test]
fn changed_objects_are_exactly_those_that_differ() {
    for (edits, expected) in [
        ("[]", ""),
        ("[{op: node, node: node-a, state: uncordon}]", ""),
        ("[{op: pod, pod: shop/web-5d9-a, state: ready}]", ""),
        ("[{op: zone, node: node-a, zone: z1}]", ""),
        ("[{op: move, pod: shop/web-5d9-a, to: node-a}]", ""),
        ("[{op: scale, workload: Deployment/shop/web, replicas: 3}]", ""),
        ("[{op: node, node: node-a, state: cordon}, {op: node, node: node-a, state: uncordon}]", ""),
        (
            "[{op: pod, pod: shop/web-5d9-a, state: gone}]",
            "Pod shop/web-5d9-a, EndpointSlice shop/web-x1, Endpoints shop/web",
        ),
        ("[{op: node, node: node-a, state: cordon}]", "Node node-a"),
        ("[{op: proxy, node: '*', set: {mode: nftables}}]", "ProxyConfig kube-system/kube-proxy"),
        (
            "[{op: delete, object: Service/shop/web}]",
            "Service shop/web, EndpointSlice shop/web-x1, Endpoints shop/web",
        ),
    ] {
        assert_eq!(changed(&cluster(), edits), expected, "{edits}");
    }
}

const A: &str = "10.244.0.5 node-a z1 ready";
const B: &str = "10.244.1.5 node-b z2 ready";
const C: &str = "10.244.2.5 node-c z3 ready";

const AFTER: &[(&str, &[&str])] = &[
    ("{op: pod, pod: shop/web-5d9-a, state: unready}", &["10.244.0.5 node-a z1", B, C]),
    (
        "{op: pod, pod: shop/web-5d9-a, state: terminating}",
        &["10.244.0.5 node-a z1 serving terminating", B, C],
    ),
    ("{op: pod, pod: shop/web-5d9-a, state: gone}", &[B, C]),
    ("{op: scale, workload: Deployment/shop/web, replicas: 0}", &[]),
    // One pod a node: the name decides.
    ("{op: scale, workload: Deployment/shop/web, replicas: 2}", &[B, C]),
    (
        "{op: scale, workload: Deployment/shop/web, replicas: 5}",
        &["10.244.0.2 node-a z1 ready", A, "10.244.1.2 node-b z2 ready", B, C],
    ),
    ("{op: node, node: node-a, state: cordon}", &[A, B, C]),
    ("{op: node, node: node-a, state: drain}", &["10.244.1.2 node-b z2 ready", B, C]),
    ("{op: node, node: node-a, state: lost}", &["10.244.0.5 node-a z1", B, C]),
    ("{op: delete, object: Node/node-a}", &["10.244.1.2 node-b z2 ready", B, C]),
    // Deleted, not gone: the ReplicaSet makes another one, on the node that has none.
    ("{op: delete, object: Pod/shop/web-5d9-a}", &["10.244.0.2 node-a z1 ready", B, C]),
    ("{op: move, pod: shop/web-5d9-a, to: node-b}", &["10.244.1.2 node-b z2 ready", B, C]),
    ("{op: zone, node: node-a, zone: z2}", &["10.244.0.5 node-a z2 ready", B, C]),
    ("{op: zone, node: node-a, zone: null}", &["10.244.0.5 node-a - ready", B, C]),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {trafficDistribution: PreferSameZone}}}",
        &[
            "10.244.0.5 node-a z1 ready for:z1",
            "10.244.1.5 node-b z2 ready for:z2",
            "10.244.2.5 node-c z3 ready for:z3",
        ],
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {trafficDistribution: PreferSameNode}}}",
        &[
            "10.244.0.5 node-a z1 ready for:z1 on:node-a",
            "10.244.1.5 node-b z2 ready for:z2 on:node-b",
            "10.244.2.5 node-c z3 ready for:z3 on:node-c",
        ],
    ),
    ("{op: patch, object: Service/shop/web, patch: {spec: {selector: {app: nobody}}}}", &[]),
    // Without a selector the slices stay as they are, and the Endpoints that were left are mirrored beside them.
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {selector: null}}}",
        &["10.244.0.5 - - ready", A, "10.244.1.5 - - ready", B, "10.244.2.5 - - ready", C],
    ),
    // The controller makes it again.
    ("{op: delete, object: EndpointSlice/shop/web-x1}", &[A, B, C]),
    ("{op: patch, object: EndpointSlice/shop/web-x1, patch: {endpoints: []}}", &[A, B, C]),
    ("{op: patch, object: Pod/shop/web-5d9-a, patch: {metadata: {labels: {app: other}}}}", &[B, C]),
    ("{op: delete, object: Service/shop/web}", &[]),
    ("{op: delete, object: Namespace/shop}", &[]),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Pod, metadata: {name: solo, namespace: shop, labels: {app: web}}, \
         spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}}",
        &["10.244.0.2 node-a z1 ready", A, B, C],
    ),
];

#[test]
fn endpoints_after_edits() {
    for (edit, expected) in AFTER {
        assert_eq!(endpoints(&made(&cluster(), &format!("[{edit}]")), "shop/web"), *expected, "{edit}");
    }
}

#[test]
fn edits_build_on_those_before() {
    let state = made(
        &cluster(),
        "[{op: scale, workload: Deployment/shop/web, replicas: 0}, {op: node, node: node-b, state: cordon}, \
         {op: scale, workload: Deployment/shop/web, replicas: 2}]",
    );
    // New names and addresses; not on node-b.
    assert_eq!(endpoints(&state, "shop/web"), ["10.244.0.2 node-a z1 ready", "10.244.2.2 node-c z3 ready"]);
    let again = made(
        &cluster(),
        "[{op: node, node: node-a, state: drain}, {op: node, node: node-b, state: drain}, {op: node, node: node-c, state: drain}]",
    );
    let pending: Vec<_> =
        again.pods().values().map(|pod| (pod.node.clone(), pod.ips.len(), pod.ready)).collect();
    assert_eq!(pending, vec![(None, 0, false); 3], "nowhere to go: they wait");
    assert_eq!(endpoints(&again, "shop/web"), [] as [&str; 0]);
}

#[test]
fn new_pods_are_the_same_each_time_and_like_the_others() {
    let edits = "[{op: scale, workload: Deployment/shop/web, replicas: 4}]";
    let (once, twice) = (made(&cluster(), edits), made(&cluster(), edits));
    assert_eq!(once, twice);
    let new: Vec<_> = once.pods().values().filter(|pod| !cluster().pods().contains(pod.key())).collect();
    let [pod] = new.as_slice() else { panic!("{new:?}") };
    assert!(pod.name().starts_with("web-5d9-") && pod.name().len() == "web-5d9-".len() + 5, "{}", pod.name());
    assert_eq!(pod.workload(), "web".into());
    assert_eq!((pod.ready, pod.meta.created, pod.ready_since), (true, Some(now()), Some(now())));
    assert_eq!(pod.named_port("http", Default::default()).map(u16::from), Some(8080));
}

const DAEMONS: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: log-x, namespace: shop, ownerReferences: [{kind: DaemonSet, name: log, controller: true}]}, spec: {nodeName: node-a, containers: []}, status: {phase: Running, podIP: 10.244.0.9, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop}, spec: {nodeName: node-a, containers: []}, status: {phase: Running, podIP: 10.244.0.2, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: shop, labels: {statefulset.kubernetes.io/pod-name: db-0}, ownerReferences: [{kind: StatefulSet, name: db, controller: true}]}, spec: {nodeName: node-a, hostname: db-0, containers: []}, status: {phase: Running, podIP: 10.244.0.3, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-1, namespace: shop, labels: {statefulset.kubernetes.io/pod-name: db-1}, ownerReferences: [{kind: StatefulSet, name: db, controller: true}]}, spec: {nodeName: node-b, hostname: db-1, containers: []}, status: {phase: Running, podIP: 10.244.1.3, conditions: [{type: Ready, status: 'False'}]}}";

#[test]
fn a_drain_knows_whose_pods_they_are() {
    let state = made(&with(DAEMONS), "[{op: node, node: node-a, state: drain}]");
    let pods = pods(&state, "shop");
    // web's pod has another name; db-0 keeps its own; the DaemonSet's stays; the bare one is gone.
    assert_eq!(pods.iter().filter(|pod| pod.starts_with("web-5d9-")).count(), 3, "{pods:?}");
    for (pod, there) in [
        ("db-0 node-c", true),
        ("db-1 node-b", true),
        ("log-x node-a", true),
        ("bare node-a", false),
        ("web-5d9-a node-a", false),
    ] {
        assert_eq!(pods.iter().any(|found| found == pod), there, "{pod}: {pods:?}");
    }
    let drained = made(&with(DAEMONS), "[{op: node, node: node-b, state: drain}]");
    let db = drained.pods().get(&Key::new("shop", "db-1")).unwrap();
    assert!(!db.ready && db.node.as_deref() == Some("node-c"), "what failed before fails elsewhere: {db:?}");
}

#[test]
fn stateful_sets_count_their_pods() {
    let of_db = |state: &ClusterState| -> Vec<String> {
        pods(state, "shop").into_iter().filter(|pod| pod.starts_with("db-")).collect()
    };
    let up = made(&with(DAEMONS), "[{op: scale, workload: StatefulSet/shop/db, replicas: 4}]");
    assert_eq!(of_db(&up), ["db-0 node-a", "db-1 node-b", "db-2 node-c", "db-3 node-b"]);
    let third = up.pods().get(&Key::new("shop", "db-2")).unwrap();
    assert_eq!(third.hostname.as_deref(), Some("db-2"));
    assert_eq!(third.meta.labels.get("statefulset.kubernetes.io/pod-name").map(|name| &**name), Some("db-2"));
    let down = made(&with(DAEMONS), "[{op: scale, workload: StatefulSet/shop/db, replicas: 1}]");
    assert_eq!(of_db(&down), ["db-0 node-a"]);
}

#[test]
fn services_get_addresses_and_ports() {
    let made_of = |spec: &str| {
        let edit = format!(
            "[{{op: apply, manifest: {{apiVersion: v1, kind: Service, metadata: {{name: new, namespace: shop}}, spec: {spec}}}}}]"
        );
        service(&made(&cluster(), &edit), "shop/new")
    };
    let plain = made_of("{selector: {app: web}, ports: [{port: 80}]}");
    let [ip] = plain.cluster_ip.ips() else { panic!("{plain:?}") };
    assert!("10.96.0.0/16".parse::<ipnet::IpNet>().unwrap().contains(ip), "{ip}");
    assert_eq!(plain.meta.created, Some(now()));
    assert_eq!(plain.ip_family_policy.as_deref(), Some("SingleStack"));
    let port = made_of("{type: NodePort, ports: [{port: 80}]}").ports[0].node_port.unwrap().get();
    assert!((30_000..=32_767).contains(&port), "{port}");
    assert_eq!(
        made_of("{type: NodePort, ports: [{port: 80, nodePort: 30123}]}").ports[0].node_port.unwrap().get(),
        30123
    );
    assert!(made_of("{clusterIP: None, ports: []}").is_headless());
    // A patch keeps what is allocated.
    let patched = made(
        &cluster(),
        "[{op: patch, object: Service/shop/web, patch: {spec: {type: LoadBalancer, externalTrafficPolicy: Local}}}]",
    );
    let web = service(&patched, "shop/web");
    assert_eq!(web.cluster_ip, service(&cluster(), "shop/web").cluster_ip);
    assert!(web.ports[0].node_port.is_some() && web.health_check_node_port.is_some());
    assert_ne!(web.ports[0].node_port, web.health_check_node_port);
    assert_eq!(web.meta, service(&cluster(), "shop/web").meta);
}

/// A cluster whose Services are in a range of its own.
fn elsewhere() -> ClusterState {
    load(&edited(HEALTHY, &[("10.96.", "172.20.")]))
}

#[test]
fn other_ranges_of_cluster_ips_are_fine() {
    let patch = "[{op: patch, object: Service/shop/web, patch: {spec: {sessionAffinity: ClientIP}}}]";
    assert_eq!(service(&made(&elsewhere(), patch), "shop/web").affinity_seconds, Some(10_800));
    let new = "[{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: shop}, spec: {ports: [{port: 1}]}}}]";
    let made = service(&made(&elsewhere(), new), "shop/new");
    assert!(made.cluster_ip.ips()[0].to_string().starts_with("172.20."), "{:?}", made.cluster_ip);
}

#[test]
fn what_is_applied_again_changes_nothing() {
    let new = "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: shop}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 1}]}}}";
    let once = made(&cluster(), &format!("[{new}]"));
    assert_eq!(changed(&once, &format!("[{new}]")), "");
    assert_eq!(made(&cluster(), &format!("[{new}, {new}]")), once);
}

#[test]
fn what_a_manifest_leaves_out_stays() {
    let state = load(&edited(
        HEALTHY,
        &[
            (
                "spec: {type: ClusterIP, clusterIP: 10.96.1.5,",
                "spec: {type: NodePort, sessionAffinity: ClientIP, externalIPs: [192.0.2.1], clusterIP: 10.96.1.5,",
            ),
            ("port: 80, targetPort: http}", "port: 80, targetPort: http, nodePort: 30080}"),
        ],
    ));
    let apply_web = |spec: &str| {
        format!(
            "{{op: apply, manifest: {{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop}}, spec: {spec}}}}}"
        )
    };
    let web = |edits: &[String]| service(&made(&state, &format!("[{}]", edits.join(", "))), "shop/web");
    let before = service(&state, "shop/web");

    // Nothing is known of an earlier manifest: nothing is removed.
    let changed = web(&[apply_web("{internalTrafficPolicy: Local}")]);
    assert_eq!(changed.internal_policy, TrafficPolicy::Local);
    assert_eq!(changed.affinity_seconds, Some(10_800));
    assert_eq!((&changed.ports, &changed.selector), (&before.ports, &before.selector));
    assert_eq!((&changed.external_ips, &changed.meta.labels), (&before.external_ips, &before.meta.labels));
    // Lists without a key are replaced, maps are merged, null removes.
    let changed = web(&[apply_web("{externalIPs: [192.0.2.7], selector: {tier: x}, sessionAffinity: null}")]);
    assert_eq!(changed.external_ips, ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(changed.selector.as_ref().unwrap().iter().count(), 2);
    assert_eq!(changed.affinity_seconds, None);

    // Ports meet by their number.
    let changed =
        web(&[apply_web("{ports: [{port: 80, name: http, targetPort: 9}, {port: 443, name: tls}]}")]);
    let ports: Vec<_> = changed.ports.iter().map(|port| (port.port.get(), &*port.name)).collect();
    assert_eq!(ports, [(80, "http"), (443, "tls")]);
    assert_eq!(changed.ports[0].node_port, before.ports[0].node_port);
    // What the manifest before had is removed, what it had not stays.
    let first =
        apply_web("{externalIPs: [192.0.2.7], ports: [{port: 80, name: http}, {port: 443, name: tls}]}");
    let changed = web(&[first.clone(), apply_web("{ports: [{port: 443, name: tls}]}")]);
    assert_eq!(changed.external_ips, [] as [std::net::IpAddr; 0]);
    assert_eq!(changed.ports.iter().map(|port| port.port.get()).collect::<Vec<_>>(), [443]);
    assert_eq!(changed.affinity_seconds, Some(10_800));
    // Deleted and made again: there was no manifest before.
    let delete = "{op: delete, object: Service/shop/web}".to_owned();
    let changed = web(&[first, delete, apply_web("{ports: [{port: 443}]}")]);
    assert_eq!((changed.ports.len(), changed.affinity_seconds, changed.ports[0].node_port), (1, None, None));
}

#[test]
fn hand_made_endpoints_are_mirrored() {
    let edits = "[{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {ports: [{port: 80}]}}},
        {op: apply, manifest: {apiVersion: v1, kind: Endpoints, metadata: {name: ext, namespace: shop}, subsets: [{addresses: [{ip: 198.51.100.7}], ports: [{port: 80}]}]}}]";
    let state = made(&cluster(), edits);
    assert_eq!(endpoints(&state, "shop/ext"), ["198.51.100.7 - - ready"]);
    let gone = made(&state, "[{op: delete, object: Endpoints/shop/ext}]");
    assert_eq!(endpoints(&gone, "shop/ext"), [] as [&str; 0]);
    let gone = made(&state, "[{op: delete, object: Service/shop/ext}]");
    assert_eq!((gone.slices().len(), gone.endpoints().len()), (2, 2));
}

#[test]
fn kube_proxy_settings_of_one_node_and_of_all() {
    let state = made(
        &cluster(),
        "[{op: proxy, node: '*', set: {mode: ipvs, ipvs: {scheduler: lc}}}, {op: proxy, node: node-b, set: {mode: nftables}}, \
          {op: proxy, node: '*', set: {iptables: {masqueradeAll: true}}}]",
    );
    let settings = |node: &str| state.proxy_settings(node);
    assert_eq!((settings("node-a").mode, settings("node-b").mode), (ProxyMode::Ipvs, ProxyMode::Nftables));
    assert_eq!(&*settings("node-b").ipvs_scheduler, "lc", "what is not set stays");
    assert!(settings("node-a").iptables.all && settings("node-b").iptables.all);
    // Set back: nothing is left of it.
    let back = made(&state, "[{op: proxy, node: node-b, set: {mode: ipvs}}]");
    assert!(back.proxy_config().unwrap().nodes.is_empty());
}

#[test]
fn unknown_pods_do_not_empty_slices() {
    let without_pods =
        HEALTHY.split("---\n").filter(|text| !text.contains("kind: Pod\n")).collect::<Vec<_>>();
    let state = load(&without_pods.join("---\n"));
    let edits = "[{op: patch, object: Service/shop/web, patch: {spec: {sessionAffinity: ClientIP}}}]";
    assert_eq!(changed(&state, edits), "Service shop/web");
    let without_endpoints =
        HEALTHY.split("---\n").filter(|text| !text.contains("kind: Endpoints")).collect::<Vec<_>>();
    let state = load(&without_endpoints.join("---\n"));
    let edits = "[{op: pod, pod: shop/web-5d9-a, state: gone}]";
    assert_eq!(changed(&state, edits), "Pod shop/web-5d9-a, EndpointSlice shop/web-x1");
}

#[test]
fn slices_of_a_live_cluster_stay_unless_an_edit_concerns_them() {
    // Some other version of the controller has left a label and an order of its own.
    let state = with(
        "{apiVersion: v1, kind: Service, metadata: {name: odd, namespace: shop}, spec: {clusterIP: 10.96.1.9, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}",
    );
    assert_eq!(changed(&state, "[{op: node, node: node-a, state: cordon}]"), "Node node-a");
    assert_eq!(
        changed(&state, "[{op: pod, pod: shop/web-5d9-a, state: gone}]").matches("shop/odd").count(),
        2,
        "its pods have changed: its slice and Endpoints are made"
    );
}

const REFUSED: &[(&str, &str)] = &[
    (
        "{op: pod, pod: shop/web-5d9-z, state: gone}",
        "edit 1 (pod shop/web-5d9-z gone): pods \"web-5d9-z\" not found; did you mean web-5d9-a or web-5d9-b or web-5d9-c?",
    ),
    (
        "{op: patch, object: Service/shop/we, patch: {}}",
        "edit 1 (shop/we unchanged): services \"we\" not found; did you mean web?",
    ),
    (
        "{op: delete, object: Service/default/web}",
        "edit 1 (delete Service default/web): services \"web\" not found; did you mean web in namespace shop?",
    ),
    (
        "{op: node, node: nod-a, state: drain}",
        "edit 1 (drain nod-a): nodes \"nod-a\" not found; did you mean node-a?",
    ),
    (
        "{op: scale, workload: Deployment/shop/wep, replicas: 2}",
        "edit 1 (scale Deployment shop/wep to 2): deployments.apps \"wep\" not found; did you mean web?. Workloads are known by their pods: one without any can't be scaled here",
    ),
    (
        "{op: scale, workload: ReplicaSet/shop/web-5d9, replicas: 2}",
        "edit 1 (scale ReplicaSet shop/web-5d9 to 2): ReplicaSet web-5d9 belongs to a Deployment, which would undo it: scale Deployment/shop/web",
    ),
    (
        "{op: scale, workload: DaemonSet/shop/log, replicas: 2}",
        "edit 1 (scale DaemonSet shop/log to 2): the server could not find the requested resource: a DaemonSet has no scale, it runs one pod on each node",
    ),
    (
        "{op: scale, workload: Deployment/shop/web, replicas: 4000000000}",
        "edit 1 (scale Deployment shop/web to 4000000000): spec.replicas: Invalid value: 4000000000: must be at most 5000 in a what-if",
    ),
    (
        "{op: zone, node: node-a, zone: 'z 1'}",
        "edit 1 (node-a in zone z 1): Node \"node-a\" is invalid: metadata.labels: Invalid value: \"z 1\": a valid label must be",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {ports: []}}}",
        "edit 1 (shop/web ports: 0 entries): Service \"web\" is invalid: spec.ports: Required value",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {ports: [{port: 70000}]}}}",
        "edit 1 (shop/web ports: 1 entry): Service \"web\" is invalid: [spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 70000: must be between",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {clusterIP: 10.96.9.9}}}",
        "edit 1 (shop/web clusterIP: 10.96.9.9): Service \"web\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.9.9\"]: may not change once set",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {ports: [[http, TCP, 80]]}}}",
        "edit 1 (shop/web ports: 1 entry): Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal array into Go struct field ServiceSpec.spec.ports of type v1.ServicePort",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {sessionAffinity: ClientIP, sessionAffinityConfig: [[1]]}}}",
        "edit 1 (shop/web sessionAffinity: ClientIP, sessionAffinityConfig: 1 entry): Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal array into Go struct field ServiceSpec.spec.sessionAffinityConfig of type v1.SessionAffinityConfig",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {ports: [null]}}}",
        "edit 1 (shop/web ports: 1 entry): Service \"web\" is invalid: ",
    ),
    (
        "{op: patch, object: EndpointSlice/shop/web-x1, patch: {endpoints: [null]}}",
        "edit 1 (EndpointSlice shop/web-x1 endpoints: 1 entry): EndpointSlice.discovery.k8s.io \"web-x1\" is invalid: ",
    ),
    (
        "{op: patch, object: EndpointSlice/shop/web-x1, patch: {endpoints: [{addresses: [10.0.0.1], conditions: {ready: 'yes'}}]}}",
        "edit 1 (EndpointSlice shop/web-x1 endpoints: 1 entry): EndpointSlice in version \"discovery.k8s.io/v1\" cannot be handled as a EndpointSlice: json: cannot unmarshal string into Go struct field EndpointConditions.endpoints.conditions.ready of type bool",
    ),
    (
        "{op: patch, object: Pod/shop/web-5d9-a, patch: {spec: {containers: [{name: web, ports: [{containerPort: 70000}]}]}}}",
        "edit 1 (Pod shop/web-5d9-a containers: 1 entry): Pod \"web-5d9-a\" is invalid: spec.containers[0].ports[0].containerPort: ",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {metadata: {name: other}}}",
        "edit 1 (shop/web metadata.name: other): Service \"web\" is invalid: metadata.name: Invalid value: \"other\": field is immutable",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: 5}",
        "edit 1 (shop/web unchanged): patch: expected an object: a JSON merge patch (RFC 7386)",
    ),
    (
        "{op: patch, object: Service/shop/web, patch: {spec: {externalIPs: [10.0.0.300]}}}",
        "edit 1 (shop/web externalIPs: 10.0.0.300): Service \"web\" is invalid: spec.externalIPs[0]: Invalid value: \"10.0.0.300\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    ),
    (
        "{op: patch, object: EndpointSlice/shop/web-x1, patch: {addressType: IPv6}}",
        "edit 1 (EndpointSlice shop/web-x1 addressType: IPv6): EndpointSlice.discovery.k8s.io \"web-x1\" is invalid: [addressType: Invalid value: \"IPv6\": field is immutable",
    ),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: nowhere}, spec: {ports: [{port: 1}]}}}",
        "edit 1 (apply Service nowhere/new): namespaces \"nowhere\" not found",
    ),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: Web, namespace: shop}, spec: {ports: [{port: 1}]}}}",
        "edit 1 (apply Service shop/Web): Service \"Web\" is invalid: metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 label",
    ),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: shop}, spec: {type: NodePort, ports: [{port: 1, nodePort: 99}]}}}",
        "edit 1 (apply Service shop/new): Service \"new\" is invalid: spec.ports[0].nodePort: Invalid value: 99: provided port is not in the valid range. The range of valid ports is 30000-32767",
    ),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: shop}, spec: {clusterIP: 10.96.1.5, ports: [{port: 1}]}}}",
        "edit 1 (apply Service shop/new): Service \"new\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.1.5\"]: failed to allocate IP 10.96.1.5: provided IP is already allocated",
    ),
    (
        "{op: apply, manifest: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}}",
        "edit 1 (apply Deployment web): Deployments are known only by their pods: scale it, or apply a Pod",
    ),
    (
        "{op: apply, manifest: [1]}",
        "edit 1 (apply an object without a name): manifest: expected an object with apiVersion, kind and metadata",
    ),
    (
        "{op: apply, manifest: {apiVersion: v1, kind: Service}}",
        "edit 1 (apply Service without a name): metadata: Required value",
    ),
    (
        "{op: proxy, node: '*', set: {mode: ebpf}}",
        "edit 1 (kube-proxy on all nodes: mode: ebpf): mode: `ebpf` is not one of iptables, nftables, ipvs, userspace",
    ),
    (
        "{op: proxy, node: '*', set: {mod: ipvs}}",
        "edit 1 (kube-proxy on all nodes: mod: ipvs): strict decoding error: unknown field \"mod\"",
    ),
    (
        "{op: proxy, node: node-a, set: {iptables: {masqueradeBit: 32}}}",
        "edit 1 (kube-proxy on node-a: iptables.masqueradeBit: 32): iptables.masqueradeBit: 32 is not between 0 and 31",
    ),
    (
        "{op: proxy, node: node-a, set: {ipvs: {scheduler: best}}}",
        "edit 1 (kube-proxy on node-a: ipvs.scheduler: best): ipvs.scheduler: `best` is not one of rr, wrr, lc,",
    ),
    (
        "{op: proxy, node: node-a, set: {clusterCIDR: [1]}}",
        "edit 1 (kube-proxy on node-a: clusterCIDR: 1 entry): clusterCIDR: invalid type: a list, expected a string",
    ),
    (
        "{op: proxy, node: node-z, set: {}}",
        "edit 1 (kube-proxy on node-z: unchanged): nodes \"node-z\" not found; did you mean node-a or node-b or node-c?",
    ),
];

#[test]
fn what_is_refused() {
    for (edit, expected) in REFUSED {
        let found = refused(&cluster(), &format!("[{edit}]"));
        assert!(found.starts_with(expected), "{edit}\n  expected {expected}\n  found    {found}");
    }
    let second =
        refused(&cluster(), "[{op: node, node: node-a, state: cordon}, {op: delete, object: Node/x}]");
    assert_eq!(second, "edit 2 (delete Node x): nodes \"x\" not found");
}

#[test]
fn a_pod_without_a_node_starts_where_it_is_moved() {
    let state = with(
        "{apiVersion: v1, kind: Pod, metadata: {name: waits, namespace: shop}, spec: {containers: []}, status: {phase: Pending}}",
    );
    assert_eq!(
        refused(&state, "[{op: pod, pod: shop/waits, state: ready}]"),
        "edit 1 (pod shop/waits ready): pod shop/waits is on no node: it can't be ready; move it to one"
    );
    let moved = made(&state, "[{op: move, pod: shop/waits, to: node-b}]");
    let pod = moved.pods().get(&Key::new("shop", "waits")).unwrap();
    assert_eq!((pod.ips[0].to_string(), pod.ready), ("10.244.1.2".to_owned(), true));
}

#[test]
fn nodes_without_pod_cidrs_give_addresses_nearby() {
    let state = load(&edited(
        HEALTHY,
        &[
            ("spec: {podCIDRs: [10.244.0.0/24]}, ", ""),
            ("spec: {podCIDRs: [10.244.1.0/24]}, ", ""),
            ("spec: {podCIDRs: [10.244.2.0/24]}, ", ""),
        ],
    ));
    let after = made(&state, "[{op: scale, workload: Deployment/shop/web, replicas: 5}]");
    let mut ips: Vec<_> = after.pods().values().flat_map(|pod| pod.ips.clone()).collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 5, "{ips:?}");
}

#[test]
fn new_slices_are_the_controllers_own() {
    let new = "[{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: new, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}}]";
    let state = made(&cluster(), new);
    let slices: Vec<&EndpointSlice> =
        state.slices_of(&Key::new("shop", "new")).map(|slice| &**slice).collect();
    let [slice] = slices.as_slice() else { panic!("{slices:?}") };
    assert_eq!(
        slice.meta.labels.get(MANAGED_BY_LABEL).map(|by| &**by),
        Some("endpointslice-controller.k8s.io")
    );
    assert_eq!(slice.name().len(), "new-".len() + 5);
    assert_eq!(endpoints(&state, "shop/new"), [A, B, C]);
}

#[test]
fn an_address_that_becomes_free_is_given_last() {
    let text = |cidr: &str| {
        format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: node-a}}, status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n\
             {{apiVersion: v1, kind: Node, metadata: {{name: node-b}}, spec: {{{cidr}}}, status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: web-1-x, namespace: shop, labels: {{app: web}}, ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: u}}]}}, \
             spec: {{nodeName: node-a, containers: [{{name: main}}]}}, status: {{phase: Running, podIP: 10.0.0.2, podIPs: [{{ip: 10.0.0.2}}]}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: other, namespace: shop}}, spec: {{nodeName: node-b, containers: [{{name: main}}]}}, \
             status: {{phase: Running, podIP: 10.0.0.9, podIPs: [{{ip: 10.0.0.9}}]}}}}\n"
        )
    };
    let drained = |cidr: &str| -> Vec<String> {
        let state = vipscope_shared::manifest::load(&text(cidr)).unwrap().state;
        let edits = parse("[{op: node, node: node-a, state: drain}]").unwrap();
        let after = apply(&state, &edits, "2026-01-31T12:00:00Z".parse().unwrap()).unwrap().state;
        let new = after.pods().values().filter(|pod| &**pod.name() != "other");
        new.flat_map(|pod| pod.ips.iter().map(ToString::to_string)).collect()
    };
    // The pod starts before the one that it replaces has ended; only where there is no other address it waits for that.
    assert_eq!(drained(""), ["10.0.0.3"]);
    assert_eq!(drained("podCIDR: 10.0.0.0/30, podCIDRs: [10.0.0.0/30]"), ["10.0.0.2"]);
}
