//! The rules of kube-proxy's iptables mode (`pkg/proxy/iptables/proxier.go`, Kubernetes 1.36).
//!
//! In: the Service ports of a family and one node. Out: tables `filter` and `nat`, deterministic: by namespace, name, port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use ipnet::{IpNet, Ipv4Net};

use super::common::{Categories, categorize};
use super::node::{Detector, NodeContext, NodePorts};
use super::ports::{Hashes, PortInfo, port_infos_of};
use crate::model::{ClusterState, IpFamily};
use crate::netfilter::ChainName;
use crate::netfilter::iptables::{
    Addresses, Chain, CtStates, Match, Recent, Rule, Sense, Side, Table, TableName, Target,
};

const SERVICES: ChainName = ChainName::cut("KUBE-SERVICES");
const EXTERNAL_SERVICES: ChainName = ChainName::cut("KUBE-EXTERNAL-SERVICES");
const FORWARD: ChainName = ChainName::cut("KUBE-FORWARD");
const NODEPORTS: ChainName = ChainName::cut("KUBE-NODEPORTS");
const PROXY_FIREWALL: ChainName = ChainName::cut("KUBE-PROXY-FIREWALL");
const FIREWALL: ChainName = ChainName::cut("KUBE-FIREWALL");
const POSTROUTING: ChainName = ChainName::cut("KUBE-POSTROUTING");
const MARK_MASQ: ChainName = ChainName::cut("KUBE-MARK-MASQ");

/// Above this many endpoints of all ports together, comments in balancing chains are left out.
const LARGE_CLUSTER: usize = 1000;

/// Whether comments in balancing chains are affordable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterSize {
    Normal,
    Large,
}

impl ClusterSize {
    /// Of all the ports of a family.
    pub fn of(ports: &[PortInfo]) -> ClusterSize {
        ClusterSize::with_endpoints(ports.iter().map(|port| port.endpoints.len()).sum())
    }

    /// [`ClusterSize::of`] all ports of a family, which looks no further than it must to know.
    pub fn of_state(state: &ClusterState, family: IpFamily) -> ClusterSize {
        let mut count = 0;
        for service in state.services().values() {
            count +=
                port_infos_of(state, service, family).iter().map(|port| port.endpoints.len()).sum::<usize>();
            if count > LARGE_CLUSTER {
                break;
            }
        }
        ClusterSize::with_endpoints(count)
    }

    pub(super) fn with_endpoints(count: usize) -> ClusterSize {
        if count > LARGE_CLUSTER { ClusterSize::Large } else { ClusterSize::Normal }
    }
}

/// The two tables, complete.
pub fn generate(ports: &[PortInfo], node: &NodeContext) -> [Table; 2] {
    generate_sized(ports, node, ClusterSize::of(ports))
}

/// The two tables with these ports only, which may be a part of a cluster of another size.
pub fn generate_sized(ports: &[PortInfo], node: &NodeContext, size: ClusterSize) -> [Table; 2] {
    let mut out = Fragment::default();
    ports.iter().for_each(|port| out.add(port, node, size));
    out.into_tables(node)
}

/// The text of [`generate`]'s tables, several times faster: the chains of a Service are printed as soon as they are made.
pub fn write(ports: &[PortInfo], node: &NodeContext, out: &mut String) {
    let size = ClusterSize::of(ports);
    let mut fragment = Fragment::default();
    let (start, mut declarations) = (out.len(), String::new());
    for port in ports {
        fragment.add(port, node, size);
        for chain in fragment.own.drain(..) {
            chain.declare(&mut declarations);
            chain.write(out);
        }
    }
    let mut head = String::new();
    let [filter, nat] = fragment.into_tables(node);
    filter.write(&mut head);
    nat.write_open(&declarations, &mut head);
    // Moving the text once is cheaper than a second buffer of its size.
    out.insert_str(start, &head);
    out.push_str("COMMIT\n");
}

