//! How long a difference takes: `cargo bench -p vipscope-shared --bench whatif`. The budget: one changed object at 10,000
//! Services with 15 endpoints each in 100 ms.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use std::sync::Arc;

use divan::Bencher;
use jiff::Timestamp;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::diagnose;
use vipscope_shared::model::{ClusterState, EndpointSlice, ProxyMode};
use vipscope_shared::synthetic::{self, Size};
use vipscope_shared::whatif::compare::with_mode;
use vipscope_shared::whatif::{Findings, Options, difference_with};

fn main() {
    divan::main();
}

/// Flows, connections and rules; findings are measured apart.
fn options() -> Options<'static> {
    Options { findings: Findings::Skip, ..Options::at(Timestamp::UNIX_EPOCH) }
}

/// The same with one endpoint less.
fn without_one(state: &ClusterState) -> ClusterState {
    let mut slice = EndpointSlice::clone(state.slices().values().nth(state.slices().len() / 2).unwrap());
    slice.endpoints.remove(0);
    let mut after = state.clone();
    let _ = after.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
    after
}

/// One changed slice.
#[divan::bench(args = ProxyMode::ALL, sample_count = 10)]
fn one_slice_10000_x_15(bencher: Bencher, mode: ProxyMode) {
    let before = with_mode(&synthetic::uniform(10_000, 15, 50), mode);
    let after = without_one(&before);
    bencher.bench_local(|| difference_with(&before, &after, &options()));
}

/// The same where pods are known too.
#[divan::bench(sample_count = 10)]
fn one_slice_with_pods_10000_x_15(bencher: Bencher) {
    let size = Size { namespaces: 100, nodes: 50, services: 10_000, endpoints: 150_000 };
    let before = synthetic::cluster(size, 1);
    let after = without_one(&before);
    bencher.bench_local(|| difference_with(&before, &after, &options()));
}

/// The findings of that cluster alone.
#[divan::bench(sample_count = 10)]
fn findings_with_pods_10000_x_15(bencher: Bencher) {
    let size = Size { namespaces: 100, nodes: 50, services: 10_000, endpoints: 150_000 };
    let before = synthetic::cluster(size, 1);
    bencher.bench_local(|| diagnose::diagnose(&before, &diagnose::Options::at(Timestamp::UNIX_EPOCH)));
}

/// As large as the sandbox: another mode on all nodes.
#[divan::bench(sample_count = 20)]
fn another_mode_in_the_sandbox(bencher: Bencher) {
    let before = synthetic::cluster(Size::SMALL, 1);
    let after = with_mode(&before, ProxyMode::Nftables);
    bencher.bench_local(|| difference_with(&before, &after, &Options::at(Timestamp::UNIX_EPOCH)));
}
