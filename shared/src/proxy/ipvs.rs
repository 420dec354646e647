//! What kube-proxy's ipvs mode programs (`pkg/proxy/ipvs/proxier.go`, Kubernetes 1.36): virtual servers, ipsets and the
//! iptables rules around them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::common::categorize;
use super::iptables::{detect, forward_accepts, postrouting};
use super::node::{NodeContext, NodePorts};
use super::ports::PortInfo;
use crate::model::{IpFamily, Protocol, Text};
use crate::netfilter::ChainName;
use crate::netfilter::iptables::{
    Addresses, Chain, CtStates, Match, Rule, Sense, Side, Table, TableName, Target,
};
use crate::netfilter::ipvs::{Entry, Ipset, Ruleset, SetType, VirtualAddress, VirtualServer};

/// Longest name of an ipset, in bytes.
const SET_NAME_LIMIT: usize = 31;
const PERSISTENT: u32 = 0x1;
/// `IP_VS_SVC_F_SCHED2`: scheduler `mh` takes the source port into its hash.
const HASH_PORT: u32 = 0x10;

/// Everything, complete.
pub fn generate(ports: &[PortInfo], node: &NodeContext) -> Ruleset {
    let mut fragment = Fragment::default();
    fragment.add(ports, node);
    fragment.into_ruleset(node)
}

/// What some ports contribute. Where two claim one virtual server, the later one has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fragment {
    pub servers: Vec<(VirtualAddress, VirtualServer)>,
    pub dummy: Vec<IpAddr>,
    pub entries: Vec<(Id, Entry)>,
    /// Rules against balancer addresses that the node itself may not use.
    pub out_filter: Vec<Rule>,
}

impl Fragment {
    pub fn add(&mut self, ports: &[PortInfo], node: &NodeContext) {
        let mut build = Build { node, node_addresses: node_addresses(node), out: self };
        ports.iter().for_each(|port| build.port(port));
    }

    /// Adds what later ports contribute.
    pub fn extend(&mut self, later: &Fragment) {
        self.servers.extend_from_slice(&later.servers);
        self.dummy.extend_from_slice(&later.dummy);
        self.entries.extend_from_slice(&later.entries);
        self.out_filter.extend_from_slice(&later.out_filter);
    }

    /// What the ports contribute, within what is there without any.
    pub fn into_ruleset(self, node: &NodeContext) -> Ruleset {
        let mut entries: BTreeMap<Id, Vec<Entry>> = BTreeMap::new();
        self.entries.into_iter().for_each(|(id, entry)| entries.entry(id).or_default().push(entry));
        let tables = tables(node, entries.keys().copied().collect(), self.out_filter);
        let mut sets: Vec<Ipset> = SETS
            .iter()
            .map(|(id, name, set_type, _)| Ipset {
                name: set_name(name, node.family),
                set_type: *set_type,
                entries: entries.remove(id).unwrap_or_default().into_iter().collect(),
            })
            .collect();
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        Ruleset {
            family: node.family,
            virtual_servers: self.servers.into_iter().collect(),
            dummy_addresses: self.dummy.into_iter().collect(),
            sets,
            tables,
        }
    }
}

/// The name of a set in a family.
pub(super) fn name_of(id: Id, family: IpFamily) -> Text {
    let name = SETS.iter().find(|(known, ..)| *known == id).map_or("", |(_, name, ..)| name);
    set_name(name, family)
}

/// The iptables rules, which depend on which sets hold something.
pub(super) fn tables(node: &NodeContext, filled: BTreeSet<Id>, out_filter: Vec<Rule>) -> [Table; 2] {
    let frame = Frame { node, filled };
    [frame.nat(), frame.filter(out_filter)]
}

