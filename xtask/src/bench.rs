//! `cargo xtask bench`: the engine natively, the same in WebAssembly as the browser runs it, the frames of the map, and
//! the server's path of the traffic.
//! Prints figures and asserts nothing; DESIGN.md has the budgets, ARCHITECTURE.md what was measured.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::project::{Project, run};
use crate::test::packages::{CHROMEDRIVER, CHROMIUM, Program};
use crate::{browser, chromium, tools};

/// One kind of benchmark.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Bench {
    /// Rules and map geometry, native.
    Native,
    /// Rules in WebAssembly, in Chromium, compiled as the app is.
    Wasm,
    /// Script and paint work of each frame while the map is panned.
    Frames,
    /// What the traffic of 10,000 edges costs the server. After `frames`, which builds the frontend.
    Traffic,
}

/// Runs these, or all if none is named.
pub(crate) fn bench(project: &Project, chosen: &[Bench]) -> Result<ExitCode> {
    for bench in [Bench::Native, Bench::Wasm, Bench::Frames, Bench::Traffic] {
        if !chosen.is_empty() && !chosen.contains(&bench) {
            continue;
        }
        match bench {
            Bench::Native => {
                run(project.cargo().args(["bench", "--locked", "--package", "vipscope-shared"]))?
            }
            Bench::Wasm => wasm(project)?,
            Bench::Frames => browser::bench(project)?,
            Bench::Traffic => {
                let arguments = ["bench", "--locked", "--package", "vipscope", "--bench", "traffic"];
                run(project.cargo().args(arguments))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn wasm(project: &Project) -> Result<()> {
    tools::wasm_target(project)?;
    tools::wasm_bindgen(project)?;
    let find = |program: &Program| program.find(project).with_context(|| program.how_to_get());
    let (chromium, driver) = (find(&CHROMIUM)?, find(&CHROMEDRIVER)?);
    let mut command = project.cargo();
    // As a test: asked for benches, the runner would look for those of its own kind, which repeat for seconds each.
    command.args(["test", "--locked", "--package", "vipscope-shared", "--bench", "rules_wasm"]);
    command.args(["--target", tools::WASM, "--profile", "wasm-release", "--", "--nocapture"]);
    chromium::run_in(project, &mut command, &chromium, &driver, Duration::from_secs(600))?;
    run(&mut command)
}
