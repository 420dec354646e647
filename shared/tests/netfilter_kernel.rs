//! The kernel's own tools accept every generated ruleset of the corpus, and what they list back is read as the same rules.
//!
//! Needs Linux, root, iproute2, iptables (legacy and nft), ipset and nftables. Where something is missing the test says so
//! and passes, but with `CI=true` it fails. What the kernel itself lacks is counted and printed.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::fmt::Write as _;

use support::namespace::{Namespace, program};
use support::{Case, Rules, cases, iptables_text};
use vipscope_shared::model::IpFamily;
use vipscope_shared::netfilter::iptables::{self, Match, Table};
use vipscope_shared::netfilter::{ipvs, nft};

/// Removes all rules.
fn clear(namespace: &Namespace, variant: &str) {
    for family in [IpFamily::IPv4, IpFamily::IPv6] {
        let restore = program(family, variant, "restore");
        namespace.must("", &[&restore], "*filter\nCOMMIT\n*nat\nCOMMIT\n");
    }
}

/// Every case with its rules.
fn all() -> Vec<(Case, Rules)> {
    let with_rules = |case: Case| {
        let rules = case.rules();
        (case, rules)
    };
    cases().into_iter().map(with_rules).collect()
}

/// The tables that the kernel holds, without its built-in chains, in normal form.
fn saved(namespace: &Namespace, case: &Case, variant: &str) -> Vec<Table> {
    let save = program(case.family, variant, "save");
    let text = namespace.must(&case.name, &[&save, "-c"], "");
    let own = |loaded: iptables::Loaded| {
        let mut table = loaded.table.normal();
        table.chains.retain(|chain| chain.name.as_str().starts_with("KUBE-"));
        table
    };
    let mut tables: Vec<Table> = iptables::parse(&text).unwrap().into_iter().map(own).collect();
    tables.retain(|table| !table.chains.is_empty());
    tables.sort_by_key(|table| table.name);
    tables
}

fn normal(tables: &[Table]) -> Vec<Table> {
    let mut tables: Vec<Table> = tables.iter().map(Table::normal).collect();
    tables.sort_by_key(|table| table.name);
    tables
}

/// Checks, loads, reads back and removes the rules of one case.
fn iptables_round(namespace: &Namespace, case: &Case, variant: &str, tables: &[Table]) {
    let restore = program(case.family, variant, "restore");
    let text = iptables_text(tables);
    namespace.must(&case.name, &[&restore, "--test"], &text);
    namespace.must(&case.name, &[&restore], &text);
    assert_eq!(saved(namespace, case, variant), normal(tables), "{} {variant}", case.name);
}

#[test]
fn iptables_legacy_holds_the_rules() {
    let Some(namespace) = Namespace::new("legacy") else { return };
    let all = all();
    all.iter().for_each(|(case, rules)| iptables_round(&namespace, case, "legacy", &rules.iptables));
    println!("iptables-legacy: {} cases", all.len());
    for (case, rules) in &all {
        clear(&namespace, "legacy");
        iptables_round(&namespace, case, "legacy", &rules.userspace);
    }
    println!("iptables-legacy, userspace: {} cases", all.len());
}

#[test]
fn iptables_nft_holds_the_rules() {
    let Some(namespace) = Namespace::new("nftvariant") else { return };
    let all = all();
    all.iter().for_each(|(case, rules)| iptables_round(&namespace, case, "nft", &rules.iptables));
    println!("iptables-nft: {} cases", all.len());
}

/// The one table of what nft listed, all of it understood.
fn listed(case: &Case, ruleset: nft::Ruleset) -> nft::Table {
    let mut tables = ruleset.tables;
    let loaded = tables.pop().unwrap();
    assert!(tables.is_empty() && loaded.unknown.is_empty() && ruleset.unknown.is_empty(), "{}", case.name);
    loaded.table.normal()
}

