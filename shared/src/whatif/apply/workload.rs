//! Workloads, which are known by their pods alone: a Deployment through the names of its ReplicaSets, the others by ownerReference.
//!
//! Scaling up copies a pod that is there; scaling down removes pods in the order of the ReplicaSet controller, a StatefulSet's from
//! the last ordinal on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Outcome;
use super::pod::{Health, Placing, start_like};
use super::unknown::not_found_among;
use super::world::World;
use crate::controllers::workloads::{ReplicaChange, replicas, takes_room};
use crate::model::{ClusterState, Key, Keyed, Kind, Labels, Owner, Pod, Text};
use crate::whatif::edit::WorkloadName;

/// Most pods that a workload is scaled to.
const MOST: u32 = 5000;
const STATEFUL: &str = "StatefulSet";
const HASH_LABEL: &str = "pod-template-hash";

pub(super) fn scale(world: &mut World<'_>, workload: &WorkloadName, wanted: u32) -> Outcome {
    check_kind(workload)?;
    if wanted > MOST {
        return Err(format!("spec.replicas: Invalid value: {wanted}: must be at most {MOST} in a what-if"));
    }
    let members = members(&world.state, workload);
    let template = match template(&members) {
        Some(pod) => pod.clone(),
        // An edit before this one may have scaled it to none.
        None => template(&self::members(world.before, workload))
            .cloned()
            .ok_or_else(|| missing(world, workload))?,
    };
    if &*workload.kind == "ReplicaSet" && template.meta.labels.get(HASH_LABEL).is_some() {
        let (set, owner) = (&workload.key.name, template.workload());
        if owner != *set {
            let namespace = &workload.key.namespace;
            return Err(format!(
                "ReplicaSet {set} belongs to a Deployment, which would undo it: scale Deployment/{namespace}/{owner}"
            ));
        }
    }
    if &*workload.kind == STATEFUL {
        return scale_stateful(world, &workload.key, &members, &template, wanted);
    }
    let pods: Vec<&Pod> = members.iter().map(Arc::as_ref).collect();
    match replicas(wanted, &pods) {
        None => {}
        Some(ReplicaChange::Delete(names)) => {
            for name in names {
                world.remove(Kind::Pod, &Key::new(workload.key.namespace.clone(), name));
            }
        }
        Some(ReplicaChange::Create(more)) => {
            let mut siblings = members;
            for _ in 0..more {
                let name = name_like(world, &template);
                let made = start_like(world, &template, name, Placing::Schedule(&siblings), Health::Ready)?;
                siblings.push(made);
            }
        }
    }
    Ok(())
}

fn check_kind(workload: &WorkloadName) -> Outcome {
    match &*workload.kind {
        "Deployment" | "ReplicaSet" | "ReplicationController" | STATEFUL => Ok(()),
        "DaemonSet" => Err("the server could not find the requested resource: a DaemonSet has no scale, it runs one pod on each node".to_owned()),
        other => Err(format!("{other} can't be scaled: expected Deployment, StatefulSet, ReplicaSet or ReplicationController")),
    }
}

/// The pods of the workload, by name.
fn members(state: &ClusterState, workload: &WorkloadName) -> Vec<Arc<Pod>> {
    let pods = state.pods().in_namespace(&workload.key.namespace);
    pods.filter(|pod| belongs(pod, &workload.kind, &workload.key.name)).cloned().collect()
}

fn belongs(pod: &Pod, kind: &str, name: &str) -> bool {
    let Some(owner) = &pod.meta.owner else { return false };
    match kind {
        "Deployment" => {
            let made =
                &*owner.kind == "ReplicaSet" && owner.name.len() > name.len() && owner.name.starts_with(name);
            made && *pod.workload() == *name
        }
        kind => *owner.kind == *kind && *owner.name == *name,
    }
}

/// The pods of the same workload as `pod`, itself included.
pub(super) fn siblings(state: &ClusterState, pod: &Pod) -> Vec<Arc<Pod>> {
    let (Some(owner), workload) = (&pod.meta.owner, pod.workload()) else { return Vec::new() };
    let same = |other: &&Arc<Pod>| {
        // A workload's name begins its ReplicaSets'.
        let is_near = |theirs: &Owner| theirs.kind == owner.kind && theirs.name.starts_with(&*workload);
        other.meta.owner.as_ref().is_some_and(is_near) && other.workload() == workload
    };
    state.pods().in_namespace(pod.namespace()).filter(same).cloned().collect()
}

