//! Reading and writing the parts that all objects have. Objects are JSON values whose shape `strategy` has checked.

use std::sync::Arc;

use serde_json::{Map, Value};
use vipscope_shared::model::Key;

/// A stored object: never changed, only replaced.
pub type Object = Arc<Value>;

pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub fn key(object: &Value) -> Key {
    Key::new(namespace(object), name(object))
}

pub fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

pub fn is_terminating(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}

/// A text of `metadata.labels` or `metadata.annotations`; keys may hold slashes, which pointers can't.
pub fn meta_entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
}

pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    meta_entry(object, "annotations", key)
}

pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "/metadata/finalizers").iter().filter_map(Value::as_str)
}

/// The uids of the owners.
pub fn owners(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "/metadata/ownerReferences").iter().map(|owner| text(owner, "/uid"))
}

/// The controlling owner's uid.
pub fn controller(object: &Value) -> Option<&str> {
    let owners = list(object, "/metadata/ownerReferences").iter();
    owners.filter(|owner| owner["controller"] == true).map(|owner| text(owner, "/uid")).next()
}

pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The map at `field` of an object, made if absent or of another type.
pub fn map_at<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let slot = &mut object[field];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    // Just made sure of.
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("an object was just stored"),
    }
}

pub fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    map_at(object, "metadata")
}

/// Empty lists and maps of the metadata are as good as absent, and are not shown.
pub fn drop_empty_metadata(object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    metadata(object).retain(|field, value| field == "managedFields" || !is_empty(value));
}

/// Removes what is `null`, as a typed API server forgets it.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// An owner reference to `owner`, which controls what carries it.
pub fn owner_reference(owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}