#[test]
fn nft_holds_the_rules() {
    let Some(namespace) = Namespace::new("nft") else { return };
    let all = all();
    for (case, rules) in &all {
        let mut text = String::from("flush ruleset\n");
        rules.nft.write(&mut text);
        namespace.must(&case.name, &["nft", "-c", "-f", "-"], &text);
        namespace.must(&case.name, &["nft", "-f", "-"], &text);
        let mut expected = rules.nft.normal();
        let list = namespace.must(&case.name, &["nft", "list", "ruleset"], "");
        assert_eq!(listed(case, nft::parse(&list).unwrap()), expected, "{}", case.name);
        let json = namespace.must(&case.name, &["nft", "-j", "list", "ruleset"], "");
        // nft's JSON does not tell these.
        expected.comment = None;
        expected.chains.values_mut().for_each(|chain| chain.comment = None);
        let mut read = listed(case, nft::parse_json(&json).unwrap());
        read.comment = None;
        read.chains.values_mut().for_each(|chain| chain.comment = None);
        assert_eq!(read, expected, "{}", case.name);
    }
    println!("nft: {} cases", all.len());
}

/// Fills the sets anew. They are made once: the kernel takes its time to destroy one.
fn ipset_text(ruleset: &ipvs::Ruleset) -> String {
    let mut text = String::new();
    for set in &ruleset.sets {
        let options = match (set.set_type, ruleset.family) {
            (ipvs::SetType::BitmapPort, _) => "range 0-65535",
            (_, IpFamily::IPv4) => "family inet hashsize 1024 maxelem 65536",
            (_, IpFamily::IPv6) => "family inet6 hashsize 1024 maxelem 65536",
        };
        writeln!(text, "create {} {} {options} -exist", set.name, set.set_type.as_str()).unwrap();
        writeln!(text, "flush {}", set.name).unwrap();
        set.entries.iter().for_each(|entry| writeln!(text, "add {} {entry}", set.name).unwrap());
    }
    text
}

/// Without the rules whose match the kernel has no module for.
fn without_ipvs(tables: &[Table], left_out: &mut usize) -> Vec<Table> {
    let mut tables = tables.to_vec();
    for rules in tables.iter_mut().flat_map(|table| &mut table.chains).map(|chain| &mut chain.rules) {
        let before = rules.len();
        rules.retain(|rule| !rule.matches.iter().any(|each| matches!(each, Match::Ipvs { .. })));
        *left_out += before - rules.len();
    }
    tables
}

#[test]
fn ipvs_rules_and_sets_hold() {
    let Some(namespace) = Namespace::new("ipvs") else { return };
    let has_ipvs =
        namespace.must("", &["cat", "/proc/net/ip_tables_matches"], "").lines().any(|name| name == "ipvs");
    let (all, mut left_out) = (all(), 0);
    for (case, rules) in &all {
        let tables = if has_ipvs {
            rules.ipvs.tables.to_vec()
        } else {
            without_ipvs(&rules.ipvs.tables, &mut left_out)
        };
        clear(&namespace, "legacy");
        namespace.must(&case.name, &["ipset", "restore"], &ipset_text(&rules.ipvs));
        let text = namespace.must(&case.name, &["ipset", "save"], "");
        let loaded = ipvs::parse_ipset(&text);
        let prefix = if case.family == IpFamily::IPv4 { "KUBE-" } else { "KUBE-6-" };
        let mut sets = loaded.sets;
        sets.retain(|set| {
            set.name.starts_with(prefix)
                && (case.family == IpFamily::IPv6 || !set.name.starts_with("KUBE-6-"))
        });
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!((sets, loaded.unknown), (rules.ipvs.sets.clone(), Vec::new()), "{}", case.name);
        iptables_round(&namespace, case, "legacy", &tables);
    }
    println!("ipvs: {} cases, {left_out} rules left out since the kernel has no ipvs match", all.len());
}
