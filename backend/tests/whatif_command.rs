//! `vipscope whatif`, the real binary: what it answers as text and as JSON, its exit codes, and what it says to bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const NOW: &str = "2026-01-02T00:00:00Z";
/// Two nodes; `shop/web` with a pod on each.
const CLUSTER: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: node-a, labels: {topology.kubernetes.io/zone: z1}}, spec: {podCIDRs: [10.244.0.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}], conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-b, labels: {topology.kubernetes.io/zone: z2}}, spec: {podCIDRs: [10.244.1.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}], conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.1.5, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x1, namespace: shop, labels: {kubernetes.io/service-name: web, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.5], nodeName: node-a, zone: z1, targetRef: {kind: Pod, namespace: shop, name: web-5d9-a}, conditions: {ready: true, serving: true, terminating: false}}
- {addresses: [10.244.1.5], nodeName: node-b, zone: z2, targetRef: {kind: Pod, namespace: shop, name: web-5d9-b}, conditions: {ready: true, serving: true, terminating: false}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-5d9-a, namespace: shop, labels: {app: web, pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]}, spec: {nodeName: node-a, containers: []}, status: {phase: Running, podIP: 10.244.0.5, conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-5d9-b, namespace: shop, labels: {app: web, pod-template-hash: 5d9}, ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]}, spec: {nodeName: node-b, containers: []}, status: {phase: Running, podIP: 10.244.1.5, conditions: [{type: Ready, status: "True"}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: shop}, spec: {nodeName: node-b, containers: []}, status: {phase: Running, podIP: 10.244.1.6, conditions: [{type: Ready, status: "True"}]}}
"#;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new(edits: &str) -> Files {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cluster.yaml"), CLUSTER).unwrap();
        std::fs::write(dir.path().join("edits.yaml"), edits).unwrap();
        Files { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        whatif(&self.path("cluster.yaml"), &self.path("edits.yaml"), arguments)
    }
}

