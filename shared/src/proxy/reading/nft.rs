//! nft's chains, sets and maps, in the words of [`super`].

use std::net::SocketAddr;

use super::chains;
use super::graph::{self, Declares, Draft, Start};
use super::{PartKind, Stage};
use crate::netfilter::iptables::{Sense, Side};
use crate::netfilter::nft::{
    Addresses, Chain, Element, Field, Key, Map, Rule, Set, Statement, Table, Verdict,
};

/// A rule in its chain, or an element in its set or map.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    Rule(&'a Table, &'a Chain, &'a Rule),
    Member(&'a Table, &'a Set, Key),
    Element(&'a Table, &'a Map, Key, &'a Element),
}

pub(super) fn drafts(table: &Table) -> Vec<Draft<'_>> {
    let chains = table.chains.values().map(|chain| chain_draft(table, chain));
    let sets = table.sets.values().map(|set| set_draft(table, set));
    let maps = table.maps.values().map(|map| map_draft(table, map));
    let mut drafts: Vec<Draft<'_>> = chains.chain(sets).chain(maps).collect();
    // An endpoint's chain and its set side by side.
    drafts.sort_by(|a, b| endpoint_name(a).cmp(&endpoint_name(b)));
    drafts
}

/// What an endpoint's chain and set have in common.
fn endpoint_name<'a>(draft: &'a Draft<'_>) -> Option<&'a str> {
    let is_endpoint = draft.stage == Stage::Endpoints;
    draft.name.split_once('-').filter(|_| is_endpoint).map(|(_, rest)| rest)
}

fn chain_draft<'a>(table: &'a Table, chain: &'a Chain) -> Draft<'a> {
    let known = chains::nft(&chain.name);
    let endpoint =
        chain.rules.iter().flat_map(|rule| &rule.statements).find_map(|statement| match statement {
            Statement::Dnat(socket) => Some(*socket),
            _ => None,
        });
    Draft {
        part: chain_part(&chain.name),
        kind: PartKind::Chain,
        stage: known.stage,
        rank: known.rank,
        name: (&*chain.name).into(),
        table: "",
        declares: chain.base.map_or(Declares::Nothing, Declares::Base),
        about: known.about.into(),
        rows: chain.rules.iter().map(|rule| graph::Row::Nft(Row::Rule(table, chain, rule))).collect(),
        is_dynamic: false,
        start: if chain.base.is_some() { Start::Kernel } else { Start::Led },
        endpoint,
    }
}

fn set_draft<'a>(table: &'a Table, set: &'a Set) -> Draft<'a> {
    let known = chains::nft(&set.name);
    Draft {
        part: format!("set {}", set.name),
        kind: PartKind::Set,
        stage: known.stage,
        rank: known.rank,
        name: (&*set.name).into(),
        table: "",
        declares: Declares::Set(table, set),
        about: known.about.into(),
        rows: set.elements.iter().map(|key| graph::Row::Nft(Row::Member(table, set, *key))).collect(),
        is_dynamic: set.dynamic_seconds.is_some(),
        start: Start::Led,
        endpoint: None,
    }
}

