//! What checks ask for, worked out once per cluster ([`Facts`]) and once per Service ([`Subject`]). The letters in the
//! checks' conditions mean: `P(S)` the selected pods, `ES(S)` the slices, `EP(S)` the Endpoints of the Service's name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Progress;
use super::finding::Problem;
use crate::model::{
    ClusterState, Endpoint, EndpointSlice, Endpoints, Freshness, IpFamily, Key, Keyed, Kind, Labels,
    MANAGED_BY_LABEL, Meta, Node, ObjectRef, Pod, ProxyMode, Selectors, Service, ServicePort, ServiceType,
    Text, TrafficPolicy,
};

/// Manager of the slices that follow a selector.
const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Manager of the slices that mirror Endpoints.
const MIRRORING_CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that a controller keeps (Kubernetes 1.33 and later).
const ENDPOINTS_MANAGER_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// Annotation of Endpoints that only hold a lock.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// A cluster, prepared for checks.
#[derive(Debug)]
pub struct Facts<'a> {
    pub state: &'a ClusterState,
    pub now: Timestamp,
    /// The cluster domain.
    pub zone: &'static str,
    /// Zones of the nodes.
    pub zones: BTreeSet<&'a Text>,
    /// Some pod or node has addresses of both families.
    pub dual_stack: bool,
    /// For each family a pod that has no address of it, but one of the other.
    lacking: BTreeMap<IpFamily, &'a Arc<Pod>>,
    /// For each label that a selector without pods asks for: the first pod, in any namespace, that has it.
    strangers: HashMap<(&'a Text, &'a Text), &'a Arc<Pod>>,
    selections: HashMap<&'a Key, Vec<&'a Arc<Pod>>>,
    selected_by: HashMap<&'a Key, Vec<&'a Key>>,
    node_ports: BTreeMap<NonZeroU16, Vec<&'a Arc<Service>>>,
    cluster_ips: HashMap<IpAddr, &'a Arc<Service>>,
    workloads: HashMap<&'a Text, HashMap<Text, Vec<&'a Arc<Pod>>>>,
    endpoints_are_labelled: bool,
}

