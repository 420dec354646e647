//! Deployment -> ReplicaSets -> Pods: how many of which, in which order, and on which node.
//!
//! Upstream: `pkg/controller/deployment/{rolling,recreate}.go`, `pkg/controller/replicaset`, and a scheduler that knows only spreading.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::{Keyed, Node, Pod, PodPhase, Text};

/// A count or a percentage, as `maxSurge` and `maxUnavailable` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    Count(u32),
    Percent(u32),
}

impl Amount {
    /// Reads `3` or `25%`.
    pub fn parse(text: &str) -> Option<Amount> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Amount::Percent),
            None => text.parse().ok().map(Amount::Count),
        }
    }

    fn of(self, total: u32, rounding: Rounding) -> u32 {
        match (self, rounding) {
            (Amount::Count(count), _) => count,
            (Amount::Percent(percent), Rounding::Up) => {
                (u64::from(total) * u64::from(percent)).div_ceil(100) as u32
            }
            (Amount::Percent(percent), Rounding::Down) => {
                (u64::from(total) * u64::from(percent) / 100) as u32
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Rounding {
    Up,
    Down,
}

/// `spec.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Recreate,
    RollingUpdate { max_surge: Amount, max_unavailable: Amount },
}

impl Default for Strategy {
    fn default() -> Strategy {
        Strategy::RollingUpdate { max_surge: Amount::Percent(25), max_unavailable: Amount::Percent(25) }
    }
}

impl Strategy {
    /// How many of `replicas` pods have to be available for the whole to be.
    pub fn fewest(self, replicas: u32) -> u32 {
        match self {
            Strategy::Recreate => replicas,
            Strategy::RollingUpdate { .. } => replicas.saturating_sub(self.limits(replicas).1),
        }
    }

    /// How many pods may be over, and how many may be missing, while `replicas` are replaced. Never both zero.
    fn limits(self, replicas: u32) -> (u32, u32) {
        let Strategy::RollingUpdate { max_surge, max_unavailable } = self else { return (0, replicas) };
        let surge = max_surge.of(replicas, Rounding::Up);
        let unavailable = max_unavailable.of(replicas, Rounding::Down);
        (surge, if surge == 0 { unavailable.max(1) } else { unavailable })
    }
}

/// What a rollout needs to know of one ReplicaSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSetView {
    pub name: Text,
    /// `spec.replicas`.
    pub desired: u32,
    /// Pods that exist and are not being deleted.
    pub current: u32,
    /// Those of them that are ready.
    pub available: u32,
}

/// The next `spec.replicas` of a Deployment's ReplicaSets: the `new` one fits the template; `old` ones are given oldest first. Only
/// ReplicaSets to change are named. Called again after each change, it ends with all pods in the new one.
pub fn rollout(
    replicas: u32,
    strategy: Strategy,
    new: &ReplicaSetView,
    old: &[ReplicaSetView],
) -> BTreeMap<Text, u32> {
    let mut scale = BTreeMap::new();
    let old_desired: u32 = old.iter().map(|set| set.desired).sum();
    if strategy == Strategy::Recreate {
        old.iter().filter(|set| set.desired > 0).for_each(|set| {
            scale.insert(set.name.clone(), 0);
        });
        let old_gone = old.iter().all(|set| set.desired == 0 && set.current == 0);
        if old_gone && new.desired != replicas {
            scale.insert(new.name.clone(), replicas);
        }
        return scale;
    }
    let (surge, unavailable) = strategy.limits(replicas);
    let wanted = match new.desired {
        more if more > replicas => replicas,
        less => {
            let room = (replicas + surge).saturating_sub(less + old_desired);
            less + room.min(replicas - less)
        }
    };
    if wanted != new.desired {
        scale.insert(new.name.clone(), wanted);
    }
    shrink(old, Room::of(replicas, unavailable, new, old), &mut scale);
    scale
}

/// How many old pods may go now.
struct Room {
    /// At all, those that do not serve included.
    total: u32,
    /// Of those that are available.
    available: u32,
}

impl Room {
    fn of(replicas: u32, unavailable: u32, new: &ReplicaSetView, old: &[ReplicaSetView]) -> Room {
        let floor = replicas.saturating_sub(unavailable);
        let all: u32 = new.desired + old.iter().map(|set| set.desired).sum::<u32>();
        let ready: u32 = new.available + old.iter().map(|set| set.available).sum::<u32>();
        let new_missing = new.desired.saturating_sub(new.available);
        Room { total: all.saturating_sub(floor + new_missing), available: ready.saturating_sub(floor) }
    }
}

/// Old pods that do not serve go first, then serving ones, the oldest ReplicaSet first.
fn shrink(old: &[ReplicaSetView], mut room: Room, scale: &mut BTreeMap<Text, u32>) {
    let mut left: Vec<u32> = old.iter().map(|set| set.desired).collect();
    for (set, left) in old.iter().zip(&mut left) {
        let useless = set.desired.saturating_sub(set.available).min(room.total);
        *left -= useless;
        room.total -= useless;
    }
    let mut serving = room.available.min(room.total);
    for left in &mut left {
        let gone = (*left).min(serving);
        *left -= gone;
        serving -= gone;
    }
    for (set, left) in old.iter().zip(left) {
        if left != set.desired {
            scale.insert(set.name.clone(), left);
        }
    }
}

/// What a ReplicaSet does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaChange {
    Create(u32),
    /// Names of the pods to delete.
    Delete(Vec<Text>),
}

