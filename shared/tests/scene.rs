//! The scene's laws: nothing overlaps, nothing jumps, nothing is left out, and what is drawn can be hit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, Key, Keyed, Kind, ObjectRef, Pod, PodPhase, Text};
use vipscope_shared::predict::{Answer, Question, Reply, ask, names};
use vipscope_shared::scene::{
    Basis, Direction, Health, Item, ItemKind, NO_NODE, Path, PathRole, Rect, Scene, SceneOptions,
    ServiceStatus, SourceId, Target,
};
use vipscope_shared::synthetic::{self, Random, Size};

fn real() -> ClusterState {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/real-cluster-1.36.json");
    load(&fs::read_to_string(path).unwrap()).unwrap().state
}

fn small() -> ClusterState {
    synthetic::cluster(Size::SMALL, 7)
}

fn build(state: &ClusterState) -> Scene {
    Scene::build(state, &SceneOptions::default(), None)
}

fn focus(state: &ClusterState, target: &str, previous: Option<&Scene>) -> Scene {
    let options = SceneOptions { focus: Some(target.parse().unwrap()), ..SceneOptions::default() };
    Scene::build(state, &options, previous)
}

fn delete(state: &ClusterState, kind: Kind, key: &Key) -> ClusterState {
    let mut state = state.clone();
    let change = Change::Delete(ObjectRef { kind, key: key.clone() });
    assert!(state.apply(&change).is_changed());
    state
}

fn upsert(state: &ClusterState, object: Object) -> ClusterState {
    let mut state = state.clone();
    assert!(state.apply(&Change::Upsert(object)).is_changed());
    state
}

fn is_more(item: &Item) -> bool {
    matches!(item.kind, ItemKind::More { .. })
}

/// Places by target; aggregates left out, as they share their node's target.
fn places(scene: &Scene) -> BTreeMap<Target, Rect> {
    scene.items().iter().filter(|item| !is_more(item)).map(|item| (item.target.clone(), item.rect)).collect()
}

fn contains(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && outer.right() >= inner.right()
        && outer.bottom() >= inner.bottom()
}

/// What an item lies inside of, if it does.
fn is_frame(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Island | ItemKind::Node | ItemKind::Service { .. })
}

fn assert_tidy(scene: &Scene) {
    let items = scene.items();
    for (nth, a) in items.iter().enumerate() {
        assert!(contains(scene.bounds(), a.rect), "{} is out of bounds", a.target);
        for b in &items[nth + 1..] {
            let nested = is_frame(a) && contains(a.rect, b.rect);
            assert!(nested || !a.rect.intersects(b.rect), "{} and {} overlap", a.target, b.target);
        }
    }
}

/// Every pod that lives and every endpoint is a row, or counted by its node.
fn assert_complete(state: &ClusterState, scene: &Scene) {
    let mut wanted: BTreeSet<Target> = BTreeSet::new();
    for service in state.services().values() {
        for row in ServiceStatus::of(state, service).rows {
            let address = row.address.map(|address| Target::Address(address.to_string().into()));
            wanted.extend(row.pod.map(Target::Pod).or(address));
        }
    }
    let living = state.pods().values().filter(|pod| !pod.phase.is_final());
    wanted.extend(living.map(|pod| Target::Pod(pod.key().clone())));
    let rows = scene.items().iter().filter(|item| matches!(item.kind, ItemKind::Pod(_))).count();
    let hidden: usize = scene
        .items()
        .iter()
        .map(|item| match item.kind {
            ItemKind::More { hidden } => hidden,
            _ => 0,
        })
        .sum();
    assert_eq!(rows + hidden, wanted.len());
}

#[test]
fn a_real_cluster_has_a_tidy_and_complete_scene() {
    let state = real();
    let scene = build(&state);
    assert_tidy(&scene);
    assert_complete(&state, &scene);
    let services = scene.items().iter().filter(|item| matches!(item.kind, ItemKind::Service { .. })).count();
    assert_eq!(services, state.services().len());
}

#[test]
fn a_large_cluster_has_a_tidy_and_complete_scene() {
    let state = synthetic::cluster(Size::LARGE, 7);
    assert_eq!((state.services().len(), state.nodes().len()), (500, 50));
    let scene = build(&state);
    assert_tidy(&scene);
    assert_complete(&state, &scene);
    let (w, h) = (scene.bounds().w, scene.bounds().h);
    assert!(w / h > 0.6 && w / h < 2.5, "about as wide as a window: {w} x {h}");
    assert!(scene.edges().len() < 6_000);
}

