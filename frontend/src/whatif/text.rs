//! Edits and manifests as text, YAML or JSON, there and back.

use serde_json::Value;
use vipscope_shared::manifest::{encode_endpoints, encode_slice, parse_documents, to_yaml};
use vipscope_shared::model::{ClusterState, Kind};
use vipscope_shared::whatif::edit::{Edit, ObjectName};

/// How a text is written. Both are read everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Yaml,
    Json,
}

pub fn print_value(value: &Value, notation: Notation) -> String {
    match notation {
        Notation::Yaml => to_yaml(value),
        Notation::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

/// Nothing for no edits.
pub fn print_edits(edits: &[Edit], notation: Notation) -> String {
    match serde_json::to_value(edits) {
        Ok(value) if !edits.is_empty() => print_value(&value, notation),
        _ => String::new(),
    }
}

/// A list of edits, or a single one. Errors in words, with the edit's number.
pub fn read_edits(text: &str) -> Result<Vec<Edit>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let documents = parse_documents(text).map_err(|error| error.to_string())?;
    let list = documents.into_iter().flat_map(|document| match document {
        Value::Array(edits) => edits,
        one => vec![one],
    });
    let read = |(nth, value): (usize, Value)| {
        serde_json::from_value(value).map_err(|error| format!("edit {}: {error}", nth + 1))
    };
    list.enumerate().map(read).collect()
}

/// One Kubernetes object. Errors in words.
pub fn read_manifest(text: &str) -> Result<Value, String> {
    let mut documents = parse_documents(text).map_err(|error| error.to_string())?;
    match (documents.len(), documents.pop()) {
        (1, Some(document)) if document["kind"].is_string() => Ok(document),
        (1, Some(_)) => Err("it has no `kind`".to_owned()),
        (count, _) => Err(format!("one object is expected, not {count}")),
    }
}

/// The manifest of an object as the model has it; `None` if it is gone, or of a kind that has none here.
pub fn manifest_of(state: &ClusterState, object: &ObjectName) -> Option<Value> {
    match object.kind {
        Kind::EndpointSlice => state.slices().get(&object.key).map(|slice| encode_slice(slice)),
        Kind::Endpoints => state.endpoints().get(&object.key).map(|endpoints| encode_endpoints(endpoints)),
        _ => None,
    }
}
