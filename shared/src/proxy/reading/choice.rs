//! What a reader may choose for a Service (node, family, mode), what is chosen if nothing is wanted, and why there may be
//! no rules at all.

use std::fmt;

use crate::model::{ClusterIp, ClusterState, IpFamily, Key, Keyed, ProxyMode, Service, ServiceType, Text};
use crate::proxy::ports::{OTHER_PROXY_LABEL, cluster_ip};
use crate::proxy::rules::{NodeError, find_node};

/// What a reader asked for. `None`: as by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    pub node: Option<Text>,
    pub mode: Option<ProxyMode>,
    pub family: Option<IpFamily>,
}

/// What is chosen, and what there is to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// As wanted, even if it is not there; else the first that has a family of the Service. `None`: there are no nodes.
    pub node: Option<Text>,
    pub family: IpFamily,
    pub mode: ProxyMode,
    /// What both the Service and the node have; the Service's first family first.
    pub families: Vec<IpFamily>,
    /// The mode that the node's kube-proxy is set to, as far as is known.
    pub configured: ProxyMode,
    /// Why there are no rules.
    pub problem: Option<NoRules>,
}

/// Why kube-proxy programs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRules {
    ExternalName(Key, Text),
    Headless(Key),
    NoClusterIp(Key),
    /// Another proxy takes care of it: the value of the label.
    OtherProxy(Key, Text),
    ServiceLacks(Key, IpFamily),
    NoNodes,
    Node(NodeError),
}

impl fmt::Display for NoRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoRules::ExternalName(key, name) => {
                write!(
                    f,
                    "{key} is an alias: DNS answers with the name {name}. There is no VIP, so kube-proxy programs nothing for it on any node."
                )
            }
            NoRules::Headless(key) => {
                write!(
                    f,
                    "{key} is headless: DNS answers with its endpoints, and clients go to them directly. There is no VIP, so kube-proxy programs nothing for it on any node."
                )
            }
            NoRules::NoClusterIp(key) => {
                write!(f, "{key} has no cluster IP yet. kube-proxy programs nothing for it until it has one.")
            }
            NoRules::OtherProxy(key, name) => {
                write!(
                    f,
                    "{key} is left to another proxy: its label {OTHER_PROXY_LABEL} says {name:?}. kube-proxy never sees it."
                )
            }
            NoRules::ServiceLacks(key, family) => {
                write!(
                    f,
                    "{key} has no {family} cluster IP, so kube-proxy programs no {family} rules for it."
                )
            }
            NoRules::NoNodes => f.write_str("The cluster shows no nodes, and rules are those of a node."),
            NoRules::Node(error) => write!(f, "{error}."),
        }
    }
}

/// What is chosen for a Service.
pub fn choose(state: &ClusterState, service: &Service, wanted: &Wanted) -> Choice {
    let own = families(service);
    let node = wanted.node.clone().or_else(|| default_node(state, &own));
    let has = |family: &IpFamily| node.as_ref().is_some_and(|node| find_node(state, node, *family).is_ok());
    let families: Vec<IpFamily> = own.iter().copied().filter(has).collect();
    let family =
        wanted.family.or(families.first().copied()).or(own.first().copied()).unwrap_or(IpFamily::IPv4);
    let configured = state.proxy_settings(node.as_deref().unwrap_or_default()).mode;
    let problem = unproxied(service).or_else(|| match &node {
        _ if !own.contains(&family) => Some(NoRules::ServiceLacks(service.key().clone(), family)),
        None => Some(NoRules::NoNodes),
        Some(node) => find_node(state, node, family).err().map(NoRules::Node),
    });
    Choice { node, family, mode: wanted.mode.unwrap_or(configured), families, configured, problem }
}

/// In which kube-proxy sees the Service, its own first one first.
fn families(service: &Service) -> Vec<IpFamily> {
    let mut families: Vec<IpFamily> =
        IpFamily::BOTH.into_iter().filter(|family| cluster_ip(service, *family).is_some()).collect();
    let first = service.cluster_ip.ips().first().map(|ip| IpFamily::of(*ip));
    families.sort_by_key(|family| Some(*family) != first);
    families
}

fn default_node(state: &ClusterState, families: &[IpFamily]) -> Option<Text> {
    let names = || state.nodes().values().map(|node| node.name());
    let has_one = |name: &&Text| families.iter().any(|family| find_node(state, name, *family).is_ok());
    names().find(has_one).or_else(|| names().next()).cloned()
}

fn unproxied(service: &Service) -> Option<NoRules> {
    let key = service.key().clone();
    if service.service_type == ServiceType::ExternalName {
        return Some(NoRules::ExternalName(
            key,
            service.external_name.clone().unwrap_or_else(|| "(none)".into()),
        ));
    }
    if let Some(name) = service.meta.labels.get(OTHER_PROXY_LABEL) {
        return Some(NoRules::OtherProxy(key, name.clone()));
    }
    match service.cluster_ip {
        ClusterIp::Headless => Some(NoRules::Headless(key)),
        ClusterIp::Unset => Some(NoRules::NoClusterIp(key)),
        ClusterIp::Ips(_) => None,
    }
}
