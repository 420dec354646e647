//! Garbage collection by owner references: what has lost its last owner goes; a foreground deletion waits for it.

use serde_json::{Value, json};
use vipscope_shared::model::Key;

use crate::sandbox::object;
use crate::sandbox::objects::{self, DeleteOptions, Part, Propagation};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Store, Transaction};

const FOREGROUND: &str = "foregroundDeletion";

/// Deletes an object if it has owners and all of them are gone.
pub fn sync_orphan(store: &Store, resource: Type, key: &Key) {
    store.write(|tx| delete_if_orphaned(tx, resource, key));
}

/// Looks at what the object with this uid owns: it is gone, or waits to go until they are.
pub fn sync_dependents(store: &Store, uid: &str) {
    store.write(|tx| {
        let owner = tx.by_uid(uid).map(|(resource, owner)| (resource, owner.clone()));
        let waiting = owner.filter(|(_, owner)| {
            object::is_terminating(owner) && object::finalizers(owner).any(|name| name == FOREGROUND)
        });
        for (resource, key) in tx.dependents(uid) {
            if waiting.is_some() {
                // They wait for theirs in turn.
                let options =
                    DeleteOptions { propagation: Propagation::Foreground, ..DeleteOptions::default() };
                let _ = objects::delete(tx, resource, &key, &options);
            } else {
                delete_if_orphaned(tx, resource, &key);
            }
        }
        if let Some((resource, owner)) = waiting
            && tx.dependents(uid).is_empty()
        {
            release(tx, resource, &object::key(&owner));
        }
    });
}

fn delete_if_orphaned(tx: &mut Transaction<'_>, resource: Type, key: &Key) {
    let Some(found) = tx.get(resource, key).cloned() else { return };
    let mut owners = object::owners(&found).peekable();
    if owners.peek().is_some() && owners.all(|uid| tx.by_uid(uid).is_none()) {
        let options = DeleteOptions { uid: Some(object::uid(&found).to_owned()), ..DeleteOptions::default() };
        let _ = objects::delete(tx, resource, key, &options);
    }
}

fn release(tx: &mut Transaction<'_>, resource: Type, key: &Key) {
    let _ = objects::modify(tx, resource, key, Part::Main, |owner: &mut Value| {
        let left: Vec<&str> = object::finalizers(owner).filter(|name| *name != FOREGROUND).collect();
        let left = json!(left);
        object::metadata(owner).insert("finalizers".into(), left);
    });
}
