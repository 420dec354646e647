//! `/scale`: the replica count of a workload as an object of its own, `autoscaling/v1` Scale.

use serde_json::{Value, json};
use vipscope_shared::admission::FieldError;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::object::{self, Object};
use super::objects::{self, Part};
use super::resources::Type;
use super::store::Transaction;

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
