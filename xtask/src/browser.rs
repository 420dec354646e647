//! What needs the built app in a real Chromium: benchmark of frames, screenshots. The work itself is done by the
//! crate in `xtask/browser`, which the browser tests share.

use std::process::ExitCode;

use anyhow::Result;

use crate::frontend;
use crate::project::{Project, run};

/// Script and paint work of each frame while the map is panned.
pub(crate) fn bench(project: &Project) -> Result<()> {
    drive(project, &["bench"])
}

/// Pictures of the app on the sandbox.
pub(crate) fn screenshots(project: &Project) -> Result<ExitCode> {
    let directory = project.target.join("screenshots");
    drive(project, &["screenshots", &directory.to_string_lossy()])?;
    Ok(ExitCode::SUCCESS)
}

fn drive(project: &Project, arguments: &[&str]) -> Result<()> {
    frontend::build(project)?;
    project.build_backend()?;
    let mut driver = project.cargo();
    driver.args(["run", "--quiet", "--locked", "--package", "vipscope-browser", "--"]).args(arguments);
    run(driver.env("VIPSCOPE_BIN", project.binary()))
}
