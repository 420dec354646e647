//! Held to what the real kube-proxy programmed: `fixtures/conformance` (its README says how to compare). The corpus is part
//! of the test, so that the same test runs natively and as WebAssembly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, ProxyMode};
use vipscope_shared::proxy::{iptables, ipvs, nftables, node::NodeContext, ports::port_infos};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

static CORPUS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/fixtures/conformance/kube-proxy");

#[derive(Deserialize)]
struct Case {
    node: String,
    family: IpFamily,
}

/// Every case in order: name, cluster, node and family, and the folder to read the expectation from.
fn cases() -> Vec<(String, ClusterState, Case, &'static Dir<'static>)> {
    let mut folders: Vec<_> = CORPUS.dirs().collect();
    folders.sort_by_key(|folder| folder.path());
    folders
        .into_iter()
        .map(|folder| {
            let state = manifest::load(read(folder, "cluster.json")).unwrap().state;
            let case = serde_json::from_str(read(folder, "case.json")).unwrap();
            (folder.path().to_string_lossy().into_owned(), state, case, folder)
        })
        .collect()
}

fn read(folder: &'static Dir<'static>, name: &str) -> &'static str {
    folder.get_file(folder.path().join(name)).unwrap().contents_utf8().unwrap()
}

fn context(state: &ClusterState, case: &Case, mode: ProxyMode) -> NodeContext {
    NodeContext::new(state, state.node(&case.node).unwrap(), case.family, mode)
}

/// Chains with their rules, `TABLE/CHAIN`; those whose order means nothing sorted.
fn iptables_chains(text: &str) -> BTreeMap<String, Vec<String>> {
    let (mut table, mut chains) = (String::new(), BTreeMap::<String, Vec<String>>::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
        } else if let Some(rest) = line.strip_prefix(':') {
            chains.entry(format!("{table}/{}", rest.split(' ').next().unwrap())).or_default();
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let (chain, rule) = rest.split_once(' ').unwrap();
            chains
                .get_mut(&format!("{table}/{chain}"))
                .unwrap_or_else(|| panic!("undeclared: {line}"))
                .push(rule.to_owned());
        }
    }
    let sets = [
        "filter/KUBE-SERVICES",
        "filter/KUBE-EXTERNAL-SERVICES",
        "filter/KUBE-NODEPORTS",
        "filter/KUBE-PROXY-FIREWALL",
        "filter/KUBE-IPVS-OUT-FILTER",
        "nat/KUBE-NODEPORTS",
    ];
    for (name, rules) in &mut chains {
        if sets.contains(&name.as_str()) {
            rules.sort();
        } else if name == "nat/KUBE-SERVICES" {
            // The jumps to the node ports stay last.
            rules.sort_by_key(|rule| (rule.ends_with("-j KUBE-NODEPORTS"), rule.clone()));
        }
    }
    chains
}

/// Declarations and elements as one set, rules by chain in order.
fn nft_parts(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut parts = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        let key = if words[1] == "rule" {
            format!("chain {}", words[4])
        } else {
            format!("{} {}", words[1], words.get(4).unwrap_or(&""))
        };
        parts.entry(key).or_default().push(line.to_owned());
    }
    for (key, lines) in &mut parts {
        if key.starts_with("element") {
            lines.sort();
        }
    }
    parts
}

/// Counts the cases in which `ours` makes the same as the recording `file`, and shows the first difference.
fn agree<T: PartialEq + std::fmt::Debug>(
    mode: ProxyMode,
    file: &str,
    ours: impl Fn(&ClusterState, &Case) -> String,
    parts: impl Fn(&str) -> BTreeMap<String, T>,
) {
    let cases = cases();
    let (mut agreed, mut first) = (0, None);
    for (name, state, case, folder) in &cases {
        let ours = parts(&ours(state, case));
        let theirs = parts(read(folder, file));
        if ours == theirs {
            agreed += 1;
        } else if first.is_none() {
            first = Some(difference(name, &ours, &theirs));
        }
    }
    println!("{mode}: {agreed} / {} agreed", cases.len());
    assert_eq!((agreed, cases.len()), (160, 160), "{}", first.unwrap_or_default());
}

#[test]
fn iptables_agrees_with_kube_proxy() {
    let ours = |state: &ClusterState, case: &Case| {
        let node = context(state, case, ProxyMode::Iptables);
        let mut text = String::new();
        let ports = port_infos(state, case.family);
        iptables::generate(&ports, &node).iter().for_each(|table| table.write(&mut text));
        let mut at_once = String::new();
        iptables::write(&ports, &node, &mut at_once);
        assert!(at_once == text, "both ways of printing agree");
        text
    };
    agree(ProxyMode::Iptables, "expected.iptables", ours, iptables_chains);
}

#[test]
fn nftables_agrees_with_kube_proxy() {
    let ours = |state: &ClusterState, case: &Case| {
        let mut text = String::new();
        let node = context(state, case, ProxyMode::Nftables);
        nftables::generate(&port_infos(state, case.family), &node).write(&mut text);
        text
    };
    agree(ProxyMode::Nftables, "expected.nftables", ours, nft_parts);
}

/// The iptables chains, and each of the other sections as a sorted list.
fn ipvs_parts(text: &str) -> BTreeMap<String, Vec<String>> {
    let (rest, rules) = text.split_once("# iptables\n").unwrap();
    let mut parts = iptables_chains(rules);
    let (mut section, mut server) = (String::new(), String::new());
    for line in rest.lines() {
        if line.starts_with("# ") {
            section = line.to_owned();
        } else if let Some(real) = line.strip_prefix("  -> ") {
            parts.entry(server.clone()).or_default().push(real.to_owned());
        } else if section == "# virtual servers" {
            server = line.to_owned();
            parts.entry(server.clone()).or_default();
        } else {
            let mut words: Vec<&str> = line.split(' ').collect();
            words.sort_unstable();
            parts.entry(section.clone()).or_default().push(words.join(" "));
        }
    }
    for (key, lines) in &mut parts {
        if !key.contains('/') || key.starts_with('#') || key.contains("scheduler") {
            lines.sort();
        }
    }
    parts
}

#[test]
fn ipvs_agrees_with_kube_proxy() {
    let ours = |state: &ClusterState, case: &Case| {
        let mut text = String::new();
        let node = context(state, case, ProxyMode::Ipvs);
        ipvs::generate(&port_infos(state, case.family), &node).write(&mut text);
        text
    };
    agree(ProxyMode::Ipvs, "expected.ipvs", ours, ipvs_parts);
}

fn difference<T: PartialEq + std::fmt::Debug>(
    case: &str,
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
) -> String {
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let rows = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).take(3);
    let rows =
        rows.map(|key| format!("{key}\n  ours:   {:?}\n  theirs: {:?}", ours.get(key), theirs.get(key)));
    format!("{case}\n{}", rows.collect::<Vec<_>>().join("\n"))
}
