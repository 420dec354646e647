//! Edits and manifests as text, YAML or JSON, there and back.

use serde::Serialize;
use serde_json::Value;
use vipscope_shared::manifest::{encode, parse_documents, to_yaml};
use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::edit::{Edit, ObjectName, parse};

/// How a text is written. Both are read everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    Yaml,
    Json,
}

pub fn print_value(value: &impl Serialize, notation: Notation) -> String {
    match notation {
        Notation::Yaml => to_yaml(value),
        Notation::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

/// Nothing for no edits.
pub fn print_edits(edits: &[Edit], notation: Notation) -> String {
    if edits.is_empty() { String::new() } else { print_value(&edits, notation) }
}

/// A list of edits; no text is no edits. Errors in words, with the edit's number.
pub fn read_edits(text: &str) -> Result<Vec<Edit>, String> {
    if text.trim().is_empty() { Ok(Vec::new()) } else { parse(text).map_err(|error| error.to_string()) }
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

/// The manifest of an object as the model has it; `None` if it is gone.
pub fn manifest_of(state: &ClusterState, object: &ObjectName) -> Option<Value> {
    state.object(object.kind, &object.key).map(|object| encode(&object))
}
