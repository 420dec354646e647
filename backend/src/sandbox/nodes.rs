//! Nodes that fail and heal: what the node lifecycle controller makes of a kubelet that no longer reports.
//!
//! A node with the annotation [`FAIL_ANNOTATION`] goes silent. It is noticed (Ready becomes Unknown, taints, its pods no longer
//! ready), and a little later its pods are evicted: they stay Terminating, since no kubelet confirms, while others are made
//! elsewhere. When the annotation goes, the node reports again. Real clusters take 40 seconds and 5 minutes for the two.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use vipscope_shared::model::Key;

use super::events::{self, Happening, Severity};
use super::object::{self, Object};
use super::objects::{self, DeleteOptions, Part};
use super::resources::Type;
use super::store::{Store, Transaction};

/// `true` on a node makes it fail.
pub const FAIL_ANNOTATION: &str = "vipscope.dev/fail";

const NOTICED_AFTER: Duration = Duration::from_secs(2);
const EVICTED_AFTER: Duration = Duration::from_secs(6);
/// Pods that were bound meanwhile go, too.
const EVICTED_AGAIN: Duration = Duration::from_secs(5);
const BACK_AFTER: Duration = Duration::from_secs(1);
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It has gone silent.
    Lose,
    Evict,
    /// It reports again.
    Return,
}

/// Whether the node's kubelet has stopped: nothing on it starts or stops.
pub fn is_silent(node: &Value) -> bool {
    object::annotation(node, FAIL_ANNOTATION) == Some("true")
}

fn is_lost(node: &Value) -> bool {
    let mut conditions = object::list(node, "/status/conditions").iter();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "Unknown")
}

fn next_step(node: &Value) -> Option<(Duration, Step)> {
    match (is_silent(node), is_lost(node)) {
        (true, false) => Some((NOTICED_AFTER, Step::Lose)),
        (true, true) => Some((EVICTED_AFTER, Step::Evict)),
        (false, true) => Some((BACK_AFTER, Step::Return)),
        (false, false) => None,
    }
}

