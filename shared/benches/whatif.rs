//! How long a difference takes: `cargo bench -p vipscope-shared --bench whatif`. The budget: one changed object at 10,000
//! Services with 15 endpoints each in 100 ms.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use std::sync::Arc;

use divan::Bencher;
use jiff::Timestamp;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::diagnose;
use vipscope_shared::model::{ClusterState, EndpointSlice, Keyed, ProxyMode, Service, ServiceType};
use vipscope_shared::synthetic::{self, Size};
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::compare::with_mode;
use vipscope_shared::whatif::edit::{Edit, parse};
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
    let before = with_pods();
    let after = without_one(&before);
    bencher.bench_local(|| difference_with(&before, &after, &options()));
}

fn with_pods() -> ClusterState {
    synthetic::cluster(Size { namespaces: 100, nodes: 50, services: 10_000, endpoints: 150_000 }, 1)
}

/// One edit of an ordinary Service with 15 pods, or of one of them.
fn edit(what: &str, state: &ClusterState) -> Vec<Edit> {
    let ordinary = |service: &&Arc<Service>| {
        service.service_type == ServiceType::ClusterIP
            && !service.is_headless()
            && state.selected_pods(service).count() == 15
    };
    let service = state.services().values().skip(5_000).find(ordinary).unwrap();
    let pod = state.selected_pods(service).next().unwrap().key();
    let key = service.key();
    let patch = |spec: &str| format!("[{{op: patch, object: Service/{key}, patch: {{spec: {{{spec}}}}}}}]");
    let text = match what {
        "session affinity" => patch("sessionAffinity: ClientIP"),
        "selector that matches nothing" => patch("selector: {app: nobody}"),
        "internal policy Local" => patch("internalTrafficPolicy: Local"),
        _ => format!("[{{op: pod, pod: {pod}, state: unready}}]"),
    };
    parse(&text).unwrap()
}

const EDITS: [&str; 4] =
    ["session affinity", "selector that matches nothing", "internal policy Local", "a pod unready"];

/// The whole answer: the edit, flows, connections, rules and findings.
#[divan::bench(args = EDITS, sample_count = 20)]
fn whole_answer_with_pods_10000_x_15(bencher: Bencher, what: &str) {
    let before = with_pods();
    let edits = edit(what, &before);
    bencher.bench_local(|| {
        let after = apply(&before, &edits, Timestamp::UNIX_EPOCH).unwrap();
        let options = Options { changed: Some(&after.changed), ..Options::at(Timestamp::UNIX_EPOCH) };
        difference_with(&before, &after.state, &options)
    });
}

fn of_a_node(bencher: Bencher, before: &ClusterState, op: &str, what: &str) {
    let node = before.nodes().keys().next().unwrap();
    let edits = parse(&format!("[{{op: {op}, node: {}, {what}}}]", node.name)).unwrap();
    bencher.bench_local(|| {
        let after = apply(before, &edits, Timestamp::UNIX_EPOCH).unwrap();
        let options = Options { changed: Some(&after.changed), ..Options::at(Timestamp::UNIX_EPOCH) };
        difference_with(before, &after.state, &options)
    });
}

/// The same of a node that takes no new pods any longer.
#[divan::bench(sample_count = 10)]
fn cordon_10000_x_15(bencher: Bencher) {
    of_a_node(bencher, &with_pods(), "node", "state: cordon");
}

/// The same of a node in another zone: all of its 3,000 endpoints are written anew.
#[divan::bench(sample_count = 5)]
fn zone_10000_x_15(bencher: Bencher) {
    of_a_node(bencher, &with_pods(), "zone", "zone: elsewhere");
}

/// A drain changes hundreds of pods, and whom hundreds of Services lead to on every node.
#[divan::bench(sample_count = 1)]
fn drain_1000_x_15(bencher: Bencher) {
    let size = Size { namespaces: 20, nodes: 50, services: 1_000, endpoints: 15_000 };
    of_a_node(bencher, &synthetic::cluster(size, 1), "node", "state: drain");
}

/// The same at 10,000 Services: thousands of pods, and of Services.
#[divan::bench(sample_count = 1)]
fn drain_10000_x_15(bencher: Bencher) {
    of_a_node(bencher, &with_pods(), "node", "state: drain");
}

/// A node that is not heard of any longer.
#[divan::bench(sample_count = 1)]
fn lost_10000_x_15(bencher: Bencher) {
    of_a_node(bencher, &with_pods(), "node", "state: lost");
}

/// The edit alone.
#[divan::bench(args = EDITS, sample_count = 20)]
fn edit_alone_with_pods_10000_x_15(bencher: Bencher, what: &str) {
    let before = with_pods();
    let edits = edit(what, &before);
    bencher.bench_local(|| apply(&before, &edits, Timestamp::UNIX_EPOCH).unwrap());
}

/// Flows, connections and rules, without findings.
#[divan::bench(args = EDITS, sample_count = 20)]
fn without_findings_with_pods_10000_x_15(bencher: Bencher, what: &str) {
    let before = with_pods();
    let after = apply(&before, &edit(what, &before), Timestamp::UNIX_EPOCH).unwrap();
    bencher.bench_local(|| {
        let options = Options { changed: Some(&after.changed), ..options() };
        difference_with(&before, &after.state, &options)
    });
}

/// The findings of that cluster alone, all of them.
#[divan::bench(sample_count = 10)]
fn findings_with_pods_10000_x_15(bencher: Bencher) {
    let before = with_pods();
    bencher.bench_local(|| diagnose::diagnose(&before, &diagnose::Options::at(Timestamp::UNIX_EPOCH)));
}

/// Another mode on all 50 nodes: every flow and every rule.
#[divan::bench(sample_count = 1)]
fn another_mode_1000_x_15() -> vipscope_shared::whatif::difference::Difference {
    let before =
        synthetic::cluster(Size { namespaces: 20, nodes: 50, services: 1_000, endpoints: 15_000 }, 1);
    let after = with_mode(&before, ProxyMode::Nftables);
    difference_with(&before, &after, &options())
}

/// As large as the sandbox: another mode on all nodes.
#[divan::bench(sample_count = 20)]
fn another_mode_in_the_sandbox(bencher: Bencher) {
    let before = synthetic::cluster(Size::SMALL, 1);
    let after = with_mode(&before, ProxyMode::Nftables);
    bencher.bench_local(|| difference_with(&before, &after, &Options::at(Timestamp::UNIX_EPOCH)));
}
