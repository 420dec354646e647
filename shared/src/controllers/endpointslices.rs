//! A Service with a selector to its EndpointSlices: which pods count, with which ports, conditions and hints.
//!
//! Upstream: staging `k8s.io/endpointslice/{reconciler,utils}.go`, `k8s.io/endpointslice/trafficdist`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::HEADLESS_LABEL;
use super::slice_plan::{self, Group, Shape, SlicePlan};
use crate::model::{
    AddressType, ClusterState, Conditions, Endpoint, EndpointAddress, EndpointPort, EndpointSlice, IpFamily,
    Keyed, Labels, MANAGED_BY_LABEL, Meta, Node, Owner, Pod, SERVICE_NAME_LABEL, Service, ServiceType,
    TargetPort, TargetRef, Text, TrafficDistribution,
};

/// Value of the label managed-by of the slices that this controller keeps.
pub const MANAGER: &str = "endpointslice-controller.k8s.io";
/// The controller's default for `--max-endpoints-per-slice`.
pub const MAX_ENDPOINTS: usize = 100;

/// What to write so that `service`'s slices fit its pods and their nodes. A Service without a selector, or of type
/// ExternalName, is left alone, and so are the slices of other managers. `suffix` gives the random end of new names.
pub fn plan(state: &ClusterState, service: &Service, suffix: &mut dyn FnMut() -> Text) -> SlicePlan {
    plan_for(state, service, &selected(state, service), suffix)
}

/// [`plan`], where the caller knows the pods that the Service selects.
pub fn plan_for(
    state: &ClusterState,
    service: &Service,
    pods: &[Arc<Pod>],
    suffix: &mut dyn FnMut() -> Text,
) -> SlicePlan {
    if !is_managed(service) {
        return SlicePlan::default();
    }
    let existing: Vec<Arc<EndpointSlice>> = own_slices(state, service).cloned().collect();
    let meta = slice_meta(service);
    let shape = Shape { meta: &meta, capacity: MAX_ENDPOINTS };
    let mut groups: Vec<Group> = Vec::new();
    for family in families(service) {
        let mut found = family_groups(state, service, pods, family);
        if found.is_empty() {
            found.push(Group {
                address_type: address_type(family),
                ports: Vec::new(),
                endpoints: Vec::new(),
            });
        }
        groups.extend(found);
    }
    slice_plan::plan(groups, &existing, &shape, suffix)
}

pub(super) fn selected(state: &ClusterState, service: &Service) -> Vec<Arc<Pod>> {
    state.selected_pods(service).cloned().collect()
}

/// True if a controller keeps endpoints for it: it has a selector and is not an ExternalName.
pub fn is_managed(service: &Service) -> bool {
    service.selector.is_some() && service.service_type != ServiceType::ExternalName
}

/// The families of the Service's slices. Objects that never met an API server have none written; then the cluster IPs
/// tell, and without those it is IPv4.
pub fn families(service: &Service) -> Vec<IpFamily> {
    if !service.ip_families.is_empty() {
        return service.ip_families.clone();
    }
    let ips = service.cluster_ip.ips();
    if ips.is_empty() { vec![IpFamily::IPv4] } else { ips.iter().map(|ip| IpFamily::of(*ip)).collect() }
}

/// The pod's address of the family.
pub fn pod_ip(pod: &Pod, family: IpFamily) -> Option<IpAddr> {
    pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family)
}

/// The ports of `pod` behind the Service's ports; those whose name the pod does not know are left out.
pub fn resolve_ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let resolve = |port: &crate::model::ServicePort| {
        let number = match &port.target_port {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => pod.named_port(name, port.protocol),
        };
        Some(EndpointPort {
            name: port.name.clone(),
            protocol: port.protocol,
            port: Some(number?),
            app_protocol: port.app_protocol.clone(),
        })
    };
    service.ports.iter().filter_map(resolve).collect()
}

/// The host name under which DNS publishes the pod for this Service.
pub fn published_hostname(service: &Service, pod: &Pod) -> Option<Text> {
    let same = pod.subdomain.as_ref() == Some(service.name()) && pod.namespace() == service.namespace();
    pod.hostname.clone().filter(|_| same)
}

pub(super) fn target_of(pod: &Pod) -> TargetRef {
    TargetRef { kind: "Pod".into(), key: pod.key().clone(), uid: pod.meta.uid.clone() }
}

fn own_slices<'a>(
    state: &'a ClusterState,
    service: &Service,
) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + use<'a> {
    let slices = state.slices_of(service.key());
    let slices: Vec<_> = slices.collect();
    slices.into_iter().filter(|slice| {
        slice.meta.labels.get(MANAGED_BY_LABEL).is_some_and(|by| &**by == MANAGER)
            && !slice.meta.terminating()
    })
}

fn address_type(family: IpFamily) -> AddressType {
    match family {
        IpFamily::IPv4 => AddressType::IPv4,
        IpFamily::IPv6 => AddressType::IPv6,
    }
}

fn slice_meta(service: &Service) -> Meta {
    let mut meta = Meta::named(service.key().clone());
    meta.labels = slice_labels(service);
    meta.owner = Some(Owner { kind: "Service".into(), name: service.name().clone() });
    meta
}

fn slice_labels(service: &Service) -> Labels {
    let mut labels: BTreeMap<Text, Text> = service.meta.labels.clone().into();
    labels.remove(HEADLESS_LABEL);
    if service.is_headless() {
        labels.insert(HEADLESS_LABEL.into(), "".into());
    }
    labels.insert(SERVICE_NAME_LABEL.into(), service.name().clone());
    labels.insert(MANAGED_BY_LABEL.into(), MANAGER.into());
    labels.into()
}

/// The Service's endpoints of one family, grouped by their exact ports.
fn family_groups(state: &ClusterState, service: &Service, pods: &[Arc<Pod>], family: IpFamily) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<EndpointPort>, Group> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.phase.is_final()) {
        let node = pod.node.as_deref().and_then(|name| state.node(name));
        let Some(ip) = pod_ip(pod, family) else { continue };
        if node.is_none() && !service.publish_not_ready {
            continue;
        }
        let ports = resolve_ports(service, pod);
        let mut key = ports.clone();
        key.sort();
        let group = groups.entry(key).or_insert_with(|| Group {
            address_type: address_type(family),
            ports,
            endpoints: Vec::new(),
        });
        group.endpoints.push(endpoint(service, pod, ip, node.map(Arc::as_ref)));
    }
    groups.into_values().collect()
}

fn endpoint(service: &Service, pod: &Pod, ip: IpAddr, node: Option<&Node>) -> Endpoint {
    let (serving, terminating) = (pod.ready, pod.meta.terminating());
    let ready = service.publish_not_ready || (serving && !terminating);
    let zone = node.and_then(Node::zone).cloned();
    let mut endpoint = Endpoint {
        addresses: vec![EndpointAddress::Ip(ip)],
        conditions: Conditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) },
        node: pod.node.clone(),
        zone,
        hostname: published_hostname(service, pod),
        target: Some(target_of(pod)),
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    };
    if ready {
        hint(service, &mut endpoint);
    }
    endpoint
}

/// `trafficDistribution`: a ready endpoint is for its own zone, and with PreferSameNode for its own node.
fn hint(service: &Service, endpoint: &mut Endpoint) {
    let Some(distribution) = service.traffic_distribution else { return };
    endpoint.zone_hints = endpoint.zone.iter().cloned().collect();
    if distribution == TrafficDistribution::PreferSameNode {
        endpoint.node_hints = endpoint.node.iter().cloned().collect();
    }
}
