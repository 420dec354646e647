//! Drift: the rules that a node has against those that it should have, line by line, with the Service that each line is about.
//!
//! Works on [`Parts`], so on rules of any origin. What others than kube-proxy keep in the same tables is left alone, and so is
//! the order of lines of different Services: kube-proxy writes them in the order of a map.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::parts::{Diff, Fate, PartDiff, Parts, server_part};
use super::rules::Rules;
use super::userspace::ProxySocket;
use crate::model::{ClusterState, IpFamily, Key, Keyed, Protocol};
use crate::netfilter::ipvs::{Entry, VirtualAddress};
use crate::netfilter::{iptables, nft};
use crate::traffic::{DriftKind, DriftLine};

/// Pairs of missing and extra lines that are compared for one part.
const MOST_PAIRS: usize = 10_000;

/// Tells which Service rules are about: by the names in comments and chains, and by addresses where there are none.
#[derive(Debug, Clone, Default)]
pub struct Namer {
    vips: HashMap<(IpAddr, Protocol, u16), Key>,
    hosts: HashMap<IpAddr, Key>,
    node_ports: HashMap<(Protocol, u16), Key>,
    endpoints: HashMap<(IpAddr, Protocol, u16), Key>,
    /// iptables chains of Services, by part.
    chains: HashMap<String, Key>,
}

impl Namer {
    pub fn new(state: &ClusterState) -> Namer {
        let mut namer = Namer::default();
        for service in state.services().values() {
            let key = service.key();
            let ips = service.cluster_ip.ips().iter().copied().chain(service.outside_ips());
            for ip in ips {
                namer.hosts.insert(ip, key.clone());
                for port in &service.ports {
                    namer.vips.insert((ip, port.protocol, port.port.get()), key.clone());
                }
            }
            if let Some(number) = service.health_check_node_port {
                namer.node_ports.insert((Protocol::Tcp, number.get()), key.clone());
            }
            for port in &service.ports {
                if let Some(number) = port.node_port {
                    namer.node_ports.insert((port.protocol, number.get()), key.clone());
                }
            }
        }
        for slice in state.slices().values() {
            let Some(service) = slice.service() else { continue };
            let ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
            for ip in ips {
                for port in slice.ports.iter().filter_map(|port| Some((port.protocol, port.port?.get()))) {
                    namer.endpoints.entry((ip, port.0, port.1)).or_insert_with(|| service.clone());
                }
            }
        }
        namer
    }

    /// Learns whose iptables chains are whose: from the comments of the rules that jump there.
    pub fn learn(&mut self, parts: &Parts) {
        self.learn_endpoints(parts);
        let of_iptables = || parts.iter().filter(|(part, _)| part.contains("/KUBE-"));
        // From KUBE-SERVICES to KUBE-EXT to KUBE-SVC to KUBE-SEP: a few rounds, whatever the order of parts.
        for _ in 0..4 {
            let mut learnt = Vec::new();
            for (part, lines) in of_iptables() {
                let table = part.split('/').next().unwrap_or_default();
                for line in lines {
                    let Some(target) = jump(line).filter(|name| is_own_chain(name)) else { continue };
                    let target = format!("{table}/{target}");
                    if self.chains.contains_key(&target) {
                        continue;
                    }
                    let owner = self.chains.get(part).cloned().or_else(|| comment(line).and_then(named));
                    learnt.extend(owner.map(|owner| (target, owner)));
                }
            }
            if learnt.is_empty() {
                return;
            }
            self.chains.extend(learnt);
        }
    }

    /// Endpoints that only the rules know, such as those that are gone: from the names of nft's chains, and from virtual servers.
    fn learn_endpoints(&mut self, parts: &Parts) {
        for (part, lines) in parts {
            let named = part.strip_prefix("chain endpoint-").and_then(|name| {
                let (name, socket) = name.split_once("__")?;
                let (ip, port) = socket.rsplit_once('/')?;
                Some((ip.parse().ok()?, name.split('/').nth(2)?.parse().ok()?, port.parse().ok()?))
            });
            let server =
                part.strip_prefix("virtual server ").and_then(|name| name.split(' ').next()?.parse().ok());
            let real = server.into_iter().flat_map(|protocol| {
                let sockets =
                    lines.iter().filter_map(|line| line.strip_prefix("-> ")?.split(' ').next()?.parse().ok());
                sockets.map(move |to: SocketAddr| (to.ip(), protocol, to.port()))
            });
            let found: Vec<_> = named.into_iter().chain(real).collect();
            let Some(owner) = (!found.is_empty()).then(|| self.owner(part)).flatten() else { continue };
            for endpoint in found {
                self.endpoints.entry(endpoint).or_insert_with(|| owner.clone());
            }
        }
    }

