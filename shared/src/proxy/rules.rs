//! The front door: the rules that kube-proxy programs on one node, in any mode, and how they are printed.
//!
//! In: a cluster, a node, a family, a mode. Out: [`Rules`], typed. The same input always prints the same text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::node::NodeContext;
use super::ports::{PortInfo, port_infos, port_infos_of};
use super::{iptables, ipvs, json, jumps, nftables, userspace};
use crate::model::{ClusterState, IpFamily, Key, Node, ProxyMode, Text};
use crate::netfilter::iptables::Table;
use crate::netfilter::{self, nft};

/// What one kube-proxy programs in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// `filter`, `nat`.
    Userspace([Table; 2]),
    /// `filter`, `nat`.
    Iptables([Table; 2]),
    Nftables(nft::Table),
    Ipvs(netfilter::ipvs::Ruleset),
}

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    All,
    /// Only what concerns one Service: its own chains, its rules in shared ones, and the general rules around them.
    Service(&'a Key),
    /// The same of one of its ports, by the port's name, which is empty if the port has none.
    Port(&'a Key, &'a str),
}

impl Scope<'_> {
    /// Whether a port of a Service is in it.
    pub(super) fn has(self, service: &Key, port: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Service(key) => key == service,
            Scope::Port(key, name) => key == service && name == port,
        }
    }
}

/// The rules of a whole node.
pub fn generate(state: &ClusterState, node: &Arc<Node>, family: IpFamily, mode: ProxyMode) -> Rules {
    generate_for(state, node, family, mode, Scope::All)
}

/// The rules of a node, or those of one Service there.
pub fn generate_for(
    state: &ClusterState,
    node: &Arc<Node>,
    family: IpFamily,
    mode: ProxyMode,
    scope: Scope<'_>,
) -> Rules {
    let context = NodeContext::new(state, node, family, mode);
    let rules = match mode {
        ProxyMode::Userspace => Rules::Userspace(userspace::generate_for(state, &context, scope)),
        ProxyMode::Iptables => {
            let ports = ports(state, family, scope);
            let size = match scope {
                Scope::All => iptables::ClusterSize::of(&ports),
                Scope::Service(_) | Scope::Port(..) => iptables::ClusterSize::of_state(state, family),
            };
            Rules::Iptables(iptables::generate_sized(&ports, &context, size))
        }
        ProxyMode::Nftables => Rules::Nftables(nftables::generate(&ports(state, family, scope), &context)),
        ProxyMode::Ipvs => Rules::Ipvs(ipvs::generate(&ports(state, family, scope), &context)),
    };
    if scope == Scope::All { rules } else { rules.without_empty() }
}

/// The rules of a node with these ports only, which may be a part of the cluster's. In userspace mode, those of all Services: a
/// port's socket depends on the others.
pub fn generate_ports(state: &ClusterState, ports: &[PortInfo], context: &NodeContext) -> Rules {
    match context.mode {
        ProxyMode::Userspace => Rules::Userspace(userspace::generate(state, context)),
        ProxyMode::Iptables => {
            let size = iptables::ClusterSize::of_state(state, context.family);
            Rules::Iptables(iptables::generate_sized(ports, context, size))
        }
        ProxyMode::Nftables => Rules::Nftables(nftables::generate(ports, context)),
        ProxyMode::Ipvs => Rules::Ipvs(ipvs::generate(ports, context)),
    }
}

fn ports(state: &ClusterState, family: IpFamily, scope: Scope<'_>) -> Vec<PortInfo> {
    let (Scope::Service(key) | Scope::Port(key, _)) = scope else { return port_infos(state, family) };
    let service = state.services().get(key);
    let mut ports = service.map(|service| port_infos_of(state, service, family)).unwrap_or_default();
    ports.retain(|port| scope.has(key, &port.port_name));
    ports
}

/// How rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Input for `iptables-restore --noflush` or `nft -f`; of ipvs mode, its iptables part.
    #[default]
    Native,
    /// As in the conformance recordings: native, and for ipvs mode four headed sections.
    Recorded,
    Json,
    /// ipvs mode's other parts, each under a line that names its reader: `ipset restore`, `ip -batch -`, `ipvsadm -R`.
    Ipvsadm,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Native, Format::Recorded, Format::Json, Format::Ipvsadm];

    pub fn as_str(self) -> &'static str {
        match self {
            Format::Native => "native",
            Format::Recorded => "recorded",
            Format::Json => "json",
            Format::Ipvsadm => "ipvsadm",
        }
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(text: &str) -> Result<Format, ()> {
        Format::ALL.into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}

