//! What following a packet yields: outcomes, and the steps that led to each.
//!
//! Steps are kept as trees that outcomes share: those of one outcome are a branch from the root to the choice of an
//! endpoint, and one from there on.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Fraction, Packet};
use crate::netfilter::nft::Hook;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Sent to an endpoint.
    Deliver,
    /// Taken by the node itself, because a rule says so (a health-check port).
    Accept,
    /// Nobody answers.
    Drop,
    /// The sender is told: ICMP port unreachable, or a connection that is closed at once.
    Reject,
    /// No rule of a Service rewrites or refuses it: it goes on as it is.
    NoMatch,
    /// A rule that is not understood decides.
    Unknown,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Deliver => "deliver",
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Reject => "reject",
            Verdict::NoMatch => "no_match",
            Verdict::Unknown => "unknown",
        }
    }
}

/// State outside the rules on which a choice depends. Probabilities are those of a client that has not been seen before,
/// over many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Conditions {
    /// A client that was sent to an endpoint less than so many seconds ago goes there again.
    pub affinity: Option<u32>,
    /// IPVS chooses by this scheduler: an index for [`super::Program::scheduler`].
    pub scheduler: Option<u16>,
    /// The userspace proxy gives connections out in turn.
    pub in_turn: bool,
}

impl Conditions {
    pub fn is_empty(self) -> bool {
        self == Conditions::default()
    }
}

/// A rule, by the numbers of its chain and of itself there; no rule for what belongs to a chain's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub chain: u32,
    pub rule: Option<u32>,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// On to another chain, by its number.
    Jump(u32),
    /// The same, by a throw of dice: one in so many.
    Choose {
        one_in: u32,
        chain: u32,
    },
    Return,
    /// The packet is to be masqueraded.
    Mark,
    /// It will not be marked any longer.
    Unmark,
    /// A new destination, one of so many.
    Dnat {
        to: SocketAddr,
        one_in: u32,
    },
    /// IPVS sends it to one of so many real servers.
    Schedule {
        to: SocketAddr,
        one_in: u32,
    },
    /// A virtual server without real servers.
    NoRealServer,
    Redirect(u16),
    /// The userspace proxy opens a connection to one of so many endpoints.
    Proxy {
        to: SocketAddr,
        one_in: u32,
    },
    /// The userspace proxy knows no endpoint.
    NoEndpoint,
    Masquerade,
    Accept,
    Drop,
    Reject,
    /// The kernel itself drops it: it came in for a loopback address.
    Martian,
    /// Nobody answers: it comes from the node's loopback address, and is for another host.
    Loopback,
    /// The chains of this hook have let it pass.
    Pass,
    /// Not understood.
    Unknown,
}

/// One step on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    pub hook: Hook,
    /// `None`: not a rule, but IPVS or the proxy process.
    pub place: Option<Place>,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub parent: u32,
    pub step: Step,
}

/// The root of both trees.
pub(super) const ROOT: u32 = u32::MAX;

/// One thing that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub probability: Fraction,
    pub verdict: Verdict,
    /// Where the packet goes in the end.
    pub destination: SocketAddr,
    /// Its source becomes an address of the node.
    pub masquerade: bool,
    pub conditions: Conditions,
    pub(super) before: u32,
    pub(super) after: u32,
}

/// Everything that can happen to a packet. Reusable: [`super::Program::trace_into`] clears it.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    pub outcomes: Vec<Outcome>,
    pub(super) nodes: Vec<Node>,
}

impl Trace {
    /// No rule sees the packet.
    pub fn untouched(packet: &Packet) -> Trace {
        let outcome = Outcome {
            probability: Fraction::ONE,
            verdict: Verdict::NoMatch,
            destination: SocketAddr::new(packet.destination, packet.port),
            masquerade: false,
            conditions: Conditions::default(),
            before: ROOT,
            after: ROOT,
        };
        Trace { outcomes: vec![outcome], nodes: Vec::new() }
    }

    /// The steps of an outcome, in order.
    pub fn steps(&self, outcome: &Outcome) -> Vec<Step> {
        let mut steps = Vec::new();
        for leaf in [outcome.after, outcome.before] {
            let mut at = leaf;
            while let Some(node) = self.nodes.get(at as usize) {
                steps.push(node.step);
                at = node.parent;
            }
        }
        steps.reverse();
        steps
    }

    pub(super) fn clear(&mut self) {
        self.outcomes.clear();
        self.nodes.clear();
    }

    pub(super) fn push(&mut self, parent: u32, step: Step) -> u32 {
        self.nodes.push(Node { parent, step });
        (self.nodes.len() - 1) as u32
    }
}
