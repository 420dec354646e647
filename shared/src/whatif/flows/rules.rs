//! Rules that come and go on each node.
//!
//! Where only Services differ, the rules of those that a change can concern are made, before and after: the others' are the same
//! lines. (In ipvs mode, rules over a set depend on whether it has entries, so a few Services that fill them stand for all
//! others.) Where something of the node or its kube-proxy differs, all rules are made.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Survey;
use super::places::{Differs, Place};
use super::world::World;
use crate::model::{
    ClusterState, IpFamily, Key, Keyed, Node, Protocol, ProxyMode, Service, ServiceType, Text, TrafficPolicy,
};
use crate::proxy::iptables::ClusterSize;
use crate::proxy::node::NodeContext;
use crate::proxy::parts::{Diff, Parts};
use crate::proxy::ports::{PortInfo, cluster_ip};
use crate::proxy::{self, Rules, find_node};
use crate::whatif::difference::{Fate, LineText, RuleLine, RulesChange};

impl Survey<'_> {
    /// By node and family.
    pub fn rules(&self, limit: usize) -> Vec<RulesChange> {
        let mut changes = Vec::new();
        let mut sizes: BTreeMap<IpFamily, [ClusterSize; 2]> = BTreeMap::new();
        for family in self.places.iter().map(|place| place.family) {
            let of = |world: &World<'_>| ClusterSize::of_state(world.state, family);
            sizes.entry(family).or_insert_with(|| self.worlds.each_ref().map(of));
        }
        let ipvs = self.places.iter().any(|place| place.after.mode == ProxyMode::Ipvs);
        let witnesses = ipvs.then(|| Witnesses::of(&self.worlds[1], &self.touched));
        for place in &self.places {
            let diff = self.diff_of(place, sizes[&place.family], witnesses.as_ref());
            let modes = [Some(place.before.mode), Some(place.after.mode)];
            changes.extend(self.change(place.name, place.family, modes, &diff, limit));
        }
        for (nth, world) in self.worlds.iter().enumerate() {
            for (node, family) in only_here(world.state, self.worlds[1 - nth].state) {
                let mode = world.state.proxy_settings(node.name()).mode;
                let mut parts = [Parts::new(), Parts::new()];
                parts[nth] = proxy::generate(world.state, node, family, mode).parts();
                let mut modes = [None, None];
                modes[nth] = Some(mode);
                let diff = Diff::between(&parts[0], &parts[1]);
                changes.extend(self.change(node.name(), family, modes, &diff, limit));
            }
        }
        changes.sort_by(|a, b| (&a.node, a.family).cmp(&(&b.node, b.family)));
        changes
    }

    fn diff_of(
        &self,
        place: &Place<'_>,
        [old_size, size]: [ClusterSize; 2],
        witnesses: Option<&Witnesses<'_>>,
    ) -> Diff {
        let Place { before, after, .. } = place;
        let sized = old_size == size || before.mode != ProxyMode::Iptables;
        let in_zone = place.differs == Differs::Zone;
        if !((in_zone || before.makes_same_rules(after)) && sized) {
            let whole = |world: &World<'_>, context: &NodeContext| {
                proxy::generate(world.state, &context.node, context.family, context.mode).parts()
            };
            return Diff::between(&whole(&self.worlds[0], before), &whole(&self.worlds[1], after));
        }
        let concerned = if in_zone { &self.zoned } else { &self.touched };
        if concerned.is_empty() {
            return Diff::default();
        }
        let beside = witnesses.map(|witnesses| witnesses.for_place(place)).unwrap_or_default();
        let some = |world: &World<'_>, context: &NodeContext| {
            let keys: BTreeSet<&Key> = concerned.iter().chain(beside.iter().copied()).collect();
            let services: Vec<&Service> =
                keys.into_iter().filter_map(|key| world.service(key)).map(|service| &**service).collect();
            rules_of(world, &services, context, size).parts()
        };
        Diff::between(&some(&self.worlds[0], before), &some(&self.worlds[1], after))
    }

    fn change(
        &self,
        node: &Text,
        family: IpFamily,
        [mode_before, mode_after]: [Option<ProxyMode>; 2],
        diff: &Diff,
        limit: usize,
    ) -> Option<RulesChange> {
        let count =
            |lines: fn(&proxy::parts::PartDiff) -> usize| diff.parts.values().map(lines).sum::<usize>();
        let (added, removed) = (count(|part| part.added.len()), count(|part| part.removed.len()));
        if added == 0 && removed == 0 && mode_before == mode_after {
            return None;
        }
        let all = diff.parts.iter().flat_map(|(part, diff)| {
            let gone = diff.removed.iter().map(move |line| (Fate::Removed, part, line));
            gone.chain(diff.added.iter().map(move |line| (Fate::Added, part, line)))
        });
        let line = |(fate, part, text): (Fate, &String, &String)| RuleLine {
            fate,
            service: self.service_of(part, text),
            line: LineText { part: part.clone(), text: text.clone() },
        };
        let lines = all.take(limit).map(line).collect();
        Some(RulesChange { node: node.clone(), family, mode_before, mode_after, added, removed, lines })
    }

    /// The Service that a line names, by its name or by its address.
    fn service_of(&self, part: &str, text: &str) -> Option<Key> {
        let known = |key: &Key| self.worlds.iter().any(|world| world.service(key).is_some());
        let split = |c: char| c.is_whitespace() || matches!(c, '"' | '@' | '{' | '}');
        let tokens = text.split(split).chain(part.split(split)).filter(|token| !token.is_empty());
        for token in tokens {
            let token = token.split(':').next().unwrap_or_default();
            let Some((head, rest)) = token.split_once('/') else { continue };
            let name = rest.split('/').next().unwrap_or_default();
            // nft's names begin with a kind and a hash of eight characters: `service-ULMVA6XW-ns/name`.
            let in_name = head.split_once('-').and_then(|(_, rest)| rest.get(9..));
            for namespace in [Some(head), in_name].into_iter().flatten() {
                let key = Key::new(namespace, name);
                if known(&key) {
                    return Some(key);
                }
            }
        }
        let address = |token: &str| -> Option<IpAddr> {
            let socket = token.parse().map(|socket: std::net::SocketAddr| socket.ip());
            socket.ok().or_else(|| token.split(',').next()?.parse().ok())
        };
        let all = part.split(split).chain(text.split(split)).filter_map(address);
        all.flat_map(|ip| self.worlds.iter().filter_map(move |world| world.at(ip).first()))
            .map(|service| service.key().clone())
            .next()
    }
}

