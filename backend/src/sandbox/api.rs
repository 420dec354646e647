//! The API over HTTP: paths and verbs to operations. Everything that is not served answers with a proper `Status`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::object::{self, Object};
use super::objects::{self, DeleteOptions, Deleted, Part, Propagation};
use super::patch::{self, PatchKind};
use super::query::{self, Query};
use super::resources::{Feature, Type};
use super::selectors::Selector;
use super::store::{Store, Transaction};
use super::watch::{self, Start, Watch};
use super::{discovery, list, scale};

/// Largest request body, as the real API server has it.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// Watches end after this long unless the client asks for less.
const LONGEST_WATCH: Duration = Duration::from_secs(3600);

/// What the handlers need. Watches end when `stop` is cancelled.
#[derive(Debug, Clone)]
pub struct Api {
    pub store: Arc<Store>,
    pub stop: CancellationToken,
}

/// The API as a router, to be served or called in-process.
pub fn router(api: Api) -> Router {
    Router::new().fallback(handle).with_state(api)
}

async fn handle(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query());
    let path = parts.uri.path().to_owned();
    let target = match Target::parse(&path) {
        Ok(target) => target,
        Err(fixed) => return fixed.respond(&parts.method),
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return Refusal::too_large().into_response();
    };
    let call = Call { api, target, query, headers: parts.headers, body };
    call.run(&parts.method).unwrap_or_else(IntoResponse::into_response)
}

/// The object or collection that a path names.
#[derive(Debug)]
struct Target {
    resource: Type,
    /// Empty for cluster-scoped kinds and for all namespaces.
    namespace: String,
    /// Empty for collections.
    name: String,
    sub: Option<Sub>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sub {
    Status,
    Scale,
}

/// A path that is not an object.
#[derive(Debug)]
enum Fixed {
    Json(Value),
    Text(String),
    Refused(Refusal),
    /// Not a path of the API at all.
    NoPage,
}

impl Fixed {
    fn respond(self, method: &Method) -> Response {
        let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        match self {
            Fixed::Refused(refusal) => refusal.into_response(),
            Fixed::NoPage => (StatusCode::NOT_FOUND, plain, "404 page not found\n").into_response(),
            _ if method != Method::GET && method != Method::HEAD => {
                Refusal::method_not_allowed().into_response()
            }
            Fixed::Json(value) => axum::Json(value).into_response(),
            Fixed::Text(text) => (plain, text).into_response(),
        }
    }
}

impl Target {
    fn parse(path: &str) -> Result<Target, Fixed> {
        let segments: Vec<String> =
            path.split('/').filter(|segment| !segment.is_empty()).map(query::decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let json = |value: Option<Value>| match value {
            Some(value) => Fixed::Json(value),
            None => Fixed::Refused(Refusal::no_such_resource()),
        };
        match segments.as_slice() {
            [] => Err(Fixed::Json(
                json!({ "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/readyz", "/version"] }),
            )),
            ["version"] => Err(Fixed::Json(discovery::version())),
            ["healthz" | "livez" | "readyz"] => Err(Fixed::Text("ok".to_owned())),
            ["api"] => Err(Fixed::Json(discovery::core_versions())),
            ["apis"] => Err(Fixed::Json(discovery::groups())),
            ["api", version] => Err(json(discovery::resource_list("", version))),
            ["api", version, rest @ ..] => Target::of_resource("", version, rest),
            ["apis", group, ..] if !discovery::is_group(group) => Err(Fixed::NoPage),
            ["apis", group] => Err(json(discovery::group(group))),
            ["apis", group, version] => Err(json(discovery::resource_list(group, version))),
            ["apis", group, version, rest @ ..] => Target::of_resource(group, version, rest),
            _ => Err(Fixed::NoPage),
        }
    }

    fn of_resource(group: &str, version: &str, rest: &[&str]) -> Result<Target, Fixed> {
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status" | "finalize"]) => {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let unknown = || Fixed::Refused(Refusal::no_such_resource());
        let (plural, name, sub) = match rest {
            [plural] => (plural, "", None),
            [plural, name] => (plural, *name, None),
            [plural, name, "status"] => (plural, *name, Some(Sub::Status)),
            [plural, name, "scale"] => (plural, *name, Some(Sub::Scale)),
            _ => return Err(unknown()),
        };
        let resource = Type::find(group, version, plural).ok_or_else(unknown)?;
        let served = match sub {
            None => true,
            Some(Sub::Status) => resource.has(Feature::Status),
            Some(Sub::Scale) => resource.has(Feature::Scale),
        };
        let scoped = resource.is_namespaced() || namespace.is_empty();
        let complete = name.is_empty() || !resource.is_namespaced() || !namespace.is_empty();
        if !(served && scoped && complete) {
            return Err(unknown());
        }
        Ok(Target { resource, namespace: namespace.to_owned(), name: name.to_owned(), sub })
    }

