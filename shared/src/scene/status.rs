//! How a Service stands, for people: its health, and the problem in words.
//!
//! Straight from the endpoints (basis `configured`): whether clients inside the cluster that use it get an answer.

use std::collections::HashMap;
use std::sync::Arc;

use super::Health;
use crate::model::{
    ClusterIp, ClusterState, EndpointSlice, Key, Keyed, Node, Pod, Service, ServicePort, ServiceType, Text,
};
use crate::proxy::reach::NotListed;
use crate::proxy::{EndpointRow, PortStanding, Via, Why, endpoint_rows_of};

/// A Service with its endpoints and what is to be said about them.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    pub rows: Vec<EndpointRow>,
    pub health: Health,
    /// What is wrong; empty if nothing is.
    pub problem: Text,
}

impl ServiceStatus {
    pub fn of(state: &ClusterState, service: &Service) -> ServiceStatus {
        ServiceStatus::with_pods(state, service, &state.selected_pods(service).collect::<Vec<_>>())
    }

    fn with_pods(state: &ClusterState, service: &Service, selected: &[&Arc<Pod>]) -> ServiceStatus {
        let rows = match service.service_type {
            ServiceType::ExternalName => Vec::new(),
            _ => endpoint_rows_of(state, service, selected, Via::ClusterIp),
        };
        let (health, problem) = judge(service, &rows);
        ServiceStatus { rows, health, problem: problem.into() }
    }
}

/// The statuses of all Services, kept from scene to scene: only what a change touches is worked out again.
///
/// A status depends on the Service, its slices, the pods that it selects, and the nodes. Objects that did not change are
/// the same pointers.
#[derive(Clone, Default)]
pub(super) struct Statuses {
    known: HashMap<Key, Known>,
    nodes: Vec<Arc<Node>>,
}

#[derive(Clone)]
struct Known {
    service: Arc<Service>,
    slices: Vec<Arc<EndpointSlice>>,
    pods: Vec<Arc<Pod>>,
    status: Arc<ServiceStatus>,
}

impl Statuses {
    /// The statuses in `state`, given those of an earlier state.
    pub(super) fn of(state: &ClusterState, previous: Option<&Statuses>) -> Statuses {
        let nodes: Vec<Arc<Node>> = state.nodes().values().cloned().collect();
        let previous = previous.filter(|previous| same(&previous.nodes, nodes.iter()));
        let selections = state.selections();
        let none = Vec::new();
        let known = state.services().values().map(|service| {
            let pods = selections.get(service.key()).unwrap_or(&none);
            let old = previous.and_then(|previous| previous.known.get(service.key()));
            let old = old.filter(|old| {
                Arc::ptr_eq(&old.service, service)
                    && same(&old.slices, state.slices_of(service.key()))
                    && same(&old.pods, pods.iter().copied())
            });
            let known = old.cloned().unwrap_or_else(|| Known {
                service: service.clone(),
                slices: state.slices_of(service.key()).cloned().collect(),
                pods: pods.iter().copied().cloned().collect(),
                status: Arc::new(ServiceStatus::with_pods(state, service, pods)),
            });
            (service.key().clone(), known)
        });
        Statuses { known: known.collect(), nodes }
    }

    pub(super) fn get(&self, service: &Key) -> Option<&Arc<ServiceStatus>> {
        self.known.get(service).map(|known| &known.status)
    }
}

fn same<'a, T: 'a>(old: &[Arc<T>], new: impl Iterator<Item = &'a Arc<T>>) -> bool {
    let mut old = old.iter();
    for object in new {
        if !old.next().is_some_and(|old| Arc::ptr_eq(old, object)) {
            return false;
        }
    }
    old.next().is_none()
}

impl std::fmt::Debug for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statuses").field("services", &self.known.len()).finish()
    }
}

/// A cache says nothing about what is seen.
impl PartialEq for Statuses {
    fn eq(&self, _: &Statuses) -> bool {
        true
    }
}

