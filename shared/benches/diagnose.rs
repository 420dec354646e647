//! How long checks take: `cargo bench -p vipscope-shared --bench diagnose`.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use divan::Bencher;
use jiff::Timestamp;
use vipscope_shared::delta::Change;
use vipscope_shared::diagnose::{Options, diagnose, diagnose_service};
use vipscope_shared::model::{ClusterState, Freshness, Kind, Source};
use vipscope_shared::synthetic::{self, Size};

fn main() {
    divan::main();
}

/// A cluster whose kinds are all known, so that every check runs.
fn watched(size: Size) -> ClusterState {
    let mut state = synthetic::cluster(size, 1);
    for kind in Kind::ALL {
        let _ = state.apply(&Change::Source(Source { kind, freshness: Freshness::Live }));
    }
    state
}

const THRESHOLD: Size = Size { namespaces: 100, nodes: 5_000, services: 10_000, endpoints: 150_000 };

/// Every check over every Service of the threshold cluster.
#[divan::bench(sample_count = 5)]
fn all_services_at_the_threshold(bencher: Bencher) {
    let state = watched(THRESHOLD);
    bencher.bench_local(|| diagnose(&state, &Options::at(Timestamp::UNIX_EPOCH)));
}

/// One Service, as the inspector asks.
#[divan::bench(sample_count = 20)]
fn one_service_of_500(bencher: Bencher) {
    let state = watched(Size::LARGE);
    let key = state.services().keys().next().unwrap().clone();
    bencher.bench_local(|| diagnose_service(&state, &key, &Options::at(Timestamp::UNIX_EPOCH)));
}
