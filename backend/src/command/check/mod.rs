//! `vipscope check`: what is wrong with the Services in a file. The same input and `--now` always give the same output.
//!
//! Text for people, JSON for scripts, SARIF for code scanning. Exit code 1 if a finding that nobody suppressed is as bad as
//! `--fail-on`, else 0. Bad input is an error, for which `main` exits with 2; so it is if one object can't be read, but then the
//! others are checked all the same.

mod sarif;
mod text;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;
use vipscope_shared::diagnose::{CHECKS, Check, Code, How, Options, Report, Severity, diagnose};
use vipscope_shared::model::{Fault, FaultEffect, Kind};

use super::{BAD_INPUT, Colour, cluster_file, print};
use crate::args::{CheckArgs, FailOn};

/// Exit code for findings that are bad enough.
const FOUND: u8 = 1;

pub fn run(args: &CheckArgs, colour: Colour) -> Result<ExitCode> {
    let Some(file) = args.cluster.as_deref().filter(|_| !args.list) else {
        print(&list(args)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let state = cluster_file::load(file, args.proxy_config.as_deref())?;
    let now = args.now.unwrap_or_else(Timestamp::now);
    let options = Options { now, ignore: args.ignore.iter().copied().collect() };
    let report = diagnose(&state, &options);
    let faults: Vec<&Fault> = state.faults().map(Arc::as_ref).collect();
    let output = if args.json {
        json(&JsonReport { now, report: &report, faults: &faults })?
    } else if args.sarif {
        json(&sarif::log(&report, &faults, file))?
    } else {
        text::report(&report, colour)
    };
    print(&output)?;
    let bad_enough = |severity: Severity| match args.fail_on {
        FailOn::Never => false,
        FailOn::AtLeast(least) => severity >= least,
    };
    if faults.iter().any(|fault| unreadable(fault)) {
        // Named on standard error as the file was read.
        return Ok(ExitCode::from(BAD_INPUT));
    }
    let failed = report.active().any(|finding| bad_enough(finding.severity));
    Ok(if failed { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct JsonReport<'a> {
    now: Timestamp,
    #[serde(flatten)]
    report: &'a Report,
    /// Objects that could not be read, or not wholly.
    faults: &'a [&'a Fault],
}

/// Nothing of the object is checked.
fn unreadable(fault: &Fault) -> bool {
    fault.effect == FaultEffect::Dropped
}

/// One check of `check --list --json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonCheck {
    code: Code,
    severity: Severity,
    title: &'static str,
    condition: &'static str,
    explanation: &'static str,
    /// Kinds of which objects must be in the file, beside Services.
    needs: &'static [Kind],
    /// Why it is not run; absent if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<&'static str>,
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).context("can't write JSON")?;
    Ok(text + "\n")
}

fn list(args: &CheckArgs) -> Result<String> {
    let all = by_code();
    if !args.json {
        return Ok(text::list(&all));
    }
    let row = |check: &&Check| JsonCheck {
        code: check.code,
        severity: check.severity,
        title: check.title,
        condition: check.condition,
        explanation: check.explanation,
        needs: check.needs,
        out: out(check),
    };
    json(&all.iter().map(row).collect::<Vec<_>>())
}

/// Every check, by code instead of the order of evaluation.
fn by_code() -> Vec<&'static Check> {
    let mut all: Vec<&Check> = CHECKS.iter().collect();
    all.sort_by_key(|check| check.code);
    all
}

/// Why the check is not run.
fn out(check: &Check) -> Option<&'static str> {
    match check.how {
        How::Out(reason) => Some(reason),
        How::Service(_) | How::Cluster(_) => None,
    }
}