impl<'a> Facts<'a> {
    /// All of it at once; see [`Gathering`] for less at a time.
    pub fn new(state: &'a ClusterState, now: Timestamp) -> Facts<'a> {
        let (mut facts, mut gathering) = (Facts::of_services(state, now), Gathering::new(state));
        while gathering.step(&mut facts, usize::MAX) == Progress::More {}
        facts
    }

    /// What Services and nodes tell, without any pod.
    pub(super) fn of_services(state: &'a ClusterState, now: Timestamp) -> Facts<'a> {
        let (mut node_ports, mut cluster_ips) = (BTreeMap::<_, Vec<_>>::new(), HashMap::new());
        for service in state.services().values() {
            let ports: BTreeSet<_> = service.ports.iter().filter_map(|port| port.node_port).collect();
            ports.into_iter().for_each(|port| node_ports.entry(port).or_default().push(service));
            cluster_ips.extend(service.cluster_ip.ips().iter().map(|ip| (*ip, service)));
        }
        let of_node = |node: &Arc<Node>| both(node.pod_cidrs.iter().map(|cidr| IpFamily::of(cidr.network())));
        let endpoints_are_labelled = state
            .endpoints()
            .values()
            .any(|object| object.meta.labels.get(ENDPOINTS_MANAGER_LABEL).is_some());
        Facts {
            state,
            now,
            zone: "cluster.local",
            zones: state.nodes().values().filter_map(|node| node.zone()).collect(),
            dual_stack: state.nodes().values().any(of_node),
            lacking: BTreeMap::new(),
            strangers: HashMap::new(),
            selections: HashMap::new(),
            selected_by: HashMap::new(),
            node_ports,
            cluster_ips,
            workloads: HashMap::new(),
            endpoints_are_labelled,
        }
    }

    /// Whether the objects of a kind are known. A file that holds none of them may just not have been asked for them.
    pub fn knows(&self, kind: Kind) -> bool {
        let empty = match kind {
            Kind::Namespace => self.state.namespaces().is_empty(),
            Kind::Node => self.state.nodes().is_empty(),
            Kind::Pod => self.state.pods().is_empty(),
            Kind::Service => self.state.services().is_empty(),
            Kind::EndpointSlice => self.state.slices().is_empty(),
            Kind::Endpoints => self.state.endpoints().is_empty(),
            Kind::ProxyConfig => self.state.proxy_configs().is_empty(),
        };
        match self.state.sources().get(&kind).map(|source| &source.freshness) {
            Some(Freshness::Listing { .. } | Freshness::Forbidden { .. }) => false,
            Some(Freshness::Live | Freshness::Stale { .. }) => true,
            Some(Freshness::Fixed) | None => !empty,
        }
    }

    pub fn subject(&self, service: &'a Arc<Service>) -> Subject<'_> {
        let slices: Vec<_> = self.state.slices_of(service.key()).collect();
        let all = slices.iter().flat_map(|slice| &slice.endpoints);
        let ready = all.clone().filter(|endpoint| endpoint.conditions.is_ready());
        let mut usable: Vec<&Endpoint> = ready.collect();
        if usable.is_empty() {
            let dying = |e: &&Endpoint| e.conditions.is_serving() && e.conditions.is_terminating();
            usable = all.filter(dying).collect();
        }
        let mut seen = HashSet::new();
        usable.retain(|endpoint| seen.insert(endpoint.addresses.first()));
        Subject {
            facts: self,
            service,
            pods: self.selections.get(service.key()).map_or(&[], Vec::as_slice),
            slices,
            endpoints: self.state.endpoints().get(service.key()),
            usable,
        }
    }

    /// Some pod without an address of the family, but with one of the other.
    pub(super) fn pod_lacking(&self, family: IpFamily) -> Option<&'a Arc<Pod>> {
        self.lacking.get(&family).copied()
    }

    /// A pod of another namespace that a selector without pods of its own would match. Of the pods with each of its labels
    /// only the first is looked at.
    pub(super) fn stranger(&self, selector: &'a Labels) -> Option<&'a Arc<Pod>> {
        let mut candidates = selector.iter().filter_map(|pair| self.strangers.get(&pair).copied());
        candidates.find(|pod| selector.selects(&pod.meta.labels))
    }

    /// The Services whose selectors match the pod.
    pub(super) fn selected_by(&self, pod: &Key) -> &[&'a Key] {
        self.selected_by.get(pod).map_or(&[], Vec::as_slice)
    }

    pub(super) fn selection(&self, service: &Key) -> &[&'a Arc<Pod>] {
        self.selections.get(service).map_or(&[], Vec::as_slice)
    }

    /// The Services that have a node port, by namespace and name.
    pub(super) fn with_node_port(&self, port: NonZeroU16) -> &[&'a Arc<Service>] {
        self.node_ports.get(&port).map_or(&[], Vec::as_slice)
    }

    /// All node ports in use.
    pub(super) fn node_ports(&self) -> impl Iterator<Item = NonZeroU16> {
        self.node_ports.keys().copied()
    }

    /// The Service with this cluster IP.
    pub(super) fn with_cluster_ip(&self, ip: IpAddr) -> Option<&'a Arc<Service>> {
        self.cluster_ips.get(&ip).copied()
    }

    /// The pods of the Deployment, StatefulSet or DaemonSet of this name, as their owner references tell.
    pub(super) fn workload(&self, namespace: &Text, name: &Text) -> &[&'a Arc<Pod>] {
        let named = self.workloads.get(namespace).and_then(|named| named.get(name));
        named.map_or(&[], Vec::as_slice)
    }

    /// Endpoints that no controller keeps. Before Kubernetes 1.33 controllers do not sign theirs: then it shows only where
    /// no controller would have made them, for want of a selector.
    pub(super) fn is_hand_made(&self, object: &Endpoints) -> bool {
        let labels = &object.meta.labels;
        let others = labels.get(ENDPOINTS_MANAGER_LABEL).is_some()
            || object.meta.annotations.get(LEADER_ANNOTATION).is_some()
            || (&*object.namespace().clone(), &*object.name().clone()) == ("default", "kubernetes");
        let selects =
            || self.state.services().get(object.key()).is_some_and(|service| service.selector.is_some());
        !others && (self.endpoints_are_labelled || !selects())
    }

    /// How long ago; `None` if the time is not known.
    pub(super) fn age(&self, time: Option<Timestamp>) -> Option<SignedDuration> {
        time.map(|time| self.now.duration_since(time))
    }

    /// The nodes that take new pods.
    pub(super) fn schedulable(&self) -> impl Iterator<Item = &'a Arc<Node>> {
        self.state.nodes().values().filter(|node| node.ready && !node.unschedulable)
    }

    /// kube-proxy's mode somewhere in the cluster.
    pub(super) fn uses_mode(&self, mode: ProxyMode) -> bool {
        let config = self.state.proxy_config();
        config.is_some_and(|config| {
            config.settings.mode == mode || config.nodes.values().any(|settings| settings.mode == mode)
        })
    }
}

/// Adds to [`Facts`] what pods tell, some pods at a time.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    selectors: Selectors<'a>,
    /// Pods that are still to be looked at.
    pods: std::vec::IntoIter<&'a Arc<Pod>>,
    /// The labels that selectors without pods ask for; `None` until all pods were looked at once.
    wanted: Option<HashSet<(&'a Text, &'a Text)>>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(state: &'a ClusterState) -> Gathering<'a> {
        Gathering { selectors: state.selectors(), pods: pods_of(state), wanted: None }
    }

    /// Looks at up to so many more pods.
    pub(super) fn step(&mut self, facts: &mut Facts<'a>, pods: usize) -> Progress {
        for pod in self.pods.by_ref().take(pods) {
            match &self.wanted {
                None => take_pod(facts, &self.selectors, pod),
                Some(wanted) => {
                    for pair in pod.meta.labels.iter().filter(|pair| wanted.contains(pair)) {
                        facts.strangers.entry(pair).or_insert(pod);
                    }
                }
            }
        }
        match (&self.wanted, self.pods.len()) {
            (_, 1..) => Progress::More,
            (Some(_), 0) => Progress::Done,
            (None, 0) => self.look_for_strangers(facts),
        }
    }

    fn look_for_strangers(&mut self, facts: &Facts<'a>) -> Progress {
        let services = facts.state.services().values();
        let empty = services.filter(|service| !facts.selections.contains_key(service.key()));
        let wanted: HashSet<_> =
            empty.filter_map(|service| service.selector.as_ref()).flat_map(Labels::iter).collect();
        if !wanted.is_empty() {
            self.pods = pods_of(facts.state);
        }
        self.wanted = Some(wanted);
        if self.pods.len() == 0 { Progress::Done } else { Progress::More }
    }
}

fn pods_of(state: &ClusterState) -> std::vec::IntoIter<&Arc<Pod>> {
    state.pods().values().collect::<Vec<_>>().into_iter()
}

fn take_pod<'a>(facts: &mut Facts<'a>, selectors: &Selectors<'a>, pod: &'a Arc<Pod>) {
    for service in selectors.that_select(pod) {
        facts.selections.entry(service).or_default().push(pod);
        facts.selected_by.entry(pod.key()).or_default().push(service);
    }
    if is_workload(pod) {
        let named = facts.workloads.entry(pod.namespace()).or_default();
        named.entry(pod.workload()).or_default().push(pod);
    }
    facts.dual_stack |= both(pod.ips.iter().copied().map(IpFamily::of));
    if !pod.phase.is_final() && !pod.ips.is_empty() {
        let has = |family| pod.ips.iter().any(|ip| IpFamily::of(*ip) == family);
        for family in IpFamily::BOTH.into_iter().filter(|family| !has(*family)) {
            facts.lacking.entry(family).or_insert(pod);
        }
    }
}

