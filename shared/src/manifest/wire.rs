//! Slim serde types: just the fields of Kubernetes' objects that the model uses, as they are on the wire. Every field
//! is optional, since old servers, hand-written files and `null` leave out anything.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::Text;

type Map = BTreeMap<Text, Option<Text>>;

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ObjectMeta {
    pub(super) name: Option<Text>,
    pub(super) namespace: Option<Text>,
    pub(super) uid: Option<Text>,
    pub(super) creation_timestamp: Option<Text>,
    pub(super) deletion_timestamp: Option<Text>,
    pub(super) labels: Option<Map>,
    pub(super) annotations: Option<Map>,
    pub(super) owner_references: Option<Vec<OwnerReference>>,
    pub(super) finalizers: Option<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OwnerReference {
    pub(super) kind: Text,
    pub(super) name: Text,
    pub(super) controller: Option<bool>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Named {
    pub(super) metadata: ObjectMeta,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<ServiceSpec>,
    pub(super) status: Option<ServiceStatus>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) service_type: Option<Text>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<Text>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<Text>>,
    pub(super) ports: Option<Vec<ServicePort>>,
    pub(super) selector: Option<Map>,
    pub(super) external_name: Option<Text>,
    #[serde(rename = "externalIPs")]
    pub(super) external_ips: Option<Vec<Text>>,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: Option<Text>,
    pub(super) load_balancer_class: Option<Text>,
    pub(super) load_balancer_source_ranges: Option<Vec<Text>>,
    pub(super) allocate_load_balancer_node_ports: Option<bool>,
    pub(super) session_affinity: Option<Text>,
    pub(super) session_affinity_config: Option<SessionAffinityConfig>,
    pub(super) external_traffic_policy: Option<Text>,
    pub(super) internal_traffic_policy: Option<Text>,
    pub(super) health_check_node_port: Option<u16>,
    pub(super) publish_not_ready_addresses: Option<bool>,
    pub(super) traffic_distribution: Option<Text>,
    pub(super) ip_families: Option<Vec<Text>>,
    pub(super) ip_family_policy: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) port: u16,
    pub(super) target_port: Option<IntOrString>,
    pub(super) node_port: Option<u16>,
    pub(super) app_protocol: Option<Text>,
}

/// A bare number or a string.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum IntOrString {
    Int(u16),
    String(Text),
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub(super) client_ip: Option<ClientIp>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientIp {
    pub(super) timeout_seconds: Option<u32>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: Option<LoadBalancer>,
    pub(super) conditions: Option<Vec<Condition>>,
}

