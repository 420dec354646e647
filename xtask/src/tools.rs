//! The pinned build tools: which versions the project needs, whether they are there, and how they are installed
//! into `target/tools`. Nothing outside that directory is changed, except for rustup's WASM target.

use std::io::IsTerminal;

use anyhow::{Context, Result};

use crate::project::{Project, run, stdout_of};

/// The target the frontend is compiled for.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";

/// Newer ones need a newer rustc than the pinned one.
const TRUNK: &str = "0.21.14";
const CARGO_DENY: &str = "0.20.2";

/// A tool that `cargo install` provides.
#[derive(Debug)]
struct Tool {
    package: &'static str,
    /// The programs it must provide, each of which knows `--version`.
    programs: &'static [&'static str],
    version: String,
    lock: Lock,
}

/// Whether a tool is installed with the dependencies it was published with.
#[derive(Debug, PartialEq)]
enum Lock {
    Published,
    /// wasm-bindgen-cli's published lock file lags behind its own requirements.
    Fresh,
}

/// What trunk needs: itself, the wasm-bindgen of Cargo.lock, the WASM target.
pub(crate) fn for_frontend(project: &Project) -> Result<()> {
    wasm_target(project)?;
    Tool { package: "trunk", programs: &["trunk"], version: TRUNK.into(), lock: Lock::Published }
        .provide(project)?;
    wasm_bindgen(project)
}

/// wasm-bindgen's CLI and test runner, at exactly the version of the crate: the two speak a private format.
pub(crate) fn wasm_bindgen(project: &Project) -> Result<()> {
    let version = project.locked_version("wasm-bindgen")?;
    let programs = &["wasm-bindgen", "wasm-bindgen-test-runner"];
    Tool { package: "wasm-bindgen-cli", programs, version, lock: Lock::Fresh }.provide(project)
}

/// cargo-deny, which checks licences, sources and duplicates of the dependencies.
pub(crate) fn cargo_deny(project: &Project) -> Result<()> {
    let programs = &["cargo-deny"];
    Tool { package: "cargo-deny", programs, version: CARGO_DENY.into(), lock: Lock::Published }
        .provide(project)
}

/// The WASM target of the pinned toolchain.
pub(crate) fn wasm_target(project: &Project) -> Result<()> {
    let mut rustc = project.command("rustc");
    if stdout_of(rustc.args(["--print", "target-libdir", "--target", WASM]))
        .is_some_and(|dir| std::path::Path::new(dir.trim()).is_dir())
    {
        return Ok(());
    }
    eprintln!("installing the {WASM} target with rustup");
    run(project.command("rustup").args(["target", "add", WASM])).with_context(|| {
        format!("the frontend needs the target {WASM}; add it to the toolchain of rust-toolchain.toml")
    })
}

impl Tool {
    fn provide(&self, project: &Project) -> Result<()> {
        if self.programs.iter().all(|program| self.is_right(project, program)) {
            return Ok(());
        }
        eprintln!("installing {} {} into {} (once)", self.package, self.version, project.tools().display());
        run(&mut self.install(project))
            .with_context(|| format!("cannot install {}: is a crates registry reachable?", self.package))
    }

    fn is_right(&self, project: &Project, program: &str) -> bool {
        let printed = stdout_of(project.command(program).arg("--version"));
        printed.is_some_and(|line| version_in(&line) == Some(&self.version))
    }

    fn install(&self, project: &Project) -> std::process::Command {
        let mut cargo = project.cargo();
        // A debug build of a tool takes a third of the time, and the tools are fast enough.
        cargo.args(["install", "--debug", "--force", "--root"]).arg(project.tools());
        cargo.args([self.package, "--version", &format!("={}", self.version)]);
        if self.lock == Lock::Published {
            cargo.arg("--locked");
        }
        if !std::io::stderr().is_terminal() {
            cargo.arg("--quiet");
        }
        // Flags meant for the project must not reach the tools.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_TARGET").env_remove("CARGO_TARGET_DIR");
        cargo
    }
}

/// `trunk 0.21.14`, `cargo-deny 0.20.2`: the second word.
fn version_in(line: &str) -> Option<&str> {
    line.split_whitespace().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_tools_print_them() {
        for (line, version) in [
            ("trunk 0.21.14\n", Some("0.21.14")),
            ("wasm-bindgen-test-runner 0.2.130\n", Some("0.2.130")),
            ("cargo-deny 0.20.2", Some("0.20.2")),
            ("", None),
        ] {
            assert_eq!(version_in(line), version, "{line:?}");
        }
    }
}
