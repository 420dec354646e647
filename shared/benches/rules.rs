//! How long rules take: `cargo bench -p vipscope-shared`. Sizes are Services × endpoints of each; DESIGN.md, section 7, has the
//! budgets. `rules_memory` measures memory, apart from this, since counting allocations takes time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run ends")]

use std::collections::BTreeSet;
use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{ClusterState, IpFamily, Keyed, Node, ProxyMode};
use vipscope_shared::netfilter;
use vipscope_shared::proxy::incremental::{NodeRules, SharedPorts};
use vipscope_shared::proxy::node::NodeContext;
use vipscope_shared::proxy::ports::{PortInfo, port_infos};
use vipscope_shared::proxy::reading::{self, View};
use vipscope_shared::proxy::{self, Format, Scope, iptables, ipvs, nftables};
use vipscope_shared::synthetic;

const SIZES: [(usize, usize); 2] = [(1_000, 10), (10_000, 15)];
const NODES: usize = 50;
const IPV4: IpFamily = IpFamily::IPv4;

fn main() {
    for (services, endpoints) in SIZES {
        let state = synthetic::uniform(services, endpoints, NODES);
        for mode in ProxyMode::ALL {
            let text = proxy::generate(&state, &first_node(&state), IPV4, mode).print(Format::Recorded);
            println!("{services} x {endpoints} {mode}: {} bytes of text", text.unwrap().len());
        }
    }
    divan::main();
}

fn first_node(state: &ClusterState) -> Arc<Node> {
    state.nodes().values().next().unwrap().clone()
}

struct Input {
    state: ClusterState,
    ports: Vec<PortInfo>,
}

fn input((services, endpoints): (usize, usize)) -> Input {
    let state = synthetic::uniform(services, endpoints, NODES);
    let ports = port_infos(&state, IPV4);
    Input { state, ports }
}

fn context(state: &ClusterState, mode: ProxyMode) -> NodeContext {
    NodeContext::new(state, &first_node(state), IPV4, mode)
}

/// What all nodes share: Service ports with their endpoints, from the objects.
#[divan::bench(args = SIZES, sample_count = 25)]
fn shared_ports(bencher: Bencher, size: (usize, usize)) {
    let state = synthetic::uniform(size.0, size.1, NODES);
    bencher.bench_local(|| black_box(port_infos(&state, IPV4)));
}

/// Rules of one node as text, from the shared ports.
#[divan::bench(args = SIZES, sample_count = 25)]
fn iptables_text(bencher: Bencher, size: (usize, usize)) {
    let Input { state, ports } = input(size);
    let node = context(&state, ProxyMode::Iptables);
    bencher.bench_local(|| {
        let mut out = String::new();
        iptables::write(&ports, &node, &mut out);
        out
    });
}

/// As values that stay, without text.
#[divan::bench(args = SIZES, sample_count = 25)]
fn iptables_values(bencher: Bencher, size: (usize, usize)) {
    let Input { state, ports } = input(size);
    let node = context(&state, ProxyMode::Iptables);
    bencher.bench_local(|| iptables::generate(&ports, &node));
}

#[divan::bench(args = SIZES, sample_count = 25)]
fn nftables_values(bencher: Bencher, size: (usize, usize)) {
    let Input { state, ports } = input(size);
    let node = context(&state, ProxyMode::Nftables);
    bencher.bench_local(|| nftables::generate(&ports, &node));
}

/// The text of 50 different nodes, from the shared ports.
#[divan::bench(args = [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs], sample_count = 3)]
fn fifty_nodes_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let Input { state, ports } = input((10_000, 15));
    bencher.bench_local(|| {
        let mut bytes = 0;
        for node in state.nodes().values() {
            let node = NodeContext::new(&state, node, IPV4, mode);
            let mut out = String::new();
            match mode {
                ProxyMode::Nftables => nftables::generate(&ports, &node).write(&mut out),
                ProxyMode::Ipvs => ipvs::generate(&ports, &node).write(&mut out),
                _ => iptables::write(&ports, &node, &mut out),
            }
            bytes += out.len();
        }
        bytes
    });
}

/// One endpoint of one Service fails or recovers: the shared ports and one node follow, and say what is different.
#[divan::bench(args = [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs], sample_count = 100, sample_size = 1)]
fn one_slice_changes_at_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let mut state = synthetic::uniform(10_000, 15, NODES);
    let mut shared = SharedPorts::new(&state, IPV4);
    let mut rules = NodeRules::new(&state, &shared, &first_node(&state), mode);
    let slices: Vec<_> = state.slices().values().cloned().collect();
    let mut nth = 0;
    bencher
        .with_inputs(|| {
            nth = (nth + 4_999) % slices.len();
            let mut slice = state.slices().get(slices[nth].key()).unwrap().as_ref().clone();
            let ready = slice.endpoints[3].conditions.is_ready();
            slice.endpoints[3].conditions.ready = Some(!ready);
            let object = slice.object_ref();
            let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
            (state.clone(), object)
        })
        .bench_local_refs(|(state, object)| {
            let touched = shared.update(state, object);
            let diff = rules.update(state, &shared, &touched);
            assert!(!diff.is_empty());
            diff
        });
}

#[divan::bench(args = SIZES, sample_count = 25)]
fn nftables_text(bencher: Bencher, size: (usize, usize)) {
    let Input { state, ports } = input(size);
    let node = context(&state, ProxyMode::Nftables);
    bencher.bench_local(|| {
        let mut out = String::new();
        nftables::generate(&ports, &node).write(&mut out);
        out
    });
}

#[divan::bench(args = SIZES, sample_count = 25)]
fn ipvs_text(bencher: Bencher, size: (usize, usize)) {
    let Input { state, ports } = input(size);
    let node = context(&state, ProxyMode::Ipvs);
    bencher.bench_local(|| {
        let mut out = String::new();
        ipvs::generate(&ports, &node).write(&mut out);
        out
    });
}

/// The text of a whole node, 47 MB, back to values.
#[divan::bench(sample_count = 9)]
fn parse_iptables_10000_x_15(bencher: Bencher) {
    let Input { state, ports } = input((10_000, 15));
    let mut text = String::new();
    iptables::write(&ports, &context(&state, ProxyMode::Iptables), &mut text);
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| netfilter::iptables::parse(&text).unwrap());
}

/// What the Rules panel does for one Service of a large cluster: its rules, and the reading of them.
#[divan::bench(args = ProxyMode::ALL, sample_count = 100)]
fn one_service_for_people_at_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let state = synthetic::uniform(10_000, 15, NODES);
    let (node, key) = (first_node(&state), state.services().keys().nth(5_000).unwrap().clone());
    let lit = BTreeSet::new();
    bencher.bench_local(|| {
        let rules = proxy::generate_for(&state, &node, IPV4, mode, Scope::Service(&key));
        reading::read(&rules, View { limit: 80, focus: None, lit: &lit })
    });
}

/// From the objects to text, nothing shared.
#[divan::bench(args = [ProxyMode::Userspace, ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs], sample_count = 9)]
fn objects_to_text_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let state = synthetic::uniform(10_000, 15, NODES);
    let node = first_node(&state);
    bencher.bench_local(|| proxy::generate(&state, &node, IPV4, mode).print(Format::Recorded).unwrap());
}
