//! What happened, for people: one line per change that matters, made from the state before it and the change.
//!
//! Pure. A change that nobody would ask about (an allocated address, a label) still gets a line, but a quiet one.

use std::collections::BTreeSet;

use jiff::Timestamp;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{
    ClusterState, EndpointSlice, Freshness, Key, Keyed, Kind, Node, ObjectRef, Pod, Service, Source, Text,
};
use vipscope_shared::scene::Target;

/// How much a change should catch the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Quiet,
    Good,
    Notable,
    Bad,
}

impl Tone {
    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Quiet => "quiet",
            Tone::Good => "good",
            Tone::Notable => "notable",
            Tone::Bad => "bad",
        }
    }
}

/// One change, as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentChange {
    /// The server's clock.
    pub time: Timestamp,
    /// `None` for changes of the data's own freshness.
    pub object: Option<ObjectRef>,
    /// The Service that a slice or an Endpoints object belongs to.
    pub service: Option<Key>,
    pub tone: Tone,
    pub what: String,
}

impl RecentChange {
    /// True if it belongs into the history of `target`.
    pub fn concerns(&self, target: &Target) -> bool {
        let Some(object) = &self.object else { return false };
        match target {
            Target::Service(key) | Target::Port(key, _) => {
                self.service.as_ref() == Some(key) || (object.kind == Kind::Service && object.key == *key)
            }
            Target::Pod(key) => object.kind == Kind::Pod && object.key == *key,
            Target::Node(name) => object.kind == Kind::Node && object.key.name == *name,
            Target::Namespace(name) => object.key.namespace == *name,
            Target::Source(_) | Target::Address(_) => false,
        }
    }

