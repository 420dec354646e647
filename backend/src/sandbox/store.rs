//! Storage: every object by type and key, one increasing revision for all types, and per type a log of recent events.
//!
//! Invariants: a revision belongs to one write; an object's `metadata.resourceVersion` is the revision that wrote it;
//! the log of a type holds every event after its horizon. All writes happen in [`Store::write`], one at a time, and are
//! seen by watchers as a whole. Rules about objects are not here: see `objects`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use vipscope_shared::admission::allocation::{Allocations, Families};
use vipscope_shared::model::Key;

use super::chance::Chance;
use super::clock::Clock;
use super::managed::Tracking;
use super::object::{self, Object};
use super::resources::{RESOURCES, Type};

/// Events kept per type. A watcher that is further behind has to list again.
const HISTORY: usize = 4096;

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    pub revision: u64,
    pub resource: Type,
    pub key: Key,
    /// The state before; absent if the object was created.
    pub before: Option<Object>,
    /// The state after; absent if it was deleted.
    pub after: Option<Object>,
    /// The last state of a deleted object, with the revision of its deletion.
    gone: Option<Object>,
    json: OnceLock<Bytes>,
}

impl Event {
    /// The object that a watcher is shown.
    pub fn object(&self) -> &Object {
        // One of the two is always there.
        self.after.as_ref().or(self.gone.as_ref()).or(self.before.as_ref()).unwrap_or(&NOTHING)
    }

    /// [`Event::object`] as JSON, made once for all watchers.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| serde_json::to_vec(self.object()).unwrap_or_default().into())
    }
}

static NOTHING: std::sync::LazyLock<Object> = std::sync::LazyLock::new(|| Arc::new(Value::Null));

/// What was asked for is older than what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest revision that can be asked for.
    pub oldest: u64,
}

/// The objects of one type.
#[derive(Debug)]
struct Table {
    objects: BTreeMap<Key, Object>,
    log: VecDeque<Arc<Event>>,
    /// Events up to this revision are forgotten.
    horizon: u64,
}

#[derive(Debug)]
struct Inner {
    tables: Vec<Table>,
    revision: u64,
    chance: Chance,
    allocations: Allocations,
    by_uid: HashMap<String, (Type, Key)>,
    /// Objects by the uid of each of their owners.
    dependents: HashMap<String, BTreeSet<(Type, Key)>>,
}

/// See the module. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
    pub clock: Clock,
}

impl Store {
    /// An empty store whose first write gets the revision after `revision`.
    pub fn new(revision: u64, seed: u64, clock: Clock, families: Families) -> Store {
        let table = || Table { objects: BTreeMap::new(), log: VecDeque::new(), horizon: revision };
        let inner = Inner {
            tables: RESOURCES.iter().map(|_| table()).collect(),
            revision,
            chance: Chance::new(seed),
            allocations: Allocations::new(families),
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
        };
        Store { inner: Mutex::new(inner), revision: watch::Sender::new(revision), clock }
    }

