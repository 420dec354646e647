//! The API's types as data: what fields each has, their numbers in protobuf, and how their lists merge.
//!
//! One table serves protobuf bodies, the search for unknown fields, and server-side apply.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

const TABLE: &str = include_str!("types.txt");

static TYPES: LazyLock<HashMap<&'static str, Schema>> = LazyLock::new(parse);

/// One type.
#[derive(Debug)]
pub struct Schema {
    pub name: &'static str,
    /// Applied as a whole, never field by field.
    pub atomic: bool,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Field {
    /// As in JSON.
    pub name: &'static str,
    /// In protobuf.
    pub number: u64,
    pub shape: Shape,
    pub base: Base,
    pub merge: Merge,
    /// In JSON its fields stand in the parent.
    pub inline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One,
    List,
    /// With text keys.
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    String,
    Bool,
    Int32,
    Int64,
    Double,
    Bytes,
    /// Seconds, RFC 3339 in JSON.
    Time,
    /// The same with microseconds.
    MicroTime,
    Quantity,
    IntOrString,
    /// JSON inside.
    Raw,
    /// A list of texts wrapped in a message.
    Strings,
    Message(&'static str),
}

/// How two appliers' values meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// Field by field; a plain value as a whole.
    Granular,
    /// As a whole.
    Atomic,
    /// A list of plain values, each for itself.
    Set,
    /// A list of objects, told apart by these fields.
    Keys(Vec<&'static str>),
}

/// The type of a kind in an API group.
pub fn of_kind(group: &str, kind: &str) -> Option<&'static Schema> {
    let package = group.split('.').next().filter(|name| !name.is_empty()).unwrap_or("core");
    let wanted = format!("{package}.{kind}");
    TYPES.get(wanted.as_str())
}

/// A type by its name in the table.
pub fn named(name: &str) -> Option<&'static Schema> {
    TYPES.get(name)
}

impl Schema {
    /// The field that JSON calls `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        let own = named(self.name)?.fields.iter();
        let mut inlined = own.clone().filter(|field| field.inline);
        let direct = own.clone().find(|field| !field.inline && field.name == name);
        direct.or_else(|| inlined.find_map(|field| field.schema()?.field(name)))
    }
}

impl Field {
    /// The type of its value, or of its elements.
    pub fn schema(&self) -> Option<&'static Schema> {
        match self.base {
            Base::Message(name) => named(name),
            _ => None,
        }
    }

    /// Applied as a whole.
    pub fn is_atomic(&self) -> bool {
        self.merge == Merge::Atomic || self.schema().is_some_and(|schema| schema.atomic)
    }
}

/// What a key field is when an element leaves it out.
pub fn key_default(field: &str) -> Option<Value> {
    (field == "protocol").then(|| "TCP".into())
}

/// Takes out of `value` what its type does not have, and says what that was: `spec.ports[0].foo`.
pub fn drop_unknown(value: &mut Value, schema: &'static Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    prune(value, schema, "", &mut unknown);
    unknown
}

fn prune(value: &mut Value, schema: &'static Schema, path: &str, unknown: &mut Vec<String>) {
    let Some(map) = value.as_object_mut() else { return };
    map.retain(|name, value| {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let type_meta = path.is_empty() && matches!(name.as_str(), "kind" | "apiVersion");
        let Some(field) = schema.field(name) else {
            if !type_meta {
                unknown.push(here);
            }
            return type_meta;
        };
        let Some(inner) = field.schema() else { return true };
        match (field.shape, value) {
            (Shape::One, value) => prune(value, inner, &here, unknown),
            (Shape::List, Value::Array(list)) => {
                for (at, element) in list.iter_mut().enumerate() {
                    prune(element, inner, &format!("{here}[{at}]"), unknown);
                }
            }
            (Shape::Map, Value::Object(map)) => {
                for (key, element) in map.iter_mut() {
                    prune(element, inner, &format!("{here}.{key}"), unknown);
                }
            }
            _ => {}
        }
        true
    });
}

/// The first value whose type can't be what it has to be, in the words of Go's decoder.
pub fn type_error(value: &Value, schema: &'static Schema) -> Option<String> {
    first_mismatch(value, schema, "")
}