/// Runs until `stop`.
pub async fn run(store: Arc<Store>, stop: CancellationToken) {
    let mut changed = store.subscribe();
    let mut agenda: BTreeMap<Key, (Instant, Step)> = BTreeMap::new();
    let mut seen = 0;
    loop {
        changed.mark_unchanged();
        seen = follow(&store, seen, &mut agenda);
        let now = Instant::now();
        let due: Vec<(Key, Step)> = agenda
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(key, (_, step))| (key.clone(), *step))
            .collect();
        for (key, step) in due {
            agenda.remove(&key);
            store.write(|tx| act(tx, &key, step));
            if step == Step::Evict {
                agenda.insert(key, (now + EVICTED_AGAIN, Step::Evict));
            }
        }
        let next = agenda.values().map(|(at, _)| *at).min();
        let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = stop.cancelled() => return,
            result = changed.changed() => if result.is_err() { return },
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

fn follow(store: &Store, seen: u64, agenda: &mut BTreeMap<Key, (Instant, Step)>) -> u64 {
    let Ok((events, now)) = store.events_after(Type::Nodes, seen, usize::MAX) else {
        let (nodes, revision) = store.list(Type::Nodes, "", None, None).unwrap_or_default();
        agenda.clear();
        nodes.iter().for_each(|node| plan(agenda, node));
        return revision;
    };
    for event in events {
        match &event.after {
            Some(node) => plan(agenda, node),
            None => {
                agenda.remove(&event.key);
                store.write(|tx| forget_pods(tx, &event.key.name));
            }
        }
    }
    now
}

/// Plans the node's next step, unless it is planned already.
fn plan(agenda: &mut BTreeMap<Key, (Instant, Step)>, node: &Object) {
    let key = object::key(node);
    match next_step(node) {
        None => drop(agenda.remove(&key)),
        Some((delay, step)) => {
            let planned = agenda.get(&key).is_some_and(|(_, planned)| *planned == step);
            if !planned {
                agenda.insert(key, (Instant::now() + delay, step));
            }
        }
    }
}

/// The pods that are bound to a node.
pub fn pods_on(tx: &Transaction<'_>, node: &str) -> Vec<Key> {
    let here =
        |key: &Key| tx.get(Type::Pods, key).is_some_and(|pod| object::text(pod, "/spec/nodeName") == node);
    tx.keys(Type::Pods, "").into_iter().filter(here).collect()
}

/// Pods of a node that is gone for good are gone as well.
fn forget_pods(tx: &mut Transaction<'_>, node: &str) {
    let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
    for key in pods_on(tx, node) {
        let _ = objects::delete(tx, Type::Pods, &key, &options);
    }
}

/// Does a step, if it still is the node's next one.
fn act(tx: &mut Transaction<'_>, key: &Key, step: Step) {
    let current = tx.get(Type::Nodes, key).and_then(|node| next_step(node));
    if current.map(|(_, step)| step) != Some(step) {
        return;
    }
    match step {
        Step::Lose => {
            set_ready(tx, key, false);
            let message = format!("Node {} status is now: NodeNotReady", key.name);
            note(tx, Type::Nodes, key, "NodeNotReady", &message);
            unready_pods(tx, &key.name);
        }
        Step::Evict => {
            for pod in pods_on(tx, &key.name) {
                let marked = tx.get(Type::Pods, &pod).is_some_and(|pod| object::is_terminating(pod));
                if !marked {
                    let message = format!("Marking for deletion Pod {}/{}", pod.namespace, pod.name);
                    note(tx, Type::Pods, &pod, "TaintManagerEviction", &message);
                }
                let _ = objects::delete(tx, Type::Pods, &pod, &DeleteOptions::default());
            }
        }
        Step::Return => set_ready(tx, key, true),
    }
}

fn note(tx: &mut Transaction<'_>, resource: Type, key: &Key, reason: &str, message: &str) {
    let Some(object) = tx.get(resource, key).cloned() else { return };
    let happening = Happening { severity: Severity::Normal, reason, message, component: "node-controller" };
    events::record(tx, &object, happening);
}

fn set_ready(tx: &mut Transaction<'_>, key: &Key, back: bool) {
    let stamp = tx.clock.stamp();
    let _ = objects::modify(tx, Type::Nodes, key, Part::Main, |node| {
        let mut taints = object::list(node, "/spec/taints").to_vec();
        taints.retain(|taint| object::text(taint, "/key") != UNREACHABLE);
        if !back {
            for effect in ["NoSchedule", "NoExecute"] {
                taints.push(json!({ "key": UNREACHABLE, "effect": effect, "timeAdded": stamp }));
            }
        }
        node["spec"]["taints"] = if taints.is_empty() { Value::Null } else { Value::Array(taints) };
    });
    let (status, reason, message) = match back {
        true => ("True", "KubeletReady", "kubelet is posting ready status"),
        false => ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
    };
    let _ = objects::modify(tx, Type::Nodes, key, Part::Status, |node| {
        let conditions = node["status"]["conditions"].as_array_mut();
        for condition in conditions.into_iter().flatten().filter(|condition| condition["type"] == "Ready") {
            for (field, value) in
                [("status", status), ("reason", reason), ("message", message), ("lastTransitionTime", &stamp)]
            {
                condition[field] = value.into();
            }
        }
    });
}

/// Nobody knows how they are: they no longer count as ready.
fn unready_pods(tx: &mut Transaction<'_>, node: &str) {
    let stamp = tx.clock.stamp();
    for key in pods_on(tx, node) {
        let _ = objects::modify(tx, Type::Pods, &key, Part::Status, |pod| {
            let conditions = pod["status"]["conditions"].as_array_mut();
            let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
            if let Some(ready) = ready
                && ready["status"] == "True"
            {
                ready["status"] = "False".into();
                ready["reason"] = "NodeNotReady".into();
                ready["lastTransitionTime"] = stamp.as_str().into();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_node() {
        let node = |fails: &str, ready: &str| {
            let annotations = json!({FAIL_ANNOTATION: fails});
            json!({"metadata": {"annotations": annotations}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        let rows = [
            (node("", "True"), None),
            (node("true", "True"), Some(Step::Lose)),
            (node("true", "Unknown"), Some(Step::Evict)),
            (node("", "Unknown"), Some(Step::Return)),
        ];
        for (node, expected) in rows {
            assert_eq!(next_step(&node).map(|(_, step)| step), expected, "{node}");
        }
    }
}
