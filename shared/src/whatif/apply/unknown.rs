//! What an API server says of objects that are not there, and which name was probably meant.

use crate::diagnose::similar::likeness;
use crate::model::{ClusterState, Key, Keyed, Kind};

/// Most names that are proposed.
const PROPOSED: usize = 3;

/// `services "crat" not found; did you mean cart?`
pub(super) fn not_found(state: &ClusterState, kind: Kind, key: &Key) -> String {
    fn keys<'a, T: Keyed + 'a>(table: &'a crate::model::Table<T>) -> Box<dyn Iterator<Item = &'a Key> + 'a> {
        Box::new(table.keys())
    }
    let known = match kind {
        Kind::Namespace => keys(state.namespaces()),
        Kind::Node => keys(state.nodes()),
        Kind::Pod => keys(state.pods()),
        Kind::Service => keys(state.services()),
        Kind::EndpointSlice => keys(state.slices()),
        Kind::Endpoints => keys(state.endpoints()),
        Kind::ProxyConfig => keys(state.proxy_configs()),
    };
    not_found_among(resource(kind), key, known)
}

/// The kind as it is in an API server's messages.
pub(super) fn resource(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "namespaces",
        Kind::Node => "nodes",
        Kind::Pod => "pods",
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices.discovery.k8s.io",
        Kind::Endpoints => "endpoints",
        Kind::ProxyConfig => "configmaps",
    }
}

/// [`not_found`], with the names that there are.
pub(super) fn not_found_among<'n>(resource: &str, key: &Key, known: impl Iterator<Item = &'n Key>) -> String {
    let rank = |other: &Key| {
        if other.namespace == key.namespace {
            likeness(&other.name, &key.name)
        } else {
            // Elsewhere only the very name.
            (other.name == key.name).then_some(1)
        }
    };
    let mut alike: Vec<(usize, &Key)> = known.filter_map(|other| Some((rank(other)?, other))).collect();
    alike.sort();
    let best = alike.first().map(|(rank, _)| *rank);
    alike.retain(|(rank, _)| Some(*rank) == best);
    let shown = |(_, other): &(usize, &Key)| match other.namespace == key.namespace {
        true => other.name.to_string(),
        false => format!("{} in namespace {}", other.name, other.namespace),
    };
    let names: Vec<String> = alike.iter().take(PROPOSED).map(shown).collect();
    let found = format!("{resource} \"{}\" not found", key.name);
    if names.is_empty() { found } else { format!("{found}; did you mean {}?", names.join(" or ")) }
}
