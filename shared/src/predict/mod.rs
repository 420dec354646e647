//! What the rules that kube-proxy should have on a node do to a packet: objects in, answers out.
//!
//! [`Predictor`] makes the rules of a node (all of them, or those that can concern one destination), follows packets
//! through them, and says in words what came of it; [`cards`] is that for a page. [`names`] reads where a packet comes from and goes to.

mod answer;
mod ask;
pub mod cards;
mod concerned;
pub mod names;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::model::{ClusterState, IpFamily, Keyed, Node, Protocol, ProxyMode, Service};
use crate::proxy::node::{Detector, NodeContext};
use crate::proxy::ports::{PortInfo, cluster_ip, port_infos};
use crate::proxy::{self, Rules, iptables, ipvs, nftables, userspace};
use crate::trace::{HostView, Origin, Packet, PodLink, Program, ProxySocket, Trace};

pub use answer::{Answer, Basis, Claim, OutcomeView, PacketView, StepKind, StepView};
pub use ask::{AskError, Observed, Question, Reply, Resolution, ask, ask_observed};

/// Rules of one node, one family and one mode, ready to be asked.
#[derive(Debug, Clone)]
pub struct Predictor {
    pub context: NodeContext,
    pub program: Program,
    pub host: HostView,
    pub(crate) ports: Arc<[PortInfo]>,
    /// Addresses that ipvs mode binds to its dummy interface.
    bound: Vec<IpAddr>,
    /// Whose rules these are.
    basis: Basis,
}

impl Predictor {
    /// With the rules of every Service.
    pub fn new(state: &ClusterState, node: &Arc<Node>, family: IpFamily, mode: ProxyMode) -> Predictor {
        let sockets = match mode {
            ProxyMode::Userspace => userspace::sockets(state, family),
            _ => Vec::new(),
        };
        Predictor::with_ports(state, node, family, mode, port_infos(state, family), sockets)
    }

    /// With the rules of those Services only that claim the packet's destination or source, on any of their ports, or that
    /// concern it further on. Other rules can't match such packets, so the answers are those of [`Predictor::new`], sooner. In
    /// ipvs mode one step may be missing in the story of a packet that is refused: where an endpoint's address is a VIP, too.
    pub fn for_packet(
        state: &ClusterState,
        node: &Arc<Node>,
        family: IpFamily,
        mode: ProxyMode,
        packet: &Packet,
    ) -> Predictor {
        let named = |ip: IpAddr| ip == packet.destination || ip == packet.source;
        let claims = |service: &Service| {
            let number = |port: Option<NonZeroU16>| port.map(u16::from) == Some(packet.port);
            addresses(service).any(named)
                || number(service.health_check_node_port)
                || service.ports.iter().any(|port| number(port.node_port))
        };
        let ports = concerned::ports(state, family, packet, claims);
        let sockets = match mode {
            ProxyMode::Userspace => userspace::sockets_of(state, family, |service, number| {
                number == packet.port || claims(service)
            }),
            _ => Vec::new(),
        };
        Predictor::with_ports(state, node, family, mode, ports, sockets)
    }

    fn with_ports(
        state: &ClusterState,
        node: &Arc<Node>,
        family: IpFamily,
        mode: ProxyMode,
        ports: Vec<PortInfo>,
        sockets: Vec<userspace::ProxySocket>,
    ) -> Predictor {
        let context = NodeContext::new(state, node, family, mode);
        let rules = proxy::generate_ports(state, &ports, &context).with_jumps();
        let bound = match mode {
            ProxyMode::Ipvs => bound(state.services().values().map(|service| &**service), &context),
            _ => Vec::new(),
        };
        Predictor::assemble(context, ports.into(), rules, bound, sockets)
    }

    /// With the rules of these Services only, which are all that packets of interest can meet, in the order of namespace and
    /// name. `given` is asked for in userspace mode only.
    pub fn of_services(
        state: &ClusterState,
        context: NodeContext,
        services: &[&Service],
        ports: Arc<[PortInfo]>,
        given: impl FnOnce() -> Arc<userspace::Allocation>,
    ) -> Predictor {
        let mut sockets = Vec::new();
        let rules = match context.mode {
            ProxyMode::Userspace => {
                let tables;
                (tables, sockets) = userspace::generate_some(state, &context, services, &given());
                Rules::Userspace(tables)
            }
            ProxyMode::Iptables => {
                Rules::Iptables(iptables::generate_sized(&ports, &context, iptables::ClusterSize::Normal))
            }
            ProxyMode::Nftables => Rules::Nftables(nftables::generate(&ports, &context)),
            ProxyMode::Ipvs => Rules::Ipvs(ipvs::generate(&ports, &context)),
        };
        let bound = match context.mode {
            ProxyMode::Ipvs => bound(services.iter().copied(), &context),
            _ => Vec::new(),
        };
        Predictor::assemble(context, ports, rules.with_jumps(), bound, sockets)
    }

    fn assemble(
        context: NodeContext,
        ports: Arc<[PortInfo]>,
        rules: Rules,
        bound: Vec<IpAddr>,
        sockets: Vec<userspace::ProxySocket>,
    ) -> Predictor {
        let mut host = host_view(&context);
        host.add_local(bound.iter().copied());
        let program = program(rules).with_sockets(sockets.into_iter().map(socket).collect());
        Predictor { context, program, host, ports, bound, basis: Basis::Predicted }
    }

