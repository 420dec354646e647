//! `api/v1/sandbox/…`: the panel of the dashboard while its source is the sandbox.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `GET examples` | | `[{"name","title","manifest"}]` |
//! | `POST apply[?namespace=NS]` | a manifest, `application/yaml` or `application/json` | `[{"kind","namespace","name","outcome"}]` |
//! | `POST scale` | `{"namespace","name","replicas"}`, a Deployment | 204 |
//! | `POST pod` | `{"namespace","name","state":"unready\|crash\|heal\|delete"}` | 204 |
//! | `POST node` | `{"name","state":"fail\|heal\|cordon\|uncordon\|drain"}` | 204 |
//! | `GET nodes/{node}/faults` | | `[{"fault":"sync-stopped"}]`: what is switched on |
//! | `POST nodes/{node}/faults` | the whole list that is to be on | 204 |
//! | `POST nodes/{node}/mode` | `{"mode":"userspace\|iptables\|nftables\|ipvs"}` | 204 |
//! | `POST reset` | | 204 |
//!
//! With another source all of them are 404.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use vipscope_shared::model::{Key, ProxyMode};
use vipscope_shared::traffic::NodeFault;

use super::AppState;
use super::problem::Problem;
use crate::sandbox::{Example, NodeState, Outcome, PanelError, PodState, Sandbox, examples};

/// Largest manifest, as the sandbox's API has it.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The sandbox, if it is the source.
#[derive(Debug, Clone, Default)]
pub struct Panel(pub Option<Arc<Sandbox>>);

impl Panel {
    fn sandbox(&self) -> Result<&Sandbox, Problem> {
        let none = || Problem::new(StatusCode::NOT_FOUND, "the source is not the sandbox");
        self.0.as_deref().ok_or_else(none)
    }
}

impl From<PanelError> for Problem {
    fn from(error: PanelError) -> Problem {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem::new(status, error.detail)
    }
}

/// The routes, below `/api/v1/sandbox`.
pub fn routes() -> Router<AppState> {
    Router::new()
        .route("/examples", get(list_examples))
        .route("/apply", post(apply))
        .route("/scale", post(scale))
        .route("/pod", post(pod))
        .route("/node", post(node))
        .route("/nodes/{node}/faults", get(faults).post(set_faults))
        .route("/nodes/{node}/mode", post(set_mode))
        .route("/reset", post(reset))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

async fn list_examples(State(panel): State<Panel>) -> Result<Json<Vec<Example>>, Problem> {
    panel.sandbox()?;
    Ok(Json(examples()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    namespace: Option<String>,
}

async fn apply(
    State(panel): State<Panel>,
    place: Result<Query<Where>, QueryRejection>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Vec<Outcome>>, Problem> {
    let sandbox = panel.sandbox()?;
    let Query(place) = place.map_err(|rejection| bad_request(rejection.body_text()))?;
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !matches!(kind.split(';').next().unwrap_or_default().trim(), "application/yaml" | "application/json") {
        let detail = "a manifest is sent as application/yaml or application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(Json(sandbox.apply(&body, place.namespace.as_deref().unwrap_or("default"))?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    namespace: String,
    name: String,
    /// More than this no demo needs, and all of them are simulated.
    replicas: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pod {
    namespace: String,
    name: String,
    state: PodState,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    state: NodeState,
}

fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body).map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
}

async fn scale(
    State(panel): State<Panel>,
    body: Result<Json<Scale>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let sandbox = panel.sandbox()?;
    let body = read(body)?;
    sandbox.scale(&Key::new(body.namespace, body.name), u32::from(body.replicas))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn pod(
    State(panel): State<Panel>,
    body: Result<Json<Pod>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let sandbox = panel.sandbox()?;
    let body = read(body)?;
    sandbox.set_pod(&Key::new(body.namespace, body.name), body.state)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn node(
    State(panel): State<Panel>,
    body: Result<Json<Node>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let sandbox = panel.sandbox()?;
    let body = read(body)?;
    sandbox.set_node(&body.name, body.state)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(
    State(panel): State<Panel>,
    Path(node): Path<String>,
) -> Result<Json<Vec<NodeFault>>, Problem> {
    Ok(Json(panel.sandbox()?.faults(&node)?))
}

async fn set_faults(
    State(panel): State<Panel>,
    Path(node): Path<String>,
    body: Result<Json<Vec<NodeFault>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    panel.sandbox()?.set_faults(&node, read(body)?)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mode {
    mode: ProxyMode,
}

async fn set_mode(
    State(panel): State<Panel>,
    Path(node): Path<String>,
    body: Result<Json<Mode>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    panel.sandbox()?.set_proxy_mode(&node, read(body)?.mode)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset(State(panel): State<Panel>) -> Result<StatusCode, Problem> {
    panel.sandbox()?.reset();
    Ok(StatusCode::NO_CONTENT)
}
