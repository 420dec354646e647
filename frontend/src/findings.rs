//! Findings for the list: which of them are shown, in which groups, and what on the map they are about. Pure.
//!
//! In: the report of `shared/diagnose`, the state that it is about, the [`Filter`] of the URL. Order is the report's: worst
//! first, then by code and subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vipscope_shared::diagnose::{CHECKS, Check, Code, Finding, How, Report, Severity, Skipped};
use vipscope_shared::model::{ClusterState, Key, Kind, ObjectRef, Text};
use vipscope_shared::scene::Target;

/// Whether findings that somebody chose to ignore are in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suppressed {
    #[default]
    Hidden,
    Shown,
}

/// Which findings the list shows, beside the namespaces that everything follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub severities: BTreeSet<Severity>,
    /// `None` = all checks.
    pub code: Option<Code>,
    /// What they have to be about.
    pub about: Option<Target>,
    /// Looked for in code, title, subject and message, in any case.
    pub text: String,
    pub suppressed: Suppressed,
}

impl Default for Filter {
    /// What is broken or fragile; not what is merely worth knowing.
    fn default() -> Filter {
        Filter {
            severities: [Severity::Warn, Severity::Error].into(),
            code: None,
            about: None,
            text: String::new(),
            suppressed: Suppressed::Hidden,
        }
    }
}

impl Filter {
    /// Everything about one thing, of any severity.
    pub fn about(target: Target) -> Filter {
        Filter { severities: Severity::ALL.into(), about: Some(target), ..Filter::default() }
    }

    /// True if the pair of the URL was about the list.
    pub fn read(&mut self, name: &str, value: &str) -> bool {
        match name {
            "severity" => {
                let named = value.split('.').filter_map(|name| name.parse().ok()).collect::<BTreeSet<_>>();
                if !named.is_empty() || value == "none" {
                    self.severities = named;
                }
            }
            "check" => self.code = value.parse().ok(),
            "about" => self.about = value.parse().ok(),
            "find" => self.text = value.to_owned(),
            "suppressed" => {
                self.suppressed = if value == "1" { Suppressed::Shown } else { Suppressed::Hidden }
            }
            _ => return false,
        }
        true
    }

    /// Pairs for the URL, not encoded; defaults are left out.
    pub fn print(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        if self.severities != Filter::default().severities {
            let names: Vec<&str> = self.severities.iter().map(|severity| severity.as_str()).collect();
            pairs.push(("severity", if names.is_empty() { "none".to_owned() } else { names.join(".") }));
        }
        pairs.extend(self.code.map(|code| ("check", code.to_string())));
        pairs.extend(self.about.as_ref().map(|target| ("about", target.to_string())));
        pairs.extend((!self.text.is_empty()).then(|| ("find", self.text.clone())));
        pairs.extend((self.suppressed == Suppressed::Shown).then(|| ("suppressed", "1".to_owned())));
        pairs
    }
}

/// A finding, and what is needed to filter it quickly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub finding: Finding,
    /// What on the map its subject is or belongs to.
    pub target: Option<Target>,
    /// All that it is about: its subject and the objects of its evidence.
    about: Vec<Target>,
    /// Code, title, subject and message, in lower case.
    text: String,
}

impl Entry {
    pub fn of(state: &ClusterState, finding: Finding) -> Entry {
        let target = target_of(state, &finding.subject);
        let mut about: Vec<Target> = target.iter().cloned().collect();
        let others = finding.evidence.iter().filter(|evidence| evidence.object != finding.subject);
        for target in others.filter_map(|evidence| target_of(state, &evidence.object)) {
            if !about.contains(&target) {
                about.push(target);
            }
        }
        let Finding { code, title, subject, message, .. } = &finding;
        let text = format!("{code} {title} {subject} {message}").to_lowercase();
        Entry { about, target, text, finding }
    }

    /// Whether it says something of `target`.
    pub fn concerns(&self, target: &Target) -> bool {
        match service_of(target) {
            Some(service) => self.about.iter().any(|about| service_of(about) == Some(service)),
            None => self.about.contains(target),
        }
    }

    /// Whether the namespaces hide it; what belongs to no namespace is never hidden.
    fn is_in(&self, namespaces: &BTreeSet<Text>) -> bool {
        let namespace = &self.finding.subject.key.namespace;
        namespaces.is_empty() || namespace.is_empty() || namespaces.contains(namespace)
    }
}

/// What on the map an object is, or belongs to.
pub fn target_of(state: &ClusterState, object: &ObjectRef) -> Option<Target> {
    let key = object.key.clone();
    match object.kind {
        Kind::Namespace => Some(Target::Namespace(key.name)),
        Kind::Node => Some(Target::Node(key.name)),
        Kind::Pod => Some(Target::Pod(key)),
        Kind::Service => Some(Target::Service(key)),
        Kind::EndpointSlice => state.slices().get(&key)?.service().map(Target::Service),
        Kind::Endpoints => Some(Target::Service(key)).filter(|_| state.services().contains(&object.key)),
        Kind::ProxyConfig => None,
    }
}

