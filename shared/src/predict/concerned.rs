//! The Services whose rules one packet can meet: those that claim it, those whose addresses and node ports are where these
//! send it, and those that share an endpoint which is its own client. Rules of others can't match it.

use std::net::IpAddr;
use std::num::NonZeroU16;

use rustc_hash::FxHashSet;

use crate::model::{ClusterState, IpFamily, Key, Keyed, Service};
use crate::proxy::ports::{PortInfo, port_infos_of};
use crate::trace::Packet;

/// Their ports, in the order of namespace and name. `claims`: the packet is, or comes from, one of the Service's destinations.
pub(super) fn ports(
    state: &ClusterState,
    family: IpFamily,
    packet: &Packet,
    claims: impl Fn(&Service) -> bool,
) -> Vec<PortInfo> {
    let of = |concerned: &dyn Fn(&Service) -> bool| -> Vec<PortInfo> {
        let services = state.services().values().filter(|service| concerned(service));
        services.flat_map(|service| port_infos_of(state, service, family)).collect()
    };
    let claimed = of(&claims);
    let mut further = Further::of(state, &claimed);
    // The sets KUBE-LOOP-BACK (ipvs) and hairpin-connections (nftables) hold every endpoint that may be its own client,
    // whoever claimed the packet. Only for such a packet all slices are read.
    let own = packet.source;
    if own == packet.destination || further.addresses.contains(&own) {
        further.sharers = sharers(state, own);
    }
    if further.is_empty() {
        return claimed;
    }
    of(&|service| claims(service) || further.concerns(service))
}

/// Where the Services that claim a packet send it.
#[derive(Default)]
struct Further {
    addresses: FxHashSet<IpAddr>,
    /// Ports of endpoints at addresses of nodes: they may be node ports of others.
    ports: FxHashSet<NonZeroU16>,
    /// Services with the endpoint that is its own client.
    sharers: FxHashSet<Key>,
}

impl Further {
    fn of(state: &ClusterState, claimed: &[PortInfo]) -> Further {
        let nodes = state.nodes().values().flat_map(|node| &node.addresses);
        let nodes: FxHashSet<IpAddr> = nodes.map(|address| address.ip).collect();
        let mut further = Further::default();
        for backend in claimed.iter().flat_map(|port| &port.endpoints) {
            further.addresses.insert(backend.address);
            if nodes.contains(&backend.address) {
                further.ports.insert(backend.port);
            }
        }
        further
    }

    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.sharers.is_empty()
    }

    fn concerns(&self, service: &Service) -> bool {
        let mut numbers =
            service.ports.iter().filter_map(|port| port.node_port).chain(service.health_check_node_port);
        super::addresses(service).any(|ip| self.addresses.contains(&ip))
            || numbers.any(|number| self.ports.contains(&number))
            || self.sharers.contains(service.key())
    }
}

/// The Services with an endpoint at this address.
fn sharers(state: &ClusterState, address: IpAddr) -> FxHashSet<Key> {
    let slices = state.slices().values().filter(|slice| {
        let mut ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
        ips.any(|ip| ip == address)
    });
    slices.filter_map(|slice| slice.service()).collect()
}
