//! Rules that follow the cluster: a changed object recomputes only what depends on it, and says what became different.
//!
//! [`SharedPorts`] is what no node changes: the Service ports of a family with their endpoints, for all nodes at once.
//! [`NodeRules`] is one node in one mode: what each Service contributes to its rules. Law: after every change both equal
//! what [`super::generate`] makes of the new state. What depends on what: Services and EndpointSlices on themselves; large
//! clusters (iptables mode) on the number of all endpoints; a node's rules on that Node and on kube-proxy's settings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::iptables::ClusterSize;
use super::node::NodeContext;
use super::parts::{self, Diff, Parts};
use super::ports::{PortInfo, port_infos_of};
use super::rules::{Rules, generate};
use super::{iptables, ipvs, nftables};
use crate::model::{ClusterState, IpFamily, Key, Kind, Node, ObjectRef, ProxyMode};
use crate::netfilter::iptables::{Chain, Rule};
use crate::netfilter::ipvs::{Entry, VirtualAddress};
use crate::netfilter::{ChainName, nft};

/// The Service ports of one family, shared by all nodes.
#[derive(Debug, Clone)]
pub struct SharedPorts {
    family: IpFamily,
    services: BTreeMap<Key, Arc<[PortInfo]>>,
    /// To which Service a slice belonged when it was last seen.
    owners: HashMap<Key, Key>,
    endpoints: usize,
}

/// What a changed object means for rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    Nothing,
    /// The ports of these Services are others now.
    Services(Vec<Key>),
    /// So are they, and the cluster has become large, or is no longer.
    Size(Vec<Key>),
    /// One node, by name.
    Node(Key),
    /// kube-proxy's settings.
    Settings,
}

impl SharedPorts {
    pub fn new(state: &ClusterState, family: IpFamily) -> SharedPorts {
        let mut shared =
            SharedPorts { family, services: BTreeMap::new(), owners: HashMap::new(), endpoints: 0 };
        for slice in state.slices().values() {
            shared.owners.extend(slice.service().map(|service| (slice.meta.key.clone(), service)));
        }
        for key in state.services().keys() {
            shared.refresh(state, key);
        }
        shared
    }

    /// Takes in that `changed` is another object in `state` now, or gone from it.
    pub fn update(&mut self, state: &ClusterState, changed: &ObjectRef) -> Touched {
        match changed.kind {
            Kind::Service => self.refresh_all(state, BTreeSet::from([changed.key.clone()])),
            Kind::EndpointSlice => {
                let owner = state.slices().get(&changed.key).and_then(|slice| slice.service());
                let before = match &owner {
                    Some(owner) => self.owners.insert(changed.key.clone(), owner.clone()),
                    None => self.owners.remove(&changed.key),
                };
                self.refresh_all(state, owner.into_iter().chain(before).collect())
            }
            Kind::Node => Touched::Node(changed.key.clone()),
            Kind::ProxyConfig => Touched::Settings,
            Kind::Namespace | Kind::Pod | Kind::Endpoints => Touched::Nothing,
        }
    }

    fn refresh_all(&mut self, state: &ClusterState, services: BTreeSet<Key>) -> Touched {
        let size = self.size();
        let other: Vec<Key> = services.into_iter().filter(|key| self.refresh(state, key)).collect();
        if size != self.size() {
            Touched::Size(other)
        } else if other.is_empty() {
            Touched::Nothing
        } else {
            Touched::Services(other)
        }
    }

    /// True if the ports of the Service are others now.
    fn refresh(&mut self, state: &ClusterState, key: &Key) -> bool {
        let service = state.services().get(key);
        let ports = service.map(|service| port_infos_of(state, service, self.family)).unwrap_or_default();
        let count = |ports: &[PortInfo]| ports.iter().map(|port| port.endpoints.len()).sum::<usize>();
        let old = self.services.get(key).map_or(&[][..], |ports| ports);
        if *old == *ports {
            return false;
        }
        self.endpoints = self.endpoints + count(&ports) - count(old);
        if ports.is_empty() {
            self.services.remove(key);
        } else {
            self.services.insert(key.clone(), ports.into());
        }
        true
    }

