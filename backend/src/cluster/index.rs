//! The single writer of the cluster's state: turns what the watches report into changes, and commits them in batches.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use tokio::sync::mpsc;
use vipscope_shared::delta::Change;
use vipscope_shared::manifest::Decoded;
use vipscope_shared::model::{ClusterState, Freshness, Key, Kind, ObjectRef, Source};

use super::feed::Writer;
use super::watch::{Scope, Update};

/// Updates that one delta takes at most: bounds the time for which readers wait.
const BATCH: usize = 500;

/// Owns the [`Writer`]; everything that changes the state goes through [`Index::commit`].
#[derive(Debug)]
pub struct Index {
    writer: Writer,
    /// Keys that the list in progress has shown, by what is being listed.
    seen: BTreeMap<(Kind, Scope), HashSet<Key>>,
    freshness: BTreeMap<(Kind, Scope), Freshness>,
}

impl Index {
    pub fn new(writer: Writer) -> Index {
        Index { writer, seen: BTreeMap::new(), freshness: BTreeMap::new() }
    }

    /// Commits updates as they come, until all senders are gone.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>) {
        let mut batch = Vec::with_capacity(BATCH);
        while updates.recv_many(&mut batch, BATCH).await > 0 {
            self.commit(batch.drain(..), Timestamp::now());
        }
    }

    /// Commits the updates as one delta, or none if nothing changed.
    pub fn commit(&mut self, updates: impl IntoIterator<Item = Update>, now: Timestamp) {
        let mut changes = Vec::new();
        for update in updates {
            // A list's end asks the state what else is there, so what came before it must be in.
            if matches!(update, Update::Listed { .. }) {
                self.writer.commit(std::mem::take(&mut changes), now);
            }
            self.translate(update, &mut changes);
        }
        self.writer.commit(changes, now);
    }

    fn translate(&mut self, update: Update, changes: &mut Vec<Change>) {
        match update {
            Update::Found { scope, decoded } => {
                let object = &decoded.object_ref;
                if let Some(seen) = self.seen.get_mut(&(object.kind, scope)) {
                    seen.insert(object.key.clone());
                }
                changes.extend(found(decoded));
            }
            Update::Gone(object) => changes.push(Change::Delete(object)),
            Update::Listing { kind, scope } => {
                self.seen.insert((kind, scope), HashSet::new());
            }
            Update::Listed { kind, scope } => {
                let seen = self.seen.remove(&(kind, scope.clone())).unwrap_or_default();
                let all = self.writer.read(|state| held(state, kind, &scope));
                let gone = all.into_iter().filter(|object| !seen.contains(&object.key));
                changes.extend(gone.map(Change::Delete));
                changes.extend(self.freshen(kind, scope, Freshness::Live));
            }
            Update::Freshness { kind, scope, freshness } => {
                changes.extend(self.freshen(kind, scope, freshness))
            }
        }
    }

    fn freshen(&mut self, kind: Kind, scope: Scope, freshness: Freshness) -> Option<Change> {
        self.freshness.insert((kind, scope), freshness);
        let of_kind = self.freshness.iter().filter(|((k, _), _)| *k == kind).map(|(_, freshness)| freshness);
        let worst = of_kind.max_by_key(|freshness| badness(freshness))?.clone();
        Some(Change::Source(Source { kind, freshness: worst }))
    }
}

/// Which of several watches of one kind speaks for the kind.
fn badness(freshness: &Freshness) -> u8 {
    match freshness {
        Freshness::Fixed => 0,
        Freshness::Live => 1,
        Freshness::Forbidden { .. } => 2,
        Freshness::Stale { .. } => 3,
        Freshness::Listing { .. } => 4,
    }
}

/// An unreadable version of an object that was good before leaves the good one in place; the fault says so.
fn found(decoded: Decoded) -> Vec<Change> {
    let fault = match decoded.fault {
        Some(fault) => Change::Fault(fault),
        None => Change::Cleared(decoded.object_ref),
    };
    decoded.object.map(Change::Upsert).into_iter().chain([fault]).collect()
}

fn held(state: &ClusterState, kind: Kind, scope: &Scope) -> Vec<ObjectRef> {
    let mut all = state.refs(kind);
    if let Scope::Namespace(namespace) = scope {
        all.retain(|object| object.key.namespace == *namespace);
    }
    all
}
