//! `cargo xtask run`: from a clean clone to a dashboard that answers.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::frontend;
use crate::project::Project;

/// Builds what is not built and becomes `vipscope serve`.
pub(crate) fn run(project: &Project, serve: &[String]) -> Result<ExitCode> {
    frontend::build(project)?;
    project.build_backend()?;
    let mut server = project.command(project.binary());
    server.args(serve_arguments(serve));
    eprintln!("{}", greeting(serve));
    become_process(&mut server)
}

/// The arguments of the backend: the sandbox, unless a source is named.
pub(crate) fn serve_arguments(serve: &[String]) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned()];
    if value_of(serve, "--source").is_none() {
        arguments.extend(["--source".to_owned(), "sandbox".to_owned()]);
    }
    arguments.extend_from_slice(serve);
    arguments
}

/// The value of a flag, as `--flag value` or `--flag=value`.
pub(crate) fn value_of<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix(flag)? {
        "" => arguments.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

fn greeting(serve: &[String]) -> String {
    let address = value_of(serve, "--listen").unwrap_or("127.0.0.1:7411");
    let base = value_of(serve, "--base-path").unwrap_or("/");
    let source = value_of(serve, "--source").unwrap_or("sandbox");
    let mut text = format!("dashboard: http://{address}{base} ({source}); Ctrl-C ends it");
    if source == "sandbox" {
        text +=
            "\nyour kubeconfig's cluster instead: cargo xtask run -- --source kubeconfig [--context NAME]";
    }
    text
}

/// Replaces this process, so that Ctrl-C and any signal reach the server itself.
#[cfg(unix)]
fn become_process(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(anyhow::Error::new(error)
        .context(format!("cannot start {}", command.get_program().to_string_lossy())))
}

#[cfg(not(unix))]
fn become_process(command: &mut Command) -> Result<ExitCode> {
    let status = command.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_sandbox_unless_a_source_is_named() {
        for (given, expected) in [
            ("", "serve --source sandbox"),
            ("--listen 127.0.0.1:0", "serve --source sandbox --listen 127.0.0.1:0"),
            ("--source kubeconfig", "serve --source kubeconfig"),
            ("--seed 7 --source=file:a.json", "serve --seed 7 --source=file:a.json"),
        ] {
            assert_eq!(serve_arguments(&words(given)), words(expected), "{given}");
        }
    }

    #[test]
    fn the_greeting_names_the_address_and_the_way_out_of_the_sandbox() {
        let sandbox = greeting(&words("--base-path=/vip"));
        assert!(sandbox.starts_with("dashboard: http://127.0.0.1:7411/vip (sandbox)"), "{sandbox}");
        assert!(sandbox.contains("-- --source kubeconfig"), "{sandbox}");
        let cluster = greeting(&words("--source kubeconfig --listen 127.0.0.1:80"));
        assert_eq!(cluster, "dashboard: http://127.0.0.1:80/ (kubeconfig); Ctrl-C ends it");
    }
}
