//! The sandbox under load: 5,000 Services and 50,000 endpoints through the API, watched by a hundred clients.
//!
//! The budget is 60 seconds on two cores; what was measured is printed (`cargo test --release --test sandbox_load -- --nocapture`).
//! It is asserted for optimised code only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vipscope::sandbox::{Options, Sandbox};

const SERVICES: usize = 5000;
const ENDPOINTS_EACH: usize = 10;
const WATCHERS: usize = 100;
const WRITERS: usize = 8;
const BUDGET: Duration = Duration::from_secs(60);
/// Longer than it takes unoptimised on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the process may grow by, in MiB; it holds the clients, too.
const MEMORY: usize = 1024;

/// A connection that is kept alive.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// Sends a request; answers the status and the content's length.
    async fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, Option<usize>) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: sandbox\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).await.unwrap();
        let (mut status, mut length, mut line) = (0, None, String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the connection ends");
            if line.trim().is_empty() {
                return (status, length);
            }
            if let Some(code) = line.strip_prefix("HTTP/1.1 ") {
                status = code[..3].parse().unwrap();
            }
            let lower = line.to_ascii_lowercase();
            length = lower.strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()).or(length);
        }
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, length) = self.request(method, path, &body).await;
        let mut content = vec![0; length.expect("the answer has a length")];
        self.0.read_exact(&mut content).await.unwrap();
        (status, serde_json::from_slice(&content).unwrap())
    }
}

fn service(number: usize) -> Value {
    json!({"metadata": {"name": format!("s{number}"), "labels": {"app": "load"}}, "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

fn slice(number: usize) -> Value {
    let endpoint = |at: usize| {
        let address = number * ENDPOINTS_EACH + at;
        let ip = format!("10.{}.{}.{}", 128 + address / 65_536, address / 256 % 256, address % 256);
        json!({"addresses": [ip], "conditions": {"ready": true}, "nodeName": "node-a", "zone": "eu-1a"})
    };
    json!({
        "metadata": {"name": format!("s{number}-x"), "labels": {"kubernetes.io/service-name": format!("s{number}")}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": (0..ENDPOINTS_EACH).map(endpoint).collect::<Value>(),
    })
}

/// MiB that the process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() / 1024
}

/// Watches a collection and counts what is added, until the stream ends.
async fn watch(address: SocketAddr, path: &str, added: Arc<AtomicUsize>) {
    let mut client = Client::connect(address).await;
    let (status, _) = client.request("GET", &format!("{path}?watch=true"), "").await;
    assert_eq!(status, 200);
    let mut line = Vec::new();
    while client.0.read_until(b'\n', &mut line).await.unwrap() > 0 {
        // Lines between chunks are no events.
        if line.starts_with(b"{\"type\":\"ADDED\"") {
            added.fetch_add(1, Ordering::Relaxed);
        }
        assert!(!line.starts_with(b"{\"type\":\"ERROR\""), "{}", String::from_utf8_lossy(&line));
        line.clear();
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_services_and_a_hundred_watchers() {
    let sandbox = Sandbox::start(Options { empty: true, churn: false, ..Options::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(sandbox.serve(listener, stop.clone()));
    let (before, added) = (resident(), Arc::new(AtomicUsize::new(0)));
    let mut watchers = JoinSet::new();
    for number in 0..WATCHERS {
        let path = match number % 2 {
            0 => "/api/v1/services",
            _ => "/apis/discovery.k8s.io/v1/endpointslices",
        };
        watchers.spawn(watch(address, path, added.clone()));
    }
    // Each begins with what is there: default/kubernetes.
    until("the watchers begin", async || added.load(Ordering::Relaxed) == WATCHERS).await;

    let start = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(async move {
            let mut client = Client::connect(address).await;
            for number in (writer..SERVICES).step_by(WRITERS) {
                let made =
                    client.exchange("POST", "/api/v1/namespaces/default/services", &service(number)).await;
                assert_eq!(made.0, 201, "{}", made.1);
                let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
                let made = client.exchange("POST", path, &slice(number)).await;
                assert_eq!(made.0, 201, "{}", made.1);
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let loaded = start.elapsed();
    let events = WATCHERS * (SERVICES + 1);
    until("every watcher sees everything", async || added.load(Ordering::Relaxed) == events).await;
    let seen = start.elapsed();
    sandbox.settled().await;
    let grown = resident().saturating_sub(before);
    println!(
        "{SERVICES} Services, {} endpoints: loaded in {loaded:?}, seen by {WATCHERS} watchers after {seen:?}, {grown} MiB more",
        SERVICES * ENDPOINTS_EACH
    );
    assert!(cfg!(debug_assertions) || seen < BUDGET, "{seen:?}");
    assert!(grown < MEMORY, "{grown} MiB");

    let mut client = Client::connect(address).await;
    let (_, page) = client.exchange("GET", "/api/v1/services?limit=500", &Value::Null).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 500);
    assert_eq!(page["metadata"]["remainingItemCount"], SERVICES + 1 - 500);
    let (_, slices) = client.exchange("GET", "/apis/discovery.k8s.io/v1/endpointslices", &Value::Null).await;
    assert_eq!(slices["items"].as_array().unwrap().len(), SERVICES + 1);
    stop.cancel();
    drop(client);
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    while let Some(done) = watchers.join_next().await {
        done.unwrap();
    }
}
