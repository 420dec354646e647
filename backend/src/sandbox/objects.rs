//! Create, update and delete: what the API server does around storage. Handlers and the sandbox's own controllers come
//! through here, so that both keep to the same rules.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Duration;
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::managed;
use super::object::{self, Object};
use super::resources::{Feature, Type};
use super::store::Transaction;
use super::strategy;

/// Which part of an object a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status, for kinds that keep the status apart.
    Main,
    /// The status only.
    Status,
}

/// What a delete asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteOptions {
    pub grace_seconds: Option<u64>,
    pub propagation: Propagation,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// What became of a deleted object.
#[derive(Debug, Clone, PartialEq)]
pub enum Deleted {
    Gone(Object),
    /// It is marked and goes later.
    Marked(Object),
}

impl Deleted {
    pub fn object(&self) -> &Object {
        match self {
            Deleted::Gone(object) | Deleted::Marked(object) => object,
        }
    }
}

/// Creates `object` in `namespace` (empty for cluster-scoped kinds).
pub fn create(
    tx: &mut Transaction<'_>,
    resource: Type,
    namespace: &str,
    mut object: Value,
) -> Result<Object, Refusal> {
    prepare(resource, namespace, &mut object)?;
    if !object::resource_version(&object).is_empty() {
        return Err(Refusal::plain(500, "resourceVersion should not be set on objects to be created"));
    }
    let generated = generate_name(tx, &mut object);
    let key = object::key(&object);
    if key.name.is_empty() {
        let error = FieldError::required_because("metadata.name", "name or generateName is required");
        return Err(Refusal::invalid(resource, "", &[error]));
    }
    if let Some(error) = strategy::check_name(resource, &key.name) {
        return Err(Refusal::invalid(resource, &key.name, &[error]));
    }
    check_namespace(tx, resource, &key)?;
    if tx.get(resource, &key).is_some() {
        return Err(if generated {
            Refusal::name_taken(resource, &key.name)
        } else {
            Refusal::already_exists(resource, &key.name)
        });
    }
    strategy::check_shape(resource, &object)?;
    let (uid, stamp) = (tx.chance().uid(), tx.clock.stamp());
    let metadata = object::metadata(&mut object);
    metadata.insert("uid".into(), uid.into());
    metadata.insert("creationTimestamp".into(), stamp.into());
    ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink", "generation"]
        .iter()
        .for_each(|field| drop(metadata.remove(*field)));
    if resource.has(Feature::Generation) {
        metadata.insert("generation".into(), 1.into());
    }
    strategy::admit(resource, &mut object, None, tx)?;
    let stamp = tx.clock.stamp();
    managed::track(&tx.tracking, resource, Part::Main, None, &mut object, &stamp);
    Ok(tx.put(resource, object))
}

/// Kind, version and namespace as the path says; no nulls.
fn prepare(resource: Type, namespace: &str, object: &mut Value) -> Result<(), Refusal> {
    let info = resource.info();
    if !object.is_object() {
        return Err(strategy::cannot_handle(resource, info.kind, "json: expected an object"));
    }
    object::drop_nulls(object);
    let (kind, version) = (object::text(object, "/kind"), object::text(object, "/apiVersion"));
    let foreign =
        (!kind.is_empty() && kind != info.kind) || (!version.is_empty() && version != info.api_version());
    if foreign {
        let why = "the object has another kind or version than the path";
        return Err(strategy::cannot_handle(resource, kind, why));
    }
    object["kind"] = info.kind.into();
    object["apiVersion"] = info.api_version().into();
    if !object["metadata"].is_null() && !object["metadata"].is_object() {
        return Err(strategy::cannot_handle(resource, info.kind, "json: metadata is not an object"));
    }
    object::drop_empty_metadata(object);
    let given = object::namespace(object).to_owned();
    let metadata = object::metadata(object);
    if !resource.is_namespaced() {
        metadata.remove("namespace");
    } else if given.is_empty() {
        metadata.insert("namespace".into(), namespace.into());
    } else if given != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Gives a name to an object that only has a prefix. Says whether it did.
fn generate_name(tx: &mut Transaction<'_>, object: &mut Value) -> bool {
    let prefix = object::text(object, "/metadata/generateName");
    if prefix.is_empty() || !object::name(object).is_empty() {
        return false;
    }
    let prefix: String = prefix.chars().take(58).collect();
    let name = format!("{prefix}{}", tx.chance().suffix());
    object::metadata(object).insert("name".into(), name.into());
    true
}

fn check_namespace(tx: &Transaction<'_>, resource: Type, key: &Key) -> Result<(), Refusal> {
    if !resource.is_namespaced() {
        return Ok(());
    }
    match tx.get(Type::Namespaces, &Key::cluster(key.namespace.clone())) {
        None => Err(Refusal::not_found(Type::Namespaces, &key.namespace)),
        Some(namespace) if object::is_terminating(namespace) => {
            Err(Refusal::namespace_terminating(resource, key))
        }
        Some(_) => Ok(()),
    }
}

/// Replaces an object. `new` is whole; what the server owns is taken from the stored one. An update that changes nothing
/// writes nothing.
pub fn update(
    tx: &mut Transaction<'_>,
    resource: Type,
    key: &Key,
    part: Part,
    mut new: Value,
) -> Result<Object, Refusal> {
    let Some(old) = tx.get(resource, key).cloned() else {
        return Err(Refusal::not_found(resource, &key.name));
    };
    prepare(resource, &key.namespace, &mut new)?;
    check_identity(resource, key, &old, &new)?;
    strategy::check_shape(resource, &new)?;
    let mut new = match part {
        Part::Main => new,
        Part::Status => with_status(&old, &mut new),
    };
    keep_server_fields(resource, part, &old, &mut new)?;
    if part == Part::Status {
        strategy::check_status(resource, &new)?;
    }
    if part == Part::Main {
        strategy::admit(resource, &mut new, Some(&old), tx)?;
        if resource.has(Feature::Generation) && !same_content(&old, &new) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
            new["metadata"]["generation"] = generation.into();
        }
    }
    let stamp = tx.clock.stamp();
    managed::track(&tx.tracking, resource, part, Some(&old), &mut new, &stamp);
    if *old == new {
        return Ok(old);
    }
    let stored = tx.put(resource, new);
    Ok(finish(tx, resource, key).unwrap_or(stored))
}

