//! The kernel's own form of nft rules: equal for a table as generated and as nft lists it.
//!
//! Addresses become the fewest ranges that hold the same hosts, ascending; each range a host or a network if it is one.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Addresses, Rule, Statement, Table};
use crate::model::IpFamily;

impl Table {
    pub fn normal(&self) -> Table {
        let mut table = self.clone();
        let rules = table.chains.values_mut().flat_map(|chain| &mut chain.rules);
        rules.for_each(|rule| *rule = rule.normal());
        table
    }
}

impl Rule {
    pub fn normal(&self) -> Rule {
        let statements = self.statements.iter().map(|statement| match statement {
            Statement::Compare { field, sense, with } => {
                Statement::Compare { field: *field, sense: *sense, with: with.normal() }
            }
            other => other.clone(),
        });
        Rule { statements: statements.collect(), comment: self.comment.clone() }
    }
}

impl Addresses {
    fn normal(&self) -> Addresses {
        let mut ranges = Vec::new();
        self.ranges(&mut ranges);
        ranges.sort_unstable();
        let mut merged: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if touches(before.1, first) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        let mut all: Vec<Addresses> = merged.into_iter().map(Addresses::of_range).collect();
        match all.len() {
            1 => all.swap_remove(0),
            _ => Addresses::AnyOf(all),
        }
    }

    fn ranges(&self, out: &mut Vec<(IpAddr, IpAddr)>) {
        match self {
            Addresses::Host(ip) => out.push((*ip, *ip)),
            Addresses::Net(net) => out.push((net.network(), net.broadcast())),
            Addresses::Range(first, last) => out.push((*first, *last)),
            Addresses::AnyOf(all) => all.iter().for_each(|one| one.ranges(out)),
        }
    }

    fn of_range((first, last): (IpAddr, IpAddr)) -> Addresses {
        if first == last {
            return Addresses::Host(first);
        }
        let net = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let length = (first.to_bits() ^ last.to_bits()).leading_zeros() as u8;
                Ipv4Net::new(first, length).ok().map(IpNet::V4)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let length = (first.to_bits() ^ last.to_bits()).leading_zeros() as u8;
                Ipv6Net::new(first, length).ok().map(IpNet::V6)
            }
            _ => None,
        };
        match net {
            Some(net) if net.network() == first && net.broadcast() == last => Addresses::Net(net),
            _ => Addresses::Range(first, last),
        }
    }
}

/// Whether a range that begins at `first` overlaps or continues one that ends at `last`.
fn touches(last: IpAddr, first: IpAddr) -> bool {
    let same_family = last.is_ipv4() == first.is_ipv4();
    same_family && IpFamily::next_address(last).is_none_or(|next| first <= next)
}
