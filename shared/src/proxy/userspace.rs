//! The portal rules of kube-proxy's userspace mode (`pkg/proxy/userspace/proxier.go`, Kubernetes 1.25, gone since 1.26):
//! they lead every VIP into a socket of the kube-proxy process, which then opens a connection to an endpoint itself. So
//! no rule depends on endpoints, and a port without endpoints looks like any other.
//!
//! In: Services and one node. Out: tables `filter` and `nat`. SCTP does not exist in this mode.
//!
//! **Proxy ports.** kube-proxy let the kernel pick a free port for each Service port. Here the choice is repeatable: a
//! hash of `NAMESPACE/SERVICE[:PORT]` and the protocol names a port of Linux' default range for this, 32768 to 60999, and a
//! port that is taken there gives way to the next free one. Ports are given out by namespace, Service and port number.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use super::common::{Backend, backends};
use super::node::NodeContext;
use super::ports::cluster_ip;
use super::rules::Scope;
use crate::model::{ClusterState, IpFamily, Key, Keyed, Protocol, Service, ServicePort};
use crate::netfilter::ChainName;
use crate::netfilter::iptables::{
    Addresses, Chain, CtStates, Match, Rule, Sense, Side, Table, TableName, Target,
};

/// The kernel's default `net.ipv4.ip_local_port_range`.
const FIRST_PROXY_PORT: u16 = 32_768;
const LAST_PROXY_PORT: u16 = 60_999;

/// The two tables, complete.
pub fn generate(state: &ClusterState, node: &NodeContext) -> [Table; 2] {
    generate_for(state, node, Scope::All)
}

/// [`generate`], with the rules of the Services in `scope` only. Their proxy ports depend on the others all the same.
pub(super) fn generate_for(state: &ClusterState, node: &NodeContext, scope: Scope<'_>) -> [Table; 2] {
    let mut portals = Portals::new(node);
    let mut given = ProxyPorts::default();
    for service in state.services().values() {
        let Some(ip) = cluster_ip(service, node.family) else { continue };
        for (port, name) in served(service) {
            if let Some(proxy_port) =
                given.take(&name, port.protocol).filter(|_| scope.has(service.key(), &port.name))
            {
                portals.open(ip, service, &Portal { name: &name, port, proxy_port });
            }
        }
    }
    portals.into_tables()
}

/// The rules and the sockets of some Services, in the order of namespace and name, whose proxy ports are known.
pub fn generate_some(
    state: &ClusterState,
    node: &NodeContext,
    services: &[&Service],
    given: &Allocation,
) -> ([Table; 2], Vec<ProxySocket>) {
    let mut portals = Portals::new(node);
    let mut sockets = Vec::new();
    for service in services {
        let Some(ip) = cluster_ip(service, node.family) else { continue };
        for (port, name) in served(service) {
            let Some(proxy_port) = given.port_of(&name, port.protocol) else { continue };
            portals.open(ip, service, &Portal { name: &name, port, proxy_port });
            sockets.push(ProxySocket {
                protocol: port.protocol,
                port: proxy_port,
                endpoints: endpoints(state, service, port, node.family),
                affinity: service.affinity_seconds,
                name,
            });
        }
    }
    (portals.into_tables(), sockets)
}

/// The ports of a Service that this mode serves, with their names, in the order in which they are given proxy ports.
fn served(service: &Service) -> impl Iterator<Item = (&ServicePort, String)> {
    let mut ports: Vec<&ServicePort> =
        service.ports.iter().filter(|port| port.protocol != Protocol::Sctp).collect();
    ports.sort_by_key(|port| (port.port, port.protocol));
    ports.into_iter().map(|port| (port, port_name(service, port)))
}

/// Which proxy port each Service port of a family has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocation {
    ports: HashMap<(String, Protocol), u16>,
    owners: HashMap<(Protocol, u16), Key>,
}

impl Allocation {
    pub fn new(state: &ClusterState, family: IpFamily) -> Allocation {
        let mut given = ProxyPorts::default();
        let mut allocation = Allocation::default();
        for service in state.services().values().filter(|service| cluster_ip(service, family).is_some()) {
            for (port, name) in served(service) {
                let Some(number) = given.take(&name, port.protocol) else { continue };
                allocation.owners.insert((port.protocol, number), service.key().clone());
                allocation.ports.insert((name, port.protocol), number);
            }
        }
        allocation
    }

    /// By `namespace/service[:portname]`.
    pub fn port_of(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.ports.get(&(name.to_owned(), protocol)).copied()
    }

    /// The Service that a proxy port belongs to.
    pub fn owner(&self, protocol: Protocol, port: u16) -> Option<&Key> {
        self.owners.get(&(protocol, port))
    }