fn whatif(cluster: &Path, edits: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipscope"))
        .args([
            "whatif",
            "--cluster",
            cluster.to_str().unwrap(),
            "--edits",
            edits.to_str().unwrap(),
            "--now",
            NOW,
        ])
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const SCALED_DOWN: &str = "[{op: scale, workload: Deployment/shop/web, replicas: 0}]";
const UNREADY: &str = r#"[{"op":"pod","pod":"shop/web-5d9-a","state":"unready"}]"#;

#[test]
fn text_for_people() {
    let output = Files::new(SCALED_DOWN).run(&[]);
    let found = text(&output);
    let expected = "3 changed objects: Pod/shop/web-5d9-a, Pod/shop/web-5d9-b, EndpointSlice/shop/web-x1
1 changed flow in 1 group: 1 lost (--all shows each flow)

lost     shop/web: 2 endpoints → refused (1 flow)
  from    everyone
  to      port http, by cluster IP

";
    assert!(found.starts_with(expected), "{found}");
    for expected in ["New findings\n", "SVC00"] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
    assert!(!found.contains('\u{1b}'), "no colour but on a terminal");
    assert_eq!(output.status.code(), Some(0));
    let nothing = text(&Files::new("[]").run(&[]));
    assert_eq!(nothing, "No object differs.\nNo flow differs.\n");
}

#[test]
fn connections_that_do_not_go_on_as_they_are() {
    let files = Files::new(UNREADY);
    let pinned = CLUSTER.replace("clusterIP: 10.96.1.5,", "clusterIP: 10.96.1.5, sessionAffinity: ClientIP,");
    std::fs::write(files.path("cluster.yaml"), pinned).unwrap();
    let found = text(&files.run(&[]));
    let expected = "Connections that would not go on as they are\nunpinned shop/web:http cluster IP 10.96.1.5:80 tcp, IPv4 to pod shop/web-5d9-a (10.244.0.5:8080)\n         clients whom affinity (ClientIP) keeps at 10.244.0.5:8080 go to another endpoint";
    assert!(found.contains(expected), "{expected}\n{found}");
}

/// What kube-proxy tells balancers, and a pod that takes its way to a Service along.
#[test]
fn health_checks_and_pods_that_move() {
    let service = |fields: &str| CLUSTER.replace("clusterIP: 10.96.1.5,", fields);
    let balancer = service(
        "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32000, clusterIP: 10.96.1.5,",
    );
    let local = service("internalTrafficPolicy: Local, clusterIP: 10.96.1.5,");
    let rows = [
        (
            balancer,
            UNREADY,
            "degraded shop/web health check node port NODE:32000 tcp, IPv4\n  from    pods on node-a; node-a itself; outside through node-a\n  change  health check: 200 (1 local endpoint) → 503 (no local endpoint)\n  before  kube-proxy answers 200 (1 local endpoint): ",
        ),
        (
            local,
            "[{op: move, pod: shop/other, to: node-a}]",
            "moved    shop/web:http cluster IP 10.96.1.5:80 tcp, IPv4\n  from    pod shop/other (moved from node-b to node-a)\n  change  shop/web-5d9-b → shop/web-5d9-a\n",
        ),
    ];
    for (cluster, edits, expected) in rows {
        let files = Files::new(edits);
        std::fs::write(files.path("cluster.yaml"), cluster).unwrap();
        let found = text(&files.run(&["--all"]));
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

#[test]
fn each_flow_is_shown_on_demand() {
    let found = text(&Files::new(SCALED_DOWN).run(&["--all"]));
    for expected in [
        "1 changed flow: 1 lost\n\nlost     shop/web:http cluster IP 10.96.1.5:80 tcp, IPv4\n  from    all pods;",
        "  change  2 endpoints → refused\n  before  1/2 10.244.0.5:8080 pod shop/web-5d9-a\n          1/2 10.244.1.5:8080 pod shop/web-5d9-b\n",
        "  after   refused: shop/web:http has no endpoints\n",
        "New findings\n",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

/// `shop/web` on node ports too, and two more Services of the same pods.
const MORE_SERVICES: &str = r#"
- op: patch
  object: Service/shop/web
  patch: {spec: {type: NodePort, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}, {name: alt, port: 81, targetPort: 8080, nodePort: 30081}]}}
- op: apply
  manifest: {apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {clusterIP: 10.96.1.6, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}}
- op: apply
  manifest: {apiVersion: v1, kind: Service, metadata: {name: local, namespace: shop}, spec: {clusterIP: 10.96.1.7, internalTrafficPolicy: Local, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}}
"#;

#[test]
fn flows_of_several_services_are_one_group() {
    let found = text(&Files::new(MORE_SERVICES).run(&[]));
    let groups: Vec<&str> = found.lines().skip(1).take_while(|line| !line.starts_with("Rules")).collect();
    let expected = [
        "8 changed flows in 1 group: 8 gained (--all shows each flow)",
        "",
        "gained   3 Services: not touched → 1 or 2 endpoints (8 flows)",
        "  from    everyone",
        "  to      shop/api and shop/local at all addresses and ports",
        "  to      shop/web port alt, by cluster IP and node port; port http, by node port",
        "  from    all nodes themselves",
        "  to      shop/web ports alt and http, by node port on localhost",
        "",
    ];
    assert_eq!(groups, expected, "{found}");
}

#[test]
fn json_for_scripts() {
    let files = Files::new(UNREADY);
    let output = files.run(&["--json"]);
    let found: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(found["now"], NOW);
    assert_eq!(found["changed"], serde_json::json!(["Pod/shop/web-5d9-a", "EndpointSlice/shop/web-x1"]));
    let flow = &found["flows"][0];
    assert_eq!(flow["target"]["ip"], "10.96.1.5");
    assert_eq!((flow["before"].as_array().unwrap().len(), flow["after"].as_array().unwrap().len()), (2, 1));
    assert_eq!(flow["after"][0]["endpoint"], "10.244.1.5:8080");
    let groups = serde_json::json!([{
        "grade": "moved",
        "change": "2 endpoints → 1 endpoint",
        "parts": [{
            "sources": "everyone",
            "to": [{"services": ["shop/web"], "words": "port http, by cluster IP"}],
            "flows": [0],
        }],
    }]);
    assert_eq!((&found["groups"], found["flows"].as_array().unwrap().len()), (&groups, 1));
    for list in ["/flows", "/groups", "/connections", "/rules", "/findings/appeared", "/findings/vanished"] {
        assert!(found.pointer(list).is_some_and(Value::is_array), "{list}");
    }
    // The same input, the same output.
    assert_eq!(files.run(&["--json"]).stdout, output.stdout);
}

#[test]
fn exit_codes_follow_the_worst_flow() {
    for (edits, fail_on, expected) in [
        (SCALED_DOWN, "never", 0),
        (SCALED_DOWN, "lost", 1),
        (SCALED_DOWN, "degraded", 1),
        (UNREADY, "lost", 0),
        (UNREADY, "degraded", 0),
        ("[]", "degraded", 0),
    ] {
        let output = Files::new(edits).run(&["--fail-on", fail_on]);
        assert_eq!(output.status.code(), Some(expected), "{edits} {fail_on}: {}", text(&output));
    }
}

#[test]
fn commands_for_kubectl_in_the_order_of_the_edits() {
    let edits = r#"[{"op":"scale","workload":"Deployment/shop/web","replicas":5},{"op":"pod","pod":"shop/web-5d9-a","state":"ready"},
        {"op":"apply","manifest":{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"new"}}},{"op":"delete","object":"Namespace/new"}]"#;
    let found = text(&Files::new(edits).run(&["--kubectl"]));
    assert!(
        found.starts_with(
            "kubectl -n shop scale deployment/web --replicas=5\n# no command: pod shop/web-5d9-a ready\nkubectl apply -f - <<'EOF'\n{\n"
        ),
        "{found}"
    );
    assert!(found.ends_with("}\nEOF\nkubectl delete namespace new\n"), "{found}");
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    for (edits, arguments, expected) in [
        ("[{op: scale}]", &[][..], "edits.yaml: edit 1: scale: missing field `workload`"),
        (
            "[{op: node, node: node-a, state: drain}, {op: scale, workload: Deployment/shop/web, replicas: many}]",
            &[],
            "edits.yaml: edit 2: replicas: invalid type: string \"many\", expected a whole number from 0 to 4294967295",
        ),
        ("{edits: 5}", &[], "edits.yaml: expected an array of edits, or an object with the field `edits`"),
        ("[", &[], "edits.yaml: is not "),
        ("", &[], "edits.yaml: expected an array of edits"),
        (
            "[{op: node, node: node-x, state: drain}]",
            &[],
            "edits.yaml: edit 1 (drain node-x): nodes \"node-x\" not found; did you mean node-a or node-b?",
        ),
        (
            "[{op: patch, object: Service/shop/web, patch: {spec: {type: Balancer}}}]",
            &[],
            "edits.yaml: edit 1 (shop/web type: Balancer): Service \"web\" is invalid: spec.type: Unsupported value: \"Balancer\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        ("[]", &["--fail-on", "moved"], "expected lost, degraded or never"),
        ("[]", &["--proxy-config", "/nowhere"], "/nowhere: can't be read"),
    ] {
        let output = Files::new(edits).run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{edits}: {error}");
        assert!(
            error.contains(expected) && error.lines().count() == 1,
            "{edits}\n  expected {expected}\n  found    {error}"
        );
        assert!(output.stdout.is_empty());
    }
    let both = whatif(Path::new("-"), Path::new("-"), &[]);
    assert!(String::from_utf8(both.stderr).unwrap().contains("can't both be standard input"));
}

#[test]
fn edits_from_standard_input() {
    let files = Files::new("");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vipscope"))
        .args(["whatif", "--cluster", files.path("cluster.yaml").to_str().unwrap(), "--edits", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(UNREADY.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["changed"][0], "Pod/shop/web-5d9-a");
}
