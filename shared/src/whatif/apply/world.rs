//! The cluster while it is edited: the only writer of its state, and what is remembered on the way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use super::Edited;
use crate::admission::allocation::{Allocations, Families, Held};
use crate::controllers::workloads::{takes_room, template_hash};
use crate::delta::{Change, Object};
use crate::model::{ClusterState, Key, Kind, Node, ObjectRef, Pod, Text};
use crate::whatif::flows::sources::{address, number};

/// Letters at the end of generated names.
const SUFFIX: usize = 5;

#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) before: &'a ClusterState,
    pub(super) state: ClusterState,
    pub(super) now: Timestamp,
    touched: BTreeSet<ObjectRef>,
    /// Manifests that the edits have applied to objects that are there.
    applied: FxHashMap<ObjectRef, Value>,
    room: Option<Room>,
    allocations: Option<Allocations>,
}

/// Where pods are and which addresses they have. Counted at the first need.
#[derive(Debug, Default)]
struct Room {
    ips: FxHashSet<IpAddr>,
    per_node: FxHashMap<Text, u32>,
    /// Addresses that pods had before the edits, and that no pod has now. They are given last: a pod most often starts before the
    /// one that it replaces has ended.
    left: BTreeSet<IpAddr>,
    /// How many of the first addresses of a network are known to be taken or left, or are not for pods.
    full: FxHashMap<IpNet, u128>,
}

impl<'a> World<'a> {
    pub(super) fn new(before: &'a ClusterState, now: Timestamp) -> World<'a> {
        let state = before.clone();
        World {
            before,
            state,
            now,
            touched: BTreeSet::new(),
            applied: FxHashMap::default(),
            room: None,
            allocations: None,
        }
    }

    /// Makes or replaces an object.
    pub(super) fn put(&mut self, object: Object) {
        let object_ref = object.object_ref();
        match &object {
            Object::Pod(pod) => {
                self.leave(&object_ref.key);
                if let Some(room) = &mut self.room {
                    room.enter(pod);
                }
            }
            Object::Service(service) => self.hold(&object_ref.key, Some(Held::of(service))),
            _ => {}
        }
        // Whether it differs is seen at the end.
        let _ = self.state.apply(&Change::Upsert(object));
        self.touched.insert(object_ref);
    }

    pub(super) fn put_pod(&mut self, pod: Pod) {
        self.put(Object::Pod(Arc::new(pod)));
    }

    pub(super) fn put_node(&mut self, node: Node) {
        self.put(Object::Node(Arc::new(node)));
    }

    pub(super) fn remove(&mut self, kind: Kind, key: &Key) {
        match kind {
            Kind::Pod => self.leave(key),
            Kind::Service => self.hold(key, None),
            _ => {}
        }
        let object = ObjectRef { kind, key: key.clone() };
        self.applied.remove(&object);
        let _ = self.state.apply(&Change::Delete(object.clone()));
        self.touched.insert(object);
    }

    /// The manifest that the edits have applied to the object before; else `null`.
    pub(super) fn last_applied(&self, object: &ObjectRef) -> &Value {
        self.applied.get(object).unwrap_or(&Value::Null)
    }

    pub(super) fn note_applied(&mut self, object: ObjectRef, manifest: Value) {
        self.applied.insert(object, manifest);
    }

    fn leave(&mut self, key: &Key) {
        if let (Some(room), Some(pod)) = (&mut self.room, self.state.pods().get(key)) {
            room.leave(pod);
        }
    }

    /// What the edits have written, whether it differs or not.
    pub(super) fn touched(&self) -> &BTreeSet<ObjectRef> {
        &self.touched
    }

    pub(super) fn finish(self) -> Edited {
        let (before, state) = (self.before, self.state);
        let changed = self.touched.into_iter().filter(|object| differs(before, &state, object)).collect();
        Edited { state, changed }
    }

    fn room(&mut self) -> &mut Room {
        let (before, state) = (self.before, &self.state);
        self.room.get_or_insert_with(|| Room::of(before, state))
    }

    /// How many pods a node has.
    pub(super) fn crowd(&mut self, node: &Text) -> u32 {
        self.room().per_node.get(node).copied().unwrap_or_default()
    }

    /// The first free address of a network, from its `first`th on.
    pub(super) fn first_free(&mut self, net: IpNet, first: u128) -> Option<IpAddr> {
        let room = self.room();
        let (start, last) = (number(net.network()), number(net.broadcast()));
        // The last one of an IPv4 network is for broadcasts.
        let last = if net.prefix_len() < 31 && net.addr().is_ipv4() { last - 1 } else { last };
        let mut nth = room.full.get(&net).copied().unwrap_or_default().max(first);
        let free = loop {
            let Some(at) = start.checked_add(nth).filter(|at| *at <= last) else { break None };
            let ip = address(at, net);
            if !room.ips.contains(&ip) && !room.left.contains(&ip) {
                break Some(ip);
            }
            nth += 1;
        };
        room.full.insert(net, nth);
        free.or_else(|| room.left.iter().copied().find(|ip| net.contains(ip)))
    }

    /// What Services hold, for the choice of addresses and ports.
    pub(super) fn allocations(&mut self) -> &Allocations {
        let state = &self.state;
        self.allocations.get_or_insert_with(|| Allocations::of_services(families_of(state), state.services()))
    }

    /// Allocations that nobody has counted yet are made anew when they are needed again.
    fn hold(&mut self, key: &Key, held: Option<Held>) {
        self.allocations.take_if(|allocations| !allocations.is_counted());
        if let Some(allocations) = &mut self.allocations {
            allocations.hold(key, held);
        }
    }

    /// A name `PREFIX-xxxxx` that no pod of the namespace has, or had before.
    pub(super) fn free_pod_name(&self, namespace: &Text, prefix: &str) -> Text {
        let taken = |name: &Text| {
            let key = Key::new(namespace.clone(), name.clone());
            self.state.pods().contains(&key) || self.before.pods().contains(&key)
        };
        let mut names =
            (0_u64..).map(|nth| Text::from(format!("{prefix}-{}", suffix(namespace, prefix, nth))));
        names.find(|name| !taken(name)).unwrap_or_else(|| prefix.into())
    }
}

/// The same for the same arguments.
pub(super) fn suffix(namespace: &str, prefix: &str, nth: u64) -> String {
    let mut hash = template_hash(&format!("{namespace}/{prefix}/{nth}"));
    hash.truncate(SUFFIX);
    hash
}

impl Room {
    fn of(before: &ClusterState, state: &ClusterState) -> Room {
        let mut room = Room::default();
        state.pods().values().for_each(|pod| room.enter(pod));
        room.ips
            .extend(state.nodes().values().flat_map(|node| node.addresses.iter().map(|address| address.ip)));
        let changed = before.pods().apart(state.pods()).into_iter().filter_map(|[old, _]| old);
        for ip in changed.filter(|pod| !pod.host_network).flat_map(|pod| &pod.ips) {
            if !room.ips.contains(ip) {
                room.left.insert(*ip);
            }
        }
        room
    }

