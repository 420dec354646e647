//! Changes: the only way a [`ClusterState`] moves, on the server and in the browser alike.
//!
//! Law: `snapshot ⊕ deltas == later snapshot`. [`ClusterState::apply`] answers whether anything changed; equal means
//! silence, so that only real changes get a revision.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    ClusterState, EndpointSlice, Endpoints, Fault, Key, Keyed, Kind, Namespace, Node, ObjectRef, Pod,
    ProxyConfig, Service, Source, Table, Text, are_in_one_place,
};

/// `EPOCH-NUMBER`. The epoch is drawn anew by every server process; numbers count its deltas from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision {
    /// Lower-case letters and digits; never contains `-`.
    pub epoch: Text,
    pub number: u64,
}

impl Revision {
    /// The revision of the next delta.
    pub fn next(&self) -> Revision {
        Revision { epoch: self.epoch.clone(), number: self.number + 1 }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

/// Not of the form `EPOCH-NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a revision: expected EPOCH-NUMBER, for example 5f3a9c-48211")]
pub struct BadRevision(pub String);

impl FromStr for Revision {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Revision, BadRevision> {
        let bad = || BadRevision(text.chars().take(80).collect());
        let (epoch, number) = text.split_once('-').ok_or_else(bad)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if epoch.is_empty() || !epoch.chars().all(plain) || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Revision { epoch: epoch.into(), number: number.parse().map_err(|_| bad())? })
    }
}

impl Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Revision, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Object {
    Namespace(Arc<Namespace>),
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    EndpointSlice(Arc<EndpointSlice>),
    Endpoints(Arc<Endpoints>),
    ProxyConfig(Arc<ProxyConfig>),
}

impl Object {
    pub fn object_ref(&self) -> ObjectRef {
        match self {
            Object::Namespace(object) => object.object_ref(),
            Object::Node(object) => object.object_ref(),
            Object::Pod(object) => object.object_ref(),
            Object::Service(object) => object.object_ref(),
            Object::EndpointSlice(object) => object.object_ref(),
            Object::Endpoints(object) => object.object_ref(),
            Object::ProxyConfig(object) => object.object_ref(),
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    Upsert(Object),
    /// The object is gone, and its fault with it.
    Delete(ObjectRef),
    /// An object, or a part of it, could not be read.
    Fault(Arc<Fault>),
    /// The object can be read again.
    Cleared(ObjectRef),
    Source(Source),
}

/// What one revision added. Never empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub revision: Revision,
    /// The server's clock when it applied the changes.
    pub time: Timestamp,
    pub changes: Vec<Change>,
}

/// The state at a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub revision: Revision,
    /// The server's clock when the snapshot was taken.
    pub time: Timestamp,
    pub state: ClusterState,
}

/// Whether a change changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    Changed,
    Unchanged,
}

impl Applied {
    pub fn is_changed(self) -> bool {
        self == Applied::Changed
    }

    fn when(changed: bool) -> Applied {
        if changed { Applied::Changed } else { Applied::Unchanged }
    }

    fn or(self, other: Applied) -> Applied {
        if self.is_changed() { self } else { other }
    }
}

impl ClusterState {
    /// Applies one change: the only mutation of the state.
    pub fn apply(&mut self, change: &Change) -> Applied {
        match change {
            Change::Upsert(object) => self.upsert(object),
            Change::Cleared(object) => Applied::when(self.faults.remove(object).is_some()),
            Change::Delete(object) => {
                let cleared = Applied::when(self.faults.remove(object).is_some());
                self.delete(object).or(cleared)
            }
            Change::Fault(fault) => {
                let old = self.faults.insert(fault.object.clone(), fault.clone());
                Applied::when(old.as_ref() != Some(fault))
            }
            Change::Source(source) => {
                let old = self.sources.insert(source.kind, source.clone());
                Applied::when(old.as_ref() != Some(source))
            }
        }
    }

