//! Kubernetes objects (JSON, YAML, `List`, many documents) to and from the model: the one place where wire types are met.
//!
//! In: text or JSON values, as kubectl prints them or an API server sends them. Out: model objects and [`Fault`]s.
//! `managedFields`, unneeded annotations, container environments and images are dropped here and go no further.
//! Nothing here panics on any input; what can't be used is reported with the object, the field and the reason.

mod decode;
mod encode;
mod encode_objects;
mod file;
mod proxy;
mod wire;
mod words;

pub use decode::{Decoded, decode, decode_as, kind_of};
pub use encode::{encode_endpoints, encode_slice};
pub use encode_objects::{encode, encode_proxy_settings};
pub use file::{FileError, Loaded, load, load_into, parse_documents, to_yaml};
pub use proxy::proxy_settings;
pub use words::plain;

/// Annotations that are kept, by prefix: those that change traffic or what vipscope says.
pub const KEPT_ANNOTATIONS: [&str; 7] = [
    "service.kubernetes.io/topology-",
    "service.beta.kubernetes.io/load-balancer-source-ranges",
    "service.alpha.kubernetes.io/tolerate-unready-endpoints",
    "endpoints.kubernetes.io/over-capacity",
    "endpointslice.kubernetes.io/skip-mirror",
    "control-plane.alpha.kubernetes.io/leader",
    "vipscope.dev/",
];
