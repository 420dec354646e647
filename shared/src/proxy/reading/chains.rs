//! What kube-proxy's chains, sets and maps are for: their stage, their place in it, and words.

use std::net::SocketAddr;

use super::Stage;
use crate::model::ProxyMode;
use crate::netfilter::iptables::TableName;

/// What is known of a part by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub stage: Stage,
    pub rank: u8,
    pub about: &'static str,
}

use Stage::{Around, Dispatch, Endpoints, Filter, Masquerade, Service};
use TableName::{Filter as InFilter, Nat};

/// How a name begins, and what that says. The first that fits is taken.
type Names = &'static [(&'static str, Stage, u8, &'static str)];

const IPTABLES_NAT: Names = &[
    (
        "KUBE-SERVICES",
        Dispatch,
        0,
        "Every new connection comes by here, whoever begins it. One rule for each address of each Service.",
    ),
    (
        "KUBE-NODEPORTS",
        Dispatch,
        1,
        "New connections to an address of this node that no rule has taken. One rule for each node port.",
    ),
    (
        "KUBE-FW-",
        Service,
        0,
        "The sources that may use the balancer's address. The rest goes on unchanged and is dropped in table filter.",
    ),
    (
        "KUBE-EXT-",
        Service,
        1,
        "The entrance for external IPs, balancer addresses and node ports: who is masqueraded, and which endpoints are open.",
    ),
    (
        "KUBE-SVC-",
        Service,
        2,
        "Chooses an endpoint, on any node that policy and topology allow. Each is as likely: one in n, of the rest one in n − 1, and so on.",
    ),
    (
        "KUBE-SVL-",
        Service,
        3,
        "Chooses an endpoint on this node. Each is as likely: one in n, of the rest one in n − 1, and so on.",
    ),
    (
        "KUBE-SEP-",
        Endpoints,
        0,
        "One endpoint: the destination is rewritten to it. What it sends to itself is masqueraded.",
    ),
    ("KUBE-MARK-MASQ", Masquerade, 0, "Marks connections whose source is to be replaced on their way out."),
    (
        "KUBE-POSTROUTING",
        Masquerade,
        1,
        "On the way out of the node: what is marked gets an address of this node as its source, so that answers come back here.",
    ),
];

const IPTABLES_FILTER: Names = &[
    ("KUBE-SERVICES", Filter, 1, "Cluster IPs that have nowhere to send to."),
    (
        "KUBE-EXTERNAL-SERVICES",
        Filter,
        2,
        "External IPs, balancer addresses and node ports that have nowhere to send to.",
    ),
    ("KUBE-PROXY-FIREWALL", Filter, 0, "Balancer addresses, for whoever is not among the allowed sources."),
    ("KUBE-NODEPORTS", Filter, 3, "Lets balancers ask for this node's health."),
    ("KUBE-FORWARD", Around, 0, "Lets Service traffic pass through this node."),
    ("KUBE-FIREWALL", Around, 0, "Keeps neighbours away from what listens on the node's loopback."),
];

const IPVS_NAT: Names = &[
    (
        "KUBE-SERVICES",
        Masquerade,
        0,
        "Which connections to virtual servers are masqueraded. All are then let through to ipvs, which chooses the endpoint.",
    ),
    ("KUBE-LOAD-BALANCER", Masquerade, 1, "Balancer addresses: masqueraded, unless the policy is Local."),
    ("KUBE-NODE-PORT", Masquerade, 2, "Node ports: masqueraded, unless the policy is Local."),
    ("KUBE-MARK-MASQ", Masquerade, 3, "Marks connections whose source is to be replaced on their way out."),
    (
        "KUBE-POSTROUTING",
        Masquerade,
        4,
        "On the way out of the node: what is marked, or would be sent to itself, gets an address of this node as its source.",
    ),
];

const IPVS_FILTER: Names = &[
    ("KUBE-PROXY-FIREWALL", Filter, 0, "Balancer addresses that only some sources may use."),
    ("KUBE-SOURCE-RANGES-FIREWALL", Filter, 1, "The sources that may use them. The rest is dropped."),
    ("KUBE-IPVS-OUT-FILTER", Filter, 2, "Balancer addresses that this node itself may not use."),
    (
        "KUBE-IPVS-FILTER",
        Filter,
        3,
        "Service addresses are this node's own here: only what belongs to a Service may come in by them.",
    ),
    ("KUBE-NODE-PORT", Filter, 4, "Lets balancers ask for this node's health."),
    ("KUBE-FORWARD", Around, 0, "Lets Service traffic pass through this node."),
];

