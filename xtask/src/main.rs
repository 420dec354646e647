//! The project's own commands: parses the command line and hands over to one module per command.

mod bench;
mod browser;
mod chromium;
mod dev;
mod frontend;
mod project;
mod run;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use project::Project;

/// Builds, runs and checks vipscope.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds everything and starts the dashboard, on the sandbox unless told otherwise.
    Run {
        /// Go to `vipscope serve`, for example `-- --source kubeconfig --context staging`.
        #[arg(last = true, value_name = "ARGS")]
        serve: Vec<String>,
    },
    /// Runs everything that guards the project, and says what passed, failed and was skipped.
    Test(test::Options),
    /// Checks the layers, the module headers and the text of the sources.
    Tidy,
    /// Backend on the sandbox and `trunk serve` together: the frontend is rebuilt as you type.
    Dev {
        /// Go to `vipscope serve`.
        #[arg(last = true, value_name = "ARGS")]
        serve: Vec<String>,
    },
    /// Benchmarks: prints figures, asserts nothing.
    Bench {
        /// Which; all if none is named.
        #[arg(value_name = "BENCH")]
        benches: Vec<bench::Bench>,
    },
    /// Pictures of the app on the sandbox, light and dark, large and small, into target/screenshots.
    Screenshots,
}

fn main() -> ExitCode {
    let result = Project::find().and_then(|project| execute(&project, Args::parse().command));
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn execute(project: &Project, command: Command) -> Result<ExitCode> {
    match command {
        Command::Run { serve } => run::run(project, &serve),
        Command::Test(options) => test::test(project, &options),
        Command::Tidy => tidy::print(project),
        Command::Dev { serve } => dev::dev(project, &serve),
        Command::Bench { benches } => bench::bench(project, &benches),
        Command::Screenshots => browser::screenshots(project),
    }
}
