//! Services. Semantics and defaults: Kubernetes 1.36 `core/v1` ServiceSpec.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::meta::is_false;
use super::{Cause, Key, Keyed, Kind, Labels, Meta, Text};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Protocol {
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

impl Protocol {
    /// Upper case, as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        }
    }

    /// Lower case, as rules write it.
    pub fn lower(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ();

    /// Accepts the API's upper case and the rules' lower case.
    fn from_str(text: &str) -> Result<Protocol, ()> {
        match text {
            "TCP" | "tcp" => Ok(Protocol::Tcp),
            "UDP" | "udp" => Ok(Protocol::Udp),
            "SCTP" | "sctp" => Ok(Protocol::Sctp),
            _ => Err(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IpFamily {
    IPv4,
    IPv6,
}

impl IpFamily {
    pub const BOTH: [IpFamily; 2] = [IpFamily::IPv4, IpFamily::IPv6];

    pub fn of(ip: IpAddr) -> IpFamily {
        if ip.is_ipv4() { IpFamily::IPv4 } else { IpFamily::IPv6 }
    }

    /// The address after this one; `None` after the last of its family.
    pub fn next_address(ip: IpAddr) -> Option<IpAddr> {
        match ip {
            IpAddr::V4(ip) => ip.to_bits().checked_add(1).map(|next| Ipv4Addr::from_bits(next).into()),
            IpAddr::V6(ip) => ip.to_bits().checked_add(1).map(|next| Ipv6Addr::from_bits(next).into()),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            IpFamily::IPv4 => "IPv4",
            IpFamily::IPv6 => "IPv6",
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalName,
}

impl ServiceType {
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
            ServiceType::ExternalName => "ExternalName",
        }
    }
}

impl fmt::Display for ServiceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `spec.clusterIP` and `spec.clusterIPs`, which say one thing together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterIp {
    /// Not (yet) allocated, or an ExternalName Service.
    Unset,
    /// `None`: headless, clients resolve endpoints by DNS.
    Headless,
    /// One address per family, the primary first. Never empty.
    Ips(Vec<IpAddr>),
}

impl ClusterIp {
    pub fn ips(&self) -> &[IpAddr] {
        match self {
            ClusterIp::Ips(ips) => ips,
            _ => &[],
        }
    }
}

/// `internalTrafficPolicy` or `externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TrafficPolicy {
    #[default]
    Cluster,
    Local,
}

impl TrafficPolicy {
    pub fn is_cluster(&self) -> bool {
        *self == TrafficPolicy::Cluster
    }

    pub fn as_str(self) -> &'static str {
        match self {
            TrafficPolicy::Cluster => "Cluster",
            TrafficPolicy::Local => "Local",
        }
    }
}

/// `ports[].targetPort`: where on the pod the traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub enum TargetPort {
    Number(NonZeroU16),
    /// The name of a container port; its number may differ from pod to pod.
    Name(Text),
}

/// A name holds at least one letter, so text is enough to tell the two apart.
impl From<Text> for TargetPort {
    fn from(text: Text) -> TargetPort {
        text.parse().map_or(TargetPort::Name(text), TargetPort::Number)
    }
}

impl From<TargetPort> for Text {
    fn from(port: TargetPort) -> Text {
        port.to_string().into()
    }
}

impl fmt::Display for TargetPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetPort::Number(number) => number.fmt(f),
            TargetPort::Name(name) => f.write_str(name),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Empty only if it is the Service's one port.
    #[serde(default, skip_serializing_if = "super::meta::str_is_empty")]
    pub name: Text,
    pub protocol: Protocol,
    pub port: NonZeroU16,
    pub target_port: TargetPort,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<Text>,
}

/// `ingress[].ipMode`: whether kube-proxy short-circuits the address (VIP) or leaves it to the balancer (Proxy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IpMode {
    #[default]
    #[serde(rename = "VIP")]
    Vip,
    Proxy,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Text>,
    #[serde(default)]
    pub ip_mode: IpMode,
}

/// `spec.trafficDistribution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficDistribution {
    PreferClose,
    PreferSameZone,
    PreferSameNode,
}

impl TrafficDistribution {
    pub fn as_str(self) -> &'static str {
        match self {
            TrafficDistribution::PreferClose => "PreferClose",
            TrafficDistribution::PreferSameZone => "PreferSameZone",
            TrafficDistribution::PreferSameNode => "PreferSameNode",
        }
    }
}

/// What the Service's author wrote by hand, as far as `kubectl apply` has noted it in the annotation
/// `kubectl.kubernetes.io/last-applied-configuration`. Allocated numbers that nobody asked for are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// `spec.clusterIP`, or the first of `spec.clusterIPs`, if it is an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<IpAddr>,
    /// The `nodePort`s of `spec.ports`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_ports: Vec<NonZeroU16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub meta: Meta,
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    pub cluster_ip: ClusterIp,
    pub ports: Vec<ServicePort>,
    /// `None` if absent or empty: then no controller makes endpoints for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Labels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_name: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Ingress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_ip: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<Text>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_ranges: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocate_node_ports: Option<bool>,
    /// Session affinity `ClientIP` with its timeout in seconds (1 to 86400, default 10800); `None` = no affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "TrafficPolicy::is_cluster")]
    pub external_policy: TrafficPolicy,
    #[serde(default, skip_serializing_if = "TrafficPolicy::is_cluster")]
    pub internal_policy: TrafficPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub publish_not_ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<TrafficDistribution>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<IpFamily>,
    /// `spec.ipFamilyPolicy`, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<Text>,
    /// Absent if nothing was chosen by hand, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Box<Declared>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<Text>,
    /// What the balancer's controller says against the ports: the condition `LoadBalancerPortsError` while it is `True`, and
    /// `ingress[].ports[].error`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balancer_errors: Vec<Cause>,
}

impl Service {
    /// A ClusterIP Service with nothing set, to be filled in.
    pub fn named(key: Key) -> Service {
        Service {
            meta: Meta::named(key),
            service_type: ServiceType::ClusterIP,
            cluster_ip: ClusterIp::Unset,
            ports: Vec::new(),
            selector: None,
            external_name: None,
            external_ips: Vec::new(),
            ingress: Vec::new(),
            load_balancer_ip: None,
            load_balancer_class: None,
            source_ranges: Vec::new(),
            allocate_node_ports: None,
            affinity_seconds: None,
            external_policy: TrafficPolicy::Cluster,
            internal_policy: TrafficPolicy::Cluster,
            health_check_node_port: None,
            publish_not_ready: false,
            traffic_distribution: None,
            ip_families: Vec::new(),
            ip_family_policy: None,
            declared: None,
            finalizers: Vec::new(),
            balancer_errors: Vec::new(),
        }
    }

    pub fn is_headless(&self) -> bool {
        self.cluster_ip == ClusterIp::Headless
    }

    /// True if kube-proxy programs anything for it: it has a cluster IP and is not an ExternalName.
    pub fn is_proxied(&self) -> bool {
        self.service_type != ServiceType::ExternalName && !self.cluster_ip.ips().is_empty()
    }

    /// Addresses by which the world outside reaches it: balancer addresses of mode VIP, then external IPs.
    pub fn outside_ips(&self) -> impl Iterator<Item = IpAddr> {
        self.vips().chain(self.external_ips.iter().copied())
    }

    /// Balancer addresses that kube-proxy short-circuits.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        self.ingress.iter().filter(|entry| entry.ip_mode == IpMode::Vip).filter_map(|entry| entry.ip)
    }
}

impl Keyed for Service {
    const KIND: Kind = Kind::Service;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
