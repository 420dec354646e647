//! The registry of groups: what guards the project, cheapest first. A new group is one row and one function.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use crate::tools::WASM;
use crate::{frontend, tidy, tools};

use super::packages::{CHROMEDRIVER, CHROMIUM, KERNEL_TOOLS, KUBECTL};
use super::tally::Tally;
use super::{Outcome, Problem, Session};

/// Something that is run as a whole and named on the command line.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Session<'_>) -> Outcome,
}

/// In the order in which they run.
pub(crate) const GROUPS: &[Group] = &[
    Group { name: "fmt", about: "rustfmt finds nothing to change", run: fmt },
    Group { name: "tidy", about: "layers, module headers, orphans, text", run: tidy },
    Group { name: "clippy", about: "no warning, natively and for wasm32", run: clippy },
    Group { name: "native", about: "unit, property, server, kubectl and kernel tests", run: native },
    Group { name: "deny", about: "licences, sources and bans of the dependencies", run: deny },
    Group { name: "wasm", about: "the frontend's tests and the conformance corpus in Chromium", run: wasm },
    Group {
        name: "build",
        about: "the frontend with trunk, the release binary with the frontend in it",
        run: build,
    },
    Group { name: "browser", about: "the real binary in a real Chromium", run: browser },
];

/// Native crates; the frontend is compiled for wasm32 only, the browser tests are a group of their own.
const NOT_NATIVE: [&str; 4] = ["--exclude", "vipscope-frontend", "--exclude", "vipscope-browser"];

fn fmt(session: &Session<'_>) -> Outcome {
    session.step("fmt", session.project.cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Tally::PASSED)
}

fn tidy(session: &Session<'_>) -> Outcome {
    let faults = tidy::tidy(session.project).map_err(Problem::failed)?;
    faults.iter().for_each(|fault| println!("{fault}"));
    match faults.len() {
        0 => Ok(Tally::PASSED),
        count => Err(Problem::Failed { tally: Tally::FAILED, why: format!("{count} faults") }),
    }
}

fn clippy(session: &Session<'_>) -> Outcome {
    tools::wasm_target(session.project).map_err(Problem::failed)?;
    let native = ["--workspace", "--exclude", "vipscope-frontend"];
    let wasm = ["--package", "vipscope-frontend", "--target", WASM];
    let mut command = session.project.cargo();
    command.args(["clippy", "--locked", "--all-targets"]).args(native).args(["--", "-D", "warnings"]);
    session.step("clippy", &mut command)?;
    let mut command = session.project.cargo();
    command.args(["clippy", "--locked", "--all-targets"]).args(wasm).args(["--", "-D", "warnings"]);
    session.step("clippy-wasm", &mut command)?;
    Ok(Tally { passed: 2, ..Tally::default() })
}

fn native(session: &Session<'_>) -> Outcome {
    // The tests that load rules into a network namespace, and those that run kubectl, say themselves what they lack; in CI
    // they lack nothing.
    let programs = KERNEL_TOOLS.iter().chain([&KUBECTL]);
    for missing in programs.filter_map(|program| program.provide(session).err()) {
        if super::in_ci() {
            return Err(missing);
        }
    }
    let mut command = session.project.cargo();
    command.args(["test", "--locked", "--no-fail-fast", "--workspace"]).args(NOT_NATIVE);
    session.tests("native", &mut command)
}

fn deny(session: &Session<'_>) -> Outcome {
    tools::cargo_deny(session.project).map_err(Problem::failed)?;
    let check = |what: &[&str]| {
        let mut command = session.project.command("cargo-deny");
        command.args(["--all-features", "check", "--hide-inclusion-graph"]).args(what);
        command
    };
    session.step("deny", &mut check(&["bans", "licenses", "sources"]))?;
    if !is_reachable("github.com:443") {
        println!("   advisories: their database is not reachable from here, not checked");
        return Ok(Tally { passed: 3, ..Tally::default() });
    }
    session.step("advisories", &mut check(&["advisories"]))?;
    Ok(Tally { passed: 4, ..Tally::default() })
}

fn is_reachable(host: &str) -> bool {
    let addresses = host.to_socket_addrs().into_iter().flatten();
    addresses.take(2).any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(3)).is_ok())
}

fn wasm(session: &Session<'_>) -> Outcome {
    tools::wasm_target(session.project).map_err(Problem::failed)?;
    tools::wasm_bindgen(session.project).map_err(Problem::failed)?;
    let chromium = CHROMIUM.provide(session)?;
    let driver = CHROMEDRIVER.provide(session)?;
    let capabilities = session.project.target.join("xtask").join("webdriver.json");
    write_capabilities(&capabilities, &chromium).map_err(Problem::failed)?;
    let mut tally = Tally::default();
    for what in [&["vipscope-frontend"][..], &["vipscope-shared", "--test", "conformance"]] {
        let mut command = session.project.cargo();
        command.args(["test", "--locked", "--target", WASM, "--package"]).args(what);
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner");
        command.env("WASM_BINDGEN_USE_BROWSER", "1").env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &capabilities);
        command.env("WASM_BINDGEN_TEST_TIMEOUT", "120").env("CHROMEDRIVER", &driver);
        tally += session.tests("wasm", &mut command)?;
    }
    Ok(tally)
}

fn write_capabilities(file: &std::path::Path, chromium: &std::path::Path) -> anyhow::Result<()> {
    let binary = chromium.display();
    let text = format!(
        r#"{{"goog:chromeOptions": {{"binary": "{binary}", "args": ["headless=new", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"]}}}}"#
    );
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    Ok(fs::write(file, text)?)
}

fn build(session: &Session<'_>) -> Outcome {
    frontend::build(session.project).map_err(Problem::failed)?;
    let mut command = session.project.cargo();
    session.step("build", command.args(["build", "--release", "--locked", "--package", "vipscope"]))?;
    Ok(Tally { passed: 2, ..Tally::default() })
}

fn browser(session: &Session<'_>) -> Outcome {
    let chromium = CHROMIUM.provide(session)?;
    let driver = CHROMEDRIVER.provide(session)?;
    frontend::build(session.project).map_err(Problem::failed)?;
    session.project.build_backend().map_err(Problem::failed)?;
    let mut command = session.project.cargo();
    command.args(["test", "--locked", "--no-fail-fast", "--package", "vipscope-browser"]);
    in_browser(session, &mut command, &chromium, &driver);
    // Each test starts a Chromium: more at a time than cores make deadlines meaningless.
    session.tests("browser", command.args(["--", "--test-threads=2"]))
}

fn in_browser(
    session: &Session<'_>,
    command: &mut Command,
    chromium: &std::path::Path,
    driver: &std::path::Path,
) {
    command.env("VIPSCOPE_BIN", session.project.binary());
    command.env("CHROMIUM", chromium).env("CHROMEDRIVER", driver);
}
