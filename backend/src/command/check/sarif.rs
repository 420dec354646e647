//! Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"): one run, a rule for each check, a result for
//! each finding. The location is the file; the object in it is a logical location.

use std::path::Path;

use serde_json::{Value, json};
use vipscope_shared::diagnose::{Check, Finding, Report, Severity, Suppression};
use vipscope_shared::model::ObjectRef;

use super::text::{by_whom, skipped};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The whole log file.
pub(super) fn log(report: &Report, file: &Path) -> Value {
    let checks: Vec<&Check> =
        super::by_code().into_iter().filter(|check| super::out(check).is_none()).collect();
    let uri = uri(file);
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, &checks, &uri)).collect();
    let rules: Vec<Value> = checks.iter().map(|check| rule(check)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "vipscope", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications(report),
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

fn result(finding: &Finding, checks: &[&Check], uri: &str) -> Value {
    let object = |object: &ObjectRef| {
        let scope = if object.key.namespace.is_empty() {
            String::new()
        } else {
            format!("{}/", object.key.namespace)
        };
        format!("{}/{scope}{}", object.kind, object.key.name)
    };
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
        "partialFingerprints": { "subject/v1": format!("{}:{subject}", finding.code) },
        "properties": { "evidence": evidence.collect::<Vec<_>>(), "fix": &finding.fix },
    });
    if let Some(index) = checks.iter().position(|check| check.code == finding.code) {
        result["ruleIndex"] = index.into();
    }
    if let Some(by) = finding.suppressed {
        let kind = match by {
            Suppression::Annotation => "inSource",
            Suppression::Flag => "external",
        };
        result["suppressions"] = json!([{ "kind": kind, "justification": by_whom(by) }]);
    }
    result
}

/// What was not checked.
fn notifications(report: &Report) -> Vec<Value> {
    let text = |kind, codes: &[_]| {
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        format!("not checked, since the input has no {kind}: {}", codes.join(", "))
    };
    let all = skipped(report).into_iter();
    all.map(|(kind, codes)| json!({ "level": "note", "message": { "text": text(kind, &codes) } })).collect()
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