    fn upsert(&mut self, object: &Object) -> Applied {
        match object {
            Object::Namespace(object) => self.namespaces.upsert(object).1,
            Object::Node(object) => self.nodes.upsert(object).1,
            Object::Service(object) => self.services.upsert(object).1,
            Object::Endpoints(object) => self.endpoints.upsert(object).1,
            Object::ProxyConfig(object) => self.proxy_configs.upsert(object).1,
            Object::Pod(pod) => {
                let (old, applied) = self.pods.upsert(pod);
                let stays = old.as_ref().is_some_and(|old| are_in_one_place(old, pod));
                if applied.is_changed() && !stays {
                    old.inspect(|old| self.unindex_pod(old));
                    self.index_pod(pod);
                }
                applied
            }
            Object::EndpointSlice(slice) => {
                let (old, applied) = self.slices.upsert(slice);
                if applied.is_changed() && old.as_ref().map(|old| old.service()) != Some(slice.service()) {
                    old.inspect(|old| self.unindex_slice(old));
                    self.index_slice(slice);
                }
                applied
            }
        }
    }

    fn delete(&mut self, object: &ObjectRef) -> Applied {
        let key = &object.key;
        Applied::when(match object.kind {
            Kind::Namespace => self.namespaces.remove(key).is_some(),
            Kind::Node => self.nodes.remove(key).is_some(),
            Kind::Service => self.services.remove(key).is_some(),
            Kind::Endpoints => self.endpoints.remove(key).is_some(),
            Kind::ProxyConfig => self.proxy_configs.remove(key).is_some(),
            Kind::Pod => {
                let old = self.pods.remove(key);
                old.as_ref().inspect(|pod| self.unindex_pod(pod)).is_some()
            }
            Kind::EndpointSlice => {
                let old = self.slices.remove(key);
                old.as_ref().inspect(|slice| self.unindex_slice(slice)).is_some()
            }
        })
    }

    /// One object, whatever its kind.
    pub fn object(&self, kind: Kind, key: &Key) -> Option<Object> {
        Some(match kind {
            Kind::Namespace => Object::Namespace(self.namespaces.get(key)?.clone()),
            Kind::Node => Object::Node(self.nodes.get(key)?.clone()),
            Kind::Pod => Object::Pod(self.pods.get(key)?.clone()),
            Kind::Service => Object::Service(self.services.get(key)?.clone()),
            Kind::EndpointSlice => Object::EndpointSlice(self.slices.get(key)?.clone()),
            Kind::Endpoints => Object::Endpoints(self.endpoints.get(key)?.clone()),
            Kind::ProxyConfig => Object::ProxyConfig(self.proxy_configs.get(key)?.clone()),
        })
    }

    /// Every object of `kind` that the state holds or has a fault for.
    pub fn refs(&self, kind: Kind) -> Vec<ObjectRef> {
        let keys: Vec<_> = match kind {
            Kind::Namespace => self.namespaces.keys().cloned().collect(),
            Kind::Node => self.nodes.keys().cloned().collect(),
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.slices.keys().cloned().collect(),
            Kind::Endpoints => self.endpoints.keys().cloned().collect(),
            Kind::ProxyConfig => self.proxy_configs.keys().cloned().collect(),
        };
        let held = keys.into_iter().map(|key| ObjectRef { kind, key });
        let faulty = self.faults.keys().filter(|object| object.kind == kind).cloned();
        let all: std::collections::BTreeSet<_> = held.chain(faulty).collect();
        all.into_iter().collect()
    }
}

impl<T: Keyed + PartialEq> Table<T> {
    /// Stores `object` unless an equal one is there. Answers the replaced object, if it was another.
    fn upsert(&mut self, object: &Arc<T>) -> (Option<Arc<T>>, Applied) {
        // Looks before it writes: what is equal copies nothing.
        match self.get(object.key()) {
            Some(old) if **old == **object => (None, Applied::Unchanged),
            _ => (self.insert(object.key(), object.clone()), Applied::Changed),
        }
    }
}
