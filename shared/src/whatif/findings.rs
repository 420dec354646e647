//! Findings that appear and vanish.

use std::collections::BTreeSet;

use super::Findings;
use super::difference::FindingsChange;
use crate::diagnose::between::between;
use crate::diagnose::{Code, Finding, Options, Severity, diagnose};
use crate::model::{ClusterState, ObjectRef};

/// What a finding is told apart by.
type Identity<'a> = (Code, Severity, &'a ObjectRef, &'a str);

/// The findings of one cluster that the other one has not.
pub(super) fn changed(
    before: &ClusterState,
    after: &ClusterState,
    options: &super::Options<'_>,
) -> FindingsChange {
    let how = Options::at(options.now);
    let of = |state| diagnose(state, &how).findings;
    if options.findings == Findings::Skip {
        return FindingsChange::default();
    }
    if let Some([old, new]) = options.changed.and_then(|changed| between([before, after], changed, &how)) {
        return FindingsChange { appeared: lacking(&new, &old), vanished: lacking(&old, &new) };
    }
    let made;
    let old = match options.findings {
        Findings::Skip => &[],
        Findings::Known(known) => known,
        Findings::Compare => {
            made = of(before);
            &made
        }
    };
    let new = of(after);
    FindingsChange { appeared: lacking(&new, old), vanished: lacking(old, &new) }
}

fn identity(finding: &Finding) -> Identity<'_> {
    (finding.code, finding.severity, &finding.subject, &finding.message)
}

/// Those that `other` lacks, in their order.
fn lacking(findings: &[Finding], other: &[Finding]) -> Vec<Finding> {
    let known: BTreeSet<Identity<'_>> = other.iter().map(identity).collect();
    findings.iter().filter(|finding| !known.contains(&identity(finding))).cloned().collect()
}