    /// The Services that have another proxy port in `other`, or none there.
    pub fn moved<'a>(&'a self, other: &'a Allocation) -> impl Iterator<Item = &'a Key> {
        let moved = self.ports.iter().filter(|(port, number)| other.ports.get(*port) != Some(number));
        moved.filter_map(|((_, protocol), number)| self.owner(*protocol, *number))
    }
}

fn port_name(service: &Service, port: &ServicePort) -> String {
    let key = service.key();
    if port.name.is_empty() { key.to_string() } else { format!("{key}:{}", port.name) }
}

/// The proxy ports that are in use, by protocol.
#[derive(Default)]
struct ProxyPorts(BTreeSet<(Protocol, u16)>);

impl ProxyPorts {
    /// `None` if none is left.
    fn take(&mut self, name: &str, protocol: Protocol) -> Option<u16> {
        let wanted = wanted_port(name, protocol);
        let mut scan = (wanted..=LAST_PROXY_PORT).chain(FIRST_PROXY_PORT..wanted);
        scan.find(|port| self.0.insert((protocol, *port)))
    }
}

fn wanted_port(name: &str, protocol: Protocol) -> u16 {
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update(protocol.lower().as_bytes());
    let digest = hasher.finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let count = u32::from(LAST_PROXY_PORT - FIRST_PROXY_PORT) + 1;
    FIRST_PROXY_PORT + (number % count) as u16
}

/// A Service port and the socket that serves it.
struct Portal<'a> {
    name: &'a str,
    port: &'a ServicePort,
    proxy_port: u16,
}

/// Where the packets of a rule come from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// From pods and from outside: through PREROUTING.
    Container,
    /// From the node's own processes: through OUTPUT.
    Host,
}

/// How an address is matched beyond itself.
#[derive(Clone, Copy, PartialEq)]
enum Only {
    Any,
    /// Did not come in over a port of a bridge.
    NotBridged,
    /// The address is one of this node.
    Local,
}

/// The chains under construction.
struct Portals<'a> {
    node: &'a NodeContext,
    container: Vec<Rule>,
    host: Vec<Rule>,
    node_port_container: Vec<Rule>,
    node_port_host: Vec<Rule>,
    non_local: Vec<Rule>,
}

impl<'a> Portals<'a> {
    fn new(node: &'a NodeContext) -> Portals<'a> {
        Portals {
            node,
            container: Vec::new(),
            host: Vec::new(),
            node_port_container: Vec::new(),
            node_port_host: Vec::new(),
            non_local: Vec::new(),
        }
    }

    fn open(&mut self, cluster_ip: IpAddr, service: &Service, portal: &Portal<'_>) {
        let family = self.node.family;
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        self.open_address(cluster_ip, portal);
        for ip in service.external_ips.iter().copied().filter(ours) {
            self.open_external(ip, portal);
        }
        // This mode ended before `ipMode` began: it takes every address.
        for ip in service.ingress.iter().filter_map(|ingress| ingress.ip).filter(ours) {
            self.open_address(ip, portal);
        }
        if let Some(node_port) = portal.port.node_port {
            self.open_node_port(node_port.get(), portal);
        }
    }

    fn open_address(&mut self, ip: IpAddr, portal: &Portal<'_>) {
        let rule = |origin| self.rule(portal, Some(ip), portal.port.port.get(), Only::Any, origin);
        let (container, host) = (rule(Origin::Container), rule(Origin::Host));
        append(&mut self.container, container);
        append(&mut self.host, host);
    }

    fn open_external(&mut self, ip: IpAddr, portal: &Portal<'_>) {
        let rule = |only, origin| self.rule(portal, Some(ip), portal.port.port.get(), only, origin);
        let foreign = rule(Only::NotBridged, Origin::Container);
        let (container, host) = (rule(Only::Local, Origin::Container), rule(Only::Local, Origin::Host));
        append(&mut self.container, foreign);
        append(&mut self.container, container);
        append(&mut self.host, host);
    }

    fn open_node_port(&mut self, node_port: u16, portal: &Portal<'_>) {
        let rule = |origin| self.rule(portal, None, node_port, Only::Any, origin);
        let (container, host) = (rule(Origin::Container), rule(Origin::Host));
        let mut matches = common(portal, None, portal.proxy_port, Only::Any);
        matches.push(Match::State(CtStates::NEW));
        append(&mut self.node_port_container, container);
        append(&mut self.node_port_host, host);
        append(&mut self.non_local, Rule { matches, target: Some(Target::Accept) });
    }

    fn rule(&self, portal: &Portal<'_>, ip: Option<IpAddr>, port: u16, only: Only, origin: Origin) -> Rule {
        let to = |ip| Target::Dnat(SocketAddr::new(ip, portal.proxy_port));
        let target = match (self.node.settings.bind_address, origin) {
            (Some(listening), _) if IpFamily::of(listening) == self.node.family => to(listening),
            (_, Origin::Container) => Target::Redirect(portal.proxy_port),
            // REDIRECT of the node's own packets would make the answers come from another address.
            (_, Origin::Host) => to(self.node.node_ip),
        };
        Rule { matches: common(portal, ip, port, only), target: Some(target) }
    }

    fn into_tables(self) -> [Table; 2] {
        let chain = |name: &str, rules| Chain { name: ChainName::cut(name), rules };
        let filter = vec![chain("KUBE-NODEPORT-NON-LOCAL", self.non_local)];
        let nat = vec![
            chain("KUBE-PORTALS-CONTAINER", self.container),
            chain("KUBE-PORTALS-HOST", self.host),
            chain("KUBE-NODEPORT-CONTAINER", self.node_port_container),
            chain("KUBE-NODEPORT-HOST", self.node_port_host),
        ];
        [Table { name: TableName::Filter, chains: filter }, Table { name: TableName::Nat, chains: nat }]
    }
}

/// The matches of every portal rule, in the order in which the mode has always written them.
fn common(portal: &Portal<'_>, ip: Option<IpAddr>, port: u16, only: Only) -> Vec<Match> {
    let protocol = portal.port.protocol;
    let mut matches = vec![
        Match::Comment(portal.name.into()),
        Match::Protocol { protocol, module: false },
        Match::ProtocolModule(protocol),
        Match::DestinationPort(port),
    ];
    matches.extend(ip.map(|ip| Match::Destination(Sense::Is, Addresses::Net(IpNet::from(ip)))));
    matches.extend(match only {
        Only::Any => None,
        Only::NotBridged => Some(Match::PhysdevIsIn(Sense::Not)),
        Only::Local => Some(Match::Local(Sense::Is, Side::Destination)),
    });
    matches
}

/// A rule that is there already is not added again (`EnsureRule`); only rules of the same port can be equal.
fn append(rules: &mut Vec<Rule>, rule: Rule) {
    let same_port = |known: &&Rule| known.matches.first() == rule.matches.first();
    if !rules.iter().rev().take_while(same_port).any(|known| *known == rule) {
        rules.push(rule);
    }
}

/// A socket of the kube-proxy process: what comes to it goes on to one of the endpoints, in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySocket {
    pub protocol: Protocol,
    pub port: u16,
    /// `namespace/service`, and `:portname` if the port has a name.
    pub name: String,
    pub endpoints: Vec<SocketAddr>,
    /// Seconds for which a client keeps its endpoint.
    pub affinity: Option<u32>,
}

