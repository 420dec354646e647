//! The answer straight from the objects: what should become of a packet, without a single rule.
//!
//! A second, small reading of kube-proxy's behaviour (`topology.go`, the proxiers' documentation, KEP-1669, KEP-3866), apart
//! from the generators and the tracer: tests hold the three together. It knows Services, endpoints and settings, not chains.

mod ipvs;
mod netfilter;
mod userspace;

use std::net::{IpAddr, SocketAddr};

use super::common::Backend;
use super::node::{Detector, NodeContext, NodePorts};
use super::ports::{PortInfo, port_infos};
use crate::model::{ClusterState, Protocol, ProxyMode};

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Pod,
    Node,
    Outside,
}

/// The first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
    pub from: From,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// To one of these, each as likely; the flag: with an address of the node as its source.
    Deliver(Vec<(SocketAddr, bool)>),
    /// The same, but some of the destinations, those of the second list, don't answer.
    Partly(Vec<(SocketAddr, bool)>, Vec<SocketAddr>),
    Accept,
    Drop,
    Reject,
    NoMatch,
}

/// What kube-proxy in the context's mode does with the packet on the context's node.
pub fn answer(state: &ClusterState, context: &NodeContext, probe: &Probe) -> Fate {
    let ports = port_infos(state, context.family);
    let world = World { context, ports: &ports, probe };
    // IPv6 looks before any rule.
    if world.is_martian() && probe.destination.is_ipv6() {
        return Fate::Drop;
    }
    if probe.destination.is_ipv4() && world.is_unanswered(probe.destination) && !world.is_told() {
        return Fate::Drop;
    }
    let fate = match context.mode {
        ProxyMode::Iptables => netfilter::iptables(&world),
        ProxyMode::Nftables => netfilter::nftables(&world),
        ProxyMode::Ipvs => ipvs::answer(&world),
        ProxyMode::Userspace => userspace::answer(state, &world),
    };
    let has_other_destination = match context.mode {
        ProxyMode::Userspace => fate != Fate::NoMatch,
        _ => matches!(fate, Fate::Deliver(_)),
    };
    if world.is_martian() && !has_other_destination { Fate::Drop } else { world.without_unanswered(fate) }
}

struct World<'a> {
    context: &'a NodeContext,
    ports: &'a [PortInfo],
    probe: &'a Probe,
}

/// By which of its addresses a Service port is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    ClusterIp,
    ExternalIp,
    Vip,
}

