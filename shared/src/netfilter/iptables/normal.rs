//! The kernel's own form of rules: equal for a rule as generated and as `iptables-save` prints it back.

use ipnet::IpNet;

use super::{Addresses, Chain, Match, Rule, Table, Target};

impl Table {
    /// Chains by name, rules in their normal form.
    pub fn normal(&self) -> Table {
        let mut chains: Vec<Chain> = self.chains.iter().map(Chain::normal).collect();
        chains.sort_by_key(|chain| chain.name);
        Table { name: self.name, chains }
    }
}

impl Chain {
    fn normal(&self) -> Chain {
        Chain { name: self.name, rules: self.rules.iter().map(Rule::normal).collect() }
    }
}

impl Rule {
    /// Source, destination, interfaces and protocol first, then the other matches in order; addresses as networks.
    pub fn normal(&self) -> Rule {
        let mut matches: Vec<Match> = self.matches.iter().map(Match::normal).collect();
        matches.sort_by_key(Match::rank);
        load_module(&mut matches);
        let target = self.target.as_ref().map(|target| match target {
            // Nothing to set is nothing to flip.
            Target::MarkOr(0) => Target::MarkXor(0),
            other => other.clone(),
        });
        Rule { matches, target }
    }
}

/// `-p P` and a `-m P` behind it are one.
fn load_module(matches: &mut Vec<Match>) {
    let bare = matches.iter().enumerate().find_map(|(at, each)| match each {
        Match::Protocol { protocol, module: false } => Some((at, *protocol)),
        _ => None,
    });
    let Some((at, protocol)) = bare else { return };
    if let Some(loaded) = matches.iter().position(|each| *each == Match::ProtocolModule(protocol)) {
        matches[at] = Match::Protocol { protocol, module: true };
        matches.remove(loaded);
    }
}

impl Match {
    /// Where `iptables-save` puts it; the modules share the last place, in the order of the rule.
    fn rank(&self) -> u8 {
        match self {
            Match::Source(..) => 0,
            Match::Destination(..) => 1,
            Match::InInterface(..) => 2,
            Match::OutInterface(..) => 3,
            Match::Protocol { .. } => 4,
            _ => 5,
        }
    }

    fn normal(&self) -> Match {
        match self {
            Match::Source(sense, addresses) => Match::Source(*sense, addresses.normal()),
            Match::Destination(sense, addresses) => Match::Destination(*sense, addresses.normal()),
            other => other.clone(),
        }
    }
}

impl Addresses {
    fn normal(self) -> Addresses {
        match self {
            Addresses::Host(ip) => Addresses::Net(IpNet::from(ip)),
            Addresses::Net(net) => Addresses::Net(net.trunc()),
        }
    }
}
