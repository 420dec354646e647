//! Random edits of random clusters: nothing panics, what changed is exactly what differs, the controllers have nothing left to do, and
//! objects survive the way to JSON and back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

#[path = "support/small.rs"]
mod small;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;
use serde_json::{Value, json};
use vipscope_shared::controllers::slice_plan::SlicePlan;
use vipscope_shared::controllers::{endpoints, endpointslices, mirroring};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::manifest::{decode_as, encode};
use vipscope_shared::model::{ClusterState, Key, Keyed, Kind, ObjectRef, Pod, Text};
use vipscope_shared::pace;
use vipscope_shared::synthetic::{self, Random, Size};
use vipscope_shared::whatif::apply::{Edited, apply};
use vipscope_shared::whatif::edit::{Edit, NodeEdit, ObjectName, PodEdit, WorkloadName, export, link, parse};
use vipscope_shared::whatif::{Options, difference_paced, difference_with};

const CLUSTERS: u64 = 150;

fn objects(state: &ClusterState) -> BTreeMap<ObjectRef, Object> {
    let namespaces = state.namespaces().values().cloned().map(Object::Namespace);
    let all = namespaces
        .chain(state.nodes().values().cloned().map(Object::Node))
        .chain(state.pods().values().cloned().map(Object::Pod))
        .chain(state.services().values().cloned().map(Object::Service))
        .chain(state.slices().values().cloned().map(Object::EndpointSlice))
        .chain(state.endpoints().values().cloned().map(Object::Endpoints))
        .chain(state.proxy_configs().values().cloned().map(Object::ProxyConfig));
    all.map(|object| (object.object_ref(), object)).collect()
}

/// Runs every controller over every Service; answers how much there was to do.
fn run_controllers(state: &mut ClusterState) -> Vec<String> {
    let mut nth = 0;
    let mut suffix = || -> Text {
        nth += 1;
        format!("t{nth:04}").into()
    };
    let mut done = Vec::new();
    for key in state.services().keys().cloned().collect::<Vec<_>>() {
        let service = state.services().get(&key).unwrap().clone();
        if let Some(object) = endpoints::plan(state, &service) {
            done.push(format!("Endpoints {key}"));
            let _ = state.apply(&Change::Upsert(Object::Endpoints(Arc::new(object))));
        }
        let plan = endpointslices::plan(state, &service, &mut suffix);
        carry_out(state, plan, &key, &mut done);
        let plan = mirroring::plan(state, &key, &mut suffix);
        carry_out(state, plan, &key, &mut done);
    }
    done
}

fn carry_out(state: &mut ClusterState, plan: SlicePlan, service: &Key, done: &mut Vec<String>) {
    if !plan.is_empty() {
        done.push(format!("slices of {service}: {plan:?}"));
    }
    for slice in plan.create.into_iter().chain(plan.update) {
        let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
    }
    for key in plan.delete {
        let _ = state.apply(&Change::Delete(ObjectRef { kind: Kind::EndpointSlice, key }));
    }
}

/// A cluster in which the controllers have nothing to do.
fn settled(seed: u64) -> ClusterState {
    let mut random = Random(seed);
    let mut state = if random.once_in(2) {
        let mut maker = small::Maker::new(seed);
        let state = maker.cluster();
        maker.change(&state).0
    } else {
        let size = Size {
            namespaces: 1 + random.below(3),
            nodes: 1 + random.below(5),
            services: 1 + random.below(16),
            endpoints: random.below(50),
        };
        synthetic::cluster(size, seed)
    };
    while !run_controllers(&mut state).is_empty() {}
    state
}

fn pick<T: Clone>(random: &mut Random, all: &[T]) -> Option<T> {
    (!all.is_empty()).then(|| all[random.below(all.len())].clone())
}

/// Mostly a name of something that is there.
fn name(random: &mut Random, keys: Vec<Key>) -> Key {
    let nobody = Key::new("shop", "nobody");
    if random.once_in(12) { nobody } else { pick(random, &keys).unwrap_or(nobody) }
}

fn patches() -> Vec<Value> {
    let label = json!({"metadata": {"labels": {"app": "other"}}});
    let odd =
        [json!(null), json!([]), json!([[1]]), json!("x"), json!({"x": [null]}), json!(-1), json!(1e300)];
    let fields = [
        "type",
        "ports",
        "selector",
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "externalIPs",
        "sessionAffinity",
        "sessionAffinityConfig",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "podCIDRs",
        "containers",
        "nodeName",
        "loadBalancerSourceRanges",
    ];
    let mut all = vec![
        label,
        json!({}),
        json!({"metadata": null}),
        json!({"metadata": {"labels": null, "annotations": "x"}}),
        json!({"metadata": {"labels": {"app": 5}}}),
        json!({"kind": "Pod"}),
        json!({"spec": null}),
        json!({"status": null}),
        json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}),
        json!({"spec": {"type": "NodePort"}}),
        json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}}),
        json!({"spec": {"type": "ExternalName", "externalName": "db.example.com", "clusterIP": null, "clusterIPs": null}}),
        json!({"spec": {"clusterIP": "None"}}),
        json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}}),
        json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}]}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}),
        json!({"spec": {"selector": {"app": "web"}}}),
        json!({"spec": {"trafficDistribution": "PreferSameNode"}}),
        json!({"endpoints": []}),
        json!({"endpoints": [[]], "subsets": [[]]}),
        json!({"subsets": [{"addresses": [{"ip": "198.51.100.1"}], "ports": [{"port": 1}]}]}),
        json!({"ports": [5]}),
        json!({"data": {"config.conf": "mode: nftables"}}),
        json!({"data": {"config.conf": "mode: ["}}),
    ];
    for field in fields {
        all.extend(odd.iter().map(|value| json!({"spec": {field: value}})));
    }
    for field in ["spec", "status", "metadata", "endpoints", "ports", "subsets", "addressType", "data"] {
        all.extend(odd.iter().map(|value| json!({field: value})));
    }
    all
}

