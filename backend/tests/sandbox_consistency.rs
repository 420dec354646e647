//! Random operations on pods and Services, and a model of what must come of them that is too simple to be wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use axum::body::Body;
use http::Request;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tower::ServiceExt;
use vipscope::sandbox::{self, Options, Sandbox};
use vipscope_shared::admission::allocation::Families;

const OPERATIONS: usize = 1000;
const CHECK_EVERY: usize = 20;

struct Dice {
    rng: StdRng,
    /// Of the cluster: what Services may ask for.
    families: Families,
}

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Sends a request in-process; refusals (not there, there already, immutable) are part of the game.
async fn send(sandbox: &Sandbox, method: &str, path: &str, body: Value) -> Value {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let path =
        if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/namespaces/default/{path}") };
    let request = Request::builder().method(method).uri(&path);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = request.header("content-type", kind).body(body).unwrap();
    let answer = sandbox.router().oneshot(request).await.unwrap();
    assert!(answer.status().as_u16() < 500, "{method} {path}: {}", answer.status());
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn random_pod(dice: &mut Dice, name: &str) -> Value {
    let port = 8080 + dice.below(2);
    let named = dice.below(4) != 0;
    let ports = if named { json!([{"name": "http", "containerPort": port}]) } else { json!([]) };
    let annotations = json!({sandbox::READY_ANNOTATION: dice.pick(&["true", "true", "false"]), sandbox::DRAIN_ANNOTATION: "1"});
    json!({
        "metadata": {"name": name, "labels": {"app": dice.pick(&["a", "b", "c"])}, "annotations": annotations},
        "spec": {"containers": [{"name": "c", "image": "c:1", "ports": ports}]},
    })
}

fn random_service(dice: &mut Dice) -> Value {
    let target = [json!("http"), json!(9000), json!("nope")][dice.below(3) as usize].clone();
    let mut ports = vec![json!({"name": "one", "port": 80, "targetPort": target})];
    if dice.below(2) == 0 {
        ports.push(json!({"name": "two", "port": 81, "targetPort": 9001}));
    }
    let mut spec = json!({"ports": ports, "publishNotReadyAddresses": dice.below(3) == 0});
    spec["selector"] = json!({"app": dice.pick(&["a", "b", "c", "nobody"])});
    if dice.below(4) == 0 {
        spec["clusterIP"] = "None".into();
    }
    if dice.families == Families::DualStack {
        let policies = ["SingleStack", "PreferDualStack", "RequireDualStack"];
        spec["ipFamilyPolicy"] = dice.pick(&policies).into();
        let families = [json!(null), json!(["IPv6"]), json!(["IPv6", "IPv4"])];
        spec["ipFamilies"] = families[dice.below(3) as usize].clone();
    }
    spec
}

async fn operate(dice: &mut Dice, sandbox: &Sandbox) {
    let (pod, service) = (format!("p{}", dice.below(40)), format!("s{}", dice.below(8)));
    let one_pod = format!("pods/{pod}");
    let (method, path, body) = match dice.below(10) {
        0..=2 => ("POST", "pods".to_owned(), random_pod(dice, &pod)),
        3 => ("DELETE", one_pod, Value::Null),
        4 => ("DELETE", one_pod, json!({"gracePeriodSeconds": 0})),
        5 => ("PATCH", one_pod, json!({"metadata": {"labels": {"app": dice.pick(&["a", "b", "c"])}}})),
        6 => {
            let ready = dice.pick(&["true", "false"]);
            ("PATCH", one_pod, json!({"metadata": {"annotations": {sandbox::READY_ANNOTATION: ready}}}))
        }
        7 => {
            let object = json!({"metadata": {"name": service}, "spec": random_service(dice)});
            ("POST", "services".to_owned(), object)
        }
        8 => ("PATCH", format!("services/{service}"), json!({"spec": random_service(dice)})),
        _ => ("DELETE", format!("services/{service}"), Value::Null),
    };
    send(sandbox, method, &path, body).await;
}

/// One line for each endpoint: address, ports, flags.
type Lines = BTreeSet<String>;

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The number of a target port in a pod.
fn target(pod: &Value, port: &Value) -> Option<u64> {
    let target = &port["targetPort"];
    let containers = list(&pod["spec"]["containers"]).iter();
    let mut ports = containers.flat_map(|container| list(&container["ports"]));
    target.as_u64().or_else(|| ports.find(|one| one["name"] == *target)?["containerPort"].as_u64())
}

fn pod_ip<'a>(pod: &'a Value, family: &Value) -> Option<&'a str> {
    let mut ips = list(&pod["status"]["podIPs"]).iter().filter_map(|ip| ip["ip"].as_str());
    ips.find(|ip| ip.contains(':') == (family == "IPv6"))
}