/// Rules of another mode have no part for ipvsadm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the format ipvsadm is for mode ipvs, not {0}")]
pub struct NotIpvs(pub ProxyMode);

impl Rules {
    pub fn mode(&self) -> ProxyMode {
        match self {
            Rules::Userspace(_) => ProxyMode::Userspace,
            Rules::Iptables(_) => ProxyMode::Iptables,
            Rules::Nftables(_) => ProxyMode::Nftables,
            Rules::Ipvs(_) => ProxyMode::Ipvs,
        }
    }

    /// With the jumps from built-in chains, as kube-proxy inserts them where those are empty.
    #[must_use]
    pub fn with_jumps(mut self) -> Rules {
        match &mut self {
            Rules::Userspace(tables) => jumps::add_userspace(tables),
            Rules::Iptables(tables) => jumps::add_iptables(tables),
            Rules::Ipvs(ruleset) => jumps::add_ipvs(&mut ruleset.tables),
            Rules::Nftables(_) => {}
        }
        self
    }

    /// The iptables tables, if the mode has some.
    pub fn tables(&self) -> &[Table] {
        match self {
            Rules::Userspace(tables) | Rules::Iptables(tables) => tables,
            Rules::Ipvs(ruleset) => &ruleset.tables,
            Rules::Nftables(_) => &[],
        }
    }

    pub fn print(&self, format: Format) -> Result<String, NotIpvs> {
        let mut out = String::new();
        match (format, self) {
            (Format::Native | Format::Recorded, Rules::Nftables(table)) => table.write(&mut out),
            (Format::Recorded, Rules::Ipvs(ruleset)) => ruleset.write(&mut out),
            (Format::Native | Format::Recorded, _) => {
                self.tables().iter().for_each(|table| table.write(&mut out));
            }
            (Format::Json, _) => out = json::print(self),
            (Format::Ipvsadm, Rules::Ipvs(ruleset)) => ipvs::write_commands(ruleset, &mut out),
            (Format::Ipvsadm, _) => return Err(NotIpvs(self.mode())),
        }
        Ok(out)
    }

    /// Without chains, sets and maps that hold nothing.
    pub(super) fn without_empty(mut self) -> Rules {
        match &mut self {
            Rules::Userspace(tables) | Rules::Iptables(tables) => drop_empty_chains(tables),
            Rules::Ipvs(ruleset) => {
                drop_empty_chains(&mut ruleset.tables);
                ruleset.sets.retain(|set| !set.entries.is_empty());
            }
            Rules::Nftables(table) => {
                table.sets.retain(|_, set| !set.elements.is_empty() || set.dynamic_seconds.is_some());
                table.maps.retain(|_, map| !map.elements.is_empty());
            }
        }
        self
    }
}

fn drop_empty_chains(tables: &mut [Table]) {
    tables.iter_mut().for_each(|table| table.chains.retain(|chain| !chain.rules.is_empty()));
}

/// Why there are no rules for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeError {
    Unknown { node: Text, known: Vec<Text> },
    NoFamily { node: Text, family: IpFamily },
}

/// Most names of nodes that an error lists.
const LISTED: usize = 20;

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::Unknown { node, known } if known.is_empty() => {
                write!(f, "Node {node} is not there: the cluster shows no nodes")
            }
            NodeError::Unknown { node, known } => {
                let some = known.iter().take(LISTED).map(|name| &**name).collect::<Vec<_>>().join(", ");
                write!(f, "Node {node} is not there; there are: {some}")?;
                match known.len().saturating_sub(LISTED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            NodeError::NoFamily { node, family } => {
                write!(
                    f,
                    "Node {node}: status.addresses and spec.podCIDRs have no {family} address, so kube-proxy \
                     programs no {family} rules there"
                )
            }
        }
    }
}

impl std::error::Error for NodeError {}

/// The node, if kube-proxy on it has rules of `family`. A node that shows no address at all may have both.
pub fn find_node<'a>(
    state: &'a ClusterState,
    name: &str,
    family: IpFamily,
) -> Result<&'a Arc<Node>, NodeError> {
    let Some(node) = state.node(name) else {
        let known = state.nodes().keys().map(|key| key.name.clone()).collect();
        return Err(NodeError::Unknown { node: name.into(), known });
    };
    let own = node.addresses.iter().map(|address| address.ip);
    let mut ips = own.chain(node.pod_cidrs.iter().map(|cidr| cidr.network())).peekable();
    if ips.peek().is_none() || ips.any(|ip| IpFamily::of(ip) == family) {
        Ok(node)
    } else {
        Err(NodeError::NoFamily { node: name.into(), family })
    }
}