fn object_name(random: &mut Random, state: &ClusterState) -> ObjectName {
    let kind = Kind::ALL[random.below(Kind::ALL.len())];
    let refs = state.refs(kind);
    let found = pick(random, &refs);
    found.map_or_else(|| "Service/shop/nobody".parse().unwrap(), ObjectName::from)
}

fn manifest(random: &mut Random, state: &ClusterState) -> Value {
    let namespace = state.pods().keys().next().map_or("shop".into(), |key| key.namespace.clone());
    let selector = pick(random, &state.pods().values().cloned().collect::<Vec<_>>()).map_or(
        json!({"app": "web"}),
        |pod| {
            pod.meta
                .labels
                .iter()
                .take(1)
                .map(|(key, value)| (key.to_string(), json!(&**value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        },
    );
    let meta =
        json!({"name": format!("new-{}", random.below(3)), "namespace": &*namespace, "labels": selector});
    match random.below(6) {
        0 => {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": selector, "ports": [{"port": 80}]}})
        }
        1 => {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"type": "NodePort", "ports": [{"port": 80}]}})
        }
        2 => {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c"}]}})
        }
        3 => {
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "new-node", "labels": {"topology.kubernetes.io/zone": "z"}}, "spec": {"podCIDRs": ["10.250.0.0/24"]}})
        }
        4 => {
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [{"addresses": [{"ip": "198.51.100.1"}], "ports": [{"port": 1}]}]})
        }
        _ => {
            // An object that is there, with something put on top.
            let all: Vec<Object> = objects(state).into_values().collect();
            let mut value = pick(random, &all).map_or(json!({}), |object| encode(&object));
            let patches = patches();
            let patch = &patches[random.below(patches.len())];
            for (field, inner) in patch.as_object().unwrap() {
                value[field] = inner.clone();
            }
            value
        }
    }
}

