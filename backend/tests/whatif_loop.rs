//! What is predicted comes true: edits, exported as a script, are made in the sandbox by the real kubectl; what the sandbox then settles
//! to is compared with what `apply` has predicted. Without kubectl on PATH the tests say so and pass, but not where `CI=true`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kubectl_help;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use kubectl_help::Cluster;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};
use vipscope::sandbox::Options;
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::delta::Object;
use vipscope_shared::manifest::{encode, load};
use vipscope_shared::model::{
    ClusterIp, ClusterState, EndpointSlice, Key, Keyed, Pod, ProxyMode, Service, ServiceType, Text,
};
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::edit::{Edit, export, read};

const DEMO: Options = Options {
    empty: false,
    seed: 1,
    proxy_mode: ProxyMode::Iptables,
    churn: false,
    families: Families::IPv4,
};
/// Settling takes seconds; only a broken prediction waits so long.
const PATIENCE: Duration = Duration::from_secs(40);
/// Nothing happens in the sandbox that takes longer and is not announced by a change.
const QUIET: Duration = Duration::from_millis(1500);

/// Everything that a prediction is about, as facts that can be counted; names and addresses that are made up are not in it.
type Facts = BTreeMap<String, usize>;

/// Whether nodes are compared by name.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Places {
    Named,
    /// Several pods are placed at the same time, in any order: only whether they are on a node that takes none.
    Any,
}

impl Places {
    fn of(self, state: &ClusterState, node: Option<&Text>) -> String {
        let closed = || node.and_then(|node| state.node(node)).is_some_and(|node| node.unschedulable);
        if self == Places::Named || closed() { format!("{node:?}") } else { "a node".to_owned() }
    }
}

/// The facts of `state`; `before` tells which addresses and ports of Services were chosen by the cluster since.
fn facts(state: &ClusterState, before: &ClusterState, places: Places) -> Facts {
    let mut facts = Facts::new();
    let mut note = |fact: String| *facts.entry(fact).or_default() += 1;
    for namespace in state.namespaces().keys() {
        note(format!("namespace {namespace}"));
    }
    for node in state.nodes().values() {
        let (zone, cordoned) = (node.zone(), node.unschedulable);
        note(format!("node {} ready={} cordoned={cordoned} zone={zone:?}", node.name(), node.ready));
    }
    for pod in state.pods().values() {
        note(pod_fact(pod, &places.of(state, pod.node.as_ref())));
    }
    for service in state.services().values() {
        note(service_fact(service, before));
    }
    for slice in state.slices().values() {
        slice_facts(slice, state, places).into_iter().for_each(&mut note);
    }
    for endpoints in state.endpoints().values() {
        for subset in &endpoints.subsets {
            let ports: BTreeSet<String> = subset.ports.iter().map(|port| format!("{port:?}")).collect();
            let (ready, unready) = (subset.addresses.len(), subset.not_ready.len());
            note(format!("endpoints {} {ports:?}: {ready} ready, {unready} not", endpoints.key()));
        }
    }
    facts
}

fn pod_fact(pod: &Pod, node: &str) -> String {
    let who = match &pod.meta.owner {
        Some(_) => format!("{}/{}-…", pod.namespace(), pod.workload()),
        None => pod.key().to_string(),
    };
    let (phase, leaving) = (pod.phase, pod.meta.terminating());
    let labels: BTreeMap<&str, &str> =
        pod.meta.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
    format!("pod {who} on {node} {phase:?} ready={} leaving={leaving} {labels:?}", pod.ready)
}

