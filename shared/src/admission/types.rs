//! The API's types as data: what fields each has, their numbers in protobuf, and how their lists merge; and what Go's decoder says
//! of a value of another type. The watched kinds' types are here, in [`watched`]; the sandbox adds those of other kinds.
//!
//! Law: what [`Types::type_error`] lets pass has objects, lists and plain values where the API has them.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The types of the watched kinds, as text for [`Types::parse`].
pub const TABLE: &str = include_str!("types.txt");

/// Types by name: `core.ServicePort`.
#[derive(Debug)]
pub struct Types(HashMap<&'static str, Schema>);

/// One type.
#[derive(Debug, Clone)]
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

/// The types of the watched kinds.
pub fn watched() -> &'static Types {
    static WATCHED: LazyLock<Types> = LazyLock::new(|| Types::parse(&[TABLE]));
    &WATCHED
}

/// The API server's refusal of a body that is not an object of its kind; `why` is the decoder's error.
pub fn cannot_handle(kind: &str, version: &str, expected: &str, why: &str) -> String {
    format!("{kind} in version \"{version}\" cannot be handled as a {expected}: {why}")
}

impl Types {
    /// Reads tables such as [`TABLE`]. What is not in their form is left out.
    pub fn parse(tables: &[&'static str]) -> Types {
        let mut types = HashMap::new();
        let mut current: Option<Schema> = None;
        let lines = tables.iter().flat_map(|table| table.lines());
        for line in lines.filter(|line| !line.starts_with('#')) {
            match line.strip_prefix(' ') {
                Some(field) => {
                    if let (Some(schema), Some(field)) = (&mut current, parse_field(field)) {
                        schema.fields.push(field);
                    }
                }
                None => {
                    let (name, atomic) = line.split_once(' ').map_or((line, false), |(name, _)| (name, true));
                    let done = current.replace(Schema { name, atomic, fields: Vec::new() });
                    types.extend(done.map(|schema| (schema.name, schema)));
                }
            }
        }
        types.extend(current.map(|schema| (schema.name, schema)));
        Types(types)
    }

    /// The type of a kind in an API group.
    pub fn of_kind(&self, group: &str, kind: &str) -> Option<&Schema> {
        let package = group.split('.').next().filter(|name| !name.is_empty()).unwrap_or("core");
        self.0.get(format!("{package}.{kind}").as_str())
    }

    /// A type by its name in the table.
    pub fn named(&self, name: &str) -> Option<&Schema> {
        self.0.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = &Schema> {
        self.0.values()
    }

    /// The type of a field's value, or of its elements.
    pub fn of(&self, field: &Field) -> Option<&Schema> {
        match field.base {
            Base::Message(name) => self.named(name),
            _ => None,
        }
    }

    /// The field that JSON calls `name`.
    pub fn field<'t>(&'t self, schema: &'t Schema, name: &str) -> Option<&'t Field> {
        let direct = schema.fields.iter().find(|field| !field.inline && field.name == name);
        let mut inlined = schema.fields.iter().filter(|field| field.inline);
        direct.or_else(|| inlined.find_map(|field| self.field(self.of(field)?, name)))
    }

    /// The first value whose type can't be what it has to be, in the words of Go's decoder.
    pub fn type_error(&self, value: &Value, schema: &Schema) -> Option<String> {
        self.first_mismatch(value, schema, "")
    }

    fn first_mismatch(&self, value: &Value, schema: &Schema, path: &str) -> Option<String> {
        let owner = schema.name.rsplit('.').next().unwrap_or_default();
        value.as_object()?.iter().find_map(|(name, value)| {
            let field = self.field(schema, name)?;
            let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let place = format!("{owner}.{here}");
            let element = |element: &Value| match field.base.takes(element) {
                true => self.first_mismatch(element, self.of(field)?, &here),
                false => Some(field.base.refusal(element, &place)),
            };
            match (field.shape, value) {
                (_, Value::Null) => None,
                (Shape::One, value) => element(value),
                (Shape::List, Value::Array(list)) => list.iter().find_map(element),
                (Shape::Map, Value::Object(map)) => map.values().find_map(element),
                (Shape::List, other) => {
                    Some(cannot_unmarshal(kind_of(other), &place, &format!("[]{}", field.base.go_type())))
                }
                (Shape::Map, other) => {
                    let go_type = format!("map[string]{}", field.base.go_type());
                    Some(cannot_unmarshal(kind_of(other), &place, &go_type))
                }
            }
        })
    }
}

fn cannot_unmarshal(found: &str, place: &str, go_type: &str) -> String {
    format!("json: cannot unmarshal {found} into Go struct field {place} of type {go_type}")
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
        let is_int32 = || value.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
        match self {
            _ if value.is_null() => true,
            Base::String | Base::Bytes | Base::Time | Base::MicroTime => value.is_string(),
            Base::Bool => value.is_boolean(),
            Base::Int32 => is_int32(),
            Base::Int64 => value.is_i64() || value.is_u64(),
            Base::Double => value.is_number(),
            Base::Quantity => value.is_string() || value.is_number(),
            Base::IntOrString => value.is_string() || is_int32(),
            Base::Raw => true,
            Base::Strings => value.is_array(),
            Base::Message(_) => value.is_object(),
        }
    }

    /// What the decoder says of a value that it does not take.
    fn refusal(self, value: &Value, place: &str) -> String {
        // Of a number that does not fit, the decoder shows the digits.
        let found = match (self, value) {
            (Base::Int32 | Base::Int64 | Base::IntOrString, Value::Number(number)) => {
                format!("number {number}")
            }
            _ => kind_of(value).to_owned(),
        };
        match self {
            // Types that read themselves know nothing of the place.
            Base::IntOrString => format!("json: cannot unmarshal {found} into Go value of type int32"),
            Base::Time | Base::MicroTime => {
                format!("json: cannot unmarshal {found} into Go value of type string")
            }
            _ => cannot_unmarshal(&found, place, &self.go_type()),
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
