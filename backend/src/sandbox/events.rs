//! Events: what happened to an object, for `kubectl describe` and `kubectl get events`. The same thing again counts.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vipscope_shared::model::Key;

use super::object;
use super::objects::{self, DeleteOptions, Part};
use super::resources::Type;
use super::store::Transaction;

/// Events that are kept; beyond that the oldest quarter goes. (Real clusters keep them for an hour.)
const MOST: usize = 2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

/// What happened, and which component says so.
#[derive(Debug, Clone, Copy)]
pub struct Happening<'a> {
    pub severity: Severity,
    pub reason: &'a str,
    pub message: &'a str,
    pub component: &'a str,
}

/// Writes an event about `object`. Where none can be written any more, in a namespace that goes, none is.
pub fn record(tx: &mut Transaction<'_>, object: &Value, happening: Happening<'_>) {
    let Happening { severity, reason, message, component } = happening;
    let namespace = match object::namespace(object) {
        "" => "default",
        namespace => namespace,
    };
    let hash = Sha256::digest(format!("{}\0{reason}\0{message}", object::uid(object)).as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}.{hash}", object::name(object));
    let (key, stamp) = (Key::new(namespace, name.as_str()), tx.clock.stamp());
    if tx.get(Type::Events, &key).is_some() {
        let _ = objects::modify(tx, Type::Events, &key, Part::Main, |event| {
            event["count"] = (event["count"].as_i64().unwrap_or(1) + 1).into();
            event["lastTimestamp"] = stamp.into();
        });
        return;
    }
    let event = json!({
        "metadata": { "name": name },
        "involvedObject": {
            "kind": object["kind"], "apiVersion": object["apiVersion"], "namespace": object["metadata"]["namespace"],
            "name": object::name(object), "uid": object::uid(object), "resourceVersion": object::resource_version(object),
        },
        "type": if severity == Severity::Normal { "Normal" } else { "Warning" },
        "reason": reason, "message": message, "count": 1, "firstTimestamp": stamp, "lastTimestamp": stamp,
        "source": { "component": component }, "reportingComponent": component, "reportingInstance": "",
    });
    let _ = objects::create(tx, Type::Events, namespace, event);
    if tx.count(Type::Events) > MOST {
        forget_oldest(tx);
    }
}

fn forget_oldest(tx: &mut Transaction<'_>) {
    let stamp = |tx: &Transaction<'_>, key: &Key| {
        tx.get(Type::Events, key).map(|event| object::text(event, "/lastTimestamp").to_owned())
    };
    let mut by_age: Vec<(Option<String>, Key)> =
        tx.keys(Type::Events, "").into_iter().map(|key| (stamp(tx, &key), key)).collect();
    by_age.sort();
    for (_, key) in by_age.into_iter().take(MOST / 4) {
        let _ = objects::delete(tx, Type::Events, &key, &DeleteOptions::default());
    }
}
