//! How long following a packet takes: `cargo bench -p vipscope-shared --bench trace`. Sizes are Services × endpoints of each;
//! DESIGN.md, section 7, has the budget: 10 µs a trace at 10,000 × 15.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use std::net::{IpAddr, Ipv4Addr};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use vipscope_shared::model::{ClusterState, IpFamily, Protocol, ProxyMode};
use vipscope_shared::predict::{Predictor, origin_of};
use vipscope_shared::synthetic::{self, Random};
use vipscope_shared::trace::{Origin, Packet, Trace};

const SIZES: [usize; 2] = [10, 10_000];
const ENDPOINTS: usize = 15;

fn main() {
    divan::main();
}

fn predictor(state: &ClusterState, mode: ProxyMode) -> Predictor {
    Predictor::new(state, state.nodes().values().next().unwrap(), IpFamily::IPv4, mode)
}

/// From a pod of the node to the cluster IP of a Service in the middle.
fn packet(state: &ClusterState) -> Packet {
    let service = state.services().values().nth(state.services().len() / 2).unwrap();
    Packet {
        source: Ipv4Addr::new(10, 244, 0, 200).into(),
        destination: service.cluster_ip.ips()[0],
        port: service.ports[0].port.get(),
        protocol: Protocol::Tcp,
        origin: Origin::Pod,
    }
}

macro_rules! bench_mode {
    ($name:ident, $mode:expr) => {
        #[divan::bench(args = SIZES)]
        fn $name(bencher: Bencher, services: usize) {
            let state = synthetic::uniform(services, ENDPOINTS, 50);
            let (predictor, packet) = (predictor(&state, $mode), packet(&state));
            let mut trace = Trace::default();
            predictor.program.trace_into(&predictor.host, &packet, &mut trace);
            assert_eq!(trace.outcomes.len(), ENDPOINTS);
            bencher.bench_local(|| {
                predictor.program.trace_into(&predictor.host, black_box(&packet), &mut trace)
            });
        }
    };
}

bench_mode!(userspace, ProxyMode::Userspace);
bench_mode!(iptables, ProxyMode::Iptables);
bench_mode!(nftables, ProxyMode::Nftables);
bench_mode!(ipvs, ProxyMode::Ipvs);

/// Mixed packets at 1,000 Services × 5: to cluster IPs, external addresses and node ports, with and without endpoints, to
/// unknown ports and to pods, from pods, nodes and outside.
#[divan::bench(args = ProxyMode::ALL, sample_count = 20)]
fn mixed_at_1000(bencher: Bencher, mode: ProxyMode) {
    let size = synthetic::Size { namespaces: 20, nodes: 50, services: 1_000, endpoints: 5_000 };
    let state = synthetic::cluster(size, 7);
    let predictor = predictor(&state, mode);
    let packets = mixed(&state);
    let mut trace = Trace::default();
    bencher.counter(ItemsCount::new(packets.len())).bench_local(|| {
        for packet in &packets {
            predictor.program.trace_into(&predictor.host, packet, &mut trace);
        }
    });
}

fn mixed(state: &ClusterState) -> Vec<Packet> {
    let node = state.nodes().values().next().unwrap();
    let mut random = Random(3);
    let services: Vec<_> = state.services().values().collect();
    let pods: Vec<IpAddr> = state.pods().values().filter_map(|pod| pod.ips.first().copied()).collect();
    let own = node.addresses[0].ip;
    let outside: IpAddr = Ipv4Addr::new(198, 51, 100, 7).into();
    let mut packets = Vec::new();
    while packets.len() < 10_000 {
        let service = services[random.below(services.len())];
        if service.ports.is_empty() {
            continue;
        }
        let port = &service.ports[random.below(service.ports.len())];
        let all: Vec<IpAddr> =
            service.cluster_ip.ips().iter().copied().chain(service.outside_ips()).collect();
        let number = port.port.get();
        let (destination, number) = match random.below(10) {
            0 => (pods[random.below(pods.len())], 8080),
            1 => (own, port.node_port.map_or(number, u16::from)),
            2 if !all.is_empty() => (all[0], 7),
            _ if !all.is_empty() => (all[random.below(all.len())], number),
            _ => continue,
        };
        let source = match random.below(10) {
            0 => own,
            1 => outside,
            _ => pods[random.below(pods.len())],
        };
        let origin = origin_of(state, node, source);
        packets.push(Packet { source, destination, port: number, protocol: port.protocol, origin });
    }
    packets
}

/// Rules of all Services, or of those that a packet concerns, made ready to be followed.
#[divan::bench(args = ProxyMode::ALL, sample_count = 5)]
fn ready_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let state = synthetic::uniform(10_000, ENDPOINTS, 50);
    bencher.bench_local(|| predictor(&state, mode));
}

#[divan::bench(args = ProxyMode::ALL, sample_count = 20)]
fn one_answer_from_objects_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let state = synthetic::uniform(10_000, ENDPOINTS, 50);
    let (node, packet) = (state.nodes().values().next().unwrap(), packet(&state));
    bencher.bench_local(|| {
        Predictor::for_packet(&state, node, IpFamily::IPv4, mode, &packet).answer(&state, &packet)
    });
}
