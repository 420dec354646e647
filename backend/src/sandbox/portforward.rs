//! `kubectl port-forward`: not yet.

use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::api::Api;
use super::errors::Refusal;
use super::query::Query;
use super::route::Target;

/// Says that there is none.
pub async fn upgrade(_: &Api, _: &Target, _: &mut Parts, _: &Query) -> Response {
    Refusal::bad_request("port-forward is not available in the sandbox yet").into_response()
}
