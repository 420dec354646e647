//! Which of a packet's outcomes comes true on a node: dice where rules throw dice, and where not, what the kernel or the
//! userspace proxy remembers: recent clients, persistent clients, whose turn it is, how many connections are open.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use vipscope_shared::model::{Protocol, Text};
use vipscope_shared::trace::{Conditions, Effect, Fraction, Outcome, Packet, Place, Program, Trace, Verdict};

use crate::sandbox::chance::Chance;

/// What can become of a packet, with what it takes to choose.
#[derive(Debug, Clone)]
pub struct Decision {
    /// With probabilities that sum to 1.
    pub options: Vec<Choice>,
    /// Of the IPVS scheduler, if one decides.
    scheduler: Option<Text>,
}

/// One outcome.
#[derive(Debug, Clone)]
pub struct Choice {
    pub verdict: Verdict,
    pub destination: SocketAddr,
    /// The rules that it went through.
    pub places: Vec<Place>,
    /// An IPVS real server took it.
    pub scheduled: bool,
    probability: Fraction,
    conditions: Conditions,
    /// The chain that remembers its clients: that of the rule that gave it its destination.
    list: Option<Text>,
}

impl Decision {
    pub fn new(program: &Program, trace: &Trace) -> Decision {
        let options: Vec<Choice> = trace.outcomes.iter().map(|one| choice(program, trace, one)).collect();
        let numbers = options.iter().find_map(|choice| choice.conditions.scheduler);
        Decision { options, scheduler: numbers.map(|number| program.scheduler(number).into()) }
    }
}

fn choice(program: &Program, trace: &Trace, outcome: &Outcome) -> Choice {
    let steps = trace.steps(outcome);
    let dnat = steps.iter().find(|step| matches!(step.effect, Effect::Dnat { .. }));
    let list = dnat.and_then(|step| step.place).map(|place| Text::from(program.chain_name(place.chain)));
    Choice {
        verdict: outcome.verdict,
        destination: outcome.destination,
        scheduled: steps.iter().any(|step| matches!(step.effect, Effect::Schedule { .. })),
        places: steps.iter().filter_map(|step| step.place).filter(|place| place.rule.is_some()).collect(),
        probability: outcome.probability,
        conditions: outcome.conditions,
        list,
    }
}

/// A client of a VIP.
type Client = (SocketAddr, Protocol, IpAddr);

/// What a node remembers beside its rules. Times are milliseconds.
#[derive(Debug, Default)]
pub struct Memory {
    /// When a client was last sent through a chain (`xt_recent`, nft's `affinity-…` sets).
    recent: HashMap<(Text, IpAddr), u64>,
    /// Where a client of a persistent virtual server, or of the userspace proxy, was last sent, and when.
    sticky: HashMap<Client, (SocketAddr, u64)>,
    /// Who had the last turn.
    turns: HashMap<(SocketAddr, Protocol), SocketAddr>,
}

impl Memory {
    /// Forgets the clients of chains that are gone: their lists went with their rules.
    pub fn keep_lists(&mut self, is_there: impl Fn(&str) -> bool) {
        self.recent.retain(|(list, _), _| is_there(list));
    }

    /// Another proxy mode remembers nothing of this.
    pub fn clear(&mut self) {
        *self = Memory::default();
    }

    /// The number of the option that comes true. `open` says how many connections an endpoint of this VIP has open.
    pub fn choose(
        &mut self,
        decision: &Decision,
        packet: &Packet,
        now: u64,
        chance: &mut Chance,
        open: impl Fn(SocketAddr) -> u64,
    ) -> usize {
        let Some(first) = decision.options.first().filter(|_| decision.options.len() > 1) else { return 0 };
        let conditions = decision.options.iter().find(|choice| !choice.conditions.is_empty());
        let conditions = conditions.map_or(first.conditions, |choice| choice.conditions);
        let known = conditions.affinity.and_then(|seconds| {
            let alive = |at: &u64| now.saturating_sub(*at) < u64::from(seconds) * 1000;
            self.remembered(decision, packet, alive)
        });
        let at = known.unwrap_or_else(|| match &decision.scheduler {
            Some(scheduler) => self.schedule(scheduler, decision, packet, open),
            None if conditions.in_turn => self.next_turn(decision, packet),
            None => throw(decision, chance),
        });
        if conditions.affinity.is_some()
            && let Some(choice) = decision.options.get(at)
        {
            self.remember(choice, packet, now);
        }
        at
    }

