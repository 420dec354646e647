//! [`Table`]: the objects of one kind, by namespace and name.

use std::collections::BTreeMap;
use std::iter::FusedIterator;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, Keyed, Text};

/// The objects of one namespace, by name.
type Named<T> = BTreeMap<Text, Arc<T>>;

/// The objects of one kind, ordered by namespace and name. Clones share what they have in common, namespace by namespace: a change
/// after a clone copies pointers to the objects of one namespace, and pointers to the namespaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Table<T> {
    /// None is empty.
    namespaces: Arc<BTreeMap<Text, Arc<Named<T>>>>,
    len: usize,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Table<T> {
        Table { namespaces: self.namespaces.clone(), len: self.len }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { namespaces: Arc::default(), len: 0 }
    }
}

impl<T> Table<T> {
    pub fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.namespaces.get(&key.namespace)?.get(&key.name)
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// All objects.
    pub fn values(&self) -> Values<'_, T> {
        Values { namespaces: self.namespaces.values(), front: None, left: self.len }
    }

    /// The objects of one namespace, by name.
    pub fn in_namespace(&self, namespace: &Text) -> impl Iterator<Item = &Arc<T>> + use<'_, T> {
        self.namespaces.get(namespace).into_iter().flat_map(|named| named.values())
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For `delta` alone. Answers the object that was there.
    pub(crate) fn insert(&mut self, key: &Key, object: Arc<T>) -> Option<Arc<T>> {
        let namespaces = Arc::make_mut(&mut self.namespaces);
        let named = match namespaces.get_mut(&key.namespace) {
            Some(named) => named,
            None => namespaces.entry(key.namespace.clone()).or_default(),
        };
        let old = Arc::make_mut(named).insert(key.name.clone(), object);
        self.len += usize::from(old.is_none());
        old
    }

    /// For `delta` alone. Copies nothing if there is no such object.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        self.get(key)?;
        let namespaces = Arc::make_mut(&mut self.namespaces);
        let named = Arc::make_mut(namespaces.get_mut(&key.namespace)?);
        let old = named.remove(&key.name);
        if named.is_empty() {
            namespaces.remove(&key.namespace);
        }
        self.len -= usize::from(old.is_some());
        old
    }
}

impl<T: Keyed> Table<T> {
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.values().map(|object| object.key())
    }

    /// What is not the same object in both tables, by key. Namespaces that they share are not looked at.
    pub fn apart<'a>(&'a self, other: &'a Table<T>) -> Vec<[Option<&'a Arc<T>>; 2]> {
        let mut found = Vec::new();
        merge(&self.namespaces, &other.namespaces, |named| match named {
            [Some(a), Some(b)] if Arc::ptr_eq(a, b) => {}
            [Some(a), Some(b)] => merge(a, b, |objects| match objects {
                [Some(old), Some(new)] if Arc::ptr_eq(old, new) => {}
                objects => found.push(objects),
            }),
            [a, b] => {
                found.extend(a.into_iter().flat_map(|named| named.values()).map(|old| [Some(old), None]));
                found.extend(b.into_iter().flat_map(|named| named.values()).map(|new| [None, Some(new)]));
            }
        });
        found
    }
}

/// Every key of the two maps in order, with what each has there.
fn merge<'a, V>(
    a: &'a BTreeMap<Text, V>,
    b: &'a BTreeMap<Text, V>,
    mut each: impl FnMut([Option<&'a V>; 2]),
) {
    let mut rest = b.iter().peekable();
    for (key, value) in a {
        while let Some((_, new)) = rest.next_if(|(other, _)| *other < key) {
            each([None, Some(new)]);
        }
        let same = rest.next_if(|(other, _)| *other == key);
        each([Some(value), same.map(|(_, new)| new)]);
    }
    rest.for_each(|(_, new)| each([None, Some(new)]));
}

/// The objects of a [`Table`], by namespace and name.
#[derive(Debug)]
pub struct Values<'a, T> {
    namespaces: std::collections::btree_map::Values<'a, Text, Arc<Named<T>>>,
    front: Option<std::collections::btree_map::Values<'a, Text, Arc<T>>>,
    left: usize,
}

impl<T> Clone for Values<'_, T> {
    fn clone(&self) -> Self {
        Values { namespaces: self.namespaces.clone(), front: self.front.clone(), left: self.left }
    }
}

impl<'a, T> Iterator for Values<'a, T> {
    type Item = &'a Arc<T>;

    fn next(&mut self) -> Option<&'a Arc<T>> {
        loop {
            if let Some(object) = self.front.as_mut().and_then(Iterator::next) {
                self.left -= 1;
                return Some(object);
            }
            self.front = Some(self.namespaces.next()?.values());
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Values<'_, T> {}

impl<T> FusedIterator for Values<'_, T> {}

/// Serialised as a list: the keys are inside the objects.
impl<T: Serialize> Serialize for Table<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.values())
    }
}

impl<'de, T: Keyed + Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table<T>, D::Error> {
        let objects = Vec::<Arc<T>>::deserialize(deserializer)?;
        let mut table = Table::default();
        for object in objects {
            let key = object.key().clone();
            table.insert(&key, object);
        }
        Ok(table)
    }
}
