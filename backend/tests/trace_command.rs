//! `vipscope trace`, the real binary: what it answers as text and as JSON, and what it says to bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn real_cluster() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/fixtures/real-cluster-1.36.json")
}

fn trace(cluster: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipscope"))
        .args(["trace", "--cluster", cluster.to_str().unwrap()])
        .args(arguments)
        .output()
        .unwrap()
}

fn answers(arguments: &[&str]) -> Vec<Value> {
    let output = trace(&real_cluster(), &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_result_has_the_documented_form() {
    let all = answers(&[
        "--node",
        "node-a",
        "--mode",
        "iptables",
        "--from",
        "10.244.0.77",
        "--to",
        "10.96.92.120:80",
    ]);
    let [answer] = &all[..] else { panic!("{all:?}") };
    assert_eq!(answer["node"], "node-a");
    assert_eq!(answer["mode"], "iptables");
    assert_eq!(answer["basis"], "predicted");
    let packet = json!({"source":"10.244.0.77","destination":"10.96.92.120","port":80,"protocol":"tcp","origin":"pod"});
    assert_eq!(answer["packet"], packet);
    let outcomes = answer["outcomes"].as_array().unwrap();
    let shares: Vec<_> = outcomes
        .iter()
        .map(|one| {
            (
                one["fraction"].clone(),
                one["verdict"].clone(),
                one["destination"].clone(),
                one["masquerade"].clone(),
            )
        })
        .collect();
    let expected = |to: &str| (json!([1, 2]), json!("deliver"), json!(to), json!(false));
    assert_eq!(shares, [expected("10.244.0.3:8080"), expected("10.244.3.3:8080")]);
    assert_eq!(outcomes[0]["probability"], 0.5);
    let step = &outcomes[0]["steps"][1];
    assert_eq!(
        (step["hook"].clone(), step["table"].clone(), step["chain"].clone()),
        (json!("prerouting"), json!("nat"), json!("KUBE-SERVICES"))
    );
    assert!(step["rule"].as_str().unwrap().starts_with("-A KUBE-SERVICES ") && step["effect"].is_string());
}

#[test]
fn every_mode_and_kind_of_source_answers() {
    for mode in ["userspace", "iptables", "nftables", "ipvs"] {
        for (from, origin) in [("external", "outside"), ("node/node-a", "node"), ("10.244.0.2", "pod")] {
            let all = answers(&["--node", "node-a", "--mode", mode, "--from", from, "--to", "svc/shop/cart"]);
            let ports: Vec<_> = all.iter().map(|answer| answer["packet"]["port"].clone()).collect();
            assert_eq!(ports, [80, 9090], "each port: {mode} {from}");
            for answer in all {
                assert_eq!(answer["packet"]["origin"], origin);
                let sum: f64 = answer["outcomes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| one["probability"].as_f64().unwrap())
                    .sum();
                assert!((sum - 1.0).abs() < 1e-12);
                assert_eq!(answer["outcomes"][0]["verdict"], "deliver", "{mode} {from}");
            }
        }
    }
}

#[test]
fn text_ends_with_one_verdict_and_its_reason() {
    let rows = [
        ("svc/shop/cart:http", "verdict: delivered to one of 2 endpoints"),
        ("svc/shop/sick", "reason:  refused: shop/sick has no endpoints"),
        ("10.96.92.120:81", "no tcp port 81"),
        ("svc/default/headless", "is headless: it has no VIP and no rules. DNS answers"),
        ("svc/shop/my-db", "DNS answers with a CNAME for db.example.com"),
    ];
    for (to, expected) in rows {
        let output = trace(&real_cluster(), &["--node", "node-a", "--from", "node/node-a", "--to", to]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(expected), "{to}: {text}");
    }
}

#[test]
fn many_packets_give_one_result_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("packets.json");
    let packets = json!([
        {"source":"10.244.0.77","destination":"10.96.92.120","port":80,"protocol":"tcp"},
        {"source":"192.168.0.10","destination":"10.96.64.214","port":80,"protocol":"TCP"},
        {"source":"203.0.113.9","destination":"10.96.92.120","port":1,"protocol":"udp"},
    ]);
    std::fs::write(&file, packets.to_string()).unwrap();
    let output = trace(
        &real_cluster(),
        &["--node", "node-a", "--mode", "nftables", "--packets", file.to_str().unwrap()],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcomes"][0]["verdict"].clone())
        .collect();
    assert_eq!(verdicts, ["deliver", "reject", "reject"]);
}

#[test]
fn bad_input_is_one_line_and_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_port = file("a.json", r#"[{"source":"10.0.0.1","destination":"10.0.0.2"}]"#);
    let no_array = file("b.json", "{}");
    let rows: &[(&[&str], &[&str])] = &[
        (&["--node", "node-z", "--from", "external", "--to", "svc/shop/cart"], &["Node node-z", "node-a"]),
        (
            &["--node", "node-a", "--from", "external", "--to", "svc/shop/none"],
            &["Service shop/none is not there"],
        ),
        (
            &["--node", "node-a", "--from", "external", "--to", "svc/shop/cart:x"],
            &["no port x", "http (80/tcp)"],
        ),
        (
            &["--node", "node-a", "--from", "pod/shop/none", "--to", "svc/shop/cart"],
            &["Pod shop/none is not there"],
        ),
        (
            &["--node", "node-a", "--from", "nobody", "--to", "svc/shop/cart"],
            &["--from", "pod/NAMESPACE/NAME"],
        ),
        (&["--node", "node-a", "--from", "external", "--to", "1.2.3.4"], &["--to", "IP:PORT"]),
        (&["--node", "node-a", "--from", "fd00::1", "--to", "10.96.92.120:80"], &["different IP families"]),
        (&["--node", "node-a", "--from", "external", "--to", "[fd00::1]:80"], &["no IPv6 address"]),
        (&["--node", "node-a", "--from", "external"], &["--to"]),
        (&["--node", "node-a", "--packets", &no_port], &["packet 0", "port"]),
        (&["--node", "node-a", "--packets", &no_array], &["expected an array"]),
    ];
    for (arguments, expected) in rows {
        let output = trace(&real_cluster(), arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(expected.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
    }
}

#[test]
fn a_pod_of_another_node_names_its_node() {
    let list: Value = serde_json::from_str(&std::fs::read_to_string(real_cluster()).unwrap()).unwrap();
    let pods = list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "Pod");
    let pod = pods.clone().find(|pod| pod["spec"]["nodeName"] == "node-b").unwrap();
    let from = format!(
        "pod/{}/{}",
        pod["metadata"]["namespace"].as_str().unwrap(),
        pod["metadata"]["name"].as_str().unwrap()
    );
    let output = trace(&real_cluster(), &["--node", "node-a", "--from", &from, "--to", "svc/shop/cart"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("is on node node-b, not on node-a"), "{error}");
}
