//! An API server that goes away and comes back: the page says that its picture is old, and is right again afterwards.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::fs;
use std::path::Path;

use serde_json::json;
use vipscope_browser::{Browser, Cut, Vipscope, http};

fn write_kubeconfig(file: &Path, server: &str) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": server } }],
        "users": [{ "name": "test", "user": {} }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    fs::write(file, config.to_string()).unwrap();
}

fn state_is(state: &str) -> String {
    format!("document.querySelector('[data-testid=connection][data-state={state}]')")
}

async fn create_service(api: &str, name: &str) {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" },
        "spec": { "ports": [{ "name": "http", "port": 80 }] } });
    http::send("POST", &format!("{api}/api/v1/namespaces/default/services"), &service).await.unwrap();
}

async fn delete_service(api: &str, name: &str) {
    let url = format!("{api}/api/v1/namespaces/default/services/{name}");
    http::send("DELETE", &url, &json!({})).await.unwrap();
}

#[tokio::test]
async fn a_lost_api_server_is_stale_and_its_return_makes_the_picture_right() {
    let cluster = Vipscope::sandbox(&[]).await.unwrap();
    create_service(&cluster.url, "early").await;
    let mut line = Cut::to(&cluster.url).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    write_kubeconfig(&kubeconfig, &line.url());
    let file = kubeconfig.to_string_lossy().into_owned();
    let server = Vipscope::serve(&["--source", "kubeconfig", "--kubeconfig", &file, "--context", "test"])
        .await
        .unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?ns=default", server.url)).await.unwrap();
    page.until("live", &state_is("live")).await.unwrap();
    page.until("the first Service", "document.querySelector('[data-target=\"svc/default/early\"]')")
        .await
        .unwrap();
    let facts =
        page.eval("document.querySelector('[data-testid=cluster]').textContent").await.unwrap().to_string();
    assert!(facts.contains(&line.url()) && facts.contains("test"), "server and context are named: {facts}");

    line.cut().await;
    page.until("stale", &state_is("stale")).await.unwrap();
    delete_service(&cluster.url, "early").await;
    create_service(&cluster.url, "late").await;
    let old = "document.querySelector('[data-target=\"svc/default/early\"]') && !document.querySelector('[data-target=\"svc/default/late\"]')";
    assert_eq!(page.eval(&format!("!!({old})")).await.unwrap(), true, "the last picture stays");

    line.restore().await.unwrap();
    page.until("live again", &state_is("live")).await.unwrap();
    let new = "document.querySelector('[data-target=\"svc/default/late\"]') && !document.querySelector('[data-target=\"svc/default/early\"]')";
    page.until("what happened meanwhile", new).await.unwrap();
}

#[tokio::test]
async fn a_lost_backend_is_said_and_found_again() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let mut line = Cut::to(&server.url).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&line.url()).await.unwrap();
    page.until("live", &state_is("live")).await.unwrap();
    line.cut().await;
    let lost = format!("{} || {}", state_is("reconnecting"), state_is("disconnected"));
    page.until("a lost connection", &lost).await.unwrap();
    line.restore().await.unwrap();
    page.until("live again", &state_is("live")).await.unwrap();
}
