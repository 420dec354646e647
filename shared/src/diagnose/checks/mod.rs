//! The registry of checks: one file each, one line here. [`CHECKS`] is in the order of evaluation: kind and type, selection,
//! ports, readiness, binding of slices, reachability by policy, access from outside, quality.

mod svc001_selector_matches_nothing;
mod svc002_no_pod_ready;
mod svc003_some_pods_unready;
mod svc004_target_port_on_no_pod;
mod svc005_target_port_on_some_pods;
mod svc006_target_port_protocol;
mod svc007_target_port_undeclared;
mod svc008_target_port_varies;
mod svc009_no_selector_no_endpoints;
mod svc010_endpoints_name;
mod svc011_slice_not_bound;
mod svc012_slice_port_name;
mod svc013_slice_port_missing;
mod svc014_endpoint_is_service_ip;
mod svc015_fqdn_slice;
mod svc016_selector_removed;
mod svc017_endpoints_with_selector;
mod svc018_mirroring_blocked;
mod svc019_endpoints_truncated;
mod svc020_only_terminating;
mod svc021_unready_published;
mod svc022_pod_without_node;
mod svc023_pod_lacks_family;
mod svc024_several_applications;
mod svc025_overlapping_services;
mod svc026_job_pods;
mod svc027_workload_of_same_name;
mod svc028_external_local_nodes;
mod svc029_external_local_nothing;
mod svc030_internal_local_nodes;
mod svc031_balancer_pending;
mod svc032_balancer_ports;
mod svc033_source_ranges_lock_out;
mod svc034_source_ranges_node_ports;
mod svc035_ip_mode_proxy;
mod svc036_deprecated_balancer_fields;
mod svc037_duplicate_node_port;
mod svc038_hand_picked_node_port;
mod svc039_node_port_addresses;
mod svc040_health_check_port;
mod svc041_external_ips;
mod svc042_external_ips_ignored;
mod svc043_external_name_ip;
mod svc044_external_name_inside;
mod svc045_external_name_fields;
mod svc046_headless_expectations;
mod svc047_hostname_records;
mod svc048_affinity_weakened;
mod svc049_hints_ignored;
mod svc050_topology_twice;
mod svc051_one_place;
mod svc052_single_endpoint;
mod svc053_dual_stack;
mod svc054_older_than_service;
mod svc055_variable_clash;
mod svc056_sctp;
mod svc057_mixed_protocols;
mod svc058_readiness_probe;
mod svc059_host_network;
mod svc060_network_policy;
mod svc061_short_name;
mod svc062_ndots_cost;
mod svc063_stuck_deletion;
mod svc064_deprecated_machinery;
mod svc065_hand_picked_cluster_ip;
mod svc066_reserved_label;
mod svc067_no_node_ports;
mod svc068_app_protocol;
mod words;

pub(super) use svc044_external_name_inside::leads_to;
pub(super) use svc049_hints_ignored::asks_for_hints;

use super::facts::{Facts, Subject};
use super::finding::{Code, Problem, Severity};
use crate::model::Kind;

/// One check.
#[derive(Debug)]
pub struct Check {
    pub code: Code,
    pub title: &'static str,
    /// Of its findings, unless the condition names another for a case.
    pub severity: Severity,
    /// Exactly when it speaks.
    pub condition: &'static str,
    /// Why that matters.
    pub explanation: &'static str,
    /// Kinds of which objects must be known, beside Services; else the check is skipped.
    pub needs: &'static [Kind],
    /// It also speaks of Services that are being deleted, alone or with their namespace.
    pub of_deleted: bool,
    pub how: How,
}