    fn key(&self) -> Key {
        Key::new(self.namespace.as_str(), self.name.as_str())
    }
}

/// One request to an object or collection.
struct Call {
    api: Api,
    target: Target,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn run(self, method: &Method) -> Result<Response, Refusal> {
        let collection = self.target.name.is_empty();
        match (method.as_str(), collection) {
            ("GET", true) if self.query.flag("watch") => self.watch(),
            ("GET", true) => self.list(),
            ("POST", true) => self.create(),
            ("DELETE", true) => self.delete_collection(),
            ("GET", false) => self.get(),
            ("PUT", false) => self.update(),
            ("PATCH", false) => self.patch(),
            ("DELETE", false) if self.target.sub.is_none() => self.delete(),
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn get(&self) -> Result<Response, Refusal> {
        let (resource, key) = (self.target.resource, self.target.key());
        let object =
            self.api.store.get(resource, &key).ok_or_else(|| Refusal::not_found(resource, &key.name))?;
        Ok(self.answer(StatusCode::OK, &object))
    }

    /// The object, or its Scale if that was asked for.
    fn answer(&self, code: StatusCode, object: &Object) -> Response {
        match self.target.sub {
            Some(Sub::Scale) => (code, axum::Json(scale::of(object))).into_response(),
            _ => (code, axum::Json(&**object)).into_response(),
        }
    }

    fn list(&self) -> Result<Response, Refusal> {
        let json = list::list(&self.api.store, self.target.resource, &self.target.namespace, &self.query)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
    }

    fn watch(&self) -> Result<Response, Refusal> {
        let request = watch::Request {
            resource: self.target.resource,
            namespace: self.target.namespace.clone(),
            selector: Selector::parse(
                self.target.resource,
                self.query.get("labelSelector"),
                self.query.get("fieldSelector"),
            )?,
            start: self.watch_start()?,
            bookmarks: self.query.flag("allowWatchBookmarks"),
            timeout: match self.query.get("timeoutSeconds").parse() {
                Ok(seconds) if seconds > 0 => Duration::from_secs(seconds).min(LONGEST_WATCH),
                _ => LONGEST_WATCH,
            },
        };
        let watch = Watch::new(self.api.store.clone(), request, self.api.stop.clone());
        let lines = futures::stream::unfold(watch, async |mut watch| {
            let lines = watch.next().await?;
            Some((Ok::<_, std::convert::Infallible>(lines), watch))
        });
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache, private")];
        Ok((headers, Body::from_stream(lines)).into_response())
    }

    fn watch_start(&self) -> Result<Start, Refusal> {
        let version = list::parse_version(&self.query)?.filter(|version| *version != 0);
        let not_older = self.query.get("resourceVersionMatch") == "NotOlderThan";
        match (self.query.flag("sendInitialEvents"), not_older) {
            (true, true) => Ok(Start::StreamingList),
            (true, false) => {
                let field = "resourceVersionMatch";
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                Err(list::list_options(FieldError::forbidden(field, why)))
            }
            (false, _) if self.query.has("resourceVersionMatch") => {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                Err(list::list_options(FieldError::forbidden("resourceVersionMatch", why)))
            }
            (false, _) => Ok(version.map_or(Start::Now, Start::After)),
        }
    }

    /// The body as an object: JSON, or YAML if it says so.
    fn document(&self) -> Result<Value, Refusal> {
        let content_type = self.content_type();
        match content_type.split(';').next().unwrap_or_default().trim() {
            "" | "application/json" => {
                serde_json::from_slice(&self.body).map_err(|error| self.unreadable(&error.to_string()))
            }
            "application/yaml" => {
                let text = std::str::from_utf8(&self.body).map_err(|e| self.unreadable(&e.to_string()))?;
                let documents = vipscope_shared::manifest::parse_documents(text);
                let documents = documents.map_err(|error| self.unreadable(&error.to_string()))?;
                documents.into_iter().next().ok_or_else(|| self.unreadable("no document"))
            }
            "application/vnd.kubernetes.protobuf" => Err(Refusal::unsupported_media(
                "the sandbox does not read protobuf yet: pipe `--dry-run=client -o yaml` into `kubectl create -f -` instead",
            )),
            _ => Err(Refusal::unsupported_media(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml",
            )),
        }
    }

    fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn unreadable(&self, why: &str) -> Refusal {
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why}",
            self.target.resource.info().kind
        ))
    }