/// The nodes of a cluster that the other one has not, by family.
fn only_here<'a>(
    here: &'a ClusterState,
    there: &'a ClusterState,
) -> impl Iterator<Item = (&'a Arc<Node>, IpFamily)> {
    here.nodes().values().flat_map(move |node| {
        let only = move |family: &IpFamily| {
            find_node(here, node.name(), *family).is_ok() && find_node(there, node.name(), *family).is_err()
        };
        IpFamily::BOTH.into_iter().filter(only).map(move |family| (node, family))
    })
}

fn rules_of(world: &World<'_>, services: &[&Service], context: &NodeContext, size: ClusterSize) -> Rules {
    let family = context.family;
    let ports = || -> Vec<PortInfo> {
        services.iter().flat_map(|service| world.ports_of(service, family).to_vec()).collect()
    };
    match context.mode {
        ProxyMode::Userspace => {
            let given = world.given(family);
            Rules::Userspace(proxy::userspace::generate_some(world.state, context, services, &given).0)
        }
        ProxyMode::Iptables => Rules::Iptables(proxy::iptables::generate_sized(&ports(), context, size)),
        ProxyMode::Nftables => Rules::Nftables(proxy::nftables::generate(&ports(), context)),
        ProxyMode::Ipvs => Rules::Ipvs(proxy::ipvs::generate(&ports(), context)),
    }
}

