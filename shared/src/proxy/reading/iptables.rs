//! iptables' chains and rules, in the words of [`super`].

use std::net::SocketAddr;

use super::chains;
use super::graph::{self, Declares, Draft, Start};
use super::{PartKind, Stage};
use crate::model::{Protocol, ProxyMode};
use crate::netfilter::iptables::{
    Addresses, Chain, CtStates, Match, Recent, Rule, Sense, Side, Table, TableName, Target,
};

/// A rule in its chain and table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    table: TableName,
    chain: &'a Chain,
    rule: &'a Rule,
}

pub(super) fn drafts(tables: &[Table], mode: ProxyMode) -> Vec<Draft<'_>> {
    tables
        .iter()
        .flat_map(|table| table.chains.iter().map(move |chain| draft(table.name, chain, mode)))
        .collect()
}

fn draft(table: TableName, chain: &Chain, mode: ProxyMode) -> Draft<'_> {
    let name = chain.name.as_str();
    let known = chains::iptables(mode, table, name);
    let endpoint = chain.rules.iter().find_map(|rule| match rule.target {
        Some(Target::Dnat(socket)) if known.stage == Stage::Endpoints => Some(socket),
        _ => None,
    });
    Draft {
        part: part(table, name),
        kind: PartKind::Chain,
        stage: known.stage,
        rank: known.rank,
        name: name.into(),
        table: table.as_str(),
        declares: Declares::Nothing,
        about: known.about.into(),
        rows: chain.rules.iter().map(|rule| graph::Row::Iptables(Row { table, chain, rule })).collect(),
        is_dynamic: false,
        start: if name.starts_with("KUBE-") { Start::Led } else { Start::Kernel },
        endpoint,
    }
}

fn part(table: TableName, chain: &str) -> String {
    format!("{}/{chain}", table.as_str())
}

impl Row<'_> {
    pub fn line(&self) -> String {
        printed(self.chain, self.rule)
    }

    pub fn text(&self) -> String {
        let mut plain = self.rule.clone();
        plain.matches.retain(|each| !matches!(each, Match::Comment(_)));
        let line = printed(self.chain, &plain);
        line.get("-A ".len() + self.chain.name.as_str().len()..).unwrap_or_default().trim_start().to_owned()
    }

    pub fn comment(&self) -> Option<&str> {
        self.rule.matches.iter().find_map(|each| match each {
            Match::Comment(text) => Some(&**text),
            _ => None,
        })
    }

    pub fn needs(&self) -> Vec<String> {
        let sets = self.rule.matches.iter().filter_map(|each| match each {
            Match::InSet { set, .. } => Some(ipset(set)),
            _ => None,
        });
        let chain = match &self.rule.target {
            Some(Target::Jump(chain)) => Some(part(self.table, chain.as_str())),
            _ => None,
        };
        sets.chain(chain).collect()
    }

    pub fn part_of(&self, before: &str, word: &str) -> Option<String> {
        match before {
            "-j" | "-g" => Some(part(self.table, word)),
            "--match-set" => Some(ipset(word)),
            _ => None,
        }
    }

    /// `New connections to 10.96.0.21, TCP port 80: on to its endpoints on any node.`
    pub fn about(&self, endpoint: Option<SocketAddr>) -> String {
        let subject = if self.table == TableName::Nat { "New connections" } else { "Packets" };
        let conditions = conditions(&self.rule.matches);
        let done = done(self.rule.target.as_ref(), endpoint);
        chains::sentence(subject, &conditions, &done)
    }
}

/// The part of an ipset.
pub(super) fn ipset(name: &str) -> String {
    format!("ipset {name}")
}

fn printed(chain: &Chain, rule: &Rule) -> String {
    let mut line = String::new();
    rule.write(&chain.name, &mut line);
    line.truncate(line.trim_end().len());
    line
}

/// What must hold for the rule to apply, in words.
pub(super) fn conditions(matches: &[Match]) -> Vec<String> {
    let protocol = matches.iter().find_map(|each| match each {
        Match::Protocol { protocol, .. } => Some(*protocol),
        _ => None,
    });
    let has_port = matches.iter().any(|each| matches!(each, Match::DestinationPort(_)));
    matches.iter().filter_map(|each| condition(each, protocol, has_port)).collect()
}

