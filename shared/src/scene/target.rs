//! What on the map can be pointed at, hovered, selected, and named in a URL.

use std::fmt;
use std::str::FromStr;

use crate::model::{Key, Text};

/// A column-one node: where traffic comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceId {
    /// Everything outside the cluster.
    Outside,
    /// The nodes themselves.
    Nodes,
    /// The pods of one namespace.
    Pods(Text),
}

/// Stands for "on no node" in [`Target::Node`]; no node can have this name.
pub const NO_NODE: &str = "-";

/// Something on the map. Prints and parses as in a URL: `svc/shop/cart`, `svc/shop/cart:http`, `pod/shop/cart-x`,
/// `address/192.0.2.10`, `node/node-a`, `ns/shop`, `from/outside`, `from/nodes`, `from/pods/shop`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Source(SourceId),
    Service(Key),
    /// One port of a Service, by port name, or by number if the port has no name.
    Port(Key, Text),
    Pod(Key),
    /// An endpoint behind which there is no pod: its address or host name.
    Address(Text),
    /// A node, or [`NO_NODE`].
    Node(Text),
    Namespace(Text),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Source(SourceId::Outside) => f.write_str("from/outside"),
            Target::Source(SourceId::Nodes) => f.write_str("from/nodes"),
            Target::Source(SourceId::Pods(namespace)) => write!(f, "from/pods/{namespace}"),
            Target::Service(key) => write!(f, "svc/{key}"),
            Target::Port(key, port) => write!(f, "svc/{key}:{port}"),
            Target::Pod(key) => write!(f, "pod/{key}"),
            Target::Address(address) => write!(f, "address/{address}"),
            Target::Node(name) => write!(f, "node/{name}"),
            Target::Namespace(name) => write!(f, "ns/{name}"),
        }
    }
}

/// Not the text of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names nothing on the map: expected for example svc/NAMESPACE/NAME, pod/NAMESPACE/NAME or node/NAME"
)]
pub struct BadTarget(pub String);

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Target, BadTarget> {
        let bad = || BadTarget(text.chars().take(80).collect());
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        Ok(match parts.as_slice() {
            ["from", "outside"] => Target::Source(SourceId::Outside),
            ["from", "nodes"] => Target::Source(SourceId::Nodes),
            ["from", "pods", namespace] => Target::Source(SourceId::Pods((*namespace).into())),
            ["svc", namespace, name] => match name.split_once(':') {
                Some((name, port)) => Target::Port(Key::new(*namespace, name), port.into()),
                None => Target::Service(Key::new(*namespace, *name)),
            },
            ["pod", namespace, name] => Target::Pod(Key::new(*namespace, *name)),
            ["address", address] => Target::Address((*address).into()),
            ["node", name] => Target::Node((*name).into()),
            ["ns", name] => Target::Namespace((*name).into()),
            _ => return Err(bad()),
        })
    }
}