/// How a check looks.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// At one Service at a time.
    Service(fn(&Subject<'_>) -> Vec<Problem>),
    /// At the whole cluster, once.
    Cluster(fn(&Facts<'_>) -> Vec<Problem>),
    /// It does not, and why: what it needs to know is not known here.
    Out(&'static str),
}

/// Every check of the catalogue, in the order of evaluation.
pub const CHECKS: &[Check] = &[
    svc043_external_name_ip::CHECK,
    svc044_external_name_inside::CHECK,
    svc045_external_name_fields::CHECK,
    svc046_headless_expectations::CHECK,
    svc047_hostname_records::CHECK,
    svc001_selector_matches_nothing::CHECK,
    svc024_several_applications::CHECK,
    svc025_overlapping_services::CHECK,
    svc026_job_pods::CHECK,
    svc027_workload_of_same_name::CHECK,
    svc004_target_port_on_no_pod::CHECK,
    svc005_target_port_on_some_pods::CHECK,
    svc006_target_port_protocol::CHECK,
    svc007_target_port_undeclared::CHECK,
    svc008_target_port_varies::CHECK,
    svc002_no_pod_ready::CHECK,
    svc003_some_pods_unready::CHECK,
    svc020_only_terminating::CHECK,
    svc021_unready_published::CHECK,
    svc022_pod_without_node::CHECK,
    svc023_pod_lacks_family::CHECK,
    svc009_no_selector_no_endpoints::CHECK,
    svc010_endpoints_name::CHECK,
    svc011_slice_not_bound::CHECK,
    svc012_slice_port_name::CHECK,
    svc013_slice_port_missing::CHECK,
    svc014_endpoint_is_service_ip::CHECK,
    svc015_fqdn_slice::CHECK,
    svc016_selector_removed::CHECK,
    svc017_endpoints_with_selector::CHECK,
    svc018_mirroring_blocked::CHECK,
    svc019_endpoints_truncated::CHECK,
    svc028_external_local_nodes::CHECK,
    svc029_external_local_nothing::CHECK,
    svc030_internal_local_nodes::CHECK,
    svc031_balancer_pending::CHECK,
    svc032_balancer_ports::CHECK,
    svc033_source_ranges_lock_out::CHECK,
    svc034_source_ranges_node_ports::CHECK,
    svc035_ip_mode_proxy::CHECK,
    svc036_deprecated_balancer_fields::CHECK,
    svc037_duplicate_node_port::CHECK,
    svc038_hand_picked_node_port::CHECK,
    svc039_node_port_addresses::CHECK,
    svc040_health_check_port::CHECK,
    svc041_external_ips::CHECK,
    svc042_external_ips_ignored::CHECK,
    svc048_affinity_weakened::CHECK,
    svc049_hints_ignored::CHECK,
    svc050_topology_twice::CHECK,
    svc051_one_place::CHECK,
    svc052_single_endpoint::CHECK,
    svc053_dual_stack::CHECK,
    svc054_older_than_service::CHECK,
    svc055_variable_clash::CHECK,
    svc056_sctp::CHECK,
    svc057_mixed_protocols::CHECK,
    svc058_readiness_probe::CHECK,
    svc059_host_network::CHECK,
    svc060_network_policy::CHECK,
    svc061_short_name::CHECK,
    svc062_ndots_cost::CHECK,
    svc063_stuck_deletion::CHECK,
    svc064_deprecated_machinery::CHECK,
    svc065_hand_picked_cluster_ip::CHECK,
    svc066_reserved_label::CHECK,
    svc067_no_node_ports::CHECK,
    svc068_app_protocol::CHECK,
];

/// What the checks use: the model, and words for it.
mod prelude {
    pub(super) use std::collections::{BTreeMap, BTreeSet, HashSet};
    pub(super) use std::net::IpAddr;
    pub(super) use std::num::NonZeroU16;
    pub(super) use std::sync::Arc;

    pub(super) use super::super::facts::{
        DEFAULT_NODE_PORTS, Facts, Subject, count, is_controllers, is_mirrored, labels_text, list, port_text,
    };
    pub(super) use super::super::finding::{Code, Problem, Severity};
    pub(super) use super::words::{
        duration_text, has_addresses, has_port_named, json_patch, minutes, ports_of, resolves,
        slice_manifest, topology_annotation, unready,
    };
    pub(super) use super::{Check, How};
    pub(super) use crate::model::*;
}