impl World<'_> {
    fn is_local(&self, ip: IpAddr) -> bool {
        let settings = &self.context.settings;
        ip.is_loopback()
            || settings.bind_address == Some(ip)
            || self.context.node.addresses.iter().any(|address| address.ip == ip)
    }

    /// Linux takes nothing for loopback from elsewhere, unless kube-proxy told it to, for node ports on 127.0.0.1.
    fn is_martian(&self) -> bool {
        let to = self.probe.destination;
        self.probe.from != From::Node && to.is_loopback() && !(self.is_told() && to.is_ipv4())
    }

    /// kube-proxy has let loopback addresses of IPv4 out of the node and in.
    fn is_told(&self) -> bool {
        self.context.mode == ProxyMode::Iptables && self.context.localhost_node_ports
    }

    /// A process bound to loopback speaks to another host.
    fn is_unanswered(&self, to: IpAddr) -> bool {
        let here = self.is_local(to) || (self.context.mode == ProxyMode::Ipvs && ipvs::is_bound(self, to));
        self.probe.from == From::Node && self.probe.source.is_loopback() && !here
    }

    /// Who is bound to loopback gets answers of other hosts only if they are sent to an address of the node instead, and in IPv6
    /// not even then. kube-proxy's own connections, in userspace mode, are not from loopback.
    fn without_unanswered(&self, fate: Fate) -> Fate {
        match fate {
            Fate::NoMatch if self.is_unanswered(self.probe.destination) => Fate::Drop,
            Fate::Deliver(all) if self.context.mode != ProxyMode::Userspace => {
                let hidden = |masqueraded: bool| masqueraded && self.is_told() && self.probe.source.is_ipv4();
                let (lost, kept): (Vec<_>, Vec<_>) = all
                    .into_iter()
                    .partition(|(to, masqueraded)| self.is_unanswered(to.ip()) && !hidden(*masqueraded));
                match (kept.is_empty(), lost.is_empty()) {
                    (_, true) => Fate::Deliver(kept),
                    (true, false) => Fate::Drop,
                    (false, false) => Fate::Partly(kept, lost.into_iter().map(|(to, _)| to).collect()),
                }
            }
            other => other,
        }
    }

    /// Service ports that have this address and port, in order.
    fn claims(&self, to: SocketAddr) -> impl Iterator<Item = (&PortInfo, Face)> {
        let same = move |port: &&PortInfo| port.port == to.port() && port.protocol == self.probe.protocol;
        self.ports.iter().filter(same).flat_map(move |port| {
            let face = |ips: &[IpAddr], face| {
                ips.iter().filter(|ip| **ip == to.ip()).map(|_| face).collect::<Vec<_>>()
            };
            let own = face(&[port.cluster_ip], Face::ClusterIp);
            let all = [own, face(&port.external_ips, Face::ExternalIp), face(&port.vips, Face::Vip)].concat();
            all.into_iter().map(move |face| (port, face))
        })
    }

    /// Service ports with this node port, in order.
    fn node_ports(&self, number: u16) -> impl Iterator<Item = &PortInfo> {
        self.ports
            .iter()
            .filter(move |port| port.node_port == Some(number) && port.protocol == self.probe.protocol)
    }

    /// Whether node ports answer on an address, in a mode without localhost node ports.
    fn answers_node_ports(&self, ip: IpAddr) -> bool {
        !ip.is_loopback()
            && match &self.context.node_ports {
                NodePorts::All => self.is_local(ip),
                NodePorts::On(ips) => ips.contains(&ip),
            }
    }

    /// Whether the detector takes the packet for one of this node's pods; `None` without a detector.
    fn is_local_pod(&self) -> Option<bool> {
        self.context.detector.as_ref().map(|detector| match detector {
            Detector::Cidr(cidr) => cidr.contains(&self.probe.source),
            Detector::Bridge(_) | Detector::Prefix(_) => self.probe.from == From::Pod,
        })
    }

    /// Traffic to cluster IPs comes back through this node if it is not from its pods.
    fn masquerades_cluster_ips(&self) -> bool {
        self.context.masquerade_all() || self.is_local_pod() == Some(false)
    }

    /// It passes POSTROUTING, where sources are rewritten.
    fn leaves(&self, to: IpAddr) -> bool {
        self.probe.from == From::Node || !self.is_local(to)
    }

    fn in_ranges(&self, port: &PortInfo) -> bool {
        let node_too = port.source_ranges.iter().any(|range| range.contains(&self.context.node_ip));
        port.source_ranges.iter().any(|range| range.contains(&self.probe.source))
            || (node_too && port.vips.contains(&self.probe.source))
    }
}

/// The endpoints that this node uses for a port.
struct Usable<'a> {
    cluster: Vec<&'a Backend>,
    local: Vec<&'a Backend>,
    /// Somebody, somewhere, could answer.
    any: bool,
}

impl<'a> Usable<'a> {
    fn of(port: &'a PortInfo, context: &NodeContext) -> Usable<'a> {
        let here = &context.node.meta.key.name;
        let zone = context.node.zone().map_or("", |zone| zone);
        let all = &port.endpoints;
        let ready: Vec<&Backend> = all.iter().filter(|one| one.ready).collect();
        let going: Vec<&Backend> = all.iter().filter(|one| one.serving && one.terminating).collect();
        let on_node = |one: &&Backend| one.node.as_ref() == Some(here);
        let for_node = |one: &&Backend| one.node_hints.iter().any(|hint| hint == here);
        let for_zone = |one: &&Backend| one.zone_hints.iter().any(|hint| **hint == *zone);

        let cluster_used = !port.view.internal_local || port.view.external;
        let local_used = port.view.internal_local || (port.view.external_local && port.view.external);
        let mut cluster = ready.clone();
        if ready.iter().all(|one| !one.node_hints.is_empty()) && ready.iter().any(&for_node) {
            cluster.retain(for_node);
        } else if !zone.is_empty()
            && ready.iter().all(|one| !one.zone_hints.is_empty())
            && ready.iter().any(&for_zone)
        {
            cluster.retain(for_zone);
        }
        if cluster.is_empty() {
            cluster.clone_from(&going);
        }
        let mut local: Vec<&Backend> = ready.iter().copied().filter(on_node).collect();
        if local.is_empty() {
            local = going.iter().copied().filter(on_node).collect();
        }
        let any = !ready.is_empty() || !going.is_empty();
        Usable {
            cluster: if cluster_used { cluster } else { Vec::new() },
            local: if local_used { local } else { Vec::new() },
            any,
        }
    }
}
