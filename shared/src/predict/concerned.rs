//! The Services whose rules one packet can meet: those that claim it, those whose addresses and node ports are where these
//! send it, and those that share an endpoint with them. Rules of others can't match it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::model::{ClusterState, IpFamily, Key, Keyed, Service};
use crate::proxy::ports::{PortInfo, port_infos_of};

/// Their ports, in the order of namespace and name. `claims`: the packet is, or comes from, one of the Service's destinations.
/// `hairpin`: an address whose endpoints' rules it meets even if no Service claims it, as in ipvs mode, where the set of
/// endpoints that are their own clients goes by the packet's destination alone.
pub(super) fn ports(
    state: &ClusterState,
    family: IpFamily,
    hairpin: Option<IpAddr>,
    claims: impl Fn(&Service) -> bool,
) -> Vec<PortInfo> {
    let of = |concerned: &dyn Fn(&Service) -> bool| -> Vec<PortInfo> {
        let services = state.services().values().filter(|service| concerned(service));
        services.flat_map(|service| port_infos_of(state, service, family)).collect()
    };
    let claimed = of(&claims);
    let further = Further::of(state, hairpin, &claimed);
    if further.addresses.is_empty() {
        return claimed;
    }
    of(&|service| claims(service) || further.concerns(service))
}

/// Where the Services that claim a packet send it.
struct Further {
    addresses: HashSet<IpAddr>,
    /// Ports of endpoints at addresses of nodes: they may be node ports of others.
    ports: HashSet<NonZeroU16>,
    /// Services with one of the endpoints: some rules go by an endpoint's address alone.
    sharers: HashSet<Key>,
}

impl Further {
    fn of(state: &ClusterState, hairpin: Option<IpAddr>, claimed: &[PortInfo]) -> Further {
        let mut further = Further {
            addresses: hairpin.into_iter().collect(),
            ports: HashSet::new(),
            sharers: HashSet::new(),
        };
        let nodes = || state.nodes().values().flat_map(|node| &node.addresses);
        let nodes: HashSet<IpAddr> = nodes().map(|address| address.ip).collect();
        for backend in claimed.iter().flat_map(|port| &port.endpoints) {
            further.addresses.insert(backend.address);
            if nodes.contains(&backend.address) {
                further.ports.insert(backend.port);
            }
        }
        if further.addresses.is_empty() {
            return further;
        }
        for slice in state.slices().values() {
            let mut ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
            if ips.any(|ip| further.addresses.contains(&ip)) {
                further.sharers.extend(slice.service());
            }
        }
        further
    }

    fn concerns(&self, service: &Service) -> bool {
        let mut numbers =
            service.ports.iter().filter_map(|port| port.node_port).chain(service.health_check_node_port);
        super::addresses(service).any(|ip| self.addresses.contains(&ip))
            || numbers.any(|number| self.ports.contains(&number))
            || self.sharers.contains(service.key())
    }
}
