//! The rules of kube-proxy's nftables mode (`pkg/proxy/nftables/proxier.go`, Kubernetes 1.36).
//!
//! In: the Service ports of a family and one node. Out: the table `kube-proxy` of that family.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::common::{Backend, Categories, categorize};
use super::hash::base32_sha256;
use super::node::{Detector, NodeContext, NodePorts};
use super::parts::{Parts, add_nft};
use super::ports::PortInfo;
use crate::model::{IpFamily, Text};
use crate::netfilter::iptables::{Sense, Side};
use crate::netfilter::nft::{
    Addresses, Base, BaseKind, Chain, Element, Field, Hook, Key, KeyType, Map, Rule, Set, Statement, Table,
    Verdict,
};

/// Longest name of a chain or set, in bytes, and how much of a longer one is kept before `...`.
const NAME_LIMIT: (usize, usize) = (240, 237);

/// The table, complete.
pub fn generate(ports: &[PortInfo], node: &NodeContext) -> Table {
    let mut fragment = Fragment::default();
    ports.iter().for_each(|port| fragment.add(port, node));
    fragment.into_table(node)
}

/// What some ports contribute: chains and affinity sets of their own, and elements of the sets and maps that all share.
/// Where two claim one key, the later one has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fragment {
    pub chains: Vec<Chain>,
    pub affinity: Vec<Set>,
    pub members: Vec<(&'static str, Key)>,
    pub elements: Vec<(&'static str, Key, Element)>,
}

impl Fragment {
    pub fn add(&mut self, port: &PortInfo, node: &NodeContext) {
        ServicePort::new(port, node).add_to(self);
    }

    /// Adds what later ports contribute.
    pub fn extend(&mut self, later: &Fragment) {
        self.chains.extend_from_slice(&later.chains);
        self.affinity.extend_from_slice(&later.affinity);
        self.members.extend_from_slice(&later.members);
        self.elements.extend_from_slice(&later.elements);
    }

    /// The chains and sets that no other Service has.
    pub fn own_parts(&self, family: IpFamily, parts: &mut Parts) {
        let mut table = empty_table(family);
        table.chains = self.chains.iter().map(|chain| (chain.name.clone(), chain.clone())).collect();
        table.sets = self.affinity.iter().map(|set| (set.name.clone(), set.clone())).collect();
        add_nft(&table, parts);
        parts.remove("table");
    }

    /// An element of a shared set or map: the part it stands in, and its line there.
    pub fn line_of(&self, place: &'static str, key: Key, family: IpFamily) -> (String, Vec<String>) {
        let mut table = empty_table(family);
        let found = self.elements.iter().rev().find(|(map, known, _)| *map == place && *known == key);
        let kind = match found {
            Some((.., element)) => {
                let elements = BTreeMap::from([(key, element.clone())]);
                let map = Map { name: place.into(), key: KeyType::Ip, comment: None, elements };
                table.maps.insert(place.into(), map);
                "map"
            }
            None => {
                add_set(&mut table, place, KeyType::Ip, None, BTreeSet::from([key]));
                "set"
            }
        };
        let mut parts = Parts::new();
        add_nft(&table, &mut parts);
        let part = format!("{kind} {place}");
        // The first line declares.
        let lines = parts.remove(&part).unwrap_or_default().into_iter().skip(1).collect();
        (part, lines)
    }

    /// What the ports contribute, within what is there without any.
    pub fn into_table(self, node: &NodeContext) -> Table {
        let mut table = frame(node);
        // Sorted at once, which is faster than one by one.
        let mut chains: BTreeMap<Text, Chain> =
            self.chains.into_iter().map(|chain| (chain.name.clone(), chain)).collect();
        table.chains.append(&mut chains);
        let mut affinity = self.affinity.into_iter().map(|set| (set.name.clone(), set)).collect();
        table.sets.append(&mut affinity);
        let mut members: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        self.members.into_iter().for_each(|(set, key)| members.entry(set).or_default().push(key));
        for (name, keys) in members {
            if let Some(set) = table.sets.get_mut(name) {
                set.elements = keys.into_iter().collect();
            }
        }
        let mut elements: BTreeMap<&str, Vec<(Key, Element)>> = BTreeMap::new();
        for (map, key, element) in self.elements {
            elements.entry(map).or_default().push((key, element));
        }
        for (name, found) in elements {
            if let Some(map) = table.maps.get_mut(name) {
                map.elements = found.into_iter().collect();
            }
        }
        table
    }
}

const ADDRESS_PROTOCOL_PORT: [Field; 3] =
    [Field::DestinationAddress, Field::Protocol, Field::DestinationPort];
const PROTOCOL_PORT: [Field; 2] = [Field::Protocol, Field::DestinationPort];

/// Everything that is there without any Service.
fn frame(node: &NodeContext) -> Table {
    let mut table = empty_table(node.family);
    base_chains(&mut table);
    sets_and_maps(&mut table, node);
    regular_chains(&mut table, node);
    table
}

fn empty_table(family: IpFamily) -> Table {
    Table {
        family,
        name: "kube-proxy".into(),
        comment: Some("rules for kube-proxy".into()),
        chains: BTreeMap::new(),
        sets: BTreeMap::new(),
        maps: BTreeMap::new(),
    }
}

fn base_chains(table: &mut Table) {
    use BaseKind::{Filter, Nat};
    let new_jump = |chain: &str| rule([Statement::CtStateNew, jump(chain)]);
    let firewall = || vec![new_jump("firewall-check")];
    let forward = || vec![new_jump("service-endpoints-check"), new_jump("cluster-ips-check")];
    let input = vec![new_jump("nodeport-endpoints-check"), new_jump("service-endpoints-check")];
    let services = || vec![rule([jump("services")])];
    let rows = [
        ("filter-prerouting-pre-dnat", Filter, Hook::Prerouting, -110, firewall()),
        ("filter-output-pre-dnat", Filter, Hook::Output, -110, firewall()),
        ("filter-input", Filter, Hook::Input, 0, input),
        ("filter-forward", Filter, Hook::Forward, 0, forward()),
        ("filter-output", Filter, Hook::Output, 0, forward()),
        ("nat-prerouting", Nat, Hook::Prerouting, -100, services()),
        ("nat-output", Nat, Hook::Output, -100, services()),
        ("nat-postrouting", Nat, Hook::Postrouting, 100, vec![rule([jump("masquerading")])]),
    ];
    for (name, kind, hook, priority, rules) in rows {
        let base = Some(Base { kind, hook, priority });
        add_chain(table, Chain { name: name.into(), base, comment: None, rules });
    }
}

fn sets_and_maps(table: &mut Table, node: &NodeContext) {
    add_set(table, "cluster-ips", KeyType::Ip, Some("Active ClusterIPs"), BTreeSet::new());
    add_set(
        table,
        "hairpin-connections",
        KeyType::Flow,
        Some("service hairpin connections"),
        BTreeSet::new(),
    );
    if let NodePorts::On(ips) = &node.node_ports {
        let ips = ips.iter().copied().filter(|ip| !ip.is_loopback()).map(Key::Ip).collect();
        add_set(table, "nodeport-ips", KeyType::Ip, Some("IPs that accept NodePort traffic"), ips);
    }
    let rows = [
        ("service-ips", KeyType::IpProtocolPort, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
        ("service-nodeports", KeyType::ProtocolPort, "NodePort traffic"),
        (
            "no-endpoint-services",
            KeyType::IpProtocolPort,
            "vmap to drop or reject packets to services with no endpoints",
        ),
        (
            "no-endpoint-nodeports",
            KeyType::ProtocolPort,
            "vmap to drop or reject packets to service nodeports with no endpoints",
        ),
        (
            "firewall-ips",
            KeyType::IpProtocolPort,
            "destinations that are subject to LoadBalancerSourceRanges",
        ),
    ];
    for (name, key, comment) in rows {
        let map = Map { name: name.into(), key, comment: Some(comment.into()), elements: BTreeMap::new() };
        table.maps.insert(name.into(), map);
    }
}

fn regular_chains(table: &mut Table, node: &NodeContext) {
    let mark = node.mark();
    let flow = [Field::SourceAddress, Field::DestinationAddress, Field::Protocol, Field::DestinationPort];
    let hairpin = Statement::InSet { fields: flow.to_vec(), set: "hairpin-connections".into() };
    let to_cluster_ips =
        || Statement::InSet { fields: vec![Field::DestinationAddress], set: "cluster-ips".into() };
    let vmap = |map: &str| Statement::VerdictMap { fields: ADDRESS_PROTOCOL_PORT.to_vec(), map: map.into() };

    let masquerading = vec![
        rule([Statement::Marked(mark), Statement::MarkXor(mark), Statement::Masquerade]),
        rule([Statement::CtStatusDnat, hairpin, Statement::Masquerade]),
    ];
    let invalid =
        commented([to_cluster_ips(), Statement::Reject], "Reject traffic to invalid ports of ClusterIPs");
    let masquerade_all =
        || commented([to_cluster_ips(), Statement::MarkOr(mark)], "masquerade all clusterIP traffic");
    let masquerade_outside = |detector: &Detector| {
        let statements = [to_cluster_ips(), detect(detector, Sense::Not), Statement::MarkOr(mark)];
        commented(statements, "masquerade clusterIP traffic from outside cluster")
    };
    let mut services = match &node.detector {
        _ if node.masquerade_all() => vec![masquerade_all()],
        Some(detector) => vec![masquerade_outside(detector)],
        None => Vec::new(),
    };
    services.push(rule([vmap("service-ips")]));
    services.push(node_port_rule(node, "service-nodeports", Scope::Services));

    let rows = [
        ("masquerading", masquerading),
        ("cluster-ips-check", vec![invalid]),
        ("reject-chain", vec![rule([Statement::Reject])]),
        ("service-endpoints-check", vec![rule([vmap("no-endpoint-services")])]),
        ("nodeport-endpoints-check", vec![node_port_rule(node, "no-endpoint-nodeports", Scope::Check)]),
        ("firewall-check", vec![rule([vmap("firewall-ips")])]),
        ("services", services),
    ];
    for (name, rules) in rows {
        let comment = (name == "reject-chain")
            .then(|| "helper for @no-endpoint-services / @no-endpoint-nodeports".into());
        add_chain(table, Chain { name: name.into(), base: None, comment, rules });
    }
}

/// Where the rule for node ports stands: only in `services` must it make sure that the address is local, since what
/// comes to INPUT is.
#[derive(PartialEq)]
enum Scope {
    Services,
    Check,
}

fn node_port_rule(node: &NodeContext, map: &str, scope: Scope) -> Rule {
    let vmap = Statement::VerdictMap { fields: PROTOCOL_PORT.to_vec(), map: map.into() };
    if matches!(node.node_ports, NodePorts::On(_)) {
        let on = Statement::InSet { fields: vec![Field::DestinationAddress], set: "nodeport-ips".into() };
        return rule([on, vmap]);
    }
    let loopback = match node.family {
        IpFamily::IPv4 => Addresses::Net(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8))),
        IpFamily::IPv6 => Addresses::Host(Ipv6Addr::LOCALHOST.into()),
    };
    let elsewhere =
        Statement::Compare { field: Field::DestinationAddress, sense: Sense::Not, with: loopback };
    let local = (scope == Scope::Services).then_some(Statement::Local(Side::Destination));
    Rule { statements: local.into_iter().chain([elsewhere, vmap]).collect(), comment: None }
}

