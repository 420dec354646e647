//! Edits to another cluster: objects are changed as an API server, a scheduler and kubelets would, then the controllers run over what
//! the edits have touched.
//!
//! In: a cluster, edits and the time. Out: the cluster as it would be once all is settled, and which objects differ. The same input
//! gives the same output, generated names and addresses included. No edits, no change: a live cluster's slices stay as they are, even
//! where these controllers would write others, unless an edit touches what they are made from.

mod addresses;
mod node;
mod object;
mod pod;
mod proxy;
mod reconcile;
mod unknown;
mod workload;
mod world;

use jiff::Timestamp;

use super::edit::Edit;
use crate::model::{ClusterState, ObjectRef};
use world::World;

/// The cluster after the edits.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    pub state: ClusterState,
    /// Exactly the objects that differ from the input, or are in only one of the two; sorted.
    pub changed: Vec<ObjectRef>,
}

/// An edit that can't be made; those before it are not made either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("edit {} ({edit}): {reason}", index + 1)]
pub struct Refusal {
    /// Which edit, from 0. In text they count from 1.
    pub index: usize,
    /// The edit in a few words.
    pub edit: String,
    /// The API server's message, where one would refuse it.
    pub reason: String,
}

/// Makes the edits, one after the other, in `state`. `now` is when pods start and are deleted.
///
/// # Errors
/// The first edit that is refused.
pub fn apply(state: &ClusterState, edits: &[Edit], now: Timestamp) -> Result<Edited, Refusal> {
    let mut world = World::new(state, now);
    for (index, edit) in edits.iter().enumerate() {
        make(&mut world, edit).map_err(|reason| Refusal { index, edit: edit.words(), reason })?;
    }
    reconcile::run(&mut world);
    Ok(world.finish())
}

/// What went wrong, in words.
type Outcome<T = ()> = Result<T, String>;

fn make(world: &mut World<'_>, edit: &Edit) -> Outcome {
    match edit {
        Edit::Scale { workload, replicas } => workload::scale(world, workload, *replicas),
        Edit::Pod { pod, state } => pod::set(world, pod, *state),
        Edit::Move { pod, to } => pod::move_to(world, pod, to),
        Edit::Node { node, state } => node::set(world, node, *state),
        Edit::Zone { node, zone } => node::set_zone(world, node, zone.as_ref()),
        Edit::Apply { manifest } => object::apply(world, manifest),
        Edit::Patch { object, patch } => object::patch(world, object, patch),
        Edit::Delete { object } => object::delete(world, object),
        Edit::Proxy { node, set } => proxy::set(world, node, set),
    }
}
