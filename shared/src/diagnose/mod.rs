//! What is wrong in general: [`diagnose`] runs every check of [`CHECKS`] over a cluster. [`ladder`] says for one Service,
//! pod and node which step of the way fails.
//!
//! In: the objects and the time (`now`); nothing else, so the same input gives the same findings in the same order. A check
//! that would need objects which are not there (a file without Pods, a kind that is forbidden) is not run, and the report
//! says so. What a user chose to ignore is marked, not left out.
//!
//! A new check is one file in `checks` and one line in its registry.

pub(crate) mod between;
mod checks;
mod facts;
mod finding;
pub mod ladder;
pub(crate) mod shell;
pub(crate) mod similar;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use checks::{CHECKS, Check, How};
use facts::Gathering;
pub use facts::{Facts, Subject};
pub use finding::{BadCode, BadSeverity, Code, Evidence, Finding, Fix, Problem, Severity, Suppression};

use crate::model::{ClusterState, Key, Keyed, Kind, Labels, ObjectRef, Service};

/// Annotation of any object: codes, separated by commas, whose findings about the object are suppressed.
pub const IGNORE_ANNOTATION: &str = "vipscope.dev/ignore";

/// What a diagnosis depends on beside the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For ages.
    pub now: Timestamp,
    /// Codes whose findings are suppressed everywhere.
    pub ignore: BTreeSet<Code>,
}

impl Options {
    pub fn at(now: Timestamp) -> Options {
        Options { now, ignore: BTreeSet::new() }
    }
}

/// A check that was not run, since no object of this kind is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    pub code: Code,
    pub kind: Kind,
}

/// The findings of a cluster: worst first, then by code and subject.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub skipped: Vec<Skipped>,
}

impl Report {
    /// The findings that nobody suppressed.
    pub fn active(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.suppressed.is_none())
    }
}

/// Runs every check over the cluster.
pub fn diagnose(state: &ClusterState, options: &Options) -> Report {
    let mut diagnosis = Diagnosis::new(state, options);
    while diagnosis.step(usize::MAX) == Progress::More {}
    diagnosis.report()
}

/// Whether a [`Diagnosis`] is through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

/// [`diagnose`] in steps, for those who have frames to draw in between.
#[derive(Debug)]
pub struct Diagnosis<'a> {
    facts: Facts<'a>,
    options: &'a Options,
    /// `None` once all pods were looked at.
    gathering: Option<Gathering<'a>>,
    runnable: Vec<&'static Check>,
    /// Services that are still to be looked at.
    services: std::vec::IntoIter<&'a Arc<Service>>,
    report: Report,
}

impl<'a> Diagnosis<'a> {
    pub fn new(state: &'a ClusterState, options: &'a Options) -> Diagnosis<'a> {
        let facts = Facts::of_services(state, options.now);
        let mut report = Report::default();
        let runnable = runnable(&facts, &mut report);
        let services = state.services().values().collect::<Vec<_>>().into_iter();
        Diagnosis { facts, options, gathering: Some(Gathering::new(state)), runnable, services, report }
    }

    /// Looks at up to so many more Services; before the first of them, at up to [`PODS`] as many more pods.
    pub fn step(&mut self, services: usize) -> Progress {
        if let Some(gathering) = &mut self.gathering {
            if gathering.step(&mut self.facts, services.saturating_mul(PODS)) == Progress::Done {
                self.gathering = None;
                self.ask_cluster();
            }
            return Progress::More;
        }
        let from = self.report.findings.len();
        for service in self.services.by_ref().take(services) {
            self.report.findings.extend(of_service(&self.facts.subject(service), &self.runnable));
        }
        self.mark_suppressed(from);
        if self.services.len() == 0 { Progress::Done } else { Progress::More }
    }

    /// The checks of the cluster as a whole.
    fn ask_cluster(&mut self) {
        for check in &self.runnable {
            if let How::Cluster(find) = check.how {
                let problems = find(&self.facts).into_iter();
                self.report.findings.extend(problems.map(|problem| finish(problem, check)));
            }
        }
        self.mark_suppressed(0);
    }

    fn mark_suppressed(&mut self, from: usize) {
        for finding in self.report.findings.iter_mut().skip(from) {
            finding.suppressed = suppression(self.facts.state, self.options, finding);
        }
    }

    /// What was found so far, in the report's order.
    pub fn report(mut self) -> Report {
        self.report.findings.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.report
    }
}

