//! All simulated nodes: they follow one picture of the cluster, each at its own pace, and clients connect through them.
//!
//! Time is a parameter (milliseconds since the beginning), so that a test needs no sleep: [`World::see`] takes in objects,
//! [`World::pass`] lets time go by. The same seed, objects and times give the same connections.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use vipscope_shared::delta::{Applied, Change};
use vipscope_shared::manifest;
use vipscope_shared::model::{
    ClusterState, IpFamily, Key, Keyed, Kind, Node, ObjectRef, Pod, PodPhase, Protocol, ProxyMode, Service,
    ServicePort, Text, TrafficPolicy,
};
use vipscope_shared::predict::origin_of;
use vipscope_shared::proxy::incremental::{SharedPorts, Touched};
use vipscope_shared::trace::{Origin, Packet};
use vipscope_shared::traffic::NodeFault;

use vipscope_shared::traffic::{CALLS_ANNOTATION, Call, parse_calls, rate_of};

use super::callers::{Callers, Due, OUTSIDE_ANNOTATION, OUTSIDE_RATE, Who};
use super::faults::{self, FaultRefused};
use super::plane::{Cadence, Plane};
use crate::agent::ProxyStatus;
use crate::sandbox::chance::Chance;
use crate::sandbox::{nodes, object};

/// Time goes by in steps: what happens in one is not told apart.
const STEP: u64 = 50;
/// Services without an annotation that get calls from outside, at most.
const MOST_OUTSIDE: usize = 100;
/// Clients of the outside.
const OUTSIDE_CLIENTS: u64 = 32;
/// Connections stay open for so long, at least and at most.
const LASTS: (u64, u64) = (50, 2000);

/// See the module.
#[derive(Debug)]
pub struct World {
    seed: u64,
    cadence: Cadence,
    start: Timestamp,
    now: u64,
    state: ClusterState,
    /// [`World::state`], shared by all nodes that sync before it changes.
    snapshot: Option<Arc<ClusterState>>,
    ports: [SharedPorts; 2],
    planes: BTreeMap<Text, Plane>,
    callers: Callers,
    calls: HashMap<Key, Vec<Call>>,
    by_address: HashMap<IpAddr, BTreeSet<Key>>,
    /// Nodes on which nothing runs any longer.
    silent: BTreeSet<Text>,
    chance: Chance,
}

impl World {
    pub fn new(seed: u64, cadence: Cadence, start: Timestamp) -> World {
        let state = ClusterState::default();
        World {
            seed,
            cadence,
            start,
            now: 0,
            ports: IpFamily::BOTH.map(|family| SharedPorts::new(&state, family)),
            state,
            snapshot: None,
            planes: BTreeMap::new(),
            callers: Callers::new(seed),
            calls: HashMap::new(),
            by_address: HashMap::new(),
            silent: BTreeSet::new(),
            chance: Chance::new(seed),
        }
    }

