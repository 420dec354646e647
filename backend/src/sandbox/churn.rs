//! Calm churn: every few seconds something small happens to the demo, so that the picture lives.
//!
//! The sequence depends on the seed alone; it never touches the Services of [`CALM_SERVICES`] and never takes a
//! workload far from its size.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use vipscope_shared::model::Key;

use super::chance::Chance;
use super::kubelet::READY_ANNOTATION;
use super::object;
use super::objects::{self, Part};
use super::resources::Type;
use super::store::{Store, Transaction};

/// Services that never churn, as `NAMESPACE/NAME`: what tests and documentation can rely on.
pub const CALM_SERVICES: [&str; 11] = [
    "default/kubernetes",
    "kube-system/kube-dns",
    "data/archive",
    "data/postgres",
    "data/warehouse",
    "edge/gateway",
    "edge/legacy-db",
    "shop/cart",
    "shop/orders",
    "shop/payments",
    "shop/recommendations",
];

/// The Deployments that churn, all in `shop` or `edge`, with their replicas in the demo.
const RESTLESS: [(&str, &str, i64); 5] = [
    ("shop", "catalog", 6),
    ("shop", "search", 4),
    ("shop", "web", 6),
    ("shop", "worker", 4),
    ("edge", "dns-cache", 4),
];

const PAUSE: Duration = Duration::from_secs(4);
/// A failed pod heals after this many turns.
const HEALS_AFTER: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Scale,
    Fail,
    Rollout,
}

/// Runs until `stop`.
pub async fn run(store: Arc<Store>, seed: u64, stop: CancellationToken) {
    let mut chance = Chance::new(seed);
    let mut sick: BTreeMap<Key, u32> = BTreeMap::new();
    loop {
        let pause = PAUSE + Duration::from_millis(chance.below(3000));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let (turn, target, dice) = roll(&mut chance);
        store.write(|tx| {
            heal(tx, &mut sick);
            play(tx, turn, target, dice, &mut sick);
        });
    }
}

/// The next turn. Always takes the same number of dice, so that the sequence doesn't depend on the cluster.
fn roll(chance: &mut Chance) -> (Turn, usize, u64) {
    let turn = match chance.below(10) {
        0..=4 => Turn::Scale,
        5..=8 => Turn::Fail,
        _ => Turn::Rollout,
    };
    (turn, chance.below(RESTLESS.len() as u64) as usize, chance.below(1 << 16))
}

fn play(tx: &mut Transaction<'_>, turn: Turn, target: usize, dice: u64, sick: &mut BTreeMap<Key, u32>) {
    let (namespace, name, replicas) = RESTLESS[target];
    let key = Key::new(namespace, name);
    match turn {
        Turn::Scale => {
            let _ = objects::modify(tx, Type::Deployments, &key, Part::Main, |deployment| {
                deployment["spec"]["replicas"] =
                    nudge(&deployment["spec"]["replicas"], replicas, dice).into();
            });
        }
        Turn::Rollout => {
            let _ = objects::modify(tx, Type::Deployments, &key, Part::Main, |deployment| {
                let annotations = &mut deployment["spec"]["template"]["metadata"]["annotations"];
                annotations["kubectl.kubernetes.io/restartedAt"] = format!("turn-{dice}").into();
            });
        }
        Turn::Fail => {
            let Some(pod) = healthy_pod(tx, &key, dice) else { return };
            annotate(tx, &pod, Some("false"));
            sick.insert(pod, HEALS_AFTER);
        }
    }
}

/// One up or down, never more than one away from the demo's size.
fn nudge(current: &Value, replicas: i64, dice: u64) -> i64 {
    let current = current.as_i64().unwrap_or(replicas);
    let step = if dice.is_multiple_of(2) { 1 } else { -1 };
    (current + step).clamp(replicas - 1, replicas + 1)
}

