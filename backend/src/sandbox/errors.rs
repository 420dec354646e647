//! `Status` objects: every refusal, with the code, reason and words of the real API server.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::resources::Type;

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    /// Where a list may go on, though not at the same revision.
    pub fresh_token: Option<String>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Value::Null, fresh_token: None }
    }

    /// A refusal without a reason, as the real server has some.
    pub fn plain(code: u16, message: impl Into<String>) -> Refusal {
        Refusal::new(code, "", message)
    }

    pub fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    pub fn internal(message: impl std::fmt::Display) -> Refusal {
        Refusal::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// The object is not there.
    pub fn not_found(resource: Type, name: &str) -> Refusal {
        let message = format!("{} \"{name}\" not found", resource.info().qualified());
        Refusal { details: object_details(resource, name), ..Refusal::new(404, "NotFound", message) }
    }

    /// The path names nothing that is served.
    pub fn no_such_resource() -> Refusal {
        let message = "the server could not find the requested resource";
        Refusal { details: json!({}), ..Refusal::new(404, "NotFound", message) }
    }

    /// The path is one of Kubernetes', but not of the sandbox.
    pub fn not_in_sandbox(what: &str) -> Refusal {
        let message =
            format!("the sandbox does not serve {what}: see `kubectl api-resources` for what it serves");
        Refusal { details: json!({}), ..Refusal::new(404, "NotFound", message) }
    }

    pub fn not_acceptable(message: impl Into<String>) -> Refusal {
        Refusal::new(406, "NotAcceptable", message)
    }

    pub fn method_not_allowed() -> Refusal {
        let message = "the server does not allow this method on the requested resource";
        Refusal { details: json!({}), ..Refusal::new(405, "MethodNotAllowed", message) }
    }

    pub fn unsupported_media(message: impl Into<String>) -> Refusal {
        Refusal::new(415, "UnsupportedMediaType", message)
    }

    pub fn too_large() -> Refusal {
        Refusal::new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
    }

    pub fn already_exists(resource: Type, name: &str) -> Refusal {
        let message = format!("{} \"{name}\" already exists", resource.info().qualified());
        Refusal { details: object_details(resource, name), ..Refusal::new(409, "AlreadyExists", message) }
    }

    /// A generated name was taken; asking again will do.
    pub fn name_taken(resource: Type, name: &str) -> Refusal {
        let message = format!(
            "{} \"{name}\" already exists, the server was not able to generate a unique name for the object",
            resource.info().qualified()
        );
        let mut details = object_details(resource, name);
        details["retryAfterSeconds"] = 1.into();
        Refusal { details, ..Refusal::new(409, "AlreadyExists", message) }
    }

    /// The object has changed since the client read it.
    pub fn conflict(resource: Type, name: &str) -> Refusal {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict_because(resource, name, why)
    }

    pub fn conflict_because(resource: Type, name: &str, why: &str) -> Refusal {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.info().qualified());
        Refusal { details: object_details(resource, name), ..Refusal::new(409, "Conflict", message) }
    }

    /// What a delete asks for is not so; the message names the kind.
    pub fn precondition(resource: Type, name: &str, why: &str) -> Refusal {
        let info = resource.info();
        let kind = match info.group {
            "" => info.kind.to_owned(),
            group => format!("{}.{group}", info.kind),
        };
        let message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        Refusal { message, ..Refusal::conflict_because(resource, name, why) }
    }

    /// `too old resource version`: what a watch sends in its stream.
    pub fn expired(asked: u64, oldest: u64) -> Refusal {
        Refusal::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// A list at a version that is no longer known.
    pub fn expired_list(message: &str, fresh_token: Option<String>) -> Refusal {
        Refusal { fresh_token, ..Refusal::new(410, "Expired", message) }
    }

    pub fn future_version(asked: u64, current: u64) -> Refusal {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let causes =
            json!([{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }]);
        let details = json!({ "causes": causes, "retryAfterSeconds": 1 });
        Refusal { details, ..Refusal::new(504, "Timeout", message) }
    }

    /// Field errors; never called with none.
    pub fn invalid(resource: Type, name: &str, errors: &[FieldError]) -> Refusal {
        let info = resource.info();
        Refusal::invalid_kind(info.group, info.kind, name, errors)
    }

    /// Field errors of a kind that is not stored, e.g. `Scale` or `ListOptions`.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Refusal {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let text = if texts.len() == 1 { texts.join("") } else { format!("[{}]", texts.join(", ")) };
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let cause = |error: &FieldError| json!({ "reason": error.reason(), "message": error.message(), "field": error.field });
        let causes: Vec<Value> = errors.iter().map(cause).collect();
        let details = json!({ "name": name, "group": group, "kind": kind, "causes": causes });
        Refusal {
            details,
            ..Refusal::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {text}"))
        }
    }

    /// A patch that could not be applied.
    pub fn unprocessable() -> Refusal {
        let message = "the server rejected our request due to an error in our request";
        Refusal { details: json!({}), ..Refusal::new(422, "Invalid", message) }
    }

    /// Nothing can be made in a namespace that is going away.
    pub fn namespace_terminating(resource: Type, key: &Key) -> Refusal {
        let namespace = &key.namespace;
        let message = format!(
            "{} \"{}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            resource.info().qualified(),
            key.name
        );
        let mut details = object_details(resource, &key.name);
        details["causes"] = json!([{ "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace" }]);
        Refusal { details, ..Refusal::new(403, "Forbidden", message) }
    }

    /// The `Status` object.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        if let Some(token) = &self.fresh_token {
            status["metadata"]["continue"] = token.as_str().into();
        }
        status
    }
}

fn object_details(resource: Type, name: &str) -> Value {
    let info = resource.info();
    let mut details = json!({ "name": name, "kind": info.plural });
    if !info.group.is_empty() {
        details["group"] = info.group.into();
    }
    details
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (code, Json(self.to_status())).into_response();
        if let Some(seconds) = self.details.get("retryAfterSeconds").and_then(Value::as_u64) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
