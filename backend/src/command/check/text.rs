//! Findings and checks as text for people. What comes from the cluster is stripped of control characters, which a terminal
//! would obey.

use std::collections::BTreeMap;
use std::fmt::Write;

use vipscope_shared::diagnose::{Check, Code, Finding, Report, Severity, Suppression};
use vipscope_shared::model::Kind;

use crate::command::{Colour, clean};

/// Every finding, then a line that counts them.
pub(super) fn report(report: &Report, colour: Colour) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        write_finding(&mut out, finding, colour);
        out.push('\n');
    }
    let _ = writeln!(out, "{}", summary(report));
    for (kind, codes) in skipped(report) {
        let codes = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let name = if kind == Kind::ProxyConfig { "ConfigMap kube-system/kube-proxy" } else { kind.as_str() };
        let _ = writeln!(out, "not checked, since the input has no {name}: {codes}");
    }
    out
}

fn write_finding(out: &mut String, finding: &Finding, colour: Colour) {
    let painted = |text: &str, code: &str| match colour {
        Colour::Plain => text.to_owned(),
        Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
    };
    let paint = match finding.severity {
        Severity::Error => "1;31",
        Severity::Warn => "1;33",
        Severity::Info => "1;36",
    };
    let severity = painted(&format!("{:5}", finding.severity), paint);
    let subject = painted(&clean(&finding.subject.to_string()), "1");
    let suppressed = match finding.suppressed {
        None => String::new(),
        Some(by) => painted(&format!(" (suppressed by {})", by_whom(by)), "2"),
    };
    let _ = writeln!(out, "{severity} {} {subject}: {}{suppressed}", finding.code, clean(&finding.title));
    let _ = writeln!(out, "  {}", clean(&finding.message));
    for evidence in &finding.evidence {
        let line = format!("{} {} = {}", evidence.object, evidence.field, evidence.value);
        let _ = writeln!(out, "    {}", painted(&clean(&line), "2"));
    }
    let _ = writeln!(out, "  fix: {}", clean(&finding.fix.advice));
    for command in &finding.fix.kubectl {
        let _ = writeln!(out, "    $ {}", clean(command));
    }
    for line in finding.fix.manifest.iter().flat_map(|manifest| manifest.lines()) {
        let _ = writeln!(out, "    | {}", clean(line));
    }
}

pub(super) fn by_whom(suppression: Suppression) -> &'static str {
    match suppression {
        Suppression::Annotation => "annotation",
        Suppression::Flag => "--ignore",
    }
}

fn summary(report: &Report) -> String {
    let count = |severity| report.active().filter(|finding| finding.severity == severity).count();
    let noun = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let suppressed = report.findings.len() - report.active().count();
    let counts = [
        noun(count(Severity::Error), "error"),
        noun(count(Severity::Warn), "warning"),
        noun(count(Severity::Info), "info"),
    ];
    let counts = counts.join(", ");
    if suppressed == 0 { counts } else { format!("{counts}; {suppressed} suppressed") }
}

/// The codes of checks that were not run, by the first kind that they lack.
pub(super) fn skipped(report: &Report) -> BTreeMap<Kind, Vec<Code>> {
    let mut by_kind: BTreeMap<Kind, Vec<Code>> = BTreeMap::new();
    report.skipped.iter().for_each(|skipped| by_kind.entry(skipped.kind).or_default().push(skipped.code));
    by_kind
}

/// Every check: code, severity, title; below it when it speaks, or why it is not run.
pub(super) fn list(checks: &[&Check]) -> String {
    let mut out = String::new();
    for check in checks {
        match super::out(check) {
            None => {
                let _ = writeln!(out, "{} {:5} {}", check.code, check.severity, check.title);
                let _ = writeln!(out, "    {}", check.condition);
            }
            Some(reason) => {
                let _ = writeln!(out, "{} {:5} {} (not run)", check.code, check.severity, check.title);
                let _ = writeln!(out, "    Not run: {reason}.");
            }
        }
    }
    let run = checks.iter().filter(|check| super::out(check).is_none()).count();
    let _ = writeln!(out, "{run} checks, {} of the catalogue are not run", checks.len() - run);
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use vipscope_shared::diagnose::{Options, diagnose};
    use vipscope_shared::manifest;

    use super::*;

    #[test]
    fn colour_is_ours_and_never_the_clusters() {
        let text = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName, externalName: \"b.\\e[31m.svc\"}}";
        let state = manifest::load(text).unwrap().state;
        let found = diagnose(&state, &Options::at(Timestamp::UNIX_EPOCH));
        let plain = report(&found, Colour::Plain);
        assert!(
            plain.starts_with("warn  SVC044 Service default/a: ") || plain.starts_with("error SVC0"),
            "{plain}"
        );
        assert!(!plain.contains('\u{1b}') && plain.contains("\u{fffd}[31m"), "{plain}");
        let painted = report(&found, Colour::Ansi);
        assert!(painted.starts_with("\u{1b}[1;3"), "{painted}");
        let reset = painted.replace("\u{1b}[0m", "");
        let ours = ["1;31", "1;33", "1;36", "1", "2"]
            .iter()
            .fold(reset, |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
        assert_eq!(ours, plain, "without our own colours it is the same text");
    }
}
