//! `trunk serve` for development: with the project's own Trunk.toml, a page that trunk serves makes its request and opens
//! its socket through trunk to a running backend.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use vipscope_browser::process::Running;
use vipscope_browser::{Browser, Vipscope, http, workspace};

/// The backend that Trunk.toml names.
const BACKEND: &str = "127.0.0.1:7411";

/// Trunk.toml with absolute paths, another backend and a `dist` of its own, so that the test disturbs nothing.
fn write_config(directory: &Path, backend: &str) -> String {
    let root = workspace();
    let original = fs::read_to_string(root.join("Trunk.toml")).unwrap();
    assert!(original.contains(BACKEND), "Trunk.toml proxies to {BACKEND}");
    let absolute = |path: &str| format!("\"{}\"", root.join(path).display());
    let config = original
        .replace(BACKEND, backend)
        .replace("\"frontend/index.html\"", &absolute("frontend/index.html"))
        .replace("dist = \"dist\"", &format!("dist = \"{}\"", directory.join("dist").display()))
        .replace("[\"frontend\", \"shared/src\", \"style\"]", &format!("[{}]", absolute("style")));
    let file = directory.join("Trunk.toml");
    fs::write(&file, config).unwrap();
    file.to_string_lossy().into_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_page_of_trunk_serve_reaches_the_backend() {
    let port = free_port();
    let origin = format!("http://127.0.0.1:{port}");
    let server = Vipscope::serve_sandbox(&["--allowed-origin", &origin]).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), server.url.trim_start_matches("http://"));
    let mut command = Command::new("trunk");
    command.current_dir(workspace()).args([
        "--config",
        &config,
        "serve",
        "--release",
        "--no-autoreload=true",
    ]);
    command
        .args(["--port", &port.to_string()])
        .env_remove("NO_COLOR")
        .env("TRUNK_SKIP_VERSION_CHECK", "true");
    let mut trunk = Running::start(&mut command).unwrap();
    let listening = |line: &str| line.contains("server listening").then_some(());
    trunk.line_within("that it listens", Duration::from_secs(600), listening).await.unwrap();
    // trunk says so a moment before it does.
    let snapshot = http::first(&format!("{origin}/api/v1/snapshot")).await.unwrap();
    assert_eq!(snapshot.status, 200, "{}", trunk.log());
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&origin).await.unwrap();
    page.until("live through trunk", "document.querySelector('[data-testid=connection][data-state=live]')")
        .await
        .unwrap();
    let requests = page.requests().await.unwrap();
    let socket = format!("ws://127.0.0.1:{port}/api/v1/stream");
    assert!(requests.iter().any(|url| url.starts_with(&socket)), "{requests:?}");
    trunk.stop().await.unwrap();
}
