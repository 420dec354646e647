//! The edit list: a small JSON language of changes to a cluster. Its schema is in `shared/schema/edits.schema.json`.
//!
//! [`parse`] reads a document and says which edit and field is wrong, [`link`] makes a list part of an address,
//! [`Edit::words`] says it to people, [`export()`] as kubectl commands.

mod export;
pub mod link;
mod parse;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use export::{Export, Step, export};
pub use parse::{BadEdits, MOST_EDITS, parse, read};

use crate::manifest::kind_of;
use crate::model::{Key, Kind, ObjectRef, PROXY_CONFIG_MAP, Text, key_text};

/// One change. In JSON the field `op` names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Edit {
    /// So many pods for a workload.
    Scale {
        workload: WorkloadName,
        replicas: u32,
    },
    /// A pod, as `namespace/name`.
    Pod {
        #[serde(with = "key_text")]
        pod: Key,
        state: PodEdit,
    },
    /// The pod runs on another node.
    Move {
        #[serde(with = "key_text")]
        pod: Key,
        to: Text,
    },
    Node {
        node: Text,
        state: NodeEdit,
    },
    /// The node's `topology.kubernetes.io/zone`; `null` takes the label away.
    Zone {
        node: Text,
        zone: Option<Text>,
    },
    /// A whole object, as for `kubectl apply`.
    Apply {
        manifest: Value,
    },
    /// A JSON merge patch (RFC 7386) to an object, as for `kubectl patch --type merge`.
    Patch {
        object: ObjectName,
        patch: Value,
    },
    Delete {
        object: ObjectName,
    },
    /// kube-proxy's settings on a node, or on all (`*`): fields of a KubeProxyConfiguration, merged.
    Proxy {
        node: Text,
        set: Value,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodEdit {
    Ready,
    Unready,
    Terminating,
    /// Not there any longer, and not replaced yet.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeEdit {
    /// New pods are not placed here.
    Cordon,
    Uncordon,
    /// Cordoned, and its pods are evicted and placed elsewhere.
    Drain,
    /// Nothing is heard of it: not ready, nor are its pods.
    Lost,
}

/// `Kind/namespace/name` of a workload, for example `Deployment/shop/cart`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadName {
    pub kind: Text,
    pub key: Key,
}

/// `Kind/namespace/name` of an object, `Kind/name` if it has no namespace. kube-proxy's settings are
/// `ConfigMap/kube-system/kube-proxy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectName {
    pub kind: Kind,
    pub key: Key,
}

/// Not the name of an object or workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name an object: expected KIND/NAMESPACE/NAME, or KIND/NAME if it has no namespace")]
pub struct BadName(String);

impl FromStr for WorkloadName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<WorkloadName, BadName> {
        let bad = || BadName(text.chars().take(120).collect());
        let (kind, key) = text.split_once('/').ok_or_else(bad)?;
        let (namespace, name) = key.split_once('/').ok_or_else(bad)?;
        if kind.is_empty() || namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(bad());
        }
        Ok(WorkloadName { kind: kind.into(), key: Key::new(namespace, name) })
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

impl FromStr for ObjectName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<ObjectName, BadName> {
        let bad = || BadName(text.chars().take(120).collect());
        let (kind, key) = text.split_once('/').ok_or_else(bad)?;
        let config_map = kind == "ConfigMap" && key.split_once('/') == Some(PROXY_CONFIG_MAP);
        let kind: Kind = if config_map { Kind::ProxyConfig } else { kind.parse().map_err(|()| bad())? };
        let key = match key.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() => Key::new(namespace, name),
            Some(_) => return Err(bad()),
            None => Key::cluster(key),
        };
        let namespaced = !matches!(kind, Kind::Namespace | Kind::Node);
        if key.name.is_empty() || key.name.contains('/') || namespaced == key.namespace.is_empty() {
            return Err(bad());
        }
        Ok(ObjectName { kind, key })
    }
}

impl From<ObjectRef> for ObjectName {
    fn from(object: ObjectRef) -> ObjectName {
        ObjectName { kind: object.kind, key: object.key }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", kind_word(self.kind), self.key)
    }
}

/// The kind as the API names it.
pub(in crate::whatif) fn kind_word(kind: Kind) -> &'static str {
    if kind == Kind::ProxyConfig { "ConfigMap" } else { kind.as_str() }
}

/// The manifest with the namespace that kubectl takes for one that names none.
pub(in crate::whatif) fn with_namespace(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    let namespaced = kind_of(&manifest).is_some_and(|kind| !matches!(kind, Kind::Namespace | Kind::Node));
    let unnamed = |namespace: Option<&Value>| namespace.is_none_or(|name| name.is_null() || name == "");
    if namespaced && manifest["metadata"].is_object() && unnamed(manifest["metadata"].get("namespace")) {
        manifest["metadata"]["namespace"] = "default".into();
    }
    manifest
}

macro_rules! as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(WorkloadName);
as_text!(ObjectName);
