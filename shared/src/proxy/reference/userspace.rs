//! userspace mode: kube-proxy takes every connection itself and opens another one, from the node.

use std::net::SocketAddr;

use super::{Fate, From, World};
use crate::model::{ClusterState, IpFamily, Protocol};
use crate::proxy::node::Detector;
use crate::proxy::userspace::sockets;

pub(super) fn answer(state: &ClusterState, world: &World<'_>) -> Fate {
    let probe = world.probe;
    let to = SocketAddr::new(probe.destination, probe.port);
    let sockets = sockets(state, world.context.family);
    let named =
        |name: &str| sockets.iter().find(|socket| socket.name == name && socket.protocol == probe.protocol);
    let portal = portal_name(state, world, to).and_then(|name| named(&name));
    let direct = || {
        let local = world.is_local(to.ip()) && !world.is_martian();
        sockets.iter().find(|socket| local && (socket.protocol, socket.port) == (probe.protocol, to.port()))
    };
    let Some(socket) = portal.or_else(direct) else { return Fate::NoMatch };
    match (socket.endpoints.is_empty(), probe.protocol) {
        (false, _) => Fate::Deliver(socket.endpoints.iter().map(|to| (*to, true)).collect()),
        (true, Protocol::Tcp) => Fate::Reject,
        (true, _) => Fate::Drop,
    }
}

/// The Service port that a destination opens, by name.
fn portal_name(state: &ClusterState, world: &World<'_>, to: SocketAddr) -> Option<String> {
    let probe = world.probe;
    let bridged = probe.from == From::Pod && matches!(world.context.detector, Some(Detector::Bridge(_)));
    let local = world.is_local(to.ip());
    let ours = |family_ip: std::net::IpAddr| IpFamily::of(family_ip) == world.context.family;
    let mut by_address = world.ports.iter().filter(|port| {
        let service =
            state.services().get(&crate::model::Key::new(port.namespace.clone(), port.service.clone()));
        // It is older than `ipMode`: every address of the balancer counts.
        let balancer = service.is_some_and(|service| {
            service.ingress.iter().filter_map(|entry| entry.ip).any(|ip| ours(ip) && ip == to.ip())
        });
        let reached = match probe.from {
            From::Node => local,
            _ => local || !bridged,
        };
        let external = port.external_ips.contains(&to.ip()) && reached;
        port.protocol == probe.protocol
            && port.port == to.port()
            && (port.cluster_ip == to.ip() || balancer || external)
    });
    let by_node_port = || world.node_ports(to.port()).next().filter(|_| local);
    by_address.next().or_else(by_node_port).map(|port| port.name.clone())
}
