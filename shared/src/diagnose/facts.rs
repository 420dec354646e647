//! What checks ask for, worked out once per cluster ([`Facts`]) and once per Service ([`Subject`]). The letters in the
//! checks' conditions mean: `P(S)` the selected pods, `ES(S)` the slices, `EP(S)` the Endpoints of the Service's name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Progress;
use super::finding::Problem;
use crate::model::{
    ClusterState, Endpoint, EndpointSlice, Endpoints, Freshness, IpFamily, Key, Keyed, Kind, Labels,
    MANAGED_BY_LABEL, Meta, Node, ObjectRef, Pod, Protocol, ProxyMode, Selectors, Service, ServicePort,
    ServiceType, Table, Text, TrafficPolicy,
};

/// Manager of the slices that follow a selector.
const SLICE_CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// Manager of the slices that mirror Endpoints.
const MIRRORING_CONTROLLER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints that a controller keeps (Kubernetes 1.33 and later).
const ENDPOINTS_MANAGER_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// Annotation of Endpoints that only hold a lock.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// Where node ports are unless an API server is told otherwise.
pub(super) const DEFAULT_NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// A cluster, prepared for checks.
#[derive(Debug)]
pub struct Facts<'a> {
    pub state: &'a ClusterState,
    pub now: Timestamp,
    /// The cluster domain.
    pub zone: &'static str,
    /// Zones of the nodes.
    pub zones: BTreeSet<&'a Text>,
    /// The namespaces that checks of the cluster as a whole look at; `None`: all.
    scope: Option<BTreeSet<Text>>,
    /// The namespaces whose pods were looked at; `None`: all.
    gathered: Option<BTreeSet<Text>>,
    /// The Services that are looked at; `None`: all.
    asked: Option<BTreeSet<Key>>,
    /// What all pods tell together. Where not all were looked at it is worked out when somebody asks.
    whole: Arc<Whole>,
    /// For each label that a selector without pods asks for. Worked out when somebody asks.
    strangers: OnceLock<Strangers>,
    selections: HashMap<&'a Key, Vec<&'a Arc<Pod>>>,
    selected_by: HashMap<&'a Key, Vec<&'a Key>>,
    node_ports: BTreeMap<NonZeroU16, Vec<&'a Arc<Service>>>,
    cluster_ips: FxHashMap<IpAddr, &'a Arc<Service>>,
    workloads: HashMap<&'a Text, HashMap<Text, Vec<&'a Arc<Pod>>>>,
    endpoints_are_labelled: bool,
}

/// The pods, in any namespace, that first have a label.
type Strangers = HashMap<(Text, Text), Key>;

/// Pods in their node's network, by the ports that they name.
type HostPorts = FxHashMap<NonZeroU16, Vec<(Protocol, Key)>>;

fn host_ports(state: &ClusterState) -> HostPorts {
    let mut ports = HostPorts::default();
    for pod in state.pods().values().filter(|pod| pod.host_network && !pod.phase.is_final()) {
        for port in pod.containers.iter().flat_map(|container| &container.ports) {
            ports.entry(port.port).or_default().push((port.protocol, pod.key().clone()));
        }
    }
    ports
}

/// What depends on the nodes, and on the pods of all namespaces.
#[derive(Debug, Default)]
struct Whole {
    /// Some pod or node has addresses of both families.
    dual_stack: OnceLock<bool>,
    /// For each family the first pod that has no address of it, but one of the other.
    lacking: [OnceLock<Option<Key>>; 2],
    host_ports: OnceLock<HostPorts>,
}

