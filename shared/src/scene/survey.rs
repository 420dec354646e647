//! What there is to be shown, before it has a place: sources, Services by namespace, endpoints by node.
//!
//! Law: every endpoint of every surveyed Service is a [`Spot`] of exactly one node, or of [`NO_NODE`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::status::{ServiceStatus, Statuses};
use super::target::NO_NODE;
use super::words::{count, pod_label};
use super::{Health, SceneOptions, SourceId, Target};
use crate::model::{ClusterState, Conditions, Key, Keyed, Node, Pod, Service, ServiceType, Text};
use crate::proxy::EndpointRow;

/// How the dot of an endpoint looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodLook {
    Ready,
    NotReady,
    Terminating,
}

impl PodLook {
    fn of_pod(pod: &Pod) -> PodLook {
        match (pod.meta.terminating(), pod.ready) {
            (true, _) => PodLook::Terminating,
            (false, true) => PodLook::Ready,
            (false, false) => PodLook::NotReady,
        }
    }

    fn of_conditions(conditions: Option<Conditions>) -> PodLook {
        match conditions {
            Some(conditions) if conditions.is_terminating() => PodLook::Terminating,
            Some(conditions) if conditions.is_ready() => PodLook::Ready,
            _ => PodLook::NotReady,
        }
    }

    pub fn health(self) -> Health {
        match self {
            PodLook::Ready => Health::Ok,
            PodLook::NotReady => Health::Failing,
            PodLook::Terminating => Health::Degraded,
        }
    }
}

pub(super) struct ServiceView {
    pub(super) service: Arc<Service>,
    pub(super) status: Arc<ServiceStatus>,
}

/// A pod, or an endpoint without one.
pub(super) struct Spot {
    pub(super) target: Target,
    pub(super) title: Text,
    pub(super) look: PodLook,
    pub(super) pod: Option<Arc<Pod>>,
}

impl Spot {
    /// The title as drawn. Worked out for the rows that are shown only.
    pub(super) fn label(&self) -> Text {
        self.pod.as_ref().map_or_else(|| self.title.clone(), |pod| pod_label(pod))
    }
}

pub(super) struct NodeView {
    pub(super) name: Text,
    pub(super) node: Option<Arc<Node>>,
    /// By namespace and name.
    pub(super) spots: Vec<Spot>,
}

pub(super) struct SourceView {
    pub(super) id: SourceId,
    pub(super) title: Text,
    pub(super) subtitle: Text,
}

pub(super) struct Survey {
    pub(super) sources: Vec<SourceView>,
    /// By namespace; Services by name.
    pub(super) islands: Vec<(Text, Vec<ServiceView>)>,
    /// By name, [`NO_NODE`] last.
    pub(super) nodes: Vec<NodeView>,
}

