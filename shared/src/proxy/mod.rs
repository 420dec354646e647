//! What kube-proxy makes of the objects. [`generate`] is the front door: the rules of a node in any mode. [`common`] is
//! what all modes share: which endpoints a Service port has and which of them a node uses. [`reach`] says it for people:
//! who receives traffic, who does not, and why.

pub mod common;
pub mod drift;
mod hash;
pub mod incremental;
pub mod iptables;
pub mod ipvs;
mod json;
mod jumps;
pub mod nftables;
pub mod node;
pub mod parts;
pub mod ports;
pub mod reach;
pub mod reading;
pub mod reference;
pub mod rules;
pub mod userspace;

pub use common::{Backend, Categories, Hinted, PortView, backends, categorize};
pub use reach::{
    EndpointRow, NodeScope, PortStanding, Refusal, Share, Via, Why, endpoint_rows, endpoint_rows_of, shares,
};
pub use rules::{
    Format, NodeError, NotIpvs, Rules, Scope, find_node, generate, generate_for, generate_ports,
};
