//! Who may use whom: the tables of ARCHITECTURE.md, checked on every path (`crate::x`, `super::x`) in the code.
//! A module that is not in the table is a fault, so that a new one says where it stands.

use super::mask::code_of;
use super::{Fault, Source, line_of};

/// What a module may use beside itself.
#[derive(Debug)]
enum Uses {
    Only(&'static [&'static str]),
    Anything,
    AnythingBut(&'static [&'static str]),
}

use Uses::{Anything, AnythingBut, Only};

/// `shared/src`: every module, and what it may use.
const SHARED: &[(&str, Uses)] = &[
    ("lib", Anything),
    ("model", Only(&[])),
    ("delta", Only(&["model"])),
    ("manifest", Only(&["model", "delta"])),
    ("admission", Only(&["model"])),
    ("controllers", Only(&["model", "admission"])),
    ("netfilter", Only(&["model"])),
    ("proxy", Only(&["netfilter", "model", "traffic"])),
    ("trace", Only(&["netfilter", "model"])),
    ("predict", Only(&["model", "netfilter", "proxy", "trace"])),
    ("discovery", Only(&["model"])),
    ("pace", Only(&[])),
    ("diagnose", AnythingBut(&["delta", "whatif", "scene", "api", "synthetic"])),
    ("traffic", Only(&["model"])),
    ("whatif", AnythingBut(&["scene", "api", "synthetic"])),
    ("scene", Only(&["model", "proxy", "trace", "predict", "diagnose", "whatif", "traffic"])),
    ("api", AnythingBut(&["synthetic"])),
    // Generated clusters for tests and benchmarks.
    ("synthetic", Only(&["model", "delta", "manifest", "controllers"])),
];

/// `backend/src`: modules that must stand alone; the others may use anything.
const BACKEND: &[(&str, Uses)] =
    &[("agent", AnythingBut(&["server", "cluster"])), ("sandbox", AnythingBut(&["server", "cluster"]))];

/// Crates that never meet: where, and what must not be named there.
const STRANGERS: &[(&str, &[&str])] = &[
    ("backend/", &["vipscope_frontend", "vipscope-frontend"]),
    ("frontend/", &["vipscope::", "package = \"vipscope\"", "\nvipscope ", "\nvipscope."]),
    ("shared/", &["vipscope_frontend", "vipscope-frontend", "vipscope::", "\nvipscope ", "\nvipscope."]),
];

/// Faults of one file.
pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let mut faults = strangers(source);
    if let Some(inner) = source.path.strip_prefix("shared/src/").filter(|_| source.is_rust()) {
        faults.extend(uses(source, inner, SHARED, Unlisted::IsFault));
    }
    if let Some(inner) = source.path.strip_prefix("backend/src/").filter(|_| source.is_rust()) {
        faults.extend(uses(source, inner, BACKEND, Unlisted::MayAnything));
    }
    faults
}

/// What a module is that the table does not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unlisted {
    IsFault,
    MayAnything,
}

fn uses(source: &Source, inner: &str, table: &[(&str, Uses)], unlisted: Unlisted) -> Vec<Fault> {
    let path = module_path(inner);
    let own = path.first().map_or("lib", String::as_str);
    let Some((_, allowed)) = table.iter().find(|(name, _)| *name == own) else {
        let fault =
            || source.fault(0, format!("module `{own}` is not in the table of xtask/src/tidy/layers.rs"));
        return (unlisted == Unlisted::IsFault).then(fault).into_iter().collect();
    };
    let code = code_of(&source.text);
    let is_module =
        |name: &str| unlisted == Unlisted::MayAnything || table.iter().any(|(known, _)| *known == name);
    let mut faults = Vec::new();
    for (at, used) in used_modules(&code, path.len()) {
        if used != own && is_module(&used) && !allowed.permits(&used) {
            faults.push(source.fault(line_of(&code, at), format!("`{own}` must not use `{used}`")));
        }
    }
    faults
}

impl Uses {
    fn permits(&self, module: &str) -> bool {
        match self {
            Only(names) => names.contains(&module),
            Anything => true,
            AnythingBut(names) => !names.contains(&module),
        }
    }
}

fn strangers(source: &Source) -> Vec<Fault> {
    let text = if source.is_rust() { code_of(&source.text) } else { source.text.clone() };
    if !(source.is_rust() || source.path.ends_with("Cargo.toml")) {
        return Vec::new();
    }
    let rows = STRANGERS.iter().filter(|(prefix, _)| source.path.starts_with(prefix));
    let found = rows
        .flat_map(|(_, names)| names.iter())
        .filter_map(|name| text.find(name).map(|at| (at, name.trim())));
    found.map(|(at, name)| source.fault(line_of(&text, at + 1), format!("must not know `{name}`"))).collect()
}

/// `proxy/common.rs` → `[proxy, common]`, `proxy/mod.rs` → `[proxy]`, `lib.rs` → `[]`.
fn module_path(inner: &str) -> Vec<String> {
    let stem = inner.trim_end_matches(".rs");
    let parts = stem.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main"));
    parts.map(str::to_owned).collect()
}