    fn enter(&mut self, pod: &Pod) {
        if !pod.host_network {
            self.ips.extend(&pod.ips);
            for ip in &pod.ips {
                self.left.remove(ip);
            }
        }
        if let Some(node) = pod.node.as_ref().filter(|_| takes_room(pod)) {
            *self.per_node.entry(node.clone()).or_default() += 1;
        }
    }

    fn leave(&mut self, pod: &Pod) {
        for ip in pod.ips.iter().filter(|_| !pod.host_network) {
            self.ips.remove(ip);
            self.left.insert(*ip);
        }
        let node = pod.node.as_ref().filter(|_| takes_room(pod));
        if let Some(count) = node.and_then(|node| self.per_node.get_mut(node)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// The families that Services, or else pods, have addresses of.
fn families_of(state: &ClusterState) -> Families {
    let of_services = state.services().values().flat_map(|service| service.cluster_ip.ips());
    let of_nodes = state.nodes().values().flat_map(|node| node.pod_cidrs.iter().map(|cidr| cidr.addr()));
    let (mut four, mut six) = (false, false);
    for ip in of_services.copied().chain(of_nodes) {
        four |= ip.is_ipv4();
        six |= ip.is_ipv6();
    }
    match (four, six) {
        (true, true) => Families::DualStack,
        (false, true) => Families::IPv6,
        _ => Families::IPv4,
    }
}

fn differs(a: &ClusterState, b: &ClusterState, object: &ObjectRef) -> bool {
    let key = &object.key;
    match object.kind {
        Kind::Namespace => a.namespaces().get(key) != b.namespaces().get(key),
        Kind::Node => a.nodes().get(key) != b.nodes().get(key),
        Kind::Pod => a.pods().get(key) != b.pods().get(key),
        Kind::Service => a.services().get(key) != b.services().get(key),
        Kind::EndpointSlice => a.slices().get(key) != b.slices().get(key),
        Kind::Endpoints => a.endpoints().get(key) != b.endpoints().get(key),
        Kind::ProxyConfig => a.proxy_configs().get(key) != b.proxy_configs().get(key),
    }
}