/// What is read of the manifest that `kubectl apply` notes in an annotation.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct LastApplied {
    pub(super) spec: Option<LastAppliedSpec>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct LastAppliedSpec {
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<Text>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<Text>>,
    pub(super) ports: Option<Vec<LastAppliedPort>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LastAppliedPort {
    pub(super) node_port: Option<u16>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct LoadBalancer {
    pub(super) ingress: Option<Vec<Ingress>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Ingress {
    pub(super) ip: Option<Text>,
    pub(super) hostname: Option<Text>,
    pub(super) ip_mode: Option<Text>,
    pub(super) ports: Option<Vec<IngressPort>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct IngressPort {
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Text>,
    pub(super) error: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointSlice {
    pub(super) metadata: ObjectMeta,
    pub(super) address_type: Option<Text>,
    pub(super) ports: Option<Vec<EndpointPort>>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointPort {
    pub(super) name: Option<Text>,
    pub(super) protocol: Option<Text>,
    pub(super) port: Option<u16>,
    pub(super) app_protocol: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Vec<Text>>,
    pub(super) conditions: Option<crate::model::Conditions>,
    pub(super) node_name: Option<Text>,
    pub(super) zone: Option<Text>,
    pub(super) hostname: Option<Text>,
    pub(super) target_ref: Option<ObjectReference>,
    pub(super) hints: Option<Hints>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct ObjectReference {
    pub(super) kind: Option<Text>,
    pub(super) namespace: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) uid: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hints {
    pub(super) for_zones: Option<Vec<HintName>>,
    pub(super) for_nodes: Option<Vec<HintName>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HintName {
    pub(super) name: Text,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Endpoints {
    pub(super) metadata: ObjectMeta,
    pub(super) subsets: Option<Vec<Subset>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subset {
    pub(super) addresses: Option<Vec<SubsetAddress>>,
    pub(super) not_ready_addresses: Option<Vec<SubsetAddress>>,
    pub(super) ports: Option<Vec<EndpointPort>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubsetAddress {
    pub(super) ip: Text,
    pub(super) hostname: Option<Text>,
    pub(super) node_name: Option<Text>,
    pub(super) target_ref: Option<ObjectReference>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<PodSpec>,
    pub(super) status: Option<PodStatus>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: Option<Text>,
    pub(super) host_network: Option<bool>,
    pub(super) hostname: Option<Text>,
    pub(super) subdomain: Option<Text>,
    pub(super) enable_service_links: Option<bool>,
    pub(super) containers: Option<Vec<Container>>,
    pub(super) init_containers: Option<Vec<Container>>,
    pub(super) dns_policy: Option<Text>,
    pub(super) dns_config: Option<DnsConfig>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct DnsConfig {
    pub(super) nameservers: Option<Vec<Text>>,
    pub(super) searches: Option<Vec<Text>>,
    pub(super) options: Option<Vec<DnsOption>>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct DnsOption {
    pub(super) name: Option<Text>,
    pub(super) value: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: Option<Text>,
    pub(super) restart_policy: Option<Text>,
    pub(super) ports: Option<Vec<ContainerPort>>,
    pub(super) readiness_probe: Option<Probe>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probe {
    pub(super) http_get: Option<ProbePort>,
    pub(super) tcp_socket: Option<ProbePort>,
    pub(super) grpc: Option<ProbePort>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct ProbePort {
    pub(super) port: Option<IntOrString>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: Option<Text>,
    pub(super) container_port: u16,
    pub(super) protocol: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: Option<Text>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<Text>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIp>>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: Text,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) condition_type: Option<Text>,
    pub(super) status: Option<Text>,
    pub(super) reason: Option<Text>,
    pub(super) message: Option<Text>,
    pub(super) last_transition_time: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: Option<Text>,
    pub(super) state: Option<ContainerState>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) running: Option<Running>,
    pub(super) waiting: Option<Waiting>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Running {
    pub(super) started_at: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: ObjectMeta,
    pub(super) spec: Option<NodeSpec>,
    pub(super) status: Option<NodeStatus>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub(super) pod_cidr: Option<Text>,
    #[serde(rename = "podCIDRs")]
    pub(super) pod_cidrs: Option<Vec<Text>>,
    pub(super) unschedulable: Option<bool>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeStatus {
    pub(super) addresses: Option<Vec<NodeAddress>>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) allocatable: Option<BTreeMap<Text, IntOrText>>,
    pub(super) node_info: Option<NodeInfo>,
}

/// A quantity, which hand-written files give as a bare number as well.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum IntOrText {
    Int(u64),
    Text(Text),
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) address_type: Text,
    pub(super) address: Text,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeInfo {
    pub(super) kubelet_version: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct ConfigMap {
    pub(super) metadata: ObjectMeta,
    pub(super) data: Option<Map>,
}

/// `kubeproxy.config.k8s.io/v1alpha1` KubeProxyConfiguration.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KubeProxyConfiguration {
    pub(super) kind: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) bind_address: Option<Text>,
    #[serde(rename = "clusterCIDR")]
    pub(super) cluster_cidr: Option<Text>,
    pub(super) node_port_addresses: Option<Vec<Text>>,
    pub(super) detect_local_mode: Option<Text>,
    pub(super) detect_local: Option<DetectLocal>,
    pub(super) iptables: Option<ModeSettings>,
    pub(super) nftables: Option<ModeSettings>,
    pub(super) ipvs: Option<Ipvs>,
    pub(super) conntrack: Option<Conntrack>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DetectLocal {
    pub(super) bridge_interface: Option<Text>,
    pub(super) interface_name_prefix: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ModeSettings {
    pub(super) masquerade_all: Option<bool>,
    pub(super) masquerade_bit: Option<u8>,
    pub(super) localhost_node_ports: Option<bool>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub(super) struct Ipvs {
    pub(super) scheduler: Option<Text>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Conntrack {
    pub(super) tcp_be_liberal: Option<bool>,
}
