//! Runs kubectl against a sandbox: one row is one command line and what it has to say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use vipscope::sandbox::{self, Options, Sandbox};

/// Longer than any command takes; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The oldest minor version whose words the tests know.
const OLDEST: u32 = 30;

/// What a command has to answer.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)]
pub enum Says<'a> {
    /// This on standard output, but for space around it.
    Is(&'a str),
    /// This somewhere on standard output.
    Contains(&'a str),
    /// Lines of standard output, word for word: `*` is any text, also within a word.
    Columns(&'a [&'a str]),
    /// Success, with this somewhere on standard error.
    Err(&'a str),
    /// Failure, with this somewhere on standard error.
    Fails(&'a str),
    /// Success.
    Fine,
}

/// What a command answered.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Answer {
    pub success: bool,
    pub out: String,
    pub err: String,
}

/// A served sandbox and a kubeconfig for it.
#[allow(dead_code)]
pub struct Cluster {
    pub sandbox: Sandbox,
    pub address: SocketAddr,
    directory: TempDir,
    _stop: tokio_util::sync::DropGuard,
}

/// kubectl's path. Without one, or with a very old one: nothing, and a word about it; a failure where `CI=true`.
fn kubectl() -> Option<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut files = std::env::split_paths(&path).map(|folder| folder.join("kubectl"));
        let file = files.find(|file| file.is_file()).ok_or("kubectl is not on PATH")?;
        let minor = minor_version(&file).unwrap_or_default();
        if minor < OLDEST { Err(format!("kubectl 1.{minor} is older than 1.{OLDEST}")) } else { Ok(file) }
    });
    if let Err(why) = found {
        let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        assert!(!strict, "{why}, and CI=true");
        println!("skipped: {why}");
    }
    found.as_ref().ok().cloned()
}

fn minor_version(kubectl: &Path) -> Option<u32> {
    let mut command = std::process::Command::new(kubectl);
    let output = command.args(["version", "--client", "-o", "json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}

#[allow(dead_code)]
impl Cluster {
    /// `None` where there is no kubectl.
    pub async fn start(options: Options) -> Option<Cluster> {
        kubectl()?;
        let sandbox = Sandbox::start(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = sandbox.serve(listener, stop.clone());
        tokio::spawn(async move { serving.await.unwrap() });
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config"), sandbox::kubeconfig(&format!("http://{address}")))
            .unwrap();
        Some(Cluster { sandbox, address, directory, _stop: stop.drop_guard() })
    }

    /// A directory that goes with the cluster.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into [`Cluster::directory`]; answers its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A kubectl command to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(kubectl().expect("it was there at the start"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory())
            .env("KUBECONFIG", self.directory().join("config"))
            .env("KUBE_EDITOR", self.directory().join("editor"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs kubectl with `input` on standard input.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Commands that do not read close it early.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let done = timeout(PATIENCE, child.wait_with_output()).await;
        let done = done.unwrap_or_else(|_| panic!("kubectl {arguments:?} does not end")).unwrap();
        Answer {
            success: done.status.success(),
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// Runs the words of `line`; double quotes hold words together.
    pub async fn line(&self, line: &str) -> Answer {
        let words = words(line);
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>(), "").await
    }

    /// Runs all rows, one after the other.
    pub async fn check(&self, rows: &[(&str, Says<'_>)]) {
        let mut faults = Vec::new();
        for (line, says) in rows {
            let answer = self.line(line).await;
            if !fits(&answer, *says) {
                faults.push(format!("kubectl {line}\nexpected {says:?}\ngot {answer:#?}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    }

    /// Runs `line` until it fits, for at most `limit`; answers how long that took.
    pub async fn eventually(&self, limit: Duration, line: &str, says: Says<'_>) -> Duration {
        let start = Instant::now();
        loop {
            let answer = self.line(line).await;
            if fits(&answer, says) {
                return start.elapsed();
            }
            assert!(start.elapsed() < limit, "kubectl {line}\nexpected {says:?}\ngot {answer:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A running `kubectl port-forward`.
#[allow(dead_code)]
pub struct Forward {
    child: Child,
    port: u16,
}

#[allow(dead_code)]
impl Forward {
    /// Waits until it listens. `websockets` is whether it may tunnel through one.
    pub async fn start(cluster: &Cluster, what: &[&str], websockets: &str) -> Forward {
        let mut command = cluster.command(&[&["port-forward", "--address=127.0.0.1"], what].concat());
        let mut child = command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it begins").unwrap();
        let Some(line) = line else {
            let output = child.wait_with_output().await.unwrap();
            panic!("port-forward {what:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
        let port = port.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Forward { child, port }
    }

    /// The status line and the body of what GET answers.
    pub async fn get(&self, path: &str) -> (String, String) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A refused connection may be reset.
        let _ =
            timeout(PATIENCE, connection.read_to_string(&mut answer)).await.expect("it answers or closes");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    /// What it says on standard error until it ends.
    pub async fn last_words(self) -> String {
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.expect("it ends").unwrap();
        String::from_utf8(output.stderr).unwrap()
    }
}

/// vipscope itself, running.
#[allow(dead_code)]
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

#[allow(dead_code)]
impl Program {
    pub fn start(arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vipscope"));
        let command =
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Program { child, lines }
    }

    /// The next line of its standard output.
    pub async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it says something");
        line.unwrap().expect("it goes on")
    }

    /// Asks it to end, as service managers do.
    pub async fn stop(self) -> std::process::ExitStatus {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        self.ends().await
    }

    /// Until it ends by itself.
    pub async fn ends(mut self) -> std::process::ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                started = true;
            }
            ' ' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            letter => {
                word.push(letter);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

fn fits(answer: &Answer, says: Says<'_>) -> bool {
    match says {
        Says::Is(text) => answer.success && answer.out.trim() == text.trim(),
        Says::Contains(text) => answer.success && answer.out.contains(text),
        Says::Columns(lines) => {
            let got: Vec<&str> = answer.out.lines().collect();
            answer.success
                && got.len() == lines.len()
                && got.iter().zip(lines).all(|(got, line)| line_fits(got, line))
        }
        Says::Err(text) => answer.success && answer.err.contains(text),
        Says::Fails(text) => !answer.success && answer.err.contains(text),
        Says::Fine => answer.success,
    }
}

/// Word for word; a last `*` takes the rest of the line.
fn line_fits(got: &str, pattern: &str) -> bool {
    let (got, words): (Vec<&str>, Vec<&str>) =
        (got.split_whitespace().collect(), pattern.split(' ').collect());
    let open = words.last() == Some(&"*");
    let same = got.len() == words.len() || open && got.len() >= words.len();
    same && got.iter().zip(&words).all(|(got, word)| word_fits(got, word))
}

fn word_fits(got: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => got == pattern,
        Some((start, rest)) => got.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| word_fits(&left[at..], rest))
        }),
    }
}
