//! Which Services a change can concern: those that are others than before, and those that share something with them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::world::{World, addresses, numbers, share};
use crate::model::{ClusterState, EndpointSlice, IpFamily, Key, Keyed, Kind, ObjectRef, Table};

/// The Services whose ports or endpoints are not the same to kube-proxy. `changed` says which objects can be others at all.
pub(super) fn changed_services(
    before: &ClusterState,
    after: &ClusterState,
    changed: Option<&[ObjectRef]>,
) -> BTreeSet<Key> {
    let mut services = BTreeSet::new();
    let owners = |key: &Key| {
        let slices = [before, after].map(|state| state.slices().get(key));
        let same = slices[0].zip(slices[1]).is_some_and(|(old, new)| is_same_to_proxies(old, new));
        slices.into_iter().flatten().filter(move |_| !same).filter_map(|slice| slice.service())
    };
    let Some(changed) = changed else {
        services.extend(unequal(before.slices(), after.slices()).into_iter().flat_map(owners));
        services.extend(unequal(before.services(), after.services()).into_iter().cloned());
        services.extend(unequal(before.endpoints(), after.endpoints()).into_iter().cloned());
        return services;
    };
    for object in changed {
        match object.kind {
            Kind::EndpointSlice => services.extend(owners(&object.key)),
            Kind::Service | Kind::Endpoints => services.extend([object.key.clone()]),
            Kind::Namespace | Kind::Node | Kind::Pod | Kind::ProxyConfig => {}
        }
    }
    services
}

/// Whether rules are the same with either: where endpoints are says their hints to kube-proxy, and not their zones.
fn is_same_to_proxies(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    (&old.meta.labels, old.address_type, &old.ports) == (&new.meta.labels, new.address_type, &new.ports)
        && old.has_same_endpoints_elsewhere(new)
}

/// Services with hints for zones, in one of the clusters.
pub(super) fn hinted(worlds: &[World<'_>; 2]) -> BTreeSet<Key> {
    let all = worlds.iter().flat_map(|world| world.state.slices().values());
    let hinted = all.filter(|slice| slice.endpoints.iter().any(|endpoint| !endpoint.zone_hints.is_empty()));
    hinted.filter_map(|slice| slice.service()).collect()
}

/// The keys whose objects are others, or only in one of the tables.
fn unequal<'a, T: Keyed + PartialEq>(before: &'a Table<T>, after: &'a Table<T>) -> Vec<&'a Key> {
    let apart = before.apart(after).into_iter().filter(|[old, new]| old != new);
    apart.filter_map(|[old, new]| Some(new.or(old)?.key())).collect()
}

/// All Services whose destinations a change of `touched` can concern: beside themselves, those that share an address, a port
/// number or an endpoint with one of them. Both worlds know afterwards who shares the endpoints of all of these.
pub(super) fn spread(
    worlds: &mut [World<'_>; 2],
    mut touched: BTreeSet<Key>,
    userspace: bool,
) -> BTreeSet<Key> {
    if userspace {
        for family in IpFamily::BOTH {
            let [before, after] = &*worlds;
            let (old, new) = (before.given(family), after.given(family));
            touched.extend(old.moved(&new).chain(new.moved(&old)).cloned());
        }
    }
    let (mut ips, mut ports) = (FxHashSet::default(), FxHashSet::default());
    for world in &*worlds {
        for service in touched.iter().filter_map(|key| world.service(key)) {
            ips.extend(addresses(service));
            ports.extend(numbers(service));
        }
        if userspace {
            ports.extend(IpFamily::BOTH.into_iter().flat_map(|family| proxy_ports(world, &touched, family)));
        }
    }
    let mut shared: FxHashSet<IpAddr> = ips.clone();
    worlds.iter().for_each(|world| shared.extend(endpoints(world, &touched)));
    share(worlds, &shared);
    let mut all = touched;
    for world in &*worlds {
        let at = ips.iter().flat_map(|ip| world.at(*ip)).map(|service| service.key().clone());
        let on = ports.iter().flat_map(|port| world.on_port(*port)).map(|service| service.key().clone());
        all.extend(at.chain(on).chain(shared.iter().flat_map(|ip| world.sharers(*ip)).cloned()));
        if !ports.is_empty() {
            all.extend(on_same_numbers(world, &ports));
        }
        // A Service's address may be a node's, where all node ports answer.
        if ips.iter().any(|ip| world.is_node_address(*ip)) {
            let services = world.state.services().values();
            let with_ports = services.filter(|service| numbers(service).next().is_some());
            all.extend(with_ports.map(|service| service.key().clone()));
        }
    }
    let more: FxHashSet<IpAddr> = worlds.iter().flat_map(|world| endpoints(world, &all)).collect();
    if !more.is_subset(&shared) {
        share(worlds, &more);
    }
    all
}

fn proxy_ports(world: &World<'_>, services: &BTreeSet<Key>, family: IpFamily) -> Vec<u16> {
    let given = world.given(family);
    let known = services.iter().filter_map(|key| world.service(key));
    let ports = known.flat_map(|service| world.ports_of(service, family).to_vec());
    ports.filter_map(|port| given.port_of(&port.name, port.protocol)).collect()
}

/// Services with a port of such a number, and those with an endpoint on it at an address of a node.
fn on_same_numbers(world: &World<'_>, ports: &FxHashSet<u16>) -> Vec<Key> {
    let services = world.state.services().values();
    let same = services.filter(|service| service.ports.iter().any(|port| ports.contains(&port.port.get())));
    let mut found: Vec<Key> = same.map(|service| service.key().clone()).collect();
    for slice in world.state.slices().values() {
        let number = slice.ports.iter().filter_map(|port| port.port).any(|port| ports.contains(&port.get()));
        let mut ips = slice.endpoints.iter().filter_map(|endpoint| endpoint.addresses.first()?.ip());
        if number && ips.any(|ip| world.is_node_address(ip)) {
            found.extend(slice.service());
        }
    }
    found
}

pub(super) fn endpoints(world: &World<'_>, services: &BTreeSet<Key>) -> FxHashSet<IpAddr> {
    let slices = services.iter().flat_map(|key| world.state.slices_of(key));
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    endpoints.filter_map(|endpoint| endpoint.addresses.first()?.ip()).collect()
}
