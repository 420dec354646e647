//! Where a packet comes from and goes to, as people write it.
//!
//! `SRC` = IP, `pod/NS/NAME`, `node/NAME` or `external`; `DST` = `IP:PORT` or `svc/NS/NAME[:PORT]`, where PORT is a
//! number or a port's name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use super::origin_of;
use crate::model::{
    ClusterState, IpFamily, Key, Keyed, Node, Protocol, Service, ServicePort, ServiceType, Text,
};
use crate::trace::{Origin, Packet};

/// Addresses that stand for anybody outside: of RFC 5737 and RFC 3849, which no network has.
const SOMEBODY_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 77);
const SOMEBODY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);

/// Where a packet comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Ip(IpAddr),
    Pod(Key),
    Node(Text),
    External,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Socket(SocketAddr),
    /// All of its ports, or the one of this name or number.
    Service(Key, Option<Text>),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("`{0}` is not an IP address, pod/NAMESPACE/NAME, node/NAME or external")]
    Source(String),
    #[error("`{0}` is not IP:PORT or svc/NAMESPACE/NAME[:PORT]")]
    Destination(String),
    #[error("Pod {0} is not there")]
    NoPod(Key),
    #[error("Pod {pod} is on node {on}, not on {asked}: ask for --node {on}")]
    OtherNode { pod: Key, on: Text, asked: Text },
    #[error("Pod {0} is on no node yet (spec.nodeName is empty)")]
    NotScheduled(Key),
    #[error("Pod {pod} has no {family} address (status.podIPs)")]
    PodFamily { pod: Key, family: IpFamily },
    #[error("Node {0} is not there")]
    NoNode(Text),
    #[error("Node {node} has no {family} address (status.addresses)")]
    NodeFamily { node: Text, family: IpFamily },
    #[error("{from} and {to} are of different IP families")]
    Families { from: IpAddr, to: IpAddr },
    #[error("Service {0} is not there")]
    NoService(Key),
    #[error("Service {service} has no port {port}; it has: {known}")]
    NoPort { service: Key, port: Text, known: String },
    #[error("Service {0} has no address of a family that the source has too (spec.clusterIPs)")]
    NoAddress(Key),
}

impl FromStr for Source {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Source, NameError> {
        let wrong = || NameError::Source(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["external"] => Ok(Source::External),
            ["pod", namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                Ok(Source::Pod(Key::new(namespace, name)))
            }
            ["node", name] if !name.is_empty() => Ok(Source::Node(name.into())),
            [ip] => ip.parse().map(Source::Ip).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Ip(ip) => write!(f, "{ip}"),
            Source::Pod(key) => write!(f, "pod/{key}"),
            Source::Node(name) => write!(f, "node/{name}"),
            Source::External => f.write_str("external"),
        }
    }
}

impl FromStr for Destination {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Destination, NameError> {
        let wrong = || NameError::Destination(text.to_owned());
        let Some(rest) = text.strip_prefix("svc/") else {
            return text.parse().map(Destination::Socket).map_err(|_| wrong());
        };
        let (namespace, rest) = rest.split_once('/').ok_or_else(wrong)?;
        let (name, port) = match rest.split_once(':') {
            Some((name, port)) if !port.is_empty() => (name, Some(Text::from(port))),
            Some(_) => return Err(wrong()),
            None => (rest, None),
        };
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(wrong());
        }
        Ok(Destination::Service(Key::new(namespace, name), port))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Socket(socket) => write!(f, "{socket}"),
            Destination::Service(key, None) => write!(f, "svc/{key}"),
            Destination::Service(key, Some(port)) => write!(f, "svc/{key}:{port}"),
        }
    }
}

/// An address and port that a destination stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub to: SocketAddr,
    pub protocol: Protocol,
    /// What kind of address it is.
    pub kind: TargetKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    Address,
    ClusterIp,
    ExternalIp,
    LoadBalancerIp,
}

impl TargetKind {
    pub fn words(self) -> &'static str {
        match self {
            TargetKind::Address => "address",
            TargetKind::ClusterIp => "cluster IP",
            TargetKind::ExternalIp => "external IP",
            TargetKind::LoadBalancerIp => "load balancer IP",
        }
    }
}

