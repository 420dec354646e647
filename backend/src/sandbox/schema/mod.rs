//! The API's types as data: those of the watched kinds, and those of the other kinds that are served here.
//!
//! One table serves protobuf bodies, the search for unknown fields, and server-side apply.

use std::sync::LazyLock;

use serde_json::Value;
pub use vipscope_shared::admission::types::{Base, Field, Merge, Schema, Shape};
use vipscope_shared::admission::types::{TABLE, Types};

const MORE: &str = include_str!("types.txt");

static TYPES: LazyLock<Types> = LazyLock::new(|| Types::parse(&[TABLE, MORE]));

/// The type of a kind in an API group.
pub fn of_kind(group: &str, kind: &str) -> Option<&'static Schema> {
    TYPES.of_kind(group, kind)
}

/// A type by its name in the table.
pub fn named(name: &str) -> Option<&'static Schema> {
    TYPES.named(name)
}

/// The first value whose type can't be what it has to be, in the words of Go's decoder.
pub fn type_error(value: &Value, schema: &Schema) -> Option<String> {
    TYPES.type_error(value, schema)
}

/// Looks up fields in the table.
pub trait Fields {
    /// The field that JSON calls `name`.
    fn field(&'static self, name: &str) -> Option<&'static Field>;
}

impl Fields for Schema {
    fn field(&'static self, name: &str) -> Option<&'static Field> {
        TYPES.field(self, name)
    }
}

/// Looks up a field's type in the table.
pub trait Typed {
    /// The type of its value, or of its elements.
    fn schema(&self) -> Option<&'static Schema>;

    /// Applied as a whole.
    fn is_atomic(&self) -> bool;
}

impl Typed for Field {
    fn schema(&self) -> Option<&'static Schema> {
        TYPES.of(self)
    }

    fn is_atomic(&self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_is_whole() {
        for schema in TYPES.all() {
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
        let lines = TABLE.lines().chain(MORE.lines()).filter(|line| line.starts_with(' ')).count();
        assert_eq!(TYPES.all().map(|schema| schema.fields.len()).sum::<usize>(), lines);
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
