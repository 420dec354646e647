//! Server-side apply of one object: merges what is wanted into what is there, or creates it.

use serde_json::Value;
use vipscope_shared::model::Key;

use super::errors::Refusal;
use super::managed::{Apply, Tracking};
use super::object::{self, Object};
use super::objects::{self, Part};
use super::store::Transaction;

/// What an apply did.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    Created(Object),
    Changed(Object),
    Unchanged(Object),
}

impl Applied {
    pub fn object(&self) -> &Object {
        match self {
            Applied::Created(object) | Applied::Changed(object) | Applied::Unchanged(object) => object,
        }
    }
}

/// Runs the request for the object `key`. `config` has neither nulls nor managed fields.
pub fn run(
    tx: &mut Transaction<'_>,
    request: &Apply<'_>,
    key: &Key,
    config: &Value,
) -> Result<Applied, Refusal> {
    let (resource, part) = (request.resource, request.part);
    let live = tx.get(resource, key).cloned();
    let (result, owners) = request.run(live.as_deref(), config)?;
    tx.tracking = Tracking::Applied(owners);
    let Some(live) = live else {
        let uid = object::uid(config);
        if part == Part::Status {
            return Err(Refusal::not_found(resource, &key.name));
        }
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Refusal::conflict_because(resource, &key.name, &why));
        }
        return objects::create(tx, resource, &key.namespace, result).map(Applied::Created);
    };
    let object = objects::update(tx, resource, key, part, result)?;
    Ok(if object == live { Applied::Unchanged(object) } else { Applied::Changed(object) })
}