fn map_draft<'a>(table: &'a Table, map: &'a Map) -> Draft<'a> {
    let known = chains::nft(&map.name);
    let row = |(key, element): (&Key, &'a Element)| graph::Row::Nft(Row::Element(table, map, *key, element));
    Draft {
        part: format!("map {}", map.name),
        kind: PartKind::Map,
        stage: known.stage,
        rank: known.rank,
        name: (&*map.name).into(),
        table: "",
        declares: Declares::Map(table, map),
        about: known.about.into(),
        rows: map.elements.iter().map(row).collect(),
        is_dynamic: false,
        start: Start::Led,
        endpoint: None,
    }
}

fn chain_part(name: &str) -> String {
    format!("chain {name}")
}

impl Row<'_> {
    pub fn line(&self) -> String {
        match *self {
            Row::Rule(table, chain, rule) => table.rule_line(chain, rule),
            Row::Member(table, set, key) => table.member_line(set, key),
            Row::Element(table, map, key, element) => table.element_line(map, key, element),
        }
    }

    pub fn text(&self) -> String {
        match *self {
            Row::Rule(table, _, rule) => table.statements(rule),
            Row::Member(table, _, key) => table.entry(key, None),
            Row::Element(table, _, key, element) => table.entry(key, Some(&element.verdict)),
        }
    }

    pub fn comment(&self) -> Option<&str> {
        match self {
            Row::Rule(.., rule) => rule.comment.as_deref(),
            Row::Member(..) => None,
            Row::Element(.., element) => element.comment.as_deref(),
        }
    }

    pub fn needs(&self) -> Vec<String> {
        match self {
            Row::Rule(.., rule) => rule.statements.iter().flat_map(needed).collect(),
            Row::Member(..) => Vec::new(),
            Row::Element(.., element) => verdict_needs(&element.verdict).into_iter().collect(),
        }
    }

    pub fn part_of(&self, before: &str, word: &str) -> Option<String> {
        let table = match self {
            Row::Rule(table, ..) | Row::Member(table, ..) | Row::Element(table, ..) => table,
        };
        match (before, word.strip_prefix('@')) {
            (_, Some(map)) if table.maps.contains_key(map) => Some(format!("map {map}")),
            (_, Some(set)) => Some(format!("set {set}")),
            ("jump" | "goto", None) => Some(chain_part(word)),
            _ => None,
        }
    }

    pub fn about(&self, endpoint: Option<SocketAddr>) -> String {
        match self {
            Row::Rule(_, chain, rule) => rule_about(chain, rule, endpoint),
            Row::Member(_, set, key) => member_about(&set.name, *key),
            Row::Element(.., key, element) => {
                let done = verdict(&element.verdict, endpoint);
                chains::sentence("Packets", &[to(*key)], &[done])
            }
        }
    }
}

fn needed(statement: &Statement) -> Vec<String> {
    match statement {
        Statement::InSet { set, .. } | Statement::Remember(set) => vec![format!("set {set}")],
        Statement::VerdictMap { map, .. } => vec![format!("map {map}")],
        Statement::GotoOneOf(chains) => chains.iter().map(|chain| chain_part(chain)).collect(),
        Statement::Verdict(verdict) => verdict_needs(verdict).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn verdict_needs(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain_part(chain)),
        Verdict::Accept | Verdict::Drop | Verdict::Return => None,
    }
}

fn rule_about(chain: &Chain, rule: &Rule, endpoint: Option<SocketAddr>) -> String {
    let subject = match chains::nft(&chain.name).stage {
        Stage::Filter => "Packets",
        _ if chain.name.starts_with("filter-") => "Packets",
        _ => "New connections",
    };
    let done: Vec<String> =
        rule.statements.iter().filter_map(|statement| action(statement, endpoint)).collect();
    chains::sentence(subject, &conditions(rule), &done)
}

/// What must hold for the rule to apply, in words.
pub(super) fn conditions(rule: &Rule) -> Vec<String> {
    rule.statements.iter().filter_map(condition).collect()
}

fn condition(statement: &Statement) -> Option<String> {
    Some(match statement {
        Statement::CtStateNew => "that begin a connection".to_owned(),
        Statement::CtStatusDnat => "whose destination has been rewritten".to_owned(),
        Statement::Compare { field, sense, with } => {
            let not = if *sense == Sense::Is { "" } else { "not " };
            format!("{not}{} {}", direction(*field), addresses(with))
        }
        Statement::InSet { fields, set } => format!("whose {} in the set {set}", are(fields)),
        Statement::Local(Side::Source) => "sent by this node itself".to_owned(),
        Statement::Local(Side::Destination) => "to any address of this node".to_owned(),
        Statement::InInterface(sense, name) => {
            let came = if *sense == Sense::Is { "that came in by" } else { "that did not come in by" };
            match name.strip_suffix('*') {
                Some(start) => format!("{came} an interface whose name begins with {start}"),
                None => format!("{came} interface {name}"),
            }
        }
        Statement::Protocol(protocol) => format!("over {protocol}"),
        Statement::Marked(_) => "marked for masquerading".to_owned(),
        Statement::Unknown(text) => format!("that match something unknown to vipscope ({text})"),
        _ => return None,
    })
}