    /// Endpoints of all Service ports, each counted for every port.
    pub fn endpoint_count(&self) -> usize {
        self.endpoints
    }

    fn size(&self) -> ClusterSize {
        ClusterSize::with_endpoints(self.endpoints)
    }

    fn ports_of(&self, service: &Key) -> &[PortInfo] {
        self.services.get(service).map_or(&[], |ports| ports)
    }
}

/// What one Service contributes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fragment {
    Iptables(iptables::Fragment),
    Nftables(nftables::Fragment),
    Ipvs(ipvs::Fragment),
}

/// Something that only one Service can have, or that is there once although several want it. The last one, in the order of
/// namespace and name, has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Claim {
    Element(&'static str, nft::Key),
    Server(VirtualAddress),
    Dummy(IpAddr),
    Entry(ipvs::Id, Entry),
}

/// The rules of one node in one mode.
#[derive(Debug, Clone)]
pub struct NodeRules {
    context: NodeContext,
    size: ClusterSize,
    fragments: BTreeMap<Key, Fragment>,
    claims: HashMap<Claim, BTreeSet<Key>>,
    /// How many entries each ipset has; rules about a set depend on whether it has any.
    filled: BTreeMap<ipvs::Id, usize>,
    /// In userspace mode the whole: the choice of proxy ports depends on all Services.
    whole: Option<Rules>,
}

impl NodeRules {
    /// `shared` is of the same state.
    pub fn new(state: &ClusterState, shared: &SharedPorts, node: &Arc<Node>, mode: ProxyMode) -> NodeRules {
        let context = NodeContext::new(state, node, shared.family, mode);
        let whole = (mode == ProxyMode::Userspace).then(|| generate(state, node, shared.family, mode));
        let mut rules = NodeRules {
            context,
            size: shared.size(),
            fragments: BTreeMap::new(),
            claims: HashMap::new(),
            filled: BTreeMap::new(),
            whole,
        };
        for (key, ports) in &shared.services {
            if let Some(fragment) = rules.fragment(ports) {
                rules.claim(key, &fragment);
                rules.fragments.insert(key.clone(), fragment);
            }
        }
        rules
    }

    /// Takes in what [`SharedPorts::update`] answered. A node that is gone keeps its last rules.
    pub fn update(&mut self, state: &ClusterState, shared: &SharedPorts, touched: &Touched) -> Diff {
        match touched {
            Touched::Nothing => Diff::default(),
            Touched::Node(key) if *key != self.context.node.meta.key => Diff::default(),
            Touched::Services(_) | Touched::Size(_) if self.whole.is_some() => self.rebuild(state, shared),
            Touched::Size(_) if self.context.mode == ProxyMode::Iptables => self.rebuild(state, shared),
            Touched::Services(keys) | Touched::Size(keys) => {
                let mut diff = Diff::default();
                keys.iter().for_each(|key| diff.merge(self.replace(key, shared.ports_of(key))));
                diff
            }
            Touched::Node(_) | Touched::Settings => self.follow_node(state, shared),
        }
    }

    /// The rules, whole.
    pub fn rules(&self) -> Rules {
        let node = &self.context;
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        match node.mode {
            ProxyMode::Nftables => Rules::Nftables(self.collect_nftables().into_table(node)),
            ProxyMode::Ipvs => Rules::Ipvs(self.collect_ipvs().into_ruleset(node)),
            ProxyMode::Iptables | ProxyMode::Userspace => {
                Rules::Iptables(self.collect_iptables().into_tables(node))
            }
        }
    }

    fn collect_iptables(&self) -> iptables::Fragment {
        let mut all = iptables::Fragment::default();
        for fragment in self.fragments.values() {
            if let Fragment::Iptables(one) = fragment {
                all.extend(one);
            }
        }
        all
    }

    fn collect_nftables(&self) -> nftables::Fragment {
        let mut all = nftables::Fragment::default();
        for fragment in self.fragments.values() {
            if let Fragment::Nftables(one) = fragment {
                all.extend(one);
            }
        }
        all
    }

