//! Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"): one run, a rule for each check, a result for
//! each finding. The location is the file; the object in it is a logical location.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use vipscope_shared::diagnose::{Check, Finding, Report, Severity, Suppression};
use vipscope_shared::model::{Fault, ObjectRef};

use super::text::{by_whom, skipped};
use super::unreadable;
use crate::command::cluster_file;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log file.
pub(super) fn log(report: &Report, faults: &[&Fault], file: &Path) -> Value {
    let checks: Vec<&Check> =
        super::by_code().into_iter().filter(|check| super::out(check).is_none()).collect();
    let uri = uri(file);
    let mut alerts = Alerts::default();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| result(finding, &alerts.identity(finding), &checks, &uri))
        .collect();
    let rules: Vec<Value> = checks.iter().map(|check| rule(check)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "vipscope", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "invocations": [{
                "executionSuccessful": !faults.iter().any(|fault| unreadable(fault)),
                "toolExecutionNotifications": notifications(report, faults, &uri),
            }],
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warning",
        Severity::Info => "note",
    }
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.code,
        "shortDescription": { "text": check.title },
        "fullDescription": { "text": check.condition },
        "help": { "text": check.explanation },
        "defaultConfiguration": { "level": level(check.severity) },
    })
}

/// `Service/shop/cart`.
fn object(object: &ObjectRef) -> String {
    format!("{}/{}", object.kind, object.key)
}

/// What tells alerts apart and stays the same while time goes on: code, subject, and the subject's own fields that are at fault. The
/// message and the values may hold ages and names of pods.
#[derive(Default)]
struct Alerts(BTreeMap<String, usize>);

impl Alerts {
    /// Of several alerts that are the same in all this, each has its number.
    fn identity(&mut self, finding: &Finding) -> String {
        let own = finding.evidence.iter().filter(|evidence| evidence.object == finding.subject);
        let fields: BTreeSet<&str> = own.map(|evidence| &*evidence.field).collect();
        let fields: Vec<&str> = fields.into_iter().collect();
        let identity = format!("{}:{}:{}", finding.code, object(&finding.subject), fields.join(","));
        let nth = self.0.entry(identity.clone()).or_default();
        *nth += 1;
        if *nth == 1 { identity } else { format!("{identity}:{nth}") }
    }
}

/// FNV-1a, 64 bits.
fn hash(text: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv)
}

fn result(finding: &Finding, identity: &str, checks: &[&Check], uri: &str) -> Value {
    let subject = object(&finding.subject);
    let evidence = finding.evidence.iter().map(|evidence| {
        json!({ "object": object(&evidence.object), "field": &evidence.field, "value": &evidence.value })
    });
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.severity),
        "message": { "text": format!("{subject}: {}. Fix: {}", finding.message, finding.fix.advice) },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri }, "region": { "startLine": 1 } },
            "logicalLocations": [{ "name": &finding.subject.key.name, "fullyQualifiedName": &subject, "kind": "object" }],
        }],
        // The second is the one that GitHub goes by: every alert is on the file's first line.
        "partialFingerprints": {
            "alert/v1": identity,
            "primaryLocationLineHash": format!("{:016x}:1", hash(identity)),
        },
        // On every result, so that its absence says nothing (section 3.27.23).
        "suppressions": suppressions(finding),
        "properties": { "evidence": evidence.collect::<Vec<_>>(), "fix": &finding.fix },
    });
    if let Some(index) = checks.iter().position(|check| check.code == finding.code) {
        result["ruleIndex"] = index.into();
    }
    result
}

fn suppressions(finding: &Finding) -> Vec<Value> {
    let suppression = |by| {
        let kind = match by {
            Suppression::Annotation => "inSource",
            Suppression::Flag => "external",
        };
        json!({ "kind": kind, "justification": by_whom(by) })
    };
    finding.suppressed.into_iter().map(suppression).collect()
}

/// What was not checked, or not wholly.
fn notifications(report: &Report, faults: &[&Fault], uri: &str) -> Vec<Value> {
    let fault = |fault: &&Fault| {
        json!({
            "level": if unreadable(fault) { "error" } else { "warning" },
            "message": { "text": cluster_file::words(fault) },
            "locations": [{
                "physicalLocation": { "artifactLocation": { "uri": uri } },
                "logicalLocations": [{ "fullyQualifiedName": object(&fault.object), "kind": "object" }],
            }],
        })
    };
    let text = |kind, codes: &[_]| {
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        format!("not checked, since the input has no {kind}: {}", codes.join(", "))
    };
    let skipped = skipped(report).into_iter();
    let skipped =
        skipped.map(|(kind, codes)| json!({ "level": "note", "message": { "text": text(kind, &codes) } }));
    faults.iter().map(fault).chain(skipped).collect()
}

/// The path as a URI reference; standard input has a name of its own.
fn uri(file: &Path) -> String {
    if file.as_os_str() == "-" {
        return "stdin".to_owned();
    }
    let text = file.to_string_lossy();
    let scheme = if file.is_absolute() { "file://" } else { "" };
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    format!("{scheme}{}", encoded.collect::<String>())
}
