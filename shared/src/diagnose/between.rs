//! Findings of two clusters that differ in a few objects: only those that can differ, so that nobody has to diagnose both clusters.
//!
//! [`concerned`] gives a superset of the Services whose findings can differ. It follows what checks ask for: a check that looks at
//! something new beside its own Service needs a line there. Whatever concerns all Services (nodes, but for their zones and
//! whether new pods are placed on them; kube-proxy's settings; the first pod with a second family) gives `None`: then all have to be looked at. Checks
//! of the cluster as a whole look at the namespaces of what has changed.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::checks::{How, asks_for_hints, leads_to};
use super::facts::{Facts, both, is_controllers, is_workload, lacks};
use super::{Code, Finding, Options, Report, finish, of_service, runnable, suppression};
use crate::model::{
    ClusterState, IpFamily, Key, Keyed, Kind, Node, ObjectRef, Pod, Service, ServiceType, SubsetAddress,
    Text, TrafficPolicy, ZONE_LABEL,
};

/// The check that asks for the zones of endpoints, wherever a Service asks for no hints.
const OF_ZONES: Code = Code(51);

/// The findings of each cluster that the other one may not have, in the order of a report. `changed` holds all objects that
/// differ. `None`: anything can differ.
pub(crate) async fn between(
    states: [&ClusterState; 2],
    changed: &[ObjectRef],
    options: &Options,
    pause: &impl AsyncFn(),
) -> Option<[Vec<Finding>; 2]> {
    let api = Key::new("default", "kubernetes");
    let is_global = |object: &ObjectRef| match object.kind {
        Kind::ProxyConfig => true,
        Kind::Node => !differs_a_little(states, &object.key),
        Kind::Service => object.key == api,
        _ => false,
    };
    if changed.iter().any(is_global) {
        return None;
    }
    let mut facts = states.map(|state| Facts::of_services(state, options.now));
    let [before, after] = &mut facts;
    if changed.iter().all(|object| object.kind != Kind::Pod) {
        after.share_pods_with(before);
    }
    let [before, after] = &facts;
    let checks = [before, after].map(|facts| runnable(facts, &mut Report::default()));
    let codes = checks.each_ref().map(|checks| checks.iter().map(|check| check.code).collect::<Vec<_>>());
    let labelled = [before, after].map(Facts::endpoints_are_labelled);
    let ranged = [before, after].map(Facts::has_default_node_ports);
    if codes[0] != codes[1] || labelled[0] != labelled[1] || ranged[0] != ranged[1] {
        return None;
    }
    let mut changes = Changes::of(states, changed);
    let zones = [before, after].map(|facts| &facts.zones);
    let several = zones.map(|zones| zones.len() > 1);
    if several[0] != several[1] {
        return None;
    }
    changes.zones = zones[0] != zones[1];
    if changes.families_differ(&facts) {
        return None;
    }
    let concerned = concerned(&mut facts, &changes, pause).await;
    let [mut before, mut after] = facts;
    let mut findings = [Vec::new(), Vec::new()];
    for (nth, facts) in [&mut before, &mut after].into_iter().enumerate() {
        facts.confine(&concerned, &changes.namespaces);
        pause().await;
        findings[nth] = found(facts, [&concerned, &changes.rezoned], &checks[nth], options, pause).await;
    }
    Some(findings)
}