    /// Where a click leads.
    pub fn target(&self) -> Option<Target> {
        let object = self.object.as_ref()?;
        match object.kind {
            Kind::Service => Some(Target::Service(object.key.clone())),
            Kind::EndpointSlice | Kind::Endpoints => self.service.clone().map(Target::Service),
            Kind::Pod => Some(Target::Pod(object.key.clone())),
            Kind::Node => Some(Target::Node(object.key.name.clone())),
            Kind::Namespace => Some(Target::Namespace(object.key.name.clone())),
            Kind::ProxyConfig => None,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> String {
        self.object.as_ref().map_or_else(|| "vipscope".to_owned(), ToString::to_string)
    }
}

/// The line for `change`, given the state before it. `None` if the change says nothing new.
pub fn describe(before: &ClusterState, change: &Change, time: Timestamp) -> Option<RecentChange> {
    let (tone, what) = match change {
        Change::Upsert(object) => upserted(before, object)?,
        Change::Delete(_) => (Tone::Bad, "deleted".to_owned()),
        Change::Fault(fault) => {
            let reason = fault.causes.first().map_or("", |cause| &*cause.reason);
            (Tone::Bad, format!("could not be read: {reason}"))
        }
        Change::Cleared(_) => (Tone::Good, "can be read again".to_owned()),
        Change::Source(source) => return freshness(source, time),
    };
    let object = object_of(change)?;
    let service = service_of(before, change, &object);
    Some(RecentChange { time, service, object: Some(object), tone, what })
}

fn object_of(change: &Change) -> Option<ObjectRef> {
    match change {
        Change::Upsert(object) => Some(object.object_ref()),
        Change::Delete(object) | Change::Cleared(object) => Some(object.clone()),
        Change::Fault(fault) => Some(fault.object.clone()),
        Change::Source(_) => None,
    }
}

fn service_of(before: &ClusterState, change: &Change, object: &ObjectRef) -> Option<Key> {
    match (object.kind, change) {
        (Kind::EndpointSlice, Change::Upsert(Object::EndpointSlice(slice))) => slice.service(),
        (Kind::EndpointSlice, _) => before.slices().get(&object.key)?.service(),
        (Kind::Endpoints, _) => Some(object.key.clone()),
        _ => None,
    }
}

fn freshness(source: &Source, time: Timestamp) -> Option<RecentChange> {
    let kind = source.kind;
    let (tone, what) = match &source.freshness {
        Freshness::Listing { .. } => return None,
        Freshness::Live | Freshness::Fixed => (Tone::Good, format!("{kind}s are up to date")),
        Freshness::Stale { reason, .. } => (Tone::Bad, format!("{kind}s went stale: {reason}")),
        Freshness::Forbidden { reason } => (Tone::Bad, format!("{kind}s are forbidden: {reason}")),
    };
    Some(RecentChange { time, object: None, service: None, tone, what })
}

fn upserted(before: &ClusterState, object: &Object) -> Option<(Tone, String)> {
    let added = || Some((Tone::Notable, "added".to_owned()));
    match object {
        Object::Pod(pod) => before.pods().get(pod.key()).map_or_else(added, |old| pod_changed(old, pod)),
        Object::Node(node) => {
            before.nodes().get(node.key()).map_or_else(added, |old| node_changed(old, node))
        }
        Object::Service(service) => {
            before.services().get(service.key()).map_or_else(added, |old| service_changed(old, service))
        }
        Object::EndpointSlice(slice) => {
            before.slices().get(slice.key()).map_or_else(added, |old| slice_changed(old, slice))
        }
        Object::Namespace(namespace) if before.namespaces().contains(namespace.key()) => quiet("changed"),
        Object::Endpoints(endpoints) if before.endpoints().contains(endpoints.key()) => quiet("changed"),
        Object::ProxyConfig(config) if before.proxy_configs().contains(config.key()) => {
            Some((Tone::Notable, "kube-proxy's settings changed".to_owned()))
        }
        _ => added(),
    }
}

fn quiet(what: &str) -> Option<(Tone, String)> {
    Some((Tone::Quiet, what.to_owned()))
}

fn pod_changed(old: &Pod, new: &Pod) -> Option<(Tone, String)> {
    if new.meta.terminating() && !old.meta.terminating() {
        return Some((Tone::Notable, "shuts down".to_owned()));
    }
    if new.phase != old.phase {
        let tone = if new.phase.is_final() { Tone::Bad } else { Tone::Notable };
        return Some((tone, format!("{} → {}", old.phase.as_str(), new.phase.as_str())));
    }
    match (old.ready, new.ready) {
        (false, true) => Some((Tone::Good, "became ready".to_owned())),
        (true, false) => {
            let reason =
                new.unready_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            Some((Tone::Bad, format!("is no longer ready{reason}")))
        }
        _ if old.node.is_none() && new.node.is_some() => {
            Some((Tone::Quiet, format!("placed on {}", new.node.as_deref().unwrap_or_default())))
        }
        _ => quiet("changed"),
    }
}

fn node_changed(old: &Node, new: &Node) -> Option<(Tone, String)> {
    let (tone, what) = match (old.ready, new.ready, old.unschedulable, new.unschedulable) {
        (true, false, ..) => (Tone::Bad, "is no longer ready"),
        (false, true, ..) => (Tone::Good, "became ready"),
        (_, _, false, true) => (Tone::Notable, "was cordoned"),
        (_, _, true, false) => (Tone::Good, "was uncordoned"),
        _ => (Tone::Quiet, "changed"),
    };
    Some((tone, what.to_owned()))
}

fn service_changed(old: &Service, new: &Service) -> Option<(Tone, String)> {
    let parts = [
        ("type", old.service_type != new.service_type),
        ("selector", old.selector != new.selector),
        ("ports", old.ports != new.ports),
        ("cluster IP", old.cluster_ip != new.cluster_ip),
        ("balancer address", old.ingress != new.ingress),
        ("external IPs", old.external_ips != new.external_ips),
        ("internalTrafficPolicy", old.internal_policy != new.internal_policy),
        ("externalTrafficPolicy", old.external_policy != new.external_policy),
        ("session affinity", old.affinity_seconds != new.affinity_seconds),
        ("trafficDistribution", old.traffic_distribution != new.traffic_distribution),
    ];
    let changed: Vec<&str> = parts.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    match changed.as_slice() {
        [] => quiet("changed"),
        names => Some((Tone::Notable, format!("{} changed", names.join(", ")))),
    }
}

/// Tells apart what comes, what goes and what turns ready or not, by pod or address.
fn slice_changed(old: &EndpointSlice, new: &EndpointSlice) -> Option<(Tone, String)> {
    let ready = |slice: &EndpointSlice| -> BTreeSet<Text> {
        slice.endpoints.iter().filter(|e| e.conditions.is_ready()).filter_map(endpoint_name).collect()
    };
    let (before, after) = (ready(old), ready(new));
    if before == after && old.endpoints.len() == new.endpoints.len() {
        return quiet(if old.ports == new.ports { "endpoints changed" } else { "ports changed" });
    }
    let counts = format!("{} → {} ready of {}", before.len(), after.len(), new.endpoints.len());
    let mut parts: Vec<String> = after.difference(&before).map(|name| format!("+ {name}")).collect();
    parts.extend(before.difference(&after).map(|name| format!("− {name}")));
    let tone = match after.len().cmp(&before.len()) {
        std::cmp::Ordering::Less => Tone::Bad,
        std::cmp::Ordering::Equal => Tone::Notable,
        std::cmp::Ordering::Greater => Tone::Good,
    };
    let more = parts.len().saturating_sub(3);
    parts.truncate(3);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    let names = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    Some((tone, format!("endpoints {counts}{names}")))
}

fn endpoint_name(endpoint: &vipscope_shared::model::Endpoint) -> Option<Text> {
    let pod = endpoint.target.as_ref().and_then(|target| target.pod()).map(|key| key.name.clone());
    pod.or_else(|| endpoint.addresses.first().map(|address| address.to_string().into()))
}
