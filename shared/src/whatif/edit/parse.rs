//! Documents to edits: JSON or YAML, an array of edits or an object with the field `edits`. What is wrong is said with the edit, the
//! field and what would be right.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Edit, NodeEdit, ObjectName, PodEdit, WorkloadName};
use crate::manifest::{parse_documents, plain};
use crate::model::{Key, Text, key_text};

/// Most edits of one list.
pub const MOST_EDITS: usize = 1000;

/// Not a list of edits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEdits {
    #[error("{0}")]
    Document(String),
    #[error("expected an array of edits, or an object with the field `edits`: found {0}")]
    NotAList(&'static str),
    #[error("{0} edits are too many: at most {MOST_EDITS} are allowed")]
    TooMany(usize),
    /// One edit is wrong.
    #[error("edit {}: {reason}", index + 1)]
    Edit {
        /// From 0.
        index: usize,
        /// Its path inside the edit; empty if the edit as a whole is wrong.
        field: String,
        /// Names the field as well.
        reason: String,
    },
}

/// Reads a list of edits from JSON or YAML. The empty list is fine.
pub fn parse(text: &str) -> Result<Vec<Edit>, BadEdits> {
    let mut documents = parse_documents(text).map_err(|error| BadEdits::Document(error.to_string()))?;
    match documents.len() {
        1 => read(documents.swap_remove(0)),
        0 => Err(BadEdits::NotAList("nothing")),
        _ => Err(BadEdits::NotAList("several documents")),
    }
}

/// [`parse`], of what is JSON already.
pub fn read(value: Value) -> Result<Vec<Edit>, BadEdits> {
    let found = match &value {
        Value::Array(_) => "an array",
        Value::Object(_) => "an object with other fields",
        Value::String(_) => "a string",
        Value::Null => "null",
        Value::Bool(_) | Value::Number(_) => "a single value",
    };
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("edits") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err(BadEdits::NotAList("`edits` that is not an array")),
            None => return Err(BadEdits::NotAList(found)),
        },
        _ => return Err(BadEdits::NotAList(found)),
    };
    if list.len() > MOST_EDITS {
        return Err(BadEdits::TooMany(list.len()));
    }
    let edit = |(index, value)| one(value).map_err(|(field, reason)| BadEdits::Edit { index, field, reason });
    list.into_iter().enumerate().map(edit).collect()
}

/// The words of `op`, for messages.
const OPS: &str = "scale, pod, move, node, zone, apply, patch, delete, proxy";

/// One edit, or the field and what is wrong with it.
fn one(value: Value) -> Result<Edit, (String, String)> {
    let Value::Object(mut fields) = value else {
        return Err((String::new(), "expected an object with the field `op`".to_owned()));
    };
    let op = match fields.remove("op") {
        Some(Value::String(op)) => op,
        Some(_) => return Err(("op".to_owned(), format!("op: expected one of {OPS}"))),
        None => return Err(("op".to_owned(), format!("op: is missing; expected one of {OPS}"))),
    };
    if !OPS.split(", ").any(|known| known == op) {
        let shown: String = op.chars().take(40).collect();
        return Err(("op".to_owned(), format!("op: `{shown}` is not one of {OPS}")));
    }
    // With the word outside, the path of a field is known when it does not fit.
    let tagged = Value::Object(Map::from_iter([(op.clone(), Value::Object(fields))]));
    let mut track = serde_path_to_error::Track::new();
    let read = ByOp::deserialize(serde_path_to_error::Deserializer::new(tagged, &mut track));
    read.map_err(|error| {
        let path = track.path().to_string();
        let field = path.strip_prefix(&op).unwrap_or_default().trim_start_matches('.').to_owned();
        let error = plain(&error.to_string());
        let reason = if field.is_empty() { format!("{op}: {error}") } else { format!("{field}: {error}") };
        (field, reason)
    })
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Edit, D::Error> {
        one(Value::deserialize(deserializer)?).map_err(|(_, reason)| D::Error::custom(reason))
    }
}

/// [`Edit`] with the operation outside: `{"scale":{…}}`.
#[derive(Deserialize)]
#[serde(remote = "Edit", rename_all = "kebab-case", deny_unknown_fields)]
enum ByOp {
    Scale {
        workload: WorkloadName,
        replicas: u32,
    },
    Pod {
        #[serde(with = "key_text")]
        pod: Key,
        state: PodEdit,
    },
    Move {
        #[serde(with = "key_text")]
        pod: Key,
        to: Text,
    },
    Node {
        node: Text,
        state: NodeEdit,
    },
    Zone {
        node: Text,
        #[serde(deserialize_with = "given")]
        zone: Option<Text>,
    },
    Apply {
        manifest: Value,
    },
    Patch {
        object: ObjectName,
        patch: Value,
    },
    Delete {
        object: ObjectName,
    },
    Proxy {
        node: Text,
        set: Value,
    },
}

/// May be `null`, but has to be there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Option::deserialize(deserializer)
}
