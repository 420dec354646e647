//! Changed flows as few rows for people: flows of which the same can be said are one row, which says for whom and where to.
//!
//! In goes a list of [`FlowChange`] and the two clusters, out come [`FlowGroup`]s that refer to the flows by their place in the
//! list. Every flow is in exactly one part of one group, and what a group says is true of each of its flows and claims no others:
//! sources of one target are joined exactly, a Service's ports, kinds of address and families are named unless all are meant.

mod change;
mod people;
mod reach;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use change::Kind;
use people::People;
use reach::Reach;

use super::difference::{FlowChange, FlowGroup, Grade, GroupPart, Target};
use crate::model::ClusterState;

/// What has to be the same of flows in one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What<'a> {
    grade: Grade,
    kind: Kind,
    cause: Option<&'a str>,
}

/// Flows by their target: numbers in the list.
type ByTarget<'a> = BTreeMap<&'a Target, Vec<usize>>;

/// Worst first, then those that lose the largest part of their endpoints, then those that concern most Services.
pub(super) fn groups(flows: &[FlowChange], before: &ClusterState, after: &ClusterState) -> Vec<FlowGroup> {
    if flows.is_empty() {
        return Vec::new();
    }
    let mut found: BTreeMap<What<'_>, ByTarget<'_>> = BTreeMap::new();
    for (nth, flow) in flows.iter().enumerate() {
        let what = What { grade: flow.grade, kind: Kind::of(flow), cause: flow.cause.as_deref() };
        found.entry(what).or_default().entry(&flow.target).or_default().push(nth);
    }
    let maker = Maker { flows, people: People::of(before, after), reach: Reach::of([before, after]) };
    let mut groups: Vec<FlowGroup> =
        found.into_iter().map(|(what, targets)| maker.group(what, targets)).collect();
    groups.sort_by_cached_key(|group| {
        let numbers = group.flows();
        let left = numbers.iter().map(|nth| change::left(&flows[*nth])).min();
        (group.grade, left, Reverse(group.services().len()), Reverse(numbers.len()), numbers.first().copied())
    });
    groups
}

struct Maker<'a> {
    flows: &'a [FlowChange],
    people: People<'a>,
    reach: Reach<'a>,
}

impl<'a> Maker<'a> {
    fn group(&self, what: What<'_>, targets: ByTarget<'a>) -> FlowGroup {
        let flows: Vec<&FlowChange> = targets.values().flatten().map(|nth| &self.flows[*nth]).collect();
        let failing = (what.grade == Grade::Degraded).then(|| change::failing(&flows)).flatten();
        FlowGroup {
            grade: what.grade,
            change: what.kind.words(&flows),
            failing,
            cause: what.cause.map(str::to_owned),
            parts: self.parts(targets),
        }
    }

    /// Targets that the same people reach otherwise are one part.
    fn parts(&self, targets: ByTarget<'a>) -> Vec<GroupPart> {
        let mut by_people: BTreeMap<String, ByTarget<'a>> = BTreeMap::new();
        for (target, numbers) in targets {
            let flows: Vec<&FlowChange> = numbers.iter().map(|nth| &self.flows[*nth]).collect();
            by_people.entry(self.people.words(&flows)).or_default().insert(target, numbers);
        }
        let part = |(sources, targets): (String, ByTarget<'a>)| {
            let to = self.reach.places(targets.keys().copied());
            let mut flows: Vec<usize> = targets.into_values().flatten().collect();
            flows.sort_unstable();
            GroupPart { sources, to, flows }
        };
        let mut parts: Vec<GroupPart> = by_people.into_iter().map(part).collect();
        // By words already where as many Services and flows are concerned.
        parts.sort_by_key(|part| (Reverse(part.services().len()), Reverse(part.flows.len())));
        parts
    }
}