/// What some ports contribute: to the chains that all Services share, and chains of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fragment {
    pub filter_services: Vec<Rule>,
    pub filter_external: Vec<Rule>,
    pub filter_nodeports: Vec<Rule>,
    pub filter_firewall: Vec<Rule>,
    pub nat_services: Vec<Rule>,
    pub nat_nodeports: Vec<Rule>,
    /// In table nat.
    pub own: Vec<Chain>,
}

impl Fragment {
    pub fn add(&mut self, port: &PortInfo, node: &NodeContext, size: ClusterSize) {
        ServicePort::new(port, node, size).write(self);
    }

    /// Adds what later ports contribute.
    pub fn extend(&mut self, later: &Fragment) {
        self.filter_services.extend_from_slice(&later.filter_services);
        self.filter_external.extend_from_slice(&later.filter_external);
        self.filter_nodeports.extend_from_slice(&later.filter_nodeports);
        self.filter_firewall.extend_from_slice(&later.filter_firewall);
        self.nat_services.extend_from_slice(&later.nat_services);
        self.nat_nodeports.extend_from_slice(&later.nat_nodeports);
        self.own.extend_from_slice(&later.own);
    }

    /// What the ports contribute, within what is there without any.
    pub fn into_tables(mut self, node: &NodeContext) -> [Table; 2] {
        self.nat_services.extend(node_port_jumps(node));
        let mut filter = vec![
            chain(SERVICES, self.filter_services),
            chain(EXTERNAL_SERVICES, self.filter_external),
            chain(FORWARD, forward(node)),
            chain(NODEPORTS, self.filter_nodeports),
            chain(PROXY_FIREWALL, self.filter_firewall),
        ];
        if node.localhost_node_ports {
            filter.push(chain(FIREWALL, vec![block_localnet()]));
        }
        let mut nat = vec![
            chain(SERVICES, self.nat_services),
            chain(NODEPORTS, self.nat_nodeports),
            chain(POSTROUTING, postrouting(node.mark())),
            chain(MARK_MASQ, vec![rule([], Target::MarkOr(node.mark()))]),
        ];
        nat.append(&mut self.own);
        [Table { name: TableName::Filter, chains: filter }, Table { name: TableName::Nat, chains: nat }]
    }
}

fn chain(name: ChainName, rules: Vec<Rule>) -> Chain {
    Chain { name, rules }
}

fn rule(matches: impl Into<Vec<Match>>, target: Target) -> Rule {
    Rule { matches: matches.into(), target: Some(target) }
}

fn comment(text: impl Into<Box<str>>) -> Match {
    Match::Comment(text.into())
}

/// The rules that masquerade what has been marked, and unmark it; ipvs mode has the same.
pub(super) fn postrouting(mark: u32) -> Vec<Rule> {
    vec![
        rule([Match::Mark { sense: Sense::Not, value: mark, mask: mark }], Target::Return),
        rule([], Target::MarkXor(mark)),
        rule(
            [comment("kubernetes service traffic requiring SNAT")],
            Target::Masquerade { random_fully: true },
        ),
    ]
}

/// What has been marked, and what belongs to accepted connections, may pass; ipvs mode has the same.
pub(super) fn forward_accepts(mark: u32) -> [Rule; 2] {
    let related = CtStates::RELATED.or(CtStates::ESTABLISHED);
    [
        rule(
            [
                comment("kubernetes forwarding rules"),
                Match::Mark { sense: Sense::Is, value: mark, mask: mark },
            ],
            Target::Accept,
        ),
        rule(
            [comment("kubernetes forwarding conntrack rule"), Match::CtState(Sense::Is, related)],
            Target::Accept,
        ),
    ]
}

fn forward(node: &NodeContext) -> Vec<Rule> {
    let invalid = rule([Match::CtState(Sense::Is, CtStates::INVALID)], Target::Drop);
    let drops = (!node.settings.tcp_be_liberal).then_some(invalid);
    drops.into_iter().chain(forward_accepts(node.mark())).collect()
}

fn loopback_net() -> Addresses {
    Addresses::Net(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)))
}

