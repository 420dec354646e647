//! Hand-made Endpoints of a Service without a selector to EndpointSlices, since kube-proxy reads only slices.
//!
//! Upstream: `pkg/controller/endpointslicemirroring/{reconciler,utils}.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SKIP_MIRROR_LABEL;
use super::slice_plan::{self, Group, Shape, SlicePlan};
use crate::model::{
    AddressType, ClusterState, Conditions, Endpoint, EndpointAddress, EndpointSlice, Endpoints, IpFamily,
    Key, Keyed, Labels, MANAGED_BY_LABEL, Meta, Owner, SERVICE_NAME_LABEL, Subset, SubsetAddress, Text,
};

/// Value of the label managed-by of the slices that this controller keeps.
pub const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// The controller's default for `--mirroring-max-endpoints-per-subset`.
pub const MAX_ENDPOINTS: usize = 1000;

const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// What to write so that the mirrored slices fit the Endpoints and the Service called `key`. Covers removal: when there is nothing
/// to mirror, the slices that this controller made go.
pub fn plan(state: &ClusterState, key: &Key, suffix: &mut dyn FnMut() -> Text) -> SlicePlan {
    let existing: Vec<Arc<EndpointSlice>> = own_slices(state, key);
    let Some(endpoints) = mirrored(state, key) else {
        let delete = existing.iter().map(|slice| slice.key().clone()).collect();
        return SlicePlan { delete, ..SlicePlan::default() };
    };
    let meta = slice_meta(endpoints);
    let shape = Shape { meta: &meta, capacity: MAX_ENDPOINTS };
    slice_plan::plan(groups(endpoints), &existing, &shape, suffix)
}

/// The Endpoints to mirror, if a Service without a selector has that name and nothing forbids it.
fn mirrored<'a>(state: &'a ClusterState, key: &Key) -> Option<&'a Endpoints> {
    let service = state.services().get(key)?;
    let endpoints = state.endpoints().get(key)?;
    let skipped = endpoints.meta.labels.get(SKIP_MIRROR_LABEL).is_some_and(|value| &**value == "true");
    let lock = endpoints.meta.annotations.get(LEADER_ANNOTATION).is_some();
    (service.selector.is_none() && !skipped && !lock && !endpoints.meta.terminating()).then_some(endpoints)
}

fn own_slices(state: &ClusterState, key: &Key) -> Vec<Arc<EndpointSlice>> {
    let mine = |slice: &&Arc<EndpointSlice>| {
        slice.meta.labels.get(MANAGED_BY_LABEL).is_some_and(|by| &**by == MANAGER)
    };
    state.slices_of(key).filter(mine).cloned().collect()
}

fn slice_meta(endpoints: &Endpoints) -> Meta {
    let mut labels: BTreeMap<Text, Text> = endpoints.meta.labels.clone().into();
    labels.insert(SERVICE_NAME_LABEL.into(), endpoints.name().clone());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    let mut meta = Meta::named(endpoints.key().clone());
    meta.labels = Labels::from(labels);
    meta.annotations = endpoints.meta.annotations.clone();
    meta.owner = Some(Owner { kind: "Endpoints".into(), name: endpoints.name().clone() });
    meta
}

/// One group per subset and family; subsets with the same ports share one.
fn groups(endpoints: &Endpoints) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for subset in &endpoints.subsets {
        for family in IpFamily::BOTH {
            let found = subset_endpoints(subset, family);
            let address_type = match family {
                IpFamily::IPv4 => AddressType::IPv4,
                IpFamily::IPv6 => AddressType::IPv6,
            };
            if found.is_empty() {
                continue;
            }
            let same = |group: &&mut Group| group.address_type == address_type && group.ports == subset.ports;
            match groups.iter_mut().find(same) {
                Some(group) => group.endpoints.extend(found),
                None => groups.push(Group { address_type, ports: subset.ports.clone(), endpoints: found }),
            }
        }
    }
    groups
}

/// At most [`MAX_ENDPOINTS`] of a subset are mirrored, ready ones first.
fn subset_endpoints(subset: &Subset, family: IpFamily) -> Vec<Endpoint> {
    let ready = subset.addresses.iter().map(|address| (address, true));
    let all = ready.chain(subset.not_ready.iter().map(|address| (address, false)));
    let of_family = all.take(MAX_ENDPOINTS).filter(|(address, _)| IpFamily::of(address.ip) == family);
    of_family.map(|(address, ready)| endpoint(address, ready)).collect()
}

fn endpoint(address: &SubsetAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![EndpointAddress::Ip(address.ip)],
        conditions: Conditions { ready: Some(ready), serving: None, terminating: None },
        node: address.node.clone(),
        zone: None,
        hostname: address.hostname.clone(),
        target: address.target.clone(),
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    }
}
