//! How long edits take: `cargo bench -p vipscope-shared --bench edits`. The budget of a what-if is 100 ms with its difference; the
//! edits' part of it is a few.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

use divan::Bencher;
use jiff::Timestamp;
use vipscope_shared::model::{ClusterState, Keyed, ServiceType};
use vipscope_shared::synthetic::{self, Size};
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::edit::{Edit, parse};

/// 10,000 Services and 150,000 pods.
fn cluster() -> ClusterState {
    synthetic::cluster(Size { namespaces: 100, nodes: 2_000, services: 10_000, endpoints: 150_000 }, 1)
}

fn main() {
    divan::main();
}

const EDITS: [&str; 6] =
    ["patch a Service", "make a pod unready", "new Service", "scale up by 3", "scale down", "drain a node"];

fn edits(what: &str, state: &ClusterState) -> Vec<Edit> {
    let mut services = state.services().values();
    let service = services.find(|service| {
        let pods = state.selected_pods(service).count();
        service.service_type == ServiceType::ClusterIP && !service.is_headless() && (14..17).contains(&pods)
    });
    let service = service.unwrap();
    let pod = state.selected_pods(service).next().unwrap();
    let (namespace, name) = (service.namespace(), service.name());
    let text = match what {
        "patch a Service" => format!(
            "{{op: patch, object: Service/{namespace}/{name}, patch: {{spec: {{sessionAffinity: ClientIP}}}}}}"
        ),
        "make a pod unready" => format!("{{op: pod, pod: {}, state: unready}}", pod.key()),
        "new Service" => format!(
            "{{op: apply, manifest: {{apiVersion: v1, kind: Service, metadata: {{name: new, namespace: {namespace}}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}}}}}"
        ),
        "scale up by 3" => format!("{{op: scale, workload: Deployment/{namespace}/{name}, replicas: 18}}"),
        "scale down" => format!("{{op: scale, workload: Deployment/{namespace}/{name}, replicas: 3}}"),
        _ => format!("{{op: node, node: {}, state: drain}}", pod.node.as_deref().unwrap_or_default()),
    };
    parse(&format!("[{text}]")).unwrap()
}

#[divan::bench(args = EDITS, sample_count = 20)]
fn one_edit_10000_services_150000_pods(bencher: Bencher, what: &str) {
    let state = cluster();
    let edits = edits(what, &state);
    bencher.bench_local(|| apply(&state, &edits, Timestamp::UNIX_EPOCH).unwrap().changed.len());
}