#[test]
fn nothing_is_an_empty_scene() {
    let scene = build(&ClusterState::default());
    assert!(scene.items().is_empty() && scene.edges().is_empty() && scene.headings().is_empty());
    assert_eq!(scene.bounds(), Rect::default());
}

#[test]
fn what_is_drawn_is_hit() {
    let scene = build(&small());
    for item in scene.items() {
        let corner = vipscope_shared::scene::Point::new(item.rect.x + 1.0, item.rect.y + 1.0);
        let at = if is_frame(item) { corner } else { item.rect.center() };
        let hit = scene.hit(at).unwrap();
        assert_eq!((&hit.target, hit.rect), (&item.target, item.rect));
        assert_eq!(scene.find(&item.target).map(|found| found.target.clone()), Some(item.target.clone()));
    }
    assert_eq!(scene.hit(vipscope_shared::scene::Point::new(-50.0, -50.0)), None);
}

#[test]
fn targets_survive_their_text() {
    let scene = build(&real());
    for item in scene.items() {
        assert_eq!(item.target.to_string().parse(), Ok(item.target.clone()));
    }
    for text in ["node/-", "address/fd00::1", "svc/shop/cart:http", "from/pods/shop"] {
        assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
    }
    assert!("svc/shop".parse::<Target>().is_err());
}

#[test]
fn removing_a_service_moves_nothing() {
    let state = small();
    let before = build(&state);
    for key in state.services().keys() {
        let after =
            Scene::build(&delete(&state, Kind::Service, key), &SceneOptions::default(), Some(&before));
        let (was, is) = (places(&before), places(&after));
        let moved: Vec<_> = is.iter().filter(|(target, rect)| was.get(target) != Some(rect)).collect();
        // Pods that take the rows of endpoints which are gone with the Service are new, not moved.
        let moved: Vec<_> = moved.into_iter().filter(|(target, _)| was.contains_key(target)).collect();
        assert_eq!(moved, [], "without {key}");
        let back = Scene::build(&state, &SceneOptions::default(), Some(&after));
        assert_eq!(places(&back), was, "{key} comes back to its place");
    }
}

fn pod(name: &str, node: &str) -> Pod {
    let mut pod = Pod::named(Key::new("shop", name));
    pod.node = Some(node.into());
    pod.phase = PodPhase::Running;
    pod.ready = true;
    pod
}

#[test]
fn adding_a_pod_moves_no_card() {
    let state = small();
    let before = build(&state);
    for name in ["aaa", "zzz"] {
        let state = upsert(&state, Object::Pod(Arc::new(pod(name, "node-02"))));
        let after = Scene::build(&state, &SceneOptions::default(), Some(&before));
        assert_complete(&state, &after);
        for (target, rect) in places(&before) {
            assert_eq!(after.find(&target).map(|item| item.rect), Some(rect), "{target}");
        }
    }
}

#[test]
fn a_new_service_takes_a_free_place() {
    let state = small();
    let key = Key::new("shop", "cart");
    let service = state.services().get(&key).unwrap().as_ref().clone();
    let before = build(&state);
    let gone = Scene::build(&delete(&state, Kind::Service, &key), &SceneOptions::default(), Some(&before));
    let mut renamed = service;
    renamed.meta.key.name = "basket".into();
    let state = upsert(&delete(&state, Kind::Service, &key), Object::Service(Arc::new(renamed.clone())));
    let after = Scene::build(&state, &SceneOptions::default(), Some(&gone));
    let place = |scene: &Scene, key: &Key| scene.find(&Target::Service(key.clone())).map(|item| item.rect);
    assert_eq!(place(&after, &renamed.meta.key), place(&before, &key));
}

