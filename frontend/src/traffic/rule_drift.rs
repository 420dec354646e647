//! The rules that a node has of one Service, told by where they differ from the predicted ones.

use std::collections::HashMap;

use vipscope_shared::model::{IpFamily, Key, Text};
use vipscope_shared::proxy::reading::LineId;
use vipscope_shared::traffic::{DriftKind, NodeStatus};

/// How a predicted line stands on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Missing,
    /// There is another one in its place.
    Changed(String),
}

/// Where a node's rules of a Service differ from the predicted ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleDrift {
    lines: HashMap<LineId, Difference>,
    /// Part and text of lines that are not predicted, in the node's order.
    pub extra: Vec<(String, String)>,
    /// Differences of the whole node that are counted, but were not told.
    pub untold: usize,
}

impl RuleDrift {
    /// What is known of a Service in one family; lines that concern no Service in particular are among them.
    pub fn of(status: &NodeStatus, service: &Key, family: IpFamily) -> RuleDrift {
        let mut drift = RuleDrift {
            untold: status.drift_count.saturating_sub(status.drift.len()),
            ..RuleDrift::default()
        };
        let concerns = |key: &Option<Key>| key.as_ref().is_none_or(|key| key == service);
        for line in status.drift.iter().filter(|line| line.family == family && concerns(&line.service)) {
            let id = |text: &str| LineId { part: Text::from(line.part.as_str()), text: text.into() };
            match (line.kind, &line.expected, &line.actual) {
                (DriftKind::Missing, Some(expected), _) => {
                    drift.lines.insert(id(expected), Difference::Missing);
                }
                (DriftKind::Changed, Some(expected), Some(actual)) => {
                    drift.lines.insert(id(expected), Difference::Changed(actual.clone()));
                }
                (_, _, Some(actual)) => drift.extra.push((line.part.clone(), actual.clone())),
                _ => {}
            }
        }
        drift
    }

    /// `None`: the line is on the node as predicted.
    pub fn of_line(&self, id: &LineId) -> Option<&Difference> {
        self.lines.get(id)
    }

    pub fn count(&self) -> usize {
        self.lines.len() + self.extra.len()
    }
}
