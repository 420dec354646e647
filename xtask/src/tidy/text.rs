//! Rules about one file's text: module headers, length, blanks at line ends, notes to self, and (in `shared`)
//! nothing that reaches outside the process.

use super::mask::code_of;
use super::{Fault, Source, line_of};

const MOST_LINES: usize = 1_000;

/// Notes to self belong into issues. Written so that this file passes its own rule.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// `shared` is pure: time, randomness and bytes are parameters.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "rand::",
];

/// Faults of one file.
pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let mut faults = lines(source);
    if source.is_rust() {
        faults.extend(header(source));
        faults.extend(length(source));
        faults.extend(purity(source));
    }
    faults
}

fn lines(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(source.text.lines()) {
        if line.ends_with([' ', '\t']) {
            faults.push(source.fault(number, "blanks at the end of the line"));
        }
        if let Some(note) = NOTES.iter().find(|note| line.contains(**note)) {
            faults.push(source.fault(number, format!("{note}: do it, or file an issue")));
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        faults.push(source.fault(0, "does not end with a line break"));
    }
    faults
}

fn header(source: &Source) -> Option<Fault> {
    let has = source.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 8);
    (!has).then(|| source.fault(1, "must start with `//!` and what the module owns"))
}

fn length(source: &Source) -> Option<Fault> {
    let count = source.text.lines().count();
    (count > MOST_LINES).then(|| source.fault(0, format!("{count} lines, at most {MOST_LINES}: split it")))
}

fn purity(source: &Source) -> Vec<Fault> {
    if !source.path.starts_with("shared/src/") {
        return Vec::new();
    }
    let code = code_of(&source.text);
    let found = IMPURE.iter().filter_map(|name| code.find(name).map(|at| (name, at)));
    let fault = |(name, at)| source.fault(line_of(&code, at), format!("`shared` is pure: no {name}"));
    found.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.into(), text: text.into() };
        check(&source).iter().map(|fault| format!("{}: {}", fault.line, fault.what)).collect()
    }

    #[test]
    fn faults_of_a_text() {
        let long = format!("//! Long.\n{}", "\n".repeat(1_000));
        let note = format!("//! Fine.\n// {}: later\n", NOTES[0]);
        let rows: [(&str, &str, &[&str]); 9] = [
            ("backend/src/a.rs", "//! Fine.\nfn f() {}\n", &[]),
            ("backend/src/a.rs", "fn f() {}\n", &["1: must start with"]),
            ("backend/src/a.rs", "//!\nfn f() {}\n", &["1: must start with"]),
            ("backend/src/a.rs", "//! Fine.\nfn f() {} \n", &["2: blanks"]),
            ("backend/src/a.rs", &note, &["2: "]),
            ("backend/src/a.rs", &long, &["0: 1001 lines"]),
            ("style/a.css", "a {}", &["0: does not end"]),
            ("shared/src/a.rs", "//! Fine.\nuse std::fs;\n", &["2: `shared` is pure"]),
            ("shared/src/a.rs", "//! Fine: no std::fs.\nuse std::fmt;\n", &[]),
        ];
        for (path, text, expected) in rows {
            let found = what(path, text);
            assert_eq!(found.len(), expected.len(), "{path}: {found:?}");
            assert!(found.iter().zip(expected).all(|(found, start)| found.starts_with(start)), "{found:?}");
        }
    }
}
