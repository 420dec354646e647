//! Deployments, ReplicaSets and the scheduler: runs the plans of `shared::controllers::workloads` against the store.

use serde_json::{Value, json};
use vipscope_shared::controllers::workloads::{self, Amount, ReplicaChange, ReplicaSetView, Strategy};
use vipscope_shared::delta;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Key, Keyed, Kind, Pod};

use super::ownership;
use crate::sandbox::events::{self, Happening, Severity};
use crate::sandbox::object::{self, Object};
use crate::sandbox::objects::{self, DeleteOptions, Part};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Store, Transaction};

const HASH_LABEL: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// One step of a rollout, or of scaling, and the status.
pub fn sync_deployment(store: &Store, key: &Key) {
    store.write(|tx| {
        let Some(deployment) = tx.get(Type::Deployments, key).cloned() else { return };
        if object::is_terminating(&deployment) {
            return;
        }
        ownership::claim(tx, &deployment, Type::ReplicaSets);
        let hash = workloads::template_hash(&deployment["spec"]["template"].to_string());
        let mut sets = replica_sets(tx, &deployment);
        if deployment["spec"]["paused"] == true {
            sync_paused(tx, &deployment, &sets, &hash);
            return;
        }
        if !sets.iter().any(|set| label(set, HASH_LABEL) == hash) {
            create_replica_set(tx, &deployment, &hash, next_revision(&sets));
            sets = replica_sets(tx, &deployment);
        }
        let (new, old): (Vec<Object>, Vec<Object>) =
            sets.into_iter().partition(|set| label(set, HASH_LABEL) == hash);
        let Some(new) = new.into_iter().next() else { return };
        renumber(tx, &new, &old);
        note_revision(tx, &deployment, &new);
        scale(tx, &deployment, &new, &old);
        forget_old(tx, &deployment, &old);
        set_deployment_status(tx, &deployment, &new, &old);
    });
}

/// A paused Deployment is scaled, but rolls nothing out.
fn sync_paused(tx: &mut Transaction<'_>, deployment: &Object, sets: &[Object], hash: &str) {
    // Without a ReplicaSet of this template, the newest one keeps the pods.
    let current = sets.iter().find(|set| label(set, HASH_LABEL) == hash).or(sets.last());
    let Some(current) = current.cloned() else { return };
    let others: Vec<Object> = sets.iter().filter(|set| ***set != *current).cloned().collect();
    let others_have: u32 = others.iter().map(|set| count(&set["spec"]["replicas"])).sum();
    let wanted = count(&deployment["spec"]["replicas"]).saturating_sub(others_have);
    let _ = objects::modify(tx, Type::ReplicaSets, &object::key(&current), Part::Main, |set| {
        set["spec"]["replicas"] = wanted.into();
    });
    set_deployment_status(tx, deployment, &current, &others);
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object::meta_entry(object, "labels", key).unwrap_or_default()
}

/// The Deployment's ReplicaSets, the oldest revision first.
fn replica_sets(tx: &Transaction<'_>, deployment: &Value) -> Vec<Object> {
    let owned = tx.dependents(object::uid(deployment));
    let sets = owned.iter().filter(|(resource, _)| *resource == Type::ReplicaSets);
    let mut sets: Vec<Object> = sets.filter_map(|(resource, key)| tx.get(*resource, key).cloned()).collect();
    sets.retain(|set| !object::is_terminating(set));
    sets.sort_by_key(|set| revision(set));
    sets
}

