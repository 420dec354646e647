//! `api/v1/stream?after=REVISION`: the deltas after a snapshot, over a WebSocket.
//!
//! One task a client, with a position in the feed's ring and nothing queued: a client that stops reading blocks only its
//! own task, until a send takes too long and the socket is dropped. A client that has fallen behind the ring is told so in
//! the stream (a browser cannot read the status of a failed upgrade) and closed with 4410.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vipscope_shared::api::{CLOSE_RESYNC, HEARTBEAT_SECONDS, StreamMessage};
use vipscope_shared::delta::Revision;

use super::AppState;
use super::problem::Problem;
use super::socket::{CLOSE_GOING_AWAY, Client, NotTaken, SILENCE, bounded};
use crate::cluster::{Cursor, Resync};

#[derive(Debug, Deserialize)]
pub struct Params {
    after: Option<String>,
}

pub async fn upgrade(
    State(state): State<AppState>,
    Query(params): Query<Params>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    let Some(after) = params.after else {
        return bad("the parameter `after` is missing: take a snapshot and pass its revision".to_owned());
    };
    let after: Revision = match after.parse() {
        Ok(after) => after,
        Err(error) => return bad(format!("parameter `after`: {error}")),
    };
    match upgrade {
        Ok(upgrade) => bounded(upgrade).on_upgrade(move |socket| run(socket, state, after)),
        Err(rejection) => bad(format!("this is a WebSocket: {}", rejection.body_text())),
    }
}

async fn run(socket: WebSocket, state: AppState, after: Revision) {
    let _counted = state.metrics.client();
    let (sink, mut incoming) = socket.split();
    let mut client = Client { sink };
    let end = match state.feed.subscribe(&after) {
        Ok(cursor) => converse(&mut client, &mut incoming, cursor, &state).await,
        Err(resync) => End::Resync(resync),
    };
    match end {
        End::Resync(resync) => {
            state.metrics.resyncs.inc();
            client.resync(&resync).await;
        }
        End::Shutdown => client.close(CLOSE_GOING_AWAY, "the server is stopping").await,
        End::Gone => {}
    }
}

/// Why a conversation ended.
enum End {
    Resync(Resync),
    Shutdown,
    /// The client has left, or no longer takes or answers anything.
    Gone,
}

async fn converse(
    client: &mut Client,
    incoming: &mut (impl StreamExt<Item = Result<Message, axum::Error>> + Unpin),
    mut cursor: Cursor,
    state: &AppState,
) -> End {
    let mut heartbeat = interval(Duration::from_secs(HEARTBEAT_SECONDS));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let sent = tokio::select! {
            biased;
            () = state.shutdown.cancelled() => return End::Shutdown,
            message = incoming.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = heartbeat.tick() => {
                if heard.elapsed() > SILENCE {
                    return End::Gone;
                }
                client.heartbeat(cursor.revision()).await
            }
            delta = cursor.next() => match delta {
                Ok(json) => client.send(Message::Text(json)).await,
                Err(resync) => return End::Resync(resync),
            },
        };
        if sent.is_err() {
            return End::Gone;
        }
    }
}

impl Client {
    async fn heartbeat(&mut self, revision: &Revision) -> Result<(), NotTaken> {
        self.message(&StreamMessage::Heartbeat { time: Timestamp::now(), revision: revision.clone() })
            .await?;
        self.ping().await
    }

    async fn message(&mut self, message: &StreamMessage) -> Result<(), NotTaken> {
        let json = serde_json::to_string(message).map_err(|_| NotTaken)?;
        self.send(Message::Text(Utf8Bytes::from(json))).await
    }

    async fn resync(&mut self, resync: &Resync) {
        let reason = resync.to_string();
        if self.message(&StreamMessage::Resync { reason: reason.as_str().into() }).await.is_ok() {
            self.close(CLOSE_RESYNC, &reason).await;
        }
    }
}
