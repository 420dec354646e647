//! Rules that come and go on each node.
//!
//! Where only Services differ, the rules of those that a change can concern are made, before and after: the others' are the same
//! lines. In iptables and nftables mode that is done [by Service](units), and once for all nodes where it is the same. (In ipvs
//! mode, rules over a set depend on whether it has [entries](witnesses).) Where something of the node or its kube-proxy differs,
//! all rules are made.

mod units;
mod witnesses;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Survey;
use super::places::{Differs, Place};
use super::world::World;
use crate::model::{ClusterState, IpFamily, Key, Keyed, Node, ProxyMode, Service, Text};
use crate::proxy::iptables::ClusterSize;
use crate::proxy::node::NodeContext;
use crate::proxy::parts::{Diff, Parts};
use crate::proxy::ports::PortInfo;
use crate::proxy::{self, Rules, find_node};
use crate::whatif::difference::RulesChange;
use units::{Found, Units, Which};
use witnesses::Witnesses;

impl Survey<'_> {
    /// By node and family.
    pub async fn rules(&self, limit: usize, pause: &impl AsyncFn()) -> Vec<RulesChange> {
        let mut changes = Vec::new();
        let mut sizes: BTreeMap<IpFamily, [ClusterSize; 2]> = BTreeMap::new();
        for family in self.places.iter().map(|place| place.family) {
            let of = |world: &World<'_>| ClusterSize::of_state(world.state, family);
            sizes.entry(family).or_insert_with(|| self.worlds.each_ref().map(of));
        }
        let ipvs = self.places.iter().any(|place| place.after.mode == ProxyMode::Ipvs);
        let witnesses = ipvs.then(|| Witnesses::of(&self.worlds[1], &self.touched));
        let by_service = |place: &Place<'_>| place.shape.is_some() && is_by_service(place);
        let is_whole = |place: &&Place<'_>| !self.is_only_of_services(place, sizes[&place.family]);
        let all = match self.places.iter().filter(is_whole).any(by_service) {
            true => self.worlds.iter().flat_map(|world| world.state.services().keys()).cloned().collect(),
            false => self.zoned.clone(),
        };
        let mut units: BTreeMap<IpFamily, Units<'_>> = BTreeMap::new();
        for place in &self.places {
            pause().await;
            let modes = [Some(place.before.mode), Some(place.after.mode)];
            let size = sizes[&place.family];
            let found = match place.shape.filter(|_| is_by_service(place)) {
                Some(shape) => {
                    let units = units.entry(place.family).or_insert_with(|| {
                        Units::of(&self.worlds, [&self.touched, &self.zoned, &all], place.family, size, limit)
                    });
                    let which = match place.differs {
                        _ if !self.is_only_of_services(place, size) => Which::All,
                        Differs::Zone => Which::Zoned,
                        _ => Which::Touched,
                    };
                    let mut found = units.on(shape, place, which, pause).await;
                    self.name_services(&mut found);
                    found
                }
                None => self.found(&self.diff_of(place, size, witnesses.as_ref()), limit),
            };
            changes.extend(change(place.name, place.family, modes, found));
        }
        for (nth, world) in self.worlds.iter().enumerate() {
            for (node, family) in only_here(world.state, self.worlds[1 - nth].state) {
                let mode = world.state.proxy_settings(node.name()).mode;
                let mut parts = [Parts::new(), Parts::new()];
                parts[nth] = proxy::generate(world.state, node, family, mode).parts();
                let mut modes = [None, None];
                modes[nth] = Some(mode);
                let found = self.found(&Diff::between(&parts[0], &parts[1]), limit);
                changes.extend(change(node.name(), family, modes, found));
            }
        }
        changes.sort_by(|a, b| (&a.node, a.family).cmp(&(&b.node, b.family)));
        changes
    }

    /// Whether what all Services have in common is the same before and after.
    fn is_only_of_services(&self, place: &Place<'_>, [old_size, size]: [ClusterSize; 2]) -> bool {
        let Place { before, after, .. } = place;
        let sized = old_size == size || before.mode != ProxyMode::Iptables;
        (place.differs == Differs::Zone || before.makes_same_rules(after)) && sized
    }

    fn diff_of(&self, place: &Place<'_>, sizes: [ClusterSize; 2], witnesses: Option<&Witnesses<'_>>) -> Diff {
        let Place { before, after, .. } = place;
        if !self.is_only_of_services(place, sizes) {
            let whole = |world: &World<'_>, context: &NodeContext| {
                proxy::generate(world.state, &context.node, context.family, context.mode).parts()
            };
            return Diff::between(&whole(&self.worlds[0], before), &whole(&self.worlds[1], after));
        }
        let concerned = if place.differs == Differs::Zone { &self.zoned } else { &self.touched };
        if concerned.is_empty() {
            return Diff::default();
        }
        let beside = witnesses.map(|witnesses| witnesses.for_place(place)).unwrap_or_default();
        let some = |world: &World<'_>, context: &NodeContext| {
            let keys: BTreeSet<&Key> = concerned.iter().chain(beside.iter().copied()).collect();
            let services: Vec<&Service> =
                keys.into_iter().filter_map(|key| world.service(key)).map(|service| &**service).collect();
            rules_of(world, &services, context, sizes[1]).parts()
        };
        Diff::between(&some(&self.worlds[0], before), &some(&self.worlds[1], after))
    }

    fn found(&self, diff: &Diff, limit: usize) -> Found {
        let mut found = Found::of(diff, limit);
        self.name_services(&mut found);
        found
    }

    fn name_services(&self, found: &mut Found) {
        for line in found.lines.iter_mut().filter(|line| line.service.is_none()) {
            line.service = self.service_of(&line.line.part, &line.line.text);
        }
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

/// Whether rules of a Service don't depend on those of others, but for the ones that it shares addresses with.
fn is_by_service(place: &Place<'_>) -> bool {
    let by_service = |mode| matches!(mode, ProxyMode::Iptables | ProxyMode::Nftables);
    by_service(place.before.mode) && by_service(place.after.mode)
}

fn change(
    node: &Text,
    family: IpFamily,
    [mode_before, mode_after]: [Option<ProxyMode>; 2],
    found: Found,
) -> Option<RulesChange> {
    let Found { added, removed, lines } = found;
    let differs = added > 0 || removed > 0 || mode_before != mode_after;
    let node = node.clone();
    differs.then_some(RulesChange { node, family, mode_before, mode_after, added, removed, lines })
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
