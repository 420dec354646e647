//! iptables and nftables modes, which differ in who wins a shared address, in what is refused, and in hairpins.

use std::net::{IpAddr, SocketAddr};

use super::{Face, Fate, From, Probe, Usable, World};
use crate::model::Protocol;
use crate::proxy::common::Backend;
use crate::proxy::ports::PortInfo;

/// What a Service port does with a packet for one of its addresses.
enum Choice<'a> {
    To(Vec<&'a Backend>, Masquerade),
    /// No endpoint for this source.
    Nowhere,
}

#[derive(Clone, Copy, PartialEq)]
enum Masquerade {
    Yes,
    No,
}

fn masquerade(yes: bool) -> Masquerade {
    if yes { Masquerade::Yes } else { Masquerade::No }
}

pub(super) fn iptables(world: &World<'_>) -> Fate {
    let Probe { destination, port, .. } = *world.probe;
    let to = SocketAddr::new(destination, port);
    for (port, face) in world.claims(to) {
        let usable = Usable::of(port, world.context);
        let choice = match face {
            Face::ClusterIp => internal(port, &usable, masquerade(world.masquerades_cluster_ips())),
            // Who is not in the ranges is not sent anywhere, and dropped later.
            Face::Vip if port.has_source_ranges() && !world.in_ranges(port) => Choice::Nowhere,
            Face::ExternalIp | Face::Vip => external(world, port, &usable, Masquerade::No),
        };
        if let Choice::To(endpoints, marked) = choice {
            return deliver(world, &endpoints, marked, |one| one.address == world.probe.source);
        }
    }
    let on_loopback = destination.is_loopback() && world.context.localhost_node_ports;
    let localhost = on_loopback
        && match &world.context.node_ports {
            crate::proxy::node::NodePorts::All => true,
            crate::proxy::node::NodePorts::On(ips) => ips.contains(&destination),
        };
    if world.answers_node_ports(destination) || localhost {
        for port in world.node_ports(port) {
            let usable = Usable::of(port, world.context);
            if let Choice::To(endpoints, marked) = external(world, port, &usable, Masquerade::No) {
                return deliver(world, &endpoints, marked, |one| one.address == world.probe.source);
            }
        }
    }
    iptables_refusal(world, to)
}

/// What nobody has rewritten.
fn iptables_refusal(world: &World<'_>, to: SocketAddr) -> Fate {
    let local = world.is_local(to.ip());
    let own = world.probe.from == From::Node;
    let foreign_loopback = to.ip().is_loopback() && !world.probe.source.is_loopback();
    if world.context.localhost_node_ports && foreign_loopback && (local || own) {
        return Fate::Drop;
    }
    let shut_out = |port: &PortInfo, face: Face| {
        face == Face::Vip && port.has_source_ranges() && Usable::of(port, world.context).any
    };
    if world.claims(to).any(|(port, face)| shut_out(port, face)) {
        return Fate::Drop;
    }
    // The first rule that refuses; those for cluster IPs come first, and stand where packets pass on or leave.
    if !local || own {
        let mut inside = world.claims(to).filter(|(_, face)| *face == Face::ClusterIp);
        let refused =
            inside.find_map(|(port, _)| refusal(&Usable::of(port, world.context), port.view.internal_local));
        if let Some(fate) = refused {
            return fate;
        }
    }
    // A packet of the node to one of its own addresses comes in again.
    if local && is_health_check(world, to) {
        return Fate::Accept;
    }
    if local || !own {
        let outside = world.claims(to).filter(|(_, face)| *face != Face::ClusterIp).map(|(port, _)| port);
        let node_ports = world.node_ports(to.port()).filter(|_| local);
        // By Service, addresses before node ports.
        let mut all: Vec<&PortInfo> = outside.chain(node_ports).collect();
        all.sort_by_key(|port| world.ports.iter().position(|known| std::ptr::eq(known, *port)));
        if let Some(fate) = all
            .into_iter()
            .find_map(|port| refusal(&Usable::of(port, world.context), port.view.external_local))
        {
            return fate;
        }
    }
    Fate::NoMatch
}

fn is_health_check(world: &World<'_>, to: SocketAddr) -> bool {
    world.probe.protocol == Protocol::Tcp
        && world.ports.iter().any(|port| port.health_check == Some(to.port()))
}