    /// The wall's time at a time of this world.
    pub fn time(&self, at: u64) -> Timestamp {
        self.start.checked_add(Duration::from_millis(at)).unwrap_or(self.start)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Text> {
        self.planes.keys()
    }

    pub fn plane(&mut self, node: &str) -> Option<&mut Plane> {
        self.planes.get_mut(node)
    }

    pub fn status(&self, node: &str) -> Option<ProxyStatus> {
        Some(self.planes.get(node)?.status(self.now))
    }

    /// Switches exactly these faults of a node on.
    pub fn set_faults(&mut self, node: &str, faults: Vec<NodeFault>) -> Result<(), FaultRefused> {
        let plane = self.planes.get_mut(node).ok_or(FaultRefused::NoNode)?;
        faults::check(&self.state, &faults)?;
        plane.set_faults(faults, self.now);
        Ok(())
    }

    /// Only these are there.
    pub fn keep_nodes(&mut self, nodes: &BTreeSet<Text>) {
        let gone: Vec<Text> = self.planes.keys().filter(|node| !nodes.contains(*node)).cloned().collect();
        gone.into_iter().for_each(|node| self.see(Kind::Node, &Key::cluster(node), None));
    }

    /// Forgets all objects but nodes, as before a new list of them: nodes keep their rules.
    pub fn forget_objects(&mut self) {
        for kind in Kind::ALL {
            let keys: Vec<Key> = match kind {
                Kind::Namespace => self.state.namespaces().keys().cloned().collect(),
                Kind::Node => Vec::new(),
                Kind::Pod => self.state.pods().keys().cloned().collect(),
                Kind::Service => self.state.services().keys().cloned().collect(),
                Kind::EndpointSlice => self.state.slices().keys().cloned().collect(),
                Kind::Endpoints => self.state.endpoints().keys().cloned().collect(),
                Kind::ProxyConfig => self.state.proxy_configs().keys().cloned().collect(),
            };
            keys.into_iter().for_each(|key| self.see(kind, &key, None));
        }
    }

    /// An object is like this now, or gone.
    pub fn see(&mut self, kind: Kind, key: &Key, object: Option<&Value>) {
        let decoded = object.and_then(|object| manifest::decode_as(kind, object.clone()).object);
        let pod_before = (kind == Kind::Pod).then(|| self.state.pods().get(key).cloned()).flatten();
        let reference = ObjectRef { kind, key: key.clone() };
        let change = match decoded {
            Some(decoded) => Change::Upsert(decoded),
            None => Change::Delete(reference.clone()),
        };
        let changed = self.state.apply(&change) == Applied::Changed;
        match kind {
            Kind::Pod => self.see_pod(key, pod_before.as_deref(), object),
            Kind::Service => self.see_service(key, object),
            Kind::Node => self.see_node(key, object),
            _ => {}
        }
        if changed {
            self.snapshot = None;
            let touched = self.ports.each_mut().map(|ports| ports.update(&self.state, &reference));
            touched.iter().for_each(|touched| self.touch(touched));
            if kind == Kind::Endpoints {
                let reads = |plane: &&mut Plane| plane.mode() == Some(ProxyMode::Userspace);
                self.planes.values_mut().filter(reads).for_each(|plane| plane.touch(self.now));
            }
        }
    }

    fn touch(&mut self, touched: &Touched) {
        let (state, now) = (&self.state, self.now);
        match touched {
            Touched::Nothing => {}
            Touched::Services(_) | Touched::Size(_) => {
                self.planes.values_mut().for_each(|plane| plane.touch(now));
            }
            Touched::Node(_) | Touched::Settings => {
                let concerned = |plane: &&mut Plane| match touched {
                    Touched::Node(key) => plane.name == key.name,
                    _ => true,
                };
                for plane in self.planes.values_mut().filter(concerned) {
                    if plane.is_configured_otherwise(state) {
                        plane.touch(now);
                    }
                }
            }
        }
    }

    fn see_node(&mut self, key: &Key, object: Option<&Value>) {
        match object {
            Some(_) if !self.planes.contains_key(&key.name) => {
                let seed = hashed(&(self.seed, &key.name));
                self.planes.insert(key.name.clone(), Plane::new(key.name.clone(), self.cadence, seed));
            }
            Some(_) => {}
            None => drop(self.planes.remove(&key.name)),
        }
        let was = self.silent.contains(&key.name);
        let is = object.is_some_and(nodes::is_silent);
        if is {
            self.silent.insert(key.name.clone());
        } else {
            self.silent.remove(&key.name);
        }
        if was != is {
            let pods: Vec<Key> = self.state.pods_on(&key.name).map(|pod| pod.key().clone()).collect();
            pods.iter().for_each(|pod| self.set_caller(pod));
        }
    }

    fn see_pod(&mut self, key: &Key, before: Option<&Pod>, object: Option<&Value>) {
        for ip in before.iter().flat_map(|pod| &pod.ips) {
            if let Some(keys) = self.by_address.get_mut(ip) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_address.remove(ip);
                }
            }
        }
        for ip in self.state.pods().get(key).iter().flat_map(|pod| &pod.ips) {
            self.by_address.entry(*ip).or_default().insert(key.clone());
        }
        let text = object.and_then(|pod| object::annotation(pod, CALLS_ANNOTATION)).unwrap_or_default();
        match parse_calls(text) {
            Ok(calls) if calls.is_empty() => drop(self.calls.remove(key)),
            Ok(calls) => drop(self.calls.insert(key.clone(), calls)),
            Err(error) => tracing::warn!(pod = %key, "annotation {CALLS_ANNOTATION}: {error}"),
        }
        self.set_caller(key);
    }

    /// A pod calls as long as it runs.
    fn set_caller(&mut self, key: &Key) {
        let pod = self.state.pods().get(key);
        let runs = pod.is_some_and(|pod| is_running(pod, &self.silent));
        let calls = if runs { self.calls.get(key).cloned().unwrap_or_default() } else { Vec::new() };
        self.callers.set(Who::Pod(key.clone()), calls, self.now);
    }

    fn see_service(&mut self, key: &Key, object: Option<&Value>) {
        let given = object.and_then(|service| object::annotation(service, OUTSIDE_ANNOTATION));
        let service = self.state.services().get(key);
        let reachable = service.is_some_and(|service| is_reachable(service));
        let rate = match given {
            _ if !reachable => 0.0,
            Some(text) => rate_of(text).unwrap_or_else(|| {
                tracing::warn!(service = %key, "annotation {OUTSIDE_ANNOTATION}: `{text}` is not a rate");
                0.0
            }),
            None if self.callers.outside() < MOST_OUTSIDE => OUTSIDE_RATE,
            None => 0.0,
        };
        let call = Call { service: key.clone(), port: None, rate };
        let calls = if rate > 0.0 { vec![call] } else { Vec::new() };
        self.callers.set(Who::Outside(key.clone()), calls, self.now);
    }

    /// Lets time go by up to `until`.
    pub fn pass(&mut self, until: u64) {
        while self.now < until {
            self.now = (self.now + STEP).min(until);
            self.sync();
            while let Some(due) = self.callers.next(self.now) {
                self.call(&due);
            }
        }
    }

    fn sync(&mut self) {
        let (now, time) = (self.now, self.time(self.now));
        let endpoints = self.ports.iter().map(SharedPorts::endpoint_count).sum();
        let (state, snapshot, silent) = (&self.state, &mut self.snapshot, &self.silent);
        for plane in self.planes.values_mut().filter(|plane| !silent.contains(&plane.name)) {
            let shared = || snapshot.get_or_insert_with(|| Arc::new(state.clone())).clone();
            plane.pass(now, time, endpoints, shared);
        }
    }

    fn call(&mut self, due: &Due) {
        let found = match &due.who {
            Who::Pod(pod) => self.call_of_pod(pod, &due.call),
            Who::Outside(_) => self.call_of_outside(&due.call, due.dice),
        };
        let Some((node, packet)) = found else { return };
        let lasts = LASTS.0 + self.chance.below(LASTS.1 - LASTS.0);
        let peers = Peers { state: &self.state, by_address: &self.by_address, silent: &self.silent };
        if let Some(plane) = self.planes.get_mut(&node) {
            plane.connect(packet, due.at, lasts, |to, protocol| peers.answer(to, protocol));
        }
    }

    /// The name is looked up when the connection is made.
    fn call_of_pod(&self, pod: &Key, call: &Call) -> Option<(Text, Packet)> {
        let pod = self.state.pods().get(pod)?;
        let service = self.state.services().get(&call.service)?;
        let port = port_of(service, call.port.as_ref())?;
        let has = |ip: &&IpAddr| pod.ips.iter().any(|own| own.is_ipv4() == ip.is_ipv4());
        let destination = *service.cluster_ip.ips().iter().find(has)?;
        let source = *pod.ips.iter().find(|ip| ip.is_ipv4() == destination.is_ipv4())?;
        let node = pod.node.clone()?;
        let origin = if pod.host_network { Origin::Node } else { Origin::Pod };
        let packet = Packet { source, destination, port: port.port.get(), protocol: port.protocol, origin };
        Some((node, packet))
    }

    /// A balancer sends to nodes that are ready and, where it asks them (`healthCheckNodePort`), that have an endpoint.
    fn call_of_outside(&self, call: &Call, dice: u64) -> Option<(Text, Packet)> {
        let service = self.state.services().get(&call.service)?;
        let pick = |count: usize, shift: u32| ((dice >> shift) as usize).checked_rem(count);
        let port = service.ports.get(pick(service.ports.len(), 0)?)?;
        let vips: Vec<IpAddr> = service.vips().chain(service.external_ips.iter().copied()).collect();
        let ready =
            self.state.nodes().values().filter(|node| node.ready && !self.silent.contains(node.name()));
        let asked =
            service.health_check_node_port.is_some() && service.external_policy == TrafficPolicy::Local;
        let healthy =
            |node: &&Arc<Node>| !vips.is_empty() && asked && !self.has_endpoint(service, node.name());
        let nodes: Vec<&Arc<Node>> = ready.filter(|node| !healthy(node)).collect();
        let node = nodes.get(pick(nodes.len(), 16)?)?;
        let (destination, number) = match pick(vips.len(), 32) {
            Some(at) => (*vips.get(at)?, port.port.get()),
            None => (node.addresses.first()?.ip, port.node_port?.get()),
        };
        let client = dice >> 48 & (OUTSIDE_CLIENTS - 1);
        let source = outside(IpFamily::of(destination), client as u8);
        let origin = origin_of(&self.state, node, source);
        let packet = Packet { source, destination, port: number, protocol: port.protocol, origin };
        Some((node.name().clone(), packet))
    }

    /// As kube-proxy on the node answers the balancer: from what it knew at its last sync.
    fn has_endpoint(&self, service: &Service, node: &str) -> bool {
        let Some(state) = self.planes.get(node).and_then(Plane::synced_state) else { return false };
        let mut endpoints = state.slices_of(service.key()).flat_map(|slice| &slice.endpoints);
        endpoints.any(|one| one.conditions.is_ready() && one.node.as_deref() == Some(node))
    }
}