/// Changes the stored object in place, through [`update`].
pub fn modify(
    tx: &mut Transaction<'_>,
    resource: Type,
    key: &Key,
    part: Part,
    change: impl FnOnce(&mut Value),
) -> Result<Object, Refusal> {
    let Some(old) = tx.get(resource, key) else { return Err(Refusal::not_found(resource, &key.name)) };
    let mut new = (**old).clone();
    change(&mut new);
    update(tx, resource, key, part, new)
}

fn check_identity(resource: Type, key: &Key, old: &Value, new: &Value) -> Result<(), Refusal> {
    let name = object::name(new);
    if !name.is_empty() && name != &*key.name {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    let (uid, current) = (object::uid(new), object::uid(old));
    if !uid.is_empty() && uid != current {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {current}");
        return Err(Refusal::conflict_because(resource, &key.name, &why));
    }
    let version = object::resource_version(new);
    if !version.is_empty() && version != "0" && version != object::resource_version(old) {
        return Err(Refusal::conflict(resource, &key.name));
    }
    Ok(())
}

fn with_status(old: &Value, new: &mut Value) -> Value {
    let mut result = old.clone();
    match new.get_mut("status").map(Value::take) {
        Some(status) => result["status"] = status,
        None => drop(result.as_object_mut().map(|fields| fields.remove("status"))),
    }
    result
}

/// What clients can't change.
fn keep_server_fields(resource: Type, part: Part, old: &Value, new: &mut Value) -> Result<(), Refusal> {
    const OWNED: [&str; 9] = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ];
    let finalizers = (object::is_terminating(old) && part == Part::Main)
        .then(|| object::finalizers(new).find(|name| !object::finalizers(old).any(|old| old == *name)));
    if let Some(Some(added)) = finalizers {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{added}\"}}"
        );
        let error = FieldError::forbidden("metadata.finalizers", why);
        return Err(Refusal::invalid(resource, object::name(old), &[error]));
    }
    let metadata = object::metadata(new);
    for field in OWNED {
        match &old["metadata"][field] {
            Value::Null => drop(metadata.remove(field)),
            value => drop(metadata.insert(field.into(), value.clone())),
        }
    }
    if part == Part::Main && resource.has(Feature::Status) {
        match old.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => drop(new.as_object_mut().map(|fields| fields.remove("status"))),
        }
    }
    Ok(())
}

/// Equal but for metadata and status.
fn same_content(old: &Value, new: &Value) -> bool {
    let content = |value: &Value| -> Vec<(String, Value)> {
        let fields = value.as_object().into_iter().flatten();
        let content = fields.filter(|(field, _)| *field != "metadata" && *field != "status");
        content.map(|(field, value)| (field.clone(), value.clone())).collect()
    };
    content(old) == content(new)
}

/// Removes an object whose deletion nothing holds up any more.
fn finish(tx: &mut Transaction<'_>, resource: Type, key: &Key) -> Option<Object> {
    let object = tx.get(resource, key)?;
    let waits = resource == Type::Pods && object["metadata"]["deletionGracePeriodSeconds"] != 0;
    let held = object::finalizers(object).next().is_some() || !namespace_finalizers(object).is_empty();
    if !object::is_terminating(object) || waits || held {
        return None;
    }
    remove(tx, resource, key)
}

fn namespace_finalizers(object: &Value) -> &[Value] {
    object::list(object, "/spec/finalizers")
}

/// Takes the object out of storage, with what the API server deletes along with it.
fn remove(tx: &mut Transaction<'_>, resource: Type, key: &Key) -> Option<Object> {
    let gone = tx.remove(resource, key);
    if resource == Type::Services {
        tx.remove(Type::Endpoints, key);
    }
    gone
}