pub(super) fn nftables(world: &World<'_>) -> Fate {
    let Probe { destination, port, .. } = *world.probe;
    let to = SocketAddr::new(destination, port);
    // Source ranges hold before anything else, endpoints or not.
    let ranged =
        world.claims(to).filter(|(port, face)| *face == Face::Vip && port.has_source_ranges()).last();
    if ranged.is_some_and(|(port, _)| !world.in_ranges(port)) {
        return Fate::Drop;
    }
    let is_cluster_ip = world.ports.iter().any(|port| port.cluster_ip == destination);
    let marked = masquerade(is_cluster_ip && world.masquerades_cluster_ips());
    let hairpin = |one: &Backend| {
        one.address == world.probe.source && one.node.as_ref() == Some(&world.context.node.meta.key.name)
    };
    // The last of several that claim an address has it.
    let served = world.claims(to).filter(|(port, face)| {
        let usable = Usable::of(port, world.context);
        match face {
            Face::ClusterIp => usable.any && !(port.view.internal_local && usable.local.is_empty()),
            _ => usable.any,
        }
    });
    if let Some((port, face)) = served.last() {
        let usable = Usable::of(port, world.context);
        let choice = match face {
            Face::ClusterIp => internal(port, &usable, marked),
            _ => external(world, port, &usable, marked),
        };
        return match choice {
            Choice::To(endpoints, marked) => deliver(world, &endpoints, marked, hairpin),
            Choice::Nowhere => nftables_refusal(world, to),
        };
    }
    if world.answers_node_ports(destination) {
        let last = world.node_ports(port).filter(|port| Usable::of(port, world.context).any).last();
        if let Some(port) = last {
            let usable = Usable::of(port, world.context);
            if let Choice::To(endpoints, marked) = external(world, port, &usable, marked) {
                return deliver(world, &endpoints, marked, hairpin);
            }
        }
    }
    nftables_refusal(world, to)
}

fn nftables_refusal(world: &World<'_>, to: SocketAddr) -> Fate {
    let (local, own) = (world.is_local(to.ip()), world.probe.from == From::Node);
    let addressed = || {
        let refused = world.claims(to).filter_map(|(port, face)| {
            let by_policy =
                if face == Face::ClusterIp { port.view.internal_local } else { port.view.external_local };
            refusal(&Usable::of(port, world.context), by_policy)
        });
        refused.last()
    };
    if !local || own {
        if let Some(fate) = addressed() {
            return fate;
        }
        if world.ports.iter().any(|port| port.cluster_ip == to.ip()) {
            return Fate::Reject;
        }
    }
    if local {
        if world.answers_node_ports(to.ip()) {
            let refused = world.node_ports(to.port());
            let refused = refused
                .filter_map(|port| refusal(&Usable::of(port, world.context), port.view.external_local));
            if let Some(fate) = refused.last() {
                return fate;
            }
        }
        if let Some(fate) = addressed() {
            return fate;
        }
    }
    Fate::NoMatch
}

/// What a port that has nowhere to send a packet does with it.
fn refusal(usable: &Usable<'_>, local_only: bool) -> Option<Fate> {
    match usable.any {
        false => Some(Fate::Reject),
        true => (local_only && usable.local.is_empty()).then_some(Fate::Drop),
    }
}

fn internal<'a>(port: &PortInfo, usable: &Usable<'a>, marked: Masquerade) -> Choice<'a> {
    let chosen = if port.view.internal_local { &usable.local } else { &usable.cluster };
    if usable.any && !chosen.is_empty() { Choice::To(chosen.clone(), marked) } else { Choice::Nowhere }
}

/// To an external IP, a balancer's address or a node port.
fn external<'a>(world: &World<'_>, port: &PortInfo, usable: &Usable<'a>, marked: Masquerade) -> Choice<'a> {
    if !usable.any {
        return Choice::Nowhere;
    }
    if !port.view.external_local {
        return Choice::To(usable.cluster.clone(), Masquerade::Yes);
    }
    if world.is_local_pod() == Some(true) {
        return Choice::To(usable.cluster.clone(), marked);
    }
    if world.is_local(world.probe.source) {
        return Choice::To(usable.cluster.clone(), Masquerade::Yes);
    }
    if usable.local.is_empty() { Choice::Nowhere } else { Choice::To(usable.local.clone(), marked) }
}

fn deliver(
    world: &World<'_>,
    endpoints: &[&Backend],
    marked: Masquerade,
    hairpin: impl Fn(&Backend) -> bool,
) -> Fate {
    let one = |backend: &&Backend| {
        let rewritten = marked == Masquerade::Yes || hairpin(backend);
        (backend.socket(), rewritten && world.leaves(backend.address as IpAddr))
    };
    Fate::Deliver(endpoints.iter().map(one).collect())
}
