//! SVC039: addresses of nodes on which node ports do not answer.

use super::prelude::*;
use crate::proxy::node::{NodeContext, NodePorts};

pub const CHECK: Check = Check {
    code: Code(39),
    title: "nodePortAddresses exclude addresses of nodes",
    severity: Severity::Warn,
    condition: "kube-proxy's nodePortAddresses is set, some Service has a node port, and an InternalIP or ExternalIP of a node is not among the addresses on which node ports answer there.",
    explanation: "Clients, and balancers, that use such an address get no answer on any node port.",
    needs: &[Kind::ProxyConfig, Kind::Node],
    of_deleted: false,
    how: How::Cluster(find),
};

fn find(facts: &Facts<'_>) -> Vec<Problem> {
    let Some(config) = facts.state.proxy_config().filter(|_| facts.node_ports().next().is_some()) else {
        return Vec::new();
    };
    let deaf: Vec<(ObjectRef, String)> =
        facts.state.nodes().values().flat_map(|node| deaf_addresses(facts, node)).collect();
    if deaf.is_empty() {
        return Vec::new();
    }
    let nodes: BTreeSet<_> = deaf.iter().map(|(object, _)| object.key.name.clone()).collect();
    let (namespace, name) = PROXY_CONFIG_MAP;
    let addresses = match &config.settings.node_port_addresses {
        NodePortAddresses::Unset => "(set for single nodes)".to_owned(),
        NodePortAddresses::Primary => "primary".to_owned(),
        NodePortAddresses::Cidrs(cidrs) => list(cidrs),
    };
    let problem = Problem::new(
        config.object_ref(),
        format!("node ports do not answer on all addresses of {}", list(&nodes)),
    )
    .own("config.conf: nodePortAddresses", addresses)
    .evidence_of("status.addresses", deaf)
    .advice("add the CIDRs of the addresses that clients use, or use the others")
    .kubectl(&["kubectl", "-n", namespace, "edit", "configmap", name]);
    vec![problem]
}

fn deaf_addresses(facts: &Facts<'_>, node: &Arc<Node>) -> Vec<(ObjectRef, String)> {
    let settings = facts.state.proxy_settings(node.name());
    if settings.node_port_addresses == NodePortAddresses::Unset {
        return Vec::new();
    }
    let deaf = node.addresses.iter().filter(|address| {
        let context = NodeContext::new(facts.state, node, IpFamily::of(address.ip), settings.mode);
        matches!(&context.node_ports, NodePorts::On(ips) if !ips.contains(&address.ip))
    });
    deaf.map(|address| (node.object_ref(), format!("{:?} {}", address.address_type, address.ip))).collect()
}