/// Services that the change does not concern, and that fill ipvs mode's sets.
struct Witnesses<'a> {
    /// Of sets that are the same on all nodes.
    everywhere: Vec<&'a Key>,
    /// With an endpoint on the node.
    by_node: BTreeMap<(Text, IpFamily), &'a Key>,
    /// With source ranges, which may hold the node.
    ranged: Vec<&'a Arc<Service>>,
}

impl<'a> Witnesses<'a> {
    fn of(world: &World<'a>, touched: &BTreeSet<Key>) -> Witnesses<'a> {
        let mut witnesses =
            Witnesses { everywhere: Vec::new(), by_node: BTreeMap::new(), ranged: Vec::new() };
        let mut known = 0;
        for service in world.state.services().values().filter(|service| !touched.contains(service.key())) {
            let fills = fills(service);
            if fills & !known != 0 {
                known |= fills;
                witnesses.everywhere.push(service.key());
            }
            if !service.source_ranges.is_empty() && service.vips().next().is_some() {
                witnesses.ranged.push(service);
            }
        }
        let nodes = world.state.nodes().len() * 2;
        for slice in world.state.slices().values() {
            let Some((family, owner)) = slice.address_type.family().zip(slice.service()) else { continue };
            let Some(service) = world.service(&owner).filter(|_| !touched.contains(&owner)) else { continue };
            let same = |port: &crate::model::ServicePort| {
                let known =
                    |p: &&crate::model::EndpointPort| p.name == port.name && p.protocol == port.protocol;
                slice.ports.iter().filter(known).any(|p| p.port.is_some())
            };
            if cluster_ip(service, family).is_none() || !service.ports.iter().any(same) {
                continue;
            }
            for node in slice.endpoints.iter().filter_map(|endpoint| endpoint.node.clone()) {
                witnesses.by_node.entry((node, family)).or_insert(service.key());
            }
            if witnesses.by_node.len() >= nodes {
                break;
            }
        }
        witnesses
    }

    fn for_place(&self, place: &Place<'_>) -> Vec<&'a Key> {
        if place.after.mode != ProxyMode::Ipvs {
            return Vec::new();
        }
        let mut keys = self.everywhere.clone();
        keys.extend(self.by_node.get(&(place.name.clone(), place.family)));
        let holds = |service: &&&Arc<Service>| {
            let mut ranges = service.source_ranges.iter();
            ranges.any(|range| range.contains(&place.after.node_ip))
        };
        keys.extend(self.ranged.iter().find(holds).map(|service| service.key()));
        keys
    }
}

/// Which sets of ipvs mode a Service fills, as bits.
fn fills(service: &Service) -> u64 {
    let mut bits = 0;
    let local =
        service.external_policy == TrafficPolicy::Local && service.service_type != ServiceType::ExternalName;
    for (nth, family) in IpFamily::BOTH.into_iter().enumerate() {
        if cluster_ip(service, family).is_none() || service.ports.is_empty() {
            continue;
        }
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let (external, balancer) =
            (service.external_ips.iter().any(ours), service.vips().any(|ip| ours(&ip)));
        let ranges = service.source_ranges.iter().filter(|range| ours(&range.addr()));
        let everybody = ranges.clone().any(|range| range.prefix_len() == 0);
        let ranged = balancer && !everybody && ranges.count() > 0;
        let node_port = |protocol: Protocol| {
            service.ports.iter().any(|port| port.protocol == protocol && port.node_port.is_some())
        };
        let (tcp, udp, sctp) =
            (node_port(Protocol::Tcp), node_port(Protocol::Udp), node_port(Protocol::Sctp));
        let health = local
            && service.service_type == ServiceType::LoadBalancer
            && service.health_check_node_port.is_some();
        let facts = [
            true,
            external && !local,
            external && local,
            balancer,
            balancer && local,
            ranged,
            tcp,
            tcp && local,
            udp,
            udp && local,
            sctp,
            sctp && local,
            health,
        ];
        for (bit, fact) in facts.into_iter().enumerate() {
            bits |= u64::from(fact) << (bit + nth * 32);
        }
    }
    bits
}
