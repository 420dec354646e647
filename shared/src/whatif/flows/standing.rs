//! What of a node, beside its [shape](super::places::Place::shape), decides about the rules of some ports.

use std::sync::Arc;

use super::places::Place;
use crate::model::ProxyMode;
use crate::proxy::ports::PortInfo;
use crate::proxy::{Categories, categorize};

/// What rules of some ports can depend on, in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depends {
    /// Which endpoints are used depends on the node.
    on_node: bool,
    /// Source ranges may hold it.
    on_ranges: bool,
}

/// Nodes of one shape for which this is the same have the same rules for the ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Standing {
    /// Of each port, before and after, if endpoints depend on the node.
    categories: Vec<Categories>,
    /// Of each port, before and after, if some have source ranges: whether they hold the node.
    ranges: Vec<bool>,
    /// Endpoints on the node, by side and port: nftables and ipvs mode name their addresses, for what is sent to itself.
    local: Vec<[usize; 3]>,
}

impl Depends {
    pub fn of(ports: &[Arc<[PortInfo]>; 2]) -> Depends {
        let all = || ports.iter().flat_map(|ports| ports.iter());
        let is_hinted = |port: &PortInfo| {
            let mut ends = port.endpoints.iter();
            ends.any(|end| !end.zone_hints.is_empty() || !end.node_hints.is_empty())
        };
        Depends {
            on_node: all().any(|port| port.view.uses_local() || is_hinted(port)),
            on_ranges: all().any(|port| !port.source_ranges.is_empty()),
        }
    }
}

impl Standing {
    /// Whether other nodes may stand alike: none of the endpoints is this node's.
    pub fn is_common(&self) -> bool {
        self.local.is_empty() && self.categories.iter().all(|categories| categories.local.is_empty())
    }

    /// Of a node to ports, before and after.
    pub fn of(ports: [&[PortInfo]; 2], depends: Depends, place: &Place<'_>) -> Standing {
        let (mut categories, mut ranges, mut local) = (Vec::new(), Vec::new(), Vec::new());
        for (side, context) in [&place.before, &place.after].into_iter().enumerate() {
            let names_local = matches!(context.mode, ProxyMode::Nftables | ProxyMode::Ipvs);
            for (nth, port) in ports[side].iter().enumerate() {
                if names_local {
                    let ends = port.endpoints.iter().enumerate();
                    let here = ends.filter(|(_, end)| end.node.as_ref() == Some(place.name));
                    local.extend(here.map(|(end, _)| [side, nth, end]));
                }
                if depends.on_node {
                    categories.push(categorize(&port.endpoints, port.view, &context.node));
                }
                if depends.on_ranges {
                    ranges.push(port.source_ranges.iter().any(|range| range.contains(&context.node_ip)));
                }
            }
        }
        Standing { categories, ranges, local }
    }
}
