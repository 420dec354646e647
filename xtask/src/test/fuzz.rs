//! The fuzz targets of `shared/fuzz`: built as cargo-fuzz builds them, with the stable compiler, and run for a few seconds
//! from the recorded cases. Repeatable: the seed is fixed, and what a run finds is kept apart from the corpus.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::project::{Project, stdout_of};

use super::packages::CXX;
use super::tally::Tally;
use super::{Outcome, Problem, Session};

const TARGETS: [&str; 3] = ["iptables_save", "nft", "manifest"];

/// For each target. Long runs are for hands: the same binary, without this limit.
const SECONDS: u32 = 5;

/// What cargo-fuzz passes for coverage, without sanitizers (`-s none`): those need a nightly compiler, and safe code has
/// little for them to find. Overflow and debug assertions are on.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks=on";

pub(super) fn fuzz(session: &Session<'_>) -> Outcome {
    // libFuzzer itself is C++.
    CXX.provide(session)?;
    let project = session.project;
    session.step("fuzz-seed", project.command("sh").arg("shared/fuzz/seed.sh"))?;
    let host = host(project).map_err(Problem::failed)?;
    let built = project.target.join("fuzz");
    let mut build = project.cargo();
    build.args(["build", "--release", "--locked", "--manifest-path", "shared/fuzz/Cargo.toml"]);
    // With a target named, the flags do not reach build scripts and macros.
    build.args(["--target", &host]).arg("--target-dir").arg(&built).env("RUSTFLAGS", FLAGS);
    session.step("fuzz-build", &mut build)?;
    for target in TARGETS {
        let found =
            fresh(&project.target.join("xtask").join("fuzz").join(target)).map_err(Problem::failed)?;
        let mut run = project.command(built.join(&host).join("release").join(target));
        run.args([format!("-max_total_time={SECONDS}"), "-seed=1".into(), "-timeout=10".into()]);
        run.arg("-rss_limit_mb=2048").arg(format!("-artifact_prefix={}/", found.display()));
        run.arg(&found).arg(project.root.join("shared/fuzz/corpus").join(target));
        session.step(&format!("fuzz-{target}"), &mut run)?;
    }
    Ok(Tally { passed: TARGETS.len() as u32, ..Tally::default() })
}

/// The triple that the compiler compiles for by itself.
fn host(project: &Project) -> anyhow::Result<String> {
    let about = stdout_of(project.command("rustc").arg("-vV")).context("cannot run rustc -vV")?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// An empty directory.
fn fresh(directory: &Path) -> anyhow::Result<std::path::PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory.to_path_buf())
}