    fn collect_ipvs(&self) -> ipvs::Fragment {
        let mut all = ipvs::Fragment::default();
        for fragment in self.fragments.values() {
            if let Fragment::Ipvs(one) = fragment {
                all.extend(one);
            }
        }
        all
    }

    fn fragment(&self, ports: &[PortInfo]) -> Option<Fragment> {
        let node = &self.context;
        match node.mode {
            ProxyMode::Userspace => None,
            ProxyMode::Iptables => {
                let mut fragment = iptables::Fragment::default();
                ports.iter().for_each(|port| fragment.add(port, node, self.size));
                Some(Fragment::Iptables(fragment))
            }
            ProxyMode::Nftables => {
                let mut fragment = nftables::Fragment::default();
                ports.iter().for_each(|port| fragment.add(port, node));
                Some(Fragment::Nftables(fragment))
            }
            ProxyMode::Ipvs => {
                let mut fragment = ipvs::Fragment::default();
                fragment.add(ports, node);
                Some(Fragment::Ipvs(fragment))
            }
        }
    }

    /// Everything anew, if something of the node that rules depend on is another.
    fn follow_node(&mut self, state: &ClusterState, shared: &SharedPorts) -> Diff {
        let Some(node) = state.node(&self.context.node.meta.key.name) else { return Diff::default() };
        let context = NodeContext::new(state, node, shared.family, self.context.mode);
        if context.makes_same_rules(&self.context) {
            self.context = context;
            return Diff::default();
        }
        self.rebuild(state, shared)
    }

    fn rebuild(&mut self, state: &ClusterState, shared: &SharedPorts) -> Diff {
        let node = state.node(&self.context.node.meta.key.name).unwrap_or(&self.context.node).clone();
        let after = NodeRules::new(state, shared, &node, self.context.mode);
        let before = std::mem::replace(self, after);
        Diff::between(&before.rules().parts(), &self.rules().parts())
    }

    /// Puts what the Service contributes now in the place of what it has contributed.
    fn replace(&mut self, key: &Key, ports: &[PortInfo]) -> Diff {
        let new = if ports.is_empty() { None } else { self.fragment(ports) };
        let old = self.fragments.remove(key);
        if old == new {
            self.fragments.extend(new.map(|fragment| (key.clone(), fragment)));
            return Diff::default();
        }
        let mut diff = own_parts(old.as_ref(), new.as_ref(), self.context.family);
        diff.merge(self.replace_claims(key, old.as_ref(), new.as_ref()));
        self.fragments.extend(new.map(|fragment| (key.clone(), fragment)));
        diff
    }

    /// Moves the Service's claims, and answers what stands in their places instead.
    fn replace_claims(&mut self, key: &Key, old: Option<&Fragment>, new: Option<&Fragment>) -> Diff {
        let all = |fragment: Option<&Fragment>| fragment.map(claims).unwrap_or_default();
        // Where a claim is the same before and after, only virtual servers and verdicts can differ.
        let (gone, come) = (all(old), all(new));
        let moved = gone != come;
        if !moved && same_values(old, new) {
            return Diff::default();
        }
        let claims: BTreeSet<Claim> = gone.into_iter().chain(come).collect();
        let filled = self.filled.clone();
        let before = self.claimed(&claims, key, old);
        if moved {
            old.iter().for_each(|fragment| self.unclaim(key, fragment));
            new.iter().for_each(|fragment| self.claim(key, fragment));
        }
        let after = self.claimed(&claims, key, new);
        let mut diff = claimed_diff(&before, &after);
        diff.merge(self.frame_diff(&filled));
        diff
    }

    fn claim(&mut self, key: &Key, fragment: &Fragment) {
        for claim in claims(fragment).into_iter().collect::<BTreeSet<_>>() {
            let claimants = self.claims.entry(claim).or_default();
            if let (Claim::Entry(id, _), true) = (claim, claimants.is_empty()) {
                *self.filled.entry(id).or_default() += 1;
            }
            claimants.insert(key.clone());
        }
    }

