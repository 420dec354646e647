//! Whole objects back to Kubernetes JSON, as far as the model holds them: what an edit merges into and what an export shows.
//!
//! Law: `decode(encode(object)) == object`, but for [`Service::balancer_errors`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::encode::{encode_endpoints, encode_slice, or_null, set, set_list, text};
use crate::delta::Object;
use crate::model::*;

/// Annotation in which `kubectl apply` keeps the manifest as it was given.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object as an API server would answer it. kube-proxy's settings become the ConfigMap `kube-system/kube-proxy`.
pub fn encode(object: &Object) -> Value {
    match object {
        Object::Namespace(object) => {
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata(&object.meta) })
        }
        Object::Node(node) => encode_node(node),
        Object::Pod(pod) => encode_pod(pod),
        Object::Service(service) => encode_service(service),
        Object::EndpointSlice(slice) => {
            let mut value = encode_slice(slice);
            value["metadata"] = metadata(&slice.meta);
            value
        }
        Object::Endpoints(endpoints) => {
            let mut value = encode_endpoints(endpoints);
            value["metadata"] = metadata(&endpoints.meta);
            value
        }
        Object::ProxyConfig(config) => encode_proxy_config(config),
    }
}

fn metadata(meta: &Meta) -> Value {
    let mut value = super::encode::metadata(meta);
    if let Some(out) = value.as_object_mut() {
        set(out, "uid", Some(text(&meta.uid)).filter(|uid| !uid.is_empty()));
        set(out, "creationTimestamp", meta.created.map(|time| time.to_string()));
        set(out, "deletionTimestamp", meta.deleted.map(|time| time.to_string()));
        let owner = |owner: &Owner| json!({ "kind": text(&owner.kind), "name": text(&owner.name), "controller": true });
        set_list(out, "ownerReferences", meta.owner.iter().map(owner).collect());
    }
    value
}

fn encode_service(service: &Service) -> Value {
    let mut meta = metadata(&service.meta);
    if let Some(declared) = &service.declared {
        meta["annotations"][LAST_APPLIED] = last_applied(declared).to_string().into();
    }
    if !service.finalizers.is_empty() {
        meta["finalizers"] = service.finalizers.iter().map(text).collect();
    }
    let mut spec = Map::new();
    spec.insert("type".to_owned(), service.service_type.as_str().into());
    set_cluster_ip(&mut spec, &service.cluster_ip);
    set_list(&mut spec, "ports", service.ports.iter().map(service_port).collect());
    set(&mut spec, "selector", service.selector.as_ref().map(pairs));
    set(&mut spec, "externalName", service.external_name.as_ref().map(text));
    set_list(&mut spec, "externalIPs", strings(&service.external_ips));
    set(&mut spec, "loadBalancerIP", service.load_balancer_ip.as_ref().map(text));
    set(&mut spec, "loadBalancerClass", service.load_balancer_class.as_ref().map(text));
    set_list(&mut spec, "loadBalancerSourceRanges", strings(&service.source_ranges));
    set(&mut spec, "allocateLoadBalancerNodePorts", service.allocate_node_ports);
    if let Some(seconds) = service.affinity_seconds {
        spec.insert("sessionAffinity".to_owned(), "ClientIP".into());
        let config = json!({ "clientIP": { "timeoutSeconds": seconds } });
        spec.insert("sessionAffinityConfig".to_owned(), config);
    }
    set_policy(&mut spec, "externalTrafficPolicy", service.external_policy);
    set_policy(&mut spec, "internalTrafficPolicy", service.internal_policy);
    set(&mut spec, "healthCheckNodePort", service.health_check_node_port.map(u16::from));
    set(&mut spec, "publishNotReadyAddresses", service.publish_not_ready.then_some(true));
    set(&mut spec, "trafficDistribution", service.traffic_distribution.map(TrafficDistribution::as_str));
    set_list(
        &mut spec,
        "ipFamilies",
        service.ip_families.iter().map(|family| family.as_str().into()).collect(),
    );
    set(&mut spec, "ipFamilyPolicy", service.ip_family_policy.as_ref().map(text));
    let mut value = json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec });
    if !service.ingress.is_empty() {
        let ingress: Vec<Value> = service.ingress.iter().map(ingress).collect();
        value["status"] = json!({ "loadBalancer": { "ingress": ingress } });
    }
    value
}

fn last_applied(declared: &Declared) -> Value {
    let ports: Vec<Value> =
        declared.node_ports.iter().map(|port| json!({ "nodePort": port.get() })).collect();
    let mut spec = Map::new();
    set(&mut spec, "clusterIP", declared.cluster_ip.map(|ip| ip.to_string()));
    set_list(&mut spec, "ports", ports);
    json!({ "spec": spec })
}

