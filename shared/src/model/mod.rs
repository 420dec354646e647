//! The ground state: the slim, parsed picture of a cluster that everything else is computed from.
//!
//! Every type here is already valid: addresses are [`std::net::IpAddr`], ports are non-zero, protocols are an enum.
//! Text from the cluster stays text (`Arc<str>`) and is never interpreted. Fields that no question needs are absent.

mod meta;
mod node;
mod pod;
mod pods_of_node;
mod proxy_config;
mod service;
mod slice;
mod source;
mod state;
mod table;

pub use meta::*;
pub use node::*;
pub use pod::*;
pub use pods_of_node::*;
pub use proxy_config::*;
pub use service::*;
pub use slice::*;
pub use source::*;
pub use state::*;
pub use table::*;

/// Shared immutable text. Cheap to clone, so that names can be keys, labels and captions at once.
pub type Text = std::sync::Arc<str>;