    fn unclaim(&mut self, key: &Key, fragment: &Fragment) {
        for claim in claims(fragment).into_iter().collect::<BTreeSet<_>>() {
            let Some(claimants) = self.claims.get_mut(&claim) else { continue };
            claimants.remove(key);
            if !claimants.is_empty() {
                continue;
            }
            self.claims.remove(&claim);
            if let Claim::Entry(id, _) = claim
                && let Some(count) = self.filled.get_mut(&id)
            {
                *count -= 1;
            }
        }
    }

    /// What stands for each claim. `own` is what the Service `key` contributes.
    fn claimed(
        &self,
        claims: &BTreeSet<Claim>,
        key: &Key,
        own: Option<&Fragment>,
    ) -> BTreeMap<Claim, (String, Vec<String>)> {
        let standing = |claim: &Claim| {
            let winner = self.claims.get(claim)?.last()?;
            let fragment = if winner == key { own? } else { self.fragments.get(winner)? };
            Some((*claim, claim_lines(*claim, fragment, self.context.family)))
        };
        claims.iter().filter_map(standing).collect()
    }

    /// ipvs mode's fixed chains, if sets became empty or no longer are.
    fn frame_diff(&self, before: &BTreeMap<ipvs::Id, usize>) -> Diff {
        let ids = |filled: &BTreeMap<ipvs::Id, usize>| -> BTreeSet<ipvs::Id> {
            filled.iter().filter(|(_, count)| **count > 0).map(|(id, _)| *id).collect()
        };
        let (before, after) = (ids(before), ids(&self.filled));
        if before == after {
            return Diff::default();
        }
        let parts = |ids| {
            let mut parts = Parts::new();
            let tables = ipvs::tables(&self.context, ids, Vec::new());
            tables.iter().for_each(|table| parts::add_table(table, &mut parts));
            parts
        };
        Diff::between(&parts(before), &parts(after))
    }
}

fn same_values(old: Option<&Fragment>, new: Option<&Fragment>) -> bool {
    match (old, new) {
        (Some(Fragment::Iptables(_)), Some(Fragment::Iptables(_))) => true,
        (Some(Fragment::Nftables(old)), Some(Fragment::Nftables(new))) => old.elements == new.elements,
        (Some(Fragment::Ipvs(old)), Some(Fragment::Ipvs(new))) => old.servers == new.servers,
        (None, None) => true,
        _ => false,
    }
}

fn claims(fragment: &Fragment) -> Vec<Claim> {
    match fragment {
        Fragment::Iptables(_) => Vec::new(),
        Fragment::Nftables(nft) => {
            let members = nft.members.iter().map(|(set, key)| Claim::Element(set, *key));
            members.chain(nft.elements.iter().map(|(map, key, _)| Claim::Element(map, *key))).collect()
        }
        Fragment::Ipvs(ipvs) => {
            let servers = ipvs.servers.iter().map(|(address, _)| Claim::Server(*address));
            let dummy = ipvs.dummy.iter().map(|ip| Claim::Dummy(*ip));
            let entries = ipvs.entries.iter().map(|(id, entry)| Claim::Entry(*id, *entry));
            servers.chain(dummy).chain(entries).collect()
        }
    }
}

/// The part that a claim stands in, and its lines there.
fn claim_lines(claim: Claim, fragment: &Fragment, family: IpFamily) -> (String, Vec<String>) {
    match (claim, fragment) {
        (Claim::Element(place, key), Fragment::Nftables(nft)) => nft.line_of(place, key, family),
        (Claim::Server(address), Fragment::Ipvs(ipvs)) => {
            let server = ipvs.servers.iter().rev().find(|(known, _)| *known == address);
            let lines = server.map(|(_, server)| parts::server_lines(server)).unwrap_or_default();
            (parts::server_part(&address), lines)
        }
        (Claim::Dummy(ip), _) => (parts::DUMMY.to_owned(), vec![ip.to_string()]),
        (Claim::Entry(id, entry), _) => {
            (format!("ipset {}", ipvs::name_of(id, family)), vec![entry.to_string()])
        }
        (Claim::Element(place, _), _) => (place.to_owned(), Vec::new()),
        (Claim::Server(address), _) => (parts::server_part(&address), Vec::new()),
    }
}

