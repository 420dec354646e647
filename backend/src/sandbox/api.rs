//! The API over HTTP: paths and verbs to operations. Everything that is not served answers with a proper `Status`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use vipscope_shared::admission::{FieldError, service};

use super::apply::{self, Applied};
use super::body::{self, Document, Format};
use super::errors::Refusal;
use super::fixed;
use super::managed::{Apply, Tracking};
use super::object::{self, Object};
use super::objects::{self, DeleteOptions, Deleted, Part, Propagation};
use super::patch::{self, PatchKind};
use super::portforward;
use super::query::Query;
use super::render::{self, Columns, Form, Representation};
use super::resources::{Feature, Type};
use super::reviews::Review;
use super::route::{Route, Sub, Target};
use super::schema;
use super::selectors::Selector;
use super::store::{Store, Transaction};
use super::watch::{self, Start, Watch};
use super::{list, scale};

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
    let (mut parts, body) = request.into_parts();
    if is_from_a_page(&parts.headers) {
        let message = "pages may not use the sandbox's API";
        return Refusal { reason: "Forbidden", ..Refusal::plain(403, message) }.into_response();
    }
    let query = Query::parse(parts.uri.query());
    let route = Route::parse(parts.uri.path());
    if let Route::Object(target) = &route
        && target.sub == Some(Sub::PortForward)
    {
        return portforward::upgrade(&api, target, &mut parts, &query).await;
    }
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return Refusal::too_large().into_response();
    };
    match route {
        Route::Refused(refusal) => refusal.into_response(),
        Route::NoPage => fixed::no_page(),
        Route::Fixed(document) => fixed::respond(&document, &parts.method, &parts.headers, &query),
        Route::Review(review) => answer_review(&api, review, &parts.method, &parts.headers, &body)
            .unwrap_or_else(IntoResponse::into_response),
        Route::Object(target) => {
            let call = Call { api, target, query, headers: parts.headers, body, warnings: Vec::new() };
            call.respond(&parts.method)
        }
    }
}

