//! The engine on the command line: one file per command. In: files and flags. Out: text on standard output, warnings on
//! standard error; bad input is an error of one line, for which `main` exits with 2.

pub mod check;
mod cluster_file;
pub mod compare;
pub mod difference;
pub mod rules;
pub mod trace;
pub mod whatif;

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Whether text for people has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Ansi,
}

/// Control characters, which a terminal would obey, are replaced: text may come from a cluster.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// To standard output; a reader that has gone away, such as `head`, is no error.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("can't write to standard output"),
    }
}
