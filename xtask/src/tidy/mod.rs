//! `cargo xtask tidy`: what no compiler checks, found by reading the sources as text. Every rule is one module that
//! gets [`Source`]s and returns [`Fault`]s.

mod layers;
mod mask;
mod orphans;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::project::Project;

/// A file that people write, with its path relative to the root, `/` between parts.
#[derive(Debug)]
pub(crate) struct Source {
    path: String,
    text: String,
}

/// Something to mend.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    path: String,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

/// Everything that is wrong, by path and line.
pub(crate) fn tidy(project: &Project) -> Result<Vec<Fault>> {
    let sources = read(&project.root)?;
    let mut faults: Vec<Fault> =
        sources.iter().flat_map(|source| [text::check(source), layers::check(source)]).flatten().collect();
    faults.extend(orphans::check(&sources));
    faults.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(faults)
}

/// The command: prints the faults.
pub(crate) fn print(project: &Project) -> Result<ExitCode> {
    let faults = tidy(project)?;
    faults.iter().for_each(|fault| println!("{fault}"));
    if !faults.is_empty() {
        println!("{} faults", faults.len());
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn fault(&self, line: usize, what: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), line, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

const WRITTEN: &[&str] = &["rs", "toml", "css", "html", "js", "md", "yml", "yaml"];

/// What people do not write, or not here.
fn is_foreign(name: &str) -> bool {
    matches!(name, "target" | "dist" | "build" | "node_modules" | "fixtures") || name.starts_with('.')
}

fn read(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, "", &mut sources)?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn walk(directory: &Path, prefix: &str, sources: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !is_foreign(&name) {
                walk(&entry.path(), &format!("{path}/"), sources)?;
            }
        } else if WRITTEN.iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
