//! Rules as named parts (chains, sets, maps, virtual servers) with the lines in each, and the difference of two rulesets.
//! A line is what the rule's tool reads; a part's name is `TABLE/CHAIN`, `chain NAME`, `set NAME`, `map NAME` and the like.

use std::collections::BTreeMap;

use super::rules::Rules;
use crate::netfilter::{iptables, ipvs, nft};

/// Lines by part. A part may be there and empty.
pub type Parts = BTreeMap<String, Vec<String>>;

/// What is different, by part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    pub parts: BTreeMap<String, PartDiff>,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Added,
    Removed,
    Changed,
}

/// Lines that went and came, in the order in which they stood and stand. Both are empty if only the order changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDiff {
    pub fate: Fate,
    pub removed: Vec<String>,
    pub added: Vec<String>,
}

impl Diff {
    pub fn between(before: &Parts, after: &Parts) -> Diff {
        let mut diff = Diff::default();
        for (name, old) in before {
            match after.get(name) {
                Some(new) => diff.changed(name, old, new),
                None => diff.insert(name, Fate::Removed, old.clone(), Vec::new()),
            }
        }
        for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            diff.insert(name, Fate::Added, Vec::new(), new.clone());
        }
        diff
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A part that is there before and after.
    pub(super) fn changed(&mut self, name: &str, old: &[String], new: &[String]) {
        if old != new {
            self.insert(name, Fate::Changed, lacking(old, new), lacking(new, old));
        }
    }

    fn insert(&mut self, name: &str, fate: Fate, removed: Vec<String>, added: Vec<String>) {
        self.parts.insert(name.to_owned(), PartDiff { fate, removed, added });
    }

    /// Joins a difference of other lines.
    pub(super) fn merge(&mut self, other: Diff) {
        for (name, theirs) in other.parts {
            match self.parts.get_mut(&name) {
                Some(ours) => {
                    ours.removed.extend(theirs.removed);
                    ours.added.extend(theirs.added);
                }
                None => drop(self.parts.insert(name, theirs)),
            }
        }
    }

    /// Takes out lines that another difference has, too: each as often as it is there.
    pub(crate) fn subtract(&mut self, other: &Diff) {
        for (name, theirs) in &other.parts {
            if let Some(ours) = self.parts.get_mut(name) {
                ours.removed = lacking(&ours.removed, &theirs.removed);
                ours.added = lacking(&ours.added, &theirs.added);
            }
        }
    }

    /// Applies the difference to the parts that it starts from. The order of lines in a part that all Services share is
    /// not kept.
    pub fn apply(&self, parts: &mut Parts) {
        for (name, diff) in &self.parts {
            if diff.fate == Fate::Removed {
                parts.remove(name);
                continue;
            }
            let lines = parts.entry(name.clone()).or_default();
            for gone in &diff.removed {
                if let Some(at) = lines.iter().position(|line| line == gone) {
                    lines.remove(at);
                }
            }
            lines.extend(diff.added.iter().cloned());
        }
    }
}

/// The lines of `lines` that `other` lacks, counting how often each is there.
fn lacking(lines: &[String], other: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    other.iter().for_each(|line| *left.entry(line).or_default() += 1);
    let mut is_lacking = |line: &&String| match left.get_mut(line.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.iter().filter(|line| is_lacking(line)).cloned().collect()
}

impl Rules {
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::new();
        self.tables().iter().for_each(|table| add_table(table, &mut parts));
        match self {
            Rules::Userspace(_) | Rules::Iptables(_) => {}
            Rules::Nftables(table) => add_nft(table, &mut parts),
            Rules::Ipvs(ruleset) => add_ipvs(ruleset, &mut parts),
        }
        parts
    }
}

pub(super) fn add_table(table: &iptables::Table, parts: &mut Parts) {
    for chain in &table.chains {
        let name = format!("{}/{}", table.name.as_str(), chain.name);
        add_rules(&name, chain, &chain.rules, parts);
    }
}

pub(super) fn add_rules(part: &str, chain: &iptables::Chain, rules: &[iptables::Rule], parts: &mut Parts) {
    let lines = parts.entry(part.to_owned()).or_default();
    for rule in rules {
        let mut line = String::new();
        rule.write(&chain.name, &mut line);
        line.truncate(line.trim_end().len());
        lines.push(line);
    }
}

/// The lines of the script that makes the table, by what they make.
pub(super) fn add_nft(table: &nft::Table, parts: &mut Parts) {
    let mut script = String::new();
    table.write(&mut script);
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    for line in script.lines() {
        let mut words = line.split(' ').skip(1);
        let (what, name) = (words.next().unwrap_or_default(), words.nth(2).unwrap_or_default());
        let kind = match what {
            "rule" => "chain",
            "element" => kinds.get(name).copied().unwrap_or("set"),
            "set" | "map" => {
                kinds.insert(name, what);
                what
            }
            other => other,
        };
        let part = if what == "table" { what.to_owned() } else { format!("{kind} {name}") };
        parts.entry(part).or_default().push(line.to_owned());
    }
}

/// The part of a virtual server.
pub fn server_part(address: &ipvs::VirtualAddress) -> String {
    format!("virtual server {} {}", address.protocol, address.address)
}

pub(super) fn server_lines(server: &ipvs::VirtualServer) -> Vec<String> {
    let ipvs::VirtualServer { scheduler, flags, timeout, real_servers } = server;
    let head = format!("scheduler {scheduler} flags {flags:#x} timeout {timeout}");
    let real = real_servers.iter().map(|(address, weight)| format!("-> {address} weight {weight}"));
    std::iter::once(head).chain(real).collect()
}

pub(super) const DUMMY: &str = "dummy interface addresses";

fn add_ipvs(ruleset: &ipvs::Ruleset, parts: &mut Parts) {
    for (address, server) in &ruleset.virtual_servers {
        parts.insert(server_part(address), server_lines(server));
    }
    parts.insert(DUMMY.to_owned(), ruleset.dummy_addresses.iter().map(ToString::to_string).collect());
    for set in &ruleset.sets {
        parts.insert(format!("ipset {}", set.name), set.entries.iter().map(ToString::to_string).collect());
    }
}