fn judge(service: &Service, rows: &[EndpointRow]) -> (Health, String) {
    if service.service_type == ServiceType::ExternalName {
        return (Health::Unknown, String::new());
    }
    if service.cluster_ip == ClusterIp::Unset {
        return (Health::Degraded, "no cluster IP yet".into());
    }
    let rows: Vec<&EndpointRow> = rows.iter().filter(|row| !is_finished(row)).collect();
    if rows.is_empty() {
        let selects = service.selector.is_some();
        let words = if selects { "selector matches nothing" } else { "no endpoints, no selector" };
        return (Health::Failing, words.into());
    }
    let useful = rows.iter().filter(|row| is_useful(service, row)).count();
    if useful == 0 {
        return (Health::Failing, nothing_useful(service, &rows));
    }
    if let Some(port) = dead_port(service, &rows) {
        return (Health::Degraded, format!("port {}: no endpoint", port_name(port)));
    }
    let broken = rows.iter().filter(|row| is_broken(service, row)).count();
    if broken > 0 {
        return (Health::Degraded, format!("{broken} of {} endpoints not ready", rows.len()));
    }
    if rows.iter().all(|row| row.conditions.is_some_and(|conditions| conditions.is_terminating())) {
        return (Health::Degraded, "only terminating endpoints".into());
    }
    if service.service_type == ServiceType::LoadBalancer && service.ingress.is_empty() {
        return (Health::Degraded, "no balancer address yet".into());
    }
    (Health::Ok, String::new())
}

fn is_finished(row: &EndpointRow) -> bool {
    let finished = |(_, standing): &(_, PortStanding)| {
        matches!(standing, PortStanding::Nothing(Why::NotListed(NotListed::Finished)))
    };
    !row.ports.is_empty() && row.ports.iter().all(finished)
}

/// Clients reach it: by the proxy, or by DNS for a headless Service.
fn is_useful(service: &Service, row: &EndpointRow) -> bool {
    match service.is_headless() {
        true => row.conditions.is_some_and(|conditions| service.publish_not_ready || conditions.is_ready()),
        false => row.receives(),
    }
}

/// It should be useful and is not; shutting down and policies are no defects.
fn is_broken(service: &Service, row: &EndpointRow) -> bool {
    if service.is_headless() {
        let leaving = row.conditions.is_some_and(|conditions| conditions.is_terminating());
        return !is_useful(service, row) && !leaving;
    }
    row.ports.iter().any(|(_, standing)| match standing {
        PortStanding::Receives { .. } => false,
        PortStanding::Nothing(why) => is_defect(why),
    })
}

/// True if the reason is a defect rather than a decision.
pub(super) fn is_defect(why: &Why) -> bool {
    match why {
        Why::NotReady | Why::NoPort => true,
        Why::NotListed(why) => *why != NotListed::Finished,
        Why::Terminating | Why::NotServing | Why::NotLocal | Why::Hinted | Why::NoVip | Why::NotProxied => {
            false
        }
    }
}

fn nothing_useful(service: &Service, rows: &[&EndpointRow]) -> String {
    let all = |test: fn(&Why) -> bool| {
        rows.iter().flat_map(|row| &row.ports).all(|(_, standing)| match standing {
            PortStanding::Nothing(why) => test(why),
            PortStanding::Receives { .. } => false,
        })
    };
    match service.ports.first() {
        Some(port) if all(|why| matches!(why, Why::NoPort)) => {
            format!("target port {} is on no pod", port.target_port)
        }
        _ if all(|why| matches!(why, Why::NotListed(_))) => "no pod is listed as endpoint".into(),
        _ if all(|why| matches!(why, Why::NoVip)) => "endpoints of another IP family".into(),
        _ => "no ready endpoint".into(),
    }
}

/// The first port that no endpoint receives traffic on.
fn dead_port<'a>(service: &'a Service, rows: &[&EndpointRow]) -> Option<&'a ServicePort> {
    if !service.is_proxied() {
        return None;
    }
    let lives = |nth: usize| {
        let standings = rows.iter().filter_map(|row| row.ports.get(nth));
        standings.into_iter().any(|(_, standing)| matches!(standing, PortStanding::Receives { .. }))
    };
    service.ports.iter().enumerate().find(|(nth, _)| !lives(*nth)).map(|(_, port)| port)
}

/// The port's name, or its number if it has none: the text in `Target::Port`.
pub fn port_name(port: &ServicePort) -> Text {
    if port.name.is_empty() { port.port.to_string().into() } else { port.name.clone() }
}
