//! Snapshots and deltas for readers. One [`Writer`], any number of [`Cursor`]s.
//!
//! A delta is kept once in a ring and serialised once, when its first reader asks. Readers hold a position in the ring and
//! no buffer of their own: one that is slow or frozen costs nothing, delays nobody, and is told to resync once the ring
//! has moved past it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use vipscope_shared::api::{ClusterInfo, SnapshotResponse, StreamMessage};
use vipscope_shared::delta::{Change, Delta, Revision, Snapshot};
use vipscope_shared::model::ClusterState;

/// How much the ring keeps: whichever bound is reached first.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub deltas: usize,
    /// Changes in all deltas together; an object is counted each time that it changes.
    pub changes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { deltas: 4096, changes: 50_000 }
    }
}

/// A delta and, once somebody has asked, its bytes on the wire.
#[derive(Debug)]
struct Entry {
    delta: Delta,
    json: OnceLock<Utf8Bytes>,
}

impl Entry {
    fn json(&self) -> Utf8Bytes {
        let message = || serde_json::to_string(&StreamMessage::Delta(self.delta.clone())).unwrap_or_default();
        self.json.get_or_init(|| message().into()).clone()
    }
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<Entry>>,
    changes: usize,
}

#[derive(Debug)]
struct Shared {
    cluster: ClusterInfo,
    limits: Limits,
    snapshot: RwLock<Snapshot>,
    ring: Mutex<Ring>,
    /// Number of the newest revision.
    head: watch::Sender<u64>,
    /// The newest snapshot that somebody asked for, as bytes.
    bytes: Mutex<Option<(Revision, Bytes)>>,
}

/// The readers' end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

/// The one writer's end. Not `Clone`.
#[derive(Debug)]
pub struct Writer(Arc<Shared>);

/// The ring no longer holds what the reader needs next: take a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Resync {
    #[error("the server has restarted since revision {0}")]
    OtherEpoch(Revision),
    #[error("revision {after} is too old: the oldest that can be continued from is {oldest}")]
    TooOld { after: Revision, oldest: u64 },
    #[error("revision {after} is newer than this server's {head}")]
    Future { after: Revision, head: u64 },
}

/// A feed that starts empty at `EPOCH-0`. `epoch` must differ between processes and hold only `[a-z0-9]`.
pub fn channel(cluster: ClusterInfo, epoch: &str, limits: Limits, now: Timestamp) -> (Writer, Feed) {
    let revision = Revision { epoch: epoch.into(), number: 0 };
    let shared = Arc::new(Shared {
        cluster,
        limits,
        snapshot: RwLock::new(Snapshot { revision, time: now, state: ClusterState::default() }),
        ring: Mutex::default(),
        head: watch::Sender::new(0),
        bytes: Mutex::default(),
    });
    (Writer(shared.clone()), Feed(shared))
}

impl Writer {
    /// Reads the state that the next [`Writer::commit`] starts from.
    pub fn read<T>(&self, read: impl FnOnce(&ClusterState) -> T) -> T {
        self.0.read(|snapshot| read(&snapshot.state))
    }

    /// Applies the changes and publishes those that changed something as one delta; `None` if none did.
    pub fn commit(&mut self, changes: Vec<Change>, now: Timestamp) -> Option<Revision> {
        let delta = {
            let mut snapshot = self.0.snapshot.write().unwrap_or_else(PoisonError::into_inner);
            let state = &mut snapshot.state;
            let changes: Vec<Change> =
                changes.into_iter().filter(|change| state.apply(change).is_changed()).collect();
            if changes.is_empty() {
                return None;
            }
            snapshot.revision = snapshot.revision.next();
            snapshot.time = now;
            let delta = Delta { revision: snapshot.revision.clone(), time: now, changes };
            // Under the same lock as the state, so that a snapshot's revision is always in the ring or its head.
            self.0.push(delta.clone());
            delta
        };
        self.0.head.send_replace(delta.revision.number);
        Some(delta.revision)
    }
}

impl Shared {
    fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, delta: Delta) {
        let mut ring = self.ring();
        ring.changes += delta.changes.len();
        ring.entries.push_back(Arc::new(Entry { delta, json: OnceLock::new() }));
        while ring.entries.len() > self.limits.deltas
            || (ring.changes > self.limits.changes && ring.entries.len() > 1)
        {
            let dropped = ring.entries.pop_front().map_or(0, |entry| entry.delta.changes.len());
            ring.changes -= dropped;
        }
    }
}

impl Feed {
    pub fn cluster(&self) -> &ClusterInfo {
        &self.0.cluster
    }

    pub fn revision(&self) -> Revision {
        self.0.read(|snapshot| snapshot.revision.clone())
    }

    /// A copy of the newest state; objects are shared, not copied.
    pub fn snapshot(&self) -> Snapshot {
        self.0.read(Snapshot::clone)
    }

    /// Looks at the newest state without copying. Keep it short: the writer waits.
    pub fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        self.0.read(read)
    }

    /// The newest snapshot as JSON, serialised once per revision.
    pub fn snapshot_json(&self) -> Result<(Revision, Bytes), serde_json::Error> {
        let snapshot = self.snapshot();
        let mut cached = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, bytes)) =
            cached.as_ref().filter(|(revision, _)| *revision == snapshot.revision)
        {
            return Ok((revision.clone(), bytes.clone()));
        }
        let revision = snapshot.revision.clone();
        let response = SnapshotResponse { cluster: self.0.cluster.clone(), snapshot };
        let bytes = Bytes::from(serde_json::to_vec(&response)?);
        *cached = Some((revision.clone(), bytes.clone()));
        Ok((revision, bytes))
    }

    /// A cursor that will answer the deltas after `after`.
    pub fn subscribe(&self, after: &Revision) -> Result<Cursor, Resync> {
        let head = self.revision();
        if head.epoch != after.epoch {
            return Err(Resync::OtherEpoch(after.clone()));
        }
        if after.number > head.number {
            return Err(Resync::Future { after: after.clone(), head: head.number });
        }
        let cursor = Cursor { feed: self.clone(), at: after.clone(), head: self.0.head.subscribe() };
        cursor.peek()?;
        Ok(cursor)
    }
}

/// A reader's position.
#[derive(Debug)]
pub struct Cursor {
    feed: Feed,
    at: Revision,
    head: watch::Receiver<u64>,
}

impl Cursor {
    /// The delta after the position, if there is one already.
    fn peek(&self) -> Result<Option<Arc<Entry>>, Resync> {
        let ring = self.feed.0.ring();
        let Some(first) = ring.entries.front().map(|entry| entry.delta.revision.number) else {
            return Ok(None);
        };
        let next = self.at.number + 1;
        if next < first {
            return Err(Resync::TooOld { after: self.at.clone(), oldest: first - 1 });
        }
        Ok(ring.entries.get((next - first) as usize).cloned())
    }

    /// Waits for the next delta and answers its bytes, which are the same for every reader. Cancel-safe.
    pub async fn next(&mut self) -> Result<Utf8Bytes, Resync> {
        loop {
            if let Some(entry) = self.peek()? {
                self.at = entry.delta.revision.clone();
                return Ok(entry.json());
            }
            if self.head.changed().await.is_err() {
                // The writer is gone, and nothing will ever come.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The revision of the last delta given out.
    pub fn revision(&self) -> &Revision {
        &self.at
    }
}
