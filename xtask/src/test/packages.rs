//! Programs that come from the system, not from cargo: found on PATH, or installed with apt-get where that is
//! possible (Debian and Ubuntu, as root) and allowed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::{Project, run, stdout_of, which};

use super::{Install, Problem, Session};

/// A program under any of its names, and the packages that bring it.
#[derive(Debug)]
pub(crate) struct Program {
    names: &'static [&'static str],
    packages: &'static [&'static str],
}

/// The browser of the browser tests.
pub(crate) const CHROMIUM: Program = Program {
    names: &["chromium", "chromium-browser", "google-chrome"],
    packages: &["chromium", "fonts-dejavu-core"],
};

/// Its driver, of the same version.
pub(crate) const CHROMEDRIVER: Program = Program { names: &["chromedriver"], packages: &["chromium-driver"] };

/// What loads rules into a network namespace.
pub(crate) const KERNEL_TOOLS: &[Program] = &[
    Program { names: &["ip"], packages: &["iproute2"] },
    Program { names: &["iptables-nft-save"], packages: &["iptables"] },
    Program { names: &["ipset"], packages: &["ipset"] },
    Program { names: &["nft"], packages: &["nftables"] },
];

/// What drives the sandbox: 1.30 or newer. Distributions have older ones or none, so it is never installed.
pub(crate) const KUBECTL: Program = Program { names: &["kubectl"], packages: &[] };

impl Program {
    /// The program's path, installing it if need be.
    pub(crate) fn provide(&self, session: &Session<'_>) -> Result<PathBuf, Problem> {
        self.find(session.project).or_else(|| self.install(session)).ok_or_else(|| self.missing())
    }

    fn find(&self, project: &Project) -> Option<PathBuf> {
        self.names.iter().find_map(|name| which(project, name))
    }

    fn install(&self, session: &Session<'_>) -> Option<PathBuf> {
        if self.packages.is_empty() || session.install == Install::Refused || !is_debian() || !is_root() {
            return None;
        }
        println!("   installing {} with apt-get (--no-install refuses)", self.packages.join(" "));
        apt(&["update", "-qq"]);
        apt(&[&["install", "-qq", "-y", "--no-install-recommends"], self.packages].concat());
        self.find(session.project)
    }

    fn missing(&self) -> Problem {
        let how = match self.packages {
            [] => "no Debian package; its project says how to install it".to_owned(),
            packages => format!("Debian: apt-get install {}", packages.join(" ")),
        };
        Problem::Missing(format!("{} is not on PATH ({how})", self.names[0]))
    }
}

/// The result is judged by whether the program is there afterwards.
fn apt(arguments: &[&str]) {
    let mut command = Command::new("apt-get");
    if let Err(error) = run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive")) {
        println!("   {error:#}");
    }
}

fn is_root() -> bool {
    stdout_of(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0")
}

fn is_debian() -> bool {
    Path::new("/usr/bin/apt-get").exists()
        && fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian_like(&text))
}

fn is_debian_like(os_release: &str) -> bool {
    let values = os_release.lines().filter_map(|line| line.split_once('='));
    let mut named =
        values.filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE")).map(|(_, value)| value.trim_matches('"'));
    named.any(|value| value.split(' ').any(|id| matches!(id, "debian" | "ubuntu")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_descendants() {
        for (text, expected) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n", true),
            ("ID=ubuntu\nID_LIKE=debian\n", true),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true),
            ("ID=fedora\nID_LIKE=\"rhel\"\nPRETTY_NAME=\"not debian\"\n", false),
        ] {
            assert_eq!(is_debian_like(text), expected, "{text}");
        }
    }
}