fn revision(set: &Value) -> u64 {
    object::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn next_revision(sets: &[Object]) -> u64 {
    sets.iter().map(|set| revision(set)).max().unwrap_or_default() + 1
}

/// A rollback makes an old ReplicaSet the newest again.
fn renumber(tx: &mut Transaction<'_>, new: &Object, old: &[Object]) {
    let next = next_revision(old);
    if revision(new) < next {
        let _ = objects::modify(tx, Type::ReplicaSets, &object::key(new), Part::Main, |set| {
            set["metadata"]["annotations"][REVISION] = next.to_string().into();
        });
    }
}

/// The Deployment says which revision it is at.
fn note_revision(tx: &mut Transaction<'_>, deployment: &Object, new: &Object) {
    let current = tx.get(Type::ReplicaSets, &object::key(new)).map_or(0, |set| revision(set));
    let _ = objects::modify(tx, Type::Deployments, &object::key(deployment), Part::Main, |deployment| {
        deployment["metadata"]["annotations"][REVISION] = current.to_string().into();
    });
}

fn create_replica_set(tx: &mut Transaction<'_>, deployment: &Value, hash: &str, revision: u64) {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH_LABEL] = hash.into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH_LABEL] = hash.into();
    let set = json!({
        "metadata": {
            "name": format!("{}-{hash}", object::name(deployment)),
            "labels": template["metadata"]["labels"],
            "annotations": {
                REVISION: revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": deployment["spec"]["replicas"].to_string(),
            },
            "ownerReferences": [object::owner_reference(deployment)],
        },
        "spec": { "replicas": 0, "selector": selector, "template": template },
    });
    let _ = objects::create(tx, Type::ReplicaSets, object::namespace(deployment), set);
}

/// The pods of a ReplicaSet that are not being deleted.
fn pods_of(tx: &Transaction<'_>, set: &Value) -> Vec<Object> {
    let owned = tx.dependents(object::uid(set));
    let pods = owned.iter().filter(|(resource, _)| *resource == Type::Pods);
    let pods = pods.filter_map(|(resource, key)| tx.get(*resource, key).cloned());
    let over = |pod: &Value| matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed");
    pods.filter(|pod| !object::is_terminating(pod) && !over(pod)).collect()
}

fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
}

fn view(tx: &Transaction<'_>, set: &Value) -> ReplicaSetView {
    let pods = pods_of(tx, set);
    ReplicaSetView {
        name: object::name(set).into(),
        desired: count(&set["spec"]["replicas"]),
        current: pods.len() as u32,
        available: pods.iter().filter(|pod| is_ready(pod)).count() as u32,
    }
}

