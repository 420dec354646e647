//! Slices, Endpoints and mirrored slices: runs the plans of `shared::controllers` against the store.

use serde_json::{Value, json};
use vipscope_shared::controllers::slice_plan::SlicePlan;
use vipscope_shared::controllers::{endpoints, endpointslices, mirroring};
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, EndpointSlice, Key, Text};

use crate::sandbox::object;
use crate::sandbox::objects::{self, DeleteOptions, Part};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Store, Transaction};

/// Brings the slices and the Endpoints of a Service with a selector up to date.
pub fn sync(store: &Store, state: &ClusterState, key: &Key) {
    let Some(service) = state.services().get(key) else { return };
    if let Some(wanted) = endpoints::plan(state, service) {
        store.write(|tx| write_endpoints(tx, key, manifest::encode_endpoints(&wanted)));
    }
    store.write(|tx| {
        let mut suffix = || Text::from(tx.chance().suffix());
        let plan = endpointslices::plan(state, service, &mut suffix);
        carry_out(tx, Type::Services, key, plan);
    });
}

/// Brings the slices that mirror hand-made Endpoints up to date.
pub fn sync_mirror(store: &Store, state: &ClusterState, key: &Key) {
    store.write(|tx| {
        let mut suffix = || Text::from(tx.chance().suffix());
        let plan = mirroring::plan(state, key, &mut suffix);
        carry_out(tx, Type::Endpoints, key, plan);
    });
}

/// The state may be older than the store: what does not fit any more fails and is looked at again with the next event.
fn carry_out(tx: &mut Transaction<'_>, owner_type: Type, owner: &Key, plan: SlicePlan) {
    for slice in &plan.create {
        let Some(owner) = tx.get(owner_type, owner).cloned() else { continue };
        let mut object = manifest::encode_slice(slice);
        object["metadata"]["generateName"] = format!("{}-", object::name(&owner)).into();
        object["metadata"]["ownerReferences"] = json!([object::owner_reference(&owner)]);
        let _ = objects::create(tx, Type::EndpointSlices, &slice.meta.key.namespace, object);
    }
    for slice in &plan.update {
        let _ = objects::modify(tx, Type::EndpointSlices, &slice.meta.key, Part::Main, |old| {
            rewrite(old, slice);
        });
    }
    for key in &plan.delete {
        let _ = objects::delete(tx, Type::EndpointSlices, key, &DeleteOptions::default());
    }
}

fn rewrite(old: &mut Value, slice: &EndpointSlice) {
    let mut new = manifest::encode_slice(slice);
    for field in ["ports", "endpoints"] {
        old[field] = new[field].take();
    }
    old["metadata"]["labels"] = new["metadata"]["labels"].take();
}

fn write_endpoints(tx: &mut Transaction<'_>, key: &Key, mut wanted: Value) {
    if tx.get(Type::Services, key).is_none() {
        return;
    }
    if tx.get(Type::Endpoints, key).is_none() {
        let _ = objects::create(tx, Type::Endpoints, &key.namespace, wanted);
        return;
    }
    let _ = objects::modify(tx, Type::Endpoints, key, Part::Main, |old| {
        old["subsets"] = wanted["subsets"].take();
        old["metadata"]["labels"] = wanted["metadata"]["labels"].take();
        old["metadata"]["annotations"] = wanted["metadata"]["annotations"].take();
    });
}