impl<'a> Facts<'a> {
    /// What Services and nodes tell, without any pod. Pods follow namespace by namespace with [`Facts::gather`], or all of
    /// them with [`Gathering`].
    pub(super) fn of_services(state: &'a ClusterState, now: Timestamp) -> Facts<'a> {
        let (mut node_ports, mut cluster_ips) = (BTreeMap::<_, Vec<_>>::new(), FxHashMap::default());
        cluster_ips.reserve(state.services().len());
        for service in state.services().values() {
            let ports: BTreeSet<_> = service.ports.iter().filter_map(|port| port.node_port).collect();
            ports.into_iter().for_each(|port| node_ports.entry(port).or_default().push(service));
            cluster_ips.extend(service.cluster_ip.ips().iter().map(|ip| (*ip, service)));
        }
        let endpoints_are_labelled = state
            .endpoints()
            .values()
            .any(|object| object.meta.labels.get(ENDPOINTS_MANAGER_LABEL).is_some());
        Facts {
            state,
            now,
            zone: "cluster.local",
            zones: state.nodes().values().filter_map(|node| node.zone()).collect(),
            scope: None,
            asked: None,
            gathered: Some(BTreeSet::new()),
            whole: Arc::default(),
            strangers: OnceLock::new(),
            selections: HashMap::new(),
            selected_by: HashMap::new(),
            node_ports,
            cluster_ips,
            workloads: HashMap::new(),
            endpoints_are_labelled,
        }
    }

    /// Lets both find out only once what nodes and pods tell together: they have the same ones.
    pub(super) fn share_pods_with(&mut self, other: &Facts<'_>) {
        self.whole = other.whole.clone();
    }

    /// Looks at the pods of a namespace: enough for checks of its Services.
    pub(super) fn gather(&mut self, namespace: &Text) {
        if !self.gathered.as_mut().is_some_and(|gathered| gathered.insert(namespace.clone())) {
            return;
        }
        let selectors = self.state.selectors_in(namespace);
        for pod in self.state.pods().in_namespace(namespace) {
            take_pod(self, &selectors, pod);
        }
    }

    /// Looks at the pods that checks of a Service need.
    pub(super) fn gather_for(&mut self, service: &Key) {
        let service = self.state.services().get(service);
        if let Some(service) = service.filter(|service| service.selector.is_some()) {
            self.gather(service.namespace());
        }
    }

    /// Some pod of the namespace gets variables of its Services.
    pub(super) fn has_listener(&self, namespace: &Text) -> bool {
        let mut pods = self.state.pods().in_namespace(namespace);
        pods.any(|pod| !pod.no_service_links && !pod.phase.is_final())
    }

    /// Lets checks look at these Services only, and checks of the cluster as a whole at these namespaces.
    pub(super) fn confine(&mut self, services: &BTreeSet<Key>, namespaces: &BTreeSet<Text>) {
        services.iter().for_each(|key| self.gather_for(key));
        self.asked = Some(services.clone());
        self.scope = Some(namespaces.clone());
    }

    /// The objects that a check of the cluster as a whole looks at, by namespace and name.
    pub(super) fn in_scope<'s, T>(
        &'s self,
        table: &'a Table<T>,
    ) -> Box<dyn Iterator<Item = &'a Arc<T>> + 's> {
        match &self.scope {
            None => Box::new(table.values()),
            Some(namespaces) => {
                Box::new(namespaces.iter().flat_map(|namespace| table.in_namespace(namespace)))
            }
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

    /// Some pod or node has addresses of both families.
    pub(super) fn dual_stack(&self) -> bool {
        let of_pod = |pod: &Arc<Pod>| both(pod.ips.iter().copied().map(IpFamily::of));
        let all = || self.nodes_are_dual_stack() || self.state.pods().values().any(of_pod);
        *self.whole.dual_stack.get_or_init(all)
    }

    fn nodes_are_dual_stack(&self) -> bool {
        let of_node = |node: &Arc<Node>| both(node.pod_cidrs.iter().map(|cidr| IpFamily::of(cidr.network())));
        self.state.nodes().values().any(of_node)
    }

    /// Some pod without an address of the family, but with one of the other.
    pub(super) fn pod_lacking(&self, family: IpFamily) -> Option<&'a Arc<Pod>> {
        let mut pods = self.state.pods().values();
        let first = || pods.find(|pod| lacks(pod, family)).map(|pod| pod.key().clone());
        let known = self.whole.lacking[family as usize].get_or_init(first);
        self.state.pods().get(known.as_ref()?)
    }

    /// A pod of another namespace that a selector without pods of its own would match. Of the pods with each of its labels
    /// only the first is looked at.
    pub(super) fn stranger(&self, selector: &'a Labels) -> Option<&'a Arc<Pod>> {
        let strangers = self.strangers.get_or_init(|| self.strangers());
        let first = |pair| strangers.get(&owned(pair));
        let mut candidates = selector.iter().filter_map(first).filter_map(|pod| self.state.pods().get(pod));
        candidates.find(|pod| selector.selects(&pod.meta.labels))
    }

    /// For the Services that are looked at and select no pods.
    fn strangers(&self) -> Strangers {
        let mut wanted = self.wanted_labels();
        // Most labels are ruled out without a look at their text.
        let lengths: FxHashSet<(usize, usize)> = wanted.iter().map(|(k, v)| (k.len(), v.len())).collect();
        let mut found = Strangers::new();
        for pod in self.state.pods().values() {
            if wanted.is_empty() {
                break;
            }
            let pairs = pod.meta.labels.iter();
            for pair in pairs.filter(|(k, v)| lengths.contains(&(k.len(), v.len()))) {
                if wanted.remove(&pair) {
                    found.insert(owned(pair), pod.key().clone());
                }
            }
        }
        found
    }

    /// The labels that selectors without pods ask for.
    fn wanted_labels(&self) -> FxHashSet<(&'a Text, &'a Text)> {
        let known = |service: &&Arc<Service>| {
            self.asked.as_ref().is_none_or(|asked| asked.contains(service.key()))
                && self.gathered.as_ref().is_none_or(|gathered| gathered.contains(service.namespace()))
        };
        let empty = |service: &&Arc<Service>| !self.selections.contains_key(service.key());
        let services = self.state.services().values().filter(known).filter(empty);
        services.filter_map(|service| service.selector.as_ref()).flat_map(Labels::iter).collect()
    }

    /// Some Endpoints have the label of the controller.
    pub(super) fn endpoints_are_labelled(&self) -> bool {
        self.endpoints_are_labelled
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

    /// The running pods with hostNetwork that name this port, with its protocol. Pods of all namespaces are looked at, once.
    pub(super) fn on_host_port(&self, port: NonZeroU16) -> &[(Protocol, Key)] {
        let ports = self.whole.host_ports.get_or_init(|| host_ports(self.state));
        ports.get(&port).map_or(&[], Vec::as_slice)
    }

    /// All node ports in use.
    pub(super) fn node_ports(&self) -> impl Iterator<Item = NonZeroU16> {
        self.node_ports.keys().copied()
    }

    /// Some node port is of the default range.
    pub(super) fn has_default_node_ports(&self) -> bool {
        self.node_ports().any(|port| DEFAULT_NODE_PORTS.contains(&port.get()))
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

/// Adds to [`Facts`] what all pods tell, some pods at a time.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    selectors: Selectors<'a>,
    /// Pods that are still to be looked at.
    pods: std::vec::IntoIter<&'a Arc<Pod>>,
    dual_stack: bool,
    lacking: [Option<&'a Arc<Pod>>; 2],
    /// `None` until all pods were looked at once.
    strangers: Option<SearchForStrangers<'a>>,
}

#[derive(Debug)]
struct SearchForStrangers<'a> {
    /// The labels that selectors without pods ask for.
    wanted: FxHashSet<(&'a Text, &'a Text)>,
    found: Strangers,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(state: &'a ClusterState) -> Gathering<'a> {
        let (selectors, pods) = (state.selectors(), pods_of(state));
        Gathering { selectors, pods, dual_stack: false, lacking: [None; 2], strangers: None }
    }

    /// Looks at up to so many more pods.
    pub(super) fn step(&mut self, facts: &mut Facts<'a>, pods: usize) -> Progress {
        for pod in self.pods.by_ref().take(pods) {
            if let Some(search) = &mut self.strangers {
                for pair in pod.meta.labels.iter().filter(|pair| search.wanted.contains(pair)) {
                    search.found.entry(owned(pair)).or_insert_with(|| pod.key().clone());
                }
                continue;
            }
            take_pod(facts, &self.selectors, pod);
            self.dual_stack |= both(pod.ips.iter().copied().map(IpFamily::of));
            for family in IpFamily::BOTH.into_iter().filter(|family| lacks(pod, *family)) {
                self.lacking[family as usize].get_or_insert(pod);
            }
        }
        if self.pods.len() > 0 {
            return Progress::More;
        }
        match self.strangers.take() {
            None => self.look_for_strangers(facts),
            Some(search) => {
                let _ = facts.strangers.set(search.found);
                Progress::Done
            }
        }
    }

    fn look_for_strangers(&mut self, facts: &mut Facts<'a>) -> Progress {
        facts.gathered = None;
        let _ = facts.whole.dual_stack.set(self.dual_stack || facts.nodes_are_dual_stack());
        for (known, found) in facts.whole.lacking.iter().zip(self.lacking) {
            let _ = known.set(found.map(|pod| pod.key().clone()));
        }
        let wanted = facts.wanted_labels();
        if wanted.is_empty() {
            return Progress::Done;
        }
        self.pods = pods_of(facts.state);
        self.strangers = Some(SearchForStrangers { wanted, found: Strangers::new() });
        if self.pods.len() == 0 { Progress::Done } else { Progress::More }
    }
}

fn owned((key, value): (&Text, &Text)) -> (Text, Text) {
    (key.clone(), value.clone())
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
}

/// It may serve, and has an address of the other family only.
pub(super) fn lacks(pod: &Pod, family: IpFamily) -> bool {
    let has = |ip: &IpAddr| IpFamily::of(*ip) == family;
    !pod.phase.is_final() && !pod.ips.is_empty() && !pod.ips.iter().any(has)
}

pub(super) fn both(families: impl Iterator<Item = IpFamily>) -> bool {
    let mut seen = [false; 2];
    families.for_each(|family| seen[family as usize] = true);
    seen == [true, true]
}

/// A controller that keeps pods running; Jobs, and static pods that belong to their node, are others.
pub(super) fn is_workload(pod: &Pod) -> bool {
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