/// What a destination is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Addresses to send packets to.
    Targets(Vec<Target>),
    /// No VIP: clients resolve the name to these endpoints themselves, and no rule is concerned.
    Headless(Vec<SocketAddr>),
    /// A name for a name: DNS answers with a CNAME.
    ExternalName(Text),
}

impl Destination {
    /// `protocol` is that of a bare address; a Service's ports have their own, and others are left out if it is given.
    pub fn resolve(&self, state: &ClusterState, protocol: Option<Protocol>) -> Result<Resolved, NameError> {
        let (key, port) = match self {
            Destination::Socket(to) => {
                let protocol = protocol.unwrap_or(Protocol::Tcp);
                let target = Target { to: *to, protocol, kind: TargetKind::Address };
                return Ok(Resolved::Targets(vec![target]));
            }
            Destination::Service(key, port) => (key, port.as_ref()),
        };
        let service = state.services().get(key).ok_or_else(|| NameError::NoService(key.clone()))?;
        if service.service_type == ServiceType::ExternalName {
            return Ok(Resolved::ExternalName(service.external_name.clone().unwrap_or_default()));
        }
        let ports = ports(service, port, protocol)?;
        if service.is_headless() {
            return Ok(Resolved::Headless(endpoints(state, service, &ports)));
        }
        let targets: Vec<Target> = addresses(service)
            .flat_map(|(ip, kind)| ports.iter().map(move |port| target(ip, kind, port)))
            .collect();
        if targets.is_empty() {
            Err(NameError::NoAddress(key.clone()))
        } else {
            Ok(Resolved::Targets(targets))
        }
    }
}

fn ports<'a>(
    service: &'a Service,
    wanted: Option<&Text>,
    protocol: Option<Protocol>,
) -> Result<Vec<&'a ServicePort>, NameError> {
    let is = |port: &&ServicePort| {
        let named = wanted.is_none_or(|wanted| port.name == *wanted || wanted.parse() == Ok(port.port.get()));
        named && protocol.is_none_or(|protocol| port.protocol == protocol)
    };
    let found: Vec<&ServicePort> = service.ports.iter().filter(is).collect();
    if !found.is_empty() || (service.ports.is_empty() && wanted.is_none()) {
        return Ok(found);
    }
    let describe = |port: &ServicePort| match &*port.name {
        "" => format!("{}/{}", port.port, port.protocol.lower()),
        name => format!("{name} ({}/{})", port.port, port.protocol.lower()),
    };
    let known: Vec<String> = service.ports.iter().map(describe).collect();
    let port =
        wanted.cloned().or_else(|| protocol.map(|protocol| protocol.lower().into())).unwrap_or_default();
    Err(NameError::NoPort { service: service.key().clone(), port, known: known.join(", ") })
}

fn addresses(service: &Service) -> impl Iterator<Item = (IpAddr, TargetKind)> {
    let own = service.cluster_ip.ips().iter().map(|ip| (*ip, TargetKind::ClusterIp));
    let external = service.external_ips.iter().map(|ip| (*ip, TargetKind::ExternalIp));
    own.chain(external).chain(service.vips().map(|ip| (ip, TargetKind::LoadBalancerIp)))
}

fn target(ip: IpAddr, kind: TargetKind, port: &ServicePort) -> Target {
    Target { to: SocketAddr::new(ip, port.port.get()), protocol: port.protocol, kind }
}