/// CVE-2020-8558: `route_localnet` must not let neighbours reach loopback services.
fn block_localnet() -> Rule {
    let known = CtStates::RELATED.or(CtStates::ESTABLISHED).or(CtStates::DNAT);
    rule(
        [
            comment("block incoming localnet connections"),
            Match::Destination(Sense::Is, loopback_net()),
            Match::Source(Sense::Not, loopback_net()),
            Match::CtState(Sense::Not, known),
        ],
        Target::Drop,
    )
}

/// The end of nat `KUBE-SERVICES`.
fn node_port_jumps(node: &NodeContext) -> Vec<Rule> {
    let note = || comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain");
    let jump = |matches: Vec<Match>| Rule {
        matches: [vec![note()], matches].concat(),
        target: Some(Target::Jump(NODEPORTS)),
    };
    let not_loopback = match node.family {
        IpFamily::IPv4 => loopback_net(),
        IpFamily::IPv6 => Addresses::Net(IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))),
    };
    let local = Match::Local(Sense::Is, Side::Destination);
    match &node.node_ports {
        NodePorts::All if node.localhost_node_ports => vec![jump(vec![local])],
        NodePorts::All => vec![jump(vec![local, Match::Destination(Sense::Not, not_loopback)])],
        NodePorts::On(ips) => {
            let usable = |ip: &&IpAddr| !ip.is_loopback() || (ip.is_ipv4() && node.localhost_node_ports);
            let to = |ip: &IpAddr| jump(vec![Match::Destination(Sense::Is, Addresses::Host(*ip))]);
            ips.iter().filter(usable).map(to).collect()
        }
    }
}

/// The detector's match for traffic of this node's pods, or for all other traffic.
pub(super) fn detect(detector: &Detector, sense: Sense) -> Match {
    match detector {
        Detector::Cidr(cidr) => Match::Source(sense, Addresses::Net(*cidr)),
        Detector::Bridge(name) => Match::InInterface(sense, (&**name).into()),
        Detector::Prefix(name) => Match::InInterface(sense, format!("{name}+").into()),
    }
}

/// One Service port on one node.
struct ServicePort<'a> {
    port: &'a PortInfo,
    node: &'a NodeContext,
    categories: Categories,
    size: ClusterSize,
    svc: ChainName,
    svl: ChainName,
    ext: ChainName,
    fw: ChainName,
    /// One for each of `port.endpoints`.
    seps: Vec<ChainName>,
}

