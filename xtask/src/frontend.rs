//! Builds the frontend into `dist/` with trunk, unless what lies there was built from the very same inputs.
//! Invariant: the stamp is written only after a successful build and covers inputs and result.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::project::{Project, run};
use crate::tools;

/// Everything that the built frontend depends on.
const INPUTS: &[&str] = &[
    "frontend",
    "shared/src",
    "shared/Cargo.toml",
    "style",
    "Cargo.toml",
    "Cargo.lock",
    "Trunk.toml",
    "rust-toolchain.toml",
];

/// Makes `dist/` current.
pub(crate) fn build(project: &Project) -> Result<()> {
    let inputs = hash_of(project, INPUTS)?;
    if is_current(project, inputs) {
        return Ok(());
    }
    tools::for_frontend(project)?;
    eprintln!("building the frontend");
    let mut trunk = project.command("trunk");
    // A compiler's error is the message, not where trunk was when it saw it.
    run(trunk.args(["build", "--release", "--locked"]).env("RUST_BACKTRACE", "0"))?;
    let index = project.dist().join("index.html");
    if !index.is_file() {
        bail!("trunk left no {}: Trunk.toml must build into dist/", index.display());
    }
    let stamp = stamp_file(project);
    fs::create_dir_all(project.target.join("xtask"))?;
    fs::write(&stamp, stamp_of(project, inputs)?).with_context(|| format!("cannot write {}", stamp.display()))
}

fn is_current(project: &Project, inputs: u64) -> bool {
    let Ok(found) = fs::read_to_string(stamp_file(project)) else { return false };
    stamp_of(project, inputs).is_ok_and(|expected| expected == found)
}

/// The inputs and the result: a debug build by hand in between changes the result.
fn stamp_of(project: &Project, inputs: u64) -> Result<String> {
    Ok(format!("{inputs:016x} {:016x}\n", hash_of(project, &["dist"])?))
}

fn stamp_file(project: &Project) -> PathBuf {
    project.target.join("xtask").join("frontend.stamp")
}

fn hash_of(project: &Project, paths: &[&str]) -> Result<u64> {
    let mut files = Vec::new();
    for path in paths {
        collect(&project.root.join(path), &mut files)?;
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(&project.root)?.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_path_buf());
    } else if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
            collect(&entry?.path(), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project in a directory of its own, removed at the end.
    struct Scratch(Project);

    impl Scratch {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("vipscope-xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("frontend/src")).unwrap();
            let target = root.join("target");
            Self(Project { root, target })
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.root);
        }
    }

    #[test]
    fn a_change_of_an_input_or_of_the_result_is_seen() {
        let scratch = Scratch::new("stamp");
        let current = || is_current(&scratch.0, hash_of(&scratch.0, INPUTS).unwrap());
        scratch.write("frontend/src/main.rs", "fn main() {}");
        scratch.write("dist/index.html", "one");
        assert!(!current(), "never built");
        let stamp = stamp_of(&scratch.0, hash_of(&scratch.0, INPUTS).unwrap()).unwrap();
        scratch.write("target/xtask/frontend.stamp", &stamp);
        assert!(current(), "just built");
        scratch.write("README.md", "not an input");
        assert!(current(), "something else changed");
        scratch.write("style/tokens.css", ":root {}");
        assert!(!current(), "a new input");
        fs::remove_dir_all(scratch.0.root.join("style")).unwrap();
        assert!(current(), "as before");
        scratch.write("dist/index.html", "two");
        assert!(!current(), "another build");
    }
}