fn direction(field: Field) -> &'static str {
    match field {
        Field::SourceAddress => "from",
        Field::DestinationAddress => "to",
        Field::Protocol => "over protocol",
        Field::DestinationPort => "to port",
    }
}

/// At most this many addresses are named in a sentence.
const NAMED: usize = 4;

fn addresses(addresses: &Addresses) -> String {
    match addresses {
        Addresses::Host(ip) => ip.to_string(),
        Addresses::Net(net) => net.to_string(),
        Addresses::Range(first, last) => format!("{first} to {last}"),
        Addresses::AnyOf(all) => {
            let named: Vec<String> = all.iter().take(NAMED).map(self::addresses).collect();
            let more = all.len().saturating_sub(NAMED);
            let rest = if more > 0 { format!(" or {more} more") } else { String::new() };
            format!("{}{rest}", named.join(" or "))
        }
    }
}

fn are(fields: &[Field]) -> &'static str {
    match fields {
        [Field::SourceAddress] => "source is",
        [Field::DestinationAddress] => "destination is",
        [Field::Protocol, Field::DestinationPort] => "protocol and port are",
        [Field::DestinationAddress, ..] => "destination, protocol and port are",
        _ => "source, destination, protocol and port are",
    }
}

fn action(statement: &Statement, endpoint: Option<SocketAddr>) -> Option<String> {
    Some(match statement {
        Statement::VerdictMap { fields, map } => {
            format!("on to where the map {map} leads them, if their {} in it", are(fields))
        }
        Statement::MarkXor(mark) => format!("the mark {mark:#010x} is taken off"),
        Statement::MarkOr(mark) => format!("marked with {mark:#010x}, to be masqueraded"),
        Statement::Masquerade => "get an address of this node as their source".to_owned(),
        Statement::Reject => "refused at once".to_owned(),
        Statement::DnatOneOf(all) => match all.as_slice() {
            [(ip, port)] => format!("sent to {}", SocketAddr::new(*ip, *port)),
            all => format!("sent to one of {} endpoints, at random, each as likely", all.len()),
        },
        Statement::GotoOneOf(all) => match all.len() {
            1 => "on to the endpoint's chain".to_owned(),
            count => format!("on to one of {count} endpoints' chains, at random, each as likely"),
        },
        Statement::Dnat(socket) => format!("sent to {socket}"),
        Statement::Remember(_) => {
            "their source address is remembered, so that the client comes back here".to_owned()
        }
        Statement::Verdict(verdict) => self::verdict(verdict, endpoint),
        _ => return None,
    })
}

fn verdict(verdict: &Verdict, endpoint: Option<SocketAddr>) -> String {
    match verdict {
        Verdict::Accept => "let through".to_owned(),
        Verdict::Drop => "dropped without an answer".to_owned(),
        Verdict::Return => "back to the chain that they came from".to_owned(),
        Verdict::Jump(chain) | Verdict::Goto(chain) => chains::on_to(chain, endpoint),
    }
}

pub(super) fn to(key: Key) -> String {
    match key {
        Key::Ip(ip) => format!("to {ip}"),
        Key::IpProtocolPort(ip, protocol, port) => format!("to {ip}, {protocol} port {port}"),
        Key::ProtocolPort(protocol, port) => format!("to {protocol} port {port}"),
        Key::Flow(from, to, protocol, port) => format!("from {from} to {to}, {protocol} port {port}"),
    }
}

fn member_about(set: &str, key: Key) -> String {
    match (set, key) {
        ("cluster-ips", Key::Ip(ip)) => format!("{ip} is a cluster IP."),
        ("nodeport-ips", Key::Ip(ip)) => format!("Node ports answer on {ip}."),
        ("hairpin-connections", Key::Flow(from, ..)) => {
            format!("The endpoint {from} may be sent to itself; then it is masqueraded.")
        }
        (_, key) => format!("It holds what goes {}.", to(key)),
    }
}
