//! nft rules into the language of [`super::Op`].

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use super::{Bases, Fields, Nets, Op, Program, SetCode, Source, Stage};
use crate::model::Text;
use crate::netfilter::iptables::{CtStates, Sense};
use crate::netfilter::nft::{Addresses, BaseKind, Rule, Statement, Table, Verdict};

struct Names {
    chains: FxHashMap<Text, u32>,
    sets: FxHashMap<Text, u32>,
    maps: FxHashMap<Text, u32>,
}

impl Program {
    pub(super) fn add_nft(&mut self, table: Table, bases: &mut Bases) {
        let source = self.sources.len();
        let first = self.chains.len() as u32;
        for (number, chain) in table.chains.values().enumerate() {
            let at = first + number as u32;
            self.push_chain(source, number, chain.name.clone());
            if let Some(base) = chain.base {
                let stage = if base.kind == BaseKind::Nat { Stage::Nat(at) } else { Stage::Filter(at) };
                bases.push((base.hook, base.priority, stage));
            }
        }
        let mut names = Names {
            chains: (first..).zip(table.chains.keys()).map(|(at, name)| (name.clone(), at)).collect(),
            sets: FxHashMap::default(),
            maps: FxHashMap::default(),
        };
        for set in table.sets.values() {
            let at = self.sets.len() as u32;
            names.sets.insert(set.name.clone(), at);
            self.sets
                .push(SetCode { keys: set.elements.iter().copied().collect(), seconds: set.dynamic_seconds });
        }
        for map in table.maps.values() {
            names.maps.insert(map.name.clone(), self.maps.len() as u32);
            let elements = map.elements.iter().map(|(key, element)| (*key, names.verdict(&element.verdict)));
            self.maps.push(elements.collect());
        }
        for (number, chain) in table.chains.values().enumerate() {
            let at = first as usize + number;
            self.chains[at].first = self.rules.len() as u32;
            self.chains[at].count = chain.rules.len() as u32;
            chain.rules.iter().for_each(|rule| self.push_rule(names.ops(rule)));
        }
        self.sources.push(Source::Nft(table));
    }
}

fn nets(addresses: &Addresses) -> Nets {
    match addresses {
        Addresses::Host(ip) => Nets::Host(*ip),
        Addresses::Net(net) => Nets::Net(*net),
        Addresses::Range(first, last) => Nets::Range(*first, *last),
        Addresses::AnyOf(all) => Nets::AnyOf(all.iter().map(nets).collect()),
    }
}

impl Names {
    fn ops(&self, rule: &Rule) -> Vec<Op> {
        rule.statements.iter().filter_map(|statement| self.op(statement)).collect()
    }

    /// `None`: changes nothing that is followed.
    fn op(&self, statement: &Statement) -> Option<Op> {
        use crate::netfilter::nft::Field;
        Some(match statement {
            Statement::CtStateNew => Op::CtState(Sense::Is, CtStates::NEW),
            Statement::CtStatusDnat => Op::CtState(Sense::Is, CtStates::DNAT),
            Statement::Compare { field, sense, with } => match field {
                Field::SourceAddress => Op::Source(*sense, nets(with)),
                Field::DestinationAddress => Op::Destination(*sense, nets(with)),
                Field::Protocol | Field::DestinationPort => Op::UnknownTest,
            },
            Statement::InSet { fields, set } => match (Fields::of(fields), self.sets.get(set)) {
                (Some(fields), Some(&set)) => Op::InSet { set, fields },
                _ => Op::UnknownTest,
            },
            Statement::VerdictMap { fields, map } => match (Fields::of(fields), self.maps.get(map)) {
                (Some(fields), Some(&map)) => Op::Lookup { map, fields },
                _ => Op::UnknownAction,
            },
            Statement::Local(side) => Op::Local(Sense::Is, *side),
            Statement::InInterface(sense, name) => Op::InInterface(*sense, (&**name).into()),
            Statement::Protocol(protocol) => Op::Protocol(*protocol),
            Statement::Marked(mask) => Op::Mark { sense: Sense::Not, value: 0, mask: *mask },
            Statement::MarkXor(mask) => Op::MarkXor(*mask),
            Statement::MarkOr(mask) => Op::MarkOr(*mask),
            Statement::Masquerade => Op::Masquerade,
            Statement::Reject => Op::Reject,
            Statement::DnatOneOf(all) => {
                Op::DnatOneOf(all.iter().map(|(ip, port)| SocketAddr::new(*ip, *port)).collect())
            }
            Statement::GotoOneOf(all) => {
                let chains: Option<Box<[u32]>> =
                    all.iter().map(|name| self.chains.get(name).copied()).collect();
                chains.map_or(Op::UnknownAction, Op::GotoOneOf)
            }
            Statement::Dnat(to) => Op::Dnat(*to),
            Statement::Remember(_) => return None,
            Statement::Verdict(verdict) => self.verdict(verdict),
            Statement::Unknown(text) if decides_nothing(text) => return None,
            // Whatever follows in the rule is part of it, so this is a test and an action at once.
            Statement::Unknown(_) => Op::UnknownAction,
        })
    }

    fn verdict(&self, verdict: &Verdict) -> Op {
        let chain =
            |name: &Text, op: fn(u32) -> Op| self.chains.get(name).copied().map_or(Op::UnknownAction, op);
        match verdict {
            Verdict::Accept => Op::Accept,
            Verdict::Drop => Op::Drop,
            Verdict::Return => Op::Return,
            Verdict::Jump(name) => chain(name, Op::Jump),
            Verdict::Goto(name) => chain(name, Op::Goto),
        }
    }
}

/// Words without which a statement changes neither the packet nor its way.
const DECISIVE: [&str; 19] = [
    "accept",
    "drop",
    "reject",
    "return",
    "jump",
    "goto",
    "continue",
    "dnat",
    "snat",
    "masquerade",
    "redirect",
    "queue",
    "tproxy",
    "set",
    "vmap",
    "map",
    "dup",
    "fwd",
    "synproxy",
];

/// It counts or logs, or does whatever else is not followed.
fn decides_nothing(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    !words.any(|word| DECISIVE.contains(&word))
}