#[test]
fn focus_shows_every_endpoint_with_its_share() {
    let state = small();
    let before = build(&state);
    let scene = focus(&state, "svc/edge/web", Some(&before));
    let key = Key::new("edge", "web");
    let status = ServiceStatus::of(&state, state.services().get(&key).unwrap());
    let receiving = status.rows.iter().filter(|row| row.receives()).count();
    assert!(receiving > 1);
    let edges: Vec<_> =
        scene.edges().iter().filter(|edge| edge.service == key && edge.endpoints > 0).collect();
    assert!(edges.iter().all(|edge| edge.focused));
    let share: f64 = edges.iter().map(|edge| edge.share).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
    for row in &status.rows {
        let item = scene.find(&Target::Pod(row.pod.clone().unwrap())).unwrap();
        assert!(item.focused && !item.tag.is_empty(), "{}", item.title);
    }
    let sources: BTreeSet<&Target> = scene
        .edges()
        .iter()
        .filter(|edge| edge.focused && edge.endpoints == 0)
        .map(|edge| &edge.from)
        .collect();
    assert!(sources.contains(&Target::Source(SourceId::Nodes)));
    assert!(!sources.contains(&Target::Source(SourceId::Outside)), "it has no address outside");
    for (target, rect) in places(&before).into_iter().filter(|(target, _)| !matches!(target, Target::Pod(_)))
    {
        assert_eq!(
            scene.find(&target).map(|item| item.rect),
            Some(rect),
            "{target} does not move by a click"
        );
    }
}

#[test]
fn shares_are_predicted_where_kube_proxy_is_known_to_serve_them() {
    let unknown = real();
    assert!(unknown.proxy_config().is_none());
    assert!(build(&unknown).edges().iter().all(|edge| edge.basis == Basis::Configured));
    let config = load(
        "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: kube-proxy}, data: {config.conf: 'mode: nftables'}}",
    );
    let config = config.unwrap().state.proxy_config().unwrap().clone();
    let state = upsert(&unknown, Object::ProxyConfig(config));
    let mut seen = BTreeSet::new();
    for edge in build(&state).edges().iter().filter(|edge| edge.endpoints > 0) {
        let is_proxied = state.services().get(&edge.service).unwrap().is_proxied();
        let expected = if is_proxied { Basis::Predicted } else { Basis::Configured };
        assert_eq!(edge.basis, expected, "{}", edge.service);
        seen.insert(is_proxied);
    }
    assert_eq!(seen.len(), 2, "Services with and without a VIP");
}

/// What `ask` says of the first address, on the map.
fn traced(state: &ClusterState, node: &str, from: &str, to: &str) -> (Answer, Path) {
    let (from, to) = (from.parse::<names::Source>().unwrap(), to.parse().unwrap());
    let question = Question { node: node.into(), mode: None, from: from.clone(), to, protocol: None };
    let Reply::Answers(answers) = ask(state, &question).unwrap() else { panic!("no VIP") };
    let path = Path::of(state, &from, &answers[0]).unwrap();
    (answers[0].clone(), path)
}

fn with_path(state: &ClusterState, path: &Path, previous: Option<&Scene>) -> Scene {
    Scene::build(state, &SceneOptions { path: Some(path.clone()), ..SceneOptions::default() }, previous)
}

