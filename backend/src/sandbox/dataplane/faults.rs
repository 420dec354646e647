//! What faults do to a node's rules: an endpoint that is gone stays, or the rules of a Service are deleted by hand.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{ClusterState, Endpoint, EndpointAddress, IpFamily, Key};
use vipscope_shared::proxy::{Rules, drift};
use vipscope_shared::traffic::NodeFault;

/// Faults of one node at a time.
const MOST_FAULTS: usize = 32;
/// The slowest sync, in milliseconds.
const SLOWEST: u64 = 600_000;

/// Why faults are not switched on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultRefused {
    #[error("the node is not there")]
    NoNode,
    #[error("a node has at most {MOST_FAULTS} faults")]
    TooMany,
    #[error("a sync takes at most {SLOWEST} milliseconds")]
    TooSlow,
    #[error("Service {0} is not there")]
    NoService(Key),
    #[error("Service {0} has no endpoint that could have stayed behind")]
    NoEndpoint(Key),
}

/// Whether these can be faults of a node.
pub fn check(state: &ClusterState, faults: &[NodeFault]) -> Result<(), FaultRefused> {
    if faults.len() > MOST_FAULTS {
        return Err(FaultRefused::TooMany);
    }
    let known = |key: &Key| match state.services().contains(key) {
        true => Ok(()),
        false => Err(FaultRefused::NoService(key.clone())),
    };
    faults.iter().try_for_each(|fault| match fault {
        NodeFault::SyncStopped => Ok(()),
        NodeFault::SlowSync { milliseconds } if *milliseconds > SLOWEST => Err(FaultRefused::TooSlow),
        NodeFault::SlowSync { .. } => Ok(()),
        NodeFault::RuleDeleted { service } => known(service),
        NodeFault::StaleEndpoint { service } => {
            known(service)?;
            let any = state.slices_of(service).any(|slice| !slice.endpoints.is_empty());
            if any { Ok(()) } else { Err(FaultRefused::NoEndpoint(service.clone())) }
        }
    })
}

/// The state as a proxy sees it that has missed how an endpoint went: one more, at an address that no pod has. It is where
/// this node would use it: like the endpoint that the node itself prefers.
pub fn with_stale_endpoint(state: &ClusterState, service: &Key, node: &str) -> ClusterState {
    let mut seen = state.clone();
    for slice in state.slices_of(service) {
        let Some(family) = slice.address_type.family() else { continue };
        let zone = state.node(node).and_then(|node| node.zone().cloned());
        let like = |endpoint: &&Endpoint| {
            let here = endpoint.node.as_deref() == Some(node);
            let hinted = zone.as_ref().is_some_and(|zone| endpoint.zone_hints.contains(zone));
            (endpoint.conditions.is_ready(), here, hinted)
        };
        let Some(model) = slice.endpoints.iter().max_by_key(like) else { continue };
        let Some(ip) = free_address(state, family) else { continue };
        let mut stale = (**slice).clone();
        let mut endpoint = model.clone();
        endpoint.addresses = vec![EndpointAddress::Ip(ip)];
        endpoint.target = None;
        stale.endpoints.push(endpoint);
        let _ = seen.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(stale))));
        // The userspace proxy reads Endpoints.
        if let Some(endpoints) = state.endpoints().get(service) {
            let mut stale = (**endpoints).clone();
            for subset in &mut stale.subsets {
                if let Some(mut address) = subset.addresses.first().cloned() {
                    address.ip = ip;
                    subset.addresses.push(address);
                }
            }
            let _ = seen.apply(&Change::Upsert(Object::Endpoints(Arc::new(stale))));
        }
        return seen;
    }
    seen
}

/// The last address of the pods' network that nobody has.
fn free_address(state: &ClusterState, family: IpFamily) -> Option<IpAddr> {
    let taken: BTreeSet<IpAddr> = state.pods().values().flat_map(|pod| pod.ips.iter().copied()).collect();
    let cidrs = state.nodes().values().flat_map(|node| &node.pod_cidrs);
    let cidr = cidrs.filter(|cidr| IpFamily::of(cidr.network()) == family).max()?;
    let below = |back: u8| match cidr.broadcast() {
        IpAddr::V4(last) => IpAddr::V4(Ipv4Addr::from(u32::from(last).wrapping_sub(u32::from(back)))),
        IpAddr::V6(last) => IpAddr::V6(Ipv6Addr::from(u128::from(last).wrapping_sub(u128::from(back)))),
    };
    (1..200).map(below).find(|ip| cidr.contains(ip) && !taken.contains(ip))
}

/// The rules after somebody has emptied the chains of a Service, or removed its virtual servers; if it has none of its own, its
/// lines in the chains that all share.
pub fn without_rules_of(rules: Rules, state: &ClusterState, service: &Key) -> Rules {
    drift::without_rules_of(rules, &drift::Namer::new(state), service)
}
