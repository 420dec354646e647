//! What every object has: kind, namespace, name, labels, owner, age.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Text;

/// The kinds that vipscope keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    EndpointSlice,
    Endpoints,
    /// The ConfigMap `kube-system/kube-proxy`, parsed.
    ProxyConfig,
}

impl Kind {
    /// All kinds, in the order in which a dashboard wants them listed.
    pub const ALL: [Kind; 7] = [
        Kind::Namespace,
        Kind::Node,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Pod,
        Kind::Endpoints,
        Kind::ProxyConfig,
    ];

    /// The kind's name as Kubernetes writes it; [`Kind::ProxyConfig`] is vipscope's own.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::Node => "Node",
            Kind::Pod => "Pod",
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Endpoints => "Endpoints",
            Kind::ProxyConfig => "ProxyConfig",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Namespace and name; the namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    #[serde(rename = "ns", default, skip_serializing_if = "str_is_empty")]
    pub namespace: Text,
    pub name: Text,
}

impl Key {
    pub fn new(namespace: impl Into<Text>, name: impl Into<Text>) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// A key of a cluster-scoped object.
    pub fn cluster(name: impl Into<Text>) -> Key {
        Key::new("", name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One object of the cluster, by kind, namespace and name. Prints as `Service shop/cart`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    pub kind: Kind,
    pub key: Key,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// Sorted key/value pairs. Used for labels, selectors and the few annotations that matter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "std::collections::BTreeMap<Text, Text>", into = "std::collections::BTreeMap<Text, Text>")]
pub struct Labels(Box<[(Text, Text)]>);

impl Labels {
    pub fn get(&self, key: &str) -> Option<&Text> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if every pair of `self`, read as an equality selector, is in `labels`. An empty selector matches all.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.iter().all(|(k, v)| labels.get(k) == Some(v))
    }
}

impl From<std::collections::BTreeMap<Text, Text>> for Labels {
    fn from(map: std::collections::BTreeMap<Text, Text>) -> Labels {
        Labels(map.into_iter().collect())
    }
}

impl From<Labels> for std::collections::BTreeMap<Text, Text> {
    fn from(labels: Labels) -> Self {
        labels.0.into_vec().into_iter().collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Labels {
        let map: std::collections::BTreeMap<Text, Text> =
            pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        map.into()
    }
}

/// The controlling owner, e.g. `ReplicaSet cart-5d`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub kind: Text,
    pub name: Text,
}

/// The part of `metadata` that questions need. `resourceVersion`, `managedFields` and the like are dropped, so that an
/// update that changes only them is no change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub key: Key,
    #[serde(default, skip_serializing_if = "str_is_empty")]
    pub uid: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// `deletionTimestamp`: the object is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Only the annotations that change how traffic flows or what vipscope says; see `manifest`.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl Meta {
    /// Metadata with nothing but a key, as tests and controllers build it.
    pub fn named(key: Key) -> Meta {
        Meta {
            key,
            uid: "".into(),
            created: None,
            deleted: None,
            labels: Labels::default(),
            annotations: Labels::default(),
            owner: None,
        }
    }

    pub fn terminating(&self) -> bool {
        self.deleted.is_some()
    }
}

/// Something with metadata: what a [`super::Table`] stores.
pub trait Keyed {
    const KIND: Kind;

    fn meta(&self) -> &Meta;

    fn key(&self) -> &Key {
        &self.meta().key
    }

    fn namespace(&self) -> &Text {
        &self.key().namespace
    }

    fn name(&self) -> &Text {
        &self.key().name
    }

    fn object_ref(&self) -> ObjectRef {
        ObjectRef { kind: Self::KIND, key: self.key().clone() }
    }
}

pub(crate) fn str_is_empty(text: &Text) -> bool {
    text.is_empty()
}

/// For `skip_serializing_if`.
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

/// Keys as text `namespace/name`, for `#[serde(with = …)]`: how public JSON names objects.
pub mod key_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Key;

    pub fn serialize<S: Serializer>(key: &Key, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(key)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Key, D::Error> {
        let text = String::deserialize(input)?;
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Key::new(namespace, name))
            }
            _ => Err(D::Error::custom(format!("`{text}` is not NAMESPACE/NAME"))),
        }
    }

    /// The same, or nothing.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use super::Key;

        #[derive(Deserialize)]
        struct Text(#[serde(with = "super")] Key);

        pub fn serialize<S: Serializer>(key: &Option<Key>, out: S) -> Result<S::Ok, S::Error> {
            match key {
                Some(key) => super::serialize(key, out),
                None => out.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Key>, D::Error> {
            Ok(Option::<Text>::deserialize(input)?.map(|text| text.0))
        }
    }
}
