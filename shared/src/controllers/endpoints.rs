//! A Service with a selector to its legacy Endpoints: one address family, subsets by identical ports.
//!
//! Upstream: `pkg/controller/endpoint/endpoints_controller.go`, `pkg/api/v1/endpoints/util.go` (`RepackSubsets`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::endpointslices::{
    families, is_managed, pod_ip, published_hostname, resolve_ports, selected, target_of,
};
use super::{ENDPOINTS_MANAGED_BY_LABEL, HEADLESS_LABEL};
use crate::model::{
    ClusterState, EndpointPort, Endpoints, IpFamily, Keyed, Labels, Meta, Pod, Service, Subset,
    SubsetAddress, Text,
};

/// Value of the label managed-by of the Endpoints that this controller keeps.
pub const MANAGER: &str = "endpoint-controller";
/// Most addresses in one Endpoints object.
pub const MAX_ADDRESSES: usize = 1000;

const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// The Endpoints to write for `service`, or `None` if they are as they should be or not this controller's business.
pub fn plan(state: &ClusterState, service: &Service) -> Option<Endpoints> {
    plan_for(state, service, &selected(state, service))
}

/// [`plan`], where the caller knows the pods that the Service selects.
pub fn plan_for(state: &ClusterState, service: &Service, pods: &[Arc<Pod>]) -> Option<Endpoints> {
    let wanted = desired_for(service, pods)?;
    let existing = state.endpoints().get(service.key());
    let same = existing.is_some_and(|old| {
        old.subsets == wanted.subsets
            && old.meta.labels == wanted.meta.labels
            && old.meta.annotations.get(OVER_CAPACITY) == wanted.meta.annotations.get(OVER_CAPACITY)
    });
    (!same).then_some(wanted)
}

/// The Endpoints as they should be; `None` for Services that have no selector.
pub fn desired(state: &ClusterState, service: &Service) -> Option<Endpoints> {
    desired_for(service, &selected(state, service))
}

fn desired_for(service: &Service, pods: &[Arc<Pod>]) -> Option<Endpoints> {
    if !is_managed(service) {
        return None;
    }
    let family = families(service)[0];
    let mut by_ports: BTreeMap<Vec<EndpointPort>, Subset> = BTreeMap::new();
    for pod in pods {
        add(&mut by_ports, service, pod, family);
    }
    let mut meta = Meta::named(service.key().clone());
    meta.labels = labels(service);
    let mut subsets: Vec<Subset> = by_ports.into_values().collect();
    if truncate(&mut subsets) {
        meta.annotations = Labels::from_iter([(OVER_CAPACITY, "truncated")]);
    }
    Some(Endpoints { meta, subsets })
}

fn labels(service: &Service) -> Labels {
    let mut labels: BTreeMap<Text, Text> = service.meta.labels.clone().into();
    labels.remove(HEADLESS_LABEL);
    if service.is_headless() {
        labels.insert(HEADLESS_LABEL.into(), "".into());
    }
    labels.insert(ENDPOINTS_MANAGED_BY_LABEL.into(), MANAGER.into());
    labels.into()
}

fn add(by_ports: &mut BTreeMap<Vec<EndpointPort>, Subset>, service: &Service, pod: &Pod, family: IpFamily) {
    let gone = pod.phase.is_final() || (pod.meta.terminating() && !service.publish_not_ready);
    let Some(ip) = pod_ip(pod, family).filter(|_| !gone && pod.node.is_some()) else { return };
    let mut ports = resolve_ports(service, pod);
    if ports.is_empty() && !(service.ports.is_empty() && service.is_headless()) {
        return;
    }
    ports.sort();
    let address = SubsetAddress {
        ip,
        hostname: published_hostname(service, pod),
        node: pod.node.clone(),
        target: Some(target_of(pod)),
    };
    let subset = by_ports.entry(ports.clone()).or_insert_with(|| Subset {
        addresses: Vec::new(),
        not_ready: Vec::new(),
        ports,
    });
    let list =
        if pod.ready || service.publish_not_ready { &mut subset.addresses } else { &mut subset.not_ready };
    let at = list.partition_point(|other| other.ip < address.ip);
    list.insert(at, address);
}

/// Cuts to [`MAX_ADDRESSES`], ready ones first. Says whether anything was cut.
fn truncate(subsets: &mut Vec<Subset>) -> bool {
    let total: usize = subsets.iter().map(|subset| subset.addresses.len() + subset.not_ready.len()).sum();
    let mut room = MAX_ADDRESSES;
    for subset in subsets.iter_mut() {
        subset.addresses.truncate(room);
        room -= subset.addresses.len();
    }
    for subset in subsets.iter_mut() {
        subset.not_ready.truncate(room);
        room -= subset.not_ready.len();
    }
    subsets.retain(|subset| !subset.addresses.is_empty() || !subset.not_ready.is_empty());
    total > MAX_ADDRESSES
}