    /// The endpoint after `failed`, which did not answer the userspace proxy; it also forgets the client.
    pub fn next_after_failure(&mut self, decision: &Decision, packet: &Packet) -> usize {
        self.sticky.remove(&client(packet));
        self.next_turn(decision, packet)
    }

    fn remembered(
        &self,
        decision: &Decision,
        packet: &Packet,
        alive: impl Fn(&u64) -> bool,
    ) -> Option<usize> {
        let sticky = self.sticky.get(&client(packet)).filter(|(_, at)| alive(at)).map(|(to, _)| *to);
        decision.options.iter().position(|choice| match &choice.list {
            Some(list) => self.recent.get(&(list.clone(), packet.source)).is_some_and(&alive),
            None => sticky == Some(choice.destination),
        })
    }

    fn remember(&mut self, choice: &Choice, packet: &Packet, now: u64) {
        match &choice.list {
            Some(list) => drop(self.recent.insert((list.clone(), packet.source), now)),
            None => drop(self.sticky.insert(client(packet), (choice.destination, now))),
        }
    }

    /// `net/netfilter/ipvs/ip_vs_*.c`; kube-proxy gives every real server that takes connections the weight 1.
    fn schedule(
        &mut self,
        scheduler: &str,
        decision: &Decision,
        packet: &Packet,
        open: impl Fn(SocketAddr) -> u64,
    ) -> usize {
        let hashed = |ip: IpAddr| {
            let mut hasher = DefaultHasher::new();
            ip.hash(&mut hasher);
            (hasher.finish() % decision.options.len().max(1) as u64) as usize
        };
        match scheduler {
            "rr" | "wrr" => self.next_turn(decision, packet),
            "lc" | "wlc" | "sed" | "nq" => {
                let busy = |(_, choice): &(usize, &Choice)| open(choice.destination);
                decision.options.iter().enumerate().min_by_key(busy).map_or(0, |(at, _)| at)
            }
            "dh" | "lblc" | "lblcr" => hashed(packet.destination),
            _ => hashed(packet.source),
        }
    }

    fn next_turn(&mut self, decision: &Decision, packet: &Packet) -> usize {
        let vip = (SocketAddr::new(packet.destination, packet.port), packet.protocol);
        let last = self.turns.get(&vip);
        let after = |last: &SocketAddr| decision.options.iter().position(|one| one.destination == *last);
        let at = last.and_then(after).map_or(0, |at| (at + 1) % decision.options.len().max(1));
        if let Some(choice) = decision.options.get(at) {
            self.turns.insert(vip, choice.destination);
        }
        at
    }
}

fn client(packet: &Packet) -> Client {
    (SocketAddr::new(packet.destination, packet.port), packet.protocol, packet.source)
}

/// Dice with exactly the sides that the fractions ask for, as long as their common denominator fits.
fn throw(decision: &Decision, chance: &mut Chance) -> usize {
    let last = decision.options.len().saturating_sub(1);
    let whole = decision.options.iter().try_fold(1_u64, |whole, choice| {
        let denominator = choice.probability.denominator();
        (whole / gcd(whole, denominator)).checked_mul(denominator)
    });
    match whole {
        Some(whole) => {
            let mut left = chance.below(whole);
            let share =
                |choice: &Choice| choice.probability.numerator() * (whole / choice.probability.denominator());
            let hit = decision.options.iter().position(|choice| {
                let share = share(choice);
                let hit = left < share;
                left = left.saturating_sub(share);
                hit
            });
            hit.unwrap_or(last)
        }
        None => {
            let mut left = chance.unit();
            let hit = decision.options.iter().position(|choice| {
                left -= choice.probability.as_f64();
                left < 0.0
            });
            hit.unwrap_or(last)
        }
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}