    /// Runs `work` with exclusive access. What it wrote stays even if it answers an error: check first, then write.
    pub fn write<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut inner = self.lock();
        let before = inner.revision;
        let result = work(&mut Transaction::new(&mut inner, self.clock, Mode::Wet));
        let after = inner.revision;
        drop(inner);
        if after != before {
            // Writers may get here in another order than they wrote in: never go back.
            self.revision.send_if_modified(|seen| {
                let newer = after > *seen;
                *seen = after.max(*seen);
                newer
            });
        }
        result
    }

    /// Runs `work` as if it wrote, without writing.
    pub fn dry_run<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        let mut inner = self.lock();
        work(&mut Transaction::new(&mut inner, self.clock, Mode::Dry))
    }

    pub fn get(&self, resource: Type, key: &Key) -> Option<Object> {
        self.lock().tables[resource as usize].objects.get(key).cloned()
    }

    /// The objects after `start` (all if `None`), as they were at `revision` (now if `None`), with the revision.
    pub fn list(
        &self,
        resource: Type,
        namespace: &str,
        start: Option<&Key>,
        revision: Option<u64>,
    ) -> Result<(Vec<Object>, u64), Compacted> {
        let inner = self.lock();
        let table = &inner.tables[resource as usize];
        let revision = revision.unwrap_or(inner.revision);
        if revision < table.horizon {
            return Err(Compacted { oldest: table.horizon });
        }
        let from = match start {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Included(Key::new(namespace, "")),
        };
        let inside = |key: &Key| namespace.is_empty() || *key.namespace == *namespace;
        let now = table.objects.range((from.clone(), Bound::Unbounded));
        let now = now.take_while(|(key, _)| inside(key));
        let later = table.log.partition_point(|event| event.revision <= revision);
        if later == table.log.len() {
            return Ok((now.map(|(_, object)| object.clone()).collect(), revision));
        }
        let mut then: BTreeMap<&Key, &Object> = now.collect();
        let undone = table.log.range(later..).rev();
        for event in undone.filter(|event| inside(&event.key) && start.is_none_or(|start| event.key > *start))
        {
            match &event.before {
                Some(before) => then.insert(&event.key, before),
                None => then.remove(&event.key),
            };
        }
        Ok((then.into_values().cloned().collect(), revision))
    }

    /// Up to `limit` events of one type after `revision`, and the revision up to which there are no others.
    pub fn events_after(
        &self,
        resource: Type,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Compacted> {
        let inner = self.lock();
        let table = &inner.tables[resource as usize];
        if revision < table.horizon {
            return Err(Compacted { oldest: table.horizon });
        }
        let from = table.log.partition_point(|event| event.revision <= revision);
        let events: Vec<_> = table.log.range(from..).take(limit).cloned().collect();
        let whole = from + events.len() == table.log.len();
        let seen = match events.last() {
            Some(last) if !whole => last.revision,
            _ => inner.revision.max(revision),
        };
        Ok((events, seen))
    }

    /// All events of all types after `revision`, in order.
    pub fn all_events_after(&self, revision: u64) -> Result<Vec<Arc<Event>>, Compacted> {
        let inner = self.lock();
        if let Some(oldest) = inner.tables.iter().map(|table| table.horizon).filter(|h| *h > revision).max() {
            return Err(Compacted { oldest });
        }
        let later = |table: &'_ Table| table.log.partition_point(|event| event.revision <= revision);
        let mut events: Vec<_> =
            inner.tables.iter().flat_map(|table| table.log.range(later(table)..).cloned()).collect();
        events.sort_by_key(|event| event.revision);
        Ok(events)
    }

    /// Every object of every type, and the revision at which that is so.
    pub fn everything(&self) -> (Vec<(Type, Object)>, u64) {
        let inner = self.lock();
        let of_type = |info: &super::resources::Resource| {
            let table = &inner.tables[info.resource as usize];
            table.objects.values().map(|object| (info.resource, object.clone())).collect::<Vec<_>>()
        };
        (RESOURCES.iter().flat_map(of_type).collect(), inner.revision)
    }

    /// Forgets all history: who watches from an older revision has to list again.
    pub fn compact(&self) {
        let mut inner = self.lock();
        let revision = inner.revision;
        for table in &mut inner.tables {
            table.log.clear();
            table.horizon = revision;
        }
    }

    /// The newest revision; changes with every write.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exclusive access to the store.
#[derive(Debug)]
pub struct Transaction<'a> {
    inner: &'a mut Inner,
    pub clock: Clock,
    mode: Mode,
    /// Whose writes these are.
    pub tracking: Tracking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Wet,
    /// Nothing is stored.
    Dry,
}

impl<'a> Transaction<'a> {
    fn new(inner: &'a mut Inner, clock: Clock, mode: Mode) -> Transaction<'a> {
        Transaction { inner, clock, mode, tracking: Tracking::Off }
    }
}

impl Transaction<'_> {
    pub fn get(&self, resource: Type, key: &Key) -> Option<&Object> {
        self.inner.tables[resource as usize].objects.get(key)
    }

