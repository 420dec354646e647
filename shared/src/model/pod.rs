//! Pods: where they run, by which addresses and ports they answer, and whether they are ready.

use std::net::IpAddr;
use std::num::NonZeroU16;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::meta::{is_false, str_is_empty};
use super::{Key, Keyed, Kind, Meta, Protocol, TargetPort, Text};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PodPhase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl PodPhase {
    pub fn as_str(self) -> &'static str {
        match self {
            PodPhase::Pending => "Pending",
            PodPhase::Running => "Running",
            PodPhase::Succeeded => "Succeeded",
            PodPhase::Failed => "Failed",
            PodPhase::Unknown => "Unknown",
        }
    }

    /// Succeeded or Failed: it never serves again.
    pub fn is_final(self) -> bool {
        matches!(self, PodPhase::Succeeded | PodPhase::Failed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub name: Text,
    pub port: NonZeroU16,
    pub protocol: Protocol,
}

/// What `readinessProbe` asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReadinessProbe {
    /// A command, or a handler without a port.
    Command,
    /// `httpGet`, `tcpSocket` or `grpc`, on this port.
    Port(TargetPort),
}

/// `spec.dnsPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum DnsPolicy {
    #[default]
    ClusterFirst,
    ClusterFirstWithHostNet,
    /// The node's resolver.
    Default,
    /// Only what `dnsConfig` says.
    None,
}

impl DnsPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            DnsPolicy::ClusterFirst => "ClusterFirst",
            DnsPolicy::ClusterFirstWithHostNet => "ClusterFirstWithHostNet",
            DnsPolicy::Default => "Default",
            DnsPolicy::None => "None",
        }
    }
}

/// `spec.dnsPolicy` and `spec.dnsConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodDns {
    pub policy: DnsPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<Text>,
    /// Option `ndots`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ndots: Option<u8>,
}

/// A container, or an init container that restarts always (a sidecar): those whose ports a Service can name.
/// Images, environment and commands are dropped at the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub name: Text,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// An init container with `restartPolicy: Always`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sidecar: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Reason of the waiting state, e.g. `CrashLoopBackOff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<ReadinessProbe>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    pub meta: Meta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text>,
    /// `status.podIPs`, at most one per family, the primary first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddr>,
    pub phase: PodPhase,
    /// The `Ready` condition is `True`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ready: bool,
    /// When the `Ready` condition last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
    /// `reason` or `message` of the `Ready` condition while it is not `True`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready_reason: Option<Text>,
    pub containers: Vec<Container>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub host_network: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<Text>,
    /// `enableServiceLinks: false` (the default is true).
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_service_links: bool,
    /// Only if it says something else than the default: `ClusterFirst` without a `dnsConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Box<PodDns>>,
}

impl Pod {
    /// A pending pod with nothing set, to be filled in.
    pub fn named(key: Key) -> Pod {
        Pod {
            meta: Meta::named(key),
            node: None,
            ips: Vec::new(),
            phase: PodPhase::Pending,
            ready: false,
            ready_since: None,
            unready_reason: None,
            containers: Vec::new(),
            host_network: false,
            hostname: None,
            subdomain: None,
            no_service_links: false,
            dns: None,
        }
    }

    /// The number behind a named target port: the first container port with this name and protocol, containers before
    /// sidecars (Kubernetes `FindPort`).
    pub fn named_port(&self, name: &str, protocol: Protocol) -> Option<NonZeroU16> {
        let find = |sidecar: bool| {
            let containers = self.containers.iter().filter(move |container| container.sidecar == sidecar);
            let mut ports = containers.flat_map(|container| &container.ports);
            ports.find(|port| &*port.name == name && port.protocol == protocol).map(|port| port.port)
        };
        find(false).or_else(|| find(true))
    }

    /// The workload it belongs to, for people: the owner's name, without the hash that a Deployment's ReplicaSet adds.
    pub fn workload(&self) -> Text {
        let Some(owner) = &self.meta.owner else { return self.meta.key.name.clone() };
        match self.meta.labels.get("pod-template-hash") {
            Some(hash) if &*owner.kind == "ReplicaSet" => {
                let suffix = format!("-{hash}");
                owner.name.strip_suffix(suffix.as_str()).map_or_else(|| owner.name.clone(), Text::from)
            }
            _ => owner.name.clone(),
        }
    }
}

impl Keyed for Pod {
    const KIND: Kind = Kind::Pod;

    fn meta(&self) -> &Meta {
        &self.meta
    }
}