impl<'a> ServicePort<'a> {
    fn new(port: &'a PortInfo, node: &'a NodeContext, size: ClusterSize) -> ServicePort<'a> {
        let Hashes { port: hash, endpoints } = port.hashes();
        let sep = |hash| ChainName::hashed("KUBE-SEP-", hash);
        ServicePort {
            port,
            node,
            categories: categorize(&port.endpoints, port.view, &node.node),
            size,
            svc: ChainName::hashed("KUBE-SVC-", hash),
            svl: ChainName::hashed("KUBE-SVL-", hash),
            ext: ChainName::hashed("KUBE-EXT-", hash),
            fw: ChainName::hashed("KUBE-FW-", hash),
            seps: endpoints.iter().map(sep).collect(),
        }
    }

    /// Whether balancing chains carry comments.
    fn comments(&self) -> bool {
        self.size == ClusterSize::Normal
    }

    fn has_internal(&self) -> bool {
        self.categories.has_internal(self.port.view)
    }

    fn has_external(&self) -> bool {
        self.categories.has_external(self.port.view)
    }

    fn internal_chain(&self) -> ChainName {
        if self.port.view.internal_local { self.svl } else { self.svc }
    }

    fn external_policy_chain(&self) -> ChainName {
        if self.port.view.external_local { self.svl } else { self.svc }
    }

    fn firewalled(&self) -> bool {
        self.categories.has_any && self.port.has_source_ranges()
    }

    fn write(&self, out: &mut Fragment) {
        self.cluster_ip(out);
        for ip in &self.port.external_ips {
            self.outside_address(*ip, "external IP", self.ext, out);
            self.refuse_external(*ip, out);
        }
        self.balancer(out);
        self.node_port(out);
        self.health_check(out);
        self.own_chains(out);
    }

    /// `-m comment … -m P -p P -d IP --dport PORT`
    fn to(&self, ip: IpAddr, text: String) -> Vec<Match> {
        vec![
            comment(text),
            self.protocol(),
            Match::Destination(Sense::Is, Addresses::Host(ip)),
            Match::DestinationPort(self.port.port),
        ]
    }

    fn protocol(&self) -> Match {
        Match::Protocol { protocol: self.port.protocol, module: true }
    }

    /// Why there is nowhere to go, and what happens then.
    fn refusal(&self) -> (String, Target) {
        let name = &self.port.name;
        if self.categories.has_any {
            (format!("{name} has no local endpoints"), Target::Drop)
        } else {
            (format!("{name} has no endpoints"), Target::Reject)
        }
    }

    fn cluster_ip(&self, out: &mut Fragment) {
        let ip = self.port.cluster_ip;
        if self.has_internal() {
            let text = format!("{} cluster IP", self.port.name);
            out.nat_services.push(rule(self.to(ip, text), Target::Jump(self.internal_chain())));
        } else {
            let (why, target) = self.refusal();
            out.filter_services.push(rule(self.to(ip, why), target));
        }
    }

    fn outside_address(&self, ip: IpAddr, what: &str, chain: ChainName, out: &mut Fragment) {
        if self.categories.has_any {
            let text = format!("{} {what}", self.port.name);
            out.nat_services.push(rule(self.to(ip, text), Target::Jump(chain)));
        }
    }

    fn refuse_external(&self, ip: IpAddr, out: &mut Fragment) {
        if !self.has_external() {
            let (why, target) = self.refusal();
            out.filter_external.push(rule(self.to(ip, why), target));
        }
    }

    fn balancer(&self, out: &mut Fragment) {
        let entry = if self.firewalled() { self.fw } else { self.ext };
        for ip in &self.port.vips {
            self.outside_address(*ip, "loadbalancer IP", entry, out);
            if self.firewalled() {
                let text = format!("{} traffic not accepted by {}", self.port.name, self.fw);
                out.filter_firewall.push(rule(self.to(*ip, text), Target::Drop));
            }
        }
        self.port.vips.iter().for_each(|ip| self.refuse_external(*ip, out));
    }

    fn node_port(&self, out: &mut Fragment) {
        let Some(node_port) = self.port.node_port else { return };
        let port = Match::DestinationPort(node_port);
        if self.categories.has_any {
            let matches = vec![comment(self.port.name.as_str()), self.protocol(), port.clone()];
            out.nat_nodeports.push(rule(matches, Target::Jump(self.ext)));
        }
        if !self.has_external() {
            let (why, target) = self.refusal();
            let matches =
                vec![comment(why), Match::Local(Sense::Is, Side::Destination), self.protocol(), port];
            out.filter_external.push(rule(matches, target));
        }
    }

    fn health_check(&self, out: &mut Fragment) {
        let Some(port) = self.port.health_check else { return };
        let matches = vec![
            comment(format!("{} health check node port", self.port.name)),
            Match::Protocol { protocol: crate::model::Protocol::Tcp, module: true },
            Match::DestinationPort(port),
        ];
        out.filter_nodeports.push(rule(matches, Target::Accept));
    }

    fn own_chains(&self, out: &mut Fragment) {
        let (view, categories) = (self.port.view, &self.categories);
        if categories.has_any && view.external {
            out.own.push(chain(self.ext, self.external_rules()));
        }
        if self.firewalled() {
            out.own.push(chain(self.fw, self.firewall_rules()));
        }
        if !categories.cluster.is_empty() && view.uses_cluster() {
            let head = self.masquerade_cluster_ip().filter(|_| !view.internal_local);
            out.own.push(chain(self.svc, self.balance(head, &categories.cluster)));
        }
        if !categories.local.is_empty() && view.uses_local() {
            let head = self.masquerade_cluster_ip().filter(|_| view.internal_local);
            out.own.push(chain(self.svl, self.balance(head, &categories.local)));
        }
        for &index in &categories.reachable {
            out.own.push(chain(self.seps[index], self.endpoint_rules(index)));
        }
    }

    /// Traffic to the cluster IP that must come back through this node: all, or what no local pod sends.
    fn masquerade_cluster_ip(&self) -> Option<Rule> {
        if !self.has_internal() {
            return None;
        }
        let mut matches = self.to(self.port.cluster_ip, format!("{} cluster IP", self.port.name));
        if !self.node.masquerade_all() {
            matches.push(detect(self.node.detector.as_ref()?, Sense::Not));
        }
        Some(rule(matches, Target::Jump(MARK_MASQ)))
    }

    fn external_rules(&self) -> Vec<Rule> {
        let about = |what: &str| comment(format!("{what} {} external destinations", self.port.name));
        let from_node = || Match::Local(Sense::Is, Side::Source);
        let mut rules = Vec::new();
        if self.port.view.external_local {
            if let Some(detector) = &self.node.detector {
                let matches = [about("pod traffic for"), detect(detector, Sense::Is)];
                rules.push(rule(matches, Target::Jump(self.svc)));
            }
            rules.push(rule([about("masquerade LOCAL traffic for"), from_node()], Target::Jump(MARK_MASQ)));
            rules.push(rule([about("route LOCAL traffic for"), from_node()], Target::Jump(self.svc)));
        } else {
            rules.push(rule([about("masquerade traffic for")], Target::Jump(MARK_MASQ)));
        }
        if self.has_external() {
            rules.push(rule([], Target::Jump(self.external_policy_chain())));
        }
        rules
    }

    fn firewall_rules(&self) -> Vec<Rule> {
        let port = self.port;
        let allow = |from: Addresses| {
            let matches = [comment(format!("{} loadbalancer IP", port.name)), Match::Source(Sense::Is, from)];
            rule(matches, Target::Jump(self.ext))
        };
        let mut rules: Vec<Rule> =
            port.source_ranges.iter().map(|range| allow(Addresses::Net(*range))).collect();
        if port.source_ranges.iter().any(|range| range.contains(&self.node.node_ip)) {
            rules.extend(port.vips.iter().map(|vip| allow(Addresses::Host(*vip))));
        }
        let rest = format!("other traffic to {} will be dropped by KUBE-PROXY-FIREWALL", port.name);
        rules.push(Rule { matches: vec![comment(rest)], target: None });
        rules
    }

    /// Affinity first, then one endpoint in n, one in n − 1, …, the last one.
    fn balance(&self, head: Option<Rule>, chosen: &[usize]) -> Vec<Rule> {
        let mut rules: Vec<Rule> = head.into_iter().collect();
        let note = |index: usize| {
            let text = || format!("{} -> {}", self.port.name, self.port.endpoints[index].text);
            self.comments().then(|| comment(text()))
        };
        if let Some(seconds) = self.port.affinity {
            for &index in chosen {
                let recent = Match::Recent { name: self.seps[index], action: Recent::Check { seconds } };
                let matches: Vec<Match> = note(index).into_iter().chain([recent]).collect();
                rules.push(rule(matches, Target::Jump(self.seps[index])));
            }
        }
        for (position, &index) in chosen.iter().enumerate() {
            let left = (chosen.len() - position) as u32;
            let one_in = NonZeroU32::new(left).filter(|left| left.get() > 1).map(Match::OneIn);
            let matches: Vec<Match> = note(index).into_iter().chain(one_in).collect();
            rules.push(rule(matches, Target::Jump(self.seps[index])));
        }
        rules
    }

    fn endpoint_rules(&self, index: usize) -> Vec<Rule> {
        let backend = &self.port.endpoints[index];
        let note = || self.comments().then(|| comment(self.port.name.as_str()));
        let itself = Match::Source(Sense::Is, Addresses::Host(backend.address));
        let recent =
            self.port.affinity.map(|_| Match::Recent { name: self.seps[index], action: Recent::Set });
        let dnat: Vec<Match> = note().into_iter().chain(recent).chain([self.protocol()]).collect();
        vec![
            rule(note().into_iter().chain([itself]).collect::<Vec<_>>(), Target::Jump(MARK_MASQ)),
            rule(dnat, Target::Dnat(backend.socket())),
        ]
    }
}