    /// With rules that a node really has. `ports` are the Service ports by which answers are named.
    pub fn with_rules(
        context: NodeContext,
        rules: Rules,
        sockets: Vec<userspace::ProxySocket>,
        ports: Vec<PortInfo>,
    ) -> Predictor {
        let mut host = host_view(&context);
        let mut bound = match &rules {
            Rules::Ipvs(ruleset) => ruleset.dummy_addresses.iter().copied().collect(),
            _ => Vec::new(),
        };
        bound.sort_unstable();
        host.add_local(bound.iter().copied());
        let program = program(rules.with_jumps()).with_sockets(sockets.into_iter().map(socket).collect());
        Predictor { context, program, host, ports: ports.into(), bound, basis: Basis::Observed }
    }

    /// The packet as the kernel would send it: in ipvs mode, a process of the node that talks to an address of the
    /// dummy interface has that address itself as its source, unless it is bound to loopback.
    pub fn as_sent(&self, mut packet: Packet) -> Packet {
        let bound = packet.origin == Origin::Node && self.bound.binary_search(&packet.destination).is_ok();
        if bound && !packet.source.is_loopback() {
            packet.source = packet.destination;
        }
        packet
    }

    pub fn trace(&self, packet: &Packet) -> Trace {
        self.program.trace(&self.host, &self.as_sent(*packet))
    }

    /// The packet never reaches the node: loopback is a pod's own.
    fn stays_in_pod(&self, packet: &Packet) -> bool {
        packet.origin == Origin::Pod && packet.destination.is_loopback()
    }

    /// The port of a Service that a destination belongs to.
    pub fn claim(&self, to: IpAddr, port: u16, protocol: Protocol) -> Option<&PortInfo> {
        let is_vip = |info: &&PortInfo| {
            info.port == port
                && (info.cluster_ip == to || info.external_ips.contains(&to) || info.vips.contains(&to))
        };
        let is_node_port = |info: &&PortInfo| info.node_port == Some(port) && self.host.is_local(to);
        let ours = || self.ports.iter().filter(|info| info.protocol == protocol);
        ours().find(is_vip).or_else(|| ours().find(is_node_port))
    }
}

/// Every VIP of the Service; none if kube-proxy makes no rules for it.
fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let all = service.cluster_ip.ips().iter().copied().chain(service.outside_ips());
    all.filter(|_| service.is_proxied())
}

/// The addresses that ipvs mode has on its dummy interface for these Services.
fn bound<'a>(services: impl Iterator<Item = &'a Service>, context: &NodeContext) -> Vec<IpAddr> {
    let own = |ip: &IpAddr| context.node.addresses.iter().any(|address| address.ip == *ip);
    let served = services.filter(|service| cluster_ip(service, context.family).is_some());
    let all = served
        .flat_map(|service| cluster_ip(service, context.family).into_iter().chain(service.outside_ips()));
    let mut bound: Vec<IpAddr> = all.filter(|ip| IpFamily::of(*ip) == context.family && !own(ip)).collect();
    bound.sort_unstable();
    bound.dedup();
    bound
}

/// Rules ready to be followed.
pub fn program(rules: Rules) -> Program {
    match rules {
        Rules::Userspace(tables) | Rules::Iptables(tables) => Program::iptables(tables.into()),
        Rules::Nftables(table) => Program::nftables(vec![table]),
        Rules::Ipvs(ruleset) => Program::ipvs(ruleset),
    }
}

fn socket(socket: userspace::ProxySocket) -> ProxySocket {
    let userspace::ProxySocket { protocol, port, name, endpoints, affinity } = socket;
    ProxySocket { protocol, port, name, endpoints, affinity }
}

/// The node's addresses are those of its status and loopback; interfaces are what the detector says of them.
pub fn host_view(context: &NodeContext) -> HostView {
    let own = context.node.addresses.iter().map(|address| address.ip);
    let mut host = HostView::new(own.chain(context.settings.bind_address));
    host.redirect_to = Some(context.node_ip);
    // kube-proxy sets it in this mode alone.
    host.route_localnet = context.mode == ProxyMode::Iptables && context.localhost_node_ports;
    match &context.detector {
        Some(Detector::Bridge(name)) => {
            host.pod_interface = Some((&**name).into());
            host.pod_link = PodLink::Bridged;
        }
        // Any name that begins so.
        Some(Detector::Prefix(name)) => host.pod_interface = Some(format!("{name}0").into()),
        Some(Detector::Cidr(_)) | None => {}
    }
    host
}

/// Where packets of this address come from, as seen by a node.
pub fn origin_of(state: &ClusterState, node: &Node, source: IpAddr) -> Origin {
    if source.is_loopback() || node.addresses.iter().any(|address| address.ip == source) {
        return Origin::Node;
    }
    let name = node.name();
    let pod = || state.pods_on(name).any(|pod| !pod.host_network && pod.ips.contains(&source));
    if node.pod_cidrs.iter().any(|cidr| cidr.contains(&source))
        || pod()
        || is_endpoint_here(state, node, source)
    {
        return Origin::Pod;
    }
    Origin::Outside
}

/// For files without Pods.
fn is_endpoint_here(state: &ClusterState, node: &Node, ip: IpAddr) -> bool {
    state.pods().is_empty()
        && state.slices().values().flat_map(|slice| &slice.endpoints).any(|endpoint| {
            endpoint.node.as_ref() == Some(node.name())
                && endpoint.addresses.iter().any(|address| address.ip() == Some(ip))
        })
}
