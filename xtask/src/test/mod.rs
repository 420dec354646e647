//! `cargo xtask test`: runs the groups in order, each with a header and its time, and ends with one line of counts.
//! Invariant: a group that could not run is never silent: it is skipped by name, or failed where `CI=true`.

mod fuzz;
mod groups;
pub(crate) mod packages;
mod tally;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::project::{Project, shown};
use groups::{GROUPS, Group};
use tally::{Tally, tests_in};

/// Which groups, and what they may do to the machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Installs no system packages: groups that lack a program are skipped.
    #[arg(long)]
    no_install: bool,
    /// The groups to run; all if none is named. `--list` prints them.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Prints the groups.
    #[arg(long)]
    list: bool,
}

/// Why a group did not pass.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A program is missing and could not be installed: says which, and how to get it.
    Missing(String),
    /// Something is wrong with the project.
    Failed { tally: Tally, why: String },
}

/// What a group passed, or why not.
type Outcome = Result<Tally, Problem>;

/// A skip for a missing program is a failure here.
fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Runs the groups; the exit code says whether all passed.
pub(crate) fn test(project: &Project, options: &Options) -> Result<ExitCode> {
    if options.list {
        GROUPS.iter().for_each(|group| println!("{:10} {}", group.name, group.about));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = choose(&options.groups)?;
    let session =
        Session { project, install: if options.no_install { Install::Refused } else { Install::Allowed } };
    let mut total = Tally::default();
    let mut notes = Vec::new();
    for group in chosen {
        total += session.run_group(group, &mut notes);
    }
    notes.iter().for_each(|note| println!("{note}"));
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn choose(names: &[String]) -> Result<Vec<&'static Group>> {
    if names.is_empty() {
        return Ok(GROUPS.iter().collect());
    }
    let find = |name: &String| GROUPS.iter().find(|group| group.name == name);
    let known = || GROUPS.iter().map(|group| group.name).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|name| find(name).with_context(|| format!("no group {name}; there are: {}", known())))
        .collect()
}

/// Whether system packages may be installed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Install {
    Allowed,
    Refused,
}

/// One run of the groups.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    project: &'a Project,
    install: Install,
}

impl Session<'_> {
    fn run_group(&self, group: &Group, notes: &mut Vec<String>) -> Tally {
        println!("== {}: {}", group.name, group.about);
        let start = Instant::now();
        let outcome = (group.run)(self);
        let seconds = start.elapsed().as_secs_f64();
        let (tally, verdict) = judge(outcome, in_ci());
        println!("== {} {verdict} ({seconds:.1} s)", group.name);
        if tally.failed > 0 || tally.skipped > 0 {
            notes.push(format!("{} {verdict}", group.name));
        }
        tally
    }

    /// Runs a step with its output in a log that is shown only if the step fails.
    fn step(&self, name: &str, command: &mut Command) -> Result<String, Problem> {
        let line = shown(command);
        println!("   {line}");
        self.logged(name, command).map_err(Problem::failed).and_then(|(passed, log)| match passed {
            true => Ok(log),
            false => {
                println!("{log}");
                let tally = tests_in(&log);
                Err(Problem::Failed { tally: tally.at_least_one_failure(), why: format!("`{line}`") })
            }
        })
    }

    /// A step that runs tests with cargo's harness.
    fn tests(&self, name: &str, command: &mut Command) -> Outcome {
        self.step(name, command).map(|log| tests_in(&log))
    }

    fn logged(&self, name: &str, command: &mut Command) -> Result<(bool, String)> {
        let path = self.log_file(name)?;
        let log = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        Ok((status.success(), text))
    }

    fn log_file(&self, name: &str) -> Result<PathBuf> {
        let directory = self.project.target.join("xtask").join("logs");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory.join(format!("{name}.log")))
    }
}

impl Problem {
    fn failed(error: anyhow::Error) -> Self {
        Self::Failed { tally: Tally::FAILED, why: format!("{error:#}") }
    }
}

fn judge(outcome: Outcome, ci: bool) -> (Tally, String) {
    match outcome {
        Ok(tally) => (tally, format!("passed: {tally}")),
        Err(Problem::Failed { tally, why }) => (tally, format!("FAILED: {why}")),
        Err(Problem::Missing(what)) if ci => {
            (Tally::FAILED, format!("FAILED: {what}; CI=true allows no skip"))
        }
        Err(Problem::Missing(what)) => (Tally::SKIPPED, format!("skipped: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_a_skip_and_in_ci_a_failure() {
        let missing = || Err(Problem::Missing("no chromedriver".into()));
        assert_eq!(judge(missing(), false), (Tally::SKIPPED, "skipped: no chromedriver".into()));
        assert_eq!(judge(missing(), true).0, Tally::FAILED);
        assert_eq!(judge(Ok(Tally::PASSED), true).0, Tally::PASSED);
    }

    #[test]
    fn groups_are_chosen_by_name() {
        assert_eq!(choose(&[]).unwrap().len(), GROUPS.len());
        assert_eq!(choose(&["tidy".into()]).unwrap()[0].name, "tidy");
        let error = choose(&["tydi".into()]).unwrap_err().to_string();
        assert!(error.contains("tydi") && error.contains("clippy"), "{error}");
    }
}
