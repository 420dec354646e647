//! Edits in a few words, as a chip or a line of a table shows them.

use serde_json::Value;

use super::{Edit, NodeEdit, ObjectName, PodEdit, kind_word};
use crate::manifest;
use crate::model::Kind;

/// Longest text of a value; longer ones end with `…`.
const LONGEST_VALUE: usize = 40;

impl Edit {
    /// `drain node-d`, `scale Deployment shop/cart to 5`, `shop/cart trafficDistribution: PreferSameZone`.
    pub fn words(&self) -> String {
        match self {
            Edit::Scale { workload, replicas } => {
                format!("scale {} {} to {replicas}", workload.kind, workload.key)
            }
            Edit::Pod { pod, state } => format!("pod {pod} {}", state.as_str()),
            Edit::Move { pod, to } => format!("move pod {pod} to {to}"),
            Edit::Node { node, state } => match state {
                NodeEdit::Lost => format!("lose {node}"),
                _ => format!("{} {node}", state.as_str()),
            },
            Edit::Zone { node, zone: Some(zone) } => format!("{node} in zone {zone}"),
            Edit::Zone { node, zone: None } => format!("{node} in no zone"),
            Edit::Apply { manifest } => format!("apply {}", manifest_words(manifest)),
            Edit::Patch { object, patch } => format!("{} {}", object_words(object), changes(patch)),
            Edit::Delete { object } => format!("delete {} {}", kind_word(object.kind), object.key),
            Edit::Proxy { node, set } => {
                let who = if &**node == "*" { "all nodes" } else { node };
                format!("kube-proxy on {who}: {}", changes(set))
            }
        }
    }
}

impl PodEdit {
    pub fn as_str(self) -> &'static str {
        match self {
            PodEdit::Ready => "ready",
            PodEdit::Unready => "unready",
            PodEdit::Terminating => "terminating",
            PodEdit::Gone => "gone",
        }
    }
}

impl NodeEdit {
    pub fn as_str(self) -> &'static str {
        match self {
            NodeEdit::Cordon => "cordon",
            NodeEdit::Uncordon => "uncordon",
            NodeEdit::Drain => "drain",
            NodeEdit::Lost => "lost",
        }
    }
}

/// Services, of which most edits are, go without their kind.
fn object_words(object: &ObjectName) -> String {
    match object.kind {
        Kind::Service => object.key.to_string(),
        kind => format!("{} {}", kind_word(kind), object.key),
    }
}

fn manifest_words(value: &Value) -> String {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(short);
    let kind = text("/kind").unwrap_or_else(|| "an object".to_owned());
    let name = text("/metadata/name").unwrap_or_else(|| "without a name".to_owned());
    let namespaced =
        manifest::kind_of(value).is_none_or(|kind| !matches!(kind, Kind::Node | Kind::Namespace));
    match text("/metadata/namespace").filter(|_| namespaced) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// `trafficDistribution: PreferSameZone`; of several the first, and how many more.
fn changes(patch: &Value) -> String {
    let mut all = Vec::new();
    leaves(patch, "", &mut all);
    match all.as_slice() {
        [] => "unchanged".to_owned(),
        [only] => only.clone(),
        [first, second] => format!("{first}, {second}"),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// The fields that a merge patch sets, with their values. `spec` goes without saying.
fn leaves(patch: &Value, path: &str, all: &mut Vec<String>) {
    match patch.as_object() {
        Some(fields) if !fields.is_empty() || path.is_empty() => {
            for (name, value) in fields {
                let bare = path.is_empty() && name == "spec" && value.is_object();
                let inner = match path {
                    _ if bare => String::new(),
                    "" => short(name),
                    path => format!("{path}.{}", short(name)),
                };
                leaves(value, &inner, all);
            }
        }
        _ if path.is_empty() => {}
        _ => all.push(format!("{path}: {}", value_words(patch))),
    }
}

fn value_words(value: &Value) -> String {
    match value {
        Value::Null => "removed".to_owned(),
        Value::String(text) => short(text),
        Value::Array(items) => match items.as_slice() {
            [only] if only.is_string() => value_words(only),
            items if items.len() == 1 => "1 entry".to_owned(),
            items => format!("{} entries", items.len()),
        },
        other => short(&other.to_string()),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
