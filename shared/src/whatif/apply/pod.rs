//! Single pods: their state, where they run, and how a new one comes to be.

use std::sync::Arc;

use super::unknown::not_found;
use super::world::World;
use super::{Outcome, addresses};
use crate::controllers::workloads::place_beside;
use crate::model::{Key, Keyed, Kind, Node, Pod, PodPhase, Text};
use crate::whatif::edit::PodEdit;

/// Why a pod is not ready that an edit made so.
const UNREADY: &str = "made unready by a what-if";

pub(super) fn find(world: &World<'_>, key: &Key) -> Outcome<Arc<Pod>> {
    world.state.pods().get(key).cloned().ok_or_else(|| not_found(&world.state, Kind::Pod, key))
}

pub(super) fn find_node(world: &World<'_>, name: &Text) -> Outcome<Arc<Node>> {
    let missing = || not_found(&world.state, Kind::Node, &Key::cluster(name.clone()));
    world.state.node(name).cloned().ok_or_else(missing)
}

pub(super) fn set(world: &mut World<'_>, key: &Key, state: PodEdit) -> Outcome {
    let mut pod = Arc::unwrap_or_clone(find(world, key)?);
    match state {
        PodEdit::Gone => {
            world.remove(Kind::Pod, key);
            return Ok(());
        }
        PodEdit::Terminating => pod.meta.deleted = pod.meta.deleted.or(Some(world.now)),
        PodEdit::Unready => make_unready(world, &mut pod, UNREADY),
        PodEdit::Ready => {
            if pod.phase.is_final() {
                let phase = pod.phase.as_str();
                return Err(format!("pod {key} has finished ({phase}): it never is ready again"));
            }
            let Some(node) = pod.node.clone() else {
                return Err(format!("pod {key} is on no node: it can't be ready; move it to one"));
            };
            if pod.ips.is_empty() {
                let node = find_node(world, &node)?;
                let families = addresses::families(&pod, None, &node);
                pod.ips = addresses::choose(world, &pod, &node, &families)?;
            }
            make_ready(world, &mut pod);
        }
    }
    world.put_pod(pod);
    Ok(())
}

pub(super) fn make_unready(world: &World<'_>, pod: &mut Pod, reason: &str) {
    if pod.ready {
        pod.ready = false;
        pod.ready_since = Some(world.now);
        pod.unready_reason = Some(reason.into());
    }
}

fn make_ready(world: &World<'_>, pod: &mut Pod) {
    if pod.ready && pod.phase == PodPhase::Running {
        return;
    }
    pod.phase = PodPhase::Running;
    pod.ready = true;
    pod.ready_since = Some(world.now);
    pod.unready_reason = None;
    for container in &mut pod.containers {
        if container.waiting.take().is_some() || container.started.is_none() {
            container.started = Some(world.now);
        }
    }
}

/// As if the pod had been placed on the other node from the start: new addresses, the same name and readiness.
pub(super) fn move_to(world: &mut World<'_>, key: &Key, to: &Text) -> Outcome {
    let pod = find(world, key)?;
    let node = find_node(world, to)?;
    if pod.node.as_ref() == Some(to) {
        return Ok(());
    }
    if pod.phase.is_final() {
        return Err(format!("pod {key} has finished ({}): it runs nowhere", pod.phase.as_str()));
    }
    let families = addresses::families(&pod, None, &node);
    let started = pod.node.is_some();
    let mut moved = Arc::unwrap_or_clone(pod);
    moved.ips = addresses::choose(world, &moved, &node, &families)?;
    moved.node = Some(to.clone());
    if !started && node.ready {
        make_ready(world, &mut moved);
    }
    world.put_pod(moved);
    Ok(())
}

/// Where a new pod goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placing<'a> {
    /// Where the scheduler finds room, beside these pods of the same workload.
    Schedule(&'a [Arc<Pod>]),
    On(&'a Text),
}

/// Whether a new pod comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Ready,
    /// It runs and fails its probes, like the one that it replaces.
    Failing,
}

/// A pod made from the same template as `like`, running on a node. It stays Pending if no node takes pods.
pub(super) fn start_like(
    world: &mut World<'_>,
    like: &Pod,
    name: Text,
    placing: Placing<'_>,
    health: Health,
) -> Outcome<Arc<Pod>> {
    let mut pod = like.clone();
    pod.meta.key.name = name;
    pod.meta.uid = "".into();
    pod.meta.created = Some(world.now);
    pod.meta.deleted = None;
    pod.node = None;
    pod.ips.clear();
    pod.phase = PodPhase::Pending;
    pod.ready = false;
    pod.ready_since = None;
    pod.unready_reason = None;
    for container in &mut pod.containers {
        container.started = None;
        container.waiting = None;
    }
    start(world, &mut pod, Some(like), placing, health)?;
    let made = Arc::new(pod);
    world.put(crate::delta::Object::Pod(made.clone()));
    Ok(made)
}

/// Places a new pod, gives it addresses and lets it run.
pub(super) fn start(
    world: &mut World<'_>,
    pod: &mut Pod,
    like: Option<&Pod>,
    placing: Placing<'_>,
    health: Health,
) -> Outcome {
    let name = match placing {
        Placing::On(node) => Some(node.clone()),
        Placing::Schedule(siblings) => schedule(world, siblings),
    };
    let Some(name) = name else { return Ok(()) };
    let node = find_node(world, &name)?;
    let families = addresses::families(pod, like, &node);
    pod.ips = addresses::choose(world, pod, &node, &families)?;
    pod.node = Some(name);
    make_ready(world, pod);
    if health == Health::Failing {
        make_unready(world, pod, "fails its readiness probe like the pod that it replaces");
    }
    Ok(())
}

fn schedule(world: &mut World<'_>, siblings: &[Arc<Pod>]) -> Option<Text> {
    let nodes: Vec<Arc<Node>> = world.state.nodes().values().cloned().collect();
    let crowd: std::collections::BTreeMap<Text, u32> =
        nodes.iter().map(|node| (node.name().clone(), world.crowd(node.name()))).collect();
    place_beside(nodes.iter().map(Arc::as_ref), siblings.iter().map(Arc::as_ref), |node| {
        crowd.get(node).copied().unwrap_or_default()
    })
}