const USERSPACE: Names = &[
    (
        "KUBE-PORTALS-CONTAINER",
        Dispatch,
        0,
        "What pods and the outside send to a Service is led into a socket of kube-proxy, which connects to an endpoint itself.",
    ),
    ("KUBE-PORTALS-HOST", Dispatch, 1, "The same for what this node itself sends."),
    ("KUBE-NODEPORT-CONTAINER", Dispatch, 2, "Node ports, for what pods and the outside send."),
    ("KUBE-NODEPORT-HOST", Dispatch, 3, "Node ports, for what this node itself sends."),
    ("KUBE-NODEPORT-NON-LOCAL", Filter, 0, "Lets connections to node ports in to kube-proxy's socket."),
];

const BUILT_IN: Names = &[
    ("PREROUTING", Around, 0, "The kernel's own chain: what comes in, before it is routed."),
    ("INPUT", Around, 0, "The kernel's own chain: what is for this node itself."),
    ("FORWARD", Around, 0, "The kernel's own chain: what passes through this node."),
    ("OUTPUT", Around, 0, "The kernel's own chain: what this node itself sends."),
    ("POSTROUTING", Around, 0, "The kernel's own chain: what leaves, after it was routed."),
];

/// A chain of an iptables table.
pub(super) fn iptables(mode: ProxyMode, table: TableName, name: &str) -> Known {
    let names = match (mode, table) {
        (ProxyMode::Userspace, _) => USERSPACE,
        (ProxyMode::Ipvs, Nat) => IPVS_NAT,
        (ProxyMode::Ipvs, InFilter) => IPVS_FILTER,
        (_, Nat) => IPTABLES_NAT,
        (_, InFilter) => IPTABLES_FILTER,
        _ => &[],
    };
    find(names, name).or_else(|| find(BUILT_IN, name)).unwrap_or(UNKNOWN)
}

const NFT: Names = &[
    ("services", Dispatch, 0, "Every new connection comes by here, whoever begins it."),
    (
        "service-ips",
        Dispatch,
        1,
        "Which chain takes care of an address: cluster IPs, external IPs and balancer addresses.",
    ),
    ("nodeport-ips", Dispatch, 2, "The addresses of this node on which node ports answer."),
    ("service-nodeports", Dispatch, 3, "Which chain takes care of a node port."),
    (
        "external-",
        Service,
        0,
        "The entrance for external IPs, balancer addresses and node ports: who is masqueraded, and which endpoints are open.",
    ),
    ("service-endpoints-check", Filter, 3, "Refuses what goes to an address that has nowhere to send to."),
    ("service-", Service, 1, "Chooses an endpoint, on any node that policy and topology allow."),
    ("local-", Service, 2, "Chooses an endpoint on this node."),
    ("endpoint-", Endpoints, 0, "One endpoint: the client is remembered, and the destination rewritten."),
    (
        "affinity-",
        Endpoints,
        0,
        "Clients that this endpoint served lately. The kernel puts them in and takes them out.",
    ),
    (
        "firewall-check",
        Filter,
        0,
        "Before anything is rewritten: balancer addresses that only some sources may use.",
    ),
    ("firewall-ips", Filter, 1, "Which chain knows the allowed sources of an address."),
    ("firewall-", Filter, 2, "Drops whatever does not come from an allowed source."),
    (
        "no-endpoint-services",
        Filter,
        4,
        "Addresses that have nowhere to send to, and what becomes of the packets.",
    ),
    ("nodeport-endpoints-check", Filter, 5, "Refuses what goes to a node port that has nowhere to send to."),
    (
        "no-endpoint-nodeports",
        Filter,
        6,
        "Node ports that have nowhere to send to, and what becomes of the packets.",
    ),
    ("reject-chain", Filter, 7, "Refuses at once, with an answer."),
    (
        "cluster-ips-check",
        Filter,
        8,
        "A cluster IP answers on the ports of its Service only; the rest is refused.",
    ),
    ("cluster-ips", Filter, 9, "The cluster IPs."),
    (
        "masquerading",
        Masquerade,
        0,
        "On the way out of the node: what is marked, or would be sent to itself, gets an address of this node as its source.",
    ),
    ("hairpin-connections", Masquerade, 1, "Connections from an endpoint on this node to itself."),
    ("nat-prerouting", Around, 0, "Where the kernel begins: new connections from pods and from outside."),
    ("nat-output", Around, 0, "Where the kernel begins: new connections that this node itself opens."),
    ("nat-postrouting", Around, 0, "Where the kernel begins: new connections on their way out."),
    (
        "filter-prerouting-pre-dnat",
        Around,
        0,
        "Where the kernel begins: what comes in, before its destination is rewritten.",
    ),
    (
        "filter-output-pre-dnat",
        Around,
        0,
        "Where the kernel begins: what this node sends, before its destination is rewritten.",
    ),
    ("filter-", Around, 0, "Where the kernel begins: filters what comes in, passes through or goes out."),
];

