//! Connects to the backend: a snapshot by GET, then the WebSocket after its revision; the only writer of the store.
//!
//! [`connection`] is the pure part: states, patience and back-off. Here are the fetch, the socket and the loop. Nothing
//! ends it: a lost backend is asked again, ever more patiently, and the last state stays visible meanwhile.

mod connection;
pub mod sandbox;
pub mod traffic;

use futures::StreamExt;
use futures::future::{Either, abortable, select};
use gloo_net::http::Request;
use gloo_net::websocket::{Message, WebSocketError, futures::WebSocket};
use gloo_timers::future::TimeoutFuture;
use vipscope_shared::api::{CLOSE_RESYNC, Problem, SnapshotResponse, StreamMessage};
use vipscope_shared::delta::Revision;

pub use connection::{Connection, Ending, Patience, SILENCE_MS, backoff_ms};

use crate::open_file::Opened;
use crate::store::{Received, Store};

/// Longest time to wait for a snapshot.
const SNAPSHOT_MS: u32 = 60_000;
/// Longest time for which `retry now` and `online` go unnoticed while waiting.
const WAIT_STEP_MS: u32 = 250;

/// Keeps the store in step with the backend until a file is opened instead.
pub fn start(store: Store) {
    let (feed, handle) = abortable(run(store));
    store.set_feed(Some(handle));
    leptos::task::spawn_local(async move {
        // Aborted by whoever opens a file.
        let _ = feed.await;
    });
}

/// Shows a file instead of the backend's cluster. The connection is closed, and the backend hears nothing of it.
pub fn open_file(store: Store, opened: Opened, response: SnapshotResponse) {
    if let Some(feed) = store.set_feed(None) {
        feed.abort();
    }
    store.open(opened, response);
}

/// Closes the file and connects to the backend again.
pub fn go_live(store: Store) {
    store.clear();
    start(store);
}

async fn run(store: Store) {
    let mut patience = Patience::default();
    loop {
        let ending = connect_once(store, &mut patience).await;
        let wait = patience.after(&ending, js_sys::Math::random());
        store.set_connection(patience.connection(&ending, store.heard()));
        pause(store, wait).await;
    }
}

/// Waits, but not longer than until someone asks to retry now.
async fn pause(store: Store, milliseconds: u32) {
    let asked = store.retries();
    let mut left = milliseconds;
    while left > 0 && store.retries() == asked {
        let step = left.min(WAIT_STEP_MS);
        TimeoutFuture::new(step).await;
        left -= step;
    }
}

/// One snapshot if needed, one socket until it ends.
async fn connect_once(store: Store, patience: &mut Patience) -> Ending {
    if patience.needs_snapshot() {
        match fetch_snapshot().await {
            Ok(snapshot) => store.reset(snapshot),
            Err(problem) => return Ending::Unreachable(problem),
        }
        patience.took_snapshot();
        store.set_connection(Connection::Live);
    }
    let Some(revision) = store.peek(|data| data.revision.clone()) else { return Ending::Resync };
    match open_stream(&revision) {
        Ok(socket) => listen(store, patience, socket).await,
        Err(problem) => Ending::Unreachable(problem),
    }
}

async fn fetch_snapshot() -> Result<SnapshotResponse, String> {
    let request = Box::pin(async {
        let response = Request::get("api/v1/snapshot").send().await.map_err(|error| error.to_string())?;
        let text = response.text().await.map_err(|error| error.to_string())?;
        if !response.ok() {
            let detail = serde_json::from_str::<Problem>(&text).map(|problem| problem.detail.to_string());
            return Err(detail.unwrap_or_else(|_| format!("the backend answered {}", response.status())));
        }
        serde_json::from_str(&text).map_err(|error| format!("the snapshot can't be read: {error}"))
    });
    match select(request, TimeoutFuture::new(SNAPSHOT_MS)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err("the backend took too long to answer".to_owned()),
    }
}

fn open_stream(after: &Revision) -> Result<WebSocket, String> {
    open_socket(&format!("api/v1/stream?after={after}"))
}

/// The URL is relative to the document's base, as everything is.
fn open_socket(path: &str) -> Result<WebSocket, String> {
    let base = leptos::prelude::document().base_uri().ok().flatten().unwrap_or_default();
    let url = web_sys::Url::new_with_base(path, &base).map_err(|_| format!("{base} is no base for URLs"))?;
    url.set_protocol(if url.protocol() == "https:" { "wss:" } else { "ws:" });
    WebSocket::open(&url.href()).map_err(|error| error.to_string())
}

async fn listen(store: Store, patience: &mut Patience, mut socket: WebSocket) -> Ending {
    loop {
        let silence = TimeoutFuture::new(SILENCE_MS);
        let text = match select(socket.next(), silence).await {
            Either::Right(_) => return Ending::Silent,
            Either::Left((Some(Ok(Message::Text(text))), _)) => text,
            Either::Left((Some(Ok(Message::Bytes(_))), _)) => continue,
            Either::Left((Some(Err(WebSocketError::ConnectionClose(close))), _))
                if close.code == CLOSE_RESYNC =>
            {
                return Ending::Resync;
            }
            Either::Left((Some(Err(_)) | None, _)) => return Ending::Lost,
        };
        let Ok(message) = serde_json::from_str::<StreamMessage>(&text) else { return Ending::Resync };
        if let Received::Resync(_) = store.receive(&message) {
            return Ending::Resync;
        }
        patience.heard();
        store.set_connection(Connection::Live);
    }
}

/// A page that comes back to light or to the network need not wait for the next attempt.
pub fn watch_wakeups(store: Store) {
    use leptos::prelude::{document, window_event_listener_untyped};
    let _ = window_event_listener_untyped("online", move |_| store.retry_now());
    let _ = window_event_listener_untyped("focus", move |_| {
        if !document().hidden() {
            store.retry_now();
        }
    });
}
