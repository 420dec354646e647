//! What the browser knows about the cluster. In: snapshots and stream messages, from [`crate::api`] alone. Out: one
//! [`ClusterState`] moved by the same code as on the server, its revision, the server's clock, and recent changes.
//!
//! [`StoreState`] is the pure part: a reducer without clock or sockets. [`Store`] wraps it in signals and repaints at most
//! once per animation frame. Invariant: the state is exactly the one that the server had at `revision`.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::AbortHandle;
use jiff::{SignedDuration, Timestamp};
use leptos::prelude::*;
use vipscope_shared::api::{ClusterInfo, SnapshotResponse, StreamMessage};
use vipscope_shared::delta::{Delta, Revision};
use vipscope_shared::model::ClusterState;

use crate::api::Connection;
use crate::changes::{RecentChange, describe};
use crate::open_file::Opened;

/// How many recent changes are kept.
pub const RECENT_CHANGES: usize = 200;

/// The cluster as known, without signals.
#[derive(Debug, Clone, Default)]
pub struct StoreState {
    pub cluster: Option<Arc<ClusterInfo>>,
    /// Shared with whoever works on it between frames: a change then leaves them what they have.
    pub state: Arc<ClusterState>,
    /// `None` until the first snapshot.
    pub revision: Option<Revision>,
    /// The newest last.
    pub recent: VecDeque<RecentChange>,
    /// The file that is shown instead of what the backend knows.
    pub opened: Option<Arc<Opened>>,
    /// A heartbeat told of this revision number before its delta came.
    announced: Option<u64>,
}

/// What a stream message did to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Changed,
    /// A heartbeat, or a delta that is already in the state.
    Unchanged,
    /// The stream can't go on from here; the state is as it was. A new snapshot is needed.
    Resync(ResyncReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResyncReason {
    /// The server said so.
    Asked(Arc<str>),
    /// A delta of this number came, but not the ones before it.
    Gap { have: u64, got: u64 },
    /// The server process is another one.
    Epoch,
    /// A delta came before any snapshot.
    NoSnapshot,
}

impl StoreState {
    /// Takes a snapshot: replaces everything but the recent changes.
    pub fn reset(&mut self, response: SnapshotResponse) {
        self.cluster = Some(Arc::new(response.cluster));
        self.state = Arc::new(response.snapshot.state);
        self.revision = Some(response.snapshot.revision);
        self.announced = None;
    }

    /// Shows a file instead: nothing of what was there before stays.
    pub fn open(&mut self, opened: Opened, response: SnapshotResponse) {
        *self = StoreState { opened: Some(Arc::new(opened)), ..StoreState::default() };
        self.reset(response);
    }

    /// Takes one message of the stream.
    pub fn receive(&mut self, message: &StreamMessage) -> Received {
        match message {
            StreamMessage::Delta(delta) => self.advance(delta),
            StreamMessage::Heartbeat { revision, .. } => self.compare(revision),
            StreamMessage::Resync { reason } => Received::Resync(ResyncReason::Asked(reason.clone())),
        }
    }

    fn advance(&mut self, delta: &Delta) -> Received {
        let Some(have) = &self.revision else { return Received::Resync(ResyncReason::NoSnapshot) };
        if have.epoch != delta.revision.epoch {
            return Received::Resync(ResyncReason::Epoch);
        }
        let (have, got) = (have.number, delta.revision.number);
        if got <= have {
            return Received::Unchanged;
        }
        if got != have + 1 {
            return Received::Resync(ResyncReason::Gap { have, got });
        }
        for change in &delta.changes {
            if let Some(recent) = describe(&self.state, change, delta.time) {
                self.remember(recent);
            }
            let _ = Arc::make_mut(&mut self.state).apply(change);
        }
        self.revision = Some(delta.revision.clone());
        Received::Changed
    }

    /// A heartbeat tells the server's revision. It may overtake a delta or two, but what one heartbeat announced has to be
    /// here by the next one, or it was lost.
    fn compare(&mut self, theirs: &Revision) -> Received {
        let Some(have) = &self.revision else { return Received::Resync(ResyncReason::NoSnapshot) };
        if have.epoch != theirs.epoch {
            return Received::Resync(ResyncReason::Epoch);
        }
        let lost = self.announced.replace(theirs.number).filter(|&announced| announced > have.number);
        match lost {
            Some(got) => Received::Resync(ResyncReason::Gap { have: have.number, got }),
            None => Received::Unchanged,
        }
    }

    fn remember(&mut self, change: RecentChange) {
        if self.recent.len() == RECENT_CHANGES {
            self.recent.pop_front();
        }
        self.recent.push_back(change);
    }
}

/// The server's clock, as well as it can be known from here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Clock {
    /// Our clock minus the server's, by the message that came fastest; includes half a round trip.
    skew: Option<SignedDuration>,
    /// When the server sent its last message, by its clock.
    pub heard: Option<Timestamp>,
    /// How late that message was, in milliseconds, against the fastest.
    pub behind_ms: Option<i64>,
}

