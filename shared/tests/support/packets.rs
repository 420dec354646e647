//! Packets that are likely to meet something: to and from the addresses and ports that a cluster mentions, and some that it
//! does not.

use std::net::{IpAddr, SocketAddr};

use vipscope_shared::model::{ClusterState, IpFamily, Node, Protocol};
use vipscope_shared::predict::origin_of;
use vipscope_shared::proxy::ports::port_infos;
use vipscope_shared::synthetic::Random;
use vipscope_shared::trace::Packet;

/// What a cluster mentions in one family.
pub struct Pool {
    sources: Vec<IpAddr>,
    addresses: Vec<IpAddr>,
    numbers: Vec<(Protocol, u16)>,
    sockets: Vec<(Protocol, SocketAddr)>,
}

impl Pool {
    pub fn of(state: &ClusterState, node: &Node, family: IpFamily) -> Pool {
        let ports = port_infos(state, family);
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let foreign: &[&str] = match family {
            IpFamily::IPv4 => &["198.51.100.7", "192.0.2.200", "10.96.200.200"],
            IpFamily::IPv6 => &["2001:db8::7", "2001:db8:ffff::9", "fd00:10:96::ffee"],
        };
        let loopback: IpAddr = if family == IpFamily::IPv4 { "127.0.0.1" } else { "::1" }.parse().unwrap();
        let foreign = foreign.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
        let nodes =
            state.nodes().values().flat_map(|node| &node.addresses).map(|address| address.ip).filter(ours);
        let nodes: Vec<IpAddr> = nodes.collect();
        let own = node.addresses.iter().map(|address| address.ip).filter(ours);
        let endpoints = ports.iter().flat_map(|port| &port.endpoints).map(|backend| backend.address);
        let vips = || ports.iter().flat_map(|port| port.external_ips.iter().chain(&port.vips).copied());
        let inside = ports.iter().flat_map(|port| &port.source_ranges).map(|range| range.addr());
        let mut sources: Vec<IpAddr> = nodes
            .iter()
            .copied()
            .chain(endpoints.clone())
            .chain(foreign.clone())
            .chain(inside)
            .chain(vips())
            .collect();
        sources.extend([loopback].into_iter().chain(own.clone()));
        let mut addresses: Vec<IpAddr> = ports.iter().map(|port| port.cluster_ip).chain(vips()).collect();
        addresses.extend(
            nodes.into_iter().chain(own.clone()).chain(foreign).chain(endpoints.take(3)).chain([loopback]),
        );
        let mut sockets = Vec::new();
        let mut numbers = vec![(Protocol::Tcp, 7), (Protocol::Udp, 40_000)];
        for port in &ports {
            let all = [port.cluster_ip].into_iter().chain(port.external_ips.clone()).chain(port.vips.clone());
            sockets.extend(all.map(|ip| (port.protocol, SocketAddr::new(ip, port.port))));
            numbers.push((port.protocol, port.port));
            for number in port.node_port.into_iter().chain(port.health_check) {
                numbers.extend([(port.protocol, number), (Protocol::Tcp, number)]);
                sockets.extend(
                    own.clone().chain([loopback]).map(|ip| (port.protocol, SocketAddr::new(ip, number))),
                );
            }
        }
        sources.sort_unstable();
        sources.dedup();
        Pool { sources, addresses, numbers, sockets }
    }

    pub fn draw(&self, random: &mut Random, state: &ClusterState, node: &Node) -> Packet {
        let source = self.sources[random.below(self.sources.len())];
        let origin = origin_of(state, node, source);
        let (protocol, to) = if self.sockets.is_empty() || random.once_in(4) {
            let (protocol, port) = self.numbers[random.below(self.numbers.len())];
            (protocol, SocketAddr::new(self.addresses[random.below(self.addresses.len())], port))
        } else {
            self.sockets[random.below(self.sockets.len())]
        };
        Packet { source, destination: to.ip(), port: to.port(), protocol, origin }
    }
}
