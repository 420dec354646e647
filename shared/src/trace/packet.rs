//! The packet that is followed, and what of the host decides about its way.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::Protocol;

/// Where a packet enters the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From a pod on this node, which has a network of its own.
    Pod,
    /// From a process of the node itself, or of a pod in the host's network.
    Node,
    /// From anywhere else, through an interface of the node.
    Outside,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Pod => "pod",
            Origin::Node => "node",
            Origin::Outside => "outside",
        }
    }
}

/// The first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Destination port.
    pub port: u16,
    pub protocol: Protocol,
    pub origin: Origin,
}

/// The node as the kernel sees it, as far as rules ask.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostView {
    /// Addresses of the node's interfaces, sorted. Loopback need not be among them.
    local: Vec<IpAddr>,
    /// Where `REDIRECT` leads packets that come in.
    pub redirect_to: Option<IpAddr>,
    /// The interface over which packets of the node's pods come in, if it is known.
    pub pod_interface: Option<Box<str>>,
    /// The interface over which packets from outside come in, if it is known.
    pub outside_interface: Option<Box<str>>,
    /// How pods reach the node.
    pub pod_link: PodLink,
    /// Packets that come in may be for 127.0.0.0/8 (the setting `route_localnet`).
    pub route_localnet: bool,
}

/// How packets of pods reach the node's IP layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodLink {
    #[default]
    Routed,
    /// Through a port of a bridge (`--physdev-is-in`).
    Bridged,
}

impl HostView {
    pub fn new(local: impl IntoIterator<Item = IpAddr>) -> HostView {
        let mut local: Vec<IpAddr> = local.into_iter().collect();
        local.sort_unstable();
        local.dedup();
        HostView { local, ..HostView::default() }
    }

    pub fn add_local(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.local.extend(addresses);
        self.local.sort_unstable();
        self.local.dedup();
    }

    /// Whether the kernel delivers packets to this address to the node itself (routing table `local`).
    pub fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.local.binary_search(&ip).is_ok()
    }

    /// Whether the kernel drops what comes in for this address: loopback belongs to the host itself. IPv6 has no setting
    /// that lets it in (`ip6_rcv_core`).
    pub fn is_martian(&self, to: IpAddr) -> bool {
        to.is_loopback() && !(to.is_ipv4() && self.route_localnet)
    }

    /// Whether the kernel sends nothing from this address to that one: an IPv4 loopback address speaks to the host itself, unless
    /// `route_localnet` is set (`__mkroute_output`). In IPv6 it is sent, but see [`HostView::is_unanswered`].
    pub fn holds_back(&self, source: IpAddr, to: IpAddr) -> bool {
        source.is_ipv4() && self.is_unanswered(source, to) && !self.route_localnet
    }

    /// Whether no answer comes to a process of the node that is bound to this address and speaks to that one: other hosts do
    /// not answer loopback. With IPv4 they do if the packet was masqueraded; with IPv6 the answer, which is led back to
    /// loopback, is taken for one that came in for it (`ip6_rcv_core`).
    pub fn is_unanswered(&self, source: IpAddr, to: IpAddr) -> bool {
        source.is_loopback() && !self.is_local(to)
    }

    pub fn local(&self) -> &[IpAddr] {
        &self.local
    }
}