/// From 203.0.113.0/24 and 2001:db8::/32, which are for examples.
fn outside(family: IpFamily, client: u8) -> IpAddr {
    match family {
        IpFamily::IPv4 => Ipv4Addr::new(203, 0, 113, 10 + client).into(),
        IpFamily::IPv6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10 + u16::from(client)).into(),
    }
}

fn hashed(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn is_reachable(service: &Service) -> bool {
    let outside = service.vips().chain(service.external_ips.iter().copied()).next().is_some();
    service.is_proxied() && (outside || service.ports.iter().any(|port| port.node_port.is_some()))
}

fn port_of<'a>(service: &'a Service, wanted: Option<&Text>) -> Option<&'a ServicePort> {
    let Some(wanted) = wanted else { return service.ports.first() };
    let fits = |port: &&ServicePort| port.name == *wanted || wanted.parse() == Ok(port.port.get());
    service.ports.iter().find(fits)
}

/// Its containers run, on a node that works.
fn is_running(pod: &Pod, silent: &BTreeSet<Text>) -> bool {
    pod.phase == PodPhase::Running
        && pod.containers.iter().any(|container| container.waiting.is_none())
        && pod.node.as_ref().is_some_and(|node| !silent.contains(node))
}

/// Who is at an address.
struct Peers<'a> {
    state: &'a ClusterState,
    by_address: &'a HashMap<IpAddr, BTreeSet<Key>>,
    silent: &'a BTreeSet<Text>,
}

impl Peers<'_> {
    /// Whether somebody takes connections there. A pod that names no ports listens on all; what is in no pod's network and on
    /// no node is elsewhere, and answers.
    fn answer(&self, to: SocketAddr, protocol: Protocol) -> bool {
        let pods = self.by_address.get(&to.ip());
        if let Some(pods) = pods.filter(|pods| !pods.is_empty()) {
            let pods = pods.iter().filter_map(|key| self.state.pods().get(key));
            return pods
                .filter(|pod| is_running(pod, self.silent))
                .any(|pod| listens(pod, to.port(), protocol));
        }
        let nodes = || self.state.nodes().values();
        let of_pods = nodes().any(|node| node.pod_cidrs.iter().any(|cidr| cidr.contains(&to.ip())));
        let own = |node: &&Arc<Node>| node.addresses.iter().any(|address| address.ip == to.ip());
        match nodes().find(own) {
            Some(node) => !self.silent.contains(node.name()),
            None => !of_pods,
        }
    }
}

fn listens(pod: &Pod, port: u16, protocol: Protocol) -> bool {
    let mut ports = pod.containers.iter().flat_map(|container| &container.ports).peekable();
    ports.peek().is_none() || ports.any(|one| one.port.get() == port && one.protocol == protocol)
}
