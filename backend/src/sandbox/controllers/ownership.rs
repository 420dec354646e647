//! What a workload owns: it adopts what its selector chooses and nobody controls, and lets go of what no longer fits.
//!
//! So a pod that is relabelled leaves its ReplicaSet (and is replaced), and what a deletion orphaned finds a new owner.
//! Upstream: `pkg/controller/controller_ref_manager.go`.

use serde_json::Value;
use vipscope_shared::model::Key;

use crate::sandbox::object;
use crate::sandbox::objects::{self, Part};
use crate::sandbox::resources::Type;
use crate::sandbox::selectors::Selector;
use crate::sandbox::store::Transaction;

/// Makes the children of `owner` those that it selects.
pub fn claim(tx: &mut Transaction<'_>, owner: &Value, child: Type) {
    let selector = Selector::of_workload(&owner["spec"]["selector"]);
    let uid = object::uid(owner);
    if selector.is_empty() {
        return;
    }
    for (resource, key) in tx.dependents(uid) {
        let strayed = |object: &Value| object::controller(object) == Some(uid) && !selector.matches(object);
        if resource == child && tx.get(child, &key).is_some_and(|object| strayed(object)) {
            release(tx, child, &key, uid);
        }
    }
    for key in tx.keys(child, object::namespace(owner)) {
        let Some(found) = tx.get(child, &key) else { continue };
        let over = matches!(object::text(found, "/status/phase"), "Succeeded" | "Failed");
        let free = object::controller(found).is_none() && !object::is_terminating(found) && !over;
        if free && selector.matches(found) {
            adopt(tx, child, &key, owner);
        }
    }
}

fn release(tx: &mut Transaction<'_>, child: Type, key: &Key, uid: &str) {
    let _ = objects::modify(tx, child, key, Part::Main, |object| {
        let owners = object::metadata(object).get_mut("ownerReferences").and_then(Value::as_array_mut);
        if let Some(owners) = owners {
            owners.retain(|owner| object::text(owner, "/uid") != uid);
        }
    });
}

fn adopt(tx: &mut Transaction<'_>, child: Type, key: &Key, owner: &Value) {
    let reference = object::owner_reference(owner);
    let _ = objects::modify(tx, child, key, Part::Main, |object| {
        let mut owners = object::list(object, "/metadata/ownerReferences").to_vec();
        owners.push(reference);
        object::metadata(object).insert("ownerReferences".to_owned(), Value::Array(owners));
    });
}

/// The workloads that would adopt `object`.
pub fn suitors(tx: &Transaction<'_>, parent: Type, object: &Value) -> Vec<Key> {
    let would = |key: &Key| {
        tx.get(parent, key).is_some_and(|owner| {
            let selector = Selector::of_workload(&owner["spec"]["selector"]);
            !selector.is_empty() && selector.matches(object)
        })
    };
    tx.keys(parent, object::namespace(object)).into_iter().filter(would).collect()
}
