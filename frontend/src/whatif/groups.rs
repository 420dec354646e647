//! Lines of the table that stand for several flows: the difference's groups, each with the lines of its flows.

use vipscope_shared::model::Key;
use vipscope_shared::whatif::difference::{Difference, FlowGroup, Grade, GroupPart};

use super::table::{Row, Tone};
use crate::words;

/// Services that are named in a line; more are counted.
const MOST_SERVICES: usize = 6;

/// Flows of which the same can be said.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    pub grade: Grade,
    /// `cart`, `5 Services`.
    pub what: String,
    /// The Service, if it is one.
    pub service: Option<Key>,
    /// `2 endpoints → refused`.
    pub change: String,
    /// `1/3 of new connections fails`; empty unless it is so.
    pub failing: String,
    pub tone: Tone,
    pub parts: Vec<PartRow>,
    /// What makes the flows differ, or why they fail, if it is the same for all.
    pub why: String,
    /// Why settings or clusters differ here.
    pub cause: Option<String>,
    /// The flows; never empty.
    pub rows: Vec<Row>,
}

/// Who connects, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartRow {
    pub who: String,
    /// One line each.
    pub to: Vec<String>,
}

impl GroupRow {
    /// The same for a group that says the same, whatever becomes of its flows.
    pub fn id(&self) -> String {
        let GroupRow { grade, what, change, parts, cause, .. } = self;
        format!("{grade:?} {what} {change} {cause:?} {parts:?}")
    }
}

/// The groups of a difference, in its order, with the lines of its flows.
pub fn group_rows(difference: &Difference, rows: &[Row]) -> Vec<GroupRow> {
    let group = |group: &FlowGroup| {
        let own: Vec<Row> = group.flows().iter().filter_map(|flow| rows.get(*flow).cloned()).collect();
        group_row(group, own)
    };
    difference.groups.iter().map(group).collect()
}

fn group_row(group: &FlowGroup, rows: Vec<Row>) -> GroupRow {
    let services = group.services();
    let (what, service) = match services[..] {
        [] => ("no Service".to_owned(), None),
        [one] => (one.name.to_string(), Some(one.clone())),
        _ => (words::count(services.len(), "Service", "Services"), None),
    };
    let tone = match group.grade {
        Grade::Lost => Tone::Bad,
        Grade::Degraded => Tone::Warn,
        Grade::Moved => Tone::Plain,
        Grade::Gained => Tone::Good,
    };
    let why = rows.first().map(|row| row.why.clone()).unwrap_or_default();
    let is_same = why != group.change && rows.iter().all(|row| row.why == why);
    GroupRow {
        grade: group.grade,
        parts: group.parts.iter().map(|part| part_row(part, service.is_some())).collect(),
        what,
        service,
        change: group.change.clone(),
        failing: group.failing.iter().map(|part| format!("{part} of new connections fails")).collect(),
        tone,
        why: if is_same { why } else { String::new() },
        cause: group.cause.clone(),
        rows,
    }
}

fn part_row(part: &GroupPart, is_one: bool) -> PartRow {
    let to = part.to.iter().map(|reached| match (is_one, &reached.services[..]) {
        (true, _) | (_, []) => reached.words.clone(),
        (false, services) => format!("{} {}", names(services), reached.words),
    });
    PartRow { who: part.sources.clone(), to: to.collect() }
}

/// `cart, web and 3 more`.
fn names(services: &[Key]) -> String {
    let names: Vec<&str> = services.iter().take(MOST_SERVICES).map(|key| &*key.name).collect();
    match (services.len().saturating_sub(MOST_SERVICES), &names[..]) {
        (0, [some @ .., last]) if !some.is_empty() => format!("{} and {last}", some.join(", ")),
        (0, names) => names.concat(),
        (more, names) => format!("{} and {more} more", names.join(", ")),
    }
}