fn both(families: impl Iterator<Item = IpFamily>) -> bool {
    families.collect::<BTreeSet<_>>().len() == 2
}

/// A controller that keeps pods running; Jobs, and static pods that belong to their node, are others.
fn is_workload(pod: &Pod) -> bool {
    let owner = pod.meta.owner.as_ref();
    owner.is_some_and(|owner| {
        matches!(&*owner.kind, "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Deployment")
    })
}

/// One Service, prepared for checks.
#[derive(Debug)]
pub struct Subject<'a> {
    pub facts: &'a Facts<'a>,
    pub service: &'a Arc<Service>,
    /// `P(S)`: what the selector matches, in any phase. Empty without a selector.
    pub pods: &'a [&'a Arc<Pod>],
    /// `ES(S)`, by name.
    pub slices: Vec<&'a Arc<EndpointSlice>>,
    /// `EP(S)`.
    pub endpoints: Option<&'a Arc<Endpoints>>,
    /// The ready endpoints of `ES(S)`, or, if there are none, those that serve while they terminate. Each address once.
    pub usable: Vec<&'a Endpoint>,
}

impl<'a> Subject<'a> {
    pub fn object(&self) -> ObjectRef {
        self.service.object_ref()
    }

    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(self.object(), message)
    }

    pub(super) fn namespace(&self) -> &'a str {
        &self.service.meta.key.namespace
    }

    pub(super) fn name(&self) -> &'a str {
        &self.service.meta.key.name
    }

    /// It is being deleted, or its namespace is.
    pub(super) fn is_going(&self) -> bool {
        let namespace = self.facts.state.namespaces().get(&Key::cluster(self.service.namespace().clone()));
        self.service.meta.terminating() || namespace.is_some_and(|namespace| namespace.meta.terminating())
    }

    pub(super) fn is_external_name(&self) -> bool {
        self.service.service_type == ServiceType::ExternalName
    }

    pub(super) fn is_balancer(&self) -> bool {
        self.service.service_type == ServiceType::LoadBalancer
    }

    /// A selector that counts: an ExternalName's does not.
    pub(super) fn has_selector(&self) -> bool {
        self.service.selector.is_some() && !self.is_external_name()
    }

    /// Reached from outside: `externalTrafficPolicy` means something.
    pub(super) fn is_external(&self) -> bool {
        match self.service.service_type {
            ServiceType::NodePort | ServiceType::LoadBalancer => true,
            ServiceType::ClusterIP => !self.service.external_ips.is_empty() && !self.service.is_headless(),
            ServiceType::ExternalName => false,
        }
    }

    pub(super) fn is_external_local(&self) -> bool {
        self.is_external() && self.service.external_policy == TrafficPolicy::Local
    }

    /// Selected pods that may serve again: neither succeeded nor failed.
    pub(super) fn live_pods(&self) -> impl Iterator<Item = &'a Arc<Pod>> + Clone + use<'a> {
        self.pods.iter().copied().filter(|pod| !pod.phase.is_final())
    }

    /// Nodes of the usable endpoints.
    pub(super) fn nodes(&self) -> BTreeSet<&'a Text> {
        self.usable.iter().filter_map(|endpoint| endpoint.node.as_ref()).collect()
    }

    /// `app=web,tier=backend`, as kubectl's `-l` takes it.
    pub(super) fn selector_text(&self) -> String {
        let pairs = self.service.selector.iter().flat_map(|selector| selector.iter());
        pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }

    /// Slices that a user, or a controller of their own, keeps.
    pub(super) fn foreign_slices(&self) -> impl Iterator<Item = &'a Arc<EndpointSlice>> {
        self.slices.iter().copied().filter(|slice| !is_controllers(&slice.meta) && !is_mirrored(&slice.meta))
    }

    /// Ports with their index, for paths and patches.
    pub(super) fn ports(&self) -> impl Iterator<Item = (usize, &'a ServicePort)> {
        self.service.ports.iter().enumerate()
    }
}