/// Virtual servers come and go as parts; everything else as lines of parts that are always there.
fn claimed_diff(
    before: &BTreeMap<Claim, (String, Vec<String>)>,
    after: &BTreeMap<Claim, (String, Vec<String>)>,
) -> Diff {
    let mut diff = Diff::default();
    let claims: BTreeSet<&Claim> = before.keys().chain(after.keys()).collect();
    for claim in claims {
        let side = |claimed: &BTreeMap<Claim, (String, Vec<String>)>| claimed.get(claim).cloned();
        let (old, new) = (side(before), side(after));
        if matches!(claim, Claim::Server(_)) {
            let parts = |side: Option<(String, Vec<String>)>| side.into_iter().collect::<Parts>();
            diff.merge(Diff::between(&parts(old), &parts(new)));
            continue;
        }
        let Some(part) = old.as_ref().or(new.as_ref()).map(|(part, _)| part.clone()) else { continue };
        let lines = |side: Option<(String, Vec<String>)>| side.map(|(_, lines)| lines).unwrap_or_default();
        let mut one = Diff::default();
        one.changed(&part, &lines(old), &lines(new));
        diff.merge(one);
    }
    diff
}

/// The parts that belong to the Service alone, and its rules in the chains that all share.
fn own_parts(old: Option<&Fragment>, new: Option<&Fragment>, family: IpFamily) -> Diff {
    // Most chains stay as they are: only those that do not are printed.
    let own = |fragment: Option<&Fragment>, other: Option<&Fragment>| {
        let mut parts = Parts::new();
        match (fragment, other) {
            (Some(Fragment::Iptables(one)), other) => {
                let known: HashSet<&Chain> = match other {
                    Some(Fragment::Iptables(other)) => other.own.iter().collect(),
                    _ => HashSet::new(),
                };
                for chain in one.own.iter().filter(|chain| !known.contains(chain)) {
                    parts::add_rules(&format!("nat/{}", chain.name), chain, &chain.rules, &mut parts);
                }
            }
            (Some(Fragment::Nftables(one)), _) => one.own_parts(family, &mut parts),
            _ => {}
        }
        parts
    };
    let mut diff = Diff::between(&own(old, new), &own(new, old));
    let mut rows: BTreeMap<&str, [&[Rule]; 2]> = BTreeMap::new();
    for (side, fragment) in [(0, old), (1, new)] {
        for (part, rules) in fragment.map(shared_chains).unwrap_or_default() {
            rows.entry(part).or_default()[side] = rules;
        }
    }
    for (part, [old, new]) in rows.into_iter().filter(|(_, [old, new])| old != new) {
        let lines = |rules: &[Rule]| {
            let name = part.split('/').nth(1).unwrap_or_default();
            let chain = Chain { name: ChainName::cut(name), rules: Vec::new() };
            let mut parts = Parts::new();
            parts::add_rules(part, &chain, rules, &mut parts);
            parts.remove(part).unwrap_or_default()
        };
        let mut one = Diff::default();
        one.changed(part, &lines(old), &lines(new));
        diff.merge(one);
    }
    diff
}

/// The rules of a Service in the chains that all Services share.
fn shared_chains(fragment: &Fragment) -> Vec<(&'static str, &[Rule])> {
    match fragment {
        Fragment::Nftables(_) => Vec::new(),
        Fragment::Ipvs(one) => vec![("filter/KUBE-IPVS-OUT-FILTER", &one.out_filter)],
        Fragment::Iptables(one) => vec![
            ("filter/KUBE-SERVICES", &one.filter_services),
            ("filter/KUBE-EXTERNAL-SERVICES", &one.filter_external),
            ("filter/KUBE-NODEPORTS", &one.filter_nodeports),
            ("filter/KUBE-PROXY-FIREWALL", &one.filter_firewall),
            ("nat/KUBE-SERVICES", &one.nat_services),
            ("nat/KUBE-NODEPORTS", &one.nat_nodeports),
        ],
    }
}