    pub fn is_dry_run(&self) -> bool {
        self.mode == Mode::Dry
    }

    pub fn chance(&mut self) -> &mut Chance {
        &mut self.inner.chance
    }

    /// Starts the randomness again.
    pub fn reseed(&mut self, seed: u64) {
        self.inner.chance = Chance::new(seed);
    }

    /// The addresses and node ports that Services hold, and dice to choose new ones.
    pub fn allocations(&mut self) -> (&Allocations, &mut Chance) {
        (&self.inner.allocations, &mut self.inner.chance)
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<(Type, &Object)> {
        let (resource, key) = self.inner.by_uid.get(uid)?;
        Some((*resource, self.get(*resource, key)?))
    }

    /// What names the object with this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<(Type, Key)> {
        self.inner.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    pub fn count(&self, resource: Type) -> usize {
        self.inner.tables[resource as usize].objects.len()
    }

    pub fn keys(&self, resource: Type, namespace: &str) -> Vec<Key> {
        let keys = self.inner.tables[resource as usize].objects.keys();
        keys.filter(|key| namespace.is_empty() || *key.namespace == *namespace).cloned().collect()
    }

    /// Stores `object`, new or in place of the old one, under a new revision.
    pub fn put(&mut self, resource: Type, mut object: Value) -> Object {
        if self.is_dry_run() {
            return Arc::new(object);
        }
        self.inner.revision += 1;
        let revision = self.inner.revision;
        object::metadata(&mut object).insert("resourceVersion".into(), revision.to_string().into());
        let key = object::key(&object);
        let object = Arc::new(object);
        let before = self.inner.tables[resource as usize].objects.insert(key.clone(), object.clone());
        self.inner.reindex(resource, &key, before.as_ref(), Some(&object));
        let event = Event {
            revision,
            resource,
            key,
            before,
            after: Some(object.clone()),
            gone: None,
            json: OnceLock::new(),
        };
        self.inner.record(event);
        object
    }

    /// Removes an object and answers its last state, which carries the revision of the removal.
    pub fn remove(&mut self, resource: Type, key: &Key) -> Option<Object> {
        if self.is_dry_run() {
            return self.get(resource, key).cloned();
        }
        let before = self.inner.tables[resource as usize].objects.remove(key)?;
        self.inner.revision += 1;
        let revision = self.inner.revision;
        self.inner.reindex(resource, key, Some(&before), None);
        let mut last = (*before).clone();
        object::metadata(&mut last).insert("resourceVersion".into(), revision.to_string().into());
        let gone = Arc::new(last);
        let event = Event {
            revision,
            resource,
            key: key.clone(),
            before: Some(before),
            after: None,
            gone: Some(gone.clone()),
            json: OnceLock::new(),
        };
        self.inner.record(event);
        Some(gone)
    }
}

impl Inner {
    fn record(&mut self, event: Event) {
        let table = &mut self.tables[event.resource as usize];
        table.log.push_back(Arc::new(event));
        if table.log.len() > HISTORY
            && let Some(oldest) = table.log.pop_front()
        {
            table.horizon = oldest.revision;
        }
    }

    fn reindex(&mut self, resource: Type, key: &Key, before: Option<&Object>, after: Option<&Object>) {
        if let Some(before) = before {
            self.by_uid.remove(object::uid(before));
            for owner in object::owners(before) {
                if let Some(set) = self.dependents.get_mut(owner) {
                    set.remove(&(resource, key.clone()));
                    if set.is_empty() {
                        self.dependents.remove(owner);
                    }
                }
            }
        }
        if let Some(after) = after {
            self.by_uid.insert(object::uid(after).to_owned(), (resource, key.clone()));
            for owner in object::owners(after) {
                let set = self.dependents.entry(owner.to_owned()).or_default();
                set.insert((resource, key.clone()));
            }
        }
        if resource == Type::Services {
            self.allocations.replace(key, after.map(Arc::as_ref));
        }
    }
}