/// The sets, which all always exist: name, type, comment of the rules that use it.
const SETS: [(Id, &str, SetType, &str); 17] = {
    use Id::*;
    use SetType::*;
    [
        (
            LoopBack,
            "LOOP-BACK",
            HashIpPortIp,
            "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
        ),
        (ClusterIp, "CLUSTER-IP", HashIpPort, "Kubernetes service cluster ip + port for masquerade purpose"),
        (
            ExternalIp,
            "EXTERNAL-IP",
            HashIpPort,
            "Kubernetes service external ip + port for masquerade and filter purpose",
        ),
        (
            ExternalIpLocal,
            "EXTERNAL-IP-LOCAL",
            HashIpPort,
            "Kubernetes service external ip + port with externalTrafficPolicy=local",
        ),
        (LoadBalancer, "LOAD-BALANCER", HashIpPort, "Kubernetes service lb portal"),
        (
            LoadBalancerLocal,
            "LOAD-BALANCER-LOCAL",
            HashIpPort,
            "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
        ),
        (
            LoadBalancerFw,
            "LOAD-BALANCER-FW",
            HashIpPort,
            "Kubernetes service load balancer ip + port for load balancer with sourceRange",
        ),
        (
            SourceCidr,
            "LOAD-BALANCER-SOURCE-CIDR",
            HashIpPortNet,
            "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
        ),
        (
            SourceIp,
            "LOAD-BALANCER-SOURCE-IP",
            HashIpPortIp,
            "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
        ),
        (NodePortTcp, "NODE-PORT-TCP", BitmapPort, "Kubernetes nodeport TCP port for masquerade purpose"),
        (
            NodePortLocalTcp,
            "NODE-PORT-LOCAL-TCP",
            BitmapPort,
            "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
        ),
        (NodePortUdp, "NODE-PORT-UDP", BitmapPort, "Kubernetes nodeport UDP port for masquerade purpose"),
        (
            NodePortLocalUdp,
            "NODE-PORT-LOCAL-UDP",
            BitmapPort,
            "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
        ),
        (
            NodePortSctp,
            "NODE-PORT-SCTP-HASH",
            HashIpPort,
            "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
        ),
        (
            NodePortLocalSctp,
            "NODE-PORT-LOCAL-SCTP-HASH",
            HashIpPort,
            "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
        ),
        (HealthCheck, "HEALTH-CHECK-NODE-PORT", BitmapPort, "Kubernetes health check node port"),
        (IpvsIps, "IPVS-IPS", HashIp, "Addresses on the ipvs interface"),
    ]
};

/// A set, whatever it is called in this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Id {
    LoopBack,
    ClusterIp,
    ExternalIp,
    ExternalIpLocal,
    LoadBalancer,
    LoadBalancerLocal,
    LoadBalancerFw,
    SourceCidr,
    SourceIp,
    NodePortTcp,
    NodePortLocalTcp,
    NodePortUdp,
    NodePortLocalUdp,
    NodePortSctp,
    NodePortLocalSctp,
    HealthCheck,
    IpvsIps,
}

struct Build<'a> {
    node: &'a NodeContext,
    node_addresses: Vec<IpAddr>,
    out: &'a mut Fragment,
}