/// A chain, set or map of nft's table.
pub(super) fn nft(name: &str) -> Known {
    find(NFT, name).unwrap_or(UNKNOWN)
}

const IPSETS: Names = &[
    (
        "LOOP-BACK",
        Masquerade,
        10,
        "Endpoints on this node, each with itself as the source: they are masqueraded.",
    ),
    ("CLUSTER-IP", Masquerade, 10, "Cluster IPs with their ports."),
    ("EXTERNAL-IP", Masquerade, 10, "External IPs with their ports."),
    ("LOAD-BALANCER-FW", Filter, 10, "Balancer addresses that only some sources may use."),
    ("LOAD-BALANCER-SOURCE", Filter, 10, "Who may use which balancer address."),
    ("LOAD-BALANCER", Masquerade, 10, "Balancer addresses with their ports."),
    ("NODE-PORT", Masquerade, 10, "Node ports."),
    ("HEALTH-CHECK", Filter, 10, "Ports on which balancers ask for this node's health."),
    ("IPVS-IPS", Filter, 10, "All Service addresses that this node has taken for its own."),
];

/// An ipset.
pub(super) fn ipset(name: &str) -> Known {
    let name = name.strip_prefix("KUBE-").unwrap_or(name);
    let name = name.strip_prefix("6-").unwrap_or(name);
    first(IPSETS, |start| name.starts_with(start)).unwrap_or(UNKNOWN)
}

const UNKNOWN: Known = Known { stage: Around, rank: 0, about: "" };

/// A name that ends in a dash is the beginning of many names.
fn find(names: Names, name: &str) -> Option<Known> {
    first(names, |start| if start.ends_with('-') { name.starts_with(start) } else { name == start })
}

fn first(names: Names, fits: impl Fn(&str) -> bool) -> Option<Known> {
    let &(_, stage, rank, about) = names.iter().find(|(start, ..)| fits(start))?;
    Some(Known { stage, rank, about })
}

/// What a jump to a chain means.
pub(super) fn on_to(chain: &str, endpoint: Option<SocketAddr>) -> String {
    const KNOWN: [(&str, &str); 12] = [
        ("KUBE-MARK-MASQ", "marked, to be masqueraded"),
        ("KUBE-SVC-", "on to the choice among its endpoints"),
        ("KUBE-SVL-", "on to the choice among its endpoints on this node"),
        ("KUBE-EXT-", "on to its entrance from outside"),
        ("KUBE-FW-", "on to its list of allowed sources"),
        ("KUBE-NODEPORTS", "on to the node ports"),
        ("service-endpoints-check", "on to the check for addresses without endpoints"),
        ("service-", "on to the choice among its endpoints"),
        ("local-", "on to the choice among its endpoints on this node"),
        ("external-", "on to its entrance from outside"),
        ("firewall-check", "on to the check for allowed sources"),
        ("reject-chain", "refused at once"),
    ];
    if let Some(socket) = endpoint {
        return format!("on to the endpoint {socket}");
    }
    let known = KNOWN.iter().find(|(start, _)| chain.starts_with(start));
    known.map_or_else(|| format!("on to {chain}"), |(_, words)| (*words).to_owned())
}

/// `SUBJECT CONDITION, CONDITION: DONE, then DONE.`
pub(super) fn sentence(subject: &str, conditions: &[String], done: &[String]) -> String {
    let done = if done.is_empty() { "only counted".to_owned() } else { done.join(", then ") };
    match conditions {
        [] => format!("All that come here: {done}."),
        conditions => format!("{subject} {}: {done}.", conditions.join(", ")),
    }
}
