//! `vipscope whatif`: what would become of traffic if the objects in a file were edited. The same input and `--now` always give the
//! same output.
//!
//! Text for people, JSON for scripts. Exit code 1 if a flow becomes as bad as `--fail-on`, else 0; bad input, and an edit that the API
//! server would refuse, is an error, for which `main` exits with 2.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Serialize;
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::difference::{Difference, Grade};
use vipscope_shared::whatif::edit::{self, ObjectName};
use vipscope_shared::whatif::{Options, difference_with};

use super::difference::{self, Detail};
use super::{Colour, clean, cluster_file, print};
use crate::args::{FailOnGrade, WhatifArgs};

/// Exit code for flows that become bad enough.
const WORSE: u8 = 1;

pub fn run(args: &WhatifArgs, colour: Colour) -> Result<ExitCode> {
    let shown = if args.edits.as_os_str() == "-" {
        if args.cluster.as_os_str() == "-" {
            bail!("--cluster and --edits can't both be standard input");
        }
        "standard input".to_owned()
    } else {
        args.edits.display().to_string()
    };
    let edits = edit::parse(&cluster_file::read(&args.edits, &shown)?).with_context(|| shown.clone())?;
    let before = cluster_file::load(&args.cluster, args.proxy_config.as_deref())?;
    let now = args.now.unwrap_or_else(Timestamp::now);
    let after = apply(&before, &edits, now).with_context(|| shown.clone())?;
    if args.kubectl {
        print(&edit::export(&before, &edits).script())?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options { changed: Some(&after.changed), ..Options::at(now) };
    let found = difference_with(&before, &after.state, &options);
    let changed = after.changed.into_iter().map(ObjectName::from).collect();
    let report = Report { now, changed, difference: found };
    let detail = if args.all { Detail::Flows } else { Detail::Groups };
    print(&if args.json {
        serde_json::to_string_pretty(&report).context("can't write JSON")? + "\n"
    } else {
        text(&report, detail, colour)
    })?;
    let failed = report.difference.flows.iter().any(|flow| match args.fail_on {
        FailOnGrade::Never => false,
        FailOnGrade::Lost => flow.grade == Grade::Lost,
        FailOnGrade::Degraded => matches!(flow.grade, Grade::Lost | Grade::Degraded),
    });
    Ok(if failed { ExitCode::from(WORSE) } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct Report {
    now: Timestamp,
    changed: Vec<ObjectName>,
    #[serde(flatten)]
    difference: Difference,
}

/// Objects that are named; more are counted.
const MOST_OBJECTS: usize = 8;

fn text(report: &Report, detail: Detail, colour: Colour) -> String {
    let names: Vec<String> =
        report.changed.iter().take(MOST_OBJECTS).map(|name| clean(&name.to_string())).collect();
    let head = match report.changed.len() {
        0 => "No object differs.".to_owned(),
        1 => format!("1 changed object: {}", names.join(", ")),
        number if number > MOST_OBJECTS => {
            format!("{number} changed objects: {} and {} more", names.join(", "), number - MOST_OBJECTS)
        }
        number => format!("{number} changed objects: {}", names.join(", ")),
    };
    format!("{head}\n{}", difference::text(&report.difference, detail, colour))
}
