//! The forms in which objects are answered: whole, metadata only, or as rows of a table. Which one, the client says in
//! `Accept`.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::errors::Refusal;
use super::object::{self, Object};
use super::query::Query;
use super::resources::Type;
use super::table;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Whole,
    Metadata,
    Table(Include),
}

/// What a row of a table carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    Nothing,
    Metadata,
    Object,
}

/// Whether a table says what its columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    Defined,
    /// They have been defined before in the same stream.
    Known,
}

/// The form, and the media type to call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Representation {
    pub form: Form,
    pub media_type: &'static str,
}

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

impl Representation {
    /// The first one of `Accept` that the sandbox has. (JSON is YAML, too.)
    pub fn of(headers: &HeaderMap, query: &Query) -> Result<Representation, Refusal> {
        let json = Representation { form: Form::Whole, media_type: "application/json" };
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut asked =
            values.flat_map(|value| value.split(',')).map(str::trim).filter(|one| !one.is_empty());
        let mut unknown_form = false;
        let mut any = false;
        let found = asked.find_map(|one| {
            any = true;
            let (base, parameters) = one.split_once(';').unwrap_or((one, ""));
            let parameter = |name: &str| {
                let mut pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
                pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
            };
            let media_type = match base.trim() {
                "application/json" | "*/*" | "application/*" => "application/json",
                "application/yaml" => "application/yaml",
                _ => return None,
            };
            let form = match parameter("as") {
                None => Some(Form::Whole),
                Some("Table") => Some(Form::Table(Include::Metadata)),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Form::Metadata),
                Some(_) => None,
            };
            unknown_form |= form.is_none();
            Some(Representation { form: form?, media_type })
        });
        match found {
            Some(Representation { form: Form::Table(_), media_type }) => {
                Ok(Representation { form: Form::Table(include(query)?), media_type })
            }
            Some(found) => Ok(found),
            None if !any => Ok(json),
            None if unknown_form => Err(Refusal::not_acceptable(format!(
                "only the following media types are accepted: {ACCEPTED}"
            ))),
            None => Err(Refusal::not_acceptable(format!(
                "406: Not Acceptable\n\nAvailable representations: {ACCEPTED}"
            ))),
        }
    }
}

fn include(query: &Query) -> Result<Include, Refusal> {
    match query.get("includeObject") {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::Nothing),
        "Object" => Ok(Include::Object),
        other => Err(Refusal::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

/// An object's metadata as an object of its own.
fn partial(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

/// One object.
pub fn object(form: Form, resource: Type, object: &Object, columns: Columns, now: Timestamp) -> Value {
    match form {
        Form::Whole => (**object).clone(),
        Form::Metadata => partial(object),
        Form::Table(include) => {
            let metadata = json!({ "resourceVersion": object::resource_version(object) });
            table(resource, include, std::slice::from_ref(object), metadata, columns, now)
        }
    }
}

/// Several objects as a table, or the list of their metadata; `metadata` is that of the list.
pub fn list(form: Form, resource: Type, objects: &[Object], metadata: Value, now: Timestamp) -> Value {
    match form {
        Form::Table(include) => table(resource, include, objects, metadata, Columns::Defined, now),
        Form::Metadata | Form::Whole => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "items": objects.iter().map(|object| partial(object)).collect::<Vec<_>>(),
        }),
    }
}

fn table(
    resource: Type,
    include: Include,
    objects: &[Object],
    metadata: Value,
    columns: Columns,
    now: Timestamp,
) -> Value {
    let row = |object: &Object| {
        let carried = match include {
            Include::Nothing => Value::Null,
            Include::Metadata => partial(object),
            Include::Object => (**object).clone(),
        };
        json!({ "cells": table::cells(resource, object, now), "object": carried })
    };
    let defined = columns == Columns::Defined;
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": if defined { table::columns(resource) } else { Value::Null },
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// A bookmark: no object, only where the stream is.
pub fn bookmark(form: Form, resource: Type, metadata: Value) -> Value {
    let info = resource.info();
    let plain =
        |kind: &str, version: &str| json!({ "kind": kind, "apiVersion": version, "metadata": metadata });
    match form {
        Form::Whole => plain(info.kind, &info.api_version()),
        Form::Metadata => plain("PartialObjectMetadata", "meta.k8s.io/v1"),
        Form::Table(_) => {
            let blank: Value =
                table::columns(resource).as_array().into_iter().flatten().map(|_| "").collect();
            let carried = plain("PartialObjectMetadata", "meta.k8s.io/v1");
            json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": null,
                "metadata": { "resourceVersion": metadata["resourceVersion"] },
                "rows": [{ "cells": blank, "object": carried }],
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted() {
        let rows = [
            ("", Ok(Form::Whole)),
            ("*/*", Ok(Form::Whole)),
            ("application/vnd.kubernetes.protobuf,application/json", Ok(Form::Whole)),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Ok(Form::Table(Include::Metadata)),
            ),
            ("application/json;g=meta.k8s.io;v=v1;as=PartialObjectMetadata", Ok(Form::Metadata)),
            ("application/json;as=Nothing;v=v1;g=meta.k8s.io,application/json", Ok(Form::Whole)),
            ("application/json;as=Nothing;v=v1;g=meta.k8s.io", Err("only the following media types")),
            ("application/vnd.kubernetes.protobuf", Err("406: Not Acceptable")),
        ];
        for (accept, expected) in rows {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            match (Representation::of(&headers, &Query::default()), expected) {
                (Ok(found), Ok(form)) => assert_eq!(found.form, form, "{accept}"),
                (Err(refused), Err(start)) => assert!(refused.message.starts_with(start), "{accept}"),
                (found, _) => panic!("{accept}: {found:?}"),
            }
        }
    }
}
