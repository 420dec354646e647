//! `cargo xtask dev`: the backend on the sandbox and `trunk serve` in front of it, together. Both end with the
//! first that ends.

use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::project::{Project, run};
use crate::run::{serve_arguments, value_of};
use crate::tools;

/// Where `trunk serve` listens.
const TRUNK: &str = "127.0.0.1:8080";

/// Runs both until one of them ends.
pub(crate) fn dev(project: &Project, serve: &[String]) -> Result<ExitCode> {
    tools::for_frontend(project)?;
    run(project.cargo().args(["build", "--locked", "--package", "vipscope"]))?;
    let mut backend = Running::start(&mut backend(project, serve))?;
    let mut trunk = Running::start(&mut trunk(project))?;
    eprintln!("development: http://{TRUNK}/ (rebuilt as you type); Ctrl-C ends both");
    loop {
        if let Some(code) = backend.ended()?.or(trunk.ended()?) {
            return Ok(code);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn backend(project: &Project, serve: &[String]) -> Command {
    let mut command = project.command(project.target.join("debug/vipscope"));
    command.args(serve_arguments(serve));
    if value_of(serve, "--allowed-origin").is_none() {
        // trunk forwards the browser's Origin, which names trunk's own port.
        command.arg("--allowed-origin").arg(format!("http://{TRUNK}"));
    }
    command
}

fn trunk(project: &Project) -> Command {
    let (address, port) = TRUNK.split_once(':').unwrap_or((TRUNK, "8080"));
    let mut command = project.command("trunk");
    command.args(["serve", "--address", address, "--port", port]);
    command
}

/// A child that does not outlive this process' interest in it.
#[derive(Debug)]
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).spawn().map(Self).with_context(|| format!("cannot start {name}"))
    }

    fn ended(&mut self) -> Result<Option<ExitCode>> {
        let status = self.0.try_wait()?;
        Ok(status.map(|status| if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
