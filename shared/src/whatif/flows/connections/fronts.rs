//! The addresses at which a Service port takes connections, and what becomes of connections to one that is gone.

use std::net::IpAddr;

use super::super::change::Destination;
use super::super::world::World;
use crate::model::{IpFamily, Protocol};
use crate::proxy::ports::PortInfo;
use crate::whatif::difference::TargetKind;

/// One address of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Front {
    pub kind: TargetKind,
    /// `None`: the node's own addresses.
    pub ip: Option<IpAddr>,
    pub number: u16,
    pub protocol: Protocol,
}

impl Front {
    /// All of a port; the cluster IP is the first.
    pub fn all(port: &PortInfo) -> Vec<Front> {
        let front = |kind, ip, number| Front { kind, ip, number, protocol: port.protocol };
        let mut fronts = vec![front(TargetKind::ClusterIp, Some(port.cluster_ip), port.port)];
        fronts.extend(port.external_ips.iter().map(|ip| front(TargetKind::ExternalIp, Some(*ip), port.port)));
        fronts.extend(port.vips.iter().map(|ip| front(TargetKind::LoadBalancer, Some(*ip), port.port)));
        fronts.extend(port.node_port.map(|number| front(TargetKind::NodePort, None, number)));
        fronts
    }

    /// Whether packets for it are the other's, too, whatever kind of address that calls it.
    pub fn is_at(&self, other: &Front) -> bool {
        (self.ip, self.number, self.protocol) == (other.ip, other.number, other.protocol)
    }

    /// The port that has the address in a cluster.
    pub fn owner(&self, world: &World<'_>, family: IpFamily) -> Option<PortInfo> {
        let claimers = match self.ip {
            Some(ip) => world.at(ip),
            None => world.on_port(self.number),
        };
        let mut ports = claimers.iter().flat_map(|service| world.ports_of(service, family).to_vec());
        ports.find(|port| Front::all(port).iter().any(|front| front.is_at(self)))
    }

    pub fn destination(&self, family: IpFamily) -> Destination {
        let Front { kind, ip, number, protocol } = *self;
        Destination { kind, ip, port: number, protocol, family }
    }
}
