//! As much of JSON Schema 2020-12 as our schemas use. A keyword that is not known here is a panic, so that none goes unchecked.

use serde_json::Value;

/// Why `value` does not fit the schema document; empty if it does.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    check(schema, schema, value, "")
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer =
                    wanted.as_str().and_then(|text| text.strip_prefix('#')).expect("a local reference");
                let target = root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
                faults.extend(check(root, target, value, at));
                true
            }
            "type" => types(wanted).iter().any(|name| is_type(value, name)),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= wanted.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
            "anyOf" => fitting(root, wanted, value, at) >= 1,
            "oneOf" => fitting(root, wanted, value, at) == 1,
            "items" => {
                for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults.extend(check(root, wanted, item, &format!("{at}/{nth}")));
                }
                true
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    let inner = value.get(name).into_iter();
                    faults
                        .extend(inner.flat_map(|inner| check(root, schema, inner, &format!("{at}/{name}"))));
                }
                true
            }
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || wanted.as_array().unwrap().iter().all(has)
            }
            "additionalProperties" => {
                assert_eq!(*wanted, Value::Bool(false));
                let known = |name: &String| schema["properties"].get(name).is_some();
                value.as_object().is_none_or(|fields| fields.keys().all(known))
            }
            other => panic!("keyword {other} is not known to this test"),
        };
        if !fits {
            faults.push(format!("{at}: {keyword}"));
        }
    }
    faults
}

fn fitting(root: &Value, schemas: &Value, value: &Value, at: &str) -> usize {
    let all = schemas.as_array().unwrap().iter();
    all.filter(|schema| check(root, schema, value, at).is_empty()).count()
}

fn types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        name => name.as_str().into_iter().collect(),
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "null" => value.is_null(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("type {other} is not known to this test"),
    }
}

/// Patterns are of parts between slashes: literal words, `[^/]+`, `.+` and groups of alternatives.
fn matches(pattern: &str, text: &str) -> bool {
    let inner =
        pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).expect("an anchored pattern");
    let inner = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(inner);
    split(inner, '|').into_iter().any(|way| {
        let parts = split(way, '/');
        let texts: Vec<&str> = match parts.last() {
            Some(&".+") => text.splitn(parts.len(), '/').collect(),
            _ => text.split('/').collect(),
        };
        parts.len() == texts.len() && parts.iter().zip(texts).all(|(part, text)| part_matches(part, text))
    })
}

/// Splits outside of brackets and parentheses.
fn split(text: &str, by: char) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            c if c == by && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn part_matches(part: &str, text: &str) -> bool {
    match part {
        "[^/]+" | ".+" => !text.is_empty(),
        group if group.starts_with('(') => {
            group.trim_start_matches('(').trim_end_matches(')').split('|').any(|word| word == text)
        }
        word => {
            assert!(
                word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{word} is not known to this test"
            );
            word == text
        }
    }
}