fn detect(detector: &Detector, sense: Sense) -> Statement {
    match detector {
        Detector::Cidr(cidr) => {
            Statement::Compare { field: Field::SourceAddress, sense, with: Addresses::Net(*cidr) }
        }
        Detector::Bridge(name) => Statement::InInterface(sense, name.clone()),
        Detector::Prefix(name) => Statement::InInterface(sense, format!("{name}*").into()),
    }
}

fn rule(statements: impl Into<Vec<Statement>>) -> Rule {
    Rule { statements: statements.into(), comment: None }
}

fn commented(statements: impl Into<Vec<Statement>>, comment: &str) -> Rule {
    Rule { statements: statements.into(), comment: Some(comment.into()) }
}

fn jump(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(chain.into()))
}

fn goto(chain: &Text) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.clone()))
}

fn add_chain(table: &mut Table, chain: Chain) {
    table.chains.insert(chain.name.clone(), chain);
}

fn add_set(table: &mut Table, name: &str, key: KeyType, comment: Option<&str>, elements: BTreeSet<Key>) {
    let set =
        Set { name: name.into(), key, comment: comment.map(Text::from), dynamic_seconds: None, elements };
    table.sets.insert(set.name.clone(), set);
}

/// One Service port on one node.
struct ServicePort<'a> {
    port: &'a PortInfo,
    node: &'a NodeContext,
    categories: Categories,
    /// What follows the prefix in the names of its chains.
    suffix: String,
    /// Nearly every port has just this chain.
    service: Text,
}

