//! `vipscope check`, the real binary: text, JSON, SARIF, exit codes, bad input; and what it finds in the sandbox's demo.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Duration;
use tower::ServiceExt;
use vipscope::sandbox::{Options, Sandbox};
use vipscope_shared::diagnose::{self, CHECKS, Finding, How};
use vipscope_shared::manifest;

const NOW: &str = "2026-01-02T00:00:00Z";

/// A Service whose selector misses its pod, a suppressed finding, and an ExternalName that leads into the cluster.
const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: cart-0, labels: {app: cart}}
spec: {nodeName: n1, containers: [{name: cart, ports: [{containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.0.5, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart}
spec: {clusterIP: 10.96.0.10, selector: {app: carts}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: cart-1, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: null
endpoints: null
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: alias, annotations: {vipscope.dev/ignore: SVC045}}
spec: {type: ExternalName, externalName: cart.shop.svc.cluster.local, ports: [{port: 80}]}
"#;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `vipscope check` in a folder with these files, with this on standard input.
fn run(files: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_vipscope"))
        .arg("check")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends before it has read everything is not at fault.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn check(arguments: &str) -> Ran {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    run(&[("c.yaml", CLUSTER)], &arguments, "")
}

#[test]
fn text_is_for_people() {
    let ran = check(&format!("--cluster c.yaml --now {NOW}"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let expected = "\
error SVC001 Service shop/cart: Selector matches no pod
  app=carts matches none of the 1 pod of namespace shop
    Service shop/cart spec.selector = app=carts
    Pod shop/cart-0 metadata.labels.app = cart
  fix: the nearest pods, those of cart-0, have app=cart: if they are meant, correct the selector, or their labels
    $ kubectl -n shop set selector service/cart app=cart

warn  SVC044 Service shop/alias: ExternalName points into the cluster
  leads to Service shop/cart
    Service shop/alias spec.externalName = cart.shop.svc.cluster.local
  fix: let clients use the other Service's own name; or make a Service with a selector in the right namespace
    $ kubectl -n shop get service alias -o yaml

info  SVC045 Service shop/alias: ExternalName with ports, selector or affinity (suppressed by annotation)
  ports without effect
    Service shop/alias spec.ports = 80/TCP
  fix: remove the fields; to map ports, use a Gateway or an Ingress
    $ kubectl -n shop patch service alias --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/ports\"}]'

1 error, 1 warning, 0 infos; 1 suppressed
not checked, since the input has no Endpoints: SVC010, SVC017, SVC018
not checked, since the input has no ConfigMap kube-system/kube-proxy: SVC039
";
    assert_eq!(ran.stdout, expected);
    assert!(!ran.stdout.contains('\u{1b}'), "no colour but on a terminal");
}

#[test]
fn exit_codes_follow_what_is_found() {
    let rows = [
        ("", 1),
        ("--fail-on error", 1),
        ("--fail-on warn", 1),
        ("--fail-on info", 1),
        ("--fail-on never", 0),
        ("--ignore SVC001", 0),
        ("--ignore svc001", 0),
        ("--ignore SVC001 --fail-on warn", 1),
        ("--ignore SVC001 SVC044 --fail-on warn", 0),
        ("--ignore SVC001,SVC044 --fail-on info", 0),
        ("--json", 1),
        ("--sarif", 1),
        ("--sarif --fail-on never", 0),
    ];
    for (arguments, code) in rows {
        let ran = check(&format!("--cluster c.yaml --now {NOW} {arguments}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(code), ""), "{arguments}");
        assert!(
            ran.stdout.contains("SVC001") && ran.stdout.contains("SVC044"),
            "shown in any case: {arguments}"
        );
    }
}

#[test]
fn ages_are_judged_by_the_given_time() {
    let balancer = "{apiVersion: v1, kind: Service, metadata: {name: lb, namespace: shop, creationTimestamp: \"2026-01-01T00:00:00Z\"}, spec: {type: LoadBalancer, clusterIP: 10.96.0.11, ports: [{port: 80}]}}";
    for (now, code, severity) in [
        ("2026-01-01T00:03:00Z", 0, None),
        ("2026-01-01T00:10:00Z", 0, Some("warn")),
        ("2026-01-01T01:00:00Z", 1, Some("error")),
    ] {
        let ran = run(&[("c.yaml", balancer)], &["--cluster", "c.yaml", "--json", "--now", now], "");
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let pending =
            found["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "SVC031");
        assert_eq!(
            (ran.code, pending.map(|finding| finding["severity"].as_str().unwrap())),
            (Some(code), severity)
        );
        assert_eq!(found["now"], now);
    }
}

#[test]
fn json_is_what_the_engine_says() {
    let list: Vec<Value> = manifest::parse_documents(CLUSTER).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string();
    let ran = run(&[], &["--cluster", "-", "--json", "--now", NOW], &list);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let state = manifest::load(CLUSTER).unwrap().state;
    let report = diagnose::diagnose(&state, &diagnose::Options::at(NOW.parse().unwrap()));
    let findings: Vec<Finding> = serde_json::from_value(found["findings"].clone()).unwrap();
    assert_eq!(findings, report.findings);
    assert_eq!(found["skipped"][0], json!({"code": "SVC010", "kind": "Endpoints"}));
    let first = &found["findings"][0];
    assert_eq!(first["subject"], json!({"kind": "Service", "namespace": "shop", "name": "cart"}));
    assert_eq!(first["fix"]["kubectl"][0], "kubectl -n shop set selector service/cart app=cart");
    assert_eq!(found["findings"][2]["suppressed"], "annotation");
}

#[test]
fn sarif_names_rules_results_and_suppressions() {
    let files = [("my cluster.yaml", CLUSTER)];
    let arguments = ["--cluster", "my cluster.yaml", "--sarif", "--now", NOW, "--ignore", "SVC044"];
    let ran = run(&files, &arguments, "");
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run_of = &log["runs"][0];
    let rules = run_of["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), CHECKS.iter().filter(|check| !matches!(check.how, How::Out(_))).count());
    let results = run_of["results"].as_array().unwrap();
    let short: Vec<_> = results
        .iter()
        .map(|result| {
            let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"], "the index leads to the rule");
            assert_eq!(
                result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
                "my%20cluster.yaml"
            );
            let subject = &result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"];
            assert!(result["suppressions"].is_array(), "on all results or on none");
            (&result["ruleId"], &result["level"], subject, &result["suppressions"][0]["kind"])
        })
        .map(|(rule, level, subject, kind)| format!("{rule} {level} {subject} {kind}").replace('"', ""))
        .collect();
    assert_eq!(
        short,
        [
            "SVC001 error Service/shop/cart null",
            "SVC044 warning Service/shop/alias external",
            "SVC045 note Service/shop/alias inSource",
        ]
    );
}

/// The fingerprints of the alerts in a SARIF log, and their messages.
fn alerts(cluster: &str, now: &str) -> (Vec<String>, Vec<String>) {
    let ran = run(&[("c.yaml", cluster)], &["--cluster", "c.yaml", "--sarif", "--now", now], "");
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let text = |pointer: &str| -> Vec<String> {
        results.iter().map(|result| result.pointer(pointer).unwrap().as_str().unwrap().to_owned()).collect()
    };
    for hash in text("/partialFingerprints/primaryLocationLineHash") {
        assert!(hash.len() == 18 && hash.ends_with(":1"), "{hash}");
    }
    let distinct: std::collections::BTreeSet<String> =
        text("/partialFingerprints/primaryLocationLineHash").into_iter().collect();
    assert_eq!(distinct.len(), results.len(), "{results:#?}");
    (text("/partialFingerprints/alert~1v1"), text("/message/text"))
}

#[test]
fn fingerprints_tell_alerts_apart_and_outlive_ages() {
    // Two ports of one Service are taken by two others; a balancer is awaited.
    let service = |name: &str, ports: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop, creationTimestamp: \"2026-01-01T00:00:00Z\"}}, \
             spec: {{type: LoadBalancer, clusterIP: 10.96.0.1{}, ports: [{ports}]}}}}\n",
            name.len()
        )
    };
    let cluster = [
        CLUSTER.to_owned(),
        service("a", "{name: p, port: 80, nodePort: 30080}"),
        service("bb", "{name: p, port: 80, nodePort: 30081}"),
        service("ccc", "{name: p, port: 80, nodePort: 30080}, {name: q, port: 81, nodePort: 30081}"),
    ]
    .concat();
    let (first, early) = alerts(&cluster, "2026-01-01T01:00:00Z");
    let (second, late) = alerts(&cluster, "2026-01-01T02:00:00Z");
    assert_eq!(first, second);
    assert_ne!(early, late, "some messages hold an age");
    let clashes: Vec<&String> = first.iter().filter(|print| print.starts_with("SVC037:")).collect();
    assert_eq!(
        clashes,
        ["SVC037:Service/shop/ccc:spec.ports[0].nodePort", "SVC037:Service/shop/ccc:spec.ports[1].nodePort"]
    );
}

#[test]
fn an_unreadable_object_is_bad_input_and_the_others_are_checked() {
    let bad = "---\n{apiVersion: v1, kind: Service, metadata: {name: bad, namespace: shop}, spec: {ports: [{port: http}]}}\n";
    let partial = "---\n{apiVersion: v1, kind: Service, metadata: {name: part, namespace: shop}, \
        spec: {clusterIP: 10.96.0.77, externalIPs: [nonsense], ports: [{port: 80}]}}\n";
    let why = "left out: Service shop/bad: spec.ports[0].port: invalid type: string \"http\", expected a whole number from 0 to 65535";
    let both = format!("{CLUSTER}{bad}{partial}");
    let files = [("c.yaml", both.as_str())];
    for fail_on in ["error", "never"] {
        let ran = run(&files, &["--cluster", "c.yaml", "--now", NOW, "--fail-on", fail_on], "");
        assert_eq!(ran.code, Some(2), "{fail_on}");
        assert!(ran.stdout.contains("SVC001 Service shop/cart"), "{}", ran.stdout);
        assert!(ran.stderr.contains(&format!("c.yaml: {why}\n")), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("used in part: Service shop/part: spec.externalIPs[0]: "),
            "{}",
            ran.stderr
        );
    }
    let ran = run(&files, &["--cluster", "c.yaml", "--now", NOW, "--json"], "");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let faults = found["faults"].as_array().unwrap();
    assert_eq!((ran.code, faults.len()), (Some(2), 2));
    assert_eq!(faults[0]["causes"][0]["field"], "spec.ports[0].port");
    let ran = run(&files, &["--cluster", "c.yaml", "--now", NOW, "--sarif"], "");
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let invocation = &log["runs"][0]["invocations"][0];
    let notifications = invocation["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!((ran.code, &invocation["executionSuccessful"]), (Some(2), &json!(false)));
    assert_eq!(
        (&notifications[0]["level"], &notifications[0]["message"]["text"]),
        (&json!("error"), &json!(why))
    );
    assert_eq!(notifications[1]["level"], "warning");
    // What is used in part is checked: that alone is no bad input.
    let ran = run(&[("c.yaml", &format!("{CLUSTER}{partial}"))], &["--cluster", "c.yaml", "--now", NOW], "");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
}

#[test]
fn the_list_names_every_check_and_why_some_are_out() {
    let ran = check("--list");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for check in CHECKS {
        assert!(
            ran.stdout.contains(&format!("{} {:5} {}", check.code, check.severity, check.title)),
            "{}",
            check.code
        );
    }
    assert!(ran.stdout.contains("Not run: NetworkPolicies are not watched.\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("64 checks, 4 of the catalogue are not run\n"), "{}", ran.stdout);
    let list: Value = serde_json::from_str(&check("--list --json").stdout).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 68);
    assert_eq!((&list[0]["code"], &list[67]["code"]), (&json!("SVC001"), &json!("SVC068")));
    assert!(list[59]["out"].is_string() && list[0].get("out").is_none());
}

#[test]
fn bad_input_ends_with_2_and_one_line_that_says_what_and_where() {
    let files = [
        ("c.yaml", CLUSTER),
        ("empty.yaml", ""),
        ("broken.json", "{\"kind\": \"List\","),
        ("five.json", "{\"kind\":\"List\",\"items\":5}"),
    ];
    let rows = [
        ("", "--cluster <FILE>"),
        ("--cluster nowhere.yaml", "nowhere.yaml: can't be read: No such file"),
        ("--cluster empty.yaml", "empty.yaml: the file is empty"),
        ("--cluster -", "standard input: the file is empty"),
        ("--cluster broken.json", "broken.json: is not JSON: "),
        (
            "--cluster five.json",
            "five.json: document 1, a List: items: expected a list of objects, found a number\n",
        ),
        ("--cluster c.yaml --ignore SVC999", "`SVC999` is not a code such as SVC012"),
        ("--cluster c.yaml --fail-on bad", "expected info, warn, error or never"),
        ("--cluster c.yaml --now yesterday", "expected an RFC 3339 time"),
        ("--cluster c.yaml --json --sarif", "cannot be used with"),
        ("--cluster c.yaml --list", "cannot be used with"),
    ];
    for (arguments, expected) in rows {
        let ran = run(&files, &arguments.split_whitespace().collect::<Vec<_>>(), "");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments}");
        assert_eq!(ran.stderr.lines().count(), 1, "{arguments}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments}: {}", ran.stderr);
    }
}

#[test]
fn hostile_text_reaches_neither_the_terminal_nor_a_shell() {
    let cluster = CLUSTER.replace("app: carts", "\"app\": \"\\e[2J$(reboot)\"");
    let ran = run(&[("c.yaml", &cluster)], &["--cluster", "c.yaml"], "");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("\u{fffd}[2J$(reboot)"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'));
}

async fn items(router: &Router, path: &str, kind: &str, version: &str) -> Vec<Value> {
    let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut list: Value = serde_json::from_slice(&bytes).unwrap();
    let items = list["items"].as_array_mut().unwrap_or_else(|| panic!("{path}: no list"));
    for item in items.iter_mut() {
        item["kind"] = kind.into();
        item["apiVersion"] = version.into();
    }
    std::mem::take(items)
}

/// What `kubectl get svc,endpoints,endpointslices,pods,nodes,ns,cm -A -o json` says of the demo.
async fn demo() -> String {
    let sandbox = Sandbox::start(Options { churn: false, ..Options::default() });
    // The clock of the test stands still while something is to be done, and then jumps: every pod has started.
    tokio::time::sleep(Duration::from_secs(60)).await;
    sandbox.settled().await;
    let router = sandbox.router();
    let mut all = Vec::new();
    for (path, kind, version) in [
        ("/api/v1/services", "Service", "v1"),
        ("/api/v1/endpoints", "Endpoints", "v1"),
        ("/apis/discovery.k8s.io/v1/endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
        ("/api/v1/pods", "Pod", "v1"),
        ("/api/v1/nodes", "Node", "v1"),
        ("/api/v1/namespaces", "Namespace", "v1"),
        ("/api/v1/configmaps", "ConfigMap", "v1"),
    ] {
        all.extend(items(&router, path, kind, version).await);
    }
    sandbox.shutdown().await;
    json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string()
}

#[tokio::test(start_paused = true)]
async fn the_demo_has_exactly_what_is_broken_on_purpose() {
    let list = demo().await;
    let ran = run(&[], &["--cluster", "-", "--json", "--fail-on", "error"], &list);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let findings: Vec<Finding> = serde_json::from_value(found["findings"].clone()).unwrap();
    let lines: Vec<String> =
        findings.iter().map(|f| format!("{} {} {}", f.severity, f.code, f.subject)).collect();
    let expected = [
        "error SVC001 Service shop/orders",
        "error SVC004 Service shop/recommendations",
        "warn SVC027 Service shop/orders",
        // The canary that never gets ready.
        "info SVC003 Service shop/cart",
        // CoreDNS has a health port of its own.
        "info SVC058 Service kube-system/kube-dns",
        "info SVC064 Endpoints data/warehouse",
    ];
    assert!(
        lines == expected,
        "found:\n{}\n{:#?}",
        lines.join("\n"),
        findings.iter().map(|f| &f.message).collect::<Vec<_>>()
    );
    assert_eq!(found["skipped"], json!([]));
}