/// Top-level modules that code names, with the offset of each: through `crate::`, or through as many `super::` as
/// lead to the crate's root from a file `depth` modules below it.
fn used_modules(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| is_start(code, *at)) {
        found.extend(names_after(code, at + "crate::".len()).into_iter().map(|name| (at, name)));
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| is_start(code, *at)) {
        let rest = &code[at..];
        let supers = rest.split("super::").take_while(|part| part.is_empty()).count();
        let first = at == 0 || !code[..at].ends_with("super::");
        if first && supers == depth + inline_depth(code, at) {
            let names = names_after(code, at + supers * "super::".len());
            found.extend(names.into_iter().map(|name| (at, name)));
        }
    }
    found
}

/// Not the tail of a longer word or path, such as `my_crate::`.
fn is_start(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
}

/// How many inline modules (`mod tests { … }`) are open at an offset.
fn inline_depth(code: &str, at: usize) -> usize {
    let mut open = Vec::new();
    for (index, brace) in code[..at].match_indices(['{', '}']) {
        if brace == "{" {
            open.push(opens_module(&code[..index]));
        } else {
            open.pop();
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

fn opens_module(before: &str) -> bool {
    let mut words = before.split_whitespace().rev();
    words.next().is_some() && words.next() == Some("mod")
}

/// `model::X` → `[model]`; `{model::X, delta}` → `[model, delta]`.
fn names_after(code: &str, at: usize) -> Vec<String> {
    let rest = &code[at..];
    let Some(group) = rest.strip_prefix('{') else { return identifier(rest).into_iter().collect() };
    let (mut depth, mut names, mut expected) = (1, Vec::new(), true);
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            c if expected && depth == 1 && !c.is_whitespace() => {
                names.extend(identifier(&group[index..]));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let length = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (length > 0).then(|| text[..length].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.into(), text: text.into() };
        check(&source).into_iter().map(|fault| format!("{}: {}", fault.line, fault.what)).collect()
    }

    #[test]
    fn uses_that_the_table_allows() {
        for (path, text) in [
            ("shared/src/delta.rs", "use crate::model::Key;"),
            ("shared/src/model/state.rs", "use super::{Key, Pod};\nuse crate::model::meta;"),
            ("shared/src/manifest/decode.rs", "use super::wire; // crate::scene\nlet s = \"crate::scene\";"),
            ("shared/src/model/pod.rs", "mod tests {\n use super::*; use super::super::api::X; }"),
            ("shared/src/proxy/reach.rs", "use crate::{model::{Pod, api}, netfilter};"),
            ("shared/src/lib.rs", "pub mod api; pub use crate::api::X;"),
            ("backend/src/server/mod.rs", "use crate::cluster::Index;"),
            ("backend/src/sandbox/mod.rs", "use crate::http::Answer; use vipscope_shared::model;"),
            ("backend/Cargo.toml", "name = \"vipscope\"\n[dependencies]\nvipscope-shared.workspace = true\n"),
            ("frontend/Cargo.toml", "name = \"vipscope-frontend\"\nvipscope-shared.workspace = true\n"),
        ] {
            assert_eq!(faults(path, text), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn uses_that_it_forbids() {
        for (path, text, fault) in [
            ("shared/src/model/pod.rs", "\nuse crate::delta::Change;", "2: `model` must not use `delta`"),
            ("shared/src/delta.rs", "fn f(x: crate::api::X) {}", "1: `delta` must not use `api`"),
            ("shared/src/delta.rs", "use super::manifest::Loaded;", "1: `delta` must not use `manifest`"),
            (
                "shared/src/model/pod.rs",
                "use super::super::scene::Target;",
                "1: `model` must not use `scene`",
            ),
            (
                "shared/src/model/mod.rs",
                "use crate::{\n delta::{X, Y},\n};",
                "1: `model` must not use `delta`",
            ),
            (
                "shared/src/proxy/common.rs",
                "mod t { use super::super::super::scene::X; }",
                "1: `proxy` must not use `scene`",
            ),
            (
                "shared/src/surprise.rs",
                "",
                "0: module `surprise` is not in the table of xtask/src/tidy/layers.rs",
            ),
            ("backend/src/sandbox/http.rs", "use crate::server::app;", "1: `sandbox` must not use `server`"),
            ("backend/src/agent/mod.rs", "use crate::{args, cluster};", "1: `agent` must not use `cluster`"),
            ("backend/src/main.rs", "use vipscope_frontend::App;", "1: must not know `vipscope_frontend`"),
            (
                "frontend/Cargo.toml",
                "[dependencies]\nvipscope = { path = \"../backend\" }\n",
                "2: must not know `vipscope`",
            ),
        ] {
            assert_eq!(faults(path, text), [fault], "{path}: {text}");
        }
    }
}