/// The lines of slices, of all families, and of Endpoints, of the first one, as they must be.
fn expected(service: &Value, pods: &[Value]) -> (Lines, Lines) {
    let (mut slices, mut endpoints) = (Lines::new(), Lines::new());
    let spec = &service["spec"];
    let publish = spec["publishNotReadyAddresses"] == true;
    for pod in pods {
        let selected = pod["metadata"]["labels"]["app"] == spec["selector"]["app"];
        if !selected {
            continue;
        }
        let ready_condition = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        let serving = list(&pod["status"]["conditions"]).iter().any(ready_condition);
        let terminating = pod["metadata"]["deletionTimestamp"].is_string();
        let resolved = list(&spec["ports"]).iter().filter_map(|port| Some((port, target(pod, port)?)));
        let ports: Lines = resolved.map(|(port, number)| format!("{}={number}", port["name"])).collect();
        let ready = publish || (serving && !terminating);
        for (rank, family) in list(&spec["ipFamilies"]).iter().enumerate() {
            let Some(ip) = pod_ip(pod, family) else { continue };
            slices.insert(format!("{ip} {ports:?} {ready} {serving} {terminating}"));
            if rank == 0 && !ports.is_empty() && (publish || !terminating) {
                endpoints.insert(format!("{ip} {ports:?} {}", serving || publish));
            }
        }
    }
    (slices, endpoints)
}

fn port_lines(ports: &Value) -> Lines {
    list(ports).iter().map(|port| format!("{}={}", port["name"], port["port"])).collect()
}

fn slice_lines(slices: &[Value], service: &Value) -> Lines {
    let mut lines = Lines::new();
    for slice in slices {
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] != service["metadata"]["name"] {
            continue;
        }
        let ports = port_lines(&slice["ports"]);
        for endpoint in list(&slice["endpoints"]) {
            let flags = &endpoint["conditions"];
            let ip = endpoint["addresses"][0].as_str().unwrap();
            let line =
                format!("{ip} {ports:?} {} {} {}", flags["ready"], flags["serving"], flags["terminating"]);
            assert!(lines.insert(line), "an endpoint is in one slice only");
        }
    }
    lines
}

fn endpoints_lines(object: &Value) -> Lines {
    let mut lines = Lines::new();
    for subset in list(&object["subsets"]) {
        let ports = port_lines(&subset["ports"]);
        for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            let ips = list(&subset[field]).iter().map(|address| address["ip"].as_str().unwrap());
            lines.extend(ips.map(|ip| format!("{ip} {ports:?} {ready}")));
        }
    }
    lines
}

/// Lists everything at one revision at which the controllers are done.
async fn settled(sandbox: &Sandbox) -> [Vec<Value>; 4] {
    loop {
        sandbox.settled().await;
        let pods = send(sandbox, "GET", "pods", Value::Null).await;
        let services = send(sandbox, "GET", "services", Value::Null).await;
        let slices =
            send(sandbox, "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", Value::Null)
                .await;
        let endpoints = send(sandbox, "GET", "endpoints", Value::Null).await;
        let all = [pods, services, slices, endpoints];
        // Else a kubelet wrote in between: look again.
        if all.iter().all(|one| one["metadata"] == all[0]["metadata"]) {
            return all.map(|one| list(&one["items"]).to_vec());
        }
    }
}

/// Each Service has an address of each of its families, and nobody else has it.
fn check_cluster_ips(services: &[Value]) {
    let mut seen = BTreeSet::new();
    for spec in services.iter().map(|service| &service["spec"]) {
        let ips: Vec<&str> = list(&spec["clusterIPs"]).iter().map(|ip| ip.as_str().unwrap()).collect();
        if ips == ["None"] {
            continue;
        }
        let families = ips.iter().map(|ip| if ip.contains(':') { "IPv6" } else { "IPv4" });
        assert_eq!(json!(families.collect::<Vec<_>>()), spec["ipFamilies"], "{spec}");
        assert!(ips.iter().all(|ip| seen.insert(*ip)), "{spec}");
    }
}

/// Compares, and says how many endpoints there are.
async fn check(sandbox: &Sandbox) -> usize {
    let [pods, services, slices, endpoints] = settled(sandbox).await;
    check_cluster_ips(&services);
    let mut count = 0;
    for service in services.iter().filter(|service| service["spec"]["selector"].is_object()) {
        let (in_slices, in_endpoints) = expected(service, &pods);
        let name = &service["metadata"]["name"];
        assert_eq!(slice_lines(&slices, service), in_slices, "slices of {name}");
        let object = endpoints.iter().find(|object| object["metadata"]["name"] == *name).unwrap();
        assert_eq!(endpoints_lines(object), in_endpoints, "Endpoints of {name}");
        count += in_slices.len();
    }
    let named = |name: &Value| services.iter().any(|service| service["metadata"]["name"] == *name);
    assert!(slices.iter().all(|slice| named(&slice["metadata"]["labels"]["kubernetes.io/service-name"])));
    assert!(
        endpoints.iter().all(|object| named(&object["metadata"]["name"])),
        "nothing outlives its Service"
    );
    count
}

#[tokio::test(start_paused = true)]
async fn random_operations_leave_slices_and_endpoints_consistent() {
    for families in [Families::IPv4, Families::DualStack] {
        keeps_consistent(families).await;
    }
}

async fn keeps_consistent(families: Families) {
    let sandbox = Sandbox::start(Options { empty: true, churn: false, families, ..Options::default() });
    let mut dice = Dice { rng: StdRng::seed_from_u64(2026), families };
    let mut most = 0;
    for number in 1..=OPERATIONS {
        operate(&mut dice, &sandbox).await;
        // Kubelets get some time, but seldom enough to finish.
        tokio::time::sleep(tokio::time::Duration::from_millis(dice.below(120))).await;
        if number % CHECK_EVERY == 0 {
            most = most.max(check(&sandbox).await);
        }
    }
    assert!(most > 20, "there was something to compare: {most}");
}
