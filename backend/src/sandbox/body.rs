//! Request bodies: JSON, YAML or protobuf to a JSON value.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The media type of a body, without parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    /// By `Content-Type`; an absent one is JSON.
    pub fn of(content_type: &str) -> Option<Format> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "" | "application/json" => Some(Format::Json),
            "application/yaml" | "application/apply-patch+yaml" => Some(Format::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Format::Protobuf),
            _ => None,
        }
    }
}

/// A parsed body, and the fields that it gives twice (the last counts).
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub value: Value,
    pub duplicates: Vec<String>,
}

/// Reads a body. An error says why it can't be read.
pub fn parse(format: Format, bytes: &[u8]) -> Result<Document, String> {
    let whole = |value| Document { value, duplicates: Vec::new() };
    match format {
        Format::Json => parse_json(bytes),
        // YAML holds JSON, but only JSON is quick to read.
        Format::Yaml => parse_json(bytes).or_else(|_| {
            let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            let documents = vipscope_shared::manifest::parse_documents(text);
            let documents = documents.map_err(|error| error.to_string())?;
            documents.into_iter().next().map(whole).ok_or_else(|| "no document".to_owned())
        }),
        Format::Protobuf => super::protobuf::decode(bytes).map(whole),
    }
}

fn parse_json(bytes: &[u8]) -> Result<Document, String> {
    let mut duplicates = BTreeSet::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { path: String::new(), duplicates: &mut duplicates };
    let value = seed.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(Document { value, duplicates: duplicates.into_iter().collect() })
}

/// Builds a value and notes duplicate fields below `path`.
struct Seed<'a> {
    path: String,
    duplicates: &'a mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, list.len());
            match access.next_element_seed(Seed { path, duplicates: self.duplicates })? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if map.contains_key(&key) {
                self.duplicates.insert(path.clone());
            }
            let value = access.next_value_seed(Seed { path, duplicates: self.duplicates })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicates_are_noted() {
        let parsed =
            parse(Format::Json, br#"{"data": {"a": "1", "a": "2"}, "list": [{"b": 1.5, "b": null}]}"#)
                .unwrap();
        assert_eq!(parsed.value, json!({"data": {"a": "2"}, "list": [{"b": null}]}));
        assert_eq!(parsed.duplicates, ["data.a", "list[0].b"]);
        assert!(parse(Format::Json, b"{} x").is_err());
        assert_eq!(parse(Format::Yaml, b"a:\n- 1\n").unwrap().value, json!({"a": [1]}));
    }
}
