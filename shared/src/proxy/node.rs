//! What of a node and its kube-proxy settings decides about rules, in one IP family: addresses for node ports, the
//! local-traffic detector, masquerading (`cmd/kube-proxy/app`, `pkg/proxy/util/nodeport_addresses.go`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{
    ClusterState, IpFamily, LocalDetector, Node, NodeAddressType, NodePortAddresses, ProxyMode,
    ProxySettings, Text,
};

/// On which of the node's addresses node ports answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePorts {
    /// All local addresses.
    All,
    /// Just these, which the node has. May be empty.
    On(Vec<IpAddr>),
}

/// How traffic of this node's pods is told from other traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detector {
    Cidr(IpNet),
    Bridge(Text),
    /// Without the wildcard that each rule language adds.
    Prefix(Text),
}

/// One node as kube-proxy there sees it, in one family and mode.
#[derive(Debug, Clone)]
pub struct NodeContext {
    pub node: Arc<Node>,
    pub family: IpFamily,
    pub mode: ProxyMode,
    pub settings: ProxySettings,
    pub node_ports: NodePorts,
    /// `None`: every rule that needs a detector is left out.
    pub detector: Option<Detector>,
    /// Decides whether a source range contains the node.
    pub node_ip: IpAddr,
    /// IPv4 only: `127.0.0.1:NODEPORT` works (`localhostNodePorts` and an address list that contains loopback).
    pub localhost_node_ports: bool,
}

impl NodeContext {
    /// `mode` overrides the settings' own.
    pub fn new(state: &ClusterState, node: &Arc<Node>, family: IpFamily, mode: ProxyMode) -> NodeContext {
        let settings = state.proxy_settings(&node.meta.key.name);
        let cidrs = node_port_cidrs(&settings, mode, node, family);
        let all = cidrs.iter().any(|cidr| cidr.prefix_len() == 0);
        let mut on = local_addresses(node, family);
        on.retain(|ip| cidrs.iter().any(|cidr| cidr.contains(ip)));
        NodeContext {
            family,
            mode,
            node_ports: if all { NodePorts::All } else { NodePorts::On(on) },
            detector: detector(&settings.detect_local, node, family),
            node_ip: node_ip(&settings, node, family),
            localhost_node_ports: family == IpFamily::IPv4
                && settings.localhost_node_ports
                && cidrs.iter().any(contains_loopback),
            node: node.clone(),
            settings,
        }
    }

    /// Whether everything of the node that rules depend on is the same.
    pub fn makes_same_rules(&self, other: &NodeContext) -> bool {
        self.differs_in_zone_only(other) && self.node.zone() == other.node.zone()
    }

    /// Whether everything of the node that rules depend on is the same, but perhaps its zone: only hints for zones ask for it.
    pub fn differs_in_zone_only(&self, other: &NodeContext) -> bool {
        let what = |context: &NodeContext| {
            let NodeContext { node, settings, .. } = context;
            (node.meta.key.clone(), node.addresses.clone(), settings.clone())
        };
        what(self) == what(other)
            && (self.family, self.mode) == (other.family, other.mode)
            && (&self.node_ports, &self.detector) == (&other.node_ports, &other.detector)
            && (self.node_ip, self.localhost_node_ports) == (other.node_ip, other.localhost_node_ports)
    }

    pub fn masquerade_all(&self) -> bool {
        self.masquerade().all
    }

    /// `1 << masqueradeBit`.
    pub fn mark(&self) -> u32 {
        1 << u32::from(self.masquerade().bit.min(31))
    }

    fn masquerade(&self) -> crate::model::Masquerade {
        if self.mode == ProxyMode::Nftables { self.settings.nftables } else { self.settings.iptables }
    }
}

/// The node's own address of the family: the bind address, an internal, an external one, or loopback.
fn node_ip(settings: &ProxySettings, node: &Node, family: IpFamily) -> IpAddr {
    let bind = settings.bind_address.filter(|ip| IpFamily::of(*ip) == family);
    let of_type = |wanted: NodeAddressType| {
        let mut addresses = node.addresses.iter().filter(move |address| address.address_type == wanted);
        addresses.find(|address| IpFamily::of(address.ip) == family).map(|address| address.ip)
    };
    let known = bind
        .or_else(|| of_type(NodeAddressType::InternalIP))
        .or_else(|| of_type(NodeAddressType::ExternalIP));
    known.unwrap_or_else(|| loopback(family))
}

fn loopback(family: IpFamily) -> IpAddr {
    match family {
        IpFamily::IPv4 => Ipv4Addr::LOCALHOST.into(),
        IpFamily::IPv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The addresses of the node's interfaces: those of its status, and loopback.
fn local_addresses(node: &Node, family: IpFamily) -> Vec<IpAddr> {
    let known = node.addresses.iter().map(|address| address.ip).filter(|ip| IpFamily::of(*ip) == family);
    let mut all: Vec<IpAddr> = known.chain([loopback(family)]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// `nodePortAddresses` of the family; a family without an entry has all addresses.
fn node_port_cidrs(settings: &ProxySettings, mode: ProxyMode, node: &Node, family: IpFamily) -> Vec<IpNet> {
    let primary = || -> Vec<IpNet> {
        let ip = node_ip(settings, node, family);
        if ip.is_loopback() { Vec::new() } else { vec![IpNet::from(ip)] }
    };
    let listed = match &settings.node_port_addresses {
        NodePortAddresses::Unset if mode == ProxyMode::Nftables => primary(),
        NodePortAddresses::Unset => Vec::new(),
        NodePortAddresses::Primary => primary(),
        NodePortAddresses::Cidrs(cidrs) => {
            cidrs.iter().copied().filter(|cidr| IpFamily::of(cidr.network()) == family).collect()
        }
    };
    if listed.is_empty() { vec![everything(family)] } else { listed }
}

fn everything(family: IpFamily) -> IpNet {
    match family {
        IpFamily::IPv4 => IpNet::V4(ipnet::Ipv4Net::default()),
        IpFamily::IPv6 => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

fn contains_loopback(cidr: &IpNet) -> bool {
    cidr.network().is_loopback() || cidr.contains(&IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)))
}

fn detector(local: &LocalDetector, node: &Node, family: IpFamily) -> Option<Detector> {
    let first = |cidrs: &[IpNet]| {
        let found = cidrs.iter().find(|cidr| IpFamily::of(cidr.network()) == family);
        found.map(|cidr| Detector::Cidr(*cidr))
    };
    match local {
        LocalDetector::ClusterCidr(cidrs) => first(cidrs),
        LocalDetector::NodeCidr => first(&node.pod_cidrs),
        LocalDetector::BridgeInterface(name) => Some(Detector::Bridge(name.clone())),
        LocalDetector::InterfaceNamePrefix(name) => Some(Detector::Prefix(name.clone())),
    }
}