impl Build<'_> {
    fn add(&mut self, id: Id, entry: Entry) {
        self.out.entries.push((id, entry));
    }

    fn port(&mut self, port: &PortInfo) {
        let here: &str = &self.node.node.meta.key.name;
        for backend in port.endpoints.iter().filter(|backend| backend.node.as_deref() == Some(here)) {
            let (ip, number) = (backend.address, backend.port.get());
            self.add(Id::LoopBack, Entry::IpPortIp(ip, port.protocol, number, ip));
        }
        let categories = categorize(&port.endpoints, port.view, &self.node.node);
        // Local without local endpoints falls back to the cluster's, unlike in the other modes.
        let choose = |local: bool| -> BTreeMap<SocketAddr, u32> {
            let chosen =
                if local && !categories.local.is_empty() { &categories.local } else { &categories.cluster };
            chosen.iter().map(|&index| (port.endpoints[index].socket(), 1)).collect()
        };
        let (internal, external) = (choose(port.view.internal_local), choose(port.view.external_local));

        self.add(Id::ClusterIp, Entry::IpPort(port.cluster_ip, port.protocol, port.port));
        self.serve(port, port.cluster_ip, port.port, internal);
        self.bind(port.cluster_ip);
        for ip in &port.external_ips {
            let id = if port.view.external_local { Id::ExternalIpLocal } else { Id::ExternalIp };
            self.add(id, Entry::IpPort(*ip, port.protocol, port.port));
            self.serve(port, *ip, port.port, external.clone());
            self.bind(*ip);
        }
        for ip in &port.vips {
            self.balancer(port, *ip);
            self.serve(port, *ip, port.port, external.clone());
            self.bind(*ip);
        }
        self.node_port(port, &external);
    }

    fn serve(&mut self, port: &PortInfo, ip: IpAddr, number: u16, real_servers: BTreeMap<SocketAddr, u32>) {
        let address = VirtualAddress { protocol: port.protocol, address: SocketAddr::new(ip, number) };
        let scheduler = &self.node.settings.ipvs_scheduler;
        let scheduler: Text = if scheduler.is_empty() { "rr".into() } else { scheduler.clone() };
        let persistent = if port.affinity.is_some() { PERSISTENT } else { 0 };
        let hash_port = if &*scheduler == "mh" { HASH_PORT } else { 0 };
        let flags = persistent | hash_port;
        let server = VirtualServer { scheduler, flags, timeout: port.affinity.unwrap_or(0), real_servers };
        self.out.servers.push((address, server));
    }

    /// Puts the address on the dummy interface, unless the node has it anyway.
    fn bind(&mut self, ip: IpAddr) {
        if !self.node.node.addresses.iter().any(|own| own.ip == ip) {
            self.out.dummy.push(ip);
        }
        self.add(Id::IpvsIps, Entry::Ip(ip));
    }

    fn balancer(&mut self, port: &PortInfo, ip: IpAddr) {
        let entry = Entry::IpPort(ip, port.protocol, port.port);
        self.add(Id::LoadBalancer, entry);
        if port.view.external_local {
            self.add(Id::LoadBalancerLocal, entry);
        }
        if !port.has_source_ranges() {
            return;
        }
        self.add(Id::LoadBalancerFw, entry);
        for range in &port.source_ranges {
            self.add(Id::SourceCidr, Entry::IpPortNet(ip, port.protocol, port.port, *range));
        }
        if port.source_ranges.iter().any(|range| range.contains(&self.node.node_ip)) {
            self.add(Id::SourceIp, Entry::IpPortIp(ip, port.protocol, port.port, ip));
            return;
        }
        let matches = vec![
            Match::Source(Sense::Is, Addresses::Host(ip)),
            Match::Ipvs { address: ip, protocol: port.protocol, port: port.port },
        ];
        self.out.out_filter.push(Rule { matches, target: Some(Target::Drop) });
    }

    fn node_port(&mut self, port: &PortInfo, external: &BTreeMap<SocketAddr, u32>) {
        let Some(number) = port.node_port else {
            self.health_check(port);
            return;
        };
        if self.node_addresses.is_empty() {
            return;
        }
        let (all, local) = match port.protocol {
            Protocol::Tcp => (Id::NodePortTcp, Id::NodePortLocalTcp),
            Protocol::Udp => (Id::NodePortUdp, Id::NodePortLocalUdp),
            Protocol::Sctp => (Id::NodePortSctp, Id::NodePortLocalSctp),
        };
        for ip in self.node_addresses.clone() {
            let entry = match port.protocol {
                Protocol::Sctp => Entry::IpPort(ip, port.protocol, number),
                _ => Entry::Port(number),
            };
            self.add(all, entry);
            if port.view.external_local {
                self.add(local, entry);
            }
            self.serve(port, ip, number, external.clone());
        }
        self.health_check(port);
    }

    fn health_check(&mut self, port: &PortInfo) {
        if let Some(number) = port.health_check {
            self.add(Id::HealthCheck, Entry::Port(number));
        }
    }
}

/// The iptables rules around the sets.
struct Frame<'a> {
    node: &'a NodeContext,
    /// The sets that hold something.
    filled: BTreeSet<Id>,
}

