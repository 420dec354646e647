//! WebAssembly in a headless Chromium: what wasm-bindgen's runner must be told, by the environment of the cargo that
//! calls it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::project::Project;

/// Makes `cargo test` and `cargo bench` for wasm32 run what they build in Chromium, each binary for at most `patience`.
pub(crate) fn run_in(
    project: &Project,
    command: &mut Command,
    chromium: &Path,
    driver: &Path,
    patience: Duration,
) -> Result<()> {
    let capabilities = project.target.join("xtask").join("webdriver.json");
    write_capabilities(&capabilities, chromium)?;
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner");
    command.env("WASM_BINDGEN_USE_BROWSER", "1").env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &capabilities);
    command.env("WASM_BINDGEN_TEST_TIMEOUT", patience.as_secs().to_string()).env("CHROMEDRIVER", driver);
    Ok(())
}

fn write_capabilities(file: &Path, chromium: &Path) -> Result<()> {
    let binary = chromium.display();
    let text = format!(
        r#"{{"goog:chromeOptions": {{"binary": "{binary}", "args": ["headless=new", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"]}}}}"#
    );
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
