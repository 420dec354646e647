//! Lists and watches one kind: Kubernetes' list/watch contract over a `kube` client.
//!
//! In: an API server that may be away, slow, restarted, forgetful (410) or send nonsense. Out: [`Update`]s from which the
//! index makes the same state that the API server has, and how fresh it is. Never ends by itself; every failure is
//! reported once, as [`Freshness::Stale`] or [`Freshness::Forbidden`], and retried with backoff and jitter.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::params::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::{Client, Error};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use vipscope_shared::manifest::{Decoded, decode_as};
use vipscope_shared::model::{Freshness, Key, Kind, ObjectRef, PROXY_CONFIG_MAP, Text};

/// Objects a page of a list.
const PAGE: u32 = 500;
/// Seconds after which the API server is asked to end a watch; upstream's own watches take 5 to 10 minutes.
const WATCH_SECONDS: u32 = 290;
/// First and longest pause after a failure; the pause doubles and is drawn from its upper half.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(20));
/// Pause after a refusal (403): rights change rarely.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);
/// A watch that ends sooner than this, without an event, is a failure: else it would be repeated without pause.
const TOO_SHORT: Duration = Duration::from_secs(1);
/// How often the API server is asked whether it is there, and how long it may take to answer.
const PROBE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(4));

/// Where a kind is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Cluster,
    Namespace(Text),
}

/// What a watch reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A list begins; what it does not show before [`Update::Listed`] is gone.
    Listing {
        kind: Kind,
        scope: Scope,
    },
    /// An object as it is now, readable or not.
    Found {
        scope: Scope,
        decoded: Decoded,
    },
    Gone(ObjectRef),
    /// The list is complete, and the kind is live.
    Listed {
        kind: Kind,
        scope: Scope,
    },
    Freshness {
        kind: Kind,
        scope: Scope,
        freshness: Freshness,
    },
}

/// Watches every kind that vipscope keeps. `namespaces` empty means the whole cluster. Ends when `out` is closed or the
/// returned set is dropped.
pub fn watch_all(
    client: &Client,
    namespaces: &[Text],
    out: &mpsc::Sender<Update>,
) -> tokio::task::JoinSet<()> {
    let (health, probe) = watch::channel(None);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(probe_forever(client.clone(), health));
    for kind in Kind::ALL {
        for scope in scopes(kind, namespaces) {
            let watcher = Watcher {
                client: client.clone(),
                kind,
                scope,
                out: out.clone(),
                probe: probe.clone(),
                reported: Reported::Listing,
            };
            tasks.spawn(watcher.run());
        }
    }
    tasks
}

fn scopes(kind: Kind, namespaces: &[Text]) -> Vec<Scope> {
    match kind {
        Kind::Namespace | Kind::Node => vec![Scope::Cluster],
        Kind::ProxyConfig => vec![Scope::Namespace(PROXY_CONFIG_MAP.0.into())],
        _ if namespaces.is_empty() => vec![Scope::Cluster],
        _ => namespaces.iter().cloned().map(Scope::Namespace).collect(),
    }
}

/// Asks for `/version` again and again. An answer of any kind is life; silence breaks the watches, which would otherwise
/// wait minutes on a connection that nobody serves.
async fn probe_forever(client: Client, health: watch::Sender<Option<Text>>) {
    let (period, patience) = PROBE;
    loop {
        let silence = match timeout(patience, client.apiserver_version()).await {
            Ok(Ok(_) | Err(Error::Api(_) | Error::SerdeError(_))) => None,
            Ok(Err(error)) => Some(explain(&error)),
            Err(_) => Some("the API server does not answer".into()),
        };
        health.send_if_modified(|old| {
            let changed = *old != silence;
            *old = silence;
            changed
        });
        if health.is_closed() {
            return;
        }
        tokio::time::sleep(period).await;
    }
}

/// Where the loop is: nothing known, or everything up to a version known.
enum State {
    /// List from the start.
    List,
    /// Watch from this resourceVersion.
    Watch { version: String },
}

/// What has last been told about the kind's freshness.
#[derive(PartialEq)]
enum Reported {
    /// No list has succeeded yet.
    Listing,
    Live,
    Trouble,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// 410: the server's ordinary way to ask for a new list.
    Expired,
    /// 403 or 404: not allowed, or not served.
    Forbidden,
    Trouble,
}

/// Why a step failed, and where to go on.
struct Failure {
    reason: Text,
    class: Class,
    next: State,
}