impl Frame<'_> {
    fn nat(&self) -> Table {
        let mut rules = Rules { frame: self, chains: BTreeMap::new() };
        let loopback = match self.node.family {
            IpFamily::IPv4 => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpFamily::IPv6 => IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        };
        let from_loopback = Match::Source(Sense::Is, Addresses::Net(loopback));
        rules.add("KUBE-SERVICES", vec![from_loopback], Target::Return);
        rules.add_set(
            "KUBE-POSTROUTING",
            Id::LoopBack,
            "dst,dst,src",
            Target::Masquerade { random_fully: false },
        );
        rules.add_set("KUBE-SERVICES", Id::LoadBalancer, "dst,dst", jump("KUBE-LOAD-BALANCER"));
        rules.add_set("KUBE-LOAD-BALANCER", Id::LoadBalancerLocal, "dst,dst", Target::Return);
        rules.node_ports();
        rules.cluster_ips();
        rules.external_ips();
        let local = Match::Local(Sense::Is, Side::Destination);
        rules.add("KUBE-SERVICES", vec![local], jump("KUBE-NODE-PORT"));
        rules.add("KUBE-LOAD-BALANCER", vec![], jump("KUBE-MARK-MASQ"));
        rules.accept_known(Id::ClusterIp);
        rules.accept_known(Id::LoadBalancer);
        let mark = self.node.mark();
        rules.extend("KUBE-POSTROUTING", postrouting(mark));
        rules.add("KUBE-MARK-MASQ", vec![], Target::MarkOr(mark));
        let order =
            ["KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-LOAD-BALANCER", "KUBE-MARK-MASQ"];
        rules.into_table(TableName::Nat, &order)
    }

    fn filter(&self, out_filter: Vec<Rule>) -> Table {
        let mut rules = Rules { frame: self, chains: BTreeMap::new() };
        let ranges = "KUBE-SOURCE-RANGES-FIREWALL";
        rules.add_set("KUBE-PROXY-FIREWALL", Id::LoadBalancerFw, "dst,dst", jump(ranges));
        rules.add_set(ranges, Id::SourceCidr, "dst,dst,src", Target::Return);
        rules.add_set(ranges, Id::SourceIp, "dst,dst,src", Target::Return);
        rules.add(ranges, vec![], Target::Drop);
        rules.extend("KUBE-IPVS-OUT-FILTER", out_filter);
        rules.extend("KUBE-FORWARD", forward_accepts(self.node.mark()));
        rules.add("KUBE-NODE-PORT", rules.in_set(Id::HealthCheck, "dst"), Target::Accept);
        for id in [Id::LoadBalancer, Id::ClusterIp, Id::ExternalIp, Id::ExternalIpLocal] {
            rules.add("KUBE-IPVS-FILTER", vec![rules.plain_set(id, "dst,dst")], Target::Return);
        }
        let health = rules.plain_set(Id::HealthCheck, "dst");
        rules.add("KUBE-IPVS-FILTER", vec![health], Target::Return);
        let new = Match::CtState(Sense::Is, CtStates::NEW);
        let ours = rules.plain_set(Id::IpvsIps, "dst");
        rules.add("KUBE-IPVS-FILTER", vec![new, ours], Target::Reject);
        let order = [
            "KUBE-FORWARD",
            "KUBE-NODE-PORT",
            "KUBE-PROXY-FIREWALL",
            "KUBE-SOURCE-RANGES-FIREWALL",
            "KUBE-IPVS-FILTER",
            "KUBE-IPVS-OUT-FILTER",
        ];
        rules.into_table(TableName::Filter, &order)
    }
}

/// The rules of one table under construction.
struct Rules<'a, 'b> {
    frame: &'a Frame<'b>,
    chains: BTreeMap<&'static str, Vec<Rule>>,
}

impl Rules<'_, '_> {
    fn add(&mut self, chain: &'static str, matches: Vec<Match>, target: Target) {
        self.chains.entry(chain).or_default().push(Rule { matches, target: Some(target) });
    }

    fn extend(&mut self, chain: &'static str, rules: impl IntoIterator<Item = Rule>) {
        self.chains.entry(chain).or_default().extend(rules);
    }

    fn is_empty(&self, id: Id) -> bool {
        !self.frame.filled.contains(&id)
    }

    /// A rule over a set, if the set has entries.
    fn add_set(&mut self, chain: &'static str, id: Id, directions: &'static str, target: Target) {
        if !self.is_empty(id) {
            let matches = self.in_set(id, directions);
            self.add(chain, matches, target);
        }
    }

    /// With the set's comment.
    fn in_set(&self, id: Id, directions: &'static str) -> Vec<Match> {
        let comment = SETS.iter().find(|(known, ..)| *known == id).map_or("", |(.., comment)| comment);
        vec![Match::Comment(comment.into()), self.plain_set(id, directions)]
    }

    fn plain_set(&self, id: Id, directions: &'static str) -> Match {
        let name = SETS.iter().find(|(known, ..)| *known == id).map_or("", |(_, name, ..)| name);
        Match::InSet { set: (&*set_name(name, self.frame.node.family)).into(), directions }
    }

    fn node_ports(&mut self) {
        let rows = [
            (Protocol::Tcp, Id::NodePortLocalTcp, Id::NodePortTcp, "dst"),
            (Protocol::Udp, Id::NodePortLocalUdp, Id::NodePortUdp, "dst"),
            (Protocol::Sctp, Id::NodePortLocalSctp, Id::NodePortSctp, "dst,dst"),
        ];
        for (protocol, local, all, directions) in rows {
            for (id, target) in [(local, Target::Return), (all, jump("KUBE-MARK-MASQ"))] {
                if !self.is_empty(id) {
                    let protocol = Match::Protocol { protocol, module: false };
                    let matches = [vec![protocol], self.in_set(id, directions)].concat();
                    self.add("KUBE-NODE-PORT", matches, target);
                }
            }
        }
    }

    fn cluster_ips(&mut self) {
        if self.is_empty(Id::ClusterIp) {
            return;
        }
        let node = self.frame.node;
        let matches = match &node.detector {
            _ if node.masquerade_all() => self.in_set(Id::ClusterIp, "dst,dst"),
            Some(detector) => {
                let mut matches = self.in_set(Id::ClusterIp, "dst,dst");
                matches.push(detect(detector, Sense::Not));
                matches
            }
            None => self.in_set(Id::ClusterIp, "src,dst"),
        };
        self.add("KUBE-SERVICES", matches, jump("KUBE-MARK-MASQ"));
    }