/// The sockets behind [`generate`]'s rules.
pub fn sockets(state: &ClusterState, family: IpFamily) -> Vec<ProxySocket> {
    sockets_of(state, family, |_, _| true)
}

/// Those of the Services and ports that are `wanted`. Their numbers depend on the others all the same.
pub fn sockets_of(
    state: &ClusterState,
    family: IpFamily,
    wanted: impl Fn(&Service, u16) -> bool,
) -> Vec<ProxySocket> {
    let mut given = ProxyPorts::default();
    let mut sockets = Vec::new();
    for service in state.services().values().filter(|service| cluster_ip(service, family).is_some()) {
        for (port, name) in served(service) {
            let Some(proxy_port) = given.take(&name, port.protocol) else { continue };
            if !wanted(service, proxy_port) {
                continue;
            }
            sockets.push(ProxySocket {
                protocol: port.protocol,
                port: proxy_port,
                name,
                endpoints: endpoints(state, service, port, family),
                affinity: service.affinity_seconds,
            });
        }
    }
    sockets
}

/// This mode reads Endpoints, ready addresses only, by the port's name. A cluster that shows none (a file without them) has
/// them from the slices, as the Endpoints controller would make them.
fn endpoints(
    state: &ClusterState,
    service: &Service,
    port: &ServicePort,
    family: IpFamily,
) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = if state.endpoints().is_empty() {
        let all = backends(state, service, port, family);
        all.iter().filter(|backend| backend.ready).map(Backend::socket).collect()
    } else {
        let subsets = state.endpoints().get(service.key()).map(|endpoints| endpoints.subsets.as_slice());
        let socket = |ip: IpAddr, number: u16| SocketAddr::new(ip, number);
        let of_subset = |subset: &crate::model::Subset| {
            let numbers = subset.ports.iter().filter(|known| known.name == port.name);
            let numbers: Vec<u16> = numbers.filter_map(|known| known.port).map(u16::from).collect();
            let addresses = subset.addresses.iter().map(|address| address.ip);
            addresses.flat_map(|ip| numbers.iter().map(move |number| socket(ip, *number))).collect::<Vec<_>>()
        };
        subsets.unwrap_or_default().iter().flat_map(of_subset).collect()
    };
    found.retain(|socket| IpFamily::of(socket.ip()) == family);
    found.sort_unstable();
    found.dedup();
    found
}