/// The Ready condition is True.
pub fn is_ready(pod: &Value) -> bool {
    let mut conditions = object::list(pod, "/status/conditions").iter();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn strategy(deployment: &Value) -> Strategy {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return Strategy::Recreate;
    }
    let amount = |field: &str| {
        let text = match &strategy["rollingUpdate"][field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Amount::parse(&text).unwrap_or(Amount::Percent(25))
    };
    Strategy::RollingUpdate { max_surge: amount("maxSurge"), max_unavailable: amount("maxUnavailable") }
}

fn scale(tx: &mut Transaction<'_>, deployment: &Value, new: &Object, old: &[Object]) {
    let new_view = view(tx, new);
    let old_views: Vec<_> = old.iter().map(|set| view(tx, set)).collect();
    let replicas = count(&deployment["spec"]["replicas"]);
    let changes = workloads::rollout(replicas, strategy(deployment), &new_view, &old_views);
    for (name, replicas) in changes {
        let key = Key::new(object::namespace(deployment), name);
        let before = tx.get(Type::ReplicaSets, &key).map_or(0, |set| count(&set["spec"]["replicas"]));
        let way = if replicas > before { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {} from {before} to {replicas}", key.name);
        note(tx, deployment, ("ScalingReplicaSet", &message), "deployment-controller");
        let _ = objects::modify(tx, Type::ReplicaSets, &key, Part::Main, |set| {
            set["spec"]["replicas"] = replicas.into();
        });
    }
}

/// Deletes empty old ReplicaSets beyond `revisionHistoryLimit`.
fn forget_old(tx: &mut Transaction<'_>, deployment: &Value, old: &[Object]) {
    let limit = count(&deployment["spec"]["revisionHistoryLimit"]) as usize;
    let empty = |set: &&Object| set["spec"]["replicas"] == 0 && count(&set["status"]["replicas"]) == 0;
    let idle: Vec<_> = old.iter().filter(empty).collect();
    for set in idle.iter().take(idle.len().saturating_sub(limit)) {
        let _ = objects::delete(tx, Type::ReplicaSets, &object::key(set), &DeleteOptions::default());
    }
}

fn set_deployment_status(tx: &mut Transaction<'_>, deployment: &Value, new: &Object, old: &[Object]) {
    let key = object::key(deployment);
    let new_view = view(tx, new);
    let old_views: Vec<_> = old.iter().map(|set| view(tx, set)).collect();
    let wanted = count(&deployment["spec"]["replicas"]);
    let current = new_view.current + old_views.iter().map(|set| set.current).sum::<u32>();
    let available = new_view.available + old_views.iter().map(|set| set.available).sum::<u32>();
    let enough = available >= strategy(deployment).fewest(wanted);
    let complete = new_view.current == wanted && current == wanted && available == wanted;
    let conditions = [
        match enough {
            true => ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            false => (
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            ),
        },
        match complete {
            _ if deployment["spec"]["paused"] == true => {
                ("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
            }
            true => {
                ("Progressing", "True", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed.")
            }
            false => ("Progressing", "True", "ReplicaSetUpdated", "ReplicaSet is progressing."),
        },
    ];
    let stamp = tx.clock.stamp();
    let _ = objects::modify(tx, Type::Deployments, &key, Part::Status, |deployment| {
        let conditions: Vec<Value> =
            conditions.iter().map(|row| condition(&deployment["status"], row, &stamp)).collect();
        let mut status = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": current,
            "updatedReplicas": new_view.current, "readyReplicas": available, "availableReplicas": available,
            "conditions": conditions,
        });
        if available < wanted {
            status["unavailableReplicas"] = (wanted - available).into();
        }
        deployment["status"] = status;
    });
}

/// A condition, with the time of the last change of its status.
fn condition(status: &Value, row: &(&str, &str, &str, &str), stamp: &str) -> Value {
    let (kind, state, reason, message) = *row;
    let mut known = object::list(status, "/conditions").iter();
    let old = known.find(|old| old["type"] == kind).cloned().unwrap_or_default();
    if old["status"] == state && old["reason"] == reason {
        return old;
    }
    let since = if old["status"] == state { old["lastTransitionTime"].clone() } else { stamp.into() };
    json!({
        "type": kind, "status": state, "reason": reason, "message": message, "lastTransitionTime": since,
        "lastUpdateTime": stamp,
    })
}

/// Makes or deletes pods until there are as many as wanted.
pub fn sync_replica_set(store: &Store, key: &Key) {
    store.write(|tx| {
        let Some(set) = tx.get(Type::ReplicaSets, key).cloned() else { return };
        if object::is_terminating(&set) {
            return;
        }
        ownership::claim(tx, &set, Type::Pods);
        let pods: Vec<Pod> = pods_of(tx, &set).iter().filter_map(|pod| model(pod)).collect();
        let pods: Vec<&Pod> = pods.iter().collect();
        match workloads::replicas(count(&set["spec"]["replicas"]), &pods) {
            Some(ReplicaChange::Create(more)) => (0..more).for_each(|_| create_pod(tx, &set)),
            Some(ReplicaChange::Delete(names)) => {
                for name in names {
                    let message = format!("Deleted pod: {name}");
                    note(tx, &set, ("SuccessfulDelete", &message), "replicaset-controller");
                    let pod = Key::new(key.namespace.clone(), name);
                    let _ = objects::delete(tx, Type::Pods, &pod, &DeleteOptions::default());
                }
            }
            None => {}
        }
        set_replica_set_status(tx, &set);
    });
}

fn model(pod: &Value) -> Option<Pod> {
    match manifest::decode_as(Kind::Pod, pod.clone()).object {
        Some(delta::Object::Pod(pod)) => Some(std::sync::Arc::unwrap_or_clone(pod)),
        _ => None,
    }
}

fn create_pod(tx: &mut Transaction<'_>, set: &Value) {
    let template = &set["spec"]["template"];
    let mut metadata = json!({
        "generateName": format!("{}-", object::name(set)),
        "labels": template["metadata"]["labels"],
        "ownerReferences": [object::owner_reference(set)],
    });
    if template["metadata"]["annotations"].is_object() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    let pod = json!({ "metadata": metadata, "spec": template["spec"] });
    if let Ok(made) = objects::create(tx, Type::Pods, object::namespace(set), pod) {
        let message = format!("Created pod: {}", object::name(&made));
        note(tx, set, ("SuccessfulCreate", &message), "replicaset-controller");
    }
}

/// Writes a normal event: reason and message.
fn note(tx: &mut Transaction<'_>, about: &Value, (reason, message): (&str, &str), component: &str) {
    events::record(tx, about, Happening { severity: Severity::Normal, reason, message, component });
}

fn set_replica_set_status(tx: &mut Transaction<'_>, set: &Value) {
    let view = view(tx, set);
    let _ = objects::modify(tx, Type::ReplicaSets, &object::key(set), Part::Status, |set| {
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"], "replicas": view.current,
            "fullyLabeledReplicas": view.current, "readyReplicas": view.available,
            "availableReplicas": view.available,
        });
    });
}

