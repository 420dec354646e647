//! Findings that appear and vanish.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::difference::FindingsChange;
use crate::diagnose::{Code, Finding, Options, diagnose};
use crate::model::{ClusterState, ObjectRef};

/// What a finding is told apart by.
type Identity<'a> = (Code, &'a ObjectRef, &'a str);

/// The findings of one cluster that the other one has not. Every check is run over both: many of them look at several
/// Services at once.
pub(super) fn changed(before: &ClusterState, after: &ClusterState, now: Timestamp) -> FindingsChange {
    let options = Options::at(now);
    let (old, new) = (diagnose(before, &options).findings, diagnose(after, &options).findings);
    FindingsChange { appeared: lacking(&new, &old), vanished: lacking(&old, &new) }
}

fn identity(finding: &Finding) -> Identity<'_> {
    (finding.code, &finding.subject, &finding.message)
}

/// Those that `other` lacks, in their order.
fn lacking(findings: &[Finding], other: &[Finding]) -> Vec<Finding> {
    let known: BTreeSet<Identity<'_>> = other.iter().map(identity).collect();
    findings.iter().filter(|finding| !known.contains(&identity(finding))).cloned().collect()
}
