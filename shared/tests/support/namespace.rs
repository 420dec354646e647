//! Network namespaces of the tests' own, and the kernel's tools in them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use vipscope_shared::model::IpFamily;

const PROGRAMS: [&str; 11] = [
    "ip",
    "ipset",
    "nft",
    "iptables-legacy-restore",
    "iptables-legacy-save",
    "iptables-nft-restore",
    "iptables-nft-save",
    "ip6tables-legacy-restore",
    "ip6tables-legacy-save",
    "ip6tables-nft-restore",
    "ip6tables-nft-save",
];

/// What the names of all namespaces begin with; they end with the number of the process that made them.
const PREFIX: &str = "vipscope-";

/// A network namespace of its own, gone when dropped.
#[derive(Debug)]
pub struct Namespace(String);

impl Namespace {
    /// `None`, and the reason printed, where there is none to be had.
    pub fn new(what: &str) -> Option<Namespace> {
        let lacking = |program: &&&str| Command::new(program).arg("--version").output().is_err();
        let reason = match PROGRAMS.iter().find(lacking) {
            Some(program) => Some(format!("{program} is not installed")),
            None => {
                let name = format!("{PREFIX}{what}-{}", std::process::id());
                let made = Command::new("ip").args(["netns", "add", &name]).output().unwrap();
                if made.status.success() {
                    return Some(Namespace(name));
                }
                Some(String::from_utf8_lossy(&made.stderr).into_owned())
            }
        };
        println!("skipped: {}", reason.unwrap_or_default());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must have it");
        None
    }

    /// Removes those of processes that were killed before they could.
    pub fn sweep() {
        let Ok(listed) = Command::new("ip").args(["netns", "list"]).output() else { return };
        let text = String::from_utf8_lossy(&listed.stdout);
        let names = text.lines().filter_map(|line| line.split(' ').next());
        for name in names.filter(|name| name.starts_with(PREFIX)) {
            let number = name.rsplit('-').next().and_then(|last| last.parse::<u32>().ok());
            if number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists()) {
                let _ = Command::new("ip").args(["netns", "delete", name]).output();
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    pub fn run(&self, command: &[&str], input: &str) -> Output {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.0])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        thread::scope(|scope| {
            // A program that refuses its input closes it early.
            scope.spawn(move || stdin.write_all(input.as_bytes()));
            child.wait_with_output().unwrap()
        })
    }

    /// What the program printed; it must accept its input.
    pub fn must(&self, case: &str, command: &[&str], input: &str) -> String {
        let output = self.run(command, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{case}: {command:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// `iptables` or `ip6tables`, of a variant, for an action.
pub fn program(family: IpFamily, variant: &str, action: &str) -> String {
    let start = if family == IpFamily::IPv4 { "iptables" } else { "ip6tables" };
    format!("{start}-{variant}-{action}")
}
