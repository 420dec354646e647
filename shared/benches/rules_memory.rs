//! How much memory rules take at their peak, in each mode: `cargo bench -p vipscope-shared --bench rules_memory`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use divan::{AllocProfiler, Bencher};
use vipscope_shared::model::{IpFamily, ProxyMode};
use vipscope_shared::proxy::{self, Format};
use vipscope_shared::synthetic;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// From the objects to text; `max alloc` is the peak beyond the objects.
#[divan::bench(args = [ProxyMode::Userspace, ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs], sample_count = 3)]
fn peak_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let state = synthetic::uniform(10_000, 15, 50);
    let node = state.nodes().values().next().unwrap().clone();
    bencher.bench_local(|| {
        proxy::generate(&state, &node, IpFamily::IPv4, mode).print(Format::Recorded).unwrap()
    });
}
