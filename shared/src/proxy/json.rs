//! Rules as JSON: tables, chains, sets and maps as structure, single rules and elements as the text that their tool reads.

use serde::Serialize;

use super::rules::Rules;
use crate::model::{IpFamily, ProxyMode};
use crate::netfilter::ipvs::{Entry, Ruleset};
use crate::netfilter::{iptables, nft};

/// One line of JSON, and a line end.
pub(super) fn print(rules: &Rules) -> String {
    let document = match rules {
        Rules::Userspace(tables) | Rules::Iptables(tables) => {
            Document { tables: tables.iter().map(table).collect(), ..Document::of(rules) }
        }
        Rules::Nftables(nft) => Document { nftables: Some(nft_table(nft)), ..Document::of(rules) },
        Rules::Ipvs(ruleset) => ipvs(ruleset, Document::of(rules)),
    };
    // Only strings, numbers and lists: this cannot fail.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    mode: ProxyMode,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tables: Vec<Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nftables: Option<NftTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipvs: Option<Ipvs>,
}

impl Document {
    fn of(rules: &Rules) -> Document {
        Document { mode: rules.mode(), tables: Vec::new(), nftables: None, ipvs: None }
    }
}

#[derive(Serialize)]
struct Table {
    name: &'static str,
    chains: Vec<Chain>,
}

#[derive(Serialize)]
struct Chain {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    declaration: String,
    rules: Vec<String>,
}

fn table(table: &iptables::Table) -> Table {
    let chain = |chain: &iptables::Chain| Chain {
        name: chain.name.to_string(),
        declaration: String::new(),
        rules: chain.rules.iter().map(|rule| rule_text(chain, rule)).collect(),
    };
    Table { name: table.name.as_str(), chains: table.chains.iter().map(chain).collect() }
}

/// A rule without `-A CHAIN`.
fn rule_text(chain: &iptables::Chain, rule: &iptables::Rule) -> String {
    let mut line = String::new();
    rule.write(&chain.name, &mut line);
    let start = "-A ".len() + chain.name.as_str().len();
    line.get(start..).unwrap_or_default().trim().to_owned()
}

#[derive(Serialize)]
struct NftTable {
    family: IpFamily,
    name: String,
    chains: Vec<Chain>,
    sets: Vec<Set>,
    maps: Vec<Set>,
}

/// A set, map or ipset.
#[derive(Serialize)]
struct Set {
    name: String,
    declaration: String,
    elements: Vec<String>,
}

/// Sorts the lines `add WHAT FAMILY TABLE NAME REST` of the script into what they declare.
fn nft_table(table: &nft::Table) -> NftTable {
    let mut script = String::new();
    table.write(&mut script);
    let (name, family) = (table.name.to_string(), table.family);
    let mut made = NftTable { family, name, chains: Vec::new(), sets: Vec::new(), maps: Vec::new() };
    for line in script.lines() {
        let mut words = line.splitn(6, ' ').skip(1);
        let (what, name) = (words.next().unwrap_or_default(), words.nth(2).unwrap_or_default().to_owned());
        let rest = words.next().unwrap_or_default().to_owned();
        let set = |rest| Set { name: name.clone(), declaration: rest, elements: Vec::new() };
        match what {
            "chain" => made.chains.push(Chain { name, declaration: rest, rules: Vec::new() }),
            "set" => made.sets.push(set(rest)),
            "map" => made.maps.push(set(rest)),
            "rule" => push_rule(&mut made.chains, &name, rest),
            "element" => push_element(&mut made, &name, rest),
            _ => {}
        }
    }
    made
}

/// Chains stand in the order of their names, as do the lines.
fn push_rule(chains: &mut [Chain], name: &str, rule: String) {
    if let Ok(at) = chains.binary_search_by(|chain| chain.name.as_str().cmp(name)) {
        chains[at].rules.push(rule);
    }
}

fn push_element(table: &mut NftTable, name: &str, element: String) {
    for sets in [&mut table.sets, &mut table.maps] {
        if let Ok(at) = sets.binary_search_by(|set| set.name.as_str().cmp(name)) {
            return sets[at].elements.push(element);
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipvs {
    family: IpFamily,
    virtual_servers: Vec<VirtualServer>,
    dummy_addresses: Vec<String>,
    sets: Vec<Set>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VirtualServer {
    protocol: &'static str,
    address: String,
    scheduler: String,
    flags: u32,
    timeout: u32,
    real_servers: Vec<RealServer>,
}

#[derive(Serialize)]
struct RealServer {
    address: String,
    weight: u32,
}

fn ipvs(ruleset: &Ruleset, document: Document) -> Document {
    let servers = ruleset.virtual_servers.iter().map(|(address, server)| VirtualServer {
        protocol: address.protocol.as_str(),
        address: address.address.to_string(),
        scheduler: server.scheduler.to_string(),
        flags: server.flags,
        timeout: server.timeout,
        real_servers: (server.real_servers.iter())
            .map(|(address, weight)| RealServer { address: address.to_string(), weight: *weight })
            .collect(),
    });
    let sets = ruleset.sets.iter().map(|set| Set {
        name: set.name.to_string(),
        declaration: set.set_type.as_str().to_owned(),
        elements: set.entries.iter().map(Entry::to_string).collect(),
    });
    let ipvs = Ipvs {
        family: ruleset.family,
        virtual_servers: servers.collect(),
        dummy_addresses: ruleset.dummy_addresses.iter().map(ToString::to_string).collect(),
        sets: sets.collect(),
    };
    Document { tables: ruleset.tables.iter().map(table).collect(), ipvs: Some(ipvs), ..document }
}
