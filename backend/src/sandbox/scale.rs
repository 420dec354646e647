//! `/scale`: the replica count of a workload as an object of its own, `autoscaling/v1` Scale.

use jiff::Timestamp;
use serde_json::{Value, json};
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::object::{self, Object};
use super::objects::{self, Part};
use super::resources::Type;
use super::store::Transaction;
use super::table;

/// The Scale of a workload.
pub fn of(workload: &Value) -> Value {
    let meta = &workload["metadata"];
    let labels = workload["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": { "replicas": workload["spec"]["replicas"] },
        "status": {
            "replicas": workload["status"]["replicas"].as_i64().unwrap_or_default(), "selector": selector.join(","),
        },
    })
}

/// The Scale of a workload as a table of one row.
pub fn table(workload: &Value, now: Timestamp) -> Value {
    let column = |name: &str, kind: &str| {
        json!({
            "name": name, "type": kind, "format": if name == "Name" { "name" } else { "" },
            "description": format!("{name} of the Scale"), "priority": 0,
        })
    };
    let scale = of(workload);
    let age = table::age(object::text(workload, "/metadata/creationTimestamp"), now);
    let cells =
        json!([scale["metadata"]["name"], scale["spec"]["replicas"], scale["status"]["replicas"], age]);
    let carried = json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": scale["metadata"],
    });
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": { "resourceVersion": scale["metadata"]["resourceVersion"] },
        "columnDefinitions": [
            column("Name", "string"), column("Desired", "integer"), column("Available", "integer"), column("Age", "string"),
        ],
        "rows": [{ "cells": cells, "object": carried }],
    })
}

/// Stores the count of `scale` in the workload.
pub fn set(tx: &mut Transaction<'_>, resource: Type, key: &Key, scale: &Value) -> Result<Object, Refusal> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let error = FieldError::invalid("spec.replicas", replicas, why);
        return Err(Refusal::invalid_kind("autoscaling", "Scale", &key.name, &[error]));
    }
    let version = object::resource_version(scale).to_owned();
    let uid = object::uid(scale).to_owned();
    objects::modify(tx, resource, key, Part::Main, |workload| {
        workload["spec"]["replicas"] = replicas.into();
        // The versions of both are the same; `update` compares them.
        if !version.is_empty() {
            workload["metadata"]["resourceVersion"] = version.into();
        }
        if !uid.is_empty() {
            workload["metadata"]["uid"] = uid.into();
        }
    })
}
