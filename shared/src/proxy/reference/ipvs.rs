//! ipvs mode: every address of a Service is the node's own, and policies Local fall back to the cluster's endpoints.

use std::net::{IpAddr, SocketAddr};

use super::{Face, Fate, From, Usable, World};
use crate::model::{IpFamily, Protocol};
use crate::proxy::common::Backend;
use crate::proxy::node::NodePorts;
use crate::proxy::ports::PortInfo;

pub(super) fn answer(world: &World<'_>) -> Fate {
    let probe = world.probe;
    let to = SocketAddr::new(probe.destination, probe.port);
    let own = probe.from == From::Node;
    let bound = is_bound(world, to.ip());
    let comes_in = || incoming(world, to, bound);
    if !own && let Some(fate) = comes_in() {
        return fate;
    }
    if let Some(endpoints) = virtual_server(world, to) {
        // The node may not use a balancer's address from outside its ranges.
        let shut_out = own && !endpoints.is_empty() && shut_out_node(world, to);
        return match (shut_out, endpoints.is_empty()) {
            (_, true) => Fate::Reject,
            (true, false) => Fate::Drop,
            (false, false) => deliver(world, to, &endpoints),
        };
    }
    if own
        && (bound || world.is_local(to.ip()))
        && let Some(fate) = comes_in()
    {
        return fate;
    }
    if (bound || world.is_local(to.ip())) && is_health_check(world, to) {
        Fate::Accept
    } else {
        Fate::NoMatch
    }
}

/// Whether the dummy interface has the address.
pub(super) fn is_bound(world: &World<'_>, to: IpAddr) -> bool {
    world.ports.iter().any(|port| addresses(port).any(|ip| ip == to))
}

fn addresses(port: &PortInfo) -> impl Iterator<Item = IpAddr> {
    let outside = port.external_ips.iter().chain(&port.vips).copied();
    std::iter::once(port.cluster_ip).chain(outside)
}

/// What INPUT refuses: unknown ports of the Services' addresses, and balancer addresses from outside their ranges.
fn incoming(world: &World<'_>, to: SocketAddr, bound: bool) -> Option<Fate> {
    let known = world.claims(to).next().is_some() || is_health_check(world, to);
    if bound && !known {
        return Some(Fate::Reject);
    }
    let mut ranged =
        world.claims(to).filter(|(port, face)| *face == Face::Vip && port.has_source_ranges()).peekable();
    ranged.peek()?;
    let source = world.probe.source;
    let may = |port: &PortInfo| {
        let node_too = port.source_ranges.iter().any(|range| range.contains(&world.context.node_ip));
        port.source_ranges.iter().any(|range| range.contains(&source)) || (node_too && source == to.ip())
    };
    (!ranged.any(|(port, _)| may(port))).then_some(Fate::Drop)
}

/// The set holds ports alone, of whatever protocol.
fn is_health_check(world: &World<'_>, to: SocketAddr) -> bool {
    let counts = |port: &&PortInfo| port.node_port.is_none() || !node_addresses(world).is_empty();
    world.ports.iter().filter(counts).any(|port| port.health_check == Some(to.port()))
}

fn shut_out_node(world: &World<'_>, to: SocketAddr) -> bool {
    world.probe.source == to.ip()
        && world.claims(to).any(|(port, face)| {
            face == Face::Vip
                && port.has_source_ranges()
                && !port.source_ranges.iter().any(|range| range.contains(&world.context.node_ip))
        })
}

/// The addresses on which node ports have virtual servers.
fn node_addresses(world: &World<'_>) -> Vec<IpAddr> {
    let family = world.context.family;
    let all = match &world.context.node_ports {
        NodePorts::All => world.context.node.addresses.iter().map(|address| address.ip).collect(),
        NodePorts::On(ips) => ips.clone(),
    };
    all.into_iter().filter(|ip| IpFamily::of(*ip) == family && !ip.is_loopback()).collect()
}

/// The real servers of the virtual server there; the last Service that claims it fills it.
fn virtual_server<'a>(world: &'a World<'_>, to: SocketAddr) -> Option<Vec<&'a Backend>> {
    let mut found = None;
    for port in world.ports.iter().filter(|port| port.protocol == world.probe.protocol) {
        let usable = Usable::of(port, world.context);
        let choose = |local: bool| {
            if local && !usable.local.is_empty() { usable.local.clone() } else { usable.cluster.clone() }
        };
        if port.port == to.port() && port.cluster_ip == to.ip() {
            found = Some(choose(port.view.internal_local));
        }
        let outside =
            port.port == to.port() && (port.external_ips.contains(&to.ip()) || port.vips.contains(&to.ip()));
        let by_node_port = port.node_port == Some(to.port()) && node_addresses(world).contains(&to.ip());
        if outside || by_node_port {
            found = Some(choose(port.view.external_local));
        }
    }
    found
}

fn deliver(world: &World<'_>, to: SocketAddr, endpoints: &[&Backend]) -> Fate {
    let marked = is_marked(world, to);
    let one = |backend: &&Backend| {
        let here = backend.node.as_ref() == Some(&world.context.node.meta.key.name);
        let hairpin = here && backend.address == world.probe.source;
        (backend.socket(), (marked || hairpin) && world.leaves(backend.address))
    };
    Fate::Deliver(endpoints.iter().map(one).collect())
}

fn is_marked(world: &World<'_>, to: SocketAddr) -> bool {
    let probe = world.probe;
    if probe.source.is_loopback() {
        return false;
    }
    let claims: Vec<(&PortInfo, Face)> = world.claims(to).collect();
    let has = |face: Face| claims.iter().any(|(_, known)| *known == face);
    let local = |face: Face, local: bool| {
        claims.iter().any(|(port, known)| *known == face && port.view.external_local == local)
    };
    if has(Face::Vip) && !local(Face::Vip, true) {
        return true;
    }
    if has(Face::ClusterIp) {
        let from_service = || {
            world.ports.iter().any(|port| {
                (port.cluster_ip, port.port, port.protocol) == (probe.source, probe.port, probe.protocol)
            })
        };
        let inside = match (world.context.masquerade_all(), world.is_local_pod()) {
            (true, _) => true,
            (false, Some(pod)) => !pod,
            (false, None) => from_service(),
        };
        if inside {
            return true;
        }
    }
    if local(Face::ExternalIp, false) {
        return true;
    }
    // External IPs are accepted before node ports are looked at.
    if has(Face::ExternalIp) {
        return false;
    }
    is_node_port_marked(world, to)
}

fn is_node_port_marked(world: &World<'_>, to: SocketAddr) -> bool {
    let addresses = node_addresses(world);
    let here = |port: &&PortInfo| match world.probe.protocol {
        Protocol::Sctp => addresses.contains(&to.ip()),
        _ => !addresses.is_empty() && port.node_port.is_some(),
    };
    let ports: Vec<&PortInfo> = world.node_ports(to.port()).filter(here).collect();
    !ports.is_empty() && !ports.iter().any(|port| port.view.external_local)
}
