//! The watch against the real sandbox API over a real socket, through a gate that can refuse, forget, hang and cut.
//!
//! After every kind of trouble the state must be right again, and what was stale must have said so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use vipscope::cluster::{Feed, Index, Limits, connect, feed, watch};
use vipscope::sandbox::{Options, Sandbox};
use vipscope_shared::model::{ClusterState, Freshness, Key, Kind, Text};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the gate does with a request.
type Rule = Arc<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Option<Rule>>>);

impl Gate {
    fn set(&self, rule: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) {
        *self.0.lock().unwrap() = Some(Arc::new(rule));
    }
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let rule = gate.0.lock().unwrap().clone();
    match rule.and_then(|rule| rule(&request)) {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":message,"reason":reason,"code":code});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

/// A sandbox on a socket, behind a gate, and a feed that watches it through the gate and a relay that can be cut.
struct World {
    gate: Gate,
    address: SocketAddr,
    target: SocketAddr,
    relay: JoinHandle<()>,
    feed: Feed,
    /// Straight to the API server: neither gate nor relay stop the test's own writes.
    api: kube::Client,
    _sandbox: Sandbox,
    _tasks: JoinSet<()>,
}

async fn world(namespaces: &[Text]) -> World {
    gated_world(namespaces, Gate::default()).await
}

async fn gated_world(namespaces: &[Text], gate: Gate) -> World {
    let sandbox = Sandbox::start(Options { seed: 7, churn: false, ..Options::default() });
    let mut tasks = JoinSet::new();
    let target = serve(&mut tasks, sandbox.router().layer(from_fn_with_state(gate.clone(), pass))).await;
    let direct = serve(&mut tasks, sandbox.router()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let relay = tokio::spawn(relay(listener, target));

    let connection = connect::url(&format!("http://{address}"), "sandbox").unwrap();
    let (writer, feed) = feed::channel(connection.info, "e1", Limits::default(), Timestamp::now());
    let (out, updates) = mpsc::channel(64);
    let mut watches = watch::watch_all(&connection.client, namespaces, &out);
    tasks.spawn(async move { while watches.join_next().await.is_some() {} });
    tasks.spawn(Index::new(writer).run(updates));
    let api = connect::url(&format!("http://{direct}"), "sandbox").unwrap().client;
    World { gate, address, target, relay, feed, api, _sandbox: sandbox, _tasks: tasks }
}

async fn serve(tasks: &mut JoinSet<()>, app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

impl World {
    /// Waits until the state satisfies `condition`, woken by each delta.
    async fn until(&self, what: &str, condition: impl Fn(&ClusterState) -> bool) {
        let reached = async {
            loop {
                let revision = self.feed.revision();
                if self.feed.read(|snapshot| condition(&snapshot.state)) {
                    return;
                }
                let _ = self.feed.subscribe(&revision).unwrap().next().await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            let sources = self.feed.read(|snapshot| snapshot.state.sources().clone());
            panic!("not within {PATIENCE:?}: {what}; sources: {sources:?}");
        }
    }

    async fn live(&self) {
        self.until("every kind is live", |state| {
            Kind::ALL.iter().all(|kind| freshness(state, *kind) == Some(&Freshness::Live))
        })
        .await;
    }

    /// Waits until the feed holds exactly the API's pods and Services. The API is asked anew after each delta, and now and
    /// then without one: the demo's last pods start and stop while this looks.
    async fn agrees(&self) {
        let agreed = async {
            loop {
                let revision = self.feed.revision();
                let (pods, services) = (self.names("pods").await, self.names("services").await);
                let held = |keys: Vec<&Key>| keys.into_iter().cloned().collect::<BTreeSet<_>>();
                if self.feed.read(|snapshot| {
                    held(snapshot.state.pods().keys().collect()) == pods
                        && held(snapshot.state.services().keys().collect()) == services
                }) {
                    return;
                }
                let mut deltas = self.feed.subscribe(&revision).unwrap();
                let _ = timeout(Duration::from_millis(250), deltas.next()).await;
            }
        };
        assert!(
            timeout(PATIENCE, agreed).await.is_ok(),
            "not within {PATIENCE:?}: the feed holds what the API has"
        );
    }

    async fn names(&self, plural: &str) -> BTreeSet<Key> {
        let list: Value = self.request("GET", &format!("/api/v1/{plural}"), None).await;
        let key = |item: &Value| {
            let text = |field: &str| item["metadata"][field].as_str().unwrap().to_owned();
            Key::new(text("namespace"), text("name"))
        };
        list["items"].as_array().unwrap().iter().map(key).collect()
    }

    async fn request(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let content_type =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request =
            axum::http::Request::builder().method(method).uri(path).header("content-type", content_type);
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(&body).unwrap());
        self.api.request(request.body(body).unwrap()).await.unwrap()
    }

    async fn create_service(&self, name: &str) {
        let service = json!({"apiVersion":"v1","kind":"Service","metadata":{"name":name,"namespace":"shop"},
            "spec":{"ports":[{"port":80}],"selector":{"app":name}}});
        self.request("POST", "/api/v1/namespaces/shop/services", Some(service)).await;
    }

    async fn delete_service(&self, name: &str) {
        self.request("DELETE", &format!("/api/v1/namespaces/shop/services/{name}"), None).await;
    }
}

fn freshness(state: &ClusterState, kind: Kind) -> Option<&Freshness> {
    state.sources().get(&kind).map(|source| &source.freshness)
}

fn has(state: &ClusterState, service: &str) -> bool {
    state.services().contains(&Key::new("shop", service))
}

fn is_watch(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.contains("watch=true"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_seen_and_followed() {
    let world = world(&[]).await;
    world.live().await;
    world.agrees().await;
    world.create_service("fresh").await;
    world.until("the new Service", |state| has(state, "fresh")).await;
    world.until("its slice", |state| state.slices_of(&Key::new("shop", "fresh")).count() == 1).await;
    world.delete_service("fresh").await;
    world.until("it is gone", |state| !has(state, "fresh")).await;
    assert_eq!(world.feed.read(|snapshot| snapshot.state.faults().count()), 0);
}

/// 410 as an HTTP answer to a watch, as real API servers and their caches give it.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_gone_is_listed_anew() {
    let mut world = world(&[]).await;
    world.live().await;
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = refused.clone();
    world.gate.set(move |request| {
        let gone = is_watch(request) && seen.lock().unwrap().insert(request.uri().path().to_owned());
        gone.then(|| status(410, "Expired", "too old resource version: 1 (5)"))
    });
    // The watches that are open end with their connections.
    world.cut().await;
    world.mend().await;
    world.create_service("after-410").await;
    world.until("the Service made after the 410", |state| has(state, "after-410")).await;
    world.delete_service("after-410").await;
    world.live().await;
    world.agrees().await;
    assert!(refused.lock().unwrap().len() >= Kind::ALL.len(), "every kind has met its 410");
}

/// Passes bytes between `address` and the API server, until aborted: then every connection breaks, and new ones are refused.
async fn relay(listener: TcpListener, target: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(target).await else { return };
            // A broken connection is what this is for.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

impl World {
    async fn cut(&mut self) {
        self.relay.abort();
        let _ = (&mut self.relay).await;
        assert!(TcpStream::connect(self.address).await.is_err(), "nobody listens there");
    }

    async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.relay = tokio::spawn(relay(listener, self.target));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_makes_things_stale_and_then_right_again() {
    let mut world = world(&[]).await;
    world.live().await;
    let before = Timestamp::now();
    world.cut().await;
    world.until("everything is stale", |state| {
        Kind::ALL.iter().all(|kind| matches!(freshness(state, *kind), Some(Freshness::Stale { since, .. }) if *since >= before))
    })
    .await;
    world.create_service("while-away").await;
    world.delete_service("web").await;
    world.mend().await;
    world.live().await;
    world.agrees().await;
    assert!(world.feed.read(|snapshot| has(&snapshot.state, "while-away") && !has(&snapshot.state, "web")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_forbidden_leaves_the_rest_alone() {
    let gate = Gate::default();
    gate.set(|request| {
        let nodes = request.uri().path() == "/api/v1/nodes";
        nodes.then(|| {
            status(403, "Forbidden", "nodes is forbidden: User \"viewer\" cannot list resource \"nodes\"")
        })
    });
    let world = gated_world(&[], gate).await;
    world.until("nodes are forbidden, pods live", |state| {
        let forbidden = matches!(freshness(state, Kind::Node), Some(Freshness::Forbidden { reason }) if reason.contains("viewer"));
        forbidden && freshness(state, Kind::Pod) == Some(&Freshness::Live)
    })
    .await;
    world.create_service("fresh").await;
    world.until("Services go on", |state| has(state, "fresh")).await;
    assert_eq!(world.feed.read(|snapshot| snapshot.state.nodes().len()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_make_no_sense_are_reported_and_cost_only_themselves() {
    let world = world(&[]).await;
    world.live().await;
    let pod = json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"odd","namespace":"shop"},
        "spec":{"containers":[{"name":"c","image":"x","ports":[{"containerPort":70000}]}]}});
    world.request("POST", "/api/v1/namespaces/shop/pods", Some(pod)).await;
    world
        .until("the fault", |state| {
            state.faults().any(|fault| {
                fault.to_string().starts_with("Pod shop/odd: spec.containers[0].ports[0].containerPort")
            })
        })
        .await;
    world.create_service("fresh").await;
    world.until("the rest goes on", |state| has(state, "fresh")).await;

    // An unreadable version of a good object leaves the good one in place, and the fault goes when it is mended.
    let config = "/api/v1/namespaces/kube-system/configmaps/kube-proxy";
    let good = world.request("GET", config, None).await["data"]["config.conf"].clone();
    world.request("PATCH", config, Some(json!({"data":{"config.conf":"mode: ebpf"}}))).await;
    world
        .until("the ConfigMap's fault", |state| {
            state.faults().any(|fault| fault.object.kind == Kind::ProxyConfig)
        })
        .await;
    assert!(world.feed.read(|snapshot| snapshot.state.proxy_config().is_some()));
    world.request("PATCH", config, Some(json!({"data":{"config.conf":good}}))).await;
    world
        .until("the fault is gone", |state| {
            state.faults().all(|fault| fault.object.kind != Kind::ProxyConfig)
        })
        .await;
    world.request("DELETE", "/api/v1/namespaces/shop/pods/odd?gracePeriodSeconds=0", None).await;
    world.until("no fault is left", |state| state.faults().count() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_some_namespaces_sees_just_those() {
    let world = world(&["shop".into(), "data".into()]).await;
    world.live().await;
    let namespaces: BTreeSet<String> = world
        .feed
        .read(|snapshot| snapshot.state.services().keys().map(|key| key.namespace.to_string()).collect());
    assert_eq!(namespaces.into_iter().collect::<Vec<_>>(), ["data", "shop"]);
    assert!(world.feed.read(|snapshot| snapshot.state.proxy_config().is_some()));
}
