//! Rollouts and placement: the limits hold at every step, and it ends where it should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use vipscope_shared::controllers::workloads::{
    Amount, ReplicaChange, ReplicaSetView, Strategy as Update, place, replicas, rollout,
};
use vipscope_shared::model::{Key, Keyed, Labels, Node, Owner, Pod, PodPhase, ZONE_LABEL};

fn set(name: &str, desired: u32) -> ReplicaSetView {
    ReplicaSetView { name: name.into(), desired, current: desired, available: desired }
}

proptest! {
    /// Pods start and stop in between; neither surge nor unavailability goes beyond its limit, and the new template wins.
    #[test]
    fn a_rolling_update_keeps_its_limits(wanted in 0_u32..20, before in 0_u32..20, surge in 0_u32..60, missing in 0_u32..60) {
        let strategy = Update::RollingUpdate { max_surge: Amount::Percent(surge), max_unavailable: Amount::Percent(missing) };
        let most = wanted + (wanted * surge).div_ceil(100);
        let floor = wanted - wanted * missing / 100;
        let floor = if most == wanted { floor.min(wanted.saturating_sub(1)) } else { floor };
        let (mut new, mut old) = (set("new", 0), set("old", before));
        let mut steps = 0;
        loop {
            let changes = rollout(wanted, strategy, &new, std::slice::from_ref(&old));
            if changes.is_empty() && new.available == new.desired {
                break;
            }
            let enough = (new.available + old.available).min(floor);
            new.desired = changes.get("new").copied().unwrap_or(new.desired);
            old.desired = changes.get("old").copied().unwrap_or(old.desired);
            prop_assert!(new.desired + old.desired <= most.max(before), "{new:?} {old:?}");
            old.available = old.available.min(old.desired);
            prop_assert!(new.available.min(new.desired) + old.available >= enough, "{new:?} {old:?}");
            // One pod becomes ready.
            new.available = (new.available + 1).min(new.desired);
            (new.current, old.current) = (new.desired, old.desired);
            steps += 1;
            prop_assert!(steps < 200, "it ends: {new:?} {old:?}");
        }
        prop_assert_eq!((new.desired, old.desired), (wanted, 0));
    }
}

#[test]
fn recreate_waits_until_the_old_are_gone() {
    let mut old = set("old", 3);
    let changes = rollout(3, Update::Recreate, &set("new", 0), std::slice::from_ref(&old));
    assert_eq!(changes, BTreeMap::from([("old".into(), 0)]));
    old.desired = 0;
    assert!(rollout(3, Update::Recreate, &set("new", 0), std::slice::from_ref(&old)).is_empty());
    old.current = 0;
    assert_eq!(rollout(3, Update::Recreate, &set("new", 0), &[old]), BTreeMap::from([("new".into(), 3)]));
}

fn pod(name: &str, node: Option<&str>) -> Pod {
    let mut pod = Pod::named(Key::new("shop", name));
    pod.meta.owner = Some(Owner { kind: "ReplicaSet".into(), name: "web-x".into() });
    pod.meta.labels = Labels::from_iter([("pod-template-hash", "x")]);
    pod.node = node.map(Into::into);
    pod.phase = PodPhase::Running;
    pod.ready = true;
    pod
}

#[test]
fn the_least_useful_pods_go_first() {
    let (mut waiting, mut sick, good) = (pod("c", None), pod("b", Some("n")), pod("a", Some("n")));
    waiting.phase = PodPhase::Pending;
    waiting.ready = false;
    sick.ready = false;
    let pods = [&good, &sick, &waiting];
    assert_eq!(replicas(3, &pods), None);
    assert_eq!(replicas(5, &pods), Some(ReplicaChange::Create(2)));
    assert_eq!(replicas(1, &pods), Some(ReplicaChange::Delete(vec!["c".into(), "b".into()])));
}

fn node(name: &str, zone: &str) -> Node {
    let mut node = Node::named(name);
    node.meta.labels = Labels::from_iter([(ZONE_LABEL, zone)]);
    node
}

#[test]
fn pods_spread_over_nodes_and_zones() {
    let mut nodes = [node("a", "z1"), node("b", "z2"), node("c", "z3"), node("d", "z1")];
    let mut pods: Vec<Pod> = Vec::new();
    for number in 0..8 {
        let new = pod(&format!("p{number}"), None);
        let chosen = place(&new, nodes.iter(), pods.iter()).unwrap();
        pods.push(pod(&format!("p{number}"), Some(&chosen)));
    }
    let order: Vec<&str> = pods.iter().map(|pod| pod.node.as_deref().unwrap()).collect();
    assert_eq!(order[..4], ["a", "b", "c", "d"], "zones before the second node of one");
    let on = |name: &str| pods.iter().filter(|pod| pod.node.as_deref() == Some(name)).count();
    assert!(nodes.iter().all(|node| on(node.name()) == 2), "{order:?}");
    nodes[0].unschedulable = true;
    nodes[1].ready = false;
    let chosen = place(&pod("next", None), nodes.iter(), pods.iter()).unwrap();
    assert!(["c", "d"].contains(&&*chosen), "{chosen}");
    nodes.iter_mut().for_each(|node| node.unschedulable = true);
    assert_eq!(place(&pod("last", None), nodes.iter(), pods.iter()), None);
}