fn first_mismatch(value: &Value, schema: &'static Schema, path: &str) -> Option<String> {
    let owner = schema.name.rsplit('.').next().unwrap_or_default();
    value.as_object()?.iter().find_map(|(name, value)| {
        let field = schema.field(name)?;
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let wrong = |value: &Value, go_type: String| {
            let found = kind_of(value);
            Some(format!(
                "json: cannot unmarshal {found} into Go struct field {owner}.{here} of type {go_type}"
            ))
        };
        match (field.shape, value) {
            (_, Value::Null) => None,
            (Shape::One, value) if !field.base.takes(value) => wrong(value, field.base.go_type()),
            (Shape::One, value) => first_mismatch(value, field.schema()?, &here),
            (Shape::List, Value::Array(list)) => {
                list.iter().find_map(|element| match field.base.takes(element) {
                    true => first_mismatch(element, field.schema()?, &here),
                    false => wrong(element, field.base.go_type()),
                })
            }
            (Shape::List, other) => wrong(other, format!("[]{}", field.base.go_type())),
            (Shape::Map, Value::Object(map)) => {
                map.values().find_map(|element| match field.base.takes(element) {
                    true => first_mismatch(element, field.schema()?, &here),
                    false => wrong(element, field.base.go_type()),
                })
            }
            (Shape::Map, other) => wrong(other, format!("map[string]{}", field.base.go_type())),
        }
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Base {
    /// Whether JSON of this kind can be such a value.
    fn takes(self, value: &Value) -> bool {
        match self {
            _ if value.is_null() => true,
            Base::String | Base::Bytes | Base::Time | Base::MicroTime => value.is_string(),
            Base::Bool => value.is_boolean(),
            Base::Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            Base::Int64 => value.is_i64() || value.is_u64(),
            Base::Double => value.is_number(),
            Base::Quantity | Base::IntOrString => value.is_string() || value.is_number(),
            Base::Raw => true,
            Base::Strings => value.is_array(),
            Base::Message(_) => value.is_object(),
        }
    }

    fn go_type(self) -> String {
        match self {
            Base::String | Base::Quantity | Base::IntOrString => "string".to_owned(),
            Base::Bytes => "[]uint8".to_owned(),
            Base::Time => "v1.Time".to_owned(),
            Base::MicroTime => "v1.MicroTime".to_owned(),
            Base::Bool => "bool".to_owned(),
            Base::Int32 => "int32".to_owned(),
            Base::Int64 => "int64".to_owned(),
            Base::Double => "float64".to_owned(),
            Base::Raw => "runtime.RawExtension".to_owned(),
            Base::Strings => "[]string".to_owned(),
            Base::Message(name) => format!("v1.{}", name.rsplit('.').next().unwrap_or(name)),
        }
    }
}

fn parse() -> HashMap<&'static str, Schema> {
    let mut types = HashMap::new();
    let mut current: Option<Schema> = None;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix(' ') {
            Some(field) => {
                if let (Some(schema), Some(field)) = (&mut current, parse_field(field)) {
                    schema.fields.push(field);
                }
            }
            None => {
                let next = line.split_once(' ').map_or((line, false), |(name, _)| (name, true));
                let next = Schema { name: next.0, atomic: next.1, fields: Vec::new() };
                let done = current.replace(next);
                types.extend(done.map(|schema| (schema.name, schema)));
            }
        }
    }
    types.extend(current.map(|schema| (schema.name, schema)));
    types
}

fn parse_field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let (name, number, kind) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let (shape, base) = match (kind.strip_prefix("[]"), kind.strip_prefix("{}")) {
        (Some(base), _) => (Shape::List, base),
        (_, Some(base)) => (Shape::Map, base),
        _ => (Shape::One, kind),
    };
    let base = match base {
        "string" => Base::String,
        "bool" => Base::Bool,
        "int32" => Base::Int32,
        "int64" => Base::Int64,
        "double" => Base::Double,
        "bytes" => Base::Bytes,
        "time" => Base::Time,
        "microtime" => Base::MicroTime,
        "quantity" => Base::Quantity,
        "int-or-string" => Base::IntOrString,
        "raw" | "fields" => Base::Raw,
        "strings" => Base::Strings,
        message => Base::Message(message),
    };
    let merge = match words.next() {
        Some("set") => Merge::Set,
        Some("atomic") => Merge::Atomic,
        Some(keys) => Merge::Keys(keys.strip_prefix("keys=")?.split(',').collect()),
        None if shape == Shape::List => Merge::Atomic,
        None => Merge::Granular,
    };
    let inline = name.starts_with('~');
    Some(Field { name: name.trim_start_matches('~'), number, shape, base, merge, inline })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_whole() {
        for schema in TYPES.values() {
            for field in &schema.fields {
                let known = !matches!(field.base, Base::Message(_)) || field.schema().is_some();
                assert!(known, "{}.{}: {:?}", schema.name, field.name, field.base);
                let keys = match &field.merge {
                    Merge::Keys(keys) => keys.as_slice(),
                    _ => &[],
                };
                let element = field.schema();
                assert!(
                    keys.iter().all(|key| element.is_some_and(|schema| schema.field(key).is_some())),
                    "{}.{}",
                    schema.name,
                    field.name
                );
            }
        }
        let lines = TABLE.lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(TYPES.values().map(|schema| schema.fields.len()).sum::<usize>(), lines);
    }

    #[test]
    fn unknown_fields_are_found_and_dropped() {
        let schema = of_kind("", "Service").unwrap();
        let mut service = json!({
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"any": "thing"}},
            "spec": {"selektor": {}, "ports": [{"port": 80}, {"port": 81, "foo": 1}], "selector": {"a": "b"}},
        });
        assert_eq!(drop_unknown(&mut service, schema), ["spec.ports[1].foo", "spec.selektor"]);
        assert_eq!(service["spec"]["ports"][1], json!({"port": 81}));
        let mut pod = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}], "containers": [
            {"name": "c", "livenessProbe": {"httpGet": {"path": "/"}, "periodSeconds": 3},
             "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}]}});
        assert_eq!(drop_unknown(&mut pod, of_kind("", "Pod").unwrap()), Vec::<String>::new());
    }
}
