//! What there is to be shown, before it has a place: sources, Services by namespace, endpoints by node.
//!
//! Law: every endpoint of every surveyed Service is a [`Spot`] of exactly one node, or of [`NO_NODE`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ghost::{After, Ghost};
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
    pub(super) ghost: Option<Ghost>,
    /// As it would be, if it is there and would be otherwise.
    pub(super) after: Option<(Arc<Service>, Arc<ServiceStatus>)>,
}

impl ServiceView {
    fn of(service: &Arc<Service>, statuses: &Statuses) -> Option<ServiceView> {
        let status = statuses.get(service.key()).cloned()?;
        Some(ServiceView { service: service.clone(), status, ghost: None, after: None })
    }

    /// As it would be, for whoever asks the same of it as of the present one.
    pub(super) fn next(&self) -> Option<ServiceView> {
        let (service, status) = self.after.clone()?;
        Some(ServiceView { service, status, ghost: None, after: None })
    }

    /// Takes how it would be.
    fn compare(&mut self, after: &After) {
        let key = self.service.key();
        let next = after.state.services().get(key).zip(after.statuses.get(key));
        self.ghost = match next {
            None => Some(Ghost::Gone),
            Some((_, status)) if Arc::ptr_eq(status, &self.status) => None,
            Some(_) => Some(Ghost::Changed),
        };
        let differs = self.ghost == Some(Ghost::Changed);
        self.after = next.filter(|_| differs).map(|(service, status)| (service.clone(), status.clone()));
    }
}

/// A pod, or an endpoint without one.
pub(super) struct Spot {
    pub(super) target: Target,
    pub(super) title: Text,
    pub(super) look: PodLook,
    pub(super) pod: Option<Arc<Pod>>,
    pub(super) ghost: Option<Ghost>,
    /// How it would look, if otherwise.
    pub(super) after: Option<PodLook>,
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
    pub(super) ghost: Option<Ghost>,
    /// As it would be, if it is there and would be otherwise.
    pub(super) after: Option<Arc<Node>>,
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
    pub(super) fn of(
        state: &ClusterState,
        options: &SceneOptions,
        statuses: &Statuses,
        after: Option<&After>,
    ) -> Survey {
        let wanted =
            |namespace: &Text| options.namespaces.is_empty() || options.namespaces.contains(namespace);
        let islands = islands(state, statuses, &wanted);
        let nodes = nodes(state, &islands, &wanted);
        let sources = sources(state, &islands, &nodes, &wanted);
        let survey = Survey { sources, islands, nodes };
        match after {
            None => survey,
            Some(after) => survey.haunted(after, &wanted),
        }
    }

    /// With ghosts of what would come, go, or be otherwise.
    fn haunted(self, after: &After, wanted: &dyn Fn(&Text) -> bool) -> Survey {
        let next = islands(after.state, &after.statuses, wanted);
        let nodes = haunted_nodes(self.nodes, nodes(after.state, &next, wanted));
        let mut islands: BTreeMap<Text, Vec<ServiceView>> = self.islands.into_iter().collect();
        islands.values_mut().flatten().for_each(|view| view.compare(after));
        for (namespace, services) in next {
            let known = islands.entry(namespace).or_default();
            for view in services {
                if !known.iter().any(|old| old.service.key() == view.service.key()) {
                    known.push(ServiceView { ghost: Some(Ghost::New), ..view });
                }
            }
            known.sort_by(|a, b| a.service.name().cmp(b.service.name()));
        }
        Survey { islands: islands.into_iter().collect(), nodes, ..self }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceView> {
        self.islands.iter().flat_map(|(_, services)| services)
    }
}

type Islands = Vec<(Text, Vec<ServiceView>)>;

fn islands(state: &ClusterState, statuses: &Statuses, wanted: &dyn Fn(&Text) -> bool) -> Islands {
    let mut islands: BTreeMap<Text, Vec<ServiceView>> = BTreeMap::new();
    for service in state.services().values().filter(|service| wanted(service.namespace())) {
        if let Some(view) = ServiceView::of(service, statuses) {
            islands.entry(service.namespace().clone()).or_default().push(view);
        }
    }
    islands.into_iter().collect()
}

fn haunted_nodes(now: Vec<NodeView>, next: Vec<NodeView>) -> Vec<NodeView> {
    let mut next: BTreeMap<Text, NodeView> = next.into_iter().map(|node| (node.name.clone(), node)).collect();
    let mut nodes: Vec<NodeView> = now
        .into_iter()
        .map(|node| (next.remove(&node.name), node))
        .map(|(next, node)| node.haunted(next))
        .collect();
    nodes.extend(next.into_values().map(|mut node| {
        node.ghost = node.node.is_some().then_some(Ghost::New);
        node.spots.iter_mut().for_each(|spot| spot.ghost = Some(Ghost::New));
        node
    }));
    nodes.sort_by_key(|node| &*node.name == NO_NODE);
    nodes
}

impl NodeView {
    fn haunted(self, next: Option<NodeView>) -> NodeView {
        let Some(next) = next else { return self.gone() };
        let mut coming: BTreeMap<Target, Spot> =
            next.spots.into_iter().map(|spot| (spot.target.clone(), spot)).collect();
        let mut spots: BTreeMap<Target, Spot> = BTreeMap::new();
        for mut spot in self.spots {
            match coming.remove(&spot.target) {
                None => spot.ghost = Some(Ghost::Gone),
                Some(next) if next.look != spot.look => {
                    (spot.ghost, spot.after) = (Some(Ghost::Changed), Some(next.look));
                }
                Some(_) => {}
            }
            spots.insert(spot.target.clone(), spot);
        }
        let fresh = |spot: Spot| (spot.target.clone(), Spot { ghost: Some(Ghost::New), ..spot });
        spots.extend(coming.into_values().map(fresh));
        let differs = match (&self.node, &next.node) {
            (Some(old), Some(new)) => {
                (old.ready, old.unschedulable, old.zone()) != (new.ready, new.unschedulable, new.zone())
            }
            _ => false,
        };
        let is_gone = self.node.is_some() && next.node.is_none();
        NodeView {
            ghost: is_gone.then_some(Ghost::Gone).or(differs.then_some(Ghost::Changed)),
            after: next.node.filter(|_| differs),
            spots: spots.into_values().collect(),
            ..self
        }
    }

    fn gone(mut self) -> NodeView {
        self.spots.iter_mut().for_each(|spot| spot.ghost = Some(Ghost::Gone));
        NodeView { ghost: self.node.is_some().then_some(Ghost::Gone), ..self }
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
        ghost: None,
        after: None,
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
        ghost: None,
        after: None,
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
    Spot { target, title, look: PodLook::of_conditions(row.conditions), pod: None, ghost: None, after: None }
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