/// Whether the node is in both clusters, and nothing of it differs but its zone and whether new pods are placed on it.
fn differs_a_little(states: [&ClusterState; 2], node: &Key) -> bool {
    let [Some(before), Some(after)] = states.map(|state| state.nodes().get(node)) else { return false };
    let labels = |node: &Node| -> Vec<(Text, Text)> {
        let all = node.meta.labels.iter().filter(|(name, _)| &***name != ZONE_LABEL);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut alike = Node { unschedulable: after.unschedulable, ready: after.ready, ..Node::clone(before) };
    alike.meta.labels = after.meta.labels.clone();
    alike == **after && labels(before) == labels(after)
}

async fn found(
    facts: &Facts<'_>,
    [services, rezoned]: [&BTreeSet<Key>; 2],
    checks: &[&'static super::Check],
    options: &Options,
    pause: &impl AsyncFn(),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in checks {
        if let How::Cluster(find) = check.how {
            findings.extend(find(facts).into_iter().map(|problem| finish(problem, check)));
            pause().await;
        }
    }
    let of_zones: Vec<_> = checks.iter().copied().filter(|check| check.code == OF_ZONES).collect();
    let all = services.iter().map(|key| (key, checks));
    for (key, checks) in all.chain(rezoned.difference(services).map(|key| (key, &of_zones[..]))) {
        if let Some(service) = facts.state.services().get(key) {
            findings.extend(of_service(&facts.subject(service), checks));
            pause().await;
        }
    }
    for finding in &mut findings {
        finding.suppressed = suppression(facts.state, options, finding);
    }
    findings.sort_by(|a, b| a.rank().cmp(&b.rank()));
    findings
}

/// What the changed objects have to do with others.
#[derive(Debug, Default)]
struct Changes<'a> {
    /// Where something has changed.
    namespaces: BTreeSet<Text>,
    /// Namespaces that are others, or new or gone.
    renewed: BTreeSet<Text>,
    /// Some node takes new pods, or takes none any longer.
    scheduling: bool,
    /// Nodes are in other zones than all nodes were before.
    zones: bool,
    /// The Services that have changed themselves, or their slices or Endpoints.
    services: BTreeSet<Key>,
    /// The Services of which endpoints are in another zone, and nothing else; without those that ask for hints.
    rezoned: BTreeSet<Key>,
    /// Namespaces with a Service that is another.
    with_services: BTreeSet<Text>,
    /// Namespaces with a pod that is new or gone.
    with_pods: BTreeSet<Text>,
    /// Pods that are others, before and after.
    pods: Vec<[Option<&'a Arc<Pod>>; 2]>,
    /// Node ports and health-check node ports of Services that are others, and ports of such pods in their node's network.
    ports: HashSet<NonZeroU16>,
    /// Addresses of pods and Services that are others.
    ips: HashSet<IpAddr>,
    /// Cluster IPs that only one of the clusters has, or that are of another Service there.
    moved: HashSet<IpAddr>,
}

impl<'a> Changes<'a> {
    fn of(states: [&'a ClusterState; 2], changed: &[ObjectRef]) -> Changes<'a> {
        let mut changes = Changes::default();
        for ObjectRef { kind, key } in changed {
            if *kind == Kind::EndpointSlice && changes.take_zones(states, key) {
                continue;
            }
            changes.namespaces.insert(key.namespace.clone());
            match kind {
                Kind::Namespace => drop(changes.renewed.insert(key.name.clone())),
                Kind::Service => changes.take_service(states.map(|state| state.services().get(key)), key),
                Kind::Endpoints => drop(changes.services.insert(key.clone())),
                Kind::EndpointSlice => {
                    let slices = states.iter().filter_map(|state| state.slices().get(key));
                    changes.services.extend(slices.filter_map(|slice| slice.service()));
                }
                Kind::Pod => changes.take_pod(states.map(|state| state.pods().get(key)), key),
                Kind::Node => changes.scheduling = true,
                Kind::ProxyConfig => {}
            }
        }
        changes
    }

    /// Whether nothing else of the slice is another than the zones of endpoints, and nobody asks for hints.
    fn take_zones(&mut self, states: [&ClusterState; 2], key: &Key) -> bool {
        let [Some(before), Some(after)] = states.map(|state| state.slices().get(key)) else { return false };
        let owner = after.service();
        let services = states.iter().filter_map(|state| state.services().get(owner.as_ref()?));
        let same = (&before.meta, before.address_type, &before.ports)
            == (&after.meta, after.address_type, &after.ports)
            && before.has_same_endpoints_elsewhere(after);
        if !same || services.into_iter().any(|service| asks_for_hints(service)) {
            return false;
        }
        self.rezoned.extend(owner);
        true
    }

    fn take_service(&mut self, services: [Option<&Arc<Service>>; 2], key: &Key) {
        self.services.insert(key.clone());
        self.with_services.insert(key.namespace.clone());
        for service in services.into_iter().flatten() {
            self.ports.extend(service.ports.iter().filter_map(|port| port.node_port));
            self.ports.extend(service.health_check_node_port);
            self.ips.extend(service.cluster_ip.ips().iter().copied().chain(service.outside_ips()));
        }
        let own = services.map(|service| service.map(|service| service.cluster_ip.ips()).unwrap_or_default());
        if own[0] != own[1] {
            self.moved.extend(own.iter().copied().flatten());
        }
    }

    fn take_pod(&mut self, pods: [Option<&'a Arc<Pod>>; 2], key: &Key) {
        self.ips.extend(pods.iter().flatten().flat_map(|pod| pod.ips.iter().copied()));
        let hosts = pods.iter().flatten().filter(|pod| pod.host_network);
        let containers = hosts.flat_map(|pod| &pod.containers);
        self.ports.extend(containers.flat_map(|container| container.ports.iter().map(|port| port.port)));
        if pods.iter().any(Option::is_none) {
            self.with_pods.insert(key.namespace.clone());
        }
        self.pods.push(pods);
    }

    /// Whether one cluster has pods with addresses of both families, or of one alone, and the other has none.
    fn families_differ(&self, facts: &[Facts<'a>; 2]) -> bool {
        let has = |nth: usize, is: &dyn Fn(&Pod) -> bool| {
            self.pods.iter().filter_map(|pods| pods[nth]).any(|pod| is(pod))
        };
        let differ = |is: &dyn Fn(&Pod) -> bool| has(0, is) != has(1, is);
        let is_dual = |pod: &Pod| both(pod.ips.iter().copied().map(IpFamily::of));
        let [before, after] = facts;
        (differ(&is_dual) && before.dual_stack() != after.dual_stack())
            || IpFamily::BOTH.into_iter().any(|family| {
                let found = |facts: &Facts<'_>| facts.pod_lacking(family).is_some();
                differ(&|pod| lacks(pod, family)) && found(before) != found(after)
            })
    }
}

/// The Services whose findings can differ.
async fn concerned(
    facts: &mut [Facts<'_>; 2],
    changes: &Changes<'_>,
    pause: &impl AsyncFn(),
) -> BTreeSet<Key> {
    let mut keys = changes.services.clone();
    for facts in facts.iter_mut() {
        for key in &changes.services {
            if facts.state.services().contains(key) {
                facts.gather_for(key);
                pause().await;
            }
        }
        for pod in changes.pods.iter().flatten().flatten() {
            facts.gather(pod.namespace());
            pause().await;
        }
    }
    let listened = |namespace: &Text| facts.each_ref().map(|facts| facts.has_listener(namespace));
    let altered =
        changes.with_pods.iter().chain(changes.pods.iter().flatten().flatten().map(|pod| pod.namespace()));
    let heard: BTreeSet<&Text> = altered
        .filter(|namespace| {
            let [before, after] = listened(namespace);
            before != after
        })
        .collect();
    for facts in &*facts {
        let near = Near { facts, changes };
        keys.extend(near.of_pods());
        let all = facts.state.services().values();
        keys.extend(all.filter(|service| near.concerns(service)).map(|service| service.key().clone()));
        for namespace in &heard {
            keys.extend(facts.state.services().in_namespace(namespace).map(|service| service.key().clone()));
        }
        keys.extend(near.with_moved_endpoints());
    }
    // Whoever shares pods with one of them says how many, and of what kind the other Service is.
    let mut sharing = BTreeSet::new();
    for facts in &*facts {
        for key in &keys {
            let pods = facts.selection(key).iter().flat_map(|pod| facts.selected_by(pod.key()));
            sharing.extend(pods.copied().cloned());
        }
    }
    keys.extend(sharing);
    keys
}

/// One of the clusters, and what has changed.
struct Near<'a, 'b> {
    facts: &'b Facts<'a>,
    changes: &'b Changes<'b>,
}

impl Near<'_, '_> {
    /// The Services that select a changed pod, or are named like its workload.
    fn of_pods(&self) -> BTreeSet<Key> {
        let mut keys = BTreeSet::new();
        for pod in self.changes.pods.iter().flatten().flatten() {
            keys.extend(self.facts.selected_by(pod.key()).iter().copied().cloned());
            if is_workload(pod) {
                keys.insert(Key::new(pod.namespace().clone(), pod.workload()));
            }
        }
        let namespaces: BTreeSet<&Text> =
            self.changes.pods.iter().flatten().flatten().map(|pod| pod.namespace()).collect();
        for namespace in namespaces {
            let renewed = self.changes.with_pods.contains(namespace);
            let concerned = self.facts.state.services().in_namespace(namespace).filter(|service| {
                // How many pods there are, and where they run.
                (renewed && self.facts.selection(service.key()).is_empty())
                    || service.internal_policy == TrafficPolicy::Local
            });
            keys.extend(concerned.map(|service| service.key().clone()));
        }
        keys
    }

    /// What is seen of the Service itself.
    fn concerns(&self, service: &Arc<Service>) -> bool {
        let Changes { renewed, with_services, ports, ips, .. } = self.changes;
        let namespace = service.namespace();
        let numbers =
            service.ports.iter().filter_map(|port| port.node_port).chain(service.health_check_node_port);
        let same_port = || !ports.is_empty() && numbers.into_iter().any(|port| ports.contains(&port));
        renewed.contains(namespace)
            || (self.changes.zones && asks_for_hints(service))
            || (self.changes.scheduling && service.external_policy == TrafficPolicy::Local)
            || (with_services.contains(namespace) && self.shares_names(service))
            || same_port()
            || service.external_ips.iter().any(|ip| ips.contains(ip))
            || (service.service_type == ServiceType::ExternalName && self.leads_to_changed(service))
    }

    /// The one that counts all Services of its namespace, and one whose variables a changed Service defines, too.
    fn shares_names(&self, service: &Arc<Service>) -> bool {
        let state = self.facts.state;
        let mut proxied =
            state.services().in_namespace(service.namespace()).filter(|other| other.is_proxied());
        let twin = || Key::new(service.namespace().clone(), format!("{}-service", service.name()));
        self.changes.services.contains(&twin())
            || proxied.next().is_some_and(|first| Arc::ptr_eq(first, service))
    }

    /// Some Service on the way of external names is in a namespace where Services or pods come and go.
    fn leads_to_changed(&self, service: &Arc<Service>) -> bool {
        let Changes { renewed, with_services, with_pods, .. } = self.changes;
        let (mut seen, mut at) = (BTreeSet::new(), Some(service));
        while let Some(service) = at.filter(|service| service.service_type == ServiceType::ExternalName) {
            let next = service.external_name.as_deref().and_then(|name| leads_to(self.facts, name));
            let Some(next) = next else { return false };
            if [renewed, with_services, with_pods].iter().any(|known| known.contains(&next.namespace)) {
                return true;
            }
            at = self.facts.state.services().get(&next);
            if !seen.insert(next) {
                return false;
            }
        }
        false
    }

    /// Services with an endpoint, made by hand, at a cluster IP that has moved.
    fn with_moved_endpoints(&self) -> BTreeSet<Key> {
        let moved = &self.changes.moved;
        let mut keys = BTreeSet::new();
        if moved.is_empty() {
            return keys;
        }
        for slice in self.facts.state.slices().values().filter(|slice| !is_controllers(&slice.meta)) {
            let mut ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
            if ips.any(|ip| moved.contains(&ip)) {
                keys.extend(slice.service());
            }
        }
        for object in self.facts.state.endpoints().values().filter(|object| self.facts.is_hand_made(object)) {
            let mut subsets = object.subsets.iter();
            let has = |address: &SubsetAddress| moved.contains(&address.ip);
            if subsets.any(|subset| subset.addresses.iter().chain(&subset.not_ready).any(has)) {
                keys.insert(object.key().clone());
            }
        }
        keys
    }
}
