//! iptables rules into the language of [`super::Op`].

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::{Bases, Nets, Op, Program, Source, Stage, priority};
use crate::model::Text;
use crate::netfilter::ChainName;
use crate::netfilter::iptables::{Addresses, Match, Recent, Rule, Sense, Side, Table, TableName, Target};
use crate::netfilter::ipvs::{Ipset, VirtualAddress};
use crate::netfilter::nft::Hook;

/// Built-in chains and their hooks.
const BUILT_IN: [(&str, Hook); 5] = [
    ("PREROUTING", Hook::Prerouting),
    ("INPUT", Hook::Input),
    ("FORWARD", Hook::Forward),
    ("OUTPUT", Hook::Output),
    ("POSTROUTING", Hook::Postrouting),
];

/// Targets that decide nothing about the packet, whatever their options.
const HARMLESS: [&str; 6] = ["-j LOG", "-j NFLOG", "-j TRACE", "-j ULOG", "-j AUDIT", "-j CHECKSUM"];

struct Names<'a> {
    chains: FxHashMap<(TableName, ChainName), u32>,
    sets: &'a [Ipset],
}

impl Program {
    pub(super) fn add_iptables(&mut self, tables: Vec<Table>, sets: &[Ipset], bases: &mut Bases) {
        let mut names = Names { chains: FxHashMap::default(), sets };
        let first_source = self.sources.len();
        for (nth, table) in tables.iter().enumerate() {
            for (number, chain) in table.chains.iter().enumerate() {
                let at = self.chains.len() as u32;
                names.chains.insert((table.name, chain.name), at);
                self.push_chain(first_source + nth, number, Text::from(chain.name.as_str()));
                bases.extend(base(table.name, chain.name.as_str(), at));
            }
        }
        let mut at = self.chains.len() - tables.iter().map(|table| table.chains.len()).sum::<usize>();
        for table in &tables {
            for chain in &table.chains {
                self.chains[at].first = self.rules.len() as u32;
                self.chains[at].count = chain.rules.len() as u32;
                for rule in &chain.rules {
                    self.push_rule(names.ops(table.name, rule));
                }
                at += 1;
            }
        }
        self.sources.extend(tables.into_iter().map(Source::Iptables));
    }
}

fn base(table: TableName, chain: &str, at: u32) -> Option<(Hook, i32, Stage)> {
    let (_, hook) = BUILT_IN.iter().find(|(name, _)| *name == chain)?;
    let source_side = matches!(hook, Hook::Input | Hook::Postrouting);
    Some(match table {
        TableName::Nat if source_side => (*hook, priority::SRC_NAT, Stage::Nat(at)),
        TableName::Nat => (*hook, priority::DST_NAT, Stage::Nat(at)),
        TableName::Raw => (*hook, priority::RAW, Stage::Filter(at)),
        TableName::Mangle => (*hook, priority::MANGLE, Stage::Filter(at)),
        TableName::Filter => (*hook, priority::FILTER, Stage::Filter(at)),
        TableName::Security => (*hook, priority::SECURITY, Stage::Filter(at)),
    })
}

pub(super) fn nets(addresses: &Addresses) -> Nets {
    match addresses {
        Addresses::Host(ip) => Nets::Host(*ip),
        Addresses::Net(net) if net.prefix_len() == net.max_prefix_len() => Nets::Host(net.addr()),
        Addresses::Net(net) => Nets::Net(*net),
    }
}

impl Names<'_> {
    fn ops(&self, table: TableName, rule: &Rule) -> Vec<Op> {
        let mut ops: Vec<Op> = rule.matches.iter().filter_map(|one| self.test(one)).collect();
        ops.extend(rule.target.as_ref().and_then(|target| self.action(table, target)));
        ops
    }

    /// `None`: always true.
    fn test(&self, one: &Match) -> Option<Op> {
        Some(match one {
            Match::Comment(_) | Match::ProtocolModule(_) | Match::Nfacct(_) => return None,
            Match::Recent { action: Recent::Set, .. } => return None,
            Match::Recent { action: Recent::Check { seconds }, .. } => Op::Seen { seconds: *seconds },
            Match::Protocol { protocol, .. } => Op::Protocol(*protocol),
            Match::Source(sense, addresses) => Op::Source(*sense, nets(addresses)),
            Match::Destination(sense, addresses) => Op::Destination(*sense, nets(addresses)),
            Match::DestinationPort(port) => Op::Port(*port),
            Match::InInterface(sense, name) => Op::InInterface(*sense, name.clone()),
            Match::CtState(sense, states) => Op::CtState(*sense, *states),
            Match::State(states) => Op::CtState(Sense::Is, *states),
            Match::Mark { sense, value, mask } => Op::Mark { sense: *sense, value: *value, mask: *mask },
            Match::Local(sense, side) => Op::Local(*sense, *side),
            Match::OneIn(n) => Op::OneIn(*n),
            Match::InSet { set, directions } => self.in_set(set, directions),
            Match::PhysdevIsIn(sense) => Op::Bridged(*sense),
            Match::Ipvs { address, protocol, port } => {
                Op::Ipvs(VirtualAddress { protocol: *protocol, address: (*address as IpAddr, *port).into() })
            }
            Match::OutInterface(..) | Match::Unknown(_) => Op::UnknownTest,
        })
    }

    fn in_set(&self, name: &str, directions: &str) -> Op {
        let Some(set) = self.sets.iter().position(|set| &*set.name == name) else { return Op::UnknownTest };
        let mut sides = [Side::Destination; 3];
        let mut words = directions.split(',');
        for side in &mut sides {
            *side = match words.next() {
                Some("src") => Side::Source,
                Some("dst") | None => Side::Destination,
                Some(_) => return Op::UnknownTest,
            };
        }
        // Ports of sources are not followed.
        if sides[1] == Side::Source || words.next().is_some() {
            return Op::UnknownTest;
        }
        Op::InIpset { set: set as u32, directions: sides }
    }

    /// `None`: goes on with the next rule.
    fn action(&self, table: TableName, target: &Target) -> Option<Op> {
        Some(match target {
            Target::Jump(name) => match self.chains.get(&(table, *name)) {
                Some(chain) => Op::Jump(*chain),
                None => Op::UnknownAction,
            },
            Target::Accept => Op::Accept,
            Target::Drop => Op::Drop,
            Target::Reject => Op::Reject,
            Target::Return => Op::Return,
            Target::MarkOr(mask) => Op::MarkOr(*mask),
            Target::MarkXor(mask) => Op::MarkXor(*mask),
            Target::Masquerade { .. } => Op::Masquerade,
            Target::Dnat(to) => Op::Dnat(*to),
            Target::Redirect(port) => Op::Redirect(*port),
            Target::Unknown(text) if HARMLESS.iter().any(|known| is_target(text, known)) => return None,
            Target::Unknown(_) => Op::UnknownAction,
        })
    }
}

fn is_target(text: &str, known: &str) -> bool {
    text.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}