/// Deletes an object, or marks it if it has to wait for a grace period or for finalizers.
pub fn delete(
    tx: &mut Transaction<'_>,
    resource: Type,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, Refusal> {
    let Some(old) = tx.get(resource, key).cloned() else {
        return Err(Refusal::not_found(resource, &key.name));
    };
    check_preconditions(resource, key, &old, options)?;
    if options.propagation == Propagation::Orphan {
        orphan_dependents(tx, object::uid(&old));
    }
    let grace = grace_seconds(resource, &old, options);
    let mut finalizers: Vec<String> = object::finalizers(&old).map(str::to_owned).collect();
    if options.propagation == Propagation::Foreground && !tx.dependents(object::uid(&old)).is_empty() {
        finalizers.push("foregroundDeletion".to_owned());
    }
    let held =
        !finalizers.is_empty() || resource == Type::Namespaces && !namespace_finalizers(&old).is_empty();
    if grace == 0 && !held {
        return remove(tx, resource, key)
            .map(Deleted::Gone)
            .ok_or_else(|| Refusal::not_found(resource, &key.name));
    }
    let mut new = (*old).clone();
    let shorter = old["metadata"]["deletionGracePeriodSeconds"].as_u64().is_none_or(|old| grace < old);
    if shorter {
        let stamp = tx.clock.stamp_in(Duration::from_secs(grace));
        let metadata = object::metadata(&mut new);
        metadata.insert("deletionTimestamp".into(), stamp.into());
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
    }
    if !finalizers.is_empty() {
        finalizers.dedup();
        object::metadata(&mut new).insert("finalizers".into(), json!(finalizers));
    }
    if resource == Type::Namespaces {
        new["status"]["phase"] = "Terminating".into();
    }
    if new == *old {
        return Ok(Deleted::Marked(old));
    }
    Ok(Deleted::Marked(tx.put(resource, new)))
}

/// Pods get time to stop once a node runs them; all else goes at once.
fn grace_seconds(resource: Type, old: &Value, options: &DeleteOptions) -> u64 {
    let placed = !object::text(old, "/spec/nodeName").is_empty();
    let over = matches!(object::text(old, "/status/phase"), "Succeeded" | "Failed");
    if resource != Type::Pods || !placed || over {
        return 0;
    }
    options
        .grace_seconds
        .unwrap_or_else(|| old["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30))
}

fn check_preconditions(
    resource: Type,
    key: &Key,
    old: &Value,
    options: &DeleteOptions,
) -> Result<(), Refusal> {
    let pairs = [
        ("UID", &options.uid, object::uid(old)),
        ("ResourceVersion", &options.resource_version, object::resource_version(old)),
    ];
    for (what, wanted, found) in pairs {
        let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) else { continue };
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object might have been deleted and then recreated"
        );
        return Err(Refusal::precondition(resource, &key.name, &why));
    }
    Ok(())
}

fn orphan_dependents(tx: &mut Transaction<'_>, uid: &str) {
    for (resource, key) in tx.dependents(uid) {
        let Some(old) = tx.get(resource, &key) else { continue };
        let mut new = (**old).clone();
        let owners = object::metadata(&mut new).get_mut("ownerReferences").and_then(Value::as_array_mut);
        if let Some(owners) = owners {
            owners.retain(|owner| object::text(owner, "/uid") != uid);
        }
        object::drop_empty_metadata(&mut new);
        tx.put(resource, new);
    }
}

/// Removes a marked pod for good: its containers have stopped.
pub fn stop_pod(tx: &mut Transaction<'_>, key: &Key) {
    let Some(old) = tx.get(Type::Pods, key).cloned() else { return };
    if object::is_terminating(&old) && object::finalizers(&old).next().is_none() {
        remove(tx, Type::Pods, key);
    } else if object::is_terminating(&old) {
        let mut new = Arc::unwrap_or_clone(old);
        object::metadata(&mut new).insert("deletionGracePeriodSeconds".into(), 0.into());
        tx.put(Type::Pods, new);
    }
}

/// Sets a namespace's finalizers to those of `wanted`, and lets it go if there are none left.
pub fn finalize(tx: &mut Transaction<'_>, key: &Key, wanted: &Value) -> Result<Object, Refusal> {
    let resource = Type::Namespaces;
    let old = tx.get(resource, key).cloned().ok_or_else(|| Refusal::not_found(resource, &key.name))?;
    check_identity(resource, key, &old, wanted)?;
    let mut new = (*old).clone();
    new["spec"]["finalizers"] = json!(namespace_finalizers(wanted));
    if new == *old {
        return Ok(old);
    }
    let stored = tx.put(resource, new);
    Ok(finish(tx, resource, key).unwrap_or(stored))
}

/// Lets a namespace go: it is empty.
pub fn finalize_namespace(tx: &mut Transaction<'_>, key: &Key) {
    let marked = tx.get(Type::Namespaces, key).is_some_and(|namespace| object::is_terminating(namespace));
    if marked {
        tx.remove(Type::Namespaces, key);
    }
}
