//! Probes: `/healthz` is life, `/readyz` is having seen the cluster.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use vipscope_shared::model::Kind;

use super::problem::Problem;
use crate::cluster::Feed;

pub async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 once every kind has been listed, or was refused; 503 with the kinds that are still awaited until then.
pub async fn readyz(State(feed): State<Feed>) -> Response {
    let waiting: Vec<&str> = feed.read(|snapshot| {
        let sources = snapshot.state.sources();
        let settled = |kind: &Kind| sources.get(kind).is_some_and(|source| source.freshness.is_settled());
        Kind::ALL.iter().filter(|kind| !settled(kind)).map(|kind| kind.as_str()).collect()
    });
    if waiting.is_empty() {
        return "ok\n".into_response();
    }
    let detail = format!("not listed yet: {}", waiting.join(", "));
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
}
