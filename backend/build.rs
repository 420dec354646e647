//! A release binary without the frontend would be no dashboard: refuse to build one.

use std::path::Path;

fn main() {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let dist = Path::new(&root).join("../dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release && !dist.join("index.html").exists() {
        println!(
            "cargo::error=dist/index.html is missing: run `trunk build --release` first, or `cargo xtask run`"
        );
    }
}