fn set_cluster_ip(spec: &mut Map<String, Value>, cluster_ip: &ClusterIp) {
    let ips = match cluster_ip {
        ClusterIp::Unset => return,
        ClusterIp::Headless => vec![Value::from("None")],
        ClusterIp::Ips(ips) => strings(ips),
    };
    set(spec, "clusterIP", ips.first().cloned());
    set_list(spec, "clusterIPs", ips);
}

fn set_policy(spec: &mut Map<String, Value>, field: &str, policy: TrafficPolicy) {
    set(spec, field, (!policy.is_cluster()).then_some(policy.as_str()));
}

fn strings<T: ToString>(list: &[T]) -> Vec<Value> {
    list.iter().map(|each| each.to_string().into()).collect()
}

fn pairs(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(key, value)| (text(key), text(value).into())).collect()
}

fn target_port(port: &TargetPort) -> Value {
    match port {
        TargetPort::Number(number) => number.get().into(),
        TargetPort::Name(name) => text(name).into(),
    }
}

fn service_port(port: &ServicePort) -> Value {
    let mut out = Map::new();
    set(&mut out, "name", Some(text(&port.name)).filter(|name| !name.is_empty()));
    out.insert("protocol".to_owned(), port.protocol.as_str().into());
    out.insert("port".to_owned(), port.port.get().into());
    out.insert("targetPort".to_owned(), target_port(&port.target_port));
    set(&mut out, "nodePort", port.node_port.map(u16::from));
    set(&mut out, "appProtocol", port.app_protocol.as_ref().map(text));
    Value::Object(out)
}

fn ingress(entry: &Ingress) -> Value {
    let mut out = Map::new();
    set(&mut out, "ip", entry.ip.map(|ip| ip.to_string()));
    set(&mut out, "hostname", entry.hostname.as_ref().map(text));
    // Only an address has a mode; VIP is the default.
    set(&mut out, "ipMode", (entry.ip_mode == IpMode::Proxy).then_some("Proxy"));
    Value::Object(out)
}

fn encode_pod(pod: &Pod) -> Value {
    let mut spec = Map::new();
    set(&mut spec, "nodeName", pod.node.as_ref().map(text));
    let of_kind = |sidecar: bool| {
        pod.containers.iter().filter(move |container| container.sidecar == sidecar).map(container).collect()
    };
    spec.insert("containers".to_owned(), Value::Array(of_kind(false)));
    set_list(&mut spec, "initContainers", of_kind(true));
    set(&mut spec, "hostNetwork", pod.host_network.then_some(true));
    set(&mut spec, "hostname", pod.hostname.as_ref().map(text));
    set(&mut spec, "subdomain", pod.subdomain.as_ref().map(text));
    set(&mut spec, "enableServiceLinks", pod.no_service_links.then_some(false));
    if let Some(dns) = &pod.dns {
        spec.insert("dnsPolicy".to_owned(), dns.policy.as_str().into());
        let mut config = Map::new();
        set_list(&mut config, "nameservers", strings(&dns.nameservers));
        set_list(&mut config, "searches", strings(&dns.searches));
        let option = |ndots: u8| json!({ "name": "ndots", "value": ndots.to_string() });
        set_list(&mut config, "options", dns.ndots.map(option).into_iter().collect());
        set(&mut spec, "dnsConfig", (!config.is_empty()).then_some(config));
    }
    let mut status = Map::new();
    status.insert("phase".to_owned(), pod.phase.as_str().into());
    set(&mut status, "podIP", pod.ips.first().map(ToString::to_string));
    set_list(&mut status, "podIPs", pod.ips.iter().map(|ip| json!({ "ip": ip.to_string() })).collect());
    let mut ready = json!({ "type": "Ready", "status": if pod.ready { "True" } else { "False" } });
    if let Some(since) = pod.ready_since {
        ready["lastTransitionTime"] = since.to_string().into();
    }
    if let Some(reason) = &pod.unready_reason {
        ready["message"] = text(reason).into();
    }
    status.insert("conditions".to_owned(), json!([ready]));
    let of_kind = |sidecar: bool| pod.containers.iter().filter(move |container| container.sidecar == sidecar);
    set_list(&mut status, "containerStatuses", of_kind(false).filter_map(container_status).collect());
    set_list(&mut status, "initContainerStatuses", of_kind(true).filter_map(container_status).collect());
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata(&pod.meta), "spec": spec, "status": status })
}

