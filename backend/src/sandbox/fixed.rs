//! Documents beside the objects: discovery, OpenAPI, version, health.

use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::discovery::{self, Core};
use super::errors::Refusal;
use super::openapi;
use super::query::Query;
use super::route::Fixed;

const PLAIN: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];

/// Not a path of the API.
pub fn no_page() -> Response {
    (StatusCode::NOT_FOUND, PLAIN, "404 page not found\n").into_response()
}

/// Answers a GET of the document.
pub fn respond(document: &Fixed, method: &Method, headers: &HeaderMap, query: &Query) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Refusal::method_not_allowed().into_response();
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = |found: Option<Value>| match found {
        Some(value) => axum::Json(value).into_response(),
        None => Refusal::no_such_resource().into_response(),
    };
    match document {
        Fixed::Root => axum::Json(json!({ "paths": [
            "/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version",
        ] }))
        .into_response(),
        Fixed::Version => axum::Json(discovery::version()).into_response(),
        Fixed::Health(name) if query.has("verbose") => {
            (PLAIN, format!("[+]ping ok\n{name} check passed\n")).into_response()
        }
        Fixed::Health(_) => (PLAIN, "ok").into_response(),
        Fixed::Core => discovered(accept, headers, Core::Only, discovery::core_versions),
        Fixed::Groups => discovered(accept, headers, Core::Without, discovery::groups),
        Fixed::Group(name) => known(discovery::group(name)),
        Fixed::Resources(group, version) => known(discovery::resource_list(group, version)),
        Fixed::OpenApiIndex => axum::Json(openapi::index()).into_response(),
        Fixed::OpenApi(path) => match openapi::document(path) {
            Some(document) => json_text(&document.text),
            None => no_page(),
        },
        // kubectl wants it as protobuf, and does without.
        Fixed::Swagger if accept.contains("json") || accept.contains("*/*") || accept.is_empty() => {
            json_text(&openapi::swagger().text)
        }
        Fixed::Swagger => {
            Refusal::not_acceptable("only the following media types are accepted: application/json").into_response()
        }
    }
}

fn json_text(text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public")];
    (headers, text).into_response()
}

/// Discovery, aggregated for who understands that.
fn discovered(accept: &str, headers: &HeaderMap, core: Core, plain: fn() -> Value) -> Response {
    let Some(media_type) = discovery::aggregated_type(accept) else {
        return axum::Json(plain()).into_response();
    };
    let document = discovery::aggregated(core, media_type);
    let etag = discovery::etag(&document);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let code = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CACHE_CONTROL, "public".to_owned()),
        (header::VARY, "Accept".to_owned()),
        (header::ETAG, etag),
    ];
    let body = if known { String::new() } else { document.to_string() };
    (code, headers, body).into_response()
}
