//! `vipscope compare` as a process: exit codes, text and JSON.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::process::{Command, Output};

const CLUSTER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/tests/fixtures/conformance/kube-proxy/case-1001-0002/cluster.json"
);

fn compare(arguments: &[&str]) -> Output {
    let now = ["--now", "2026-01-31T12:00:00Z"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_vipscope"));
    command.arg("compare").args(arguments).args(now).output().unwrap()
}

#[test]
fn exit_codes_and_words() {
    let rows: [(&[&str], i32, &str, &str); 5] = [
        (&["--cluster", CLUSTER, "--cluster-b", CLUSTER], 0, "No flow differs.", ""),
        (
            &["--cluster", CLUSTER, "--from-mode", "iptables", "--to-mode", "nftables"],
            1,
            "cause   iptables mode has no rule for ports that no Service has",
            "",
        ),
        (
            &["--cluster", CLUSTER, "--from-mode", "iptables", "--to-mode", "ipvs", "--json"],
            1,
            "\"flows\": [",
            "",
        ),
        (&["--cluster", CLUSTER], 2, "", "something to compare with"),
        (&["--cluster", "/does/not/exist", "--to-mode", "ipvs"], 2, "", "can't be read"),
    ];
    for (arguments, code, out, err) in rows {
        let output = compare(arguments);
        let (text, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text} {error}");
        assert!(text.contains(out) && error.contains(err), "{arguments:?}: {text} {error}");
    }
}
