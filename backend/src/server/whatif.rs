//! `POST api/v1/whatif`: what would become of traffic, `predicted` from the newest state with the edits made in it. Nothing is changed.
//!
//! Body: `{"edits":[…]}`, as in `shared/schema/edits.schema.json`. Answer: a [`WhatIfResponse`]; 400 if the body is not a list of edits,
//! 422 if an edit is refused, with the API server's reason.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;
use vipscope_shared::api::WhatIfResponse;
use vipscope_shared::delta::Snapshot;
use vipscope_shared::whatif::apply::{Refusal, apply};
use vipscope_shared::whatif::edit::{self, Edit, ObjectName};
use vipscope_shared::whatif::{Options, difference_with};

use super::problem::Problem;
use crate::cluster::Feed;

pub async fn post(
    State(feed): State<Feed>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(body) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let edits = edit::read(body).map_err(|error| bad_request(format!("body: {error}")))?;
    let now = Timestamp::now();
    // A large cluster's difference takes a while: not on the thread that carries the streams.
    let made = tokio::task::spawn_blocking(move || answer(&feed.snapshot(), &edits, now)).await;
    let found =
        made.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(([(CACHE_CONTROL, "no-store")], Json(found)).into_response())
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn answer(snapshot: &Snapshot, edits: &[Edit], now: Timestamp) -> Result<WhatIfResponse, Problem> {
    let refused = |refusal: Refusal| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string());
    let after = apply(&snapshot.state, edits, now).map_err(refused)?;
    let options = Options { changed: Some(&after.changed), ..Options::at(now) };
    let difference = difference_with(&snapshot.state, &after.state, &options);
    let changed = after.changed.into_iter().map(ObjectName::from).collect();
    Ok(WhatIfResponse { revision: snapshot.revision.clone(), time: now, changed, difference })
}
