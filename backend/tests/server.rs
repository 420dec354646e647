//! The server as a `Router`, without a socket: routes, headers, compression, caching, base path, readiness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vipscope::cluster::{Limits, Writer, feed};
use vipscope::server::{AppState, Assets, Metrics, Panel, Security, Traffic, app};
use vipscope_shared::api::{ClusterInfo, FindingsResponse, SnapshotResponse, SourceKind};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::diagnose::Finding;
use vipscope_shared::model::{Freshness, Key, Kind, Pod, Source};

const PAGE: &str = r#"<html><head><base href="/"><script type="module">boot()</script></head></html>"#;

fn server(security: Security) -> (Writer, Router) {
    let info = ClusterInfo { source: SourceKind::Sandbox, name: "test".into(), context: None, server: None };
    let (writer, feed) = feed::channel(info, "e1", Limits::default(), Timestamp::UNIX_EPOCH);
    let files = [
        ("index.html".to_owned(), PAGE.as_bytes().to_vec()),
        ("app-1f2e.wasm".to_owned(), vec![7; 5000]),
        ("app-1f2e.js".to_owned(), "let x = 1;".repeat(500).into_bytes()),
    ];
    let assets = Assets::new(files, &security.base_path).unwrap();
    let security = Security { script_hashes: assets.script_hashes(), ..security };
    let state = AppState {
        feed,
        assets,
        metrics: Metrics::default(),
        shutdown: CancellationToken::new(),
        panel: Panel::default(),
        traffic: Traffic::default(),
    };
    (writer, app(state, security))
}