/// The pod that new ones are like: of the newest ReplicaSet, a ready one if there is one.
fn template(members: &[Arc<Pod>]) -> Option<&Arc<Pod>> {
    let newest = members.iter().max_by_key(|pod| (pod.meta.created, pod.ready, takes_room(pod)))?;
    let same_set = members.iter().filter(|pod| pod.meta.owner == newest.meta.owner);
    same_set.max_by_key(|pod| (pod.ready && takes_room(pod), std::cmp::Reverse(pod.name())))
}

fn missing(world: &World<'_>, workload: &WorkloadName) -> String {
    let WorkloadName { kind, key } = workload;
    let (group, plural) = match &**kind {
        "ReplicationController" => ("", "replicationcontrollers".to_owned()),
        kind => (".apps", format!("{}s", kind.to_lowercase())),
    };
    let known: BTreeSet<Key> = world.state.pods().values().filter_map(|pod| name_of(pod, kind)).collect();
    let found = not_found_among(&format!("{plural}{group}"), key, known.iter());
    format!("{found}. Workloads are known by their pods: one without any can't be scaled here")
}

/// The workload of this kind that the pod belongs to.
fn name_of(pod: &Pod, kind: &str) -> Option<Key> {
    let owner = pod.meta.owner.as_ref()?;
    let name = match kind {
        "Deployment" if &*owner.kind == "ReplicaSet" => {
            Some(pod.workload()).filter(|name| *name != owner.name)
        }
        kind => (*owner.kind == *kind).then(|| owner.name.clone()),
    };
    Some(Key::new(pod.namespace().clone(), name?))
}

/// A new name as the pod's owner gives it.
pub(super) fn name_like(world: &World<'_>, pod: &Pod) -> Text {
    let prefix = pod.meta.owner.as_ref().map_or(pod.name(), |owner| &owner.name);
    world.free_pod_name(pod.namespace(), prefix)
}

/// `NAME-3` → 3.
fn ordinal(pod: &Pod, set: &str) -> Option<u32> {
    pod.name().strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

fn scale_stateful(
    world: &mut World<'_>,
    key: &Key,
    members: &[Arc<Pod>],
    template: &Pod,
    wanted: u32,
) -> Outcome {
    // `spec.ordinals.start` shows only in the names.
    let workload = WorkloadName { kind: STATEFUL.into(), key: key.clone() };
    let before = self::members(world.before, &workload);
    let ordinals = before.iter().chain(members).filter_map(|pod| ordinal(pod, &key.name));
    let start = ordinals.min().unwrap_or(0);
    let wanted = start..start.saturating_add(wanted);
    for pod in members.iter().filter(|pod| ordinal(pod, &key.name).is_none_or(|nth| !wanted.contains(&nth))) {
        world.remove(Kind::Pod, pod.key());
    }
    let mut siblings: Vec<Arc<Pod>> = members.to_vec();
    for nth in wanted {
        let name: Text = format!("{}-{nth}", key.name).into();
        if world.state.pods().contains(&Key::new(key.namespace.clone(), name.clone())) {
            continue;
        }
        let like = ordinal_pod(template, &name, nth);
        siblings.push(start_like(world, &like, name, Placing::Schedule(&siblings), Health::Ready)?);
    }
    Ok(())
}

/// The labels and the host name that a StatefulSet gives each of its pods.
fn ordinal_pod(template: &Pod, name: &Text, nth: u32) -> Pod {
    let mut pod = template.clone();
    let mut labels: std::collections::BTreeMap<Text, Text> = pod.meta.labels.clone().into();
    for (label, value) in [
        ("statefulset.kubernetes.io/pod-name", name.clone()),
        ("apps.kubernetes.io/pod-index", nth.to_string().into()),
    ] {
        if let Some(known) = labels.get_mut(label) {
            *known = value;
        }
    }
    pod.meta.labels = Labels::from(labels);
    pod.hostname = pod.hostname.map(|_| name.clone());
    pod
}
