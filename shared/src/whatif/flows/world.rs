//! One of the two clusters, with indexes by which a destination finds the Services whose rules its packets can meet.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::change::Destination;
use crate::model::{ClusterState, EndpointSlice, IpFamily, Key, Keyed, Service};
use crate::predict::Predictor;
use crate::proxy::node::NodeContext;
use crate::proxy::ports::{PortInfo, cluster_ip, port_infos_of};
use crate::proxy::userspace::Allocation;

/// The ports of Services in a family, as far as they were asked for.
type PortsOf = FxHashMap<(Key, IpFamily), Arc<[PortInfo]>>;

/// A cluster, prepared.
pub(super) struct World<'a> {
    pub state: &'a ClusterState,
    /// Services by every address that some mode serves for them.
    by_address: FxHashMap<IpAddr, Few<'a>>,
    /// Services by node port and health-check node port.
    by_port: FxHashMap<u16, Few<'a>>,
    /// Services by the address of an endpoint; only of the addresses that [`share`] was told.
    sharers: FxHashMap<IpAddr, Vec<Key>>,
    node_addresses: FxHashSet<IpAddr>,
    ports: RefCell<PortsOf>,
    given: [OnceCell<Arc<Allocation>>; 2],
}

/// At least one Service, and seldom more.
enum Few<'a> {
    One(&'a Arc<Service>),
    More(Vec<&'a Arc<Service>>),
}

/// The Services whose rules packets for a destination can meet, by namespace and name.
#[derive(Clone)]
pub(super) struct Closure<'a> {
    pub services: Vec<&'a Service>,
    pub ports: Arc<[PortInfo]>,
}

impl<'a> World<'a> {
    pub fn new(state: &'a ClusterState) -> World<'a> {
        let (mut by_address, mut by_port) = (FxHashMap::default(), FxHashMap::default());
        by_address.reserve(state.services().len());
        for service in state.services().values() {
            for ip in addresses(service) {
                push(&mut by_address, ip, service);
            }
            for port in numbers(service) {
                push(&mut by_port, port, service);
            }
        }
        let nodes = state.nodes().values().flat_map(|node| &node.addresses);
        World {
            state,
            by_address,
            by_port,
            sharers: FxHashMap::default(),
            node_addresses: nodes.map(|address| address.ip).collect(),
            ports: RefCell::default(),
            given: [OnceCell::new(), OnceCell::new()],
        }
    }

    fn add_sharers(&mut self, slice: &EndpointSlice, ips: &[IpAddr]) {
        let Some(service) = slice.service() else { return };
        for ip in ips {
            let known = self.sharers.entry(*ip).or_default();
            if known.last() != Some(&service) {
                known.push(service.clone());
            }
        }
    }

    pub fn service(&self, key: &Key) -> Option<&'a Arc<Service>> {
        self.state.services().get(key)
    }

    pub fn at(&self, ip: IpAddr) -> &[&'a Arc<Service>] {
        self.by_address.get(&ip).map_or(&[], Few::as_slice)
    }

    pub fn on_port(&self, port: u16) -> &[&'a Arc<Service>] {
        self.by_port.get(&port).map_or(&[], Few::as_slice)
    }

    pub fn sharers(&self, ip: IpAddr) -> &[Key] {
        self.sharers.get(&ip).map_or(&[], Vec::as_slice)
    }

    pub fn is_node_address(&self, ip: IpAddr) -> bool {
        self.node_addresses.contains(&ip)
    }

    /// The ports of a Service with their endpoints.
    pub fn ports_of(&self, service: &Service, family: IpFamily) -> Arc<[PortInfo]> {
        let key = (service.key().clone(), family);
        if let Some(known) = self.ports.borrow().get(&key) {
            return known.clone();
        }
        let ports: Arc<[PortInfo]> = port_infos_of(self.state, service, family).into();
        self.ports.borrow_mut().insert(key, ports.clone());
        ports
    }

    /// Proxy ports of userspace mode.
    pub fn given(&self, family: IpFamily) -> Arc<Allocation> {
        let cell = &self.given[usize::from(family == IpFamily::IPv6)];
        cell.get_or_init(|| Arc::new(Allocation::new(self.state, family))).clone()
    }