    fn external_ips(&mut self) {
        self.add_set("KUBE-SERVICES", Id::ExternalIp, "dst,dst", jump("KUBE-MARK-MASQ"));
        for id in [Id::ExternalIp, Id::ExternalIpLocal] {
            if self.is_empty(id) {
                continue;
            }
            let from_outside = [Match::PhysdevIsIn(Sense::Not), Match::Local(Sense::Not, Side::Source)];
            let to_here = [Match::Local(Sense::Is, Side::Destination)];
            for matches in [from_outside.to_vec(), to_here.to_vec()] {
                let matches = [self.in_set(id, "dst,dst"), matches].concat();
                self.add("KUBE-SERVICES", matches, Target::Accept);
            }
        }
    }

    fn accept_known(&mut self, id: Id) {
        if !self.is_empty(id) {
            let matches = vec![self.plain_set(id, "dst,dst")];
            self.add("KUBE-SERVICES", matches, Target::Accept);
        }
    }

    fn into_table(mut self, name: TableName, order: &[&'static str]) -> Table {
        let chain = |known: &&'static str| Chain {
            name: ChainName::cut(known),
            rules: self.chains.remove(known).unwrap_or_default(),
        };
        Table { name, chains: order.iter().map(chain).collect() }
    }
}

fn jump(chain: &str) -> Target {
    Target::Jump(ChainName::cut(chain))
}

/// Sets, addresses and virtual servers as input for the tools that make them, each part under a line that names its tool.
pub(super) fn write_commands(ruleset: &Ruleset, out: &mut String) {
    let (family, bits) = if ruleset.family == IpFamily::IPv4 { ("inet", 32) } else { ("inet6", 128) };
    out.push_str("# ipset restore\n");
    for Ipset { name, set_type, .. } in &ruleset.sets {
        let options = match set_type {
            SetType::BitmapPort => "range 0-65535".to_owned(),
            _ => format!("family {family} hashsize 1024 maxelem 65536"),
        };
        out.push_str(&format!("create {name} {} {options}\n", set_type.as_str()));
    }
    for set in &ruleset.sets {
        set.entries.iter().for_each(|entry| out.push_str(&format!("add {} {entry}\n", set.name)));
    }
    out.push_str("# ip -batch -\nlink add kube-ipvs0 type dummy\n");
    let bind = |ip: &IpAddr| format!("address add {ip}/{bits} dev kube-ipvs0\n");
    ruleset.dummy_addresses.iter().for_each(|ip| out.push_str(&bind(ip)));
    out.push_str("# ipvsadm -R\n");
    ruleset.virtual_servers.iter().for_each(|(address, server)| write_server(address, server, out));
}

fn write_server(at: &VirtualAddress, server: &VirtualServer, out: &mut String) {
    let protocol = match at.protocol {
        Protocol::Tcp => "-t",
        Protocol::Udp => "-u",
        Protocol::Sctp => "--sctp-service",
    };
    out.push_str(&format!("-A {protocol} {} -s {}", at.address, server.scheduler));
    if server.flags & PERSISTENT != 0 {
        out.push_str(&format!(" -p {}", server.timeout));
    }
    if server.flags & HASH_PORT != 0 {
        out.push_str(" -b flag-2");
    }
    out.push('\n');
    for (real, weight) in &server.real_servers {
        out.push_str(&format!("-a {protocol} {} -r {real} -m -w {weight}\n", at.address));
    }
}

/// `KUBE-NAME`, for IPv6 `KUBE-6-NAME`, cut to what the kernel takes.
fn set_name(name: &str, family: IpFamily) -> Text {
    let full = match family {
        IpFamily::IPv4 => format!("KUBE-{name}"),
        IpFamily::IPv6 => format!("KUBE-6-{name}"),
    };
    full.get(..SET_NAME_LIMIT).unwrap_or(&full).into()
}

/// The node's addresses on which node ports answer; never loopback.
fn node_addresses(node: &NodeContext) -> Vec<IpAddr> {
    let all = || {
        let addresses = node.node.addresses.iter().map(|address| address.ip);
        let mut all: Vec<IpAddr> = addresses.filter(|ip| IpFamily::of(*ip) == node.family).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let mut addresses = match &node.node_ports {
        NodePorts::All => all(),
        NodePorts::On(ips) => ips.clone(),
    };
    addresses.retain(|ip| !ip.is_loopback());
    addresses
}
