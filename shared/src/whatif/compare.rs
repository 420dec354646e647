//! Two proxy modes or configurations on one cluster, or two clusters: the flows that differ, each with its cause in words.

use std::collections::BTreeMap;
use std::sync::Arc;

pub use super::cause::UNKNOWN;
use super::cause::cause;
use super::difference::Difference;
use super::groups::groups;
use super::{Options, difference_paced};
use crate::delta::{Change, Object};
use crate::model::{ClusterState, Meta, ProxyConfig, ProxyMode, ProxySettings};
use crate::pace;

/// What flows do otherwise in `after`, and why.
pub fn compare(before: &ClusterState, after: &ClusterState, options: &Options<'_>) -> Difference {
    pace::at_once(compare_paced(before, after, options, &pace::none))
}

/// [`compare`], with pauses.
pub async fn compare_paced(
    before: &ClusterState,
    after: &ClusterState,
    options: &Options<'_>,
    pause: &impl AsyncFn(),
) -> Difference {
    let mut difference = difference_paced(before, after, options, pause).await;
    for flow in &mut difference.flows {
        flow.cause = Some(cause(flow, before, after));
        pause().await;
    }
    difference.groups = groups(&difference.flows, before, after);
    difference
}

/// The cluster with this mode on all nodes; all other settings stay.
pub fn with_mode(state: &ClusterState, mode: ProxyMode) -> ClusterState {
    with_settings(state, |settings| settings.mode = mode)
}

/// The cluster with other settings on all nodes.
pub fn with_settings(state: &ClusterState, change: impl Fn(&mut ProxySettings)) -> ClusterState {
    let mut config = match state.proxy_config() {
        Some(config) => ProxyConfig::clone(config),
        None => ProxyConfig {
            meta: Meta::named(ProxyConfig::well_known_key()),
            settings: ProxySettings::default(),
            nodes: BTreeMap::new(),
        },
    };
    change(&mut config.settings);
    config.nodes.values_mut().for_each(change);
    let mut state = state.clone();
    let _ = state.apply(&Change::Upsert(Object::ProxyConfig(Arc::new(config))));
    state
}
