//! [`ClusterState`]: every object by key, with the few indexes that all questions need.
//!
//! Read-only here: `delta` holds its only mutation. Objects and tables are behind `Arc`, so a clone of the whole state is cheap: at
//! the first change after a clone a table copies pointers to the objects of one namespace, and an object that did not change
//! stays the same pointer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    EndpointSlice, Endpoints, Fault, Key, Keyed, Kind, Labels, Namespace, Node, ObjectRef, Pod, PodsOfNode,
    ProxyConfig, ProxySettings, Service, Source, Table, Text,
};

/// The cluster as known: objects, how fresh each kind is, and what could not be read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Tables")]
pub struct ClusterState {
    pub(crate) namespaces: Table<Namespace>,
    pub(crate) nodes: Table<Node>,
    pub(crate) pods: Table<Pod>,
    pub(crate) services: Table<Service>,
    pub(crate) slices: Table<EndpointSlice>,
    pub(crate) endpoints: Table<Endpoints>,
    pub(crate) proxy_configs: Table<ProxyConfig>,
    pub(crate) sources: BTreeMap<Kind, Source>,
    #[serde(serialize_with = "values")]
    pub(crate) faults: BTreeMap<ObjectRef, Arc<Fault>>,
    /// Slice names by Service key (same namespace). Derived.
    #[serde(skip)]
    pub(crate) slices_by_service: Arc<BTreeMap<Key, BTreeSet<Text>>>,
    /// Pods by node name. Derived.
    #[serde(skip)]
    pub(crate) pods_by_node: Arc<BTreeMap<Text, Arc<PodsOfNode>>>,
}

/// A label of pods: namespace, key, value.
type LabelOf<'a> = (&'a Text, &'a Text, &'a Text);

/// The selectors of all Services, by the first pair of each: a pod is asked only by Services that share one of its labels.
#[derive(Debug, Default)]
pub struct Selectors<'a> {
    askers: HashMap<LabelOf<'a>, Vec<(&'a Key, &'a Labels)>>,
}

impl<'a> Selectors<'a> {
    fn of(services: impl Iterator<Item = &'a Arc<Service>>) -> Selectors<'a> {
        let mut askers: HashMap<LabelOf<'a>, Vec<(&'a Key, &'a Labels)>> = HashMap::new();
        for service in services {
            let Some(selector) = &service.selector else { continue };
            let Some((key, value)) = selector.iter().next() else { continue };
            askers.entry((service.namespace(), key, value)).or_default().push((service.key(), selector));
        }
        Selectors { askers }
    }

    /// The Services that select the pod, each once.
    pub fn that_select<'s>(&'s self, pod: &'s Pod) -> impl Iterator<Item = &'a Key> + 's {
        let asking = |(key, value)| self.askers.get(&(pod.namespace(), key, value)).into_iter().flatten();
        let selecting = pod.meta.labels.iter().flat_map(asking);
        selecting.filter(|(_, selector)| selector.selects(&pod.meta.labels)).map(|(service, _)| *service)
    }
}

/// What of a [`ClusterState`] is on the wire; the indexes are rebuilt from it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tables {
    namespaces: Table<Namespace>,
    nodes: Table<Node>,
    pods: Table<Pod>,
    services: Table<Service>,
    slices: Table<EndpointSlice>,
    endpoints: Table<Endpoints>,
    proxy_configs: Table<ProxyConfig>,
    sources: BTreeMap<Kind, Source>,
    faults: Vec<Arc<Fault>>,
}

fn values<S: Serializer>(faults: &BTreeMap<ObjectRef, Arc<Fault>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(faults.values())
}

impl From<Tables> for ClusterState {
    fn from(tables: Tables) -> ClusterState {
        let mut state = ClusterState {
            namespaces: tables.namespaces,
            nodes: tables.nodes,
            pods: tables.pods,
            services: tables.services,
            slices: tables.slices,
            endpoints: tables.endpoints,
            proxy_configs: tables.proxy_configs,
            sources: tables.sources,
            faults: tables.faults.into_iter().map(|fault| (fault.object.clone(), fault)).collect(),
            slices_by_service: Arc::default(),
            pods_by_node: Arc::default(),
        };
        let slices: Vec<_> = state.slices.values().cloned().collect();
        slices.iter().for_each(|slice| state.index_slice(slice));
        let pods: Vec<_> = state.pods.values().cloned().collect();
        pods.iter().for_each(|pod| state.index_pod(pod));
        state
    }
}

impl ClusterState {
    pub fn namespaces(&self) -> &Table<Namespace> {
        &self.namespaces
    }

    pub fn nodes(&self) -> &Table<Node> {
        &self.nodes
    }

    pub fn pods(&self) -> &Table<Pod> {
        &self.pods
    }

    pub fn services(&self) -> &Table<Service> {
        &self.services
    }

    pub fn slices(&self) -> &Table<EndpointSlice> {
        &self.slices
    }