/// Whether the node has the labels that the pod asks for, and no taint that it does not tolerate.
fn suits(pod: &Value, node: &Value) -> bool {
    let wanted = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    let mut missing = wanted.filter(|(key, value)| node["metadata"]["labels"].get(key) != Some(value));
    let tolerates = |taint: &Value| {
        object::list(pod, "/spec/tolerations").iter().any(|toleration| {
            let text = |field: &str| object::text(toleration, field);
            let effect = matches!(text("/effect"), "") || text("/effect") == object::text(taint, "/effect");
            let key = text("/key") == object::text(taint, "/key");
            let exists = text("/operator") == "Exists";
            effect
                && (exists && text("/key").is_empty()
                    || key && (exists || toleration["value"] == taint["value"]))
        })
    };
    let refused = object::list(node, "/spec/taints")
        .iter()
        .any(|taint| object::text(taint, "/effect") != "PreferNoSchedule" && !tolerates(taint));
    missing.next().is_none() && !refused
}

/// Binds a pod to a node, or says why it can't.
pub fn schedule(store: &Store, state: &ClusterState, key: &Key) {
    let Some(pod) = state.pods().get(key).filter(|pod| pod.node.is_none() && !pod.meta.terminating()) else {
        return;
    };
    let Some(object) = store.get(Type::Pods, key) else { return };
    let takes =
        |name: &str| store.get(Type::Nodes, &Key::cluster(name)).is_some_and(|node| suits(&object, &node));
    let nodes = state.nodes().values().map(|node| &**node).filter(|node| takes(node.name()));
    let chosen = workloads::place(pod, nodes, state.pods().values().map(|pod| &**pod));
    store.write(|tx| match chosen {
        Some(node) => {
            let bound = objects::modify(tx, Type::Pods, key, Part::Main, |pod| {
                pod["spec"]["nodeName"] = node.to_string().into();
            });
            if let Ok(pod) = bound {
                let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
                note(tx, &pod, ("Scheduled", &message), "default-scheduler");
            }
        }
        None => {
            let total = state.nodes().len();
            let message = format!("0/{total} nodes are available: {total} node(s) were unschedulable, not ready, tainted, or did not match the pod's node selector.");
            let stamp = tx.clock.stamp();
            if let Some(pod) = tx.get(Type::Pods, key).cloned() {
                let (severity, component) = (Severity::Warning, "default-scheduler");
                let happening =
                    Happening { severity, reason: "FailedScheduling", message: &message, component };
                events::record(tx, &pod, happening);
            }
            let _ = objects::modify(tx, Type::Pods, key, Part::Status, |pod| {
                let row = ("PodScheduled", "False", "Unschedulable", message.as_str());
                let mut condition = condition(&pod["status"], &row, &stamp);
                condition.as_object_mut().map(|fields| fields.remove("lastUpdateTime"));
                pod["status"]["conditions"] = json!([condition]);
            });
        }
    });
}
