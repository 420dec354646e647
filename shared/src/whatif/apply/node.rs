//! Nodes: cordoned, drained, lost, in another zone; and what becomes of their pods.

use std::sync::Arc;

use serde_json::json;

use super::Outcome;
use super::pod::{Health, Placing, find_node, make_unready, start_like};
use super::workload::{name_like, siblings};
use super::world::World;
use crate::admission::labels;
use crate::model::{Key, Keyed, Kind, Labels, Node, Pod, Text, ZONE_LABEL};
use crate::whatif::edit::NodeEdit;

pub(super) fn set(world: &mut World<'_>, name: &Text, state: NodeEdit) -> Outcome {
    let node = Arc::unwrap_or_clone(find_node(world, name)?);
    match state {
        NodeEdit::Cordon => world.put_node(Node { unschedulable: true, ..node }),
        NodeEdit::Uncordon => world.put_node(Node { unschedulable: false, ..node }),
        NodeEdit::Drain => {
            world.put_node(Node { unschedulable: true, ..node });
            return evict(world, name);
        }
        NodeEdit::Lost => {
            world.put_node(Node { ready: false, ..node });
            for pod in pods_on(world, name) {
                let mut pod = Arc::unwrap_or_clone(pod);
                make_unready(world, &mut pod, "NodeNotReady");
                world.put_pod(pod);
            }
        }
    }
    Ok(())
}

fn pods_on(world: &World<'_>, node: &str) -> Vec<Arc<Pod>> {
    world.state.pods_on(node).cloned().collect()
}

/// As `kubectl drain --ignore-daemonsets --force`: disruption budgets are not known and hold nothing back.
fn evict(world: &mut World<'_>, node: &Text) -> Outcome {
    let stays =
        |pod: &Pod| matches!(pod.meta.owner.as_ref().map(|owner| &*owner.kind), Some("DaemonSet" | "Node"));
    for pod in pods_on(world, node).into_iter().filter(|pod| !stays(pod)) {
        replace(world, &pod)?;
    }
    Ok(())
}

/// Removes the node; its pods go as well, and those with a workload are made again elsewhere.
pub(super) fn remove(world: &mut World<'_>, node: &Text) -> Outcome {
    world.remove(Kind::Node, &Key::cluster(node.clone()));
    for pod in pods_on(world, node) {
        match owner_kind(&pod) {
            "DaemonSet" | "Node" => world.remove(Kind::Pod, pod.key()),
            _ => replace(world, &pod)?,
        }
    }
    Ok(())
}

fn owner_kind(pod: &Pod) -> &str {
    pod.meta.owner.as_ref().map(|owner| &*owner.kind).unwrap_or_default()
}

/// Removes a pod. Its workload makes another one, as healthy as it was; a pod without one, or that was going anyway, is gone.
pub(super) fn replace(world: &mut World<'_>, pod: &Arc<Pod>) -> Outcome {
    let key = pod.key();
    let lost = pod.node.as_ref().and_then(|node| world.state.node(node)).is_some_and(|node| !node.ready);
    world.remove(Kind::Pod, key);
    if pod.meta.owner.is_none() || pod.meta.terminating() || pod.phase.is_final() {
        return Ok(());
    }
    // Who was not ready only because nobody heard of the node will be.
    let health = if pod.ready || lost { Health::Ready } else { Health::Failing };
    let name = match owner_kind(pod) {
        "StatefulSet" | "Node" => key.name.clone(),
        _ => name_like(world, pod),
    };
    let others = siblings(&world.state, pod);
    let placing = match (&pod.node, owner_kind(pod)) {
        (Some(node), "DaemonSet" | "Node") => Placing::On(node),
        _ => Placing::Schedule(&others),
    };
    start_like(world, pod, name, placing, health).map(drop)
}

pub(super) fn set_zone(world: &mut World<'_>, name: &Text, zone: Option<&Text>) -> Outcome {
    let mut node = Arc::unwrap_or_clone(find_node(world, name)?);
    let mut map: std::collections::BTreeMap<Text, Text> = node.meta.labels.clone().into();
    match zone {
        Some(zone) => {
            let errors = labels::validate("metadata.labels", &json!({ ZONE_LABEL: &**zone }));
            if let Some(error) = errors.first() {
                return Err(format!("Node \"{name}\" is invalid: {error}"));
            }
            map.insert(ZONE_LABEL.into(), zone.clone());
        }
        None => drop(map.remove(ZONE_LABEL)),
    }
    node.meta.labels = Labels::from(map);
    world.put_node(node);
    Ok(())
}