struct Watcher {
    client: Client,
    kind: Kind,
    scope: Scope,
    out: mpsc::Sender<Update>,
    probe: watch::Receiver<Option<Text>>,
    reported: Reported,
}

/// The index is gone: nothing is left to do.
struct Closed;

impl Watcher {
    async fn run(mut self) {
        let listing = Freshness::Listing { trouble: None };
        if self.tell(listing).await.is_err() {
            return;
        }
        let mut state = State::List;
        let mut backoff = Backoff::default();
        loop {
            let step = match state {
                State::List => self.list().await,
                State::Watch { version } => self.watch(version).await,
            };
            state = match step {
                Err(Closed) => return,
                Ok(Ok(next)) => {
                    backoff = Backoff::default();
                    next
                }
                Ok(Err(failure)) => {
                    let pause =
                        if failure.class == Class::Forbidden { FORBIDDEN_PAUSE } else { backoff.next() };
                    tracing::warn!(kind = %self.kind, scope = ?self.scope, reason = %failure.reason, ?pause, "watch failed");
                    if self.report(&failure).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    failure.next
                }
            };
        }
    }

    /// Lists page by page.
    async fn list(&mut self) -> Result<Result<State, Failure>, Closed> {
        self.send(Update::Listing { kind: self.kind, scope: self.scope.clone() }).await?;
        let mut params =
            ListParams { limit: Some(PAGE), field_selector: self.field_selector(), ..ListParams::default() };
        loop {
            let page = match self.page(&params).await {
                Ok(page) => page,
                Err(error) => return Ok(Err(self.failure(error, State::List))),
            };
            for item in page.items.unwrap_or_default() {
                self.found(item).await?;
            }
            params.continue_token = page.metadata.continue_token.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                let version = page.metadata.resource_version.unwrap_or_default();
                self.reported = Reported::Live;
                self.send(Update::Listed { kind: self.kind, scope: self.scope.clone() }).await?;
                return Ok(Ok(State::Watch { version }));
            }
        }
    }

    async fn page(&self, params: &ListParams) -> Result<Page, Error> {
        let request = Request::new(self.url()).list(params).map_err(Error::BuildRequest)?;
        self.client.request(request).await
    }

    /// Watches from `version` until the stream ends or fails.
    async fn watch(&mut self, mut version: String) -> Result<Result<State, Failure>, Closed> {
        let params = WatchParams {
            field_selector: self.field_selector(),
            timeout: Some(WATCH_SECONDS),
            ..WatchParams::default()
        };
        let request = Request::new(self.url()).watch(&params, &version).map_err(Error::BuildRequest);
        let opened = match request {
            Ok(request) => self.client.request_events::<Value>(request).await,
            Err(error) => Err(error),
        };
        let mut events = match opened {
            Ok(events) => events.boxed(),
            Err(error) => return Ok(Err(self.failure(error, State::Watch { version }))),
        };
        self.report_live().await?;
        let (started, mut heard) = (Instant::now(), false);
        loop {
            let event = tokio::select! {
                event = timeout(Duration::from_secs(u64::from(WATCH_SECONDS) + 10), events.next()) => event,
                reason = silence(&mut self.probe) => {
                    return Ok(Err(Failure { reason, class: Class::Trouble, next: State::Watch { version } }));
                }
            };
            match event {
                Ok(Some(Ok(event))) => {
                    heard = true;
                    if let Some(next) = self.event(event, &mut version).await? {
                        return Ok(next);
                    }
                }
                Ok(Some(Err(error))) => return Ok(Err(self.failure(error, State::Watch { version }))),
                Ok(None) if !heard && started.elapsed() < TOO_SHORT => {
                    let reason = "the API server closed the watch at once".into();
                    return Ok(Err(Failure {
                        reason,
                        class: Class::Trouble,
                        next: State::Watch { version },
                    }));
                }
                // The server's time is up, or nothing has come for longer than that.
                Ok(None) | Err(_) => return Ok(Ok(State::Watch { version })),
            }
        }
    }

    /// Takes one event; answers where to go if the watch can't go on.
    async fn event(
        &mut self,
        event: WatchEvent<Value>,
        version: &mut String,
    ) -> Result<Option<Result<State, Failure>>, Closed> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version_of(&object, version);
                self.found(object).await?;
            }
            WatchEvent::Deleted(object) => {
                version_of(&object, version);
                if let Some(key) = self.key_of(&object) {
                    self.send(Update::Gone(ObjectRef { kind: self.kind, key })).await?;
                }
            }
            WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
            WatchEvent::Error(status) => {
                let error = Error::Api(status);
                return Ok(Some(Err(self.failure(error, State::Watch { version: version.clone() }))));
            }
        }
        Ok(None)
    }

    async fn found(&self, object: Value) -> Result<(), Closed> {
        if self.kind == Kind::ProxyConfig
            && self.key_of(&object) != Some(Key::new(PROXY_CONFIG_MAP.0, PROXY_CONFIG_MAP.1))
        {
            return Ok(());
        }
        let decoded = decode_as(self.kind, object);
        self.send(Update::Found { scope: self.scope.clone(), decoded }).await
    }

    fn key_of(&self, object: &Value) -> Option<Key> {
        let meta = object.get("metadata")?;
        let namespace = match self.kind {
            Kind::Namespace | Kind::Node => "",
            _ => meta.get("namespace").and_then(Value::as_str).unwrap_or_default(),
        };
        Some(Key::new(namespace, meta.get("name")?.as_str()?))
    }

    /// 410 asks for a new list at once, wherever it comes from; everything else goes on where it was, after a pause.
    fn failure(&self, error: Error, resume: State) -> Failure {
        let code = if let Error::Api(status) = &error { status.code } else { 0 };
        let (class, next) = match code {
            410 => (Class::Expired, State::List),
            403 | 404 => (Class::Forbidden, State::List),
            _ => (Class::Trouble, resume),
        };
        Failure { reason: explain(&error), class, next }
    }

    async fn report(&mut self, failure: &Failure) -> Result<(), Closed> {
        let reason = failure.reason.clone();
        let freshness = match failure.class {
            Class::Forbidden => Freshness::Forbidden { reason },
            Class::Expired => return Ok(()),
            Class::Trouble if self.reported == Reported::Listing => {
                return self.tell(Freshness::Listing { trouble: Some(reason) }).await;
            }
            // Stale since the first failure of a row.
            Class::Trouble if self.reported == Reported::Trouble => return Ok(()),
            Class::Trouble => Freshness::Stale { since: Timestamp::now(), reason },
        };
        self.reported = Reported::Trouble;
        self.tell(freshness).await
    }

    async fn report_live(&mut self) -> Result<(), Closed> {
        if self.reported == Reported::Live {
            return Ok(());
        }
        self.reported = Reported::Live;
        self.tell(Freshness::Live).await
    }

    async fn tell(&self, freshness: Freshness) -> Result<(), Closed> {
        self.send(Update::Freshness { kind: self.kind, scope: self.scope.clone(), freshness }).await
    }

    async fn send(&self, update: Update) -> Result<(), Closed> {
        self.out.send(update).await.map_err(|_| Closed)
    }

    fn url(&self) -> String {
        let (group, plural) = match self.kind {
            Kind::Namespace => ("/api/v1", "namespaces"),
            Kind::Node => ("/api/v1", "nodes"),
            Kind::Pod => ("/api/v1", "pods"),
            Kind::Service => ("/api/v1", "services"),
            Kind::Endpoints => ("/api/v1", "endpoints"),
            Kind::ProxyConfig => ("/api/v1", "configmaps"),
            Kind::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
        };
        match &self.scope {
            Scope::Cluster => format!("{group}/{plural}"),
            Scope::Namespace(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
        }
    }

    fn field_selector(&self) -> Option<String> {
        (self.kind == Kind::ProxyConfig).then(|| format!("metadata.name={}", PROXY_CONFIG_MAP.1))
    }
}

/// Resolves when the probe hears nothing.
async fn silence(probe: &mut watch::Receiver<Option<Text>>) -> Text {
    let heard = probe.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
    match heard {
        Some(reason) => reason,
        None => std::future::pending().await,
    }
}

fn version_of(object: &Value, version: &mut String) {
    let found = object.get("metadata").and_then(|meta| meta.get("resourceVersion")).and_then(Value::as_str);
    if let Some(found) = found {
        found.clone_into(version);
    }
}

/// A page of a list. Items stay JSON, so that one that makes no sense costs only itself.
#[derive(Deserialize)]
struct Page {
    metadata: PageMeta,
    items: Option<Vec<Value>>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continue_token: Option<String>,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let (first, longest) = BACKOFF;
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        pause.mul_f64(rand::random_range(0.5..1.0))
    }
}

/// The error in one line for people.
pub fn explain(error: &Error) -> Text {
    match error {
        Error::Api(status) if status.message.is_empty() => {
            format!("the API server answered {}", status.code).into()
        }
        Error::Api(status) => format!("{} ({})", status.message, status.code).into(),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text.replace('\n', " ").into()
        }
    }
}
