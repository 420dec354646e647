//! What every WebSocket here has in common: time limits, a bound on what clients send, close codes.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::time::timeout;

/// A message must be taken within this time.
const SEND: Duration = Duration::from_secs(15);
/// A client must answer pings within this time.
pub const SILENCE: Duration = Duration::from_secs(45);
/// Clients have nothing to say; what they send anyway is bounded.
const MAX_INCOMING: usize = 4096;
/// Close code of RFC 6455.
pub const CLOSE_GOING_AWAY: u16 = 1001;

/// The upgrade with its bounds.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.max_message_size(MAX_INCOMING).max_frame_size(MAX_INCOMING)
}

/// The sending half. Every send has a time limit, so that a frozen client is let go.
pub struct Client {
    pub sink: SplitSink<WebSocket, Message>,
}

/// The client did not take it.
pub struct NotTaken;

impl Client {
    pub async fn send(&mut self, message: Message) -> Result<(), NotTaken> {
        match timeout(SEND, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotTaken),
        }
    }

    pub async fn ping(&mut self) -> Result<(), NotTaken> {
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: reason.chars().take(100).collect::<String>().into() };
        // Gone already, then; there is nobody to tell.
        let _ = self.send(Message::Close(Some(frame))).await;
    }
}
