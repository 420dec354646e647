//! Findings that appear and vanish.

use std::collections::BTreeSet;

use super::Findings;
use super::difference::FindingsChange;
use crate::diagnose::between::between;
use crate::diagnose::{Code, Diagnosis, Finding, Options, Progress, Severity};
use crate::model::{ClusterState, ObjectRef};

/// Services that are looked at between two pauses.
const STEP: usize = 8;

/// What a finding is told apart by.
type Identity<'a> = (Code, Severity, &'a ObjectRef, &'a str);

/// The findings of one cluster that the other one has not.
pub(super) async fn changed(
    before: &ClusterState,
    after: &ClusterState,
    options: &super::Options<'_>,
    pause: &impl AsyncFn(),
) -> FindingsChange {
    let how = Options::at(options.now);
    if options.findings == Findings::Skip {
        return FindingsChange::default();
    }
    if let Some(changed) = options.changed
        && let Some([old, new]) = between([before, after], changed, &how, pause).await
    {
        return FindingsChange { appeared: lacking(&new, &old), vanished: lacking(&old, &new) };
    }
    let made;
    let old = match options.findings {
        Findings::Skip => &[],
        Findings::Known(known) => known,
        Findings::Compare => {
            made = all_of(before, &how, pause).await;
            &made
        }
    };
    let new = all_of(after, &how, pause).await;
    FindingsChange { appeared: lacking(&new, old), vanished: lacking(old, &new) }
}

async fn all_of(state: &ClusterState, how: &Options, pause: &impl AsyncFn()) -> Vec<Finding> {
    let mut diagnosis = Diagnosis::new(state, how);
    while diagnosis.step(STEP) == Progress::More {
        pause().await;
    }
    diagnosis.report().findings
}

fn identity(finding: &Finding) -> Identity<'_> {
    (finding.code, finding.severity, &finding.subject, &finding.message)
}

/// Those that `other` lacks, in their order.
fn lacking(findings: &[Finding], other: &[Finding]) -> Vec<Finding> {
    let known: BTreeSet<Identity<'_>> = other.iter().map(identity).collect();
    findings.iter().filter(|finding| !known.contains(&identity(finding))).cloned().collect()
}