/// How many pods are looked at in the time of one Service.
const PODS: usize = 16;

/// The findings about one Service, in the order of the report; those of its cluster as a whole are left out.
pub fn diagnose_service(state: &ClusterState, service: &Key, options: &Options) -> Report {
    let mut facts = Facts::of_services(state, options.now);
    facts.gather(&service.namespace);
    let mut report = Report::default();
    let runnable = runnable(&facts, &mut report);
    if let Some(service) = state.services().get(service) {
        report.findings = of_service(&facts.subject(service), &runnable);
    }
    for finding in &mut report.findings {
        finding.suppressed = suppression(state, options, finding);
    }
    report.findings.sort_by(|a, b| a.rank().cmp(&b.rank()));
    report
}

fn runnable(facts: &Facts<'_>, report: &mut Report) -> Vec<&'static Check> {
    let mut runnable = Vec::new();
    for check in CHECKS.iter().filter(|check| !matches!(check.how, How::Out(_))) {
        match check.needs.iter().find(|kind| !facts.knows(**kind)) {
            Some(kind) => report.skipped.push(Skipped { code: check.code, kind: *kind }),
            None => runnable.push(check),
        }
    }
    report.skipped.sort();
    runnable
}

/// Codes that say nothing new once another has spoken of the same Service.
const SILENCED: [(Code, std::ops::RangeInclusive<Code>); 1] = [(Code(1), Code(2)..=Code(8))];

/// In the order of evaluation. A Service that is being deleted, alone or with its namespace, is asked only how long that takes.
fn of_service(subject: &Subject<'_>, runnable: &[&'static Check]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let going = subject.is_going();
    for check in runnable {
        let How::Service(find) = check.how else { continue };
        let silenced = SILENCED.iter().any(|(by, codes)| {
            codes.contains(&check.code) && findings.iter().any(|finding| finding.code == *by)
        });
        if silenced || (going && !check.of_deleted) {
            continue;
        }
        findings.extend(find(subject).into_iter().map(|problem| finish(problem, check)));
    }
    findings
}

fn finish(problem: Problem, check: &Check) -> Finding {
    Finding {
        code: check.code,
        severity: problem.severity.unwrap_or(check.severity),
        subject: problem.subject,
        title: check.title.into(),
        message: problem.message,
        evidence: problem.evidence,
        fix: problem.fix,
        suppressed: None,
    }
}

fn suppression(state: &ClusterState, options: &Options, finding: &Finding) -> Option<Suppression> {
    if options.ignore.contains(&finding.code) {
        return Some(Suppression::Flag);
    }
    let text = annotations(state, &finding.subject)?.get(IGNORE_ANNOTATION)?;
    let mut codes = text.split(',').filter_map(|code| code.trim().parse::<Code>().ok());
    codes.any(|code| code == finding.code).then_some(Suppression::Annotation)
}

fn annotations<'a>(state: &'a ClusterState, object: &ObjectRef) -> Option<&'a Labels> {
    let key = &object.key;
    let meta = match object.kind {
        Kind::Namespace => state.namespaces().get(key)?.meta(),
        Kind::Node => state.nodes().get(key)?.meta(),
        Kind::Pod => state.pods().get(key)?.meta(),
        Kind::Service => state.services().get(key)?.meta(),
        Kind::EndpointSlice => state.slices().get(key)?.meta(),
        Kind::Endpoints => state.endpoints().get(key)?.meta(),
        Kind::ProxyConfig => state.proxy_configs().get(key)?.meta(),
    };
    Some(&meta.annotations)
}