impl Survey {
    pub(super) fn of(state: &ClusterState, options: &SceneOptions, statuses: &Statuses) -> Survey {
        let wanted =
            |namespace: &Text| options.namespaces.is_empty() || options.namespaces.contains(namespace);
        let mut islands: BTreeMap<Text, Vec<ServiceView>> = BTreeMap::new();
        for service in state.services().values().filter(|service| wanted(service.namespace())) {
            let Some(status) = statuses.get(service.key()).cloned() else { continue };
            let view = ServiceView { service: service.clone(), status };
            islands.entry(service.namespace().clone()).or_default().push(view);
        }
        let islands: Vec<_> = islands.into_iter().collect();
        let nodes = nodes(state, &islands, &wanted);
        Survey { sources: sources(state, &islands, &nodes, &wanted), islands, nodes }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceView> {
        self.islands.iter().flat_map(|(_, services)| services)
    }
}

/// The thing behind an endpoint.
pub(super) fn spot_target(row: &EndpointRow) -> Option<Target> {
    let address = || row.address.as_ref().map(|address| Target::Address(address.to_string().into()));
    row.pod.clone().map(Target::Pod).or_else(address)
}

/// The node that an endpoint is shown on: the pod's own, if it is known.
pub(super) fn spot_node(state: &ClusterState, row: &EndpointRow) -> Text {
    let pod = row.pod.as_ref().and_then(|key| state.pods().get(key));
    let of_pod = pod.and_then(|pod| pod.node.clone());
    of_pod.or_else(|| row.node.clone()).unwrap_or_else(|| NO_NODE.into())
}

fn nodes(
    state: &ClusterState,
    islands: &[(Text, Vec<ServiceView>)],
    wanted: &dyn Fn(&Text) -> bool,
) -> Vec<NodeView> {
    let mut spots: BTreeMap<Text, BTreeMap<Target, Spot>> = BTreeMap::new();
    for node in state.nodes().values() {
        spots.entry(node.name().clone()).or_default();
    }
    for (_, services) in islands {
        for row in services.iter().flat_map(|view| &view.status.rows) {
            let Some(target) = spot_target(row) else { continue };
            let here = spots.entry(spot_node(state, row)).or_default();
            here.entry(target).or_insert_with_key(|target| endpoint_spot(state, row, target.clone()));
        }
    }
    for pod in state.pods().values().filter(|pod| wanted(pod.namespace()) && !pod.phase.is_final()) {
        let node = pod.node.clone().unwrap_or_else(|| NO_NODE.into());
        let target = Target::Pod(pod.key().clone());
        spots.entry(node).or_default().entry(target).or_insert_with(|| pod_spot(pod));
    }
    let view = |(name, spots): (Text, BTreeMap<Target, Spot>)| NodeView {
        node: state.node(&name).cloned(),
        spots: spots.into_values().collect(),
        name,
    };
    let mut nodes: Vec<NodeView> = spots.into_iter().map(view).collect();
    nodes.sort_by_key(|node| &*node.name == NO_NODE);
    nodes
}

fn pod_spot(pod: &Arc<Pod>) -> Spot {
    Spot {
        target: Target::Pod(pod.key().clone()),
        title: pod.name().clone(),
        look: PodLook::of_pod(pod),
        pod: Some(pod.clone()),
    }
}

fn endpoint_spot(state: &ClusterState, row: &EndpointRow, target: Target) -> Spot {
    if let Some(pod) = row.pod.as_ref().and_then(|key| state.pods().get(key)) {
        return pod_spot(pod);
    }
    let title: Text = match &target {
        Target::Pod(Key { name, .. }) | Target::Address(name) => name.clone(),
        other => other.to_string().into(),
    };
    Spot { target, title, look: PodLook::of_conditions(row.conditions), pod: None }
}

fn sources(
    state: &ClusterState,
    islands: &[(Text, Vec<ServiceView>)],
    nodes: &[NodeView],
    wanted: &dyn Fn(&Text) -> bool,
) -> Vec<SourceView> {
    let services = || islands.iter().flat_map(|(_, services)| services);
    let open = services().filter(|view| is_open(&view.service)).count();
    let real: Vec<&Arc<Node>> = nodes.iter().filter_map(|view| view.node.as_ref()).collect();
    let zones: BTreeSet<_> = real.iter().filter_map(|node| node.zone()).collect();
    let zones = if zones.is_empty() { String::new() } else { format!(" · {}", count(zones.len(), "zone")) };
    let mut sources = Vec::new();
    let mut add = |id, title: Text, subtitle: String| {
        sources.push(SourceView { id, title, subtitle: subtitle.into() });
    };
    if !(islands.is_empty() && nodes.is_empty()) {
        add(SourceId::Outside, "Outside".into(), format!("{} open to it", count(open, "Service")));
        add(SourceId::Nodes, "Nodes".into(), format!("{}{zones}", count(real.len(), "node")));
    }
    let mut pods: BTreeMap<&Text, usize> = BTreeMap::new();
    for pod in state.pods().values().filter(|pod| wanted(pod.namespace()) && !pod.phase.is_final()) {
        *pods.entry(pod.namespace()).or_default() += 1;
    }
    for (namespace, number) in pods {
        add(SourceId::Pods(namespace.clone()), namespace.clone(), count(number, "pod"));
    }
    sources
}

/// The Service has an address for the world outside.
pub(super) fn is_open(service: &Service) -> bool {
    let node_port = service.ports.iter().any(|port| port.node_port.is_some());
    let external_name = service.service_type == ServiceType::ExternalName;
    !external_name && (node_port || !service.ingress.is_empty() || service.outside_ips().next().is_some())
}