    /// Runs a write, or only shows what it would do.
    fn write<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        match self.query.get("dryRun") {
            "" => self.api.store.write(work),
            "All" => self.api.store.dry_run(work),
            other => {
                let value = json!([other]).to_string();
                let error = FieldError {
                    field: "dryRun".to_owned(),
                    fault: vipscope_shared::admission::Fault::NotSupported(value, vec!["All"]),
                };
                Err(Refusal::invalid_kind("meta.k8s.io", "CreateOptions", "", &[error]))
            }
        }
    }

    fn create(&self) -> Result<Response, Refusal> {
        let document = self.document()?;
        let (resource, namespace) = (self.target.resource, self.target.namespace.as_str());
        let created = self.write(|tx| objects::create(tx, resource, namespace, document))?;
        Ok(self.answer(StatusCode::CREATED, &created))
    }

    fn part(&self) -> Part {
        if self.target.sub == Some(Sub::Status) { Part::Status } else { Part::Main }
    }

    fn update(&self) -> Result<Response, Refusal> {
        let document = self.document()?;
        let (resource, key) = (self.target.resource, self.target.key());
        let (code, object) = self.write(|tx| {
            let missing = tx.get(resource, &key).is_none();
            if missing && self.target.sub.is_none() && resource.has(Feature::CreateOnUpdate) {
                return objects::create(tx, resource, &key.namespace, document)
                    .map(|object| (StatusCode::CREATED, object));
            }
            let object = match self.target.sub {
                Some(Sub::Scale) => scale::set(tx, resource, &key, &document),
                _ => objects::update(tx, resource, &key, self.part(), document),
            };
            object.map(|object| (StatusCode::OK, object))
        })?;
        Ok(self.answer(code, &object))
    }

    fn patch(&self) -> Result<Response, Refusal> {
        let kind = PatchKind::of(self.content_type())?;
        let patch: Value = serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
        let (resource, key) = (self.target.resource, self.target.key());
        let object = self.write(|tx| {
            let old = tx.get(resource, &key).cloned();
            let old = old.ok_or_else(|| Refusal::not_found(resource, &key.name))?;
            match self.target.sub {
                Some(Sub::Scale) => {
                    let patched = patch::apply(kind, &scale::of(&old), &patch)?;
                    scale::set(tx, resource, &key, &patched)
                }
                _ => {
                    let patched = patch::apply(kind, &old, &patch)?;
                    objects::update(tx, resource, &key, self.part(), patched)
                }
            }
        })?;
        Ok(self.answer(StatusCode::OK, &object))
    }

    fn delete(&self) -> Result<Response, Refusal> {
        let options = self.delete_options()?;
        let (resource, key) = (self.target.resource, self.target.key());
        let deleted = self.write(|tx| objects::delete(tx, resource, &key, &options))?;
        let whole = resource.has(Feature::DeleteAnswersObject) || matches!(deleted, Deleted::Marked(_));
        if whole {
            return Ok(self.answer(StatusCode::OK, deleted.object()));
        }
        let info = resource.info();
        let details = json!({
            "name": &*key.name, "group": info.group, "kind": info.plural, "uid": object::uid(deleted.object()),
        });
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        });
        Ok(axum::Json(status).into_response())
    }

    fn delete_options(&self) -> Result<DeleteOptions, Refusal> {
        let body = match self.body.iter().all(u8::is_ascii_whitespace) {
            true => json!({}),
            false => self.document()?,
        };
        let text = |pointer: &str| {
            let text = object::text(&body, pointer);
            (!text.is_empty()).then(|| text.to_owned())
        };
        let policy =
            text("/propagationPolicy").unwrap_or_else(|| self.query.get("propagationPolicy").to_owned());
        let propagation = match policy.as_str() {
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            _ if body["orphanDependents"] == true => Propagation::Orphan,
            _ => Propagation::Background,
        };
        let grace = body["gracePeriodSeconds"].as_u64();
        Ok(DeleteOptions {
            grace_seconds: grace.or_else(|| self.query.get("gracePeriodSeconds").parse().ok()),
            propagation,
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
        })
    }

    fn delete_collection(&self) -> Result<Response, Refusal> {
        let options = self.delete_options()?;
        let (resource, namespace) = (self.target.resource, self.target.namespace.as_str());
        let selector =
            Selector::parse(resource, self.query.get("labelSelector"), self.query.get("fieldSelector"))?;
        let deleted = self.write(|tx| {
            let mut deleted = Vec::new();
            for key in tx.keys(resource, namespace) {
                if tx.get(resource, &key).is_some_and(|object| selector.matches(object)) {
                    deleted.push(objects::delete(tx, resource, &key, &options)?.object().clone());
                }
            }
            Ok(deleted)
        })?;
        let revision = self.api.store.revision();
        Ok(axum::Json(list::list_of(resource, &deleted, revision)).into_response())
    }
}
