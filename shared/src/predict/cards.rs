//! An answer as people read it: the steps as cards in order, the choice of an endpoint shown once with everybody's share,
//! and one verdict with its reason.
//!
//! Steps that decide nothing are folded into the card after them: a jump that every packet takes, and what a chain does to
//! all that come to it. No line is lost: a card names the [`LineId`]s of all its steps.

use std::net::SocketAddr;

use super::{Answer, OutcomeView, StepKind, StepView};
use crate::model::Key;
use crate::proxy::reading::LineId;
use crate::trace::{Fraction, Verdict};

/// Lines of more outcomes than this are not named: nobody could tell them apart.
const LIT_OUTCOMES: usize = 24;
/// Shares written out one by one; of more, the first and the number.
const WRITTEN: usize = 4;

/// An answer in cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Of most connections, if outcomes differ.
    pub verdict: Verdict,
    /// The verdict in a few words: `delivered to one of 3 endpoints`.
    pub headline: String,
    pub reason: String,
    /// State outside the rules on which it depends.
    pub condition: Option<String>,
    pub cards: Vec<Card>,
}

/// One step, or some that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub hook: String,
    /// The table, or who acts instead of rules: `IPVS`, `kube-proxy`.
    pub table: String,
    /// What happens, in a word or two.
    pub title: &'static str,
    /// The chains it goes through, in order.
    pub chains: Vec<String>,
    /// What was asked of the packet, in words; empty if nothing.
    pub matched: String,
    pub effect: String,
    /// Of a choice: everybody's share.
    pub shares: Vec<Share>,
    pub lines: Vec<LineId>,
}

/// What part of the connections goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Numerator, denominator.
    pub fraction: [u64; 2],
    pub destination: SocketAddr,
    pub pod: Option<Key>,
    pub verdict: Verdict,
    pub masquerade: bool,
}

impl Share {
    pub fn of(outcome: &OutcomeView) -> Share {
        Share {
            fraction: outcome.fraction,
            destination: outcome.destination,
            pod: outcome.pod.clone(),
            verdict: outcome.verdict,
            masquerade: outcome.masquerade,
        }
    }

    /// `1/3`.
    pub fn text(&self) -> String {
        fraction_text(self.fraction)
    }
}

/// `1/3`, or `all`.
pub fn fraction_text([part, whole]: [u64; 2]) -> String {
    if part == whole { "all".to_owned() } else { format!("{part}/{whole}") }
}

/// `1/3 · 1/3 · 1/3`; of many the first few and how many there are.
pub fn shares_text(shares: &[Share]) -> String {
    let written = if shares.len() > WRITTEN { WRITTEN - 1 } else { shares.len() };
    let texts: Vec<String> = shares.iter().take(written).map(Share::text).collect();
    let rest =
        if written < shares.len() { format!(" · … {} in all", shares.len()) } else { String::new() };
    format!("{}{rest}", texts.join(" · "))
}

impl Answer {
    /// In cards.
    pub fn story(&self) -> Story {
        let main = self.typical();
        Story {
            verdict: main.map_or(Verdict::Unknown, |main| main.verdict),
            headline: self.headline(),
            reason: main.map(|main| main.reason.clone()).unwrap_or_default(),
            condition: main.and_then(|main| main.condition.clone()),
            cards: main.map(|main| self.cards(main)).unwrap_or_default(),
        }
    }

    /// The verdict in a few words.
    pub fn headline(&self) -> String {
        let Some(main) = self.typical() else { return "unknown".to_owned() };
        if self.outcomes.iter().any(|outcome| outcome.verdict != main.verdict) {
            return self.mixed();
        }
        match main.verdict {
            Verdict::Deliver if self.outcomes.len() > 1 => {
                format!("delivered to one of {} endpoints", self.outcomes.len())
            }
            Verdict::Deliver => {
                let pod = main.pod.as_ref().map(|pod| format!(" (pod {pod})")).unwrap_or_default();
                format!("delivered to {}{pod}", main.destination)
            }
            verdict => verdict_words(verdict).to_owned(),
        }
    }

