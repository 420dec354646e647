//! From the endpoints that should be to the fewest writes of slices: existing slices are kept, filled and reused;
//! a slice that need not change is not written. Used for selectors and for mirroring alike.
//!
//! Upstream: staging `k8s.io/endpointslice/reconciler.go` (`reconcileByPortMapping`, `finalize`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    AddressType, Endpoint, EndpointAddress, EndpointPort, EndpointSlice, Key, Keyed, Meta, TargetRef, Text,
};

/// What to write so that a Service's slices are as they should be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlicePlan {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<Key>,
}

impl SlicePlan {
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }
}

/// Endpoints that share an address type and exactly one list of ports. Without endpoints it stands for a placeholder: one
/// empty slice that says "nothing matches" (as opposed to "not looked at yet").
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub address_type: AddressType,
    pub ports: Vec<EndpointPort>,
    pub endpoints: Vec<Endpoint>,
}

/// How the slices are to look apart from their endpoints.
#[derive(Debug)]
pub struct Shape<'a> {
    /// Labels, annotations and owner of every slice; its name is the prefix of theirs.
    pub meta: &'a Meta,
    /// Most endpoints in one slice.
    pub capacity: usize,
}

/// Plans the slices of `groups`, given the `existing` ones of the same manager. `suffix` makes the random part of names.
pub fn plan(
    groups: Vec<Group>,
    existing: &[Arc<EndpointSlice>],
    shape: &Shape<'_>,
    suffix: &mut dyn FnMut() -> Text,
) -> SlicePlan {
    let mut plan = SlicePlan::default();
    let mut spare: Vec<Arc<EndpointSlice>> = Vec::new();
    let mut by_group: BTreeMap<GroupKey, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in existing {
        by_group.entry(group_key(slice.address_type, &slice.ports)).or_default().push(slice.clone());
    }
    let mut wanted: Vec<EndpointSlice> = Vec::new();
    for group in groups {
        let slices = by_group.remove(&group_key(group.address_type, &group.ports)).unwrap_or_default();
        if group.endpoints.is_empty() && slices.is_empty() {
            wanted.push(fresh(&group, &[], shape));
        }
        let rest = fill(&group, slices, shape, &mut plan, &mut spare);
        wanted.extend(rest.chunks(shape.capacity.max(1)).map(|chunk| fresh(&group, chunk, shape)));
    }
    spare.extend(by_group.into_values().flatten());
    place(wanted, spare, shape, suffix, &mut plan);
    plan
}

type GroupKey = (AddressType, Vec<EndpointPort>);

fn group_key(address_type: AddressType, ports: &[EndpointPort]) -> GroupKey {
    let mut ports = ports.to_vec();
    ports.sort();
    (address_type, ports)
}

/// Two endpoints are the same one if they have the same address and the same object behind it.
type Identity = (Vec<EndpointAddress>, Option<TargetRef>);

fn identity(endpoint: &Endpoint) -> Identity {
    (endpoint.addresses.clone(), endpoint.target.clone())
}

/// Keeps what can stay in the group's `slices` and tops them up; answers the endpoints that found no room.
fn fill(
    group: &Group,
    slices: Vec<Arc<EndpointSlice>>,
    shape: &Shape<'_>,
    plan: &mut SlicePlan,
    spare: &mut Vec<Arc<EndpointSlice>>,
) -> Vec<Endpoint> {
    let mut missing: Vec<Option<&Endpoint>> = group.endpoints.iter().map(Some).collect();
    let mut kept: Vec<(Arc<EndpointSlice>, Vec<Endpoint>)> = Vec::new();
    let at: std::collections::HashMap<Identity, usize> =
        group.endpoints.iter().enumerate().map(|(i, endpoint)| (identity(endpoint), i)).collect();
    for slice in slices {
        let stay = slice.endpoints.iter().filter_map(|old| missing.get_mut(*at.get(&identity(old))?)?.take());
        let stay: Vec<Endpoint> = stay.cloned().collect();
        kept.push((slice, stay));
    }
    let mut rest: Vec<Endpoint> = missing.into_iter().flatten().cloned().collect();
    // Slices that are written anyway take the newcomers first; then the others, the fullest first.
    kept.sort_by_key(|(slice, stay)| (!is_dirty(slice, stay, shape), std::cmp::Reverse(stay.len())));
    // A group without endpoints is a placeholder: one empty slice stays.
    let mut placeholder = group.endpoints.is_empty();
    for (slice, mut stay) in kept {
        if stay.is_empty() && rest.is_empty() && !std::mem::take(&mut placeholder) {
            spare.push(slice);
            continue;
        }
        let room = shape.capacity.saturating_sub(stay.len()).min(rest.len());
        stay.extend(rest.drain(..room));
        if is_dirty(&slice, &stay, shape) {
            plan.update.push(rewritten(&slice, stay, shape));
        }
    }
    rest
}

fn is_dirty(slice: &EndpointSlice, endpoints: &[Endpoint], shape: &Shape<'_>) -> bool {
    slice.endpoints != endpoints
        || slice.meta.labels != shape.meta.labels
        || slice.meta.annotations != shape.meta.annotations
}

fn rewritten(slice: &EndpointSlice, endpoints: Vec<Endpoint>, shape: &Shape<'_>) -> EndpointSlice {
    let mut slice = slice.clone();
    slice.meta.labels = shape.meta.labels.clone();
    slice.meta.annotations = shape.meta.annotations.clone();
    slice.endpoints = endpoints;
    slice
}

/// A new, still unnamed slice.
fn fresh(group: &Group, endpoints: &[Endpoint], shape: &Shape<'_>) -> EndpointSlice {
    EndpointSlice {
        meta: shape.meta.clone(),
        address_type: group.address_type,
        ports: group.ports.clone(),
        endpoints: endpoints.to_vec(),
    }
}

/// Gives the wanted slices the names of spare ones of the same address type, which is immutable; names the others anew.
fn place(
    wanted: Vec<EndpointSlice>,
    mut spare: Vec<Arc<EndpointSlice>>,
    shape: &Shape<'_>,
    suffix: &mut dyn FnMut() -> Text,
    plan: &mut SlicePlan,
) {
    for mut slice in wanted {
        match spare.iter().position(|old| old.address_type == slice.address_type) {
            Some(reused) => {
                let old = spare.swap_remove(reused);
                let endpoints = std::mem::take(&mut slice.endpoints);
                plan.update.push(EndpointSlice { ports: slice.ports, ..rewritten(&old, endpoints, shape) });
            }
            None => {
                slice.meta.key.name = format!("{}-{}", shape.meta.key.name, suffix()).into();
                plan.create.push(slice);
            }
        }
    }
    plan.delete = spare.iter().map(|slice| slice.key().clone()).collect();
}
