//! The engine on the command line: one file per command. In: files and flags. Out: text on standard output, warnings on
//! standard error; bad input is an error of one line, for which `main` exits with 2.

pub mod check;
mod cluster_file;
pub mod compare;
pub mod difference;
pub mod rules;
pub mod trace;
pub mod whatif;

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Exit code for bad input.
pub const BAD_INPUT: u8 = 2;

/// Whether text for people has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Ansi,
}

impl Colour {
    /// For people only: on a terminal that can show it, unless `$NO_COLOR` is set to anything (no-color.org). Both are empty if unset.
    pub fn wanted(no_color: &OsStr, term: &OsStr, terminal: bool) -> Colour {
        if terminal && no_color.is_empty() && term != "dumb" { Colour::Ansi } else { Colour::Plain }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        for (no_color, term, terminal, expected) in [
            ("", "xterm-256color", true, Colour::Ansi),
            ("", "", true, Colour::Ansi),
            ("", "xterm", false, Colour::Plain),
            ("1", "xterm", true, Colour::Plain),
            ("0", "xterm", true, Colour::Plain),
            ("", "dumb", true, Colour::Plain),
        ] {
            let found = Colour::wanted(OsStr::new(no_color), OsStr::new(term), terminal);
            assert_eq!(found, expected, "{no_color:?} {term:?} {terminal}");
        }
    }
}
