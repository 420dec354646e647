//! Which endpoints a node's rules send connections to: of those that a change takes away, connections are left over.

use crate::model::ProxyMode;
use crate::proxy::categorize;
use crate::proxy::node::NodeContext;
use crate::proxy::ports::PortInfo;

/// Endpoints of a port that a node uses, as sorted indexes into the port's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Used {
    /// For the cluster IP, and for addresses that are reached from outside.
    pub sets: [Vec<usize>; 2],
    /// Some endpoint, on any node, could take traffic: then a node that may use none of them drops, else it refuses.
    pub has_any: bool,
}

impl Used {
    pub fn on(port: &PortInfo, node: &NodeContext) -> Used {
        let view = port.view;
        if node.mode == ProxyMode::Userspace {
            // It knows no policy, and ready endpoints alone.
            let ready = port.endpoints.iter().enumerate().filter(|(_, backend)| backend.ready);
            let ready: Vec<usize> = ready.map(|(nth, _)| nth).collect();
            let outside = if view.external { ready.clone() } else { Vec::new() };
            return Used { has_any: !ready.is_empty(), sets: [ready, outside] };
        }
        let found = categorize(&port.endpoints, view, &node.node);
        let choose = |local: bool| match local {
            // ipvs mode falls back to the cluster's.
            true if node.mode != ProxyMode::Ipvs || !found.local.is_empty() => found.local.clone(),
            _ => found.cluster.clone(),
        };
        let outside = if view.external { choose(view.external_local) } else { Vec::new() };
        Used { sets: [choose(view.internal_local), outside], has_any: found.has_any }
    }

    pub fn has(&self, nth: usize) -> bool {
        self.sets.iter().any(|set| set.binary_search(&nth).is_ok())
    }

    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(Vec::is_empty)
    }
}
