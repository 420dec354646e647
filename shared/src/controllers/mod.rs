//! What the cluster's controllers do, as pure functions over the model.
//!
//! In: a [`crate::model::ClusterState`] and the object to reconcile. Out: a plan of what to write. Nothing here keeps
//! state, reads a clock or rolls dice: random name suffixes come from a parameter. Running a plan and asking again
//! gives an empty plan.
//!
//! Upstream: staging `k8s.io/endpointslice`, `pkg/controller/endpoint`, `pkg/controller/endpointslicemirroring`,
//! `pkg/controller/deployment`, `pkg/controller/replicaset`.

pub mod endpoints;
pub mod endpointslices;
pub mod mirroring;
pub mod slice_plan;
pub mod workloads;

/// Label of slices and Endpoints that belong to a headless Service.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// Label of Endpoints that a controller keeps.
pub const ENDPOINTS_MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// Label of Endpoints that are not to be mirrored.
pub const SKIP_MIRROR_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