    /// The Service that a part is about as a whole.
    pub fn owner(&self, part: &str) -> Option<Key> {
        if let Some(address) = part.strip_prefix("virtual server ") {
            let (protocol, socket) = address.split_once(' ')?;
            let socket: SocketAddr = socket.parse().ok()?;
            return self.of_socket(protocol.parse().ok()?, socket);
        }
        if let Some(name) = part.strip_prefix(SOCKET) {
            return named(name.split(' ').next_back()?);
        }
        match part.split_once(' ') {
            Some((_, name)) => named(name),
            None => self.chains.get(part).cloned(),
        }
    }

    /// The Service that a line is about, if one can be told.
    pub fn service_of(&self, part: &str, line: &str) -> Option<Key> {
        let own = || self.owner(part).or_else(|| comment(line).and_then(named));
        let jumps = || {
            let table = part.split('/').next()?;
            self.chains.get(&format!("{table}/{}", jump(line)?)).cloned()
        };
        if part == super::parts::DUMMY {
            return self.hosts.get(&line.parse().ok()?).cloned();
        }
        if part.starts_with("ipset ") {
            return self.of_entry(line);
        }
        if let Some(key) = own().or_else(jumps) {
            return Some(key);
        }
        // `… { 172.30.0.41 . tcp . 80 : goto service-…-ns/name/… }`
        let inside = line.split_once('{')?.1;
        let words: Vec<&str> = inside.split(['{', '}', ' ', '"']).filter(|word| !word.is_empty()).collect();
        words.iter().find_map(|word| named(word)).or_else(|| self.of_words(&words))
    }

    fn of_socket(&self, protocol: Protocol, socket: SocketAddr) -> Option<Key> {
        let exact = self.vips.get(&(socket.ip(), protocol, socket.port()));
        exact.or_else(|| self.node_ports.get(&(protocol, socket.port()))).cloned()
    }

    /// `10.96.0.1,tcp:80`, `10.96.0.1,tcp:80,10.0.0.0/8`, `10.96.0.1`, `30080`
    fn of_entry(&self, entry: &str) -> Option<Key> {
        let mut fields = entry.split(',');
        let first = fields.next()?;
        let Ok(ip) = first.parse::<IpAddr>() else {
            let port = first.parse().ok()?;
            let of = |protocol| self.node_ports.get(&(protocol, port));
            return [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find_map(of).cloned();
        };
        let Some((protocol, port)) = fields.next().and_then(|field| field.split_once(':')) else {
            return self.hosts.get(&ip).cloned();
        };
        let (protocol, port) = (protocol.parse().ok()?, port.parse().ok()?);
        let endpoint = || self.endpoints.get(&(ip, protocol, port)).cloned();
        self.of_socket(protocol, SocketAddr::new(ip, port)).or_else(endpoint)
    }

    fn of_words(&self, words: &[&str]) -> Option<Key> {
        let fields: Vec<&str> = words.iter().copied().filter(|word| *word != ".").collect();
        let protocol = fields.iter().position(|word| word.parse::<Protocol>().is_ok());
        let ip = fields.first().and_then(|word| word.parse::<IpAddr>().ok());
        match (ip, protocol) {
            (Some(ip), Some(at)) => {
                let (protocol, port) = (fields[at].parse().ok()?, fields.get(at + 1)?.parse().ok()?);
                let endpoint = || self.endpoints.get(&(ip, protocol, port)).cloned();
                self.of_socket(protocol, SocketAddr::new(ip, port)).or_else(endpoint)
            }
            (None, Some(at)) => {
                let port = fields.get(at + 1)?.parse().ok()?;
                self.node_ports.get(&(fields[at].parse().ok()?, port)).cloned()
            }
            (Some(ip), None) => self.hosts.get(&ip).cloned(),
            (None, None) => None,
        }
    }
}

/// The text after `--comment`, or after nft's `comment`.
fn comment(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("--comment ").or_else(|| line.split_once(" comment "))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(' ').next(),
    }
}

/// Where an iptables rule jumps to.
fn jump(line: &str) -> Option<&str> {
    line.rsplit_once(" -j ").map(|(_, target)| target.split(' ').next().unwrap_or_default())
}

