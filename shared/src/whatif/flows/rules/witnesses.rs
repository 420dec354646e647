//! In ipvs mode, rules over a set depend on whether it has entries: a few Services that fill the sets stand for all others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::super::places::Place;
use super::super::world::World;
use crate::model::{IpFamily, Key, Keyed, Protocol, ProxyMode, Service, ServiceType, Text, TrafficPolicy};
use crate::proxy::ports::cluster_ip;

/// Services that the change does not concern, and that fill ipvs mode's sets.
pub(super) struct Witnesses<'a> {
    /// Of sets that are the same on all nodes.
    everywhere: Vec<&'a Key>,
    /// With an endpoint on the node.
    by_node: BTreeMap<(Text, IpFamily), &'a Key>,
    /// With source ranges, which may hold the node.
    ranged: Vec<&'a Arc<Service>>,
}

impl<'a> Witnesses<'a> {
    pub fn of(world: &World<'a>, touched: &BTreeSet<Key>) -> Witnesses<'a> {
        let mut witnesses =
            Witnesses { everywhere: Vec::new(), by_node: BTreeMap::new(), ranged: Vec::new() };
        let mut known = 0;
        for service in world.state.services().values().filter(|service| !touched.contains(service.key())) {
            let fills = fills(service);
            if fills & !known != 0 {
                known |= fills;
                witnesses.everywhere.push(service.key());
            }
            if !service.source_ranges.is_empty() && service.vips().next().is_some() {
                witnesses.ranged.push(service);
            }
        }
        let nodes = world.state.nodes().len() * 2;
        for slice in world.state.slices().values() {
            let Some((family, owner)) = slice.address_type.family().zip(slice.service()) else { continue };
            let Some(service) = world.service(&owner).filter(|_| !touched.contains(&owner)) else { continue };
            let same = |port: &crate::model::ServicePort| {
                let known =
                    |p: &&crate::model::EndpointPort| p.name == port.name && p.protocol == port.protocol;
                slice.ports.iter().filter(known).any(|p| p.port.is_some())
            };
            if cluster_ip(service, family).is_none() || !service.ports.iter().any(same) {
                continue;
            }
            for node in slice.endpoints.iter().filter_map(|endpoint| endpoint.node.clone()) {
                witnesses.by_node.entry((node, family)).or_insert(service.key());
            }
            if witnesses.by_node.len() >= nodes {
                break;
            }
        }
        witnesses
    }

    pub fn for_place(&self, place: &Place<'_>) -> Vec<&'a Key> {
        if place.after.mode != ProxyMode::Ipvs {
            return Vec::new();
        }
        let mut keys = self.everywhere.clone();
        keys.extend(self.by_node.get(&(place.name.clone(), place.family)));
        let holds = |service: &&&Arc<Service>| {
            let mut ranges = service.source_ranges.iter();
            ranges.any(|range| range.contains(&place.after.node_ip))
        };
        keys.extend(self.ranged.iter().find(holds).map(|service| service.key()));
        keys
    }
}

/// Which sets of ipvs mode a Service fills, as bits.
fn fills(service: &Service) -> u64 {
    let mut bits = 0;
    let local =
        service.external_policy == TrafficPolicy::Local && service.service_type != ServiceType::ExternalName;
    for (nth, family) in IpFamily::BOTH.into_iter().enumerate() {
        if cluster_ip(service, family).is_none() || service.ports.is_empty() {
            continue;
        }
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let (external, balancer) =
            (service.external_ips.iter().any(ours), service.vips().any(|ip| ours(&ip)));
        let ranges = service.source_ranges.iter().filter(|range| ours(&range.addr()));
        let everybody = ranges.clone().any(|range| range.prefix_len() == 0);
        let ranged = balancer && !everybody && ranges.count() > 0;
        let node_port = |protocol: Protocol| {
            service.ports.iter().any(|port| port.protocol == protocol && port.node_port.is_some())
        };
        let (tcp, udp, sctp) =
            (node_port(Protocol::Tcp), node_port(Protocol::Udp), node_port(Protocol::Sctp));
        let health = local
            && service.service_type == ServiceType::LoadBalancer
            && service.health_check_node_port.is_some();
        let facts = [
            true,
            external && !local,
            external && local,
            balancer,
            balancer && local,
            ranged,
            tcp,
            tcp && local,
            udp,
            udp && local,
            sctp,
            sctp && local,
            health,
        ];
        for (bit, fact) in facts.into_iter().enumerate() {
            bits |= u64::from(fact) << (bit + nth * 32);
        }
    }
    bits
}
