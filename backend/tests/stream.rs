//! The stream over a real socket: order, resync in-band with 4410, frozen clients, shutdown, foreign pages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use vipscope::cluster::{Limits, Writer, feed};
use vipscope::server::{AppState, Assets, BasePath, Metrics, Panel, Security, Traffic, app, serve};
use vipscope_shared::api::{ClusterInfo, SourceKind, StreamMessage};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{Key, Labels, Pod, Text};

const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    writer: Writer,
    url: String,
    shutdown: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

async fn server(limits: Limits) -> Server {
    let info = ClusterInfo { source: SourceKind::Sandbox, name: "test".into(), context: None, server: None };
    let (writer, feed) = feed::channel(info, "e1", limits, Timestamp::UNIX_EPOCH);
    let shutdown = CancellationToken::new();
    let assets = Assets::new([], &BasePath::default()).unwrap();
    let state = AppState {
        feed,
        assets,
        metrics: Metrics::default(),
        shutdown: shutdown.clone(),
        panel: Panel::default(),
        traffic: Traffic::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/api/v1/stream", listener.local_addr().unwrap());
    let running = tokio::spawn(serve(listener, app(state, Security::default()), shutdown.clone()));
    Server { writer, url, shutdown, running }
}

impl Server {
    async fn connect(&self, after: &str) -> Socket {
        connect_async(format!("{}?after={after}", self.url)).await.unwrap().0
    }

    /// One delta of about `bytes` bytes.
    fn commit(&mut self, bytes: usize) -> u64 {
        let mut pod = Pod::named(Key::new("shop", "pod"));
        let number =
            self.writer.read(|state| state.pods().values().next().map_or(0, |pod| pod.meta.uid.len())) + 1;
        pod.meta.uid = "x".repeat(number).into();
        pod.meta.labels = [("filler", "y".repeat(bytes).as_str())].into_iter().collect::<Labels>();
        let change = Change::Upsert(Object::Pod(Arc::new(pod)));
        self.writer.commit(vec![change], Timestamp::UNIX_EPOCH).unwrap().number
    }
}

/// The next message that is not a heartbeat.
async fn next(socket: &mut Socket) -> StreamMessage {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            let message = serde_json::from_str(&text).unwrap();
            if !matches!(message, StreamMessage::Heartbeat { .. }) {
                return message;
            }
        }
    }
}

async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Close(Some(frame)) => return frame.code.into(),
            _ => continue,
        }
    }
}

fn number(message: &StreamMessage) -> u64 {
    let StreamMessage::Delta(delta) = message else { panic!("{message:?}") };
    delta.revision.number
}

#[tokio::test]
async fn deltas_follow_the_revision_that_was_asked_for() {
    let mut server = server(Limits::default()).await;
    let (first, second) = (server.commit(10), server.commit(10));
    let mut socket = server.connect("e1-1").await;
    assert_eq!(number(&next(&mut socket).await), second);
    let third = server.commit(10);
    assert_eq!(number(&next(&mut socket).await), third);
    assert_eq!((first, third), (1, 3));
}

#[tokio::test]
async fn the_first_words_are_a_heartbeat_with_the_servers_clock() {
    let server = server(Limits::default()).await;
    let mut socket = server.connect("e1-0").await;
    let Message::Text(text) = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() else {
        panic!()
    };
    let StreamMessage::Heartbeat { time, revision } = serde_json::from_str(&text).unwrap() else {
        panic!("{text}")
    };
    assert!((Timestamp::now().as_second() - time.as_second()).abs() < 60);
    assert_eq!(revision.to_string(), "e1-0");
}

#[tokio::test]
async fn a_client_that_cannot_go_on_is_told_so_in_the_stream() {
    let mut server = server(Limits { deltas: 2, changes: 100 }).await;
    for _ in 0..5 {
        server.commit(10);
    }
    for after in ["e1-1", "e0-4", "e1-99"] {
        let mut socket = server.connect(after).await;
        assert!(matches!(next(&mut socket).await, StreamMessage::Resync { .. }), "{after}");
        assert_eq!(close_code(&mut socket).await, 4410, "{after}");
    }
}

/// The frozen client's deltas fill the socket's buffers and the ring many times over.
#[tokio::test]
async fn a_frozen_client_delays_nobody_and_costs_only_the_ring() {
    let mut server = server(Limits { deltas: 16, changes: 1000 }).await;
    let mut frozen = server.connect("e1-0").await;
    let mut lively = server.connect("e1-0").await;
    let (rounds, size) = (400, 100_000);
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        let start = Instant::now();
        server.commit(size);
        assert_eq!(number(&next(&mut lively).await), round);
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "the lively client waited {slowest:?}");
    // Awake again, it reads what the socket had buffered, and then that it has missed too much.
    let mut read = 0;
    loop {
        match next(&mut frozen).await {
            StreamMessage::Delta(delta) => read = delta.revision.number,
            StreamMessage::Resync { .. } => break,
            StreamMessage::Heartbeat { .. } => {}
        }
    }
    assert!(read < rounds / 2, "40 MB were not queued for it: it got {read} deltas of {rounds}");
    assert_eq!(close_code(&mut frozen).await, 4410);
}

#[tokio::test]
async fn shutdown_closes_sockets_within_five_seconds() {
    let server = server(Limits::default()).await;
    let mut talking = server.connect("e1-0").await;
    // Connected, never says or reads anything.
    let address = server.url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
    let _mute = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    server.shutdown.cancel();
    assert_eq!(close_code(&mut talking).await, 1001);
    talking.close(None).await.ok();
    timeout(PATIENCE, server.running).await.unwrap().unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn pings_are_answered_and_chatter_is_ignored() {
    let mut server = server(Limits::default()).await;
    let mut socket = server.connect("e1-0").await;
    socket.send(Message::Text("hello".into())).await.unwrap();
    socket.send(Message::Ping(bytes::Bytes::from_static(b"?"))).await.unwrap();
    loop {
        if let Message::Pong(payload) = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            assert_eq!(&payload[..], b"?");
            break;
        }
    }
    let committed = server.commit(10);
    assert_eq!(number(&next(&mut socket).await), committed);
}

#[tokio::test]
async fn a_foreign_page_cannot_open_a_socket() {
    let server = server(Limits::default()).await;
    let address: Text = server.url.as_str().into();
    let mut request = format!("{address}?after=e1-0").into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://evil.example.com".parse().unwrap());
    let Err(Error::Http(response)) = connect_async(request).await else { panic!("it was opened") };
    assert_eq!(response.status(), 403);
}
