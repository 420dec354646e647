//! Started programs: their lines are read as they come, and they do not outlive the value that stands for them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::PATIENCE;

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// A running program and what it has printed so far, on both streams.
#[derive(Debug)]
pub struct Running {
    child: Child,
    printed: watch::Receiver<Vec<String>>,
}

impl Running {
    /// Starts a program without a standard input.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let (lines, printed) = watch::channel(Vec::new());
        collect(child.stdout.take(), lines.clone());
        collect(child.stderr.take(), lines);
        Ok(Self { child, printed })
    }

    /// The first line, printed or still to come, in which `find` sees something.
    pub async fn line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        self.line_within(what, PATIENCE, find).await
    }

    /// The same, for a program that takes its time.
    pub async fn line_within<T>(
        &mut self,
        what: &str,
        patience: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let first = |lines: &Vec<String>| lines.iter().find_map(|line| find(line));
        let found = timeout(patience, self.printed.wait_for(|lines| first(lines).is_some())).await;
        if let Ok(Ok(lines)) = &found
            && let Some(value) = first(lines)
        {
            return Ok(value);
        }
        drop(found);
        bail!("never printed {what}; it printed:\n{}", self.log())
    }

    /// Everything printed so far.
    pub fn log(&self) -> String {
        self.printed.borrow().join("\n")
    }

    /// Ends the program and waits until it has gone.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("cannot end the program")
    }
}

fn collect(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: watch::Sender<Vec<String>>) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            lines.send_modify(|lines| lines.push(line));
        }
    });
}

/// A `vipscope` process that listens.
#[derive(Debug)]
pub struct Vipscope {
    running: Running,
    /// `http://127.0.0.1:PORT`, without a path.
    pub url: String,
}

impl Vipscope {
    /// `vipscope serve` on a free port, once it listens.
    pub async fn serve(arguments: &[&str]) -> Result<Self> {
        Self::start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()).await
    }

    /// `vipscope serve` on a sandbox of its own, with kubectl's address on a free port too.
    pub async fn serve_sandbox(arguments: &[&str]) -> Result<Self> {
        let sandbox = ["--source", "sandbox", "--sandbox-listen", "127.0.0.1:0"];
        Self::serve(&[&sandbox, arguments].concat()).await
    }

    /// `vipscope sandbox`: the API server alone.
    pub async fn sandbox(arguments: &[&str]) -> Result<Self> {
        Self::start(&[&["sandbox", "--listen", "127.0.0.1:0"], arguments].concat()).await
    }

    async fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary()?);
        // A kubeconfig that happens to lie on the machine is never the test's source.
        command.args(arguments).env_remove("KUBECONFIG").env("HOME", "/nonexistent");
        let mut running = Running::start(&mut command)?;
        let url =
            running.line("`listening on`", |line| after(line, "listening on ").and_then(url_in)).await?;
        Ok(Self { running, url })
    }

    /// Where the sandbox of [`Vipscope::serve_sandbox`] answers kubectl.
    pub async fn sandbox_url(&mut self) -> Result<String> {
        let find = |line: &str| line.contains("kubectl").then(|| url_in(line)).flatten();
        self.running.line("kubectl's address", find).await
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        self.running.log()
    }
}

fn binary() -> Result<PathBuf> {
    let path = env::var_os("VIPSCOPE_BIN")
        .map_or_else(|| workspace().join("target/release/vipscope"), PathBuf::from);
    match path.is_file() {
        true => Ok(path),
        false => Err(anyhow!("{} is not built: run this through `cargo xtask test browser`", path.display())),
    }
}

fn after<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.split_once(words).map(|(_, rest)| rest)
}

/// The first `http://HOST:PORT` of a line.
fn url_in(line: &str) -> Option<String> {
    let rest = &line[line.find("http://")?..];
    let end = rest
        .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ')' | '`'))
        .unwrap_or(rest.len());
    let authority = rest[..end].trim_start_matches("http://").split('/').next()?;
    Some(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_they_are_printed() {
        for (line, url) in [
            ("listening on http://127.0.0.1:7411", Some("http://127.0.0.1:7411")),
            ("sandbox: kubectl --server http://[::1]:80/ get svc", Some("http://[::1]:80")),
            ("server=\"http://127.0.0.1:1\", ready", Some("http://127.0.0.1:1")),
            ("nothing here", None),
        ] {
            assert_eq!(url_in(line).as_deref(), url, "{line}");
        }
    }

    #[tokio::test]
    async fn a_line_that_never_comes_is_an_error_that_shows_the_rest() {
        let mut echo = Running::start(Command::new("sh").args(["-c", "echo one; echo two >&2"])).unwrap();
        assert_eq!(echo.line("two", |line| (line == "two").then_some(2)).await.unwrap(), 2);
        let error = echo.line("three", |line| (line == "three").then_some(3)).await.unwrap_err().to_string();
        assert!(error.contains("never printed three") && error.contains("one"), "{error}");
    }
}
