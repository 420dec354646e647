//! EndpointSlices (`discovery.k8s.io/v1`) and the legacy Endpoints (`core/v1`).

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use super::{IpFamily, Key, Keyed, Kind, Meta, Protocol, Text};

/// Label that binds a slice to its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Label that names the slice's manager.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressType {
    IPv4,
    IPv6,
    /// Host names; kube-proxy ignores such slices.
    #[serde(rename = "FQDN")]
    Fqdn,
}

impl AddressType {
    /// The IP family of the slice's addresses, if they are addresses.
    pub fn family(self) -> Option<IpFamily> {
        match self {
            AddressType::IPv4 => Some(IpFamily::IPv4),
            AddressType::IPv6 => Some(IpFamily::IPv6),
            AddressType::Fqdn => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
pub enum EndpointAddress {
    Ip(IpAddr),
    Name(Text),
}

impl EndpointAddress {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            EndpointAddress::Ip(ip) => Some(*ip),
            EndpointAddress::Name(_) => None,
        }
    }
}

impl From<Text> for EndpointAddress {
    fn from(text: Text) -> EndpointAddress {
        text.parse().map_or(EndpointAddress::Name(text), EndpointAddress::Ip)
    }
}

impl From<EndpointAddress> for Text {
    fn from(address: EndpointAddress) -> Text {
        address.to_string().into()
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointAddress::Ip(ip) => ip.fmt(f),
            EndpointAddress::Name(name) => f.write_str(name),
        }
    }
}

/// A port of a slice or of an Endpoints subset. kube-proxy joins it to the Service port of the same name and protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    #[serde(default, skip_serializing_if = "super::meta::str_is_empty")]
    pub name: Text,
    pub protocol: Protocol,
    /// Absent or zero in the API: such a port contributes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<Text>,
}

/// `endpoints[].conditions` as written; absent is not the same as false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conditions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

impl Conditions {
    /// Absent means ready.
    pub fn is_ready(self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Absent means serving, as kube-proxy reads it (`pkg/proxy/endpointslicecache.go`).
    pub fn is_serving(self) -> bool {
        self.serving.unwrap_or(true)
    }

    /// Absent means not terminating.
    pub fn is_terminating(self) -> bool {
        self.terminating.unwrap_or(false)
    }
}

/// `targetRef`: the object behind an endpoint, nearly always a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TargetRef {
    pub kind: Text,
    pub key: Key,
    #[serde(default, skip_serializing_if = "super::meta::str_is_empty")]
    pub uid: Text,
}

impl TargetRef {
    pub fn pod(&self) -> Option<&Key> {
        (&*self.kind == "Pod").then_some(&self.key)
    }
}

/// One endpoint of a slice. kube-proxy uses only the first address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub addresses: Vec<EndpointAddress>,
    #[serde(default)]
    pub conditions: Conditions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
    /// `hints.forZones`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone_hints: Vec<Text>,
    /// `hints.forNodes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_hints: Vec<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    pub meta: Meta,
    pub address_type: AddressType,
    /// Absent and empty are the same: no port resolved, or a headless Service without ports.
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

impl EndpointSlice {
    /// The Service it belongs to, by label; the namespace is the slice's own.
    pub fn service(&self) -> Option<Key> {
        let name = self.meta.labels.get(SERVICE_NAME_LABEL)?;
        Some(Key { namespace: self.meta.key.namespace.clone(), name: name.clone() })
    }

    /// Whether the endpoints are the same ones, in the same order, but perhaps in other zones.
    pub fn has_same_endpoints_elsewhere(&self, other: &EndpointSlice) -> bool {
        let same = |(one, other): (&Endpoint, &Endpoint)| {
            one == other || Endpoint { zone: other.zone.clone(), ..one.clone() } == *other
        };
        self.endpoints.len() == other.endpoints.len() && self.endpoints.iter().zip(&other.endpoints).all(same)
    }
}

impl Keyed for EndpointSlice {
    const KIND: Kind = Kind::EndpointSlice;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// An address of an Endpoints subset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubsetAddress {
    pub ip: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SubsetAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<SubsetAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

/// The legacy object. kube-proxy does not read it; mirroring and old clients do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    pub meta: Meta,
    pub subsets: Vec<Subset>,
}

impl Keyed for Endpoints {
    const KIND: Kind = Kind::Endpoints;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