    /// `deliver 2/3, unknown 1/3`.
    fn mixed(&self) -> String {
        let mut parts: Vec<(Verdict, Option<Fraction>)> = Vec::new();
        for outcome in &self.outcomes {
            let own = Fraction::new(outcome.fraction[0], outcome.fraction[1]);
            match parts.iter_mut().find(|(verdict, _)| *verdict == outcome.verdict) {
                Some((_, sum)) => *sum = sum.zip(own).and_then(|(sum, own)| sum.plus(own)),
                None => parts.push((outcome.verdict, own)),
            }
        }
        let words = parts.iter().map(|(verdict, sum)| match sum {
            Some(sum) => format!("{} {sum}", verdict.as_str()),
            None => verdict.as_str().to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// The first of the outcomes that are like most: the same verdict, and the source kept or not.
    fn typical(&self) -> Option<&OutcomeView> {
        let alike = |a: &OutcomeView, b: &OutcomeView| a.verdict == b.verdict && a.masquerade == b.masquerade;
        let weight = |one: &OutcomeView| -> f64 {
            self.outcomes.iter().filter(|other| alike(one, other)).map(|other| other.probability).sum()
        };
        let mut best: Option<(&OutcomeView, f64)> = None;
        for one in &self.outcomes {
            let weight = weight(one);
            // Where as many are masqueraded as not, the plain way is the usual one.
            let is_better = |(known, most): (&OutcomeView, f64)| match (weight - most).abs() < 1e-9 {
                true => known.masquerade && !one.masquerade,
                false => weight > most,
            };
            if best.is_none_or(is_better) {
                best = Some((one, weight));
            }
        }
        best.map(|(one, _)| one)
    }

    /// How many steps all outcomes begin with.
    pub fn shared_steps(&self) -> usize {
        let Some((first, rest)) = self.outcomes.split_first() else { return 0 };
        let is_shared = |nth: &usize| rest.iter().all(|other| other.steps.get(*nth) == first.steps.get(*nth));
        (0..first.steps.len()).take_while(is_shared).count()
    }

    /// The lines of the Rules panel that any of the outcomes went through.
    pub fn lines(&self) -> Vec<LineId> {
        let steps = self.outcomes.iter().take(LIT_OUTCOMES).flat_map(|outcome| &outcome.steps);
        let mut lines: Vec<LineId> = steps.flat_map(StepView::lines).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn cards(&self, main: &OutcomeView) -> Vec<Card> {
        if self.outcomes.len() < 2 {
            return folded(&main.steps);
        }
        let shared = self.shared_steps().min(main.steps.len());
        let (before, after) = main.steps.split_at(shared);
        let mut cards = folded(before);
        let Some((chosen, rest)) = after.split_first() else { return cards };
        cards.push(self.choice(chosen, shared));
        let rest = if is_way_on(chosen) { rest } else { after };
        cards.extend(folded(rest));
        cards
    }

    fn choice(&self, chosen: &StepView, nth: usize) -> Card {
        let choosers = self.outcomes.iter().take(LIT_OUTCOMES).filter_map(|outcome| outcome.steps.get(nth));
        let mut lines: Vec<LineId> = choosers.flat_map(StepView::lines).collect();
        lines.sort_unstable();
        lines.dedup();
        let effect = match chosen.kind {
            Some(StepKind::Dnat) => "DNAT to the one that is chosen",
            Some(StepKind::Ipvs) => "IPVS sends it to the one that is chosen",
            Some(StepKind::Proxy) => "kube-proxy connects to the one that is chosen",
            _ => "on to the one that is chosen",
        };
        Card {
            title: "choice",
            matched: String::new(),
            effect: effect.to_owned(),
            shares: self.outcomes.iter().map(Share::of).collect(),
            lines,
            ..card(chosen)
        }
    }
}

/// The step only says which endpoint is meant: the card of the choice says it for all of them.
fn is_way_on(step: &StepView) -> bool {
    use StepKind::{Choice, Dnat, Ipvs, Match, Proxy};
    matches!(step.kind, Some(Choice | Match | Dnat | Ipvs | Proxy))
}

/// The verdict of a packet that is not delivered, in a few words.
pub fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deliver => "delivered",
        Verdict::Accept => "taken by the node",
        Verdict::Drop => "dropped: the client waits in vain",
        Verdict::Reject => "refused: the client is told at once",
        Verdict::NoMatch => "not a Service's: it goes on as it is",
        Verdict::Unknown => "unknown",
    }
}

/// What waits for the card after it.
#[derive(Default)]
struct Folded {
    chains: Vec<String>,
    lines: Vec<LineId>,
}

fn folded(steps: &[StepView]) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    let mut waiting = Folded::default();
    for (nth, step) in steps.iter().enumerate() {
        let is_last = nth + 1 == steps.len();
        if !is_last && decides_nothing(step) {
            waiting.chains.push(step.chain.clone());
            waiting.lines.extend(step.lines());
            continue;
        }
        let mut card = card(step);
        if let Some(before) = cards.pop_if(|before| waiting.lines.is_empty() && belongs(before, step)) {
            card.matched = before.matched;
            waiting.chains.splice(0..0, before.chains);
            waiting.lines.splice(0..0, before.lines);
        }
        let Folded { mut chains, mut lines } = std::mem::take(&mut waiting);
        chains.append(&mut card.chains);
        chains.dedup();
        lines.append(&mut card.lines);
        lines.dedup();
        cards.push(Card { chains, lines, ..card });
    }
    cards
}

/// Every packet that comes here goes on alike, or the step after it says what it was for.
fn decides_nothing(step: &StepView) -> bool {
    match step.kind {
        Some(StepKind::Match) => step.matched.is_empty(),
        kind => kind == Some(StepKind::Unmark),
    }
}

/// The step is what the chain does to all that come to it, and the card before it says which packets those are.
fn belongs(before: &Card, step: &StepView) -> bool {
    use StepKind::{Drop, Mark, Masquerade, Reject};
    let acts = matches!(step.kind, Some(Mark | Reject | Drop | Masquerade));
    acts && step.matched.is_empty()
        && before.title == "match"
        && before.hook == step.hook
        && before.effect == format!("to {}", step.chain)
}

fn card(step: &StepView) -> Card {
    let actor = match step.kind {
        Some(StepKind::Ipvs) => "IPVS",
        Some(StepKind::Proxy) => "kube-proxy",
        _ => "",
    };
    let table = if step.table.is_empty() { actor } else { &step.table };
    Card {
        hook: step.hook.clone(),
        table: table.to_owned(),
        title: step.kind.map_or("step", StepKind::as_str),
        chains: if step.chain.is_empty() { Vec::new() } else { vec![step.chain.clone()] },
        matched: step.matched.clone(),
        effect: step.effect.clone(),
        shares: Vec::new(),
        lines: step.lines(),
    }
}