/// Where a headless Service's clients connect to.
fn endpoints(state: &ClusterState, service: &Service, ports: &[&ServicePort]) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for slice in state.slices_of(service.key()) {
        let numbers = slice.ports.iter().filter(|known| {
            ports.is_empty()
                || ports.iter().any(|port| port.name == known.name && port.protocol == known.protocol)
        });
        let numbers: Vec<u16> = numbers.filter_map(|port| port.port).map(u16::from).collect();
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.conditions.is_ready()) {
            let ips = endpoint.addresses.iter().filter_map(|address| address.ip());
            found.extend(ips.flat_map(|ip| numbers.iter().map(move |port| SocketAddr::new(ip, *port))));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

impl Source {
    /// The packet from here to there, as it enters `node`.
    pub fn packet(&self, state: &ClusterState, node: &Node, target: &Target) -> Result<Packet, NameError> {
        let (to, family) = (target.to, IpFamily::of(target.to.ip()));
        let (source, origin) = match self {
            Source::Ip(ip) => (*ip, origin_of(state, node, *ip)),
            Source::External => (somebody(family), Origin::Outside),
            Source::Pod(key) => pod_source(state, node, key, family)?,
            Source::Node(name) => node_source(state, node, name, to.ip())?,
        };
        if IpFamily::of(source) != family {
            return Err(NameError::Families { from: source, to: to.ip() });
        }
        Ok(Packet { source, destination: to.ip(), port: to.port(), protocol: target.protocol, origin })
    }

    /// The node on which its packets are seen first: where the pod runs, the node itself. Of what comes from outside, and of
    /// what is not there, nothing is known.
    pub fn home<'a>(&self, state: &'a ClusterState) -> Option<&'a Text> {
        let named = |name: &Text| state.node(name).map(|node| node.name());
        match self {
            Source::Pod(key) => state.pods().get(key)?.node.as_ref().and_then(named),
            Source::Node(name) => named(name),
            Source::Ip(ip) => state
                .nodes()
                .values()
                .find(|node| !matches!(origin_of(state, node, *ip), Origin::Outside))
                .map(|node| node.name()),
            Source::External => None,
        }
    }

    /// The families in which it has an address.
    pub fn families(&self, state: &ClusterState) -> Vec<IpFamily> {
        let of = |ips: Vec<IpAddr>| {
            IpFamily::BOTH
                .into_iter()
                .filter(|family| ips.iter().any(|ip| IpFamily::of(*ip) == *family))
                .collect()
        };
        match self {
            Source::Ip(ip) => vec![IpFamily::of(*ip)],
            Source::External => IpFamily::BOTH.to_vec(),
            Source::Pod(key) => of(state.pods().get(key).map(|pod| pod.ips.clone()).unwrap_or_default()),
            Source::Node(name) => {
                let node = state.node(name);
                of(node.map(|node| node.addresses.iter().map(|a| a.ip).collect()).unwrap_or_default())
            }
        }
    }
}

fn somebody(family: IpFamily) -> IpAddr {
    match family {
        IpFamily::IPv4 => SOMEBODY_V4.into(),
        IpFamily::IPv6 => SOMEBODY_V6.into(),
    }
}

fn pod_source(
    state: &ClusterState,
    node: &Node,
    key: &Key,
    family: IpFamily,
) -> Result<(IpAddr, Origin), NameError> {
    let pod = state.pods().get(key).ok_or_else(|| NameError::NoPod(key.clone()))?;
    let on = pod.node.clone().ok_or_else(|| NameError::NotScheduled(key.clone()))?;
    if on != *node.name() {
        return Err(NameError::OtherNode { pod: key.clone(), on, asked: node.name().clone() });
    }
    let ip = pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family);
    let ip = ip.ok_or_else(|| NameError::PodFamily { pod: key.clone(), family })?;
    Ok((ip, if pod.host_network { Origin::Node } else { Origin::Pod }))
}

/// The kernel's choice: an address of the node speaks to itself, and to everything else the primary one does.
fn node_source(
    state: &ClusterState,
    node: &Node,
    name: &Text,
    to: IpAddr,
) -> Result<(IpAddr, Origin), NameError> {
    let from = state.node(name).ok_or_else(|| NameError::NoNode(name.clone()))?;
    let own = from.name() == node.name();
    if own && (to.is_loopback() || from.addresses.iter().any(|address| address.ip == to)) {
        return Ok((to, Origin::Node));
    }
    let family = IpFamily::of(to);
    let ip = from.primary_ip(family).ok_or_else(|| NameError::NodeFamily { node: name.clone(), family })?;
    Ok((ip, if own { Origin::Node } else { Origin::Outside }))
}