#[test]
fn a_traced_packet_lights_its_way_and_nothing_else() {
    let state = small();
    let before = build(&state);
    let (answer, path) = traced(&state, "node-01", "external", "svc/edge/web");
    let scene = with_path(&state, &path, Some(&before));
    assert_tidy(&scene);
    assert!(answer.outcomes.len() > 1 && path.ends.len() == answer.outcomes.len());
    let key = Key::new("edge", "web");
    let on: Vec<_> = scene.edges().iter().filter(|edge| edge.path == PathRole::On).collect();
    assert!(on.iter().all(|edge| edge.service == key && edge.basis == Basis::Predicted && edge.focused));
    let sources: Vec<&Target> = on.iter().filter(|edge| edge.endpoints == 0).map(|edge| &edge.from).collect();
    assert_eq!(sources, [&Target::Source(SourceId::Outside)], "though it is not open to the outside");
    let shares: f64 = on.iter().filter(|edge| edge.endpoints > 0).map(|edge| edge.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    for (end, [part, whole]) in &path.ends {
        let item = scene.find(end).unwrap();
        assert_eq!((item.path, &*item.tag), (PathRole::On, &*format!("{part}/{whole}")));
        assert_eq!(&*on.iter().find(|edge| edge.to == *end).unwrap().label, &*item.tag);
    }
    let lit = scene.items().iter().filter(|item| item.path == PathRole::On);
    assert_eq!(lit.count(), path.ends.len() + 2, "the source, the Service and its endpoints");
    let frames = scene.items().iter().filter(|item| matches!(item.kind, ItemKind::Island | ItemKind::Node));
    assert!(frames.into_iter().all(|item| item.path == PathRole::None));
    assert!(scene.edges().iter().all(|edge| edge.path != PathRole::None));
    for (target, rect) in places(&before).into_iter().filter(|(target, _)| !matches!(target, Target::Pod(_)))
    {
        assert_eq!(scene.find(&target).map(|item| item.rect), Some(rect), "{target} does not move");
    }
}

#[test]
fn what_is_refused_stops_at_the_vip() {
    let rows = [
        ("svc/default/kubernetes", "refused"),
        ("svc/default/nginx-service", "refused"),
        ("10.96.0.1:9", "no rule matches"),
    ];
    let state = real();
    let node = state.nodes().keys().next().unwrap().name.clone();
    for (to, stop) in rows {
        let (answer, path) = traced(&state, &node, &format!("node/{node}"), to);
        let scene = with_path(&state, &path, None);
        let service = scene.find(&Target::Service(path.service.clone())).unwrap();
        let found = (service.path, &*service.subtitle, path.ends.len());
        assert_eq!(found, (PathRole::Stop, stop, 0), "{to}: {:?}", answer.outcomes[0].reason);
        let labels: Vec<&str> =
            scene.edges().iter().map(|edge| &*edge.label).filter(|label| !label.is_empty()).collect();
        assert_eq!(labels, [stop], "{to}: on the way to the VIP");
        let sender = scene.find(&Target::Node(node.clone())).unwrap();
        assert_eq!(sender.path, PathRole::On);
    }
}

#[test]
fn the_way_from_a_pod_lights_the_pod_too_and_a_filter_can_hide_it_all() {
    let state = small();
    let pod = state.pods().values().find(|pod| &*pod.meta.key.namespace == "edge").unwrap();
    let from = format!("pod/{}", pod.meta.key);
    let (_, path) = traced(&state, pod.node.as_ref().unwrap(), &from, "svc/edge/web");
    let scene = with_path(&state, &path, None);
    assert_eq!(scene.find(&Target::Pod(pod.meta.key.clone())).unwrap().path, PathRole::On);
    assert_eq!(scene.find(&Target::Source(SourceId::Pods("edge".into()))).unwrap().path, PathRole::On);
    let namespaces = BTreeSet::from([Text::from("shop")]);
    let options = SceneOptions { namespaces, path: Some(path), ..SceneOptions::default() };
    let scene = Scene::build(&state, &options, None);
    assert!(scene.items().iter().all(|item| item.path == PathRole::None), "its Service is not shown");
}

#[test]
fn an_expanded_node_shows_all_its_pods() {
    let state = small();
    let expanded = BTreeSet::from([Text::from("node-01")]);
    let scene = Scene::build(&state, &SceneOptions { expanded, ..SceneOptions::default() }, None);
    assert_tidy(&scene);
    let more = |node: &str| {
        scene.items().iter().any(|item| is_more(item) && item.target == Target::Node(node.into()))
    };
    assert!(!more("node-01") && more("node-02"));
}

#[test]
fn a_namespace_filter_leaves_the_rest_out() {
    let state = small();
    let namespaces = BTreeSet::from([Text::from("shop")]);
    let scene =
        Scene::build(&state, &SceneOptions { namespaces, ..SceneOptions::default() }, Some(&build(&state)));
    assert_tidy(&scene);
    let islands: Vec<_> = scene.items().iter().filter(|item| item.kind == ItemKind::Island).collect();
    assert_eq!(islands.iter().map(|item| &*item.title).collect::<Vec<_>>(), ["shop"]);
    let foreign = scene.items().iter().any(|item| match &item.target {
        Target::Pod(key) | Target::Service(key) => &*key.namespace != "shop",
        _ => false,
    });
    assert!(!foreign);
}

#[test]
fn arrows_walk_from_source_to_pod_and_back() {
    let state = small();
    let scene = focus(&state, "svc/edge/web", None);
    let service: Target = "svc/edge/web".parse().unwrap();
    let pod = scene.neighbour(&service, Direction::Right).unwrap();
    assert!(matches!(pod, Target::Pod(_)), "{pod}");
    assert_eq!(scene.neighbour(&pod, Direction::Left), Some(service.clone()));
    let source = scene.neighbour(&service, Direction::Left).unwrap();
    assert!(matches!(source, Target::Source(_)), "{source}");
    let below = scene.neighbour(&source, Direction::Down).unwrap();
    let height = |target: &Target| scene.find(target).unwrap().rect.y;
    assert!(height(&below) > height(&source));
    assert_eq!(scene.neighbour(&Target::Node("gone".into()), Direction::Up), None);
}

#[test]
fn cards_say_where_a_service_is_or_what_is_wrong() {
    use Health::{Degraded, Failing, Ok, Unknown};
    let rows = [
        ("default/apache-http-service", Ok, "10.96.136.190:8080", ""),
        ("default/headless", Ok, "headless · 4 names", ""),
        ("default/kubernetes", Failing, "no endpoints, no selector", "no endpoints, no selector"),
        ("default/nginx-service", Failing, "selector matches nothing", "selector matches nothing"),
        ("shop/cart", Ok, "10.96.92.120", ""),
        ("shop/cart-lb", Ok, "lb 203.0.113.77:80", ""),
        ("shop/cart-local", Ok, "10.96.224.158:80 · Local", ""),
        ("shop/cart-np", Ok, "node port 32664", ""),
        ("shop/ext-db", Ok, "10.96.242.157:80", ""),
        ("shop/hl-manual", Degraded, "headless · 2 names", "1 of 2 endpoints not ready"),
        ("shop/my-db", Unknown, "CNAME db.example.com", ""),
        ("shop/sick", Failing, "no ready endpoint", "no ready endpoint"),
        ("shop/wrong-port", Failing, "target port htpp is on no pod", "target port htpp is on no pod"),
    ];
    let scene = build(&real());
    for (service, health, subtitle, problem) in rows {
        let item = scene.find(&format!("svc/{service}").parse().unwrap()).unwrap();
        assert_eq!((item.health, &*item.subtitle, &*item.problem), (health, subtitle, problem), "{service}");
    }
}

#[test]
fn pods_without_a_node_have_a_panel_of_their_own() {
    let mut lost = pod("lost", "x");
    (lost.node, lost.ready, lost.phase) = (None, false, PodPhase::Pending);
    let state = upsert(&small(), Object::Pod(Arc::new(lost)));
    let scene = build(&state);
    let panel = scene.find(&Target::Node(NO_NODE.into())).unwrap();
    let row = scene.find(&"pod/shop/lost".parse().unwrap()).unwrap();
    assert!(contains(panel.rect, row.rect));
    assert_eq!((row.health, &*row.tag), (Health::Failing, "not ready"));
    assert_tidy(&scene);
}

/// Removes or brings back objects at random.
fn churn(full: &ClusterState, state: &ClusterState, random: &mut Random) -> ClusterState {
    let kind = if random.once_in(2) { Kind::Service } else { Kind::Pod };
    let refs = full.refs(kind);
    let object = &refs[random.below(refs.len())];
    let held = match kind {
        Kind::Service => state.services().contains(&object.key),
        _ => state.pods().contains(&object.key),
    };
    let mut next = state.clone();
    let change = match (held, kind) {
        (true, _) => Change::Delete(object.clone()),
        (false, Kind::Service) => {
            Change::Upsert(Object::Service(full.services().get(&object.key).unwrap().clone()))
        }
        (false, _) => Change::Upsert(Object::Pod(full.pods().get(&object.key).unwrap().clone())),
    };
    assert!(next.apply(&change).is_changed());
    next
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scenes_stay_tidy_and_complete_whatever_happens(seed: u64, focused in 0usize..14) {
        let full = small();
        let mut random = Random(seed);
        let key = full.services().keys().nth(focused).cloned().unwrap();
        let options = SceneOptions { focus: Some(Target::Service(key)), ..SceneOptions::default() };
        let mut state = full.clone();
        let mut scene = build(&state);
        for step in 0..30 {
            state = churn(&full, &state, &mut random);
            let options = if step % 3 == 0 { options.clone() } else { SceneOptions::default() };
            scene = Scene::build(&state, &options, Some(&scene));
            assert_tidy(&scene);
            assert_complete(&state, &scene);
        }
    }
}