async fn get(app: &Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(path).header("host", "localhost:7411");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn pods(count: usize) -> Vec<Change> {
    let pod =
        |n: usize| Change::Upsert(Object::Pod(Arc::new(Pod::named(Key::new("shop", format!("pod-{n}"))))));
    (0..count).map(pod).collect()
}

#[tokio::test]
async fn the_snapshot_is_compressed_and_carries_its_revision() {
    let (mut writer, app) = server(Security::default());
    writer.commit(pods(100), Timestamp::UNIX_EPOCH);
    let response = get(&app, "/api/v1/snapshot", &[("accept-encoding", "br")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        (header(&response, "content-encoding"), header(&response, "content-type")),
        ("br", "application/json")
    );
    let etag = header(&response, "etag").to_owned();
    assert_eq!(etag.trim_start_matches("W/"), "\"e1-1\"");
    let compressed = body(response).await;
    let mut json = Vec::new();
    brotli::Decompressor::new(&compressed[..], 4096).read_to_end(&mut json).unwrap();
    let snapshot: SnapshotResponse = serde_json::from_slice(&json).unwrap();
    assert_eq!(snapshot.snapshot.state.pods().len(), 100);
    assert!(compressed.len() * 4 < json.len());

    let again = get(&app, "/api/v1/snapshot", &[("if-none-match", &etag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    writer.commit(pods(101), Timestamp::UNIX_EPOCH);
    let newer = get(&app, "/api/v1/snapshot", &[("if-none-match", &etag)]).await;
    assert_eq!(newer.status(), StatusCode::OK);
}

#[tokio::test]
async fn assets_have_types_compression_and_immutable_caching() {
    let (_writer, app) = server(Security::default());
    let rows = [
        ("/", "text/html; charset=utf-8", "no-cache"),
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        ("/app-1f2e.wasm", "application/wasm", "public, max-age=31536000, immutable"),
        ("/app-1f2e.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
    ];
    for (path, content_type, cache) in rows {
        let response = get(&app, path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(
            (header(&response, "content-type"), header(&response, "cache-control")),
            (content_type, cache)
        );
        if path.contains("app") {
            assert_eq!(header(&response, "content-encoding"), "br", "{path}");
        }
        let etag = header(&response, "etag").to_owned();
        let again = get(&app, path, &[("if-none-match", &etag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    let plain = get(&app, "/app-1f2e.wasm", &[]).await;
    assert_eq!(header(&plain, "content-encoding"), "");
    assert_eq!(body(plain).await.len(), 5000);
}

#[tokio::test]
async fn every_response_is_guarded() {
    let (_writer, app) = server(Security::default());
    for path in ["/", "/api/v1/snapshot", "/nothing-here", "/healthz"] {
        let response = get(&app, path, &[]).await;
        let csp = header(&response, "content-security-policy");
        assert!(csp.contains("frame-ancestors 'none'"), "{csp}");
        assert!(csp.contains("script-src 'self' 'wasm-unsafe-eval' 'sha256-"), "{csp}");
        assert!(!csp.contains("unsafe-inline") && !csp.contains("'unsafe-eval'"), "{csp}");
        assert_eq!(
            (header(&response, "x-content-type-options"), header(&response, "x-frame-options")),
            ("nosniff", "DENY")
        );
    }
    let portal = Security {
        frame_ancestors: Arc::new(["https://portal.example.com".to_owned()]),
        ..Security::default()
    };
    let (_writer, app) = server(portal);
    let response = get(&app, "/", &[]).await;
    assert!(
        header(&response, "content-security-policy").ends_with("frame-ancestors https://portal.example.com")
    );
    assert_eq!(header(&response, "x-frame-options"), "", "it knows no allow-list");
}

#[tokio::test]
async fn foreign_pages_and_hosts_are_refused_with_a_problem() {
    let (_writer, app) = server(Security::default());
    let foreign = get(&app, "/api/v1/snapshot", &[("origin", "https://evil.example.com")]).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(header(&foreign, "content-type"), "application/problem+json");
    let detail = String::from_utf8(body(foreign).await).unwrap();
    assert!(detail.contains("--allowed-origin https://evil.example.com"), "{detail}");
    let request = Request::get("/").header("host", "rebound.example.com").body(Body::empty()).unwrap();
    let rebound = app.clone().oneshot(request).await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    // A stream upgrade is refused before it is one.
    let upgrade =
        [("origin", "https://evil.example.com"), ("upgrade", "websocket"), ("connection", "upgrade")];
    assert_eq!(get(&app, "/api/v1/stream?after=e1-0", &upgrade).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn everything_moves_below_the_base_path() {
    let security = Security { base_path: "/tools/vipscope".parse().unwrap(), ..Security::default() };
    let (_writer, app) = server(security);
    let page = get(&app, "/tools/vipscope/", &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(String::from_utf8(body(page).await).unwrap().contains(r#"<base href="/tools/vipscope/">"#));
    let bare = get(&app, "/tools/vipscope", &[]).await;
    assert_eq!(
        (bare.status(), header(&bare, "location")),
        (StatusCode::PERMANENT_REDIRECT, "/tools/vipscope/")
    );
    for path in ["/tools/vipscope/api/v1/snapshot", "/tools/vipscope/app-1f2e.js", "/tools/vipscope/healthz"]
    {
        assert_eq!(get(&app, path, &[]).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/", "/api/v1/snapshot", "/healthz"] {
        assert_eq!(get(&app, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let foreign =
        get(&app, "/tools/vipscope/api/v1/snapshot", &[("origin", "https://evil.example.com")]).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn ready_means_every_permitted_kind_has_been_listed() {
    let (mut writer, app) = server(Security::default());
    assert_eq!(get(&app, "/healthz", &[]).await.status(), StatusCode::OK);
    let mut settle = |kind, freshness| {
        writer.commit(vec![Change::Source(Source { kind, freshness })], Timestamp::UNIX_EPOCH);
    };
    for kind in Kind::ALL {
        settle(kind, Freshness::Listing { trouble: None });
    }
    for kind in Kind::ALL.into_iter().skip(1) {
        settle(kind, Freshness::Live);
    }
    let waiting = get(&app, "/readyz", &[]).await;
    assert_eq!(waiting.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8(body(waiting).await).unwrap().contains("not listed yet: Namespace"));
    settle(Kind::Namespace, Freshness::Forbidden { reason: "no rights".into() });
    assert_eq!(get(&app, "/readyz", &[]).await.status(), StatusCode::OK, "a refusal is an answer");
    settle(Kind::Pod, Freshness::Stale { since: Timestamp::UNIX_EPOCH, reason: "away".into() });
    assert_eq!(get(&app, "/readyz", &[]).await.status(), StatusCode::OK, "once listed, always ready");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let (mut writer, app) = server(Security::default());
    writer.commit(pods(3), Timestamp::UNIX_EPOCH);
    let text = String::from_utf8(body(get(&app, "/metrics", &[]).await).await).unwrap();
    assert!(text.contains("vipscope_objects{kind=\"Pod\"} 3\n"), "{text}");
    assert!(text.contains("vipscope_revision 1\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn wrong_requests_get_one_clear_problem() {
    let (_writer, app) = server(Security::default());
    let rows = [
        ("/api/v1/stream", 400, "parameter `after` is missing"),
        ("/api/v1/stream?after=x", 400, "`x` is not a revision: expected EPOCH-NUMBER"),
        ("/api/v1/stream?after=e1-0", 400, "this is a WebSocket"),
        ("/api/v1/nonsense", 404, "nothing is served at /api/v1/nonsense"),
    ];
    for (path, status, expected) in rows {
        let response = get(&app, path, &[]).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{path}");
        let text = String::from_utf8(body(response).await).unwrap();
        assert!(text.contains(expected), "{text}");
    }
}

/// A node with IPv4 only and two Services, one of which has an endpoint.
fn small_cluster() -> Vec<Change> {
    let objects = r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: cart}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], ports: [{port: 80, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: cart-1, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: "", port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.244.0.5]}]
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: mail}
spec: {clusterIP: 10.96.0.11, clusterIPs: [10.96.0.11], ports: [{port: 25, protocol: TCP}]}
"#;
    let documents = vipscope_shared::manifest::parse_documents(objects).unwrap();
    let objects = documents.into_iter().map(|document| vipscope_shared::manifest::decode(document).unwrap());
    objects.map(|decoded| Change::Upsert(decoded.object.unwrap())).collect()
}

#[tokio::test]
async fn rules_of_a_node_by_mode_and_service() {
    let (mut writer, app) = server(Security::default());
    writer.commit(small_cluster(), Timestamp::UNIX_EPOCH);
    let ask = async |query: &str, accept: &str| {
        let response = get(&app, &format!("/api/v1/rules/{query}"), &[("accept", accept)]).await;
        let (status, kind) = (response.status(), header(&response, "content-type").to_owned());
        (status, kind, String::from_utf8(body(response).await).unwrap())
    };

    let (status, kind, text) = ask("n1", "*/*").await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/plain; charset=utf-8"));
    assert!(text.starts_with("*filter\n"), "iptables is the default: {text}");
    assert!(text.contains("shop/cart cluster IP") && text.contains("shop/mail has no endpoints"), "{text}");

    let (_, _, text) = ask("n1?service=shop/mail", "text/plain").await;
    assert!(!text.contains("shop/cart") && text.contains("shop/mail has no endpoints"), "{text}");
    assert!(!text.contains(":KUBE-NODEPORTS "), "without empty chains: {text}");

    let (_, kind, text) = ask("n1?mode=nftables&service=shop/cart", "application/json, text/plain").await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((kind.as_str(), &json["mode"]), ("application/json", &"nftables".into()));
    let service_ips = json["nftables"]["maps"].as_array().unwrap();
    let service_ips = service_ips.iter().find(|map| map["name"] == "service-ips").unwrap();
    let element = service_ips["elements"][0].as_str().unwrap();
    assert!(element.starts_with("{ 10.96.0.10 . tcp . 80 : goto service-"), "{element}");
}

#[tokio::test]
async fn findings_of_the_cluster_and_of_one_service() {
    let (mut writer, app) = server(Security::default());
    let live = |kind| Change::Source(Source { kind, freshness: Freshness::Live });
    writer.commit(Kind::ALL.map(live).into_iter().chain(small_cluster()).collect(), Timestamp::UNIX_EPOCH);
    let ask = async |query: &str| -> FindingsResponse {
        let response = get(&app, &format!("/api/v1/findings{query}"), &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        assert_eq!(header(&response, "cache-control"), "no-cache");
        serde_json::from_slice(&body(response).await).unwrap()
    };
    let codes = |response: &FindingsResponse| -> Vec<String> {
        let short = |f: &Finding| format!("{} {} {}", f.code, f.subject, f.suppressed.is_some());
        response.findings.iter().map(short).collect()
    };
    let all = ask("").await;
    assert_eq!(all.revision.to_string(), "e1-1");
    assert_eq!(codes(&all), ["SVC009 Service shop/mail false"]);
    assert_eq!(all.skipped, []);
    assert_eq!(codes(&ask("?ignore=SVC001,svc009").await), ["SVC009 Service shop/mail true"]);
    assert_eq!(codes(&ask("?service=shop/mail").await), ["SVC009 Service shop/mail false"]);
    assert_eq!(codes(&ask("?service=shop/cart").await), Vec::<String>::new());
    for (query, status, detail) in [
        ("?service=mail", 400, "parameter `service`: `mail` is not NAMESPACE/NAME"),
        ("?service=shop/none", 404, "Service shop/none is not there"),
        ("?ignore=SVC999", 400, "parameter `ignore`: `SVC999` is not a code"),
        ("?services=shop/mail", 400, "services"),
    ] {
        let response = get(&app, &format!("/api/v1/findings{query}"), &[]).await;
        assert_eq!(response.status().as_u16(), status, "{query}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{query}");
        let text = String::from_utf8(body(response).await).unwrap();
        assert!(text.contains(detail), "{query}: {text}");
    }
}

#[tokio::test]
async fn problems_with_rules_say_what_is_wrong() {
    let (mut writer, app) = server(Security::default());
    writer.commit(small_cluster(), Timestamp::UNIX_EPOCH);
    for (path, status, detail) in [
        ("n2", 404, "Node n2 is not there; there are: n1"),
        ("n1?family=ipv6", 400, "Node n1: status.addresses"),
        ("n1?family=ipv5", 400, "parameter `family`: `ipv5` is not ipv4 or ipv6"),
        ("n1?mode=fast", 400, "parameter `mode`: `fast` is not"),
        ("n1?service=cart", 400, "parameter `service`: `cart` is not NAMESPACE/NAME"),
        ("n1?service=shop/none", 404, "Service shop/none is not there"),
        ("n1?services=shop/cart", 400, "services"),
    ] {
        let response = get(&app, &format!("/api/v1/rules/{path}"), &[]).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header(&response, "content-type"), "application/problem+json", "{path}");
        let text = String::from_utf8(body(response).await).unwrap();
        assert!(text.contains(detail), "{path}: {text}");
    }
}

async fn ask_trace(
    app: &Router,
    asked: &serde_json::Value,
    headers: &[(&str, &str)],
) -> (u16, serde_json::Value) {
    let mut request = Request::post("/api/v1/trace").header("host", "localhost:7411");
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::from(asked.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&body(response).await).unwrap_or_default())
}

#[tokio::test]
async fn a_trace_is_answered_from_the_newest_state() {
    let (mut writer, app) = server(Security::default());
    writer.commit(small_cluster(), Timestamp::UNIX_EPOCH);
    let asked =
        serde_json::json!({"node": "n1", "from": "external", "to": "svc/shop/cart", "mode": "nftables"});
    let (status, answer) = ask_trace(&app, &asked, &[]).await;
    assert_eq!(status, 200, "{answer}");
    let outcome = &answer["answers"][0]["outcomes"][0];
    assert_eq!(
        (&outcome["verdict"], &outcome["destination"]),
        (&"deliver".into(), &"10.244.0.5:8080".into())
    );
    let rows = [
        (
            serde_json::json!({"node": "n2", "from": "external", "to": "svc/shop/cart"}),
            404,
            "Node n2 is not there",
        ),
        (
            serde_json::json!({"node": "n1", "from": "external", "to": "svc/shop/none"}),
            404,
            "Service shop/none",
        ),
        (serde_json::json!({"node": "n1", "from": "me", "to": "svc/shop/cart"}), 400, "field `from`"),
        (serde_json::json!({"node": "n1", "from": "external", "to": "cart"}), 400, "field `to`"),
        (
            serde_json::json!({"node": "n1", "from": "external", "to": "svc/shop/cart", "mode": "x"}),
            400,
            "field `mode`",
        ),
        (serde_json::json!({"node": "n1", "from": "external"}), 400, "to"),
    ];
    for (asked, code, expected) in rows {
        let (status, problem) = ask_trace(&app, &asked, &[]).await;
        assert_eq!(status, code, "{asked}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    // A page of another site can't ask.
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(ask_trace(&app, &serde_json::json!({}), &foreign).await.0, 403);
}

async fn ask_whatif(app: &Router, asked: &str, content_type: &str) -> (u16, serde_json::Value) {
    let request = Request::post("/api/v1/whatif").header("host", "localhost:7411");
    let request = request.header("content-type", content_type).body(Body::from(asked.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    if status != 200 {
        assert_eq!(header(&response, "content-type"), "application/problem+json");
    }
    (status, serde_json::from_slice(&body(response).await).unwrap_or_default())
}

#[tokio::test]
async fn a_what_if_is_answered_from_the_newest_state() {
    let (mut writer, app) = server(Security::default());
    writer.commit(small_cluster(), Timestamp::UNIX_EPOCH);
    let asked = r#"{"edits":[{"op":"delete","object":"Service/shop/cart"}]}"#;
    let (status, answer) = ask_whatif(&app, asked, "application/json").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["revision"], "e1-1");
    assert_eq!(answer["changed"][0], "Service/shop/cart");
    assert_eq!(answer["flows"][0]["grade"], "lost", "{answer}");
    for list in ["/connections", "/rules", "/findings/appeared", "/findings/vanished"] {
        assert!(answer.pointer(list).is_some_and(serde_json::Value::is_array), "{list}");
    }
    // Nothing has changed: the same question has the same answer.
    let (_, mut again) = ask_whatif(&app, asked, "application/json").await;
    again["time"] = answer["time"].clone();
    assert_eq!(again, answer);
    for (asked, content_type, expected, detail) in [
        (
            r#"{"edits":[{"op":"delete"}]}"#,
            "application/json",
            400,
            "body: edit 1: delete: missing field `object`",
        ),
        (r#"{"edits":{}}"#, "application/json", 400, "body: expected an array of edits"),
        ("{", "application/json", 400, "Failed to parse"),
        (
            r#"[{"op":"delete","object":"Service/shop/crat"}]"#,
            "application/json",
            422,
            "edit 1 (delete Service shop/crat): services \"crat\" not found; did you mean cart?",
        ),
        (r#"{"edits":[]}"#, "text/plain", 415, "Expected request with"),
    ] {
        let (status, problem) = ask_whatif(&app, asked, content_type).await;
        assert_eq!(status, expected, "{asked}: {problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with(detail), "{asked}: {problem}");
    }
    let response = get(&app, "/api/v1/whatif", &[]).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
