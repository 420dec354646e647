//! The sandbox's shop (`examples/demo`) without the sandbox: four nodes in three zones, a pod for each replica, and Services
//! admitted and reconciled as the API server and the controllers would.

use jiff::Timestamp;
use serde_json::{Value, json};
use vipscope_shared::manifest::{load, parse_documents};
use vipscope_shared::model::{ClusterState, LocalDetector};
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::compare::with_settings;
use vipscope_shared::whatif::edit::Edit;

const MANIFESTS: [&str; 4] = [
    include_str!("../../../examples/demo/system.yaml"),
    include_str!("../../../examples/demo/shop.yaml"),
    include_str!("../../../examples/demo/edge.yaml"),
    include_str!("../../../examples/demo/data.yaml"),
];
/// With their zones.
const NODES: [(&str, &str); 4] =
    [("node-a", "eu-1a"), ("node-b", "eu-1b"), ("node-c", "eu-1c"), ("node-d", "eu-1a")];

fn node(nth: usize) -> Value {
    let (name, zone) = NODES[nth];
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "topology.kubernetes.io/zone": zone } },
        "spec": { "podCIDRs": [format!("10.244.{nth}.0/24"), format!("fd00:10:244:{nth}::/64")] },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": format!("192.168.0.1{nth}") },
                { "type": "InternalIP", "address": format!("fd00:192:168::1{nth}") },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// A ready pod, the nth of all, of a workload if it has one.
fn pod(mut document: Value, owner: Option<&str>, nth: usize) -> Value {
    let (on, number) = (nth % NODES.len(), nth + 10);
    if let Some(owner) = owner {
        document["metadata"]["ownerReferences"] =
            json!([{ "kind": "ReplicaSet", "name": owner, "controller": true }]);
    }
    document["apiVersion"] = json!("v1");
    document["kind"] = json!("Pod");
    document["spec"]["nodeName"] = json!(NODES[on].0);
    document["status"] = json!({
        "phase": "Running",
        "podIPs": [{ "ip": format!("10.244.{on}.{number}") }, { "ip": format!("fd00:10:244:{on}::{number}") }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    });
    document
}

/// The pods of a Deployment.
fn replicas(deployment: &Value, pods: &mut Vec<Value>) {
    let meta = &deployment["metadata"];
    let owner = format!("{}-7d9f", meta["name"].as_str().unwrap());
    for nth in 0..deployment["spec"]["replicas"].as_u64().unwrap_or(1) {
        let mut document = deployment["spec"]["template"].clone();
        document["metadata"]["name"] = json!(format!("{owner}-{nth}"));
        document["metadata"]["namespace"] = meta["namespace"].clone();
        document["metadata"]["labels"]["pod-template-hash"] = json!("7d9f");
        pods.push(pod(document, Some(&owner), pods.len()));
    }
}

/// The cluster; every Service has both families if `dual`.
pub fn cluster(dual: bool) -> ClusterState {
    let mut objects: Vec<Value> = (0..NODES.len()).map(node).collect();
    objects.push(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "kube-system" } }));
    let (mut pods, mut later) = (Vec::new(), Vec::new());
    for mut document in MANIFESTS.iter().flat_map(|text| parse_documents(text).unwrap()) {
        let kind = document["kind"].as_str().unwrap().to_owned();
        match &*kind {
            "Deployment" => replicas(&document, &mut pods),
            "Pod" => pods.push(pod(document, None, pods.len())),
            "Namespace" => objects.push(document),
            _ => {
                if kind == "Service" && document["spec"]["type"] == "LoadBalancer" {
                    let ip = format!("203.0.113.{}", later.len());
                    document["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": ip }] } });
                }
                if kind == "Service" && dual && document["spec"]["type"] != "ExternalName" {
                    document["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
                }
                later.push(Edit::Apply { manifest: document });
            }
        }
    }
    objects.extend(pods);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let loaded = load(&list.to_string()).unwrap();
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    let state = apply(&loaded.state, &later, Timestamp::UNIX_EPOCH).unwrap().state;
    let nets = ["10.244.0.0/16", "fd00:10:244::/56"].map(|net| net.parse().unwrap());
    with_settings(&state, |settings| settings.detect_local = LocalDetector::ClusterCidr(nets.to_vec()))
}
