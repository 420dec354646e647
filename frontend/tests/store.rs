//! The store's laws, in WebAssembly as in the browser: deltas in order, gaps lead to a resync and change nothing, the
//! state equals a later snapshot, silence makes the connection stale.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use vipscope_frontend::api::{Connection, Ending, Patience, backoff_ms};
use vipscope_frontend::changes::Tone;
use vipscope_frontend::store::{Clock, RECENT_CHANGES, Received, ResyncReason, StoreState};
use vipscope_shared::api::{ClusterInfo, SnapshotResponse, SourceKind, StreamMessage};
use vipscope_shared::delta::{Change, Delta, Object, Revision, Snapshot};
use vipscope_shared::model::{ClusterState, Key, Keyed, Kind, ObjectRef, Pod, PodPhase, Service};
use vipscope_shared::scene::Target;
use wasm_bindgen_test::wasm_bindgen_test;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn revision(number: u64) -> Revision {
    Revision { epoch: "e1".into(), number }
}

fn pod(name: &str, ready: bool) -> Change {
    let mut pod = Pod::named(Key::new("shop", name));
    pod.phase = PodPhase::Running;
    pod.ready = ready;
    Change::Upsert(Object::Pod(Arc::new(pod)))
}

fn service(name: &str) -> Change {
    Change::Upsert(Object::Service(Arc::new(Service::named(Key::new("shop", name)))))
}

fn delete(kind: Kind, name: &str) -> Change {
    Change::Delete(ObjectRef { kind, key: Key::new("shop", name) })
}

fn delta(number: u64, changes: Vec<Change>) -> StreamMessage {
    StreamMessage::Delta(Delta { revision: revision(number), time: at(number as i64), changes })
}

fn heartbeat(number: u64) -> StreamMessage {
    StreamMessage::Heartbeat { time: at(100), revision: revision(number) }
}

fn snapshot(number: u64, state: ClusterState) -> SnapshotResponse {
    let cluster =
        ClusterInfo { source: SourceKind::Sandbox, name: "sandbox".into(), context: None, server: None };
    SnapshotResponse { cluster, snapshot: Snapshot { revision: revision(number), time: at(0), state } }
}

fn store_at(number: u64) -> StoreState {
    let mut store = StoreState::default();
    store.reset(snapshot(number, ClusterState::default()));
    store
}

#[wasm_bindgen_test]
fn deltas_apply_in_order() {
    let mut store = store_at(7);
    assert_eq!(store.receive(&delta(8, vec![service("cart"), pod("cart-a", false)])), Received::Changed);
    assert_eq!(store.receive(&delta(9, vec![pod("cart-a", true)])), Received::Changed);
    assert_eq!(store.revision, Some(revision(9)));
    assert!(store.state.pods().get(&Key::new("shop", "cart-a")).unwrap().ready);
}

#[wasm_bindgen_test]
fn a_delta_that_is_already_in_changes_nothing() {
    let mut store = store_at(7);
    assert_eq!(store.receive(&delta(7, vec![service("late")])), Received::Unchanged);
    assert!(store.state.services().is_empty());
    assert_eq!(store.revision, Some(revision(7)));
}

#[wasm_bindgen_test]
fn a_gap_asks_for_a_resync_and_leaves_the_state() {
    let mut store = store_at(7);
    let gap = ResyncReason::Gap { have: 7, got: 9 };
    assert_eq!(store.receive(&delta(9, vec![service("cart")])), Received::Resync(gap));
    assert!(store.state.services().is_empty());
    assert_eq!(store.revision, Some(revision(7)));
}

#[wasm_bindgen_test]
fn another_process_asks_for_a_resync() {
    let mut store = store_at(7);
    let other = Revision { epoch: "e2".into(), number: 8 };
    let delta =
        StreamMessage::Delta(Delta { revision: other.clone(), time: at(1), changes: vec![service("x")] });
    assert_eq!(store.receive(&delta), Received::Resync(ResyncReason::Epoch));
    let beat = StreamMessage::Heartbeat { time: at(1), revision: other };
    assert_eq!(store.receive(&beat), Received::Resync(ResyncReason::Epoch));
}

#[wasm_bindgen_test]
fn nothing_before_a_snapshot() {
    let mut store = StoreState::default();
    assert_eq!(store.receive(&delta(1, vec![service("x")])), Received::Resync(ResyncReason::NoSnapshot));
    assert_eq!(store.receive(&heartbeat(1)), Received::Resync(ResyncReason::NoSnapshot));
}

#[wasm_bindgen_test]
fn a_heartbeat_may_overtake_deltas_but_not_lose_them() {
    let mut store = store_at(7);
    assert_eq!(store.receive(&heartbeat(8)), Received::Unchanged);
    assert_eq!(store.receive(&delta(8, vec![service("cart")])), Received::Changed);
    assert_eq!(store.receive(&heartbeat(9)), Received::Unchanged);
    let lost = ResyncReason::Gap { have: 8, got: 9 };
    assert_eq!(store.receive(&heartbeat(9)), Received::Resync(lost));
}

#[wasm_bindgen_test]
fn the_server_can_ask_for_a_resync() {
    let mut store = store_at(7);
    let asked = StreamMessage::Resync { reason: "too slow".into() };
    assert_eq!(store.receive(&asked), Received::Resync(ResyncReason::Asked("too slow".into())));
}