fn condition(each: &Match, of: Option<Protocol>, has_port: bool) -> Option<String> {
    Some(match each {
        Match::Comment(_) | Match::ProtocolModule(_) => return None,
        Match::Protocol { .. } if has_port => return None,
        Match::Protocol { protocol, .. } => format!("over {protocol}"),
        Match::DestinationPort(port) => {
            format!("{}port {port}", of.map(|of| format!("{of} ")).unwrap_or_default())
        }
        Match::Source(sense, from) => format!("{}from {}", not(*sense), addresses(from)),
        Match::Destination(sense, to) => format!("{}to {}", not(*sense), addresses(to)),
        Match::InInterface(sense, name) => format!("{} {}", came(*sense), interface(name)),
        Match::OutInterface(Sense::Is, name) => format!("that leave by {}", interface(name)),
        Match::OutInterface(Sense::Not, name) => format!("that do not leave by {}", interface(name)),
        Match::CtState(sense, states) => ct_states(*sense, *states),
        Match::State(states) => ct_states(Sense::Is, *states),
        Match::Mark { sense, .. } => format!("{}marked for masquerading", not(*sense)),
        Match::Local(sense, Side::Source) => format!("{}sent by this node itself", not(*sense)),
        Match::Local(sense, Side::Destination) => format!("{}to any address of this node", not(*sense)),
        Match::OneIn(n) => format!("one in {n}, at random"),
        Match::Recent { action: Recent::Check { seconds }, .. } => {
            format!("from a client that was sent there in the last {seconds} s")
        }
        Match::Recent { action: Recent::Set, .. } => "whose client is remembered from now on".to_owned(),
        Match::InSet { set, directions } => format!("whose {} are in the set {set}", in_set(directions)),
        Match::PhysdevIsIn(sense) => format!("{} a port of a bridge", came(*sense)),
        Match::Ipvs { address, protocol, port } => {
            format!("on their way to the virtual server {address}, {protocol} port {port}")
        }
        Match::Nfacct(name) => format!("counted as {name}"),
        Match::Unknown(text) => format!("that match a condition unknown to vipscope ({text})"),
    })
}

fn not(sense: Sense) -> &'static str {
    if sense == Sense::Is { "" } else { "not " }
}

fn came(sense: Sense) -> &'static str {
    if sense == Sense::Is { "that came in by" } else { "that did not come in by" }
}

fn interface(name: &str) -> String {
    match name.strip_suffix(['+', '*']) {
        Some(start) => format!("an interface whose name begins with {start}"),
        None => format!("interface {name}"),
    }
}

fn addresses(addresses: &Addresses) -> String {
    match addresses {
        Addresses::Host(ip) => ip.to_string(),
        Addresses::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Addresses::Net(net) => net.to_string(),
    }
}

fn in_set(directions: &str) -> &'static str {
    match directions {
        "dst" => "destination or port",
        "src,dst" => "source, protocol and port",
        "dst,dst" => "destination, protocol and port",
        "dst,dst,src" => "destination, protocol, port and source",
        _ => "addresses and ports",
    }
}

fn ct_states(sense: Sense, states: CtStates) -> String {
    let known = CtStates::RELATED.or(CtStates::ESTABLISHED);
    match sense {
        Sense::Is if states == CtStates::NEW => "that begin a connection".to_owned(),
        Sense::Is if states == CtStates::INVALID => "that belong to no connection (INVALID)".to_owned(),
        Sense::Is if states == known => "of connections that are known already".to_owned(),
        Sense::Is => format!("in state {states}"),
        Sense::Not => format!("in none of the states {states}"),
    }
}

fn done(target: Option<&Target>, endpoint: Option<SocketAddr>) -> Vec<String> {
    let what = match target {
        None => "only counted".to_owned(),
        Some(Target::Jump(chain)) => chains::on_to(chain.as_str(), endpoint),
        Some(Target::Accept) => "let through".to_owned(),
        Some(Target::Drop) => "dropped without an answer".to_owned(),
        Some(Target::Reject) => "refused at once".to_owned(),
        Some(Target::Return) => "back to the chain that they came from".to_owned(),
        Some(Target::MarkOr(mark)) => format!("marked with {mark:#010x}, to be masqueraded"),
        Some(Target::MarkXor(mark)) => format!("the mark {mark:#010x} is taken off"),
        Some(Target::Masquerade { .. }) => "get an address of this node as their source".to_owned(),
        Some(Target::Dnat(to)) => format!("sent to {to}"),
        Some(Target::Redirect(port)) => format!("led to port {port} of this node, where kube-proxy listens"),
        Some(Target::Unknown(text)) => format!("something unknown to vipscope ({text})"),
    };
    vec![what]
}
