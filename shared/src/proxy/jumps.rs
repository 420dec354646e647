//! The jumps from built-in chains that make a mode's chains reachable, as they stand once kube-proxy has inserted them,
//! one by one and each at the top, into empty built-in chains. nftables needs none: its base chains have hooks.

use crate::netfilter::ChainName;
use crate::netfilter::iptables::{Chain, CtStates, Match, Rule, Sense, Side, Table, TableName, Target};

/// From a built-in chain, under a condition, with a comment, to a chain.
type Jump = (TableName, &'static str, When, &'static str, &'static str);

/// What a jump is limited to.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// Packets that begin a connection.
    New,
    /// Packets to an address of this node.
    ToLocal,
}

use TableName::{Filter, Nat};
use When::{Always, New, ToLocal};

const PORTALS: &str = "kubernetes service portals";
const EXTERNAL: &str = "kubernetes externally-visible service portals";
const FIREWALL: &str = "kubernetes load balancer firewall";
const POSTROUTING: &str = "kubernetes postrouting rules";
const FORWARDING: &str = "kubernetes forwarding rules";

const IPTABLES: &[Jump] = &[
    (Filter, "INPUT", Always, "", "KUBE-FIREWALL"),
    (Filter, "INPUT", New, FIREWALL, "KUBE-PROXY-FIREWALL"),
    (Filter, "INPUT", Always, "kubernetes health check service ports", "KUBE-NODEPORTS"),
    (Filter, "INPUT", New, EXTERNAL, "KUBE-EXTERNAL-SERVICES"),
    (Filter, "FORWARD", New, FIREWALL, "KUBE-PROXY-FIREWALL"),
    (Filter, "FORWARD", Always, FORWARDING, "KUBE-FORWARD"),
    (Filter, "FORWARD", New, PORTALS, "KUBE-SERVICES"),
    (Filter, "FORWARD", New, EXTERNAL, "KUBE-EXTERNAL-SERVICES"),
    (Filter, "OUTPUT", Always, "", "KUBE-FIREWALL"),
    (Filter, "OUTPUT", New, FIREWALL, "KUBE-PROXY-FIREWALL"),
    (Filter, "OUTPUT", New, PORTALS, "KUBE-SERVICES"),
    (Nat, "PREROUTING", Always, PORTALS, "KUBE-SERVICES"),
    (Nat, "OUTPUT", Always, PORTALS, "KUBE-SERVICES"),
    (Nat, "POSTROUTING", Always, POSTROUTING, "KUBE-POSTROUTING"),
];

const IPVS: &[Jump] = &[
    (Filter, "INPUT", Always, "kubernetes ipvs access filter", "KUBE-IPVS-FILTER"),
    (Filter, "INPUT", Always, "kube-proxy firewall rules", "KUBE-PROXY-FIREWALL"),
    (Filter, "INPUT", Always, "kubernetes health check rules", "KUBE-NODE-PORT"),
    (Filter, "FORWARD", Always, "kube-proxy firewall rules", "KUBE-PROXY-FIREWALL"),
    (Filter, "FORWARD", Always, FORWARDING, "KUBE-FORWARD"),
    (Filter, "OUTPUT", Always, "kubernetes ipvs access filter", "KUBE-IPVS-OUT-FILTER"),
    (Nat, "PREROUTING", Always, PORTALS, "KUBE-SERVICES"),
    (Nat, "OUTPUT", Always, PORTALS, "KUBE-SERVICES"),
    (Nat, "POSTROUTING", Always, POSTROUTING, "KUBE-POSTROUTING"),
];

const CLUSTER_IPS_FIRST: &str = "handle ClusterIPs; NOTE: this must be before the NodePort rules";
const NODE_PORTS_LAST: &str = "handle service NodePorts; NOTE: this must be the last rule in the chain";

const USERSPACE: &[Jump] = &[
    (Filter, "INPUT", Always, "Ensure that non-local NodePort traffic can flow", "KUBE-NODEPORT-NON-LOCAL"),
    (Nat, "PREROUTING", Always, CLUSTER_IPS_FIRST, "KUBE-PORTALS-CONTAINER"),
    (Nat, "PREROUTING", ToLocal, NODE_PORTS_LAST, "KUBE-NODEPORT-CONTAINER"),
    (Nat, "OUTPUT", Always, CLUSTER_IPS_FIRST, "KUBE-PORTALS-HOST"),
    (Nat, "OUTPUT", ToLocal, NODE_PORTS_LAST, "KUBE-NODEPORT-HOST"),
];

pub(super) fn add_iptables(tables: &mut [Table]) {
    add(tables, IPTABLES);
}

pub(super) fn add_ipvs(tables: &mut [Table]) {
    add(tables, IPVS);
}

pub(super) fn add_userspace(tables: &mut [Table]) {
    add(tables, USERSPACE);
}

/// Appends the built-in chains with their jumps, and chains that are jumped to but empty.
fn add(tables: &mut [Table], jumps: &[Jump]) {
    for table in tables {
        let name = table.name;
        for (_, from, when, comment, to) in jumps.iter().filter(|jump| jump.0 == name) {
            chain(table, to);
            chain(table, from).rules.push(jump(*when, comment, to));
        }
    }
}

fn chain<'a>(table: &'a mut Table, name: &str) -> &'a mut Chain {
    let known = table.chains.iter().position(|chain| chain.name.as_str() == name);
    let at = known.unwrap_or_else(|| {
        table.chains.push(Chain { name: ChainName::cut(name), rules: Vec::new() });
        table.chains.len() - 1
    });
    &mut table.chains[at]
}

fn jump(when: When, comment: &str, to: &str) -> Rule {
    let condition = match when {
        Always => None,
        New => Some(Match::CtState(Sense::Is, CtStates::NEW)),
        ToLocal => Some(Match::Local(Sense::Is, Side::Destination)),
    };
    let comment = (!comment.is_empty()).then(|| Match::Comment(comment.into()));
    let target = Some(Target::Jump(ChainName::cut(to)));
    Rule { matches: condition.into_iter().chain(comment).collect(), target }
}