fn edit(random: &mut Random, state: &ClusterState) -> Edit {
    let pods: Vec<Key> = state.pods().keys().cloned().collect();
    let nodes: Vec<Key> = state.nodes().keys().cloned().collect();
    match random.below(10) {
        0 => {
            let pod = pick(random, &state.pods().values().cloned().collect::<Vec<_>>());
            let (namespace, name) =
                pod.map_or(("shop".into(), "nobody".into()), |pod| (pod.namespace().clone(), pod.workload()));
            let kind =
                ["Deployment", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"][random.below(5)];
            let workload = WorkloadName { kind: kind.into(), key: Key::new(namespace, name) };
            Edit::Scale { workload, replicas: random.below(9) as u32 }
        }
        1 => {
            let state =
                [PodEdit::Ready, PodEdit::Unready, PodEdit::Terminating, PodEdit::Gone][random.below(4)];
            Edit::Pod { pod: name(random, pods), state }
        }
        2 => Edit::Move { pod: name(random, pods), to: name(random, nodes).name },
        3 | 4 => {
            let state =
                [NodeEdit::Cordon, NodeEdit::Uncordon, NodeEdit::Drain, NodeEdit::Lost][random.below(4)];
            Edit::Node { node: name(random, nodes).name, state }
        }
        5 => Edit::Zone {
            node: name(random, nodes).name,
            zone: [None, Some("a".into()), Some("b".into())][random.below(3)].clone(),
        },
        6 => Edit::Apply { manifest: manifest(random, state) },
        7 => {
            let patches = patches();
            Edit::Patch {
                object: object_name(random, state),
                patch: patches[random.below(patches.len())].clone(),
            }
        }
        8 => Edit::Delete { object: object_name(random, state) },
        _ => {
            let node = if random.once_in(2) { "*".into() } else { name(random, nodes).name };
            let sets = [
                json!({"mode": "nftables"}),
                json!({"mode": "ipvs", "ipvs": {"scheduler": "sh"}}),
                json!({"nodePortAddresses": ["primary"]}),
                json!({"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}}),
                json!({"iptables": null, "conntrack": {"tcpBeLiberal": true}}),
                json!({"mode": ["x"]}),
                json!([1]),
            ];
            Edit::Proxy { node, set: sets[random.below(sets.len())].clone() }
        }
    }
}

fn check(before: &ClusterState, edits: &[Edit], after: &Edited, seed: u64) {
    let (old, new) = (objects(before), objects(&after.state));
    let differing: BTreeSet<&ObjectRef> =
        old.keys().chain(new.keys()).filter(|object| old.get(*object) != new.get(*object)).collect();
    assert_eq!(
        after.changed.iter().collect::<Vec<_>>(),
        differing.into_iter().collect::<Vec<_>>(),
        "seed {seed}: {edits:?}"
    );
    let mut left = run_controllers(&mut after.state.clone());
    // Who has none shows none: then they are not written.
    left.retain(|what| !(before.endpoints().is_empty() && what.starts_with("Endpoints ")));
    assert!(left.is_empty(), "seed {seed}: {edits:#?}\n{left:#?}");
    let pods = after.state.pods();
    for pod in pods.values().filter(|pod| !pod.host_network && !before.pods().contains(pod.key())) {
        let shares =
            |other: &&Arc<Pod>| other.key() != pod.key() && other.ips.iter().any(|ip| pod.ips.contains(ip));
        assert_eq!(pods.values().find(shares), None, "seed {seed}: {pod:?}");
    }
    // As a snapshot does it: nothing derived is lost.
    let text = serde_json::to_string(&after.state).unwrap();
    assert_eq!(serde_json::from_str::<ClusterState>(&text).unwrap(), after.state, "seed {seed}");
}

#[test]
fn edits_leave_a_settled_cluster() {
    let (mut made, mut refused) = (0, 0);
    for seed in 0..CLUSTERS {
        let before = settled(seed);
        let mut random = Random(seed + 1_000_000);
        let mut edits: Vec<Edit> = Vec::new();
        let mut state = before.clone();
        for _ in 0..8 {
            let next = edit(&mut random, &state);
            // Alone it is judged in the state so far; what is refused is left out.
            match apply(&state, std::slice::from_ref(&next), Timestamp::UNIX_EPOCH) {
                Ok(after) => {
                    check(&state, std::slice::from_ref(&next), &after, seed);
                    state = after.state;
                    edits.push(next);
                    made += 1;
                }
                Err(refusal) => {
                    assert!(!refusal.reason.is_empty() && refusal.index == 0 && refusal.edit == next.words());
                    refused += 1;
                }
            }
        }
        assert_eq!(link::decode(&link::encode(&edits)), Ok(edits.clone()), "seed {seed}");
        let _ = export(&before, &edits);
        // All at once: the controllers run once, at the end. What an edit refers to may then have another name.
        if let Ok(after) = apply(&before, &edits, Timestamp::UNIX_EPOCH) {
            check(&before, &edits, &after, seed);
            assert_eq!(apply(&before, &edits, Timestamp::UNIX_EPOCH), Ok(after), "seed {seed}");
        }
    }
    assert!(made > 3 * CLUSTERS && refused > CLUSTERS, "{made} made, {refused} refused");
}

#[test]
fn objects_survive_the_way_to_json_and_back() {
    let mut checked = 0;
    for seed in 0..60 {
        for (object, original) in objects(&settled(seed)) {
            let decoded = decode_as(object.kind, encode(&original));
            assert_eq!(
                (decoded.object.as_ref(), decoded.fault),
                (Some(&original), None),
                "seed {seed}: {object}"
            );
            checked += 1;
        }
    }
    let text = include_str!("fixtures/real-cluster-1.36.json");
    for (object, original) in objects(&vipscope_shared::manifest::load(text).unwrap().state) {
        let decoded = decode_as(object.kind, encode(&original));
        assert_eq!((decoded.object.as_ref(), decoded.fault), (Some(&original), None), "{object}");
        checked += 1;
    }
    assert!(checked > 1000, "{checked}");
}

/// A pause that has to be waited for.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Pause>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[test]
fn pauses_change_nothing_and_are_offered_often() {
    let size = Size { namespaces: 3, nodes: 6, services: 60, endpoints: 300 };
    let before = synthetic::cluster(size, 1);
    let edits = [
        "[{op: node, node: node-02, state: drain}]",
        "[{op: node, node: node-02, state: lost}]",
        "[{op: zone, node: node-02, zone: elsewhere}]",
        "[{op: proxy, node: '*', set: {mode: nftables}}]",
    ];
    for text in edits {
        let after = apply(&before, &parse(text).unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        for changed in [Some(&after.changed[..]), None] {
            let options = Options { changed, ..Options::at(Timestamp::UNIX_EPOCH) };
            let count = Cell::new(0);
            let pause = async || {
                count.set(count.get() + 1);
                Pause(false).await;
            };
            let paced = pace::at_once(difference_paced(&before, &after.state, &options, &pause));
            assert_eq!(paced, difference_with(&before, &after.state, &options), "{text}");
            let expected = if text.contains("zone") { 10 } else { 60 };
            assert!(count.get() >= expected, "{text}: {} pauses", count.get());
        }
    }
}
