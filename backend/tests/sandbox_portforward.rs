//! Port-forward over WebSocket channels, as clients other than kubectl speak it (`v4.channel.k8s.io`), and its refusals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vipscope::sandbox::{Options, Sandbox};

const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A served sandbox with a pod that listens on 8080.
async fn started() -> (Sandbox, SocketAddr) {
    let sandbox = Sandbox::start(Options { empty: true, churn: false, ..Options::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(sandbox.serve(listener, CancellationToken::new()));
    let container = json!({"name": "c", "image": "c:1", "ports": [{"containerPort": 8080}]});
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}});
    assert_eq!(request(&sandbox, "POST", "pods", &pod.to_string()).await.0, 201);
    let running = async {
        while request(&sandbox, "GET", "pods/p", "").await.1["status"]["phase"] != "Running" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, running).await.expect("the pod runs");
    (sandbox, address)
}

async fn request(sandbox: &Sandbox, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(format!("/api/v1/namespaces/default/{path}"));
    let request = request
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body.to_owned()))
        .unwrap();
    let answer = sandbox.router().oneshot(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap())
}

async fn connect(address: SocketAddr, pod: &str, ports: &str) -> Result<Socket, Error> {
    let url = format!("ws://{address}/api/v1/namespaces/default/pods/{pod}/portforward?{ports}");
    let mut request = url.into_client_request().unwrap();
    let protocols = "v5.channel.k8s.io, v4.channel.k8s.io";
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let (socket, answer) = connect_async(request).await?;
    assert_eq!(answer.headers()["sec-websocket-protocol"], "v4.channel.k8s.io");
    Ok(socket)
}

async fn next(socket: &mut Socket) -> Vec<u8> {
    loop {
        let message = timeout(PATIENCE, socket.next()).await.expect("a message comes").unwrap().unwrap();
        if let Message::Binary(bytes) = message {
            return bytes.to_vec();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_carry_data_and_errors() {
    let (sandbox, address) = started().await;
    let mut socket = connect(address, "p", "&ports=8080,9999").await.unwrap();
    assert_eq!(next(&mut socket).await, [0, 0x90, 0x1f]);
    assert_eq!(next(&mut socket).await, [1, 0x90, 0x1f]);
    let mut refused = Vec::new();
    for _ in 0..3 {
        refused.push(next(&mut socket).await);
    }
    assert_eq!(refused[..2], [vec![2, 0x0f, 0x27], vec![3, 0x0f, 0x27]]);
    let why = String::from_utf8(refused[2][1..].to_vec()).unwrap();
    assert!(refused[2][0] == 3 && why.ends_with("connection refused"), "{why}");

    let head = b"\x00GET / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
    socket.send(Message::Binary(head.to_vec().into())).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\np\n") {
        let message = next(&mut socket).await;
        assert_eq!(message[0], 0);
        answer.extend(&message[1..]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));

    // The pod goes, and the connection with it.
    let mut socket = connect(address, "p", "ports=8080").await.unwrap();
    assert_eq!(next(&mut socket).await[0], 0);
    let code = request(&sandbox, "DELETE", "pods/p", r#"{"gracePeriodSeconds":0}"#).await.0;
    assert_eq!(code, 200);
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, ended).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let (sandbox, address) = started().await;
    for (pod, ports, expected) in
        [("nope", "ports=80", 404), ("p", "", 400), ("p", "ports=0", 400), ("p", "ports=x", 400)]
    {
        match connect(address, pod, ports).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), expected, "{pod} {ports}"),
            other => panic!("{pod} {ports}: {:?}", other.map(drop)),
        }
    }
    let (code, status) = request(&sandbox, "GET", "pods/p/portforward", "").await;
    let why = "unable to upgrade: missing upgrade headers in request";
    assert_eq!((code, status["message"].as_str()), (400, Some(why)));
}
