//! The content of a new sandbox: four nodes, namespaces, kube-proxy's settings, and the demo shop of `examples/demo`.

use std::net::Ipv6Addr;

use serde_json::{Value, json};
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::manifest;
use vipscope_shared::model::{IpFamily, Key};

use super::Options;
use super::object;
use super::objects::{self, DeleteOptions, Part};
use super::resources::Type;
use super::store::Transaction;

/// Name, zone and number of each node; the number is in its addresses.
const NODES: [(&str, &str, u8); 4] =
    [("node-a", "eu-1a", 0), ("node-b", "eu-1b", 1), ("node-c", "eu-1c", 2), ("node-d", "eu-1a", 3)];
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const MANIFESTS: [&str; 4] = [
    include_str!("../../../examples/demo/system.yaml"),
    include_str!("../../../examples/demo/shop.yaml"),
    include_str!("../../../examples/demo/edge.yaml"),
    include_str!("../../../examples/demo/data.yaml"),
];
/// Pods that are deleted at once, and drain for as long as their annotation says.
const DRAINING: [(&str, &str); 1] = [("shop", "catalog-draining")];

/// Creates everything.
pub fn fill(tx: &mut Transaction<'_>, options: &Options) {
    for name in SYSTEM_NAMESPACES {
        add(tx, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    }
    NODES.iter().for_each(|(name, zone, number)| add_node(tx, name, zone, *number, options.families));
    add(tx, proxy_config(options));
    add_api_server(tx);
    if options.empty {
        return;
    }
    for text in MANIFESTS {
        for document in manifest::parse_documents(text).unwrap_or_default() {
            add(tx, document);
        }
    }
    for (namespace, name) in DRAINING {
        let key = Key::new(namespace, name);
        start_draining(tx, &key);
    }
}

/// Removes everything, at once.
pub fn clear(tx: &mut Transaction<'_>) {
    for resource in Type::all() {
        for key in tx.keys(resource, "") {
            tx.remove(resource, &key);
        }
    }
}

fn add(tx: &mut Transaction<'_>, document: Value) {
    let kind = Type::of_kind(object::text(&document, "/apiVersion"), object::text(&document, "/kind"));
    let Some(resource) = kind else {
        tracing::error!(kind = %document["kind"], "the demo holds a kind that is not served");
        return;
    };
    let (namespace, name) = (object::namespace(&document).to_owned(), object::name(&document).to_owned());
    let status = document.get("status").cloned();
    let created = objects::create(tx, resource, &namespace, document);
    if let Err(refused) = created {
        tracing::error!(
            kind = resource.info().kind,
            namespace,
            name,
            reason = refused.message,
            "the demo is broken"
        );
        return;
    }
    if let Some(status) = status {
        let key = Key::new(namespace, name);
        let _ = objects::modify(tx, resource, &key, Part::Status, |object| object["status"] = status);
    }
}

/// A node's pod CIDR and its own address.
fn node_network(family: IpFamily, number: u8) -> (String, String) {
    match family {
        IpFamily::IPv4 => (format!("10.244.{number}.0/24"), format!("192.168.0.1{number}")),
        IpFamily::IPv6 => {
            let pods = Ipv6Addr::new(0xfd00, 0x10, 0x244, number.into(), 0, 0, 0, 0);
            (format!("{pods}/64"), format!("fd00:192:168::1{number}"))
        }
    }
}

/// The range of all pod CIDRs.
fn pods_cidr(family: IpFamily) -> &'static str {
    match family {
        IpFamily::IPv4 => "10.244.0.0/16",
        IpFamily::IPv6 => "fd00:10:244::/56",
    }
}

fn add_node(tx: &mut Transaction<'_>, name: &str, zone: &str, number: u8, families: Families) {
    let networks = families.all().iter().map(|family| node_network(*family, number));
    let (cidrs, ips): (Vec<String>, Vec<String>) = networks.unzip();
    let mut addresses: Vec<Value> =
        ips.iter().map(|ip| json!({ "type": "InternalIP", "address": ip })).collect();
    addresses.push(json!({ "type": "Hostname", "address": name }));
    let stamp = tx.clock.stamp();
    let resources = json!({ "cpu": "8", "memory": "32Gi", "pods": "110" });
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
        "lastHeartbeatTime": stamp, "lastTransitionTime": stamp,
    });
    add(
        tx,
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": name, "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "eu-1", "topology.kubernetes.io/zone": zone,
            } },
            "spec": { "podCIDR": cidrs[0], "podCIDRs": cidrs, "providerID": format!("sandbox://{zone}/{name}") },
            "status": {
                "addresses": addresses,
                "capacity": resources, "allocatable": resources, "conditions": [ready],
                "nodeInfo": {
                    "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "sandbox://1", "kernelVersion": "6.12.0",
                    "kubeProxyVersion": "v1.36.0", "kubeletVersion": "v1.36.0", "machineID": "", "operatingSystem": "linux",
                    "osImage": "vipscope sandbox", "systemUUID": "",
                },
            },
        }),
    );
}

fn proxy_config(options: &Options) -> Value {
    let cidrs: Vec<&str> = options.families.all().iter().map(|family| pods_cidr(*family)).collect();
    let (mode, cidrs) = (options.proxy_mode, cidrs.join(","));
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: {mode}\nclusterCIDR: {cidrs}\n"
    );
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "kube-proxy", "namespace": "kube-system", "labels": { "app": "kube-proxy" } },
        "data": { "config.conf": config },
    })
}

/// `default/kubernetes`, whose endpoints the API server itself keeps.
fn add_api_server(tx: &mut Transaction<'_>) {
    let meta = |labels: Value| json!({ "name": "kubernetes", "namespace": "default", "labels": labels });
    add(
        tx,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": meta(json!({ "component": "apiserver", "provider": "kubernetes" })),
            "spec": { "clusterIP": "10.96.0.1", "ports": [{ "name": "https", "port": 443, "targetPort": 6443 }] },
        }),
    );
    add(
        tx,
        json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": meta(json!({ "endpointslice.kubernetes.io/skip-mirror": "true" })),
            "subsets": [{ "addresses": [{ "ip": "192.168.0.2" }], "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }] }],
        }),
    );
    add(
        tx,
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": meta(json!({ "kubernetes.io/service-name": "kubernetes" })),
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["192.168.0.2"], "conditions": { "ready": true } }],
            "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }],
        }),
    );
}

/// Lets a pod that is already running terminate: it has an address and is ready, and goes when its drain is over.
fn start_draining(tx: &mut Transaction<'_>, key: &Key) {
    let deleted = objects::delete(tx, Type::Pods, key, &DeleteOptions::default());
    if let Err(refused) = deleted {
        tracing::error!(pod = %key, reason = refused.message, "the demo is broken");
    }
}