impl Clock {
    /// Takes a message that the server sent at `sent` (its clock) and that came at `now` (ours).
    pub fn hear(&mut self, sent: Timestamp, now: Timestamp) {
        let seen = now.duration_since(sent);
        let skew = self.skew.map_or(seen, |skew| skew.min(seen));
        self.skew = Some(skew);
        self.heard = Some(sent);
        let late = seen.as_millis() - skew.as_millis();
        self.behind_ms = Some(i64::try_from(late).unwrap_or(i64::MAX));
    }

    /// The server's clock when ours says `now`.
    pub fn server_now(&self, now: Timestamp) -> Timestamp {
        self.skew.and_then(|skew| now.checked_sub(skew).ok()).unwrap_or(now)
    }
}

/// The store as components see it: cheap to copy, read through signals.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    data: RwSignal<StoreState>,
    clock: RwSignal<Clock>,
    connection: RwSignal<Connection>,
    repaint: StoredValue<bool>,
    retry: StoredValue<u64>,
    /// Ends the connection to the backend.
    feed: StoredValue<Option<AbortHandle>>,
}

impl Store {
    pub fn new() -> Store {
        Store {
            data: RwSignal::new(StoreState::default()),
            clock: RwSignal::new(Clock::default()),
            connection: RwSignal::new(Connection::Connecting { attempt: 1, problem: None }),
            repaint: StoredValue::new(false),
            retry: StoredValue::new(0),
            feed: StoredValue::new(None),
        }
    }

    /// Reads the data; the caller is run again when they change.
    pub fn with<T>(&self, read: impl FnOnce(&StoreState) -> T) -> T {
        self.data.with(read)
    }

    /// [`Store::with`] on the cluster's objects alone.
    pub fn state<T>(&self, read: impl FnOnce(&ClusterState) -> T) -> T {
        self.data.with(|data| read(&data.state))
    }

    /// Reads the data without being run again.
    pub fn peek<T>(&self, read: impl FnOnce(&StoreState) -> T) -> T {
        self.data.with_untracked(read)
    }

    pub fn connection(&self) -> Connection {
        self.connection.get()
    }

    pub fn clock(&self) -> Clock {
        self.clock.get()
    }

    /// True once a snapshot was taken.
    pub fn is_loaded(&self) -> bool {
        self.data.with(|data| data.revision.is_some())
    }

    /// When the server was last heard, by its clock; read once.
    pub(crate) fn heard(&self) -> Option<Timestamp> {
        self.clock.with_untracked(|clock| clock.heard)
    }

    /// The server's clock now, read once.
    pub fn server_now(&self) -> Timestamp {
        self.clock.with_untracked(|clock| clock.server_now(Timestamp::now()))
    }

    /// Asks the connection to try again now.
    pub fn retry_now(&self) {
        self.retry.update_value(|count| *count += 1);
    }

    pub(crate) fn retries(&self) -> u64 {
        self.retry.get_value()
    }

    pub(crate) fn set_connection(&self, connection: Connection) {
        if self.connection.with_untracked(|old| *old != connection) {
            self.connection.set(connection);
        }
    }

    pub(crate) fn reset(&self, response: SnapshotResponse) {
        self.hear(response.snapshot.time);
        self.data.update_untracked(|data| data.reset(response));
        self.schedule_repaint();
    }

    /// See [`StoreState::open`]; the clock is ours from now on.
    pub(crate) fn open(&self, opened: Opened, response: SnapshotResponse) {
        self.clock.set(Clock::default());
        self.data.update_untracked(|data| data.open(opened, response));
        self.set_connection(Connection::Live);
        self.schedule_repaint();
    }

    /// Back to knowing nothing, before a connection is made.
    pub(crate) fn clear(&self) {
        self.clock.set(Clock::default());
        self.set_connection(Connection::Connecting { attempt: 1, problem: None });
        self.data.set(StoreState::default());
    }

    /// Exchanges the handle that ends the connection.
    pub(crate) fn set_feed(&self, feed: Option<AbortHandle>) -> Option<AbortHandle> {
        let old = self.feed.get_value();
        self.feed.set_value(feed);
        old
    }

    pub(crate) fn receive(&self, message: &StreamMessage) -> Received {
        match message {
            StreamMessage::Delta(Delta { time, .. }) | StreamMessage::Heartbeat { time, .. } => {
                self.hear(*time)
            }
            StreamMessage::Resync { .. } => {}
        }
        let mut received = Received::Unchanged;
        self.data.update_untracked(|data| received = data.receive(message));
        if received == Received::Changed {
            self.schedule_repaint();
        }
        received
    }

    fn hear(&self, sent: Timestamp) {
        self.clock.update(|clock| clock.hear(sent, Timestamp::now()));
    }

    /// The state itself is always up to date, so a hidden page, which gets no frames, buffers nothing.
    fn schedule_repaint(&self) {
        if self.repaint.get_value() {
            return;
        }
        self.repaint.set_value(true);
        let store = *self;
        request_animation_frame(move || {
            store.repaint.set_value(false);
            store.data.notify();
        });
    }
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}
