//! What the objects let expect of an endpoint, given how much traffic each node decides on: policies and hints differ by node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vipscope_shared::model::{ClusterState, IpFamily, Service, ServicePort, Text};
use vipscope_shared::proxy::{PortView, Via, backends, categorize, shares};

use super::{Expected, Flow};

/// The share of the connections of `flows` to a port that `address` should get. `flows` came this way: `via`.
pub fn expected(
    state: &ClusterState,
    service: &Service,
    port: &ServicePort,
    via: Via,
    address: IpAddr,
    flows: &[&Flow],
) -> Expected {
    if service.affinity_seconds.is_some() {
        return Expected::Unknown;
    }
    let family = IpFamily::of(address);
    let mut weights: BTreeMap<&Text, u64> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.is_sent()) {
        *weights.entry(&flow.edge.node).or_default() += flow.counted;
    }
    let total: u64 = weights.values().sum();
    let (found, view) = (backends(state, service, port, family), PortView::of(service, port, family));
    let mut share = 0.0;
    for (name, weight) in weights {
        let Some(node) = state.node(name) else { return Expected::Unknown };
        let chosen = shares(&categorize(&found, view, node), view, via).chosen;
        let has = chosen.iter().filter(|nth| found[**nth].address == address).count();
        share += has as f64 / chosen.len().max(1) as f64 * weight as f64 / total.max(1) as f64;
    }
    if total == 0 { Expected::Unknown } else { Expected::Share(share) }
}
