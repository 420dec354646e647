//! Files: any mix of JSON and YAML, `List`s and many documents, to a [`ClusterState`].

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::decode;
use crate::delta::Change;
use crate::model::{ClusterState, Fault, Freshness, Kind, Source};

/// What a file held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    pub state: ClusterState,
    /// Objects that could not be used, or not wholly, in the order of the file. Also in `state.faults()`.
    pub faults: Vec<std::sync::Arc<Fault>>,
    /// Objects of kinds that vipscope does not keep, counted by `kind.apiVersion`.
    pub ignored: BTreeMap<String, usize>,
}

/// The text as a whole is not JSON or YAML documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("the file is empty: expected Kubernetes objects as JSON or YAML")]
    Empty,
    #[error("is not JSON: {0}")]
    Json(String),
    #[error("is not YAML: {0}")]
    Yaml(String),
    #[error("document {document} is not a Kubernetes object: it has no `kind`")]
    NotAnObject { document: usize },
    #[error("document {document}, a {kind}: items: expected a list of objects, found {found}")]
    Items { document: usize, kind: String, found: &'static str },
}

/// Reads Kubernetes objects from JSON or YAML text. A bad object is reported, and the rest is still loaded.
pub fn load(text: &str) -> Result<Loaded, FileError> {
    let mut loaded = Loaded::default();
    load_into(&mut loaded, text)?;
    Ok(loaded)
}

/// [`load`], on top of what other files have given. Later objects replace earlier ones of the same name.
pub fn load_into(loaded: &mut Loaded, text: &str) -> Result<(), FileError> {
    let documents = parse_documents(text)?;
    if documents.is_empty() {
        return Err(FileError::Empty);
    }
    for (index, document) in documents.into_iter().enumerate() {
        add(loaded, document, index + 1)?;
    }
    for kind in Kind::ALL {
        let _ = loaded.state.apply(&Change::Source(Source { kind, freshness: Freshness::Fixed }));
    }
    Ok(())
}

/// A value as YAML text, in block style.
pub fn to_yaml(value: &impl Serialize) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// The documents of a text as JSON values; empty documents are left out.
pub fn parse_documents(text: &str) -> Result<Vec<Value>, FileError> {
    let text = text.trim_start_matches('\u{feff}');
    let start = text.trim_start();
    let documents: Vec<Value> = if start.starts_with(['{', '[']) && !looks_like_yaml_flow(start) {
        let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        stream.collect::<Result<_, _>>().map_err(|error| FileError::Json(error.to_string()))?
    } else {
        let documents = serde_saphyr::from_multiple_with_options(text, yaml_options());
        documents.map_err(|error| FileError::Yaml(one_line(&error)))?
    };
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// `{kind: …}`: YAML in flow style, whose keys are not quoted.
fn looks_like_yaml_flow(start: &str) -> bool {
    let inside = start.trim_start_matches(|c: char| c == '{' || c == '[' || c.is_whitespace());
    inside.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null"].iter().any(|word| inside.starts_with(word))
}

/// Clusters are large documents: the parser's default budget is meant for small configuration files.
pub(super) fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 400_000_000,
            max_nodes: 200_000_000,
            max_documents: 1_000_000,
            max_total_scalar_bytes: 2_000_000_000,
        },
    }
}

/// The error's first line, without the picture of the text around it.
pub(super) fn one_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn add(loaded: &mut Loaded, document: Value, number: usize) -> Result<(), FileError> {
    if let Value::Array(items) = document {
        return items.into_iter().try_for_each(|item| add(loaded, item, number));
    }
    let kind = document.get("kind").and_then(Value::as_str).map(str::to_owned);
    let Some(kind) = kind else { return Err(FileError::NotAnObject { document: number }) };
    if kind.ends_with("List") && document.get("items").is_some() {
        return add_list(loaded, &kind, document, number);
    }
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    match decode(document) {
        None => *loaded.ignored.entry(format!("{kind}.{version}")).or_default() += 1,
        Some(decoded) => {
            if let Some(object) = decoded.object {
                let _ = loaded.state.apply(&Change::Upsert(object));
            }
            if let Some(fault) = decoded.fault {
                let _ = loaded.state.apply(&Change::Fault(fault.clone()));
                loaded.faults.push(fault);
            }
        }
    }
    Ok(())
}

/// `List`, or a typed list such as `ServiceList`, whose items leave out kind and apiVersion.
fn add_list(loaded: &mut Loaded, kind: &str, mut document: Value, number: usize) -> Result<(), FileError> {
    let items = match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(other) => {
            let kind = kind.chars().take(LONGEST_KIND).collect();
            return Err(FileError::Items { document: number, kind, found: what(&other) });
        }
    };
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let item_kind = kind.strip_suffix("List").unwrap_or_default();
    for mut item in items {
        if let (false, Value::Object(fields)) = (item_kind.is_empty(), &mut item) {
            fields.entry("kind").or_insert_with(|| item_kind.into());
            fields.entry("apiVersion").or_insert_with(|| version.into());
        }
        add(loaded, item, number)?;
    }
    Ok(())
}

/// Most characters of a kind in a message.
const LONGEST_KIND: usize = 60;

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
