//! No `.rs` file that nothing compiles: follows `mod` declarations from every crate root that cargo would find.

use std::collections::{BTreeMap, BTreeSet};

use super::mask::code_of;
use super::{Fault, Source};

/// Files that no crate root leads to.
pub(crate) fn check(sources: &[Source]) -> Vec<Fault> {
    let rust: BTreeMap<&str, &Source> = sources
        .iter()
        .filter(|source| source.is_rust())
        .map(|source| (source.path.as_str(), source))
        .collect();
    let mut reached = BTreeSet::new();
    let mut queue: Vec<String> =
        rust.keys().filter(|path| is_root(path)).map(|path| (*path).to_owned()).collect();
    while let Some(path) = queue.pop() {
        if let Some(source) = rust.get(path.as_str())
            && reached.insert(path)
        {
            queue.extend(children(source));
        }
    }
    let orphans = rust.values().filter(|source| !reached.contains(&source.path));
    orphans.map(|source| source.fault(0, "no `mod` leads here: declare it or delete it")).collect()
}

/// `src/lib.rs`, `src/main.rs`, `src/bin/x.rs`, `tests/x.rs`, `benches/x.rs`, `examples/x.rs`, `build.rs`.
fn is_root(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let (file, parent, grandparent) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    match parent {
        "src" => matches!(file, Some("lib.rs" | "main.rs")),
        "bin" => grandparent == "src",
        "tests" | "benches" | "examples" | "fuzz_targets" => !path.contains("/src/"),
        _ => file == Some("build.rs") && !path.contains("/src/"),
    }
}

/// Every file that the declarations of one file may mean.
fn children(source: &Source) -> Vec<String> {
    let (directory, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let owns_directory = is_root(&source.path) || stem == "mod";
    let own = if owns_directory { directory.to_owned() } else { format!("{directory}/{stem}") };
    let mut found = Vec::new();
    for declaration in declarations(&source.text) {
        let inner = declaration.inside.iter().fold(own.clone(), |path, name| format!("{path}/{name}"));
        match declaration.path {
            Some(path) => found.push(format!("{directory}/{path}")),
            None => {
                found.push(format!("{inner}/{}.rs", declaration.name));
                found.push(format!("{inner}/{}/mod.rs", declaration.name));
            }
        }
    }
    found
}

/// `mod name;`, inside which inline modules, and the `#[path]` before it.
#[derive(Debug, PartialEq)]
struct Declaration {
    name: String,
    inside: Vec<String>,
    path: Option<String>,
}

fn declarations(text: &str) -> Vec<Declaration> {
    let code = code_of(text);
    let mut found = Vec::new();
    // Open inline modules with the depth of braces at which each opened.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut offset) = (0, 0);
    let mut path = None;
    for (line, code) in text.split_inclusive('\n').zip(code.split_inclusive('\n')) {
        if code.trim_start().starts_with("#[path") {
            path = line.split('"').nth(1).map(str::to_owned);
        } else if let Some((name, end)) = module_named(code) {
            match end {
                ';' => {
                    let inside = inline.iter().map(|(name, _)| name.clone()).collect();
                    found.push(Declaration { name, inside, path: path.take() });
                }
                _ => inline.push((name, depth)),
            }
        }
        depth = (depth + code.matches('{').count()).saturating_sub(code.matches('}').count());
        inline.retain(|(_, opened)| depth > *opened);
        offset += line.len();
    }
    debug_assert_eq!(offset, text.len());
    found
}

/// `pub(crate) mod name;` and `mod name {`.
fn module_named(code: &str) -> Option<(String, char)> {
    let code = code.trim();
    let at = if code.starts_with("mod ") {
        0
    } else {
        code.find(" mod ").filter(|_| code.starts_with("pub"))? + 1
    };
    let rest = code[at + 4..].trim_start();
    let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let end = rest[length..].trim_start().chars().next()?;
    Some((rest[..length].to_owned(), end)).filter(|(name, end)| !name.is_empty() && matches!(end, ';' | '{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphans(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
        let sources: Vec<Source> = files.iter().map(source).collect();
        check(&sources).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn files_that_nothing_compiles() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let rows: [Row; 8] = [
            (&[("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "")], &[]),
            (&[("a/src/lib.rs", "// mod b;"), ("a/src/b.rs", "")], &["a/src/b.rs"]),
            (&[("a/src/lib.rs", "pub mod b;"), ("a/src/b/mod.rs", "mod c;"), ("a/src/b/c.rs", "")], &[]),
            (&[("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "mod c;"), ("a/src/c.rs", "")], &["a/src/c.rs"]),
            (&[("a/src/lib.rs", "mod x {\n pub(crate) mod b;\n}"), ("a/src/x/b.rs", "")], &[]),
            (&[("a/src/main.rs", "#[path = \"odd.rs\"]\nmod b;"), ("a/src/odd.rs", "")], &[]),
            (&[("a/tests/t.rs", "mod common;"), ("a/tests/common/mod.rs", ""), ("a/build.rs", "")], &[]),
            (&[("a/tests/common/mod.rs", ""), ("a/src/bin/tool.rs", "")], &["a/tests/common/mod.rs"]),
        ];
        for (files, expected) in rows {
            assert_eq!(orphans(files), expected, "{files:?}");
        }
    }
}
