//! What if: an edit list makes another cluster of this one, and the difference says what would become of traffic.
//!
//! [`edit`] is the language of edits, [`apply`] makes the other cluster, [`difference`] compares two clusters flow by flow, and
//! says what differs in few rows.

pub mod apply;
mod cause;
pub mod compare;
pub mod difference;
pub mod edit;
mod findings;
mod flows;
mod groups;

use jiff::Timestamp;

use crate::diagnose::Finding;
use crate::model::{ClusterState, ObjectRef};
use crate::pace;
use difference::Difference;

/// How two clusters are compared.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// For the ages in findings.
    pub now: Timestamp,
    /// How many lines of rules are shown for each node, mode and family; all are counted. `None`: rules are left out.
    pub rule_lines: Option<usize>,
    /// The only objects that can be others, if the caller knows; else they are looked for.
    pub changed: Option<&'a [ObjectRef]>,
    pub findings: Findings<'a>,
}

/// How findings are compared. If the caller knows the changed objects, only the Services that they concern are looked at, in both
/// clusters. Else, and where a node or kube-proxy's settings are others, every check is run over the whole cluster: at 10,000
/// Services that takes longer than everything else together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Findings<'a> {
    /// Both clusters are asked.
    Compare,
    /// As `Compare`, but where the whole cluster has to be diagnosed, the findings of the first one are known.
    Known(&'a [Finding]),
    /// They are left out.
    Skip,
}

/// Lines of rules that are shown for a node, unless the caller says otherwise.
const RULE_LINES: usize = 40;

impl Options<'_> {
    pub fn at(now: Timestamp) -> Options<'static> {
        Options { now, rule_lines: Some(RULE_LINES), changed: None, findings: Findings::Compare }
    }
}

/// What becomes of traffic if `before` turns into `after`.
pub fn difference(before: &ClusterState, after: &ClusterState, now: Timestamp) -> Difference {
    difference_with(before, after, &Options::at(now))
}

/// [`difference`], as the caller wants it.
pub fn difference_with(before: &ClusterState, after: &ClusterState, options: &Options<'_>) -> Difference {
    pace::at_once(difference_paced(before, after, options, &pace::none))
}

/// [`difference_with`], with pauses: many times a second, in a large cluster, `pause` is called.
pub async fn difference_paced(
    before: &ClusterState,
    after: &ClusterState,
    options: &Options<'_>,
    pause: &impl AsyncFn(),
) -> Difference {
    let mut survey = flows::Survey::new(before, after, options.changed);
    pause().await;
    let flows = survey.flows(pause).await;
    let groups = groups::groups(&flows, before, after);
    pause().await;
    let connections = survey.connections(pause).await;
    let rules = match options.rule_lines {
        Some(limit) => survey.rules(limit, pause).await,
        None => Vec::new(),
    };
    let findings = findings::changed(before, after, options, pause).await;
    Difference { flows, groups, connections, rules, findings }
}
