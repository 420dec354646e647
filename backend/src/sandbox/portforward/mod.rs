//! `kubectl port-forward`: streams to the ports of simulated pods, over three carriers.
//!
//! kubectl tunnels SPDY through a WebSocket, older ones speak SPDY after a POST, and other clients use WebSocket channels. The
//! other end is always [`pod`], the pod's own small HTTP server.

mod channels;
mod headers;
mod pod;
mod spdy;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use super::api::Api;
use super::errors::Refusal;
use super::query::Query;
use super::resources::Type;
use super::route::Target;
use pod::PodServer;

/// SPDY inside a WebSocket.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: [&str; 2] = ["v4.channel.k8s.io", "v5.channel.k8s.io"];
const SPDY: &str = "SPDY/3.1";
const STREAMS: &str = "portforward.k8s.io";
/// Bytes between a carrier and what reads it.
const BUFFER: usize = 64 * 1024;

/// Answers the upgrade request and serves the connection.
pub async fn upgrade(api: &Api, target: &Target, parts: &mut Parts, query: &Query) -> Response {
    match accept(api, target, parts, query).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn accept(api: &Api, target: &Target, parts: &mut Parts, query: &Query) -> Result<Response, Refusal> {
    let key = target.key();
    let found = api.store.get(Type::Pods, &key).ok_or_else(|| Refusal::not_found(Type::Pods, &key.name))?;
    let server = Arc::new(PodServer::new(api.store.clone(), key, &found));
    let gone = server.clone().gone(api.stop.clone());
    let upgrades_to = |name: &str| has(&parts.headers, &header::UPGRADE, name);
    if upgrades_to(SPDY) {
        if !has(&parts.headers, "x-stream-protocol-version", STREAMS) {
            return Err(Refusal::plain(403, format!("unable to upgrade: the sandbox speaks {STREAMS}")));
        }
        return raw(parts, server, gone);
    }
    if !upgrades_to("websocket") {
        return Err(Refusal::bad_request("unable to upgrade: missing upgrade headers in request"));
    }
    let websocket = WebSocketUpgrade::from_request_parts(parts, &()).await;
    let websocket = websocket.map_err(|error| Refusal::bad_request(error.to_string()))?;
    if has(&parts.headers, &header::SEC_WEBSOCKET_PROTOCOL, TUNNEL) {
        return Ok(websocket.protocols([TUNNEL]).on_upgrade(async move |socket| {
            let (ours, theirs) = tokio::io::duplex(BUFFER);
            tokio::select! {
                () = tunnel(socket, theirs) => {}
                () = spdy::serve(ours, server) => {}
                () = gone => {}
            }
        }));
    }
    let ports = channels::ports(query.get("ports"))?;
    Ok(websocket.protocols(CHANNELS).on_upgrade(async move |socket| {
        tokio::select! {
            () = channels::serve(socket, ports, server) => {}
            () = gone => {}
        }
    }))
}

/// Whether one of the header's comma-separated values is `wanted`.
fn has(headers: &HeaderMap, name: impl header::AsHeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
}

/// SPDY on the connection itself.
fn raw(
    parts: &mut Parts,
    server: Arc<PodServer>,
    gone: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, Refusal> {
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let upgrade = upgrade.ok_or_else(|| Refusal::bad_request("this connection can't be upgraded"))?;
    tokio::spawn(async move {
        let Ok(connection) = upgrade.await else { return };
        tokio::select! {
            () = spdy::serve(TokioIo::new(connection), server) => {}
            () = gone => {}
        }
    });
    let headers = [("connection", "Upgrade"), ("upgrade", SPDY), ("x-stream-protocol-version", STREAMS)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The bytes of a WebSocket's messages, as a stream.
async fn tunnel(mut socket: WebSocket, pipe: DuplexStream) {
    let (mut from_us, mut to_us): (ReadHalf<_>, WriteHalf<_>) = tokio::io::split(pipe);
    let mut chunk = vec![0; BUFFER];
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if to_us.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            read = from_us.read(&mut chunk) => {
                let Ok(count @ 1..) = read else {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                };
                if socket.send(Message::Binary(Bytes::copy_from_slice(&chunk[..count]))).await.is_err() {
                    return;
                }
            }
        }
    }
}
