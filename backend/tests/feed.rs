//! The feed: one writer, many readers, bounded memory, resync.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::sync::Arc;

use jiff::Timestamp;
use vipscope::cluster::{Feed, Limits, Resync, Writer, feed};
use vipscope_shared::api::{ClusterInfo, SnapshotResponse, SourceKind, StreamMessage};
use vipscope_shared::delta::{Change, Object, Revision};
use vipscope_shared::model::{Key, Keyed, Pod};

fn channel(limits: Limits) -> (Writer, Feed) {
    let info = ClusterInfo { source: SourceKind::Sandbox, name: "test".into(), context: None, server: None };
    feed::channel(info, "e1", limits, Timestamp::UNIX_EPOCH)
}

fn pod(name: &str, ready: bool) -> Change {
    let mut pod = Pod::named(Key::new("shop", name));
    pod.ready = ready;
    Change::Upsert(Object::Pod(Arc::new(pod)))
}

fn commit(writer: &mut Writer, change: Change) -> Option<u64> {
    writer.commit(vec![change], Timestamp::UNIX_EPOCH).map(|revision| revision.number)
}

fn after(number: u64) -> Revision {
    Revision { epoch: "e1".into(), number }
}

#[tokio::test]
async fn deltas_come_in_order_and_the_bytes_are_shared() {
    let (mut writer, feed) = channel(Limits::default());
    let (mut one, mut two) = (feed.subscribe(&after(0)).unwrap(), feed.subscribe(&after(0)).unwrap());
    assert_eq!(commit(&mut writer, pod("a", false)), Some(1));
    assert_eq!(commit(&mut writer, pod("a", false)), None, "equal means silence");
    assert_eq!(commit(&mut writer, pod("a", true)), Some(2));
    for number in [1, 2] {
        let (first, second) = (one.next().await.unwrap(), two.next().await.unwrap());
        assert_eq!(first.as_bytes().as_ptr(), second.as_bytes().as_ptr(), "serialised once for all");
        let StreamMessage::Delta(delta) = serde_json::from_str(&first).unwrap() else { panic!("{first}") };
        assert_eq!(delta.revision, after(number));
    }
}

#[tokio::test]
async fn a_waiting_reader_is_woken() {
    let (mut writer, feed) = channel(Limits::default());
    let mut cursor = feed.subscribe(&after(0)).unwrap();
    let waiting = tokio::spawn(async move { cursor.next().await });
    tokio::task::yield_now().await;
    commit(&mut writer, pod("a", true));
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_the_ring_has_lost_is_a_resync() {
    let (mut writer, feed) = channel(Limits { deltas: 3, changes: 100 });
    let mut slow = feed.subscribe(&after(0)).unwrap();
    for n in 0..5 {
        commit(&mut writer, pod("a", n % 2 == 0));
    }
    assert_eq!(slow.next().await.unwrap_err(), Resync::TooOld { after: after(0), oldest: 2 });
    assert!(feed.subscribe(&after(1)).is_err());
    assert!(feed.subscribe(&after(2)).is_ok(), "the oldest that can be continued from");
    assert!(matches!(feed.subscribe(&after(6)).unwrap_err(), Resync::Future { .. }));
    let other = Revision { epoch: "e0".into(), number: 3 };
    assert_eq!(feed.subscribe(&other).unwrap_err(), Resync::OtherEpoch(other));
}

#[tokio::test]
async fn the_ring_is_bounded_by_changes_as_well() {
    let (mut writer, feed) = channel(Limits { deltas: 1000, changes: 10 });
    for round in 0..4 {
        let batch = (0..5).map(|n| pod(&n.to_string(), round % 2 == 0)).collect();
        writer.commit(batch, Timestamp::UNIX_EPOCH);
    }
    assert!(feed.subscribe(&after(1)).is_err());
    assert!(feed.subscribe(&after(2)).is_ok());
}

#[tokio::test]
async fn snapshots_are_serialised_once_per_revision_and_deltas_continue_them() {
    let (mut writer, feed) = channel(Limits::default());
    commit(&mut writer, pod("a", true));
    let (revision, bytes) = feed.snapshot_json().unwrap();
    assert_eq!(feed.snapshot_json().unwrap().1.as_ptr(), bytes.as_ptr());
    let mut taken: SnapshotResponse = serde_json::from_slice(&bytes).unwrap();
    commit(&mut writer, pod("b", true));
    commit(&mut writer, pod("a", false));
    let mut cursor = feed.subscribe(&revision).unwrap();
    for _ in 0..2 {
        let StreamMessage::Delta(delta) = serde_json::from_str(&cursor.next().await.unwrap()).unwrap() else {
            panic!()
        };
        assert!(delta.changes.iter().all(|change| taken.snapshot.state.apply(change).is_changed()));
    }
    assert_eq!(taken.snapshot.state, feed.snapshot().state);
    assert_eq!(
        taken.snapshot.state.pods().values().map(|pod| pod.name().to_string()).collect::<Vec<_>>(),
        ["a", "b"]
    );
}