impl<'a> ServicePort<'a> {
    fn new(port: &'a PortInfo, node: &'a NodeContext) -> ServicePort<'a> {
        let suffix = hashed(&base(port));
        ServicePort {
            port,
            node,
            categories: categorize(&port.endpoints, port.view, &node.node),
            service: named("service-", &suffix),
            suffix,
        }
    }

    fn local(&self) -> Text {
        named("local-", &self.suffix)
    }

    fn external(&self) -> Text {
        named("external-", &self.suffix)
    }

    fn firewall(&self) -> Text {
        named("firewall-", &self.suffix)
    }

    fn add_to(&self, out: &mut Fragment) {
        let port = self.port;
        out.members.push(("cluster-ips", Key::Ip(port.cluster_ip)));
        self.cluster_ip(out);
        self.outside(out);
        self.node_port(out);
        self.own_chains(out);
        for &index in &self.categories.reachable {
            let backend = &port.endpoints[index];
            if backend.node.as_deref() == Some(&*self.node.node.meta.key.name) {
                let key = Key::Flow(backend.address, backend.address, port.protocol, backend.port.get());
                out.members.push(("hairpin-connections", key));
            }
        }
    }

    fn has_external(&self) -> bool {
        self.categories.has_external(self.port.view)
    }

    fn policy_chain(&self, local: bool) -> Text {
        if local { self.local() } else { self.service.clone() }
    }

    fn key(&self, ip: IpAddr) -> Key {
        Key::IpProtocolPort(ip, self.port.protocol, self.port.port)
    }

    /// What happens where there is nowhere to go.
    fn refusal(&self) -> Element {
        let verdict =
            if self.categories.has_any { Verdict::Drop } else { Verdict::Goto("reject-chain".into()) };
        Element { verdict, comment: Some(self.port.name.as_str().into()) }
    }

    fn cluster_ip(&self, out: &mut Fragment) {
        let key = self.key(self.port.cluster_ip);
        if self.categories.has_internal(self.port.view) {
            add_goto(out, "service-ips", key, self.policy_chain(self.port.view.internal_local));
        } else {
            add_element(out, "no-endpoint-services", key, self.refusal());
        }
    }

    fn outside(&self, out: &mut Fragment) {
        for ip in self.port.external_ips.iter().chain(&self.port.vips) {
            if self.categories.has_any {
                add_goto(out, "service-ips", self.key(*ip), self.external());
            }
            if !self.has_external() {
                add_element(out, "no-endpoint-services", self.key(*ip), self.refusal());
            }
        }
        if self.port.has_source_ranges() {
            for ip in &self.port.vips {
                add_goto(out, "firewall-ips", self.key(*ip), self.firewall());
            }
        }
    }

    fn node_port(&self, out: &mut Fragment) {
        let Some(node_port) = self.port.node_port else { return };
        let key = Key::ProtocolPort(self.port.protocol, node_port);
        if self.categories.has_any {
            add_goto(out, "service-nodeports", key, self.external());
        }
        if !self.has_external() {
            add_element(out, "no-endpoint-nodeports", key, self.refusal());
        }
    }

    fn own_chains(&self, out: &mut Fragment) {
        let (view, categories) = (self.port.view, &self.categories);
        let mut add = |name: Text, rules: Vec<Rule>| {
            out.chains.push(Chain { name, base: None, comment: None, rules });
        };
        if categories.has_any && view.external {
            add(self.external(), self.external_rules());
        }
        if self.port.has_source_ranges() {
            add(self.firewall(), vec![self.firewall_rule()]);
        }
        if !categories.cluster.is_empty() && view.uses_cluster() {
            add(self.service.clone(), self.balance(&categories.cluster));
        }
        if !categories.local.is_empty() && view.uses_local() {
            add(self.local(), self.balance(&categories.local));
        }
        if let Some(seconds) = self.port.affinity {
            categories.reachable.iter().for_each(|&index| self.endpoint(index, seconds, out));
        }
    }

    fn external_rules(&self) -> Vec<Rule> {
        let mark = Statement::MarkOr(self.node.mark());
        let from_node = || Statement::Local(Side::Source);
        let mut rules = Vec::new();
        if self.port.view.external_local {
            if let Some(detector) = &self.node.detector {
                let statements = [detect(detector, Sense::Is), goto(&self.service)];
                rules.push(commented(statements, "short-circuit pod traffic"));
            }
            rules.push(commented([from_node(), mark], "masquerade local traffic"));
            rules.push(commented([from_node(), goto(&self.service)], "short-circuit local traffic"));
        } else {
            rules.push(commented([mark], "masquerade"));
        }
        if self.has_external() {
            rules.push(rule([goto(&self.policy_chain(self.port.view.external_local))]));
        }
        rules
    }

    fn firewall_rule(&self) -> Rule {
        let port = self.port;
        let mut allowed: Vec<Addresses> = port.source_ranges.iter().copied().map(Addresses::Net).collect();
        if port.source_ranges.iter().any(|range| range.contains(&self.node.node_ip)) {
            allowed.extend(port.vips.iter().copied().map(Addresses::Host));
        }
        let with = Addresses::AnyOf(allowed);
        let other = Statement::Compare { field: Field::SourceAddress, sense: Sense::Not, with };
        rule([other, Statement::Verdict(Verdict::Drop)])
    }

    fn balance(&self, chosen: &[usize]) -> Vec<Rule> {
        let backends = chosen.iter().map(|&index| &self.port.endpoints[index]);
        if self.port.affinity.is_none() {
            let all = backends.map(|backend| (backend.address, backend.port.get())).collect();
            return vec![rule([Statement::Protocol(self.port.protocol), Statement::DnatOneOf(all)])];
        }
        let suffixes: Vec<String> = backends.map(|backend| self.endpoint_suffix(backend)).collect();
        let chains = suffixes.iter().map(|suffix| Text::from(format!("endpoint-{suffix}")));
        let known = |suffix: &String| {
            let set = format!("affinity-{suffix}").into();
            let from = Statement::InSet { fields: vec![Field::SourceAddress], set };
            rule([from, goto(&format!("endpoint-{suffix}").into())])
        };
        let mut rules: Vec<Rule> = suffixes.iter().map(known).collect();
        rules.push(rule([Statement::GotoOneOf(chains.collect())]));
        rules
    }

    fn endpoint_suffix(&self, backend: &Backend) -> String {
        let address = backend.address.to_string().replace(':', ".");
        hashed(&format!("{}__{address}/{}", base(self.port), backend.port))
    }

    /// The chain and the affinity set of one endpoint.
    fn endpoint(&self, index: usize, seconds: u32, out: &mut Fragment) {
        let backend = &self.port.endpoints[index];
        let suffix = self.endpoint_suffix(backend);
        let set = Text::from(format!("affinity-{suffix}"));
        let dnat = [Statement::Protocol(self.port.protocol), Statement::Dnat(backend.socket())];
        let rules = vec![rule([Statement::Remember(set.clone())]), rule(dnat)];
        let name = format!("endpoint-{suffix}").into();
        out.chains.push(Chain { name, base: None, comment: None, rules });
        let affinity = Set {
            name: set,
            key: KeyType::Ip,
            comment: None,
            dynamic_seconds: Some(seconds),
            elements: BTreeSet::new(),
        };
        out.affinity.push(affinity);
    }
}

/// `namespace/service/protocol/portname`
fn base(port: &PortInfo) -> String {
    format!("{}/{}/{}/{}", port.namespace, port.service, port.protocol.lower(), port.port_name)
}

fn named(prefix: &str, suffix: &str) -> Text {
    [prefix, suffix].concat().into()
}

/// The hash of `base`, a dash, and `base`, cut to the longest name allowed.
fn hashed(base: &str) -> String {
    let hash = base32_sha256::<8>(&[base]);
    let name = format!("{}-{base}", String::from_utf8_lossy(&hash));
    let (limit, kept) = NAME_LIMIT;
    match name.get(..kept) {
        Some(head) if name.len() > limit => format!("{head}..."),
        _ => name,
    }
}

fn add_goto(out: &mut Fragment, map: &'static str, key: Key, chain: Text) {
    add_element(out, map, key, Element { verdict: Verdict::Goto(chain), comment: None });
}

fn add_element(out: &mut Fragment, map: &'static str, key: Key, element: Element) {
    out.elements.push((map, key, element));
}