fn container(container: &Container) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), text(&container.name).into());
    let port = |port: &ContainerPort| {
        let mut out = Map::new();
        set(&mut out, "name", Some(text(&port.name)).filter(|name| !name.is_empty()));
        out.insert("containerPort".to_owned(), port.port.get().into());
        out.insert("protocol".to_owned(), port.protocol.as_str().into());
        Value::Object(out)
    };
    set_list(&mut out, "ports", container.ports.iter().map(port).collect());
    set(&mut out, "restartPolicy", container.sidecar.then_some("Always"));
    let probe = container.readiness.as_ref().map(|probe| match probe {
        ReadinessProbe::Command => json!({ "exec": {} }),
        ReadinessProbe::Port(port) => json!({ "tcpSocket": { "port": target_port(port) } }),
    });
    set(&mut out, "readinessProbe", probe);
    Value::Object(out)
}

fn container_status(container: &Container) -> Option<Value> {
    let mut state = Map::new();
    set(&mut state, "running", container.started.map(|time| json!({ "startedAt": time.to_string() })));
    set(&mut state, "waiting", container.waiting.as_ref().map(|reason| json!({ "reason": text(reason) })));
    (!state.is_empty()).then(|| json!({ "name": text(&container.name), "state": state }))
}

fn encode_node(node: &Node) -> Value {
    let mut spec = Map::new();
    set(&mut spec, "podCIDR", node.pod_cidrs.first().map(ToString::to_string));
    set_list(&mut spec, "podCIDRs", strings(&node.pod_cidrs));
    set(&mut spec, "unschedulable", node.unschedulable.then_some(true));
    let address = |address: &NodeAddress| {
        let address_type = match address.address_type {
            NodeAddressType::InternalIP => "InternalIP",
            NodeAddressType::ExternalIP => "ExternalIP",
        };
        json!({ "type": address_type, "address": address.ip.to_string() })
    };
    let mut status = Map::new();
    set_list(&mut status, "addresses", node.addresses.iter().map(address).collect());
    let ready = if node.ready { "True" } else { "False" };
    status.insert("conditions".to_owned(), json!([{ "type": "Ready", "status": ready }]));
    set(&mut status, "allocatable", node.allocatable_millicpu.map(|cpu| json!({ "cpu": format!("{cpu}m") })));
    set(
        &mut status,
        "nodeInfo",
        node.version.as_ref().map(|version| json!({ "kubeletVersion": text(version) })),
    );
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata(&node.meta), "spec": spec, "status": status })
}

/// Each file of the ConfigMap is JSON, which is YAML as well.
fn encode_proxy_config(config: &ProxyConfig) -> Value {
    let one = |settings: &ProxySettings| encode_proxy_settings(settings).to_string();
    let mut data: BTreeMap<String, String> =
        config.nodes.iter().map(|(node, settings)| (format!("{node}.config.conf"), one(settings))).collect();
    data.insert("config.conf".to_owned(), one(&config.settings));
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&config.meta), "data": data })
}

/// A `kubeproxy.config.k8s.io/v1alpha1` KubeProxyConfiguration with the settings that change rules.
pub fn encode_proxy_settings(settings: &ProxySettings) -> Value {
    let masquerade = |mode: &Masquerade| json!({ "masqueradeAll": mode.all, "masqueradeBit": mode.bit });
    let mut value = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": settings.mode.as_str(),
        "iptables": masquerade(&settings.iptables),
        "nftables": masquerade(&settings.nftables),
        "ipvs": { "scheduler": text(&settings.ipvs_scheduler) },
        "conntrack": { "tcpBeLiberal": settings.tcp_be_liberal },
    });
    value["iptables"]["localhostNodePorts"] = settings.localhost_node_ports.into();
    value["nodePortAddresses"] = match &settings.node_port_addresses {
        NodePortAddresses::Unset => or_null(Vec::new()),
        NodePortAddresses::Primary => json!(["primary"]),
        NodePortAddresses::Cidrs(cidrs) => strings(cidrs).into(),
    };
    let (mode, field, detail) = match &settings.detect_local {
        LocalDetector::ClusterCidr(cidrs) => {
            let texts: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
            value["clusterCIDR"] = texts.join(",").into();
            ("ClusterCIDR", "", "")
        }
        LocalDetector::NodeCidr => ("NodeCIDR", "", ""),
        LocalDetector::BridgeInterface(name) => ("BridgeInterface", "bridgeInterface", &**name),
        LocalDetector::InterfaceNamePrefix(name) => ("InterfaceNamePrefix", "interfaceNamePrefix", &**name),
    };
    value["detectLocalMode"] = mode.into();
    if !field.is_empty() {
        value["detectLocal"] = json!({ field: detail });
    }
    if let Some(ip) = settings.bind_address {
        value["bindAddress"] = ip.to_string().into();
    }
    value
}