/// Kept by the controller that follows selectors.
pub(super) fn is_controllers(slice: &Meta) -> bool {
    slice.labels.get(MANAGED_BY_LABEL).is_some_and(|manager| &**manager == SLICE_CONTROLLER)
}

/// A copy of hand-made Endpoints.
pub(super) fn is_mirrored(slice: &Meta) -> bool {
    slice.labels.get(MANAGED_BY_LABEL).is_some_and(|manager| &**manager == MIRRORING_CONTROLLER)
}

/// For people: `http (80/TCP)` or `80/TCP`.
pub(super) fn port_text(port: &ServicePort) -> String {
    let number = format!("{}/{}", port.port, port.protocol);
    if port.name.is_empty() { number } else { format!("{} ({number})", port.name) }
}

/// `app=web,tier=backend`, or `(none)`.
pub(super) fn labels_text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "(none)".to_owned() } else { pairs.join(",") }
}

/// The first few, and how many more there are.
pub(super) fn list(all: impl IntoIterator<Item = impl ToString>) -> String {
    const MOST: usize = 5;
    let mut all = all.into_iter();
    let mut text = all.by_ref().take(MOST).map(|each| each.to_string()).collect::<Vec<_>>().join(", ");
    match all.count() {
        0 => {}
        more => text.push_str(&format!(" and {more} more")),
    }
    text
}

/// `1 pod`, `3 pods`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
