//! The index of a long chain: which of its rules can match a destination, a port and a protocol.
//!
//! Invariant: the three lists together hold every rule of the chain, each in one list, each list in the chain's order; so
//! merging those that fit a packet visits, in order, every rule that could match it.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::{Nets, Op, Program};
use crate::model::Protocol;
use crate::netfilter::iptables::Sense;

/// Chains that are shorter are walked as they are.
const WORTH_IT: u32 = 8;

/// A part of `Program::lists`: from, to.
pub(in crate::trace) type Range = (u32, u32);

#[derive(Debug, Clone, Default)]
pub(in crate::trace) struct ChainIndex {
    pub by_address: FxHashMap<(IpAddr, Protocol, u16), Range>,
    pub by_port: FxHashMap<(Protocol, u16), Range>,
    pub rest: Range,
}

#[derive(Default)]
struct Lists {
    by_address: FxHashMap<(IpAddr, Protocol, u16), Vec<u32>>,
    by_port: FxHashMap<(Protocol, u16), Vec<u32>>,
    rest: Vec<u32>,
}

impl Program {
    pub(super) fn index_chains(&mut self) {
        for number in 0..self.chains.len() {
            let (first, count) = (self.chains[number].first, self.chains[number].count);
            if count < WORTH_IT {
                continue;
            }
            let lists = self.sort_rules(first, count);
            // Where few rules ask for a port, the index only costs.
            if lists.rest.len() as u32 > count / 2 {
                continue;
            }
            let mut push = |list: Vec<u32>| {
                let start = self.lists.len() as u32;
                self.lists.extend(list);
                (start, self.lists.len() as u32)
            };
            let index = ChainIndex {
                by_address: lists.by_address.into_iter().map(|(key, list)| (key, push(list))).collect(),
                by_port: lists.by_port.into_iter().map(|(key, list)| (key, push(list))).collect(),
                rest: push(lists.rest),
            };
            self.chains[number].index = Some(index);
        }
    }

    fn sort_rules(&self, first: u32, count: u32) -> Lists {
        let mut lists = Lists::default();
        for rule in first..first + count {
            let code = &self.rules[rule as usize];
            let ops = &self.ops[code.start as usize..code.start as usize + usize::from(code.len)];
            // Only what is asked before anything is done.
            let (mut address, mut protocol, mut port) = (None, None, None);
            for op in ops {
                match op {
                    Op::Destination(Sense::Is, Nets::Host(ip)) => address = Some(*ip),
                    Op::Protocol(one) => protocol = Some(*one),
                    Op::Port(one) => port = Some(*one),
                    _ => {}
                }
            }
            match (address, protocol, port) {
                (Some(ip), Some(protocol), Some(port)) => {
                    lists.by_address.entry((ip, protocol, port)).or_default().push(rule);
                }
                (_, Some(protocol), Some(port)) => {
                    lists.by_port.entry((protocol, port)).or_default().push(rule);
                }
                _ => lists.rest.push(rule),
            }
        }
        lists
    }
}
