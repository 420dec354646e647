//! Packet-filter rules as typed values, apart from any Kubernetes meaning: iptables, nft, ipvs and ipset. Text is an edge:
//! every type prints the form that the kernel's tools read, and parses it back.

pub mod iptables;
pub mod ipvs;
pub mod nft;

pub use iptables::ChainName;