    /// Who claims the destination; who has an address or a node port that one of their endpoints has too; and who shares an
    /// endpoint with them.
    pub fn closure(&self, to: &Destination, ip: IpAddr, userspace: bool) -> Closure<'a> {
        let family = to.family;
        let mut keys: BTreeSet<&Key> = BTreeSet::new();
        let all = self.at(ip).iter().chain(self.on_port(to.port));
        keys.extend(all.map(|service| service.key()));
        let given = userspace.then(|| self.given(family));
        let owner = given.as_ref().and_then(|given| given.owner(to.protocol, to.port));
        keys.extend(owner.and_then(|key| self.service(key)).map(|service| service.key()));
        let claimers: Vec<&Arc<Service>> = keys.iter().filter_map(|key| self.service(key)).collect();
        for service in claimers {
            for backend in self.ports_of(service, family).iter().flat_map(|port| &port.endpoints) {
                keys.extend(self.at(backend.address).iter().map(|service| service.key()));
                if self.is_node_address(backend.address) {
                    keys.extend(self.on_port(backend.port.get()).iter().map(|service| service.key()));
                }
                let sharers = self.sharers(backend.address).iter();
                keys.extend(sharers.filter_map(|key| self.service(key)).map(|service| service.key()));
            }
        }
        let services: Vec<&Service> = keys.iter().filter_map(|key| self.service(key)).map(|s| &**s).collect();
        let ports = match &services[..] {
            [one] => self.ports_of(one, family),
            all => all.iter().flat_map(|service| self.ports_of(service, family).to_vec()).collect(),
        };
        Closure { services, ports }
    }

    pub fn predictor(&self, closure: &Closure<'_>, context: &NodeContext) -> Predictor {
        Predictor::of_services(self.state, context.clone(), &closure.services, closure.ports.clone(), || {
            self.given(context.family)
        })
    }
}

/// Addresses that are looked for among many others: most of those are ruled out by their last bits.
struct Wanted<'a> {
    addresses: &'a FxHashSet<IpAddr>,
    endings: Box<[u64; 1024]>,
}

impl<'a> Wanted<'a> {
    fn new(addresses: &'a FxHashSet<IpAddr>) -> Wanted<'a> {
        let mut endings = Box::new([0; 1024]);
        for ip in addresses {
            let (word, bit) = ending(*ip);
            endings[word] |= bit;
        }
        Wanted { addresses, endings }
    }

    fn has(&self, ip: &IpAddr) -> bool {
        let (word, bit) = ending(*ip);
        self.endings[word] & bit != 0 && self.addresses.contains(ip)
    }
}

/// Where the last 16 bits of an address have their bit.
fn ending(ip: IpAddr) -> (usize, u64) {
    let bits = match ip {
        IpAddr::V4(ip) => ip.to_bits() as u16,
        IpAddr::V6(ip) => ip.to_bits() as u16,
    };
    (usize::from(bits / 64), 1 << (bits % 64))
}

/// Both clusters learn which Services have endpoints at these addresses. A slice that is the same in both is read once.
pub(super) fn share(worlds: &mut [World<'_>; 2], addresses: &FxHashSet<IpAddr>) {
    let [before, after] = worlds;
    let wanted = Wanted::new(addresses);
    let found = |slice: &EndpointSlice| -> Vec<IpAddr> {
        let ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
        ips.filter(|ip| wanted.has(ip)).collect()
    };
    before.sharers.clear();
    after.sharers.clear();
    let mut old = before.state.slices().values().peekable();
    for new in after.state.slices().values() {
        while let Some(gone) = old.next_if(|old| !Arc::ptr_eq(old, new) && old.key() < new.key()) {
            before.add_sharers(gone, &found(gone));
        }
        let ips = found(new);
        if old.next_if(|old| Arc::ptr_eq(old, new)).is_some() && !ips.is_empty() {
            before.add_sharers(new, &ips);
        }
        if !ips.is_empty() {
            after.add_sharers(new, &ips);
        }
    }
    old.for_each(|gone| before.add_sharers(gone, &found(gone)));
}

impl Closure<'_> {
    pub fn is_same(&self, other: &Closure<'_>) -> bool {
        self.services.len() == other.services.len()
            && self.services.iter().zip(&other.services).all(|(a, b)| std::ptr::eq(*a, *b))
    }
}

impl<'a> Few<'a> {
    fn as_slice(&self) -> &[&'a Arc<Service>] {
        match self {
            Few::One(service) => std::slice::from_ref(service),
            Few::More(services) => services,
        }
    }

    fn push(&mut self, service: &'a Arc<Service>) {
        match self {
            Few::One(first) => *self = Few::More(vec![*first, service]),
            Few::More(services) => services.push(service),
        }
    }
}

fn push<'a, K: std::hash::Hash + Eq>(map: &mut FxHashMap<K, Few<'a>>, key: K, service: &'a Arc<Service>) {
    match map.entry(key) {
        Entry::Vacant(free) => {
            free.insert(Few::One(service));
        }
        Entry::Occupied(mut known) => {
            // One Service may have an address twice.
            if !known.get().as_slice().last().is_some_and(|last| Arc::ptr_eq(last, service)) {
                known.get_mut().push(service);
            }
        }
    }
}

/// Every address by which some mode serves the Service: userspace mode takes all of a balancer's, whatever their `ipMode`.
pub(super) fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let served = |family| cluster_ip(service, family);
    let own = IpFamily::BOTH.into_iter().filter_map(served);
    let outside = service.external_ips.iter().copied().chain(service.ingress.iter().filter_map(|i| i.ip));
    own.chain(outside.filter(move |ip| cluster_ip(service, IpFamily::of(*ip)).is_some()))
}

/// Its node ports and its health-check node port.
pub(super) fn numbers(service: &Service) -> impl Iterator<Item = u16> {
    let ports = service.ports.iter().filter_map(|port| port.node_port);
    ports.chain(service.health_check_node_port).map(u16::from)
}