/// The Service as the API shows it. What the cluster has chosen since is only said to be there.
fn service_fact(service: &Service, before: &ClusterState) -> String {
    let mut shown = service.clone();
    let old = before.services().get(service.key());
    let known = |ip: &IpAddr| old.is_some_and(|old| old.cluster_ip.ips().contains(ip));
    if let ClusterIp::Ips(ips) = &mut shown.cluster_ip
        && !ips.iter().all(known)
    {
        *ips = ips.iter().map(|_| IpAddr::from([0, 0, 0, 0])).collect();
    }
    for port in &mut shown.ports {
        let port_of = |old: &&vipscope_shared::model::ServicePort| old.node_port == port.node_port;
        let kept = old.is_some_and(|old| old.ports.iter().any(|old| port_of(&old)));
        if !kept {
            port.node_port = port.node_port.and(std::num::NonZeroU16::new(30000));
        }
    }
    let fixed = |port: std::num::NonZeroU16| port.min(std::num::NonZeroU16::MIN);
    shown.health_check_node_port = shown.health_check_node_port.map(fixed);
    // A balancer's address comes only with an edit of the status.
    if old.is_none_or(|old| old.service_type != ServiceType::LoadBalancer) {
        shown.ingress.retain(|entry| entry.ip.is_none_or(|ip| !ip.to_string().starts_with("203.0.113.")));
    }
    let mut value = encode(&Object::Service(std::sync::Arc::new(shown)));
    let metadata = value["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| !["uid", "creationTimestamp", "annotations"].contains(&field.as_str()));
    format!("service {value}")
}

fn slice_facts(slice: &EndpointSlice, state: &ClusterState, places: Places) -> Vec<String> {
    let service = slice.service();
    let ports: BTreeSet<String> = slice.ports.iter().map(|port| format!("{port:?}")).collect();
    let fact = |endpoint: &vipscope_shared::model::Endpoint| {
        let (node, conditions) = (places.of(state, endpoint.node.as_ref()), endpoint.conditions);
        let hints = (&endpoint.zone, &endpoint.zone_hints, &endpoint.node_hints);
        let near = if places == Places::Named { format!("{hints:?}") } else { String::new() };
        let name = &endpoint.hostname;
        format!("endpoint {name:?} of {service:?} {ports:?} {conditions:?} on {node} {near}")
    };
    slice.endpoints.iter().map(fact).collect()
}

/// Most pods are ready: on a busy machine nothing may happen for a while before they are.
fn has_come_up(state: &ClusterState) -> bool {
    let ready = state.pods().values().filter(|pod| pod.ready).count();
    ready * 5 > state.pods().len() * 4
}

impl Shop {
    async fn read(&self) -> ClusterState {
        let kinds = "svc,endpoints,endpointslices,pods,nodes,ns,cm";
        let answer = self.cluster.run(&["get", kinds, "-A", "-o", "json"], "").await;
        assert!(answer.success, "{answer:?}");
        let loaded = load(&answer.out).unwrap();
        assert_eq!(loaded.faults, []);
        loaded.state
    }

    /// The state once nothing has changed for a while.
    async fn settled(&self) -> ClusterState {
        let start = Instant::now();
        let mut last = self.read().await;
        let mut since = Instant::now();
        while since.elapsed() < QUIET || !has_come_up(&last) {
            assert!(start.elapsed() < PATIENCE, "the sandbox does not come to rest");
            sleep(Duration::from_millis(250)).await;
            let next = self.read().await;
            if next != last {
                (last, since) = (next, Instant::now());
            }
        }
        last
    }

    /// Runs the script as a person would.
    async fn script(&self, script: &str) {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-e", "-c", script]).env_clear();
        for name in ["PATH", "HOME", "KUBECONFIG"] {
            let command = self.cluster.command(&[]);
            let value =
                command.as_std().get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
            shell.env(name, value.unwrap());
        }
        let done = tokio::time::timeout(PATIENCE * 2, shell.kill_on_drop(true).output()).await;
        let done = done.expect("the script ends").unwrap();
        assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// The demo in a sandbox of its own.
struct Shop {
    cluster: Cluster,
}

/// Makes the edits in a sandbox of their own, and compares.
async fn comes_true(name: &str, places: Places, edits: &[Value]) -> Option<()> {
    let shop = Shop { cluster: Cluster::start(DEMO).await? };
    let before = shop.settled().await;
    let edits: Vec<Edit> = read(named(&before, &Value::from(edits.to_vec()))).unwrap();
    let predicted = apply(&before, &edits, Timestamp::now()).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(!predicted.changed.is_empty(), "{name}: nothing is predicted to change");
    let exported = export(&before, &edits);
    assert_eq!(exported.left_out().count(), 0, "{name}");
    shop.script(&exported.script()).await;
    let expected = facts(&predicted.state, &before, places);
    assert_ne!(expected, facts(&before, &before, places), "{name}: nothing that is compared changes");
    let mut found = facts(&shop.settled().await, &before, places);
    let start = Instant::now();
    // A drain may hold its breath for longer than that.
    while found != expected && start.elapsed() < PATIENCE {
        found = facts(&shop.settled().await, &before, places);
    }
    let lines = |a: &Facts, b: &Facts| -> String {
        let only = a.iter().filter(|(fact, number)| b.get(*fact) != Some(number));
        only.map(|(fact, number)| format!("\n  {number} × {fact}")).collect()
    };
    assert!(
        found == expected,
        "{name}\n{}\npredicted:{}\nreal:{}",
        exported.script(),
        lines(&expected, &found),
        lines(&found, &expected)
    );
    Some(())
}

/// `POD:NAMESPACE/WORKLOAD` in the edits is the name of the first ready pod of it.
fn named(state: &ClusterState, edits: &Value) -> Value {
    let mut text = edits.to_string();
    while let Some(at) = text.find("POD:") {
        let rest = &text[at + 4..];
        let wanted = rest.split('"').next().unwrap().to_owned();
        let of = |pod: &Pod| format!("{}/{}", pod.namespace(), pod.workload());
        let pod = state.pods().values().find(|pod| pod.ready && of(pod) == wanted);
        let key: &Key = pod.unwrap_or_else(|| panic!("no pod of {wanted}")).key();
        text = text.replacen(&format!("POD:{wanted}"), &key.to_string(), 1);
    }
    serde_json::from_str(&text).unwrap()
}

/// Some at a time: each has a sandbox and starts kubectl often.
async fn all_come_true(rows: &[(&str, Places, Vec<Value>)]) {
    for some in rows.chunks(3) {
        futures::future::join_all(some.iter().map(|(name, places, edits)| comes_true(name, *places, edits)))
            .await;
    }
}

fn patch(object: &str, patch: Value) -> Value {
    json!({ "op": "patch", "object": object, "patch": patch })
}

fn service(name: &str, spec: Value) -> Value {
    json!({ "op": "apply", "manifest": { "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": "shop", "name": name, "labels": { "made": "by-hand" } }, "spec": spec } })
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_and_pods() {
    let rows = [
        (
            "scale up",
            Places::Named,
            vec![json!({"op": "scale", "workload": "Deployment/shop/web", "replicas": 7})],
        ),
        (
            "scale down",
            Places::Named,
            vec![json!({"op": "scale", "workload": "Deployment/edge/gateway", "replicas": 1})],
        ),
        (
            "scale to none, and another one up",
            Places::Any,
            vec![
                json!({"op": "scale", "workload": "Deployment/shop/search", "replicas": 0}),
                json!({"op": "scale", "workload": "Deployment/shop/cart", "replicas": 6}),
            ],
        ),
        (
            "a pod of a workload is deleted, and can't come back to a node",
            Places::Named,
            vec![
                json!({"op": "node", "node": "node-b", "state": "cordon"}),
                json!({"op": "delete", "object": "Pod/POD:shop/web"}),
            ],
        ),
        (
            "a pod leaves its Service",
            Places::Named,
            vec![patch("Pod/data/postgres-1", json!({"metadata": {"labels": {"app": "other"}}}))],
        ),
        (
            "bare pods come and go",
            Places::Named,
            vec![
                json!({"op": "apply", "manifest": {"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"namespace": "shop", "name": "cart-by-hand", "labels": {"app": "cart"}},
                    "spec": {"containers": [{"name": "c", "image": "cart:1", "ports": [{"name": "http", "containerPort": 8080}]}]}}}),
                json!({"op": "delete", "object": "Pod/data/postgres-2"}),
            ],
        ),
    ];
    all_come_true(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes() {
    let rows = [
        ("a zone", Places::Named, vec![json!({"op": "zone", "node": "node-d", "zone": "eu-1c"})]),
        ("no zone", Places::Named, vec![json!({"op": "zone", "node": "node-b", "zone": null})]),
        ("cordon", Places::Named, vec![json!({"op": "node", "node": "node-a", "state": "cordon"})]),
        ("drain", Places::Any, vec![json!({"op": "node", "node": "node-c", "state": "drain"})]),
        (
            "cordon, scale, uncordon",
            Places::Named,
            vec![
                patch("Node/node-a", json!({"spec": {"unschedulable": true}})),
                json!({"op": "scale", "workload": "Deployment/shop/cart", "replicas": 9}),
            ],
        ),
    ];
    all_come_true(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_patched_and_deleted() {
    let rows = [
        (
            "patches",
            Places::Named,
            vec![
                patch(
                    "Service/shop/cart",
                    json!({"spec": {"internalTrafficPolicy": "Local", "sessionAffinity": "ClientIP"}}),
                ),
                patch("Service/shop/web", json!({"spec": {"trafficDistribution": "PreferClose"}})),
                patch("Service/shop/search", json!({"spec": {"selector": {"app": "catalog"}}})),
            ],
        ),
        (
            "ports, by merge patch",
            Places::Named,
            vec![patch(
                "Service/shop/cart",
                json!({"spec": {"ports": [{"name": "only", "port": 8181, "targetPort": "http"}]}}),
            )],
        ),
        ("a Service is deleted", Places::Named, vec![json!({"op": "delete", "object": "Service/shop/cart"})]),
        (
            "the balancer's address, by patch",
            Places::Named,
            vec![patch(
                "Service/shop/web",
                json!({"spec": {"externalTrafficPolicy": "Local"},
                "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}}),
            )],
        ),
        (
            "slices and Endpoints by hand",
            Places::Named,
            vec![
                json!({"op": "apply", "manifest": {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {"namespace": "data", "name": "archive-2", "labels": {"kubernetes.io/service-name": "archive"}},
                    "addressType": "IPv4", "ports": [{"name": "postgres", "port": 5432}],
                    "endpoints": [{"addresses": ["192.0.2.13"]}]}}),
                patch(
                    "Endpoints/data/warehouse",
                    json!({"subsets": [{"addresses": [{"ip": "192.0.2.44"}], "ports": [{"name": "http", "port": 9000}]}]}),
                ),
                json!({"op": "delete", "object": "EndpointSlice/data/archive-1"}),
            ],
        ),
    ];
    all_come_true(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_applied() {
    let rows = [
        (
            "made, then changed",
            Places::Named,
            vec![
                json!({"op": "apply", "manifest": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "extra"}}}),
                service(
                    "cart-two",
                    json!({"selector": {"app": "cart"}, "ports": [{"port": 80, "targetPort": "http"}]}),
                ),
                patch(
                    "Service/shop/cart-two",
                    json!({"spec": {"type": "NodePort", "publishNotReadyAddresses": true}}),
                ),
            ],
        ),
        (
            "applied to what is there: nothing that is left out goes",
            Places::Named,
            vec![
                service(
                    "cart",
                    json!({"sessionAffinity": "ClientIP", "ports": [{"name": "http", "port": 80, "targetPort": 9999},
                        {"name": "more", "port": 8443, "targetPort": "http"}]}),
                ),
                json!({"op": "apply", "manifest": {"apiVersion": "v1", "kind": "Endpoints",
                    "metadata": {"namespace": "data", "name": "warehouse"},
                    "subsets": [{"addresses": [{"ip": "192.0.2.45"}], "ports": [{"name": "http", "port": 9000}]}]}}),
            ],
        ),
        (
            "applied twice: what is left out the second time goes",
            Places::Named,
            vec![
                service(
                    "web",
                    json!({"externalIPs": ["198.51.100.3"], "externalTrafficPolicy": "Local",
                        "ports": [{"name": "http", "port": 80}, {"name": "extra", "port": 8080, "targetPort": "http"}]}),
                ),
                service(
                    "web",
                    json!({"externalTrafficPolicy": "Local", "selector": {"tier": "frontend"},
                        "ports": [{"name": "http", "port": 80}]}),
                ),
            ],
        ),
        (
            "the balancer's address, by manifest",
            Places::Named,
            vec![{
                let mut edit = service(
                    "door",
                    json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/ours",
                    "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
                );
                edit["manifest"]["status"] = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.10"}]}});
                edit
            }],
        ),
    ];
    all_come_true(&rows).await;
}
