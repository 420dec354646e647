//! Nodes and namespaces.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::meta::is_false;
use super::{IpFamily, Key, Keyed, Kind, Meta, Text};

/// Label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeAddressType {
    InternalIP,
    ExternalIP,
}

/// An IP address of a node's status; host names are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    #[serde(rename = "type")]
    pub address_type: NodeAddressType,
    pub ip: IpAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub meta: Meta,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_cidrs: Vec<IpNet>,
    /// The `Ready` condition is `True`.
    pub ready: bool,
    /// `spec.unschedulable`: cordoned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unschedulable: bool,
    /// `status.allocatable.cpu` in thousandths of a core; topology-aware hints weigh zones by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocatable_millicpu: Option<u64>,
    /// `status.nodeInfo.kubeletVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
}

impl Node {
    /// A ready node with nothing set, to be filled in.
    pub fn named(name: impl Into<Text>) -> Node {
        Node {
            meta: Meta::named(Key::cluster(name)),
            addresses: Vec::new(),
            pod_cidrs: Vec::new(),
            ready: true,
            unschedulable: false,
            allocatable_millicpu: None,
            version: None,
        }
    }

    /// `topology.kubernetes.io/zone`.
    pub fn zone(&self) -> Option<&Text> {
        self.meta.labels.get(ZONE_LABEL)
    }

    /// The first address of the family in the order of the node's status, which is what kube-proxy calls primary.
    pub fn primary_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.addresses.iter().map(|address| address.ip).find(|ip| IpFamily::of(*ip) == family)
    }
}

impl Keyed for Node {
    const KIND: Kind = Kind::Node;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    pub meta: Meta,
}

impl Keyed for Namespace {
    const KIND: Kind = Kind::Namespace;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
