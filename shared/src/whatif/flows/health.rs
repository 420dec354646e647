//! What kube-proxy itself answers at health-check node ports (`pkg/proxy/healthcheck/service_health.go`): balancers ask there
//! which nodes have endpoints of a Service under externalTrafficPolicy Local.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::world::World;
use crate::model::{IpFamily, Keyed, Protocol, ProxyMode, Service, ServicePort, TargetPort, Text};
use crate::proxy::backends;
use crate::proxy::node::{NodeContext, NodePorts};

/// How many ready endpoints each node has of the Service that a health-check node port is of; `None`: it is of none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Counts(Option<FxHashMap<Text, u32>>);

impl Counts {
    pub fn of(world: &World<'_>, port: u16, family: IpFamily) -> Counts {
        let asks = |service: &&&std::sync::Arc<Service>| {
            world.ports_of(service, family).iter().any(|info| info.health_check == Some(port))
        };
        Counts(world.on_port(port).iter().find(asks).map(|service| ready_by_node(world, service, family)))
    }

    /// What a node answers at one of its addresses: how many ready endpoints it has. `None`: nobody listens there.
    pub fn answer(&self, node: &NodeContext, ip: IpAddr) -> Option<u32> {
        let counts = self.0.as_ref()?;
        let listens = match &node.node_ports {
            _ if node.mode == ProxyMode::Userspace => false,
            NodePorts::All => true,
            NodePorts::On(ips) => ips.contains(&ip),
        };
        listens.then(|| counts.get(&node.node.meta.key.name).copied().unwrap_or(0))
    }
}

/// All that slices say of the Service counts, whatever its ports; an address counts once.
fn ready_by_node(world: &World<'_>, service: &Service, family: IpFamily) -> FxHashMap<Text, u32> {
    let slices = world.state.slices_of(service.key()).flat_map(|slice| &slice.ports);
    let ports: BTreeSet<(&Text, Protocol)> = slices.map(|port| (&port.name, port.protocol)).collect();
    let mut counted: FxHashSet<(Text, IpAddr)> = FxHashSet::default();
    let mut counts = FxHashMap::default();
    for (name, protocol) in ports {
        let port = ServicePort {
            name: name.clone(),
            protocol,
            port: std::num::NonZeroU16::MIN,
            target_port: TargetPort::Number(std::num::NonZeroU16::MIN),
            node_port: None,
            app_protocol: None,
        };
        for backend in backends(world.state, service, &port, family).into_iter().filter(|one| one.ready) {
            let Some(node) = backend.node.filter(|node| !node.is_empty()) else { continue };
            if counted.insert((node.clone(), backend.address)) {
                *counts.entry(node).or_insert(0) += 1;
            }
        }
    }
    counts
}
