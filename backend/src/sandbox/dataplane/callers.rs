//! Who connects where and how often: pods whose annotation says so, and the outside, over node ports and balancers.
//!
//! Every caller has dice of its own, made from the seed and its name, so that what one does never depends on the others.
//! Connections come at random times with the rate that is set (a Poisson process).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vipscope_shared::model::Key;
use vipscope_shared::traffic::Call;

/// On a Service: connections a second from outside, over its balancer and external addresses or, without one, its node ports.
pub const OUTSIDE_ANNOTATION: &str = "vipscope.dev/simulated-outside-calls";

/// What a Service that can be reached from outside gets without the annotation.
pub const OUTSIDE_RATE: f64 = 2.0;
const MICROS: f64 = 1_000_000.0;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    Pod(Key),
    /// The outside, calling this Service.
    Outside(Key),
}

#[derive(Debug)]
struct Caller {
    calls: Vec<(Call, StdRng)>,
}

/// A call that is due, with a throw of dice for what it needs beside.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub who: Who,
    pub call: Call,
    /// Milliseconds.
    pub at: u64,
    pub dice: u64,
}

#[derive(Debug)]
pub struct Callers {
    seed: u64,
    all: BTreeMap<Who, Caller>,
    /// By microsecond.
    due: BTreeSet<(u64, Who, usize)>,
}

impl Callers {
    pub fn new(seed: u64) -> Callers {
        Callers { seed, all: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// From `now` on, in milliseconds, this is what the caller does; nothing at all ends it.
    pub fn set(&mut self, who: Who, calls: Vec<Call>, now: u64) {
        let same =
            self.all.get(&who).map(|caller| caller.calls.iter().map(|(call, _)| call).eq(calls.iter()));
        if same.unwrap_or(calls.is_empty()) {
            return;
        }
        self.all.remove(&who);
        self.due.retain(|(_, known, _)| *known != who);
        if calls.is_empty() {
            return;
        }
        let with_dice = |(number, call): (usize, Call)| {
            let mut hasher = std::hash::DefaultHasher::new();
            (self.seed, &who, number, &call.service, &call.port).hash(&mut hasher);
            (call, StdRng::seed_from_u64(hasher.finish()))
        };
        let mut caller = Caller { calls: calls.into_iter().enumerate().map(with_dice).collect() };
        for (number, (call, dice)) in caller.calls.iter_mut().enumerate() {
            if let Some(pause) = pause(call.rate, dice) {
                self.due.insert((now * 1000 + pause, who.clone(), number));
            }
        }
        self.all.insert(who, caller);
    }

    /// How many callers of the outside there are.
    pub fn outside(&self) -> usize {
        self.all.keys().filter(|who| matches!(who, Who::Outside(_))).count()
    }

    /// The next call up to and including `now`, in milliseconds.
    pub fn next(&mut self, now: u64) -> Option<Due> {
        let first = self.due.first().filter(|(at, ..)| *at <= now * 1000)?;
        let (at, who, number) = first.clone();
        self.due.remove(&(at, who.clone(), number));
        let (call, dice) = self.all.get_mut(&who)?.calls.get_mut(number)?;
        let due = Due { who: who.clone(), call: call.clone(), at: at / 1000, dice: dice.next_u64() };
        if let Some(pause) = pause(call.rate, dice) {
            self.due.insert((at + pause, who, number));
        }
        Some(due)
    }
}

/// Microseconds to the next call; `None`: never.
fn pause(rate: f64, dice: &mut StdRng) -> Option<u64> {
    let unit = (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (rate > 0.0).then(|| ((-(1.0 - unit).ln() / rate * MICROS) as u64).max(1))
}

#[cfg(test)]
mod tests {
    use vipscope_shared::traffic::parse_calls;

    use super::*;

    fn sequence(seed: u64, others: usize) -> Vec<(u64, u64)> {
        let mut callers = Callers::new(seed);
        for number in 0..others {
            callers.set(
                Who::Pod(Key::new("shop", format!("other-{number}"))),
                parse_calls("a/b=9").unwrap(),
                0,
            );
        }
        let web = Who::Pod(Key::new("shop", "web"));
        callers.set(web.clone(), parse_calls("shop/cart=10").unwrap(), 0);
        let mut seen = Vec::new();
        while let Some(due) = callers.next(100_000) {
            seen.extend((due.who == web).then_some((due.at, due.dice)));
        }
        seen
    }

    #[test]
    fn a_seed_gives_one_sequence_with_the_rate_that_was_set() {
        let (first, again, other) = (sequence(7, 0), sequence(7, 3), sequence(8, 0));
        assert_eq!(first, again, "whatever others do");
        assert_ne!(first, other);
        assert!(first.is_sorted_by_key(|(at, _)| *at));
        // 1000 are expected; the standard deviation is 32.
        assert!((880..1120).contains(&first.len()), "{}", first.len());
    }

    #[test]
    fn callers_end_and_change() {
        let mut callers = Callers::new(1);
        let web = Who::Pod(Key::new("shop", "web"));
        callers.set(web.clone(), parse_calls("shop/cart=100").unwrap(), 0);
        assert!(callers.next(1000).is_some());
        callers.set(web.clone(), parse_calls("shop/catalog=100").unwrap(), 1000);
        assert_eq!(callers.next(2000).unwrap().call.service, Key::new("shop", "catalog"));
        callers.set(web, Vec::new(), 2000);
        assert_eq!(callers.next(1_000_000), None);
    }
}