/// Compares `desired` with the ReplicaSet's pods. Those that matter least go first: not placed, not running, not ready,
/// crowded on their node, youngest.
pub fn replicas(desired: u32, pods: &[&Pod]) -> Option<ReplicaChange> {
    let mut active: Vec<&&Pod> =
        pods.iter().filter(|pod| !pod.meta.terminating() && !pod.phase.is_final()).collect();
    let count = active.len() as u32;
    if count < desired {
        return Some(ReplicaChange::Create(desired - count));
    }
    if count == desired {
        return None;
    }
    let mut per_node: BTreeMap<Option<&Text>, u32> = BTreeMap::new();
    active.iter().for_each(|pod| *per_node.entry(pod.node.as_ref()).or_default() += 1);
    active.sort_by_key(|pod| {
        let crowd = per_node.get(&pod.node.as_ref()).copied().unwrap_or_default();
        let keep = (pod.node.is_some(), pod.phase == PodPhase::Running, pod.ready);
        (keep, Reverse(crowd), Reverse(pod.meta.created), pod.name().clone())
    });
    let surplus = (count - desired) as usize;
    Some(ReplicaChange::Delete(active[..surplus].iter().map(|pod| pod.name().clone()).collect()))
}

/// The node for a new pod: ready, not cordoned, and with the fewest pods of the same workload on the node, then in its zone,
/// then the fewest pods at all. `None` if no node takes pods.
pub fn place<'a>(
    pod: &Pod,
    nodes: impl Iterator<Item = &'a Node>,
    pods: impl Iterator<Item = &'a Pod>,
) -> Option<Text> {
    let (mut all, mut siblings) = (BTreeMap::<&Text, u32>::new(), Vec::new());
    for other in pods.filter(|other| takes_room(other)) {
        let Some(node) = &other.node else { continue };
        *all.entry(node).or_default() += 1;
        if is_sibling(pod, other) {
            siblings.push(other);
        }
    }
    let crowd = |node: &Text| all.get(node).copied().unwrap_or_default();
    place_beside(nodes, siblings.into_iter(), crowd)
}

/// [`place`], for who knows the pods of the same workload, and how many pods of any kind each node has (`crowd`).
pub fn place_beside<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    siblings: impl Iterator<Item = &'a Pod>,
    crowd: impl Fn(&Text) -> u32,
) -> Option<Text> {
    let fit: Vec<&Node> = nodes.filter(|node| node.ready && !node.unschedulable).collect();
    let zone_of: BTreeMap<&Text, Option<&Text>> = fit.iter().map(|node| (node.name(), node.zone())).collect();
    let mut same = BTreeMap::<&Text, u32>::new();
    let mut same_zone: BTreeMap<Option<&Text>, u32> = BTreeMap::new();
    for node in siblings.filter(|other| takes_room(other)).filter_map(|other| other.node.as_ref()) {
        *same.entry(node).or_default() += 1;
        *same_zone.entry(zone_of.get(node).copied().flatten()).or_default() += 1;
    }
    let best = fit.into_iter().min_by_key(|node| {
        let here = same.get(node.name()).copied().unwrap_or_default();
        let zone = same_zone.get(&node.zone()).copied().unwrap_or_default();
        (here, zone, crowd(node.name()), node.name().clone())
    });
    best.map(|node| node.name().clone())
}

/// Whether a pod counts where room is looked for: not when it is going or has finished.
pub fn takes_room(pod: &Pod) -> bool {
    !pod.meta.terminating() && !pod.phase.is_final()
}

/// Of the same workload, across its ReplicaSets.
fn is_sibling(pod: &Pod, other: &Pod) -> bool {
    let workload = |pod: &Pod| (pod.namespace().clone(), pod.workload());
    pod.meta.owner.is_some() && workload(pod) == workload(other)
}

/// The hash that a Deployment puts into the names and labels of what it makes from one pod template (10 characters without
/// vowels). `template` is the template's canonical text. Not Kubernetes' own number, which depends on Go's types.
pub fn template_hash(template: &str) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut rest = template.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let mut next = || {
        let letter = ALPHABET[(rest % 27) as usize];
        rest /= 27;
        char::from(letter)
    };
    (0..10).map(|_| next()).collect()
}
