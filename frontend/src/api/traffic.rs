//! The second socket: live traffic and how nodes stand. Open only while something on the page can show it; after an end
//! that nobody wanted it is opened again, ever more patiently.

use futures::StreamExt;
use futures::future::{Either, select};
use gloo_net::http::Request;
use gloo_net::websocket::{Message, futures::WebSocket};
use gloo_timers::future::TimeoutFuture;
use serde::{Deserialize, Serialize};
use vipscope_shared::model::ProxyMode;
use vipscope_shared::predict::{Answer, Basis};
use vipscope_shared::traffic::{NodeFault, TrafficMessage};

use super::sandbox::accepted;
use super::{SILENCE_MS, backoff_ms, open_socket};
use crate::store::Store;
use crate::traffic::Live;

/// How often is asked whether the socket is (still) wanted, and whether what is known has become stale.
const STEP_MS: u32 = 500;

/// Keeps `live` up to date for as long as the page lives.
pub fn start(store: Store, live: Live) {
    leptos::task::spawn_local(run(store, live));
}

async fn run(store: Store, live: Live) {
    let mut failures = 0;
    loop {
        if !(live.is_wanted() && store.peek(|data| data.cluster.is_some())) {
            TimeoutFuture::new(STEP_MS).await;
            continue;
        }
        let heard = match open_socket("api/v1/traffic") {
            Ok(socket) => listen(live, socket).await,
            Err(_) => false,
        };
        live.interrupt();
        if !live.is_wanted() {
            failures = 0;
            continue;
        }
        failures = if heard { 0 } else { failures + 1 };
        let mut left = backoff_ms(failures, js_sys::Math::random());
        while left > 0 {
            let step = left.min(STEP_MS);
            TimeoutFuture::new(step).await;
            live.check(now());
            left -= step;
        }
    }
}

/// Until the socket ends, says nothing for too long, or is no longer wanted; answers whether anything was heard.
async fn listen(live: Live, mut socket: WebSocket) -> bool {
    let (mut heard, mut silent) = (false, 0);
    while live.is_wanted() && silent < SILENCE_MS {
        match select(socket.next(), TimeoutFuture::new(STEP_MS)).await {
            Either::Right(_) => {
                silent += STEP_MS;
                live.check(now());
            }
            Either::Left((Some(Ok(Message::Text(text))), _)) => {
                let Ok(message) = serde_json::from_str::<TrafficMessage>(&text) else { return heard };
                live.receive(message, now());
                (heard, silent) = (true, 0);
            }
            Either::Left((Some(Ok(Message::Bytes(_))), _)) => {}
            Either::Left((Some(Err(_)) | None, _)) => return heard,
        }
    }
    heard
}

/// Milliseconds since the page was opened.
fn now() -> f64 {
    leptos::prelude::window().performance().map_or(0.0, |clock| clock.now())
}

/// Switches exactly these faults on.
pub async fn set_faults(node: &str, faults: &[NodeFault]) -> Result<(), String> {
    let request =
        Request::post(&node_route(node, "faults")).json(faults).map_err(|error| error.to_string())?;
    accepted(request.send().await.map_err(|error| error.to_string())?).await.map(|_| ())
}

/// Lets the node's proxy go on in another mode.
pub async fn set_mode(node: &str, mode: ProxyMode) -> Result<(), String> {
    let body = serde_json::json!({ "mode": mode });
    let request = Request::post(&node_route(node, "mode")).json(&body).map_err(|error| error.to_string())?;
    accepted(request.send().await.map_err(|error| error.to_string())?).await.map(|_| ())
}

fn node_route(node: &str, what: &str) -> String {
    format!("api/v1/sandbox/nodes/{}/{what}", String::from(js_sys::encode_uri_component(node)))
}

/// A packet, asked of the rules that a node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActualTrace {
    node: String,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    basis: Basis,
}

impl ActualTrace {
    pub fn new(node: String, from: String, to: String, protocol: Option<String>) -> ActualTrace {
        ActualTrace { node, from, to, protocol, basis: Basis::Observed }
    }
}

/// What the node's own rules make of a packet: one answer for each address and port of the destination.
pub async fn trace_actual(trace: &ActualTrace) -> Result<Vec<Answer>, String> {
    #[derive(Deserialize)]
    struct Answers {
        #[serde(default)]
        answers: Vec<Answer>,
    }
    let request = Request::post("api/v1/trace").json(trace).map_err(|error| error.to_string())?;
    let response = accepted(request.send().await.map_err(|error| error.to_string())?).await?;
    let answers: Answers = response.json().await.map_err(|error| error.to_string())?;
    Ok(answers.answers)
}
