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

#[test]
fn flows_of_one_cause_are_one_group() {
    let cluster = CLUSTER.replace("case-1001-0002", "case-1001-0035");
    let arguments = ["--cluster", &cluster, "--from-mode", "iptables", "--to-mode", "nftables"];
    let text = |more: &[&str]| {
        let output = compare(&[&arguments[..], more].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let (groups, flows) = (text(&[]), text(&["--all"]));
    let expected = "59 changed flows in 7 groups: 4 lost, 55 moved (--all shows each flow)

lost     2 Services: 1 to 5 endpoints → not touched (4 flows)
  from    all nodes themselves
  to      payments-prod/cart and payments-prod/nginx-service by node port on localhost
  cause   in iptables mode 127.0.0.1 is an address for node ports (localhostNodePorts, by route_localnet); ";
    assert!(groups.starts_with(expected), "{groups}");
    let starts = |text: &str, with: &str| text.lines().filter(|line| line.starts_with(with)).count();
    assert_eq!((starts(&groups, "  cause   "), starts(&groups, "  change  ")), (7, 0));
    assert_eq!(flows.lines().next(), Some("59 changed flows: 4 lost, 55 moved"));
    assert_eq!((starts(&flows, "  cause   "), starts(&flows, "  change  ")), (59, 59));
}
