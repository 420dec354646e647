//! `vipscope rules`, the real binary: what it prints for the conformance corpus, and what it says to bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use vipscope_shared::manifest;
use vipscope_shared::model::{IpFamily, ProxyMode};
use vipscope_shared::proxy::{self, Format};

#[derive(Deserialize)]
struct Case {
    node: String,
    family: IpFamily,
}

fn corpus() -> Vec<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/fixtures/conformance/kube-proxy");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn vipscope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipscope")).arg("rules").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_binary_prints_the_engines_rules_for_every_case_of_the_corpus() {
    let cases = corpus();
    assert_eq!(cases.len(), 160);
    for (nth, path) in cases.iter().enumerate() {
        let case: Case = serde_json::from_str(&fs::read_to_string(path.join("case.json")).unwrap()).unwrap();
        let cluster = path.join("cluster.json");
        // Every mode in turn; the conformance test proper holds the engine to the recordings in all of them.
        let mode = ProxyMode::ALL[nth % ProxyMode::ALL.len()];
        let family = case.family.as_str().to_lowercase();
        let arguments = ["--cluster", cluster.to_str().unwrap(), "--node", &case.node, "--family", &family];
        let output = vipscope(&[&arguments[..], &["--mode", mode.as_str(), "--format", "recorded"]].concat());
        assert!(output.status.success(), "{}: {}", path.display(), text(&output.stderr));
        let state = manifest::load(&fs::read_to_string(&cluster).unwrap()).unwrap().state;
        let rules = proxy::generate(&state, state.node(&case.node).unwrap(), case.family, mode);
        assert!(text(&output.stdout) == rules.print(Format::Recorded).unwrap(), "{}", path.display());
    }
}

#[test]
fn standard_input_is_read_and_the_mode_is_the_nodes_own() {
    let config = "mode: nftables\nkind: KubeProxyConfiguration\n";
    let cluster = format!("{}---\n{}", cluster_file(), config_map(config));
    let mut child = Command::new(env!("CARGO_BIN_EXE_vipscope"))
        .args(["rules", "--cluster", "-", "--node", "n1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(cluster.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("add table ip kube-proxy"));
}

/// One node with IPv4 only, one Service with one endpoint.
fn cluster_file() -> String {
    r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ports: [{port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: cart-1, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.244.0.5]}]
"#
    .to_owned()
}

fn config_map(config: &str) -> String {
    let indented: String = config.lines().map(|line| format!("    {line}\n")).collect();
    let meta = "metadata: {namespace: kube-system, name: kube-proxy}";
    format!("apiVersion: v1\nkind: ConfigMap\n{meta}\ndata:\n  config.conf: |\n{indented}")
}

/// Runs `vipscope rules` in a folder with these files: exit code, standard output, standard error.
fn run(files: &[(&str, &str)], arguments: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_vipscope"));
    let output = command.arg("rules").args(arguments.split_whitespace()).current_dir(folder.path()).output();
    let output = output.unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn bad_input_ends_with_2_and_one_line_that_says_what_and_where() {
    let good = cluster_file();
    let broken_map = format!("{good}---\n{}", config_map("mode: fast\n"));
    let bad_bit = "kind: KubeProxyConfiguration\niptables: {masqueradeBit: 32}\n";
    let files = [
        ("c.yaml", good.as_str()),
        ("empty.yaml", ""),
        ("blank.yaml", "\n---\n"),
        ("broken.json", "{\"kind\": \"List\","),
        ("broken.yaml", "a: [b\n"),
        ("text.yaml", "just words"),
        ("map.yaml", broken_map.as_str()),
        ("bit.conf", bad_bit),
        ("other.conf", "kind: List\nitems: []\n"),
        ("empty.conf", ""),
        ("list.conf", "[1, 2]"),
    ];
    let rows = [
        ("--cluster c.yaml --node n2", "c.yaml: --node n2: Node n2 is not there; there are: n1"),
        ("--cluster c.yaml --node n1 --family ipv6", "c.yaml: --node n1: Node n1: status.addresses and"),
        ("--cluster nowhere.yaml --node n1", "nowhere.yaml: can't be read: No such file"),
        ("--cluster empty.yaml --node n1", "empty.yaml: the file is empty"),
        ("--cluster blank.yaml --node n1", "blank.yaml: the file is empty"),
        ("--cluster broken.json --node n1", "broken.json: is not JSON: "),
        ("--cluster broken.yaml --node n1", "broken.yaml: is not YAML: "),
        ("--cluster text.yaml --node n1", "text.yaml: document 1 is not a Kubernetes object"),
        (
            "--cluster map.yaml --node n1",
            "map.yaml: ConfigMap kube-system/kube-proxy: data.config.conf: mode: `fast` is not one of",
        ),
        (
            "--cluster c.yaml --node n1 --proxy-config bit.conf",
            "bit.conf: KubeProxyConfiguration: iptables.masqueradeBit: 32 is not between 0 and 31",
        ),
        (
            "--cluster c.yaml --node n1 --proxy-config other.conf",
            "other.conf: KubeProxyConfiguration: kind: `List` is not KubeProxyConfiguration",
        ),
        ("--cluster c.yaml --node n1 --proxy-config empty.conf", "empty.conf: the file is empty"),
        ("--cluster c.yaml --node n1 --proxy-config list.conf", "list.conf: KubeProxyConfiguration: "),
        ("--cluster c.yaml --node n1 --proxy-config no.conf", "no.conf: can't be read: No such file"),
        ("--cluster c.yaml --node n1 --mode fast", "expected userspace, iptables, nftables or ipvs"),
        ("--cluster c.yaml --node n1 --family ipv5", "expected ipv4 or ipv6"),
        ("--cluster c.yaml --node n1 --format xml", "expected native, recorded, json or ipvsadm"),
        ("--cluster c.yaml --node n1 --format ipvsadm", "the format ipvsadm is for mode ipvs, not iptables"),
        ("--cluster c.yaml --node n1 --mode nftables --format ipvsadm", "is for mode ipvs, not nftables"),
        ("--cluster c.yaml", "--node <NODE>"),
        ("--node n1", "--cluster <FILE>"),
    ];
    for (arguments, expected) in rows {
        let (code, stdout, stderr) = run(&files, arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments}");
        assert_eq!(stderr.lines().count(), 1, "{arguments}: {stderr}");
        assert!(stderr.contains(expected), "{arguments}: {stderr}");
    }
}

#[test]
fn an_object_at_fault_is_a_warning_and_the_rest_is_used() {
    let bad = "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: bad}\nspec: {clusterIP: 10.96.0.300}\n";
    let cluster = cluster_file() + bad;
    let (code, stdout, stderr) = run(&[("c.yaml", &cluster)], "--cluster c.yaml --node n1 --mode iptables");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("shop/cart cluster IP") && !stdout.contains("shop/bad"));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("c.yaml") && stderr.contains("Service shop/bad: spec.clusterIP"), "{stderr}");
}

#[test]
fn a_given_proxy_configuration_replaces_even_a_broken_one() {
    let cluster = format!("{}---\n{}", cluster_file(), config_map("mode: fast\n"));
    let config = "kind: KubeProxyConfiguration\nmode: iptables\niptables: {masqueradeBit: 1}\n";
    let files = [("c.yaml", cluster.as_str()), ("p.conf", config)];
    let (code, stdout, stderr) = run(&files, "--cluster c.yaml --node n1 --proxy-config p.conf --jumps");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("-A KUBE-MARK-MASQ -j MARK --or-mark 0x00000002\n"));
    assert!(stdout.contains(
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
    ));
}
