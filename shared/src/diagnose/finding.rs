//! What a check says: its stable code, how bad it is, about which object, on what evidence, and what mends it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shell;
use crate::model::{Key, Kind, ObjectRef, Text};

/// The stable code of a check, `SVC001` to `SVC068`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through a string, so that widths are respected.
        f.pad(&format!("SVC{:03}", self.0))
    }
}

/// Not a code of a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a code such as SVC012; `vipscope check --list` shows all")]
pub struct BadCode(String);

impl FromStr for Code {
    type Err = BadCode;

    /// Accepts codes of checks that exist, in any case.
    fn from_str(text: &str) -> Result<Code, BadCode> {
        let known = super::CHECKS.iter().map(|check| check.code);
        let mut matching = known.filter(|code| code.to_string().eq_ignore_ascii_case(text));
        matching.next().ok_or_else(|| BadCode(text.chars().take(40).collect()))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Likely wrong, or fragile.
    Warn,
    /// Traffic certainly fails for someone.
    Error,
}

impl Severity {
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warn, Severity::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warn => "warn",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected info, warn or error")]
pub struct BadSeverity;

impl FromStr for Severity {
    type Err = BadSeverity;

    fn from_str(text: &str) -> Result<Severity, BadSeverity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == text).ok_or(BadSeverity)
    }
}

/// A field that the finding rests on. Values are text of the cluster: to be shown, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    #[serde(with = "flat")]
    pub object: ObjectRef,
    /// Path of the field, e.g. `spec.selector`.
    pub field: Text,
    pub value: Text,
}

/// What mends it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// In words. Never empty.
    pub advice: String,
    /// Commands, quoted for a POSIX shell. Some of them only look closer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kubectl: Vec<String>,
    /// YAML to apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// By whom a finding is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suppression {
    /// The subject's annotation `vipscope.dev/ignore`.
    Annotation,
    /// The one who asks.
    Flag,
}

/// One thing that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    #[serde(with = "flat")]
    pub subject: ObjectRef,
    /// The check's title.
    pub title: Text,
    /// What exactly is wrong here.
    pub message: String,
    pub evidence: Vec<Evidence>,
    pub fix: Fix,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppression>,
}

impl Finding {
    /// Worst first, then by code, subject and message.
    pub(super) fn rank(&self) -> (std::cmp::Reverse<Severity>, Code, &ObjectRef, &str) {
        (std::cmp::Reverse(self.severity), self.code, &self.subject, &self.message)
    }
}

/// What a check found, before it gets the check's name. Built from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The check's own, if `None`.
    pub(super) severity: Option<Severity>,
    pub(super) subject: ObjectRef,
    pub(super) message: String,
    pub(super) evidence: Vec<Evidence>,
    pub(super) fix: Fix,
}

impl Problem {
    pub fn new(subject: ObjectRef, message: impl Into<String>) -> Problem {
        Problem {
            severity: None,
            subject,
            message: message.into(),
            evidence: Vec::new(),
            fix: Fix::default(),
        }
    }

    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Problem {
        self.severity = Some(severity);
        self
    }

    /// Evidence on the subject itself.
    #[must_use]
    pub fn own(self, field: impl Into<Text>, value: impl ToString) -> Problem {
        let object = self.subject.clone();
        self.evidence(object, field, value)
    }

    #[must_use]
    pub fn evidence(mut self, object: ObjectRef, field: impl Into<Text>, value: impl ToString) -> Problem {
        self.evidence.push(Evidence { object, field: field.into(), value: value.to_string().into() });
        self
    }

    /// The same field of several objects; of many, the first few and how many more there are.
    #[must_use]
    pub fn evidence_of<V: ToString>(
        mut self,
        field: &str,
        all: impl IntoIterator<Item = (ObjectRef, V)>,
    ) -> Problem {
        let mut all = all.into_iter();
        for (object, value) in all.by_ref().take(MOST_EVIDENCE) {
            self = self.evidence(object, field, value);
        }
        match all.count() {
            0 => self,
            more => self.own(field, format!("(and {more} more)")),
        }
    }

    #[must_use]
    pub fn advice(mut self, text: impl Into<String>) -> Problem {
        self.fix.advice = text.into();
        self
    }

    /// A command, word by word; each is quoted if it has to be.
    #[must_use]
    pub fn kubectl(mut self, words: &[&str]) -> Problem {
        self.fix.kubectl.push(shell::command(words));
        self
    }

    #[must_use]
    pub fn manifest(mut self, yaml: impl Into<String>) -> Problem {
        self.fix.manifest = Some(yaml.into());
        self
    }
}

/// How many objects are named as evidence for one thing; the rest is counted.
const MOST_EVIDENCE: usize = 5;

/// An object as `{"kind","namespace","name"}`.
mod flat {
    use super::{Deserialize, Deserializer, Key, Kind, ObjectRef, Serialize, Serializer, Text};

    #[derive(Serialize, Deserialize)]
    struct Flat {
        kind: Kind,
        #[serde(default, skip_serializing_if = "is_empty")]
        namespace: Text,
        name: Text,
    }

    fn is_empty(text: &Text) -> bool {
        text.is_empty()
    }

    pub(super) fn serialize<S: Serializer>(object: &ObjectRef, serializer: S) -> Result<S::Ok, S::Error> {
        let Key { namespace, name } = object.key.clone();
        Flat { kind: object.kind, namespace, name }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectRef, D::Error> {
        let Flat { kind, namespace, name } = Flat::deserialize(deserializer)?;
        Ok(ObjectRef { kind, key: Key { namespace, name } })
    }
}