    pub fn endpoints(&self) -> &Table<Endpoints> {
        &self.endpoints
    }

    pub fn proxy_configs(&self) -> &Table<ProxyConfig> {
        &self.proxy_configs
    }

    /// Freshness by kind; a kind that is not there was never asked for.
    pub fn sources(&self) -> &BTreeMap<Kind, Source> {
        &self.sources
    }

    /// Objects that could not be read.
    pub fn faults(&self) -> impl ExactSizeIterator<Item = &Arc<Fault>> {
        self.faults.values()
    }

    /// The slices of a Service, by slice name.
    pub fn slices_of(&self, service: &Key) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        let names = self.slices_by_service.get(service).into_iter().flatten();
        let keys = names.map(|name| Key { namespace: service.namespace.clone(), name: name.clone() });
        keys.filter_map(|key| self.slices.get(&key))
    }

    /// The pods of a node, by namespace and name.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Arc<Pod>> {
        let keys = self.pods_of_node(node).map(|pods| pods.keys());
        keys.into_iter().flatten().filter_map(|key| self.pods.get(key))
    }

    /// Names and addresses of the pods of a node; `None` if it has none. Clones share what is the same.
    pub fn pods_of_node(&self, node: &str) -> Option<&Arc<PodsOfNode>> {
        self.pods_by_node.get(node)
    }

    /// [`ClusterState::pods_of_node`] of every node that pods name, whether the node is known or not.
    pub fn pods_of_nodes(&self) -> impl Iterator<Item = (&Text, &Arc<PodsOfNode>)> + Clone {
        self.pods_by_node.iter()
    }

    /// The pods that the Service's selector matches; none if it has no selector.
    pub fn selected_pods<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Arc<Pod>> {
        let selector = service.selector.as_ref();
        let pods =
            selector.map(|_| self.pods.in_namespace(&service.meta.key.namespace)).into_iter().flatten();
        pods.filter(move |pod| selector.is_some_and(|selector| selector.selects(&pod.meta.labels)))
    }

    /// The selectors of all Services, ready to be held against pods.
    pub fn selectors(&self) -> Selectors<'_> {
        Selectors::of(self.services.values())
    }

    /// [`ClusterState::selectors`] of one namespace.
    pub fn selectors_in(&self, namespace: &Text) -> Selectors<'_> {
        Selectors::of(self.services.in_namespace(namespace))
    }

    /// [`ClusterState::selectors`] of these Services.
    pub fn selectors_of<'a>(&'a self, services: impl Iterator<Item = &'a Key>) -> Selectors<'a> {
        Selectors::of(services.filter_map(|key| self.services.get(key)))
    }

    /// [`ClusterState::selected_pods`] of all Services at once, in one pass over the pods instead of one per Service.
    /// Services that select nothing are left out.
    pub fn selections(&self) -> HashMap<&Key, Vec<&Arc<Pod>>> {
        let selectors = self.selectors();
        let mut selections: HashMap<&Key, Vec<&Arc<Pod>>> = HashMap::new();
        for pod in self.pods.values() {
            for service in selectors.that_select(pod) {
                selections.entry(service).or_default().push(pod);
            }
        }
        selections
    }

    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(&Key::cluster(name))
    }

    /// kube-proxy's configuration, if the cluster shows one.
    pub fn proxy_config(&self) -> Option<&Arc<ProxyConfig>> {
        self.proxy_configs.get(&ProxyConfig::well_known_key())
    }

    /// kube-proxy's settings on `node`; a stock kube-proxy's if the cluster shows none.
    pub fn proxy_settings(&self, node: &str) -> ProxySettings {
        self.proxy_config().map_or_else(ProxySettings::default, |config| config.for_node(node).clone())
    }

    pub(crate) fn index_slice(&mut self, slice: &EndpointSlice) {
        if let Some(service) = slice.service() {
            let index = Arc::make_mut(&mut self.slices_by_service);
            index.entry(service).or_default().insert(slice.name().clone());
        }
    }

    pub(crate) fn unindex_slice(&mut self, slice: &EndpointSlice) {
        let Some(service) = slice.service() else { return };
        let index = Arc::make_mut(&mut self.slices_by_service);
        if let Some(names) = index.get_mut(&service) {
            names.remove(slice.name());
            if names.is_empty() {
                index.remove(&service);
            }
        }
    }

    pub(crate) fn index_pod(&mut self, pod: &Pod) {
        if let Some(node) = &pod.node {
            let index = Arc::make_mut(&mut self.pods_by_node);
            Arc::make_mut(index.entry(node.clone()).or_default()).insert(pod);
        }
    }

    pub(crate) fn unindex_pod(&mut self, pod: &Pod) {
        let Some(node) = &pod.node else { return };
        let index = Arc::make_mut(&mut self.pods_by_node);
        if let Some(pods) = index.get_mut(node) {
            let pods = Arc::make_mut(pods);
            pods.remove(pod);
            if pods.is_empty() {
                index.remove(node);
            }
        }
    }
}
