//! `GET api/v1/findings?service&ignore`: what is wrong, in the newest state and at the server's time, as JSON.
//!
//! With `service=NAMESPACE/NAME` only what concerns that Service; `ignore=CODE,…` marks findings as suppressed.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use vipscope_shared::api::FindingsResponse;
use vipscope_shared::delta::Snapshot;
use vipscope_shared::diagnose::{Options, diagnose, diagnose_service};
use vipscope_shared::model::Key;

use super::problem::Problem;
use crate::cluster::Feed;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    service: Option<String>,
    ignore: Option<String>,
}

pub async fn get(
    State(feed): State<Feed>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = params.map_err(|rejection| bad_request(rejection.body_text()))?;
    let options = options(params.ignore.as_deref(), Timestamp::now())?;
    let service = params.service.as_deref().map(service).transpose()?;
    // A large cluster's findings take a while: not on the thread that carries the streams.
    let made =
        tokio::task::spawn_blocking(move || answer(&feed.snapshot(), service.as_ref(), &options)).await;
    let found =
        made.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(([(CACHE_CONTROL, "no-cache")], Json(found)).into_response())
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn options(ignore: Option<&str>, now: Timestamp) -> Result<Options, Problem> {
    let codes = ignore.unwrap_or_default().split(',').map(str::trim).filter(|code| !code.is_empty());
    let codes =
        codes.map(|code| code.parse().map_err(|error| bad_request(format!("parameter `ignore`: {error}"))));
    Ok(Options { now, ignore: codes.collect::<Result<_, _>>()? })
}

fn service(text: &str) -> Result<Key, Problem> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Key::new(namespace, name)),
        _ => Err(bad_request(format!("parameter `service`: `{text}` is not NAMESPACE/NAME"))),
    }
}

fn answer(
    snapshot: &Snapshot,
    service: Option<&Key>,
    options: &Options,
) -> Result<FindingsResponse, Problem> {
    let state = &snapshot.state;
    let report = match service {
        None => diagnose(state, options),
        Some(key) if state.services().contains(key) => diagnose_service(state, key, options),
        Some(key) => return Err(Problem::new(StatusCode::NOT_FOUND, format!("Service {key} is not there"))),
    };
    Ok(FindingsResponse {
        revision: snapshot.revision.clone(),
        time: options.now,
        findings: report.findings,
        skipped: report.skipped,
    })
}
