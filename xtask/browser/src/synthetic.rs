//! A large cluster as Kubernetes would print it, for the frame benchmark: regular, without randomness.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// How large.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub services: u32,
    pub endpoints_each: u32,
    pub nodes: u32,
    pub namespaces: u32,
}

/// What the budget of the traffic map is measured with: 500 Services, 5,000 endpoints.
pub const MAP: Size = Size { services: 500, endpoints_each: 10, nodes: 50, namespaces: 20 };

/// A `List` of everything.
pub fn cluster(size: Size) -> Value {
    let mut items: Vec<Value> = (0..size.namespaces).map(namespace).collect();
    items.extend((0..size.nodes).map(node));
    for service in 0..size.services {
        items.push(self::service(size, service));
        items.push(slice(size, service));
        items.extend((0..size.endpoints_each).map(|endpoint| pod(size, service, endpoint)));
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn namespace(number: u32) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata("", &space(number)) })
}

fn node(number: u32) -> Value {
    let mut metadata = metadata("", &format!("node-{number}"));
    metadata["labels"] = json!({ "topology.kubernetes.io/zone": zone(number) });
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata,
        "spec": { "podCIDRs": [format!("{}/20", address(10, number * 4096))] },
        "status": { "addresses": [{ "type": "InternalIP", "address": address(172, number + 1) }],
            "conditions": [{ "type": "Ready", "status": "True" }] } })
}

fn service(size: Size, number: u32) -> Value {
    let namespace = space(number % size.namespaces);
    let ip = address(11, number + 1);
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata(&namespace, &format!("service-{number}")),
        "spec": { "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "selector": { "app": format!("service-{number}") },
            "ports": [{ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 }] } })
}

fn slice(size: Size, number: u32) -> Value {
    let namespace = space(number % size.namespaces);
    let mut metadata = metadata(&namespace, &format!("service-{number}-0"));
    metadata["labels"] = json!({ "kubernetes.io/service-name": format!("service-{number}") });
    let endpoints: Vec<Value> = (0..size.endpoints_each).map(|each| endpoint(size, number, each)).collect();
    json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }] })
}

fn endpoint(size: Size, service: u32, number: u32) -> Value {
    let (host, ip) = place(size, service, number);
    let target = json!({ "kind": "Pod", "namespace": space(service % size.namespaces), "name": pod_name(service, number) });
    json!({ "addresses": [ip], "conditions": { "ready": number != 0, "serving": number != 0, "terminating": false },
        "nodeName": format!("node-{host}"), "zone": zone(host), "targetRef": target })
}

fn pod(size: Size, service: u32, number: u32) -> Value {
    let (host, ip) = place(size, service, number);
    let mut metadata = metadata(&space(service % size.namespaces), &pod_name(service, number));
    metadata["labels"] = json!({ "app": format!("service-{service}") });
    let ready = if number == 0 { "False" } else { "True" };
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "nodeName": format!("node-{host}"), "containers": [{ "name": "app", "image": "app" }] },
        "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": ready }] } })
}

/// The node and the address of a pod: spread over all nodes.
fn place(size: Size, service: u32, number: u32) -> (u32, String) {
    let index = service * size.endpoints_each + number;
    let host = index % size.nodes;
    (host, address(10, host * 4096 + index / size.nodes + 2))
}

fn address(network: u8, offset: u32) -> String {
    Ipv4Addr::from((u32::from(network) << 24) + offset).to_string()
}

fn space(number: u32) -> String {
    format!("team-{number}")
}

fn zone(node: u32) -> String {
    format!("zone-{}", node % 3)
}

fn pod_name(service: u32, number: u32) -> String {
    format!("service-{service}-{number}")
}

fn metadata(namespace: &str, name: &str) -> Value {
    let uid = format!("{namespace}-{name}");
    match namespace {
        "" => json!({ "name": name, "uid": uid, "resourceVersion": "1" }),
        _ => json!({ "namespace": namespace, "name": name, "uid": uid, "resourceVersion": "1" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_pod_has_an_address_of_its_own() {
        let cluster = cluster(MAP);
        let items = cluster["items"].as_array().unwrap();
        let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
        assert_eq!((of("Service").len(), of("Pod").len(), of("Node").len()), (500, 5_000, 50));
        let addresses: BTreeSet<&str> =
            of("Pod").iter().filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
        assert_eq!(addresses.len(), 5_000);
    }
}