#[wasm_bindgen_test]
fn snapshot_and_deltas_equal_a_later_snapshot() {
    let steps: Vec<Vec<Change>> = vec![
        vec![service("cart"), pod("cart-a", false)],
        vec![pod("cart-a", true), pod("cart-b", true)],
        vec![delete(Kind::Pod, "cart-a"), service("web")],
        vec![delete(Kind::Service, "cart"), pod("cart-b", false), pod("cart-c", true)],
    ];
    for start in 0..steps.len() {
        let mut server = ClusterState::default();
        for change in steps[..start].iter().flatten() {
            let _ = server.apply(change);
        }
        // Over the wire and back, as the browser gets it.
        let wire = serde_json::to_string(&snapshot(start as u64, server.clone())).unwrap();
        let mut store = StoreState::default();
        store.reset(serde_json::from_str(&wire).unwrap());
        for (index, changes) in steps.iter().enumerate().skip(start) {
            for change in changes {
                let _ = server.apply(change);
            }
            let wire = serde_json::to_string(&delta(index as u64 + 1, changes.clone())).unwrap();
            assert_eq!(store.receive(&serde_json::from_str(&wire).unwrap()), Received::Changed);
            assert_eq!(*store.state, server, "from {start}, after {index}");
        }
    }
}

#[wasm_bindgen_test]
fn recent_changes_say_what_happened() {
    let mut store = store_at(0);
    let _ = store.receive(&delta(1, vec![service("cart"), pod("cart-a", true)]));
    let _ = store.receive(&delta(2, vec![pod("cart-a", false)]));
    let _ = store.receive(&delta(3, vec![delete(Kind::Pod, "cart-a")]));
    let lines: Vec<(Tone, &str)> = store.recent.iter().map(|one| (one.tone, one.what.as_str())).collect();
    let expected = [
        (Tone::Notable, "added"),
        (Tone::Notable, "added"),
        (Tone::Bad, "is no longer ready"),
        (Tone::Bad, "deleted"),
    ];
    assert_eq!(lines, expected);
    let target = Target::Pod(Key::new("shop", "cart-a"));
    assert_eq!(store.recent.iter().filter(|change| change.concerns(&target)).count(), 3);
    assert_eq!(store.recent[2].time, at(2));
}

#[wasm_bindgen_test]
fn recent_changes_are_bounded() {
    let mut store = store_at(0);
    for number in 1..=(RECENT_CHANGES as u64 + 50) {
        let _ = store.receive(&delta(number, vec![service(&format!("s{number}"))]));
    }
    assert_eq!(store.recent.len(), RECENT_CHANGES);
    let newest = store.recent.back().unwrap().object.clone().unwrap();
    assert_eq!(&*newest.key.name, format!("s{}", RECENT_CHANGES + 50).as_str());
    assert_eq!(store.state.services().values().count(), RECENT_CHANGES + 50);
    assert!(store.state.services().values().all(|service| &**service.namespace() == "shop"));
}

#[wasm_bindgen_test]
fn the_clock_learns_the_servers_time() {
    let mut clock = Clock::default();
    // Our clock is 60 s ahead; the fastest message takes 20 ms.
    let ours = |sent: i64, way_ms: i64| at(sent + 60) + SignedDuration::from_millis(way_ms);
    clock.hear(at(0), ours(0, 120));
    clock.hear(at(5), ours(5, 20));
    clock.hear(at(10), ours(10, 55));
    assert_eq!(clock.behind_ms, Some(35));
    assert_eq!(clock.heard, Some(at(10)));
    let now = clock.server_now(ours(12, 20));
    assert_eq!(now, at(12));
}

#[wasm_bindgen_test]
fn silence_makes_the_picture_stale_since_it_was_last_heard() {
    let mut patience = Patience::default();
    patience.took_snapshot();
    patience.heard();
    let wait = patience.after(&Ending::Silent, 0.5);
    assert!((250..=500).contains(&wait), "{wait}");
    let connection = patience.connection(&Ending::Silent, Some(at(3)));
    assert_eq!(connection, Connection::Reconnecting { since: at(3), attempt: 2 });
    assert!(!patience.needs_snapshot(), "the stream can go on after the revision that is there");
    for _ in 0..3 {
        let ending = Ending::Unreachable("refused".to_owned());
        let _ = patience.after(&ending, 0.5);
        let _ = patience.connection(&ending, Some(at(3)));
    }
    let lost = patience.connection(&Ending::Lost, Some(at(9)));
    assert!(matches!(&lost, Connection::Disconnected { since, .. } if *since == at(3)), "{lost:?}");
    patience.heard();
    let _ = patience.after(&Ending::Lost, 0.0);
    let again = patience.connection(&Ending::Lost, Some(at(20)));
    assert_eq!(again, Connection::Reconnecting { since: at(20), attempt: 2 });
}

#[wasm_bindgen_test]
fn a_resync_is_at_once_but_not_a_stampede() {
    let mut patience = Patience::default();
    patience.took_snapshot();
    patience.heard();
    assert_eq!(patience.after(&Ending::Resync, 0.9), 0);
    assert!(patience.needs_snapshot());
    patience.took_snapshot();
    assert!(patience.after(&Ending::Resync, 0.9) >= 250, "a stream that only asks for resyncs has to wait");
}

#[wasm_bindgen_test]
fn back_off_doubles_to_ten_seconds_with_jitter() {
    let rows = [(0, 250, 500), (1, 500, 1000), (2, 1000, 2000), (5, 5000, 10_000), (4_000, 5000, 10_000)];
    for (failures, least, most) in rows {
        assert_eq!(backoff_ms(failures, 0.0), least);
        let late = backoff_ms(failures, 0.999_999);
        assert!(late > least && late <= most, "{failures}: {late}");
    }
}
