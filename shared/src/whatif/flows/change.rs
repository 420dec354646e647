//! Destinations, what can happen to a connection there, and how that differs.

use std::net::{IpAddr, SocketAddr};

use crate::model::{IpFamily, Key, Protocol, Text};
use crate::predict::Predictor;
use crate::trace::{Fraction, Origin, Outcome, Packet, Trace, Verdict};
use crate::whatif::difference::{Target, TargetKind};

/// Something that Services claim, whichever node is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::whatif) struct Destination {
    pub kind: TargetKind,
    /// `None`: the node's own addresses; loopback, if the kind says so.
    pub ip: Option<IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    pub family: IpFamily,
}

impl Destination {
    pub fn target(&self, ip: Option<IpAddr>, claim: &Claim) -> Target {
        let Destination { kind, port, protocol, family, .. } = *self;
        let (service, port_name) = (Some(claim.service.clone()), claim.port_name.clone());
        Target { service, port_name, kind, ip, port, protocol, family }
    }

    /// To one of its addresses.
    pub fn packet(&self, ip: IpAddr, origin: Origin, source: IpAddr) -> Packet {
        let Destination { port, protocol, .. } = *self;
        Packet { source, destination: ip, port, protocol, origin }
    }
}

/// Whose destination it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::whatif) struct Claim {
    pub service: Key,
    pub port_name: Text,
}

/// One thing that can happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Chance {
    pub verdict: Verdict,
    /// If it is delivered.
    pub endpoint: Option<SocketAddr>,
    pub masquerade: bool,
    pub affinity: Option<u32>,
    pub scheduler: Option<Text>,
    pub in_turn: bool,
    /// Where kube-proxy answers itself ([`super::health`]): how many ready endpoints the node has.
    pub health: Option<u32>,
    pub fraction: [u64; 2],
}

/// Everything that can happen, sorted; equal things are one.
pub(super) type Chances = Vec<Chance>;

pub(super) fn chances(predictor: &Predictor, trace: &Trace) -> Chances {
    let chance = |outcome: &Outcome| {
        let delivered = outcome.verdict == Verdict::Deliver;
        let scheduler = outcome.conditions.scheduler.map(|number| predictor.program.scheduler(number).into());
        let chance = Chance {
            verdict: outcome.verdict,
            endpoint: delivered.then_some(outcome.destination),
            masquerade: outcome.masquerade,
            affinity: outcome.conditions.affinity,
            scheduler,
            in_turn: outcome.conditions.in_turn,
            health: None,
            fraction: [0, 1],
        };
        (chance, outcome.probability)
    };
    let mut all: Vec<(Chance, Fraction)> = trace.outcomes.iter().map(chance).collect();
    all.sort_unstable();
    let mut merged: Vec<(Chance, Fraction)> = Vec::with_capacity(all.len());
    for (chance, part) in all {
        // Without an exact form it stays apart.
        match merged.last_mut().map(|(last, sum)| (*last == chance, sum)) {
            Some((true, sum)) if sum.plus(part).is_some() => *sum = sum.plus(part).unwrap_or(*sum),
            _ => merged.push((chance, part)),
        }
    }
    merged.into_iter().map(|(chance, sum)| Chance { fraction: parts(sum), ..chance }).collect()
}

fn parts(fraction: Fraction) -> [u64; 2] {
    [fraction.numerator(), fraction.denominator()]
}

/// What a source could do, and could do afterwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Change {
    pub before: Chances,
    pub after: Chances,
}

impl Change {
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    /// Without the masquerading of what an endpoint sends to itself: `None` if there is none, or only before or after.
    pub fn without_hairpin(&self, source: IpAddr) -> Option<Change> {
        let is_itself = |chance: &Chance| chance.endpoint.is_some_and(|to| to.ip() == source);
        let mut own = self.before.iter().chain(&self.after).filter(|chance| is_itself(chance)).peekable();
        own.peek()?;
        if !own.all(|chance| chance.masquerade) {
            return None;
        }
        let plain = |chances: &Chances| -> Chances {
            let mut all = chances.clone();
            for chance in all.iter_mut().filter(|chance| is_itself(chance)) {
                chance.masquerade = false;
            }
            all.sort_unstable();
            all
        };
        Some(Change { before: plain(&self.before), after: plain(&self.after) })
    }
}