fn is_own_chain(name: &str) -> bool {
    ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// `shop/cart:http`, `service-ABCDEFGH-shop/cart/tcp/http`, or a text with such a word in it.
fn named(text: &str) -> Option<Key> {
    text.split(' ').find_map(|word| {
        let bare = word.split_once('-').and_then(|(_, rest)| {
            let (hash, name) = rest.split_once('-')?;
            (hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
                .then_some(name)
        });
        let (namespace, rest) = bare.unwrap_or(word).split_once('/')?;
        let name = rest.split(['/', ':']).next()?;
        let label = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        (label(namespace) && label(name)).then(|| Key::new(namespace, name))
    })
}

const SOCKET: &str = "proxy socket ";

/// The rules as parts, with the sockets of the userspace proxy beside them.
pub fn parts_of(rules: &Rules, sockets: &[ProxySocket]) -> Parts {
    let mut parts = rules.parts();
    for socket in sockets {
        let name = format!("{SOCKET}{} {} {}", socket.protocol.lower(), socket.port, socket.name);
        parts.insert(name, socket.endpoints.iter().map(|to| format!("-> {to}")).collect());
    }
    parts
}

/// What the node's rules lack, have beyond, or have otherwise, by part. Empty if the node is up to date.
pub fn drift(state: &ClusterState, family: IpFamily, expected: &Parts, actual: &Parts) -> Vec<DriftLine> {
    let mut diff = Diff::between(expected, actual);
    let is_stale = |one: &PartDiff| one.fate == Fate::Added && one.added.is_empty();
    diff.parts.retain(|part, one| !is_foreign(part) && !is_stale(one));
    if diff.is_empty() {
        return Vec::new();
    }
    let mut namer = Namer::new(state);
    namer.learn(expected);
    namer.learn(actual);
    let mut lines = Vec::new();
    for (part, one) in &diff.parts {
        let pairs = match (&one.fate, one.removed.is_empty() && one.added.is_empty()) {
            (Fate::Changed, true) => order(part, expected, actual, &namer),
            (Fate::Removed, true) => vec![(Some(EMPTY.to_owned()), None)],
            _ => pairs(one),
        };
        for (expected, actual) in pairs {
            let text = expected.as_ref().or(actual.as_ref()).map_or("", |line| line);
            let kind = match (&expected, &actual) {
                (Some(_), Some(_)) => DriftKind::Changed,
                (Some(_), None) => DriftKind::Missing,
                (None, _) => DriftKind::Extra,
            };
            let service = namer.service_of(part, text);
            lines.push(DriftLine { kind, family, part: part.clone(), expected, actual, service });
        }
    }
    lines
}

/// Stands for a chain that holds nothing.
const EMPTY: &str = "(an empty chain)";

/// Chains of built-in names, of kubelet, or that only show that somebody flushed the tables.
fn is_foreign(part: &str) -> bool {
    let Some((table, chain)) = part.split_once('/').filter(|(table, _)| !table.contains(' ')) else {
        return false;
    };
    !matches!(table, "nat" | "filter")
        || !chain.starts_with("KUBE-")
        || matches!(chain, "KUBE-PROXY-CANARY" | "KUBE-KUBELET-CANARY" | "KUBE-IPTABLES-HINT")
}

type Pair = (Option<String>, Option<String>);

/// The same lines in another order: that matters in the chains of one Service. The first that stands elsewhere.
fn order(part: &str, expected: &Parts, actual: &Parts, namer: &Namer) -> Vec<Pair> {
    let (Some(expected), Some(actual)) = (expected.get(part), actual.get(part)) else { return Vec::new() };
    if namer.owner(part).is_none() {
        return Vec::new();
    }
    let other = expected.iter().zip(actual).find(|(a, b)| a != b);
    other.map(|(a, b)| (Some(a.clone()), Some(b.clone()))).into_iter().collect()
}

/// A missing and an extra line that mostly say the same are one that was changed.
fn pairs(diff: &PartDiff) -> Vec<Pair> {
    let (missing, mut extra) = (&diff.removed, diff.added.clone());
    if missing.len() * extra.len() > MOST_PAIRS {
        let missing = missing.iter().map(|line| (Some(line.clone()), None));
        return missing.chain(extra.into_iter().map(|line| (None, Some(line)))).collect();
    }
    let mut pairs = Vec::new();
    for line in missing {
        let alike = extra.iter().enumerate().map(|(at, other)| (likeness(line, other), at));
        let best = alike.max_by_key(|(score, at)| (*score, std::cmp::Reverse(*at)));
        match best.filter(|(score, _)| *score >= 60) {
            Some((_, at)) => pairs.push((Some(line.clone()), Some(extra.remove(at)))),
            None => pairs.push((Some(line.clone()), None)),
        }
    }
    pairs.extend(extra.into_iter().map(|line| (None, Some(line))));
    pairs
}

/// How many of a hundred words stand in the same place, counted from both ends.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    (head + tail) * 100 / a.len().max(b.len()).max(1)
}

fn learnt(rules: &Rules, namer: &Namer) -> Namer {
    let mut namer = namer.clone();
    namer.learn(&rules.parts());
    namer
}

/// Only what concerns one Service: its own chains, its lines in shared ones, and the general rules around them.
pub fn rules_of(mut rules: Rules, namer: &Namer, service: &Key) -> Rules {
    let namer = learnt(&rules, namer);
    let others = |part: &str, line: &str| namer.service_of(part, line).is_some_and(|key| key != *service);
    retain_lines(&mut rules, |part, line| !others(part, line));
    if let Rules::Nftables(table) = &mut rules {
        let is_others = |part: String| namer.owner(&part).is_some_and(|key| key != *service);
        table.chains.retain(|name, _| !is_others(format!("chain {name}")));
        table.sets.retain(|name, _| !is_others(format!("set {name}")));
    }
    if let Rules::Ipvs(ruleset) = &mut rules {
        ruleset
            .virtual_servers
            .retain(|address, _| namer.owner(&server_part(address)).as_ref() == Some(service));
        ruleset.dummy_addresses.retain(|ip| namer.hosts.get(ip) == Some(service));
        for set in &mut ruleset.sets {
            let part = format!("ipset {}", set.name);
            set.entries.retain(|entry: &Entry| !others(&part, &entry.to_string()));
        }
    }
    rules.without_empty()
}

/// The rules after somebody has emptied the chains of a Service or removed its virtual servers; if it has none of its
/// own, its lines in the chains that all share.
pub fn without_rules_of(mut rules: Rules, namer: &Namer, service: &Key) -> Rules {
    let namer = learnt(&rules, namer);
    if let Rules::Ipvs(ruleset) = &mut rules {
        let is_its = |address: &VirtualAddress| namer.owner(&server_part(address)).as_ref() == Some(service);
        ruleset.virtual_servers.retain(|address, _| !is_its(address));
        return rules;
    }
    let before = rules.clone();
    retain_lines(&mut rules, |part, _| namer.owner(part).as_ref() != Some(service));
    if rules == before {
        retain_lines(&mut rules, |part, line| namer.service_of(part, line).as_ref() != Some(service));
    }
    rules
}

/// Keeps the rules and elements that `keep` wants, by part and line.
fn retain_lines(rules: &mut Rules, keep: impl Fn(&str, &str) -> bool) {
    match rules {
        Rules::Userspace(tables) | Rules::Iptables(tables) => retain_in_tables(tables, keep),
        Rules::Ipvs(ruleset) => retain_in_tables(&mut ruleset.tables, keep),
        Rules::Nftables(table) => retain_in_nft(table, keep),
    }
}

fn retain_in_tables(tables: &mut [iptables::Table], keep: impl Fn(&str, &str) -> bool) {
    for table in tables {
        let table_name = table.name.as_str();
        for chain in &mut table.chains {
            let (name, part) = (chain.name, format!("{table_name}/{}", chain.name));
            chain.rules.retain(|rule| {
                let mut line = String::new();
                rule.write(&name, &mut line);
                keep(&part, line.trim_end())
            });
        }
    }
}

fn retain_in_nft(table: &mut nft::Table, keep: impl Fn(&str, &str) -> bool) {
    let frame = nft::Table {
        chains: Default::default(),
        sets: Default::default(),
        maps: Default::default(),
        ..table.clone()
    };
    for chain in table.chains.values_mut() {
        let part = format!("chain {}", chain.name);
        let bare = nft::Chain { rules: Vec::new(), ..chain.clone() };
        chain.rules.retain(|rule| keep(&part, &frame.rule_line(&bare, rule)));
    }
    for map in table.maps.values_mut() {
        let part = format!("map {}", map.name);
        let bare = nft::Map { elements: Default::default(), ..map.clone() };
        map.elements.retain(|key, element| keep(&part, &frame.element_line(&bare, *key, element)));
    }
    for set in table.sets.values_mut() {
        let part = format!("set {}", set.name);
        let bare = nft::Set { elements: Default::default(), ..set.clone() };
        set.elements.retain(|key| keep(&part, &frame.member_line(&bare, *key)));
    }
}