/// One of the Deployment's ready pods.
fn healthy_pod(tx: &Transaction<'_>, deployment: &Key, dice: u64) -> Option<Key> {
    let prefix = format!("{}-", deployment.name);
    let fits = |pod: &Value| {
        object::meta_entry(pod, "labels", "app") == Some(&*deployment.name)
            && object::annotation(pod, READY_ANNOTATION).is_none()
            && !object::is_terminating(pod)
            && super::controllers::is_ready(pod)
    };
    let mut pods: Vec<(String, Key)> = tx
        .keys(Type::Pods, &deployment.namespace)
        .into_iter()
        .filter(|key| key.name.starts_with(&prefix))
        .filter_map(|key| Some((tx.get(Type::Pods, &key).filter(|pod| fits(pod))?, key)))
        .map(|(pod, key)| (object::text(pod, "/status/podIP").to_owned(), key))
        .collect();
    // By address: names are random.
    pods.sort();
    let at = (dice as usize).checked_rem(pods.len())?;
    Some(pods.swap_remove(at).1)
}

fn heal(tx: &mut Transaction<'_>, sick: &mut BTreeMap<Key, u32>) {
    let healed: Vec<Key> = sick
        .iter_mut()
        .filter_map(|(key, turns)| {
            *turns = turns.saturating_sub(1);
            (*turns == 0).then(|| key.clone())
        })
        .collect();
    for key in healed {
        sick.remove(&key);
        annotate(tx, &key, None);
    }
}

fn annotate(tx: &mut Transaction<'_>, pod: &Key, ready: Option<&str>) {
    let _ = objects::modify(tx, Type::Pods, pod, Part::Main, |pod| {
        let annotations = object::map_at(&mut pod["metadata"], "annotations");
        match ready {
            Some(value) => annotations.insert(READY_ANNOTATION.into(), value.into()),
            None => annotations.remove(READY_ANNOTATION),
        };
    });
}

#[cfg(test)]
mod tests {
    use super::super::store::Event;
    use super::super::{Options, Sandbox};
    use super::*;

    #[test]
    fn the_same_seed_rolls_the_same_turns() {
        let sequence = |seed: u64| {
            let mut chance = Chance::new(seed);
            (0..50).map(|_| roll(&mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    /// What churn did to a Deployment or a pod, if anything.
    fn doing(event: &Event) -> Option<String> {
        let (before, after) = (event.before.as_deref()?, event.after.as_deref()?);
        let key = &event.key;
        let changed = |path: &str| before.pointer(path) != after.pointer(path);
        if event.resource == Type::Pods {
            let app = object::meta_entry(after, "labels", "app")?;
            let health = |pod: &Value| object::annotation(pod, READY_ANNOTATION).map(str::to_owned);
            let what = if health(after).is_some() { "fails" } else { "heals" };
            return (health(before) != health(after)).then(|| format!("a pod of {app} {what}"));
        }
        if changed("/spec/replicas") {
            return Some(format!("{key} scales to {}", after["spec"]["replicas"]));
        }
        changed("/spec/template").then(|| format!("{key} is rolled out"))
    }

    /// What happens to the demo in four minutes, in order.
    async fn doings(seed: u64) -> Vec<String> {
        let start = "2026-01-01T00:00:00Z".parse().unwrap();
        let sandbox = Sandbox::start_at(Options { seed, ..Options::default() }, 1000, start);
        let store = &sandbox.api.store;
        let mut seen = store.revision();
        let mut done = Vec::new();
        for _ in 0..240 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = store.revision();
            for resource in [Type::Pods, Type::Deployments] {
                let (events, _) = store.events_after(resource, seen, usize::MAX).unwrap();
                done.extend(
                    events.iter().filter(|event| event.revision <= now).filter_map(|event| doing(event)),
                );
            }
            seen = now;
        }
        sandbox.shutdown().await;
        done
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_makes_the_same_churn_in_two_sandboxes() {
        let (first, second, other) = (doings(7).await, doings(7).await, doings(8).await);
        assert_eq!(first, second);
        assert_ne!(first, other);
        for what in ["scales", "fails", "heals", "rolled out"] {
            assert!(first.iter().any(|line| line.contains(what)), "{what}: {first:#?}");
        }
        assert!(first.len() >= 40, "a turn every 4 to 7 s: {first:#?}");
    }

    #[test]
    fn scaling_stays_near_the_demos_size() {
        let rows = [(6, 0, 7), (7, 0, 7), (6, 1, 5), (5, 1, 5), (20, 0, 7)];
        for (current, dice, expected) in rows {
            assert_eq!(nudge(&current.into(), 6, dice), expected);
        }
    }
}
