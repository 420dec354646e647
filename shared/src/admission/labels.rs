//! Labels and the names that keys of maps have to be. Upstream: `k8s.io/apimachinery/pkg/util/validation`.

use serde_json::Value;

use super::FieldError;
use super::service::dns_subdomain;

const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const LONGEST: usize = 63;

/// Checks the keys and values of a label map, which is at `field`.
pub fn validate(field: &str, labels: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.extend(bad_key(key).map(|why| FieldError::invalid(field, key.as_str(), why)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(bad_value(value).map(|why| FieldError::invalid(field, value, why)));
    }
    errors
}

/// Why a text is not a qualified name (`prefix/name` or `name`).
pub fn bad_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return Some(format!(
                "a qualified name {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    match prefix {
        Some("") => return Some("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            if let Some(error) = dns_subdomain("", prefix) {
                let why = error.message();
                let why = why.rsplit_once("\": ").map_or(why.as_str(), |(_, why)| why);
                return Some(format!("prefix part {why}"));
            }
        }
        None => {}
    }
    if name.is_empty() {
        return Some(format!("name part must be non-empty, name part {NAME}"));
    }
    if name.len() > LONGEST {
        return Some(format!("name part must be no more than {LONGEST} characters"));
    }
    (!is_name(name)).then(|| format!("name part {NAME}"))
}

fn bad_value(value: &str) -> Option<String> {
    if value.len() > LONGEST {
        return Some(format!("must be no more than {LONGEST} characters"));
    }
    (!value.is_empty() && !is_name(value)).then(|| VALUE.to_owned())
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let rows = [
            ("app", true),
            ("app.kubernetes.io/name", true),
            ("A_b.c-1", true),
            ("", false),
            ("a b", false),
            ("-a", false),
            ("/a", false),
            ("a/b/c", false),
            ("UPPER.example/a", false),
        ];
        for (key, fine) in rows {
            assert_eq!(bad_key(key).is_none(), fine, "{key}: {:?}", bad_key(key));
        }
    }
}
