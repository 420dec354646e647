//! `GET api/v1/snapshot`: the whole state at a revision, which is its `ETag`.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::cluster::Feed;

pub async fn get(State(feed): State<Feed>, headers: HeaderMap) -> Result<Response, Problem> {
    let etag = format!("\"{}\"", feed.revision());
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|tag| matches(tag.trim(), &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    // Serialising a large cluster takes a while: not on the thread that carries the streams.
    let made = tokio::task::spawn_blocking(move || feed.snapshot_json()).await;
    let failed = |error: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error);
    let (revision, body) = made.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))?;
    let headers = [
        (ETAG, format!("\"{revision}\"")),
        (CONTENT_TYPE, "application/json".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, body).into_response())
}

/// Weak comparison (RFC 9110, 8.8.3.2): compressed bodies make the tag weak on its way.
fn matches(tag: &str, etag: &str) -> bool {
    tag == "*" || tag.trim_start_matches("W/") == etag
}
