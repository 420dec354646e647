//! Errors about fields, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Required,
    /// Required, with what exactly is.
    RequiredBecause(String),
    /// The value as JSON text, and why.
    Invalid(String, String),
    /// The value as JSON text, and the supported ones.
    NotSupported(String, Vec<&'static str>),
    Duplicate(String),
    Forbidden(String),
}

/// One field error; prints as `spec.ports: Required value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub fault: Fault,
}

impl FieldError {
    pub fn required(field: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), fault: Fault::Required }
    }

    pub fn required_because(field: impl Into<String>, why: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), fault: Fault::RequiredBecause(why.into()) }
    }

    /// `value` prints as JSON.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<serde_json::Value>,
        why: impl Into<String>,
    ) -> FieldError {
        FieldError { field: field.into(), fault: Fault::Invalid(value.into().to_string(), why.into()) }
    }

    pub fn unsupported(field: impl Into<String>, value: &str, supported: &[&'static str]) -> FieldError {
        let value = serde_json::Value::from(value).to_string();
        FieldError { field: field.into(), fault: Fault::NotSupported(value, supported.to_vec()) }
    }

    pub fn duplicate(field: impl Into<String>, value: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), fault: Fault::Duplicate(value.into()) }
    }

    pub fn forbidden(field: impl Into<String>, why: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), fault: Fault::Forbidden(why.into()) }
    }

    /// `causes[].reason`.
    pub fn reason(&self) -> &'static str {
        match self.fault {
            Fault::Required | Fault::RequiredBecause(_) => "FieldValueRequired",
            Fault::Invalid(..) => "FieldValueInvalid",
            Fault::NotSupported(..) => "FieldValueNotSupported",
            Fault::Duplicate(_) => "FieldValueDuplicate",
            Fault::Forbidden(_) => "FieldValueForbidden",
        }
    }

    /// The message without the field, as in `causes[].message`.
    pub fn message(&self) -> String {
        match &self.fault {
            Fault::Required => "Required value".to_owned(),
            Fault::RequiredBecause(why) => format!("Required value: {why}"),
            Fault::Invalid(value, why) => format!("Invalid value: {value}: {why}"),
            Fault::NotSupported(value, supported) => {
                let quoted: Vec<String> = supported.iter().map(|one| format!("\"{one}\"")).collect();
                format!("Unsupported value: {value}: supported values: {}", quoted.join(", "))
            }
            Fault::Duplicate(value) => format!("Duplicate value: {value}"),
            Fault::Forbidden(why) => format!("Forbidden: {why}"),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}