/// A report, ready to be filtered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// In the report's order.
    pub entries: Vec<Arc<Entry>>,
    pub skipped: Vec<Skipped>,
}

impl Findings {
    /// All of a report at once; whoever has frames to draw makes the entries one by one.
    pub fn of(state: &ClusterState, report: Report) -> Findings {
        let entry = |finding| Arc::new(Entry::of(state, finding));
        Findings { entries: report.findings.into_iter().map(entry).collect(), skipped: report.skipped }
    }

    /// How many checks were run.
    pub fn ran(&self) -> usize {
        CHECKS.iter().filter(|check| !matches!(check.how, How::Out(_))).count() - self.skipped.len()
    }

    /// Skipped checks by the kind of object that they miss.
    pub fn skipped_by_kind(&self) -> BTreeMap<Kind, Vec<Code>> {
        let mut kinds = BTreeMap::<Kind, Vec<Code>>::new();
        self.skipped.iter().for_each(|skipped| kinds.entry(skipped.kind).or_default().push(skipped.code));
        kinds
    }

    /// Those that say something of `target`, suppressed ones too.
    pub fn concerning(&self, target: &Target) -> Vec<Arc<Entry>> {
        self.entries.iter().filter(|entry| entry.concerns(target)).cloned().collect()
    }

    /// Errors and warnings that nobody suppressed: what badges count.
    pub fn pressing(&self, namespaces: &BTreeSet<Text>) -> Pressing {
        let mut pressing = Pressing::default();
        for entry in self.entries.iter().filter(|entry| entry.is_in(namespaces)) {
            match (entry.finding.severity, entry.finding.suppressed) {
                (Severity::Error, None) => pressing.errors += 1,
                (Severity::Warn, None) => pressing.warnings += 1,
                (Severity::Info, None) => pressing.notes += 1,
                (_, Some(_)) => {}
            }
        }
        pressing
    }

    /// What the list shows.
    pub fn listed(&self, filter: &Filter, namespaces: &BTreeSet<Text>) -> Listed {
        let wanted = filter.text.trim().to_lowercase();
        let mut listed = Listed::default();
        for entry in self.entries.iter().filter(|entry| entry.is_in(namespaces)) {
            let finding = &entry.finding;
            *listed.codes.entry(finding.code).or_default() += 1;
            let fits = filter.code.is_none_or(|code| code == finding.code)
                && filter.about.as_ref().is_none_or(|target| entry.concerns(target))
                && entry.text.contains(&wanted);
            if !fits {
                continue;
            }
            if finding.suppressed.is_some() {
                listed.suppressed += 1;
                if filter.suppressed == Suppressed::Hidden {
                    continue;
                }
            }
            *listed.severities.entry(finding.severity).or_default() += 1;
            if filter.severities.contains(&finding.severity) {
                listed.add(entry);
            }
        }
        listed
    }
}

/// Findings that nobody suppressed, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressing {
    pub errors: usize,
    pub warnings: usize,
    /// Merely worth knowing: not in [`Pressing::count`].
    pub notes: usize,
}

impl Pressing {
    /// What the list shows by default.
    pub fn count(self) -> usize {
        self.errors + self.warnings
    }
}

/// Findings of one check and severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub code: Code,
    pub severity: Severity,
    pub entries: Vec<Arc<Entry>>,
}

/// What the list shows, and what it would show with other filters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    pub groups: Vec<Group>,
    /// How many are in the groups.
    pub count: usize,
    /// What each severity adds, with all other filters.
    pub severities: BTreeMap<Severity, usize>,
    /// The codes that there are in the namespaces, whatever the other filters say.
    pub codes: BTreeMap<Code, usize>,
    /// Suppressed ones that fit, of any severity.
    pub suppressed: usize,
}

impl Listed {
    fn add(&mut self, entry: &Arc<Entry>) {
        let (code, severity) = (entry.finding.code, entry.finding.severity);
        self.count += 1;
        match self.groups.last_mut().filter(|group| (group.code, group.severity) == (code, severity)) {
            Some(group) => group.entries.push(entry.clone()),
            None => self.groups.push(Group { code, severity, entries: vec![entry.clone()] }),
        }
    }
}

/// The check with this code.
pub fn check_of(code: Code) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.code == code)
}

/// `error`, `warning`, `note`: as people say it.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warning",
        Severity::Info => "note",
    }
}

/// The Service of a target, or of one of its ports.
fn service_of(target: &Target) -> Option<&Key> {
    match target {
        Target::Service(key) | Target::Port(key, _) => Some(key),
        _ => None,
    }
}
