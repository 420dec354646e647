//! The data planes as others see them: the traffic's WebSocket, nodes, faults, rules, traces and metrics of a whole sandbox
//! that is watched over its API.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use futures::StreamExt;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vipscope::cluster::{Index, Limits, connect, feed, watch};
use vipscope::sandbox::{Options, PodState, Sandbox};
use vipscope::server::{AppState, Assets, BasePath, Metrics, Panel, Security, Traffic, app, serve};
use vipscope_shared::model::Key;
use vipscope_shared::traffic::{
    NodeStatus, NodesResponse, TrafficBasis, TrafficEdge, TrafficEnd, TrafficMessage, TrafficSource,
};

const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A dashboard whose source is the demo without churn.
struct Dashboard {
    sandbox: Arc<Sandbox>,
    router: Router,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    _tasks: JoinSet<()>,
}

async fn dashboard() -> Dashboard {
    let sandbox = Arc::new(Sandbox::start(Options { churn: false, ..Options::default() }));
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = sandbox.serve(listener, shutdown.clone());
    tasks.spawn(async move { serving.await.unwrap() });
    let connection = connect::url(&url, "sandbox").unwrap();
    let (writer, feed) = feed::channel(connection.info.clone(), "e1", Limits::default(), Timestamp::now());
    let (out, updates) = mpsc::channel(2048);
    let mut watches = watch::watch_all(&connection.client, &[], &out);
    tasks.spawn(async move { while watches.join_next().await.is_some() {} });
    tasks.spawn(Index::new(writer).run(updates));
    let state = AppState {
        traffic: Traffic::start(sandbox.fleet(), feed.clone(), shutdown.clone()),
        feed,
        assets: Assets::new([], &BasePath::default()).unwrap(),
        metrics: Metrics::default(),
        shutdown: shutdown.clone(),
        panel: Panel(Some(sandbox.clone())),
    };
    let router = app(state, Security::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (served, stop) = (router.clone(), shutdown.clone());
    tasks.spawn(async move { serve(listener, served, stop).await.unwrap() });
    Dashboard { sandbox, router, address, shutdown, _tasks: tasks }
}

impl Dashboard {
    async fn connect(&self) -> Reader {
        let (socket, _) = connect_async(format!("ws://{}/api/v1/traffic", self.address)).await.unwrap();
        Reader { socket, edges: Vec::new(), generation: 0, rates: Vec::new() }
    }

    async fn send(&self, request: http::request::Builder, body: String) -> (u16, String) {
        let request = request.header("host", "localhost").body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.send(Request::get(path), String::new()).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        self.send(Request::post(path).header("content-type", "application/json"), body.to_string()).await
    }

    async fn nodes(&self) -> Vec<NodeStatus> {
        let (status, body) = self.get("/api/v1/nodes").await;
        assert_eq!(status, 200);
        serde_json::from_str::<NodesResponse>(&body).unwrap().nodes
    }

    /// Rules of node-a in the chains of cart's endpoints.
    async fn endpoint_rules(&self, basis: &str) -> usize {
        let (_, text) = self.get(&format!("/api/v1/rules/node-a?service=shop/cart&basis={basis}")).await;
        text.lines().filter(|line| line.starts_with("-A KUBE-SEP-")).count()
    }

    /// Asks until the nodes are like this.
    async fn until(&self, what: &str, condition: impl Fn(&[NodeStatus]) -> bool) -> Vec<NodeStatus> {
        let begin = Instant::now();
        loop {
            let nodes = self.nodes().await;
            if condition(&nodes) {
                return nodes;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {nodes:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All pods run, and all nodes have synced what there is.
    async fn healthy(&self) -> Vec<NodeStatus> {
        let begin = Instant::now();
        while self.endpoint_rules("predicted").await < 4 {
            assert!(begin.elapsed() < PATIENCE, "no endpoints");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let well = |node: &NodeStatus| node.last_sync.is_some() && node.lag_ms == 0 && node.drift_count == 0;
        self.until("healthy nodes", |nodes| nodes.len() == 4 && nodes.iter().all(well)).await
    }
}

/// One who follows the traffic, and checks that messages fit together.
struct Reader {
    socket: Socket,
    edges: Vec<TrafficEdge>,
    generation: u32,
    rates: Vec<(u32, f32, u64)>,
}

impl Reader {
    async fn next(&mut self) -> TrafficMessage {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Takes in messages up to the next rates.
    async fn turn(&mut self) {
        loop {
            match self.next().await {
                TrafficMessage::Edges { generation, basis, edges } => {
                    assert_eq!(basis, TrafficBasis::Simulated);
                    (self.generation, self.edges) = (generation, edges);
                }
                TrafficMessage::Rates { generation, seconds, rates, .. } => {
                    assert_eq!(generation, self.generation, "rates are of the edges that were sent last");
                    assert!(seconds > 0.0);
                    for (edge, rate, total) in &rates {
                        assert!((*edge as usize) < self.edges.len());
                        assert!(*rate > 0.0 && *rate < 200.0, "{rate} of {:?}", self.edges[*edge as usize]);
                        assert!(*total > 0);
                    }
                    self.rates = rates;
                    return;
                }
                TrafficMessage::Nodes { .. } => {}
            }
        }
    }

    /// Edges that carry something now.
    fn active(&self) -> impl Iterator<Item = &TrafficEdge> {
        self.rates.iter().filter_map(|(edge, ..)| self.edges.get(*edge as usize))
    }

    /// Follows until `seen`.
    async fn until(&mut self, what: &str, seen: impl Fn(&Reader) -> bool) {
        let begin = Instant::now();
        while !seen(self) {
            assert!(begin.elapsed() < PATIENCE, "{what}: {:#?}", self.active().collect::<Vec<_>>());
            self.turn().await;
        }
    }
}

fn is_to(edge: &TrafficEdge, service: &str) -> bool {
    edge.service.as_ref().is_some_and(|key| key.to_string() == service)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_told_edges_nodes_and_rates_that_fit_together() {
    let dashboard = dashboard().await;
    dashboard.healthy().await;
    let mut reader = dashboard.connect().await;
    assert!(matches!(reader.next().await, TrafficMessage::Edges { .. }), "edges come first");
    let TrafficMessage::Nodes { nodes } = reader.next().await else { panic!("then the nodes") };
    assert_eq!(
        nodes.iter().map(|node| &*node.node).collect::<Vec<_>>(),
        ["node-a", "node-b", "node-c", "node-d"]
    );
    drop(reader);
    let mut reader = dashboard.connect().await;
    let seen = |what: fn(&TrafficEdge) -> bool| move |reader: &Reader| reader.active().any(what);
    reader.until("pods call pods", seen(|edge| {
        is_to(edge, "shop/catalog")
            && matches!(&edge.source, TrafficSource::Pod(pod) if pod.name.starts_with("web-"))
            && matches!(&edge.end, TrafficEnd::Delivered { pod: Some(pod), .. } if pod.name.starts_with("catalog-"))
    })).await;
    reader
        .until(
            "the outside calls a balancer",
            seen(|edge| is_to(edge, "shop/web") && edge.source == TrafficSource::Outside),
        )
        .await;
    reader
        .until(
            "the outside calls a node port",
            seen(|edge| is_to(edge, "edge/gateway") && edge.vip.port() == 30080),
        )
        .await;
    reader
        .until(
            "what has no endpoints is refused",
            seen(|edge| is_to(edge, "shop/orders") && edge.end == TrafficEnd::Refused),
        )
        .await;
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..3 {
        reader.turn().await;
        for (edge, _, total) in &reader.rates {
            let edge = serde_json::to_string(&reader.edges[*edge as usize]).unwrap();
            assert!(totals.insert(edge, *total).unwrap_or_default() < *total, "totals only grow");
        }
    }
    dashboard.shutdown.cancel();
    loop {
        match timeout(PATIENCE, reader.socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(frame)))) => break assert_eq!(u16::from(frame.code), 1001),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_moves_away_from_a_pod_that_is_made_unready() {
    let dashboard = dashboard().await;
    dashboard.healthy().await;
    let mut reader = dashboard.connect().await;
    let pod_of = |edge: &TrafficEdge| match &edge.end {
        TrafficEnd::Delivered { pod: Some(pod), .. } if is_to(edge, "shop/catalog") => Some(pod.clone()),
        _ => None,
    };
    reader.until("catalog has traffic", |reader| reader.active().any(|edge| pod_of(edge).is_some())).await;
    let pod: Key = reader.active().find_map(pod_of).unwrap();
    dashboard.sandbox.set_pod(&pod, PodState::Unready).unwrap();
    // A turn may have begun before, and lasts a second; the probe, the slice and the sync take half of one.
    let mut quiet = 0;
    let begin = Instant::now();
    while quiet < 2 {
        reader.turn().await;
        let still = reader.active().any(|edge| pod_of(edge).as_ref() == Some(&pod));
        quiet = if still { 0 } else { quiet + 1 };
        assert!(begin.elapsed() < PATIENCE, "{pod} still has traffic");
    }
    reader
        .until("others go on", |reader| {
            reader.active().any(|edge| pod_of(edge).is_some_and(|other| other != pod))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_switched_found_and_named() {
    let dashboard = dashboard().await;
    dashboard.healthy().await;
    let route = "/api/v1/sandbox/nodes/node-a/faults";
    assert_eq!(dashboard.get(route).await, (200, "[]".to_owned()));
    let faults = json!([{"fault": "rule-deleted", "service": "shop/cart"}]);
    assert_eq!(dashboard.post(route, &faults).await.0, 204);
    assert_eq!(dashboard.get(route).await, (200, faults.to_string()));
    // On a busy machine other nodes may be behind for a moment.
    let has_drift = |node: &&NodeStatus| node.drift_count > 0;
    let alone = |nodes: &[NodeStatus]| {
        nodes.iter().filter(has_drift).map(|node| &*node.node).collect::<Vec<_>>() == ["node-a"]
    };
    let nodes = dashboard.until("drift of node-a alone", alone).await;
    let drifted: Vec<_> = nodes.iter().filter(has_drift).collect();
    assert_eq!(drifted[0].faults.len(), 1);
    for line in &drifted[0].drift {
        assert_eq!(line.service, Some(Key::new("shop", "cart")), "{line:?}");
    }

    let (_, metrics) = dashboard.get("/metrics").await;
    let of = |name: &str, node: &str| {
        let head = format!("vipscope_{name}{{node=\"{node}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(head.as_str()));
        line.unwrap_or_else(|| panic!("{head} in {metrics}")).parse::<f64>().unwrap()
    };
    assert_eq!(of("node_drift_lines", "node-a"), drifted[0].drift_count as f64);
    assert_eq!((of("node_drift_lines", "node-b"), of("node_lag_seconds", "node-b")), (0.0, 0.0));
    assert!(of("node_syncs_total", "node-a") >= 1.0 && of("node_connections", "node-a") >= 0.0);
    assert!(
        (of("node_last_sync_timestamp_seconds", "node-a") - Timestamp::now().as_second() as f64).abs()
            < 300.0
    );
    assert!(metrics.contains("\nvipscope_traffic_edges "));

    let asked =
        json!({"node": "node-a", "from": "external", "to": "svc/shop/cart:http", "basis": "observed"});
    let (status, body) = dashboard.post("/api/v1/trace", &asked).await;
    let answer = &serde_json::from_str::<Value>(&body).unwrap()["answers"][0];
    assert_eq!(
        (status, &answer["basis"], &answer["outcomes"][0]["verdict"]),
        (200, &json!("observed"), &json!("no_match")),
        "{body}"
    );
    assert!(
        answer["differences"]
            .to_string()
            .contains("not rewritten: 1 by the node's rules, never as predicted"),
        "{body}"
    );
    assert!(dashboard.endpoint_rules("predicted").await > 0);
    assert_eq!(dashboard.endpoint_rules("observed").await, 0);

    assert_eq!(dashboard.post(route, &json!([])).await.0, 204);
    dashboard.healthy().await;
    let (_, body) = dashboard.post("/api/v1/trace", &asked).await;
    assert!(!body.contains("differences"), "{body}");
    assert_eq!(dashboard.endpoint_rules("observed").await, dashboard.endpoint_rules("predicted").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_gets_another_mode_through_the_panel() {
    let dashboard = dashboard().await;
    dashboard.healthy().await;
    let route = "/api/v1/sandbox/nodes/node-b/mode";
    for mode in ["nftables", "ipvs", "userspace", "iptables"] {
        assert_eq!(dashboard.post(route, &json!({"mode": mode})).await, (204, String::new()));
        let in_mode = |node: &NodeStatus| {
            (&*node.node != "node-b") == (node.mode.as_str() == "iptables") || mode == "iptables"
        };
        let well = |node: &NodeStatus| in_mode(node) && node.drift_count == 0 && node.lag_ms == 0;
        dashboard.until(mode, |nodes| nodes.iter().all(well) && nodes[1].mode.as_str() == mode).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused() {
    let dashboard = dashboard().await;
    dashboard.healthy().await;
    let rows = [
        ("/api/v1/sandbox/nodes/node-x/faults", json!([]), 404),
        (
            "/api/v1/sandbox/nodes/node-a/faults",
            json!([{"fault": "stale-endpoint", "service": "shop/none"}]),
            422,
        ),
        ("/api/v1/sandbox/nodes/node-a/faults", json!([{"fault": "stale-endpoint", "service": "none"}]), 422),
        (
            "/api/v1/sandbox/nodes/node-a/faults",
            json!([{"fault": "slow-sync", "milliseconds": 1e9 as u64}]),
            422,
        ),
        ("/api/v1/sandbox/nodes/node-a/faults", json!([{"fault": "other"}]), 422),
        ("/api/v1/sandbox/nodes/node-x/mode", json!({"mode": "ipvs"}), 404),
        ("/api/v1/sandbox/nodes/node-a/mode", json!({"mode": "ebpf"}), 422),
        (
            "/api/v1/trace",
            json!({"node": "node-x", "from": "external", "to": "10.96.0.1:443", "basis": "observed"}),
            404,
        ),
        (
            "/api/v1/trace",
            json!({"node": "node-a", "from": "external", "to": "10.96.0.1:443", "basis": "observed", "mode": "ipvs"}),
            400,
        ),
    ];
    for (path, body, expected) in rows {
        let (status, answer) = dashboard.post(path, &body).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    for (path, expected) in [
        ("/api/v1/rules/node-x?basis=observed", 404),
        ("/api/v1/rules/node-a?basis=observed&mode=ipvs", 400),
        ("/api/v1/rules/node-a?basis=observed&family=ipv6", 400),
        ("/api/v1/rules/node-a?basis=guessed", 400),
        ("/api/v1/traffic", 400),
    ] {
        assert_eq!(dashboard.get(path).await.0, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_do_not_get_the_traffic() {
    let dashboard = dashboard().await;
    for (header, value, expected) in
        [("origin", "https://evil.example.com", 403), ("host", "evil.example.com", 421)]
    {
        let mut request = format!("ws://{}/api/v1/traffic", dashboard.address).into_client_request().unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        match connect_async(request).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), expected, "{header}"),
            other => panic!("{header}: {other:?}"),
        }
    }
}
