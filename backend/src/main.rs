//! Parse, wire, run. Bad input of any kind ends in one line on standard error and exit code 2.

mod args;
mod command;
mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command, LogFormat};
use command::{BAD_INPUT, Colour};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let log_format = match &cli.command {
        Some(
            Command::Rules(_)
            | Command::Trace(_)
            | Command::Check(_)
            | Command::Whatif(_)
            | Command::Compare(_),
        ) => LogFormat::Text,
        Some(Command::Sandbox(sandbox)) => sandbox.log_format,
        Some(Command::Serve(serve)) => serve.log_format,
        None => cli.serve.log_format,
    };
    log(log_format);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("can't start: {error}")),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Some(Command::Check(args)) => return command::check::run(&args, colour()),
            Some(Command::Whatif(args)) => return command::whatif::run(&args, colour()),
            Some(Command::Compare(args)) => return command::compare::run(&args, colour()),
            Some(Command::Rules(args)) => command::rules::run(&args),
            Some(Command::Trace(args)) => command::trace::run(&args),
            Some(Command::Sandbox(args)) => serve::sandbox(args).await,
            Some(Command::Serve(args)) => serve::dashboard(args).await,
            None => serve::dashboard(cli.serve).await,
        }
        .map(|()| ExitCode::SUCCESS)
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match done {
        Ok(code) => code,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn colour() -> Colour {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    Colour::wanted(&variable("NO_COLOR"), &variable("TERM"), std::io::stdout().is_terminal())
}

/// clap's errors are several lines; the first says what is wrong.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let lines = lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    fail(&format!("{}; see `vipscope --help`", lines.trim_start_matches("error: ")))
}

fn fail(message: &str) -> ExitCode {
    eprintln!("vipscope: {}", message.replace('\n', " "));
    ExitCode::from(BAD_INPUT)
}

/// To standard error; standard output is for what scripts read.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
