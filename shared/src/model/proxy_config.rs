//! kube-proxy's settings, as far as they change rules (`kubeproxy.config.k8s.io/v1alpha1` KubeProxyConfiguration).

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Key, Keyed, Kind, Meta, Text};

/// Namespace and name of the ConfigMap that a kubeadm cluster keeps kube-proxy's settings in.
pub const PROXY_CONFIG_MAP: (&str, &str) = ("kube-system", "kube-proxy");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    /// As it was in Kubernetes 1.25; gone since 1.26.
    Userspace,
    #[default]
    Iptables,
    Nftables,
    Ipvs,
}

impl ProxyMode {
    pub const ALL: [ProxyMode; 4] =
        [ProxyMode::Userspace, ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs];

    pub fn as_str(self) -> &'static str {
        match self {
            ProxyMode::Userspace => "userspace",
            ProxyMode::Iptables => "iptables",
            ProxyMode::Nftables => "nftables",
            ProxyMode::Ipvs => "ipvs",
        }
    }
}

impl fmt::Display for ProxyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProxyMode {
    type Err = ();

    fn from_str(text: &str) -> Result<ProxyMode, ()> {
        ProxyMode::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(())
    }
}

/// `nodePortAddresses`: on which of a node's addresses node ports answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NodePortAddresses {
    /// Not set: each mode has its own default (nftables: primary; the others: all).
    #[default]
    Unset,
    Primary,
    Cidrs(Vec<IpNet>),
}

/// How kube-proxy tells traffic that comes from this node's pods (`detectLocalMode`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LocalDetector {
    /// By `clusterCIDR`: at most one CIDR per family; a family without one has no detector.
    ClusterCidr(Vec<IpNet>),
    /// By the node's own `spec.podCIDRs`.
    NodeCidr,
    BridgeInterface(Text),
    InterfaceNamePrefix(Text),
}

/// `iptables.*` or `nftables.*`: the masquerade settings that each mode reads for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Masquerade {
    pub all: bool,
    /// 0 to 31; the mark is `1 << bit`.
    pub bit: u8,
}

impl Default for Masquerade {
    fn default() -> Masquerade {
        Masquerade { all: false, bit: 14 }
    }
}

/// The settings of one kube-proxy. [`ProxySettings::default`] is what an empty configuration means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxySettings {
    pub mode: ProxyMode,
    pub node_port_addresses: NodePortAddresses,
    pub detect_local: LocalDetector,
    /// Read by iptables, ipvs and userspace modes.
    pub iptables: Masquerade,
    /// Read by nftables mode.
    pub nftables: Masquerade,
    pub localhost_node_ports: bool,
    /// `conntrack.tcpBeLiberal`.
    pub tcp_be_liberal: bool,
    /// `ipvs.scheduler`; empty means `rr`.
    pub ipvs_scheduler: Text,
    /// `bindAddress`, if it names an address.
    pub bind_address: Option<std::net::IpAddr>,
}

impl Default for ProxySettings {
    fn default() -> ProxySettings {
        ProxySettings {
            mode: ProxyMode::Iptables,
            node_port_addresses: NodePortAddresses::Unset,
            detect_local: LocalDetector::ClusterCidr(Vec::new()),
            iptables: Masquerade::default(),
            nftables: Masquerade::default(),
            localhost_node_ports: true,
            tcp_be_liberal: false,
            ipvs_scheduler: "".into(),
            bind_address: None,
        }
    }
}

/// The settings as found in the cluster: the ConfigMap `kube-system/kube-proxy` for all nodes, or, in a key
/// `NODE.config.conf` of the same ConfigMap, those of one node (vipscope's sandbox and what-if use this).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyConfig {
    pub meta: Meta,
    pub settings: ProxySettings,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub nodes: std::collections::BTreeMap<Text, ProxySettings>,
}

impl ProxyConfig {
    /// The key of the one ConfigMap that is read.
    pub fn well_known_key() -> Key {
        Key::new(PROXY_CONFIG_MAP.0, PROXY_CONFIG_MAP.1)
    }

    /// The settings of `node`.
    pub fn for_node(&self, node: &str) -> &ProxySettings {
        self.nodes.get(node).unwrap_or(&self.settings)
    }
}

impl Keyed for ProxyConfig {
    const KIND: Kind = Kind::ProxyConfig;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
