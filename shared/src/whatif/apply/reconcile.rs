//! After the edits: the controllers, for those Services whose inputs the edits have changed, until there is nothing left to write.
//!
//! All other slices stay as they are: a live cluster's controllers may be of another version, or not have come so far.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::world::{World, suffix};
use crate::controllers::slice_plan::SlicePlan;
use crate::controllers::{endpoints, endpointslices, mirroring};
use crate::delta::Object;
use crate::model::{
    ClusterState, EndpointSlice, Key, Keyed, Kind, Labels, MANAGED_BY_LABEL, ObjectRef, Pod, Service, Text,
};

/// A plan that was carried out leaves nothing to do. More rounds than this would be a fault of a plan.
const ROUNDS: usize = 4;
/// So many Services of a namespace look for their pods one by one.
const FEW: usize = 4;

pub(super) fn run(world: &mut World<'_>) {
    let known = Known::of(world.before);
    let services = affected(world);
    let selected = match known.pods {
        true => selected(&world.state, &services),
        false => FxHashMap::default(),
    };
    for key in services {
        let pods = selected.get(&key).map_or(&[][..], Vec::as_slice);
        for _ in 0..ROUNDS {
            if !round(world, &key, pods, &known) {
                break;
            }
        }
    }
}

/// The pods of these Services. Those of a namespace are looked at once, if many ask.
fn selected<'a>(state: &'a ClusterState, services: &'a BTreeSet<Key>) -> FxHashMap<Key, Vec<Arc<Pod>>> {
    let mut found: FxHashMap<Key, Vec<Arc<Pod>>> = FxHashMap::default();
    for asking in services.iter().collect::<Vec<_>>().chunk_by(|a, b| a.namespace == b.namespace) {
        if asking.len() <= FEW {
            for service in asking.iter().filter_map(|key| state.services().get(key)) {
                let pods = state.selected_pods(service).cloned().collect();
                found.insert(service.key().clone(), pods);
            }
            continue;
        }
        let namespace = &asking[0].namespace;
        let selectors = state.selectors_of(asking.iter().copied());
        for pod in state.pods().in_namespace(namespace) {
            for service in selectors.that_select(pod) {
                found.entry(service.clone()).or_default().push(pod.clone());
            }
        }
    }
    found
}

/// What the cluster shows of the objects that controllers read and write.
struct Known {
    /// Without pods, but with slices of them, it is not known who they are: selectors can't be followed.
    pods: bool,
    /// A file without any Endpoints is one without that kind.
    endpoints: bool,
}

impl Known {
    fn of(before: &ClusterState) -> Known {
        let of_pods = |slice: &Arc<EndpointSlice>| {
            let managed = slice.meta.labels.get(MANAGED_BY_LABEL);
            managed.is_some_and(|by| &**by == endpointslices::MANAGER) && !slice.endpoints.is_empty()
        };
        Known {
            pods: !before.pods().is_empty() || !before.slices().values().any(of_pods),
            endpoints: !before.endpoints().is_empty(),
        }
    }
}

/// Answers whether anything was written.
fn round(world: &mut World<'_>, key: &Key, pods: &[Arc<Pod>], known: &Known) -> bool {
    let mut wrote = false;
    let service: Option<Arc<Service>> = world.state.services().get(key).cloned();
    if let Some(service) = service.filter(|_| known.pods) {
        let wanted = known.endpoints.then(|| endpoints::plan_for(&world.state, &service, pods)).flatten();
        if let Some(object) = wanted {
            world.put(Object::Endpoints(Arc::new(object)));
            wrote = true;
        }
        let plan = endpointslices::plan_for(&world.state, &service, pods, &mut suffixes(&world.state, key));
        wrote |= carry_out(world, plan);
    }
    let plan = mirroring::plan(&world.state, key, &mut suffixes(&world.state, key));
    carry_out(world, plan) || wrote
}

/// Ends of names that no slice has.
fn suffixes<'a>(state: &'a ClusterState, service: &'a Key) -> impl FnMut() -> Text + use<'a> {
    let mut nth = 0;
    move || loop {
        let found = suffix(&service.namespace, &service.name, nth);
        nth += 1;
        let name = format!("{}-{found}", service.name);
        if !state.slices().contains(&Key::new(service.namespace.clone(), name)) {
            return found.into();
        }
    }
}

fn carry_out(world: &mut World<'_>, plan: SlicePlan) -> bool {
    let wrote = !plan.is_empty();
    for slice in plan.create.into_iter().chain(plan.update) {
        world.put(Object::EndpointSlice(Arc::new(slice)));
    }
    for key in plan.delete {
        world.remove(Kind::EndpointSlice, &key);
    }
    wrote
}

/// The Services whose slices or Endpoints may have to be written.
fn affected(world: &World<'_>) -> BTreeSet<Key> {
    let states = [world.before, &world.state];
    let mut services = BTreeSet::new();
    // Pods of one workload have the same labels: each set of labels is looked up once.
    let mut labels: FxHashMap<Text, Vec<Labels>> = FxHashMap::default();
    let mut note = |pod: &Pod| {
        let known = labels.entry(pod.namespace().clone()).or_default();
        if !known.contains(&pod.meta.labels) {
            known.push(pod.meta.labels.clone());
        }
    };
    for ObjectRef { kind, key } in world.touched() {
        match kind {
            Kind::Service | Kind::Endpoints => drop(services.insert(key.clone())),
            Kind::EndpointSlice => {
                let slices = states.iter().filter_map(|state| state.slices().get(key));
                services.extend(slices.filter_map(|slice| slice.service()));
            }
            Kind::Pod => {
                let [before, after] = states.map(|state| state.pods().get(key));
                if before != after {
                    before.into_iter().chain(after).for_each(|pod| note(pod));
                }
            }
            Kind::Node => {
                let zone = |state: &ClusterState| state.nodes().get(key).map(|node| node.zone().cloned());
                if zone(world.before) != zone(&world.state) {
                    states.iter().flat_map(|state| state.pods_on(&key.name)).for_each(|pod| note(pod));
                }
            }
            Kind::Namespace | Kind::ProxyConfig => {}
        }
    }
    for (namespace, labels) in
        labels.iter().flat_map(|(namespace, all)| all.iter().map(move |one| (namespace, one)))
    {
        let selects = |service: &&Arc<Service>| {
            service.selector.as_ref().is_some_and(|selector| selector.selects(labels))
        };
        let found = world.state.services().in_namespace(namespace).filter(selects);
        services.extend(found.map(|service| service.key().clone()));
    }
    services
}