/// Whether a browser sends this for a page: there is no login, so what a page of anyone asks for is not done. An address that
/// somebody types in is.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    headers.contains_key(header::ORIGIN) || headers.get(SITE).is_some_and(|site| site != "none")
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answer_review(
    api: &Api,
    review: Review,
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    if method != Method::POST {
        return Err(Refusal::method_not_allowed());
    }
    let document = Format::of(content_type(headers)).ok_or_else(unknown_format)?;
    let document = body::parse(document, body).map_err(Refusal::bad_request)?;
    let answer = review.answer(document.value, &api.store.clock.stamp())?;
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

fn unknown_format() -> Refusal {
    Refusal::unsupported_media(
        "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// What to do about fields that a kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// One request to an object or collection.
struct Call {
    api: Api,
    target: Target,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
    /// For the `Warning` headers of the answer.
    warnings: Vec<String>,
}

impl Call {
    fn respond(mut self, method: &Method) -> Response {
        let mut response = self.run(method).unwrap_or_else(IntoResponse::into_response);
        if self.target.resource == Type::Endpoints {
            self.warnings.push(
                "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned(),
            );
        }
        const WARNING: HeaderName = header::WARNING;
        for warning in &self.warnings {
            let text = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(WARNING, value);
            }
        }
        response
    }

    fn run(&mut self, method: &Method) -> Result<Response, Refusal> {
        let collection = self.target.name.is_empty();
        match (method.as_str(), collection, self.target.sub) {
            (_, _, Some(Sub::Container(what))) => Err(Refusal::bad_request(format!(
                "{what} not available in the sandbox: nothing runs in its pods"
            ))),
            ("POST", false, Some(Sub::Eviction)) => self.evict(),
            (_, _, Some(Sub::Eviction)) => Err(Refusal::method_not_allowed()),
            ("PUT", false, Some(Sub::Finalize)) => self.update(),
            (_, _, Some(Sub::Finalize)) => Err(Refusal::method_not_allowed()),
            ("GET", true, _) if self.query.flag("watch") => self.watch(),
            ("GET", true, _) => self.list(),
            ("POST", true, _) => self.create(),
            ("DELETE", true, _) => self.delete_collection(),
            ("GET", false, _) => self.get(),
            ("PUT", false, _) => self.update(),
            ("PATCH", false, _) => self.patch(),
            ("DELETE", false, None) => self.delete(),
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn representation(&self) -> Result<Representation, Refusal> {
        Representation::of(&self.headers, &self.query)
    }

    fn get(&self) -> Result<Response, Refusal> {
        let (resource, key) = (self.target.resource, self.target.key());
        let object =
            self.api.store.get(resource, &key).ok_or_else(|| Refusal::not_found(resource, &key.name))?;
        self.answer(StatusCode::OK, &object)
    }

    /// The object in the form that was asked for, or its Scale.
    fn answer(&self, code: StatusCode, object: &Object) -> Result<Response, Refusal> {
        let shown = self.representation()?;
        let now = self.api.store.clock.now();
        let value = match (self.target.sub, shown.form) {
            (Some(Sub::Scale), Form::Table(_)) => scale::table(object, now),
            (Some(Sub::Scale), _) => scale::of(object),
            _ => render::object(shown.form, self.target.resource, object, Columns::Defined, now),
        };
        let headers =
            [(header::CONTENT_TYPE, shown.media_type), (header::CACHE_CONTROL, "no-cache, private")];
        Ok((code, headers, value.to_string()).into_response())
    }

    fn list(&self) -> Result<Response, Refusal> {
        let shown = self.representation()?;
        let (resource, namespace) = (self.target.resource, &self.target.namespace);
        let json = list::list(&self.api.store, resource, namespace, &self.query, shown.form)?;
        let headers =
            [(header::CONTENT_TYPE, shown.media_type), (header::CACHE_CONTROL, "no-cache, private")];
        Ok((headers, json).into_response())
    }

    fn watch(&self) -> Result<Response, Refusal> {
        let shown = self.representation()?;
        if shown.media_type != "application/json" {
            return Err(Refusal::not_acceptable("only JSON can be watched"));
        }
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
            form: shown.form,
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

    /// The body as it is.
    fn document(&self) -> Result<Document, Refusal> {
        let format = Format::of(content_type(&self.headers)).ok_or_else(unknown_format)?;
        body::parse(format, &self.body).map_err(|why| match format {
            Format::Protobuf => Refusal::bad_request(format!("the body can't be read as protobuf: {why}")),
            _ => Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why}",
                self.target.resource.info().kind
            )),
        })
    }

    /// The body as an object of the resource's kind, without unknown fields.
    fn object(&mut self) -> Result<Value, Refusal> {
        let document = self.document()?;
        let mut value = document.value;
        if self.target.sub != Some(Sub::Scale) {
            self.check_fields(&mut value, document.duplicates)?;
        }
        Ok(value)
    }

    /// Drops what the kind does not have; refuses or warns if so asked.
    fn check_fields(&mut self, value: &mut Value, duplicates: Vec<String>) -> Result<(), Refusal> {
        let info = self.target.resource.info();
        let validation = self.field_validation()?;
        let Some(schema) = schema::of_kind(info.group, info.kind) else { return Ok(()) };
        let unknown = schema::drop_unknown(value, schema);
        let named = |kind: &'static str| move |path: String| format!("{kind} field \"{path}\"");
        let faults = duplicates.into_iter().map(named("duplicate"));
        let faults: Vec<String> = faults.chain(unknown.into_iter().map(named("unknown"))).collect();
        match validation {
            _ if faults.is_empty() => {}
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(faults),
            FieldValidation::Strict => {
                let why = format!("strict decoding error: {}", faults.join(", "));
                return Err(super::strategy::cannot_handle(self.target.resource, info.kind, &why));
            }
        }
        Ok(())
    }

    fn field_validation(&self) -> Result<FieldValidation, Refusal> {
        match self.query.get("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let error =
                    FieldError::unsupported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"]);
                Err(Refusal::invalid_kind("meta.k8s.io", "CreateOptions", "", &[error]))
            }
        }
    }

    /// Who writes: what the client says, or its program's name.
    fn manager(&self) -> String {
        let given = self.query.get("fieldManager");
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let program = agent.unwrap_or_default().split('/').next().unwrap_or_default();
        match (given, program) {
            ("", "") => "unknown".to_owned(),
            ("", program) => program.chars().take(128).collect(),
            (given, _) => given.to_owned(),
        }
    }

    /// Runs a write, or only shows what it would do.
    fn write<T>(
        &self,
        options: &str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let manager = self.manager();
        let work = |tx: &mut Transaction<'_>| {
            tx.tracking = Tracking::Update(manager);
            work(tx)
        };
        match self.query.get("dryRun") {
            "" => self.api.store.write(work),
            "All" => self.api.store.dry_run(work),
            other => {
                let value = json!([other]).to_string();
                let error = FieldError {
                    field: "dryRun".to_owned(),
                    fault: vipscope_shared::admission::Fault::NotSupported(value, vec!["All"]),
                };
                Err(Refusal::invalid_kind("meta.k8s.io", options, "", &[error]))
            }
        }
    }

    fn warn_about(&mut self, object: &Value) {
        if self.target.resource == Type::Services && self.target.sub.is_none() {
            self.warnings.extend(service::warnings(object));
        }
    }

    fn create(&mut self) -> Result<Response, Refusal> {
        let document = self.object()?;
        let (resource, namespace) = (self.target.resource, self.target.namespace.as_str());
        let created = self.write("CreateOptions", |tx| objects::create(tx, resource, namespace, document))?;
        self.warn_about(&created);
        self.answer(StatusCode::CREATED, &created)
    }

    fn part(&self) -> Part {
        if self.target.sub == Some(Sub::Status) { Part::Status } else { Part::Main }
    }

    fn update(&mut self) -> Result<Response, Refusal> {
        let document = self.object()?;
        let (resource, key) = (self.target.resource, self.target.key());
        let (code, object) = self.write("UpdateOptions", |tx| {
            let missing = tx.get(resource, &key).is_none();
            if missing && self.target.sub.is_none() && resource.has(Feature::CreateOnUpdate) {
                return objects::create(tx, resource, &key.namespace, document)
                    .map(|object| (StatusCode::CREATED, object));
            }
            let object = match self.target.sub {
                Some(Sub::Scale) => scale::set(tx, resource, &key, &document),
                Some(Sub::Finalize) => objects::finalize(tx, &key, &document),
                _ => objects::update(tx, resource, &key, self.part(), document),
            };
            object.map(|object| (StatusCode::OK, object))
        })?;
        self.warn_about(&object);
        self.answer(code, &object)
    }

    fn patch(&mut self) -> Result<Response, Refusal> {
        let kind = PatchKind::of(content_type(&self.headers))?;
        if kind == PatchKind::Apply && self.target.sub != Some(Sub::Scale) {
            return self.apply();
        }
        if self.query.flag("force") && kind != PatchKind::Apply {
            let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
            return Err(Refusal::invalid_kind("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        let patch: Value = serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
        let (resource, key) = (self.target.resource, self.target.key());
        let scaled = self.target.sub == Some(Sub::Scale);
        // Whether the patch brings unknown fields is clear before the object is held.
        let old = self.api.store.get(resource, &key);
        let old = old.ok_or_else(|| Refusal::not_found(resource, &key.name))?;
        if !scaled {
            self.check_fields(&mut patch::apply(kind, &old, &patch)?, Vec::new())?;
        }
        let object = self.write("PatchOptions", |tx| {
            let old = tx.get(resource, &key).cloned();
            let old = old.ok_or_else(|| Refusal::not_found(resource, &key.name))?;
            if scaled {
                let patched = patch::apply(kind, &scale::of(&old), &patch)?;
                return scale::set(tx, resource, &key, &patched);
            }
            let mut patched = patch::apply(kind, &old, &patch)?;
            let info = resource.info();
            if let Some(schema) = schema::of_kind(info.group, info.kind) {
                schema::drop_unknown(&mut patched, schema);
            }
            objects::update(tx, resource, &key, self.part(), patched)
        })?;
        self.warn_about(&object);
        self.answer(StatusCode::OK, &object)
    }

    /// Server-side apply.
    fn apply(&mut self) -> Result<Response, Refusal> {
        let manager = self.query.get("fieldManager").to_owned();
        if manager.is_empty() {
            let error = FieldError::required_because("fieldManager", "is required for apply patch");
            return Err(Refusal::invalid_kind("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        let (resource, key) = (self.target.resource, self.target.key());
        // Unknown fields are always refused, in the words of the merge.
        let config = self.applied_config()?;
        let (force, part) = (self.query.flag("force"), self.part());
        let applied = self.write("PatchOptions", |tx| {
            let stamp = tx.clock.stamp();
            let request = Apply { resource, part, manager: &manager, force, stamp };
            apply::run(tx, &request, &key, &config)
        })?;
        let created = matches!(applied, Applied::Created(_));
        self.warn_about(applied.object());
        self.answer(if created { StatusCode::CREATED } else { StatusCode::OK }, applied.object())
    }

    /// The body of an apply.
    fn applied_config(&self) -> Result<Value, Refusal> {
        let mut config = self.document()?.value;
        let (version, kind) = (object::text(&config, "/apiVersion"), object::text(&config, "/kind"));
        if version.is_empty() || kind.is_empty() {
            let group_version = if version.is_empty() { "/" } else { version };
            return Err(Refusal::bad_request(format!("invalid object type: {group_version}, Kind={kind}")));
        }
        if !config["metadata"]["managedFields"].is_null() {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        if object::name(&config).is_empty() {
            object::metadata(&mut config).insert("name".to_owned(), self.target.name.as_str().into());
        }
        object::drop_nulls(&mut config);
        Ok(config)
    }

    fn delete(&self) -> Result<Response, Refusal> {
        let options = self.delete_options()?;
        let (resource, key) = (self.target.resource, self.target.key());
        let deleted = self.delete_with(&options, |tx| objects::delete(tx, resource, &key, &options.what))?;
        let whole = resource.has(Feature::DeleteAnswersObject) || matches!(deleted, Deleted::Marked(_));
        if whole {
            return self.answer(StatusCode::OK, deleted.object());
        }
        let info = resource.info();
        let details = json!({
            "name": &*key.name, "group": info.group, "kind": info.plural, "uid": object::uid(deleted.object()),
        });
        Ok(axum::Json(success(details)).into_response())
    }

    /// `dryRun` may stand in the body, too.
    fn delete_with<T>(
        &self,
        options: &Deletion,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if options.dry_run { self.api.store.dry_run(work) } else { self.write("DeleteOptions", work) }
    }

    fn delete_options(&self) -> Result<Deletion, Refusal> {
        let body = match self.body.iter().all(u8::is_ascii_whitespace) {
            true => json!({}),
            false => self.document()?.value,
        };
        Deletion::read(&body, &self.query)
    }

    fn delete_collection(&self) -> Result<Response, Refusal> {
        let options = self.delete_options()?;
        let (resource, namespace) = (self.target.resource, self.target.namespace.as_str());
        let selector =
            Selector::parse(resource, self.query.get("labelSelector"), self.query.get("fieldSelector"))?;
        let deleted = self.delete_with(&options, |tx| {
            let mut deleted = Vec::new();
            for key in tx.keys(resource, namespace) {
                if tx.get(resource, &key).is_some_and(|object| selector.matches(object)) {
                    deleted.push(objects::delete(tx, resource, &key, &options.what)?.object().clone());
                }
            }
            Ok(deleted)
        })?;
        let revision = self.api.store.revision();
        Ok(axum::Json(list::list_of(resource, &deleted, revision)).into_response())
    }

    /// What `kubectl drain` does: a deletion that may be refused. The sandbox has no disruption budgets.
    fn evict(&self) -> Result<Response, Refusal> {
        let eviction = self.document()?.value;
        let name = object::name(&eviction);
        if !name.is_empty() && name != self.target.name {
            return Err(Refusal::bad_request("name in URL does not match name in Eviction object"));
        }
        let options = Deletion::read(&eviction["deleteOptions"], &self.query)?;
        let key = self.target.key();
        self.delete_with(&options, |tx| objects::delete(tx, Type::Pods, &key, &options.what))?;
        Ok((StatusCode::CREATED, axum::Json(success(Value::Null))).into_response())
    }
}

/// A `Status` that says that all went well.
fn success(details: Value) -> Value {
    let mut status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    if !details.is_null() {
        status["details"] = details;
    }
    status
}

/// A delete request.
struct Deletion {
    what: DeleteOptions,
    dry_run: bool,
}

impl Deletion {
    /// From DeleteOptions (null if there are none) and the query.
    fn read(body: &Value, query: &Query) -> Result<Deletion, Refusal> {
        let text = |pointer: &str| {
            let text = object::text(body, pointer);
            (!text.is_empty()).then(|| text.to_owned())
        };
        let policy = text("/propagationPolicy").unwrap_or_else(|| query.get("propagationPolicy").to_owned());
        let invalid = |error: FieldError| Refusal::invalid_kind("meta.k8s.io", "DeleteOptions", "", &[error]);
        if !policy.is_empty() && !body["orphanDependents"].is_null() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return Err(invalid(FieldError::invalid("propagationPolicy", policy, why)));
        }
        let propagation = match policy.as_str() {
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            "" if body["orphanDependents"] == true => Propagation::Orphan,
            "" | "Background" => Propagation::Background,
            other => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                return Err(invalid(FieldError::unsupported("propagationPolicy", other, &known)));
            }
        };
        let grace = body["gracePeriodSeconds"].as_u64();
        Ok(Deletion {
            what: DeleteOptions {
                grace_seconds: grace.or_else(|| query.get("gracePeriodSeconds").parse().ok()),
                propagation,
                uid: text("/preconditions/uid"),
                resource_version: text("/preconditions/resourceVersion"),
            },
            dry_run: object::list(body, "/dryRun").iter().any(|value| value == "All"),
        })
    }
}
