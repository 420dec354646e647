//! The dashboard's panel over HTTP: `api/v1/sandbox/…`, with the checks that all routes have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vipscope::cluster::{Limits, feed};
use vipscope::sandbox::{Options, Sandbox};
use vipscope::server::{AppState, Assets, Metrics, Panel, Security, Traffic, app};
use vipscope_shared::api::{ClusterInfo, SourceKind};

fn dashboard(panel: Panel) -> Router {
    let info = ClusterInfo { source: SourceKind::Sandbox, name: "test".into(), context: None, server: None };
    let (_writer, feed) = feed::channel(info, "e1", Limits::default(), Timestamp::UNIX_EPOCH);
    let security = Security::default();
    let page = ("index.html".to_owned(), b"<html><head><base href=\"/\"></head></html>".to_vec());
    let assets = Assets::new([page], &security.base_path).unwrap();
    let shutdown = CancellationToken::new();
    let traffic = match &panel.0 {
        Some(sandbox) => Traffic::start(sandbox.fleet(), feed.clone(), shutdown.clone()),
        None => Traffic::default(),
    };
    let state = AppState { feed, assets, metrics: Metrics::default(), shutdown, panel, traffic };
    app(state, security)
}

async fn send(router: &Router, request: http::request::Builder, body: String) -> (u16, Value) {
    let answer = router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn post(router: &Router, path: &str, kind: &str, body: &str) -> (u16, Value) {
    let request = Request::post(format!("/api/v1/sandbox/{path}")).header("host", "localhost");
    send(router, request.header("content-type", kind), body.to_owned()).await
}

async fn object(sandbox: &Sandbox, path: &str) -> Value {
    send(&sandbox.router(), Request::get(path), String::new()).await.1
}

fn started() -> (Arc<Sandbox>, Router) {
    let sandbox = Arc::new(Sandbox::start(Options { empty: true, churn: false, ..Options::default() }));
    (sandbox.clone(), dashboard(Panel(Some(sandbox))))
}

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/apache";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

#[tokio::test(start_paused = true)]
async fn examples_are_applied_and_scaled() {
    let (sandbox, router) = started();
    let request = Request::get("/api/v1/sandbox/examples").header("host", "localhost");
    let (status, examples) = send(&router, request, String::new()).await;
    assert_eq!((status, examples.as_array().unwrap().len()), (200, 11));
    for example in examples.as_array().unwrap() {
        assert!(example["title"].as_str().unwrap().len() > 10, "{}", example["name"]);
        let manifest = example["manifest"].as_str().unwrap();
        for expected in ["created", "unchanged"] {
            let (status, outcomes) = post(&router, "apply", YAML, manifest).await;
            assert_eq!(status, 200, "{outcomes}");
            let outcomes = outcomes.as_array().unwrap();
            assert!(outcomes.iter().all(|one| one["outcome"] == expected), "{outcomes:?}");
        }
    }
    let body = json!({"namespace": "default", "name": "apache", "replicas": 7}).to_string();
    assert_eq!(post(&router, "scale", JSON, &body).await.0, 204);
    assert_eq!(object(&sandbox, DEPLOYMENT).await["spec"]["replicas"], 7);
    // Applied again, what the manifest says holds.
    let (_, outcomes) = post(&router, "apply", YAML, examples[0]["manifest"].as_str().unwrap()).await;
    assert_eq!(outcomes[0]["outcome"], "configured");
    assert_eq!(object(&sandbox, DEPLOYMENT).await["spec"]["replicas"], 4);
    assert_eq!(post(&router, "reset", JSON, "").await.0, 204);
    assert_eq!(object(&sandbox, DEPLOYMENT).await["code"], 404);
}

#[tokio::test(start_paused = true)]
async fn pods_and_nodes_fail_and_heal() {
    let (sandbox, router) = started();
    let pod = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}]});
    assert_eq!(post(&router, "apply", JSON, &pod.to_string()).await.0, 200);
    let ready = async |wanted: &str| {
        for _ in 0..600 {
            let pod = object(&sandbox, "/api/v1/namespaces/default/pods/p").await;
            let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            if conditions.any(|one| one["type"] == "Ready" && one["status"] == wanted) {
                return pod;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the pod does not get Ready={wanted}");
    };
    let pod = ready("True").await;
    let node = pod["spec"]["nodeName"].as_str().unwrap().to_owned();
    for state in ["unready", "heal", "crash", "heal"] {
        let body = json!({"namespace": "default", "name": "p", "state": state}).to_string();
        assert_eq!(post(&router, "pod", JSON, &body).await.0, 204);
        ready(if state == "heal" { "True" } else { "False" }).await;
    }
    for (state, field, expected) in [
        ("cordon", "/spec/unschedulable", json!(true)),
        ("uncordon", "/spec/unschedulable", Value::Null),
        ("fail", "/spec/taints/0/key", json!("node.kubernetes.io/unreachable")),
        ("heal", "/spec/taints/0/key", Value::Null),
    ] {
        let body = json!({"name": node, "state": state}).to_string();
        assert_eq!(post(&router, "node", JSON, &body).await.0, 204);
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let found = object(&sandbox, &format!("/api/v1/nodes/{node}")).await;
        assert_eq!(found.pointer(field).cloned().unwrap_or_default(), expected, "{state}");
    }
    assert_eq!(
        post(&router, "node", JSON, &json!({"name": node, "state": "drain"}).to_string()).await.0,
        204
    );
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(object(&sandbox, "/api/v1/namespaces/default/pods/p").await["code"], 404);
}

#[tokio::test]
async fn refusals() {
    let (_sandbox, router) = started();
    let rows = [
        (
            "apply",
            YAML,
            "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: i}",
            422,
            "the sandbox does not serve kind `Ingress` of `networking.k8s.io/v1`",
        ),
        (
            "apply",
            YAML,
            "kind: Service\napiVersion: v1\nmetadata: {name: s}\nspec: {}",
            422,
            "Service \"s\" is invalid: spec.ports: Required value",
        ),
        ("apply", YAML, "a: [", 400, ""),
        ("apply", YAML, "", 400, "a manifest holds 1 to 1000 objects, not 0"),
        (
            "apply",
            "text/plain",
            "kind: Service",
            415,
            "a manifest is sent as application/yaml or application/json",
        ),
        ("apply?nowhere=x", YAML, "kind: Service", 400, ""),
        (
            "scale",
            JSON,
            r#"{"namespace":"default","name":"nobody","replicas":1}"#,
            404,
            "deployments.apps \"nobody\" not found",
        ),
        ("scale", JSON, r#"{"namespace":"default","name":"nobody","replicas":70000}"#, 422, ""),
        (
            "pod",
            JSON,
            r#"{"namespace":"default","name":"nobody","state":"heal"}"#,
            404,
            "pods \"nobody\" not found",
        ),
        ("pod", JSON, r#"{"namespace":"default","name":"nobody","state":"worse"}"#, 422, ""),
        ("node", "text/plain", r#"{"name":"node-a","state":"fail"}"#, 415, ""),
    ];
    for (path, kind, body, expected, detail) in rows {
        let (status, problem) = post(&router, path, kind, body).await;
        assert_eq!(status, expected, "{path} {body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{path} {body}: {problem}");
    }
    // Other sites' pages, other names, and other sources.
    for (name, value, expected) in [("origin", "http://evil.example", 403), ("host", "evil.example", 421)] {
        let mut request = Request::post("/api/v1/sandbox/reset");
        if name != "host" {
            request = request.header("host", "localhost");
        }
        assert_eq!(send(&router, request.header(name, value), String::new()).await.0, expected, "{name}");
    }
    let elsewhere = dashboard(Panel::default());
    let (status, problem) = post(&elsewhere, "reset", JSON, "").await;
    assert_eq!((status, problem["detail"].as_str().unwrap()), (404, "the source is not the sandbox"));
}

#[tokio::test]
async fn pages_may_not_use_the_kubernetes_api() {
    let (sandbox, _) = started();
    for (name, value, expected) in [
        ("origin", "http://evil.example", 403),
        ("sec-fetch-site", "cross-site", 403),
        // A hostile name that leads to this address makes it the page's own.
        ("sec-fetch-site", "same-origin", 403),
        ("sec-fetch-site", "none", 200),
        ("accept", "*/*", 200),
    ] {
        let request = Request::get("/api/v1/services").header(name, value);
        assert_eq!(send(&sandbox.router(), request, String::new()).await.0, expected, "{name}: {value}");
    }
}
