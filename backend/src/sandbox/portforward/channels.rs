//! WebSocket channels (`v4.channel.k8s.io`): the first byte of a message says which port's data or error it is.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{SelectAll, StreamExt};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio_util::io::ReaderStream;

use super::pod::PodServer;
use crate::sandbox::errors::Refusal;

/// Ports of one connection: their channels are numbered by one byte.
const MOST: usize = 127;

/// Reads `8080,9090`.
pub fn ports(text: &str) -> Result<Vec<u16>, Refusal> {
    let bad = || Refusal::bad_request("query parameter \"ports\" is required, with port numbers");
    let ports: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
    ports.ok().filter(|ports| ports.len() <= MOST && !ports.contains(&0)).ok_or_else(bad)
}

fn message(channel: u8, content: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(content.len() + 1);
    bytes.put_u8(channel);
    bytes.put(content);
    Message::Binary(bytes.freeze())
}

/// Serves until one side closes.
pub async fn serve(mut socket: WebSocket, ports: Vec<u16>, server: Arc<PodServer>) {
    let mut writers: Vec<Option<WriteHalf<_>>> = Vec::new();
    let mut readers = SelectAll::new();
    for (at, port) in (0_u8..).zip(&ports) {
        // Each channel begins with its port.
        for channel in [2 * at, 2 * at + 1] {
            if socket.send(message(channel, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        match server.connect(*port) {
            Ok(connection) => {
                let (reader, writer) = tokio::io::split(connection);
                let end = futures::stream::once(async { Ok(Bytes::new()) });
                readers.push(ReaderStream::new(reader).chain(end).map(move |chunk| (at, chunk)).boxed());
                writers.push(Some(writer));
            }
            Err(why) => {
                writers.push(None);
                if socket.send(message(2 * at + 1, why.as_bytes())).await.is_err() {
                    return;
                }
            }
        }
    }
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Binary(bytes))) => take_in(&mut writers, &bytes).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            Some((at, chunk)) = readers.next(), if !readers.is_empty() => {
                let Ok(chunk) = chunk else { return };
                if chunk.is_empty() && readers.is_empty() {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
                if !chunk.is_empty() && socket.send(message(2 * at, &chunk)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Data for a port; what comes on error channels or for closed ports is dropped.
async fn take_in(writers: &mut [Option<WriteHalf<tokio::io::DuplexStream>>], bytes: &[u8]) {
    let Some((channel, content)) = bytes.split_first() else { return };
    let slot = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
    if let Some(slot) = slot
        && let Some(writer) = slot
        && writer.write_all(content).await.is_err()
    {
        *slot = None;
    }
}
