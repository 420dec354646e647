//! What a node's rules have otherwise than kube-proxy there should have made them.

use vipscope_shared::model::{ClusterState, ProxyMode};
use vipscope_shared::proxy::drift::{drift, parts_of};
use vipscope_shared::proxy::{self, userspace};
use vipscope_shared::traffic::DriftLine;

use super::{FamilyRules, NodeRuleset};

/// The node's rules against those that the engine makes of `state`, in the mode that the node is set to. Empty: no drift.
pub fn compare(state: &ClusterState, node: &str, actual: &NodeRuleset) -> Vec<DriftLine> {
    let mode = state.proxy_settings(node).mode;
    let of_family = |one: &FamilyRules| {
        let Ok(node) = proxy::find_node(state, node, one.family) else { return Vec::new() };
        let sockets = match mode {
            ProxyMode::Userspace => userspace::sockets(state, one.family),
            _ => Vec::new(),
        };
        let expected = parts_of(&proxy::generate(state, node, one.family, mode), &sockets);
        drift(state, one.family, &expected, &parts_of(&one.rules, &one.sockets))
    };
    actual.families.iter().flat_map(of_family).collect()
}
