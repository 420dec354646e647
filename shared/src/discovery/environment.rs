//! The environment variables by which the kubelet tells a container of Services, fixed when the container starts
//! (`pkg/kubelet/envvars`, `getServiceEnvVarMap` in `pkg/kubelet/kubelet_pods.go`).
//!
//! Variables that the container itself sets win over these; they are not known here, since environments are dropped at the
//! edge.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{ClusterState, Container, Key, Keyed, Pod, Service, ServiceType};

/// One variable, and the Service that it tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
    pub service: Key,
}

/// Why a container has no variables for a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Absence {
    /// A Service of another namespace; only `default/kubernetes` is told to all.
    OtherNamespace,
    /// `enableServiceLinks: false`.
    NoServiceLinks,
    /// Headless: no address to tell.
    Headless,
    /// The API server's Service, whose variables those of a Service of its name in the pod's namespace replace.
    Namesake,
    /// An ExternalName, or no cluster IP yet.
    NoClusterIp,
    /// The container started before the Service was created; a restart of the container mends it.
    YoungerThanContainer { started: Timestamp, created: Timestamp },
    /// Both within a few seconds: the kubelet reads Services from a cache, so nobody can tell.
    Unsure { started: Timestamp, created: Timestamp },
}

/// A Service that the container hears nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub service: Key,
    pub why: Absence,
}

/// What the kubelet adds to one container's environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// By Service, in the kubelet's order of variables.
    pub variables: Vec<Variable>,
    /// Names that two Services define with different values; which one wins is not defined.
    pub conflicts: Vec<String>,
    /// Services of the pod's namespace without variables, by name.
    pub missing: Vec<Missing>,
    /// How many Services of other namespaces are left out for that reason.
    pub elsewhere: usize,
}

/// How far apart two times must be for the kubelet's cache not to matter.
const CACHE: SignedDuration = SignedDuration::from_secs(5);

/// The variables of a container, and the Services that it has none for.
pub fn environment(state: &ClusterState, pod: &Pod, container: &Container) -> Environment {
    let mut environment = Environment::default();
    let namesake = state.services().get(&Key::new(pod.namespace().clone(), MASTER.1));
    let namesake = namesake.filter(|service| !is_master(service.key()));
    let replaced = namesake.is_some_and(|service| service_absence(pod, container, service).is_none());
    for service in state.services().values() {
        let why = if replaced && is_master(service.key()) {
            Some(Absence::Namesake)
        } else {
            service_absence(pod, container, service)
        };
        match why {
            None => environment.variables.extend(variables_of(service)),
            Some(Absence::OtherNamespace) => environment.elsewhere += 1,
            Some(why) => environment.missing.push(Missing { service: service.key().clone(), why }),
        }
    }
    environment.conflicts = conflicts(&environment.variables);
    environment
}

/// Why the container has no variables for the Service; `None` if it has. What another Service replaces is not looked at.
pub fn service_absence(pod: &Pod, container: &Container, service: &Service) -> Option<Absence> {
    let is_master = is_master(service.key());
    if service.namespace() != pod.namespace() && !is_master {
        return Some(Absence::OtherNamespace);
    }
    if service.service_type == ServiceType::ExternalName {
        return Some(Absence::NoClusterIp);
    }
    if service.is_headless() {
        return Some(Absence::Headless);
    }
    if service.cluster_ip.ips().is_empty() {
        return Some(Absence::NoClusterIp);
    }
    if pod.no_service_links && !is_master {
        return Some(Absence::NoServiceLinks);
    }
    // A container that is not running gets the Services of the time when it starts.
    let (started, created) = (container.started?, service.meta.created?);
    let ahead = created.duration_since(started);
    if ahead > CACHE {
        Some(Absence::YoungerThanContainer { started, created })
    } else if ahead >= -CACHE {
        Some(Absence::Unsure { started, created })
    } else {
        None
    }
}

/// Namespace and name of the API server's own Service, which every pod hears of.
const MASTER: (&str, &str) = ("default", "kubernetes");

fn is_master(key: &Key) -> bool {
    (&*key.namespace, &*key.name) == MASTER
}

/// Every variable that tells of a Service, in the kubelet's order; none without a cluster IP. Only the primary family counts.
pub fn variables_of(service: &Service) -> Vec<Variable> {
    let (Some(ip), Some(first)) = (service.cluster_ip.ips().first().copied(), service.ports.first()) else {
        return Vec::new();
    };
    let prefix = mangled(service.name());
    let mut all = Vec::new();
    let mut add =
        |name: String, value: String| all.push(Variable { name, value, service: service.key().clone() });
    add(format!("{prefix}_SERVICE_HOST"), ip.to_string());
    add(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for port in service.ports.iter().filter(|port| !port.name.is_empty()) {
        add(format!("{prefix}_SERVICE_PORT_{}", mangled(&port.name)), port.port.to_string());
    }
    for (nth, port) in service.ports.iter().enumerate() {
        let (protocol, number) = (port.protocol, port.port.get());
        let url = url(protocol.lower(), ip, number);
        if nth == 0 {
            add(format!("{prefix}_PORT"), url.clone());
        }
        let one = format!("{prefix}_PORT_{number}_{protocol}");
        add(one.clone(), url);
        add(format!("{one}_PROTO"), protocol.lower().to_owned());
        add(format!("{one}_PORT"), number.to_string());
        add(format!("{one}_ADDR"), ip.to_string());
    }
    all
}

fn url(protocol: &str, ip: IpAddr, port: u16) -> String {
    format!("{protocol}://{}", SocketAddr::new(ip, port))
}

/// Upper case, `-` becomes `_`; nothing else is changed.
fn mangled(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn conflicts(variables: &[Variable]) -> Vec<String> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for variable in variables {
        values.entry(&variable.name).or_default().push(&variable.value);
    }
    let differ = |values: &[&str]| values.iter().any(|value| *value != values[0]);
    let found = values.into_iter().filter(|(_, values)| differ(values));
    found.map(|(name, _)| name.to_owned()).collect()
}
