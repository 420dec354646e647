//! What can be done to a thing, from what it is now, and edits in a few words.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vipscope_shared::model::{
    ClusterState, Key, Keyed, Kind, Labels, Pod, ProxyMode, Service, ServiceType, Text, TrafficPolicy,
};
use vipscope_shared::scene::{NO_NODE, Target};
use vipscope_shared::whatif::edit::{Edit, NodeEdit, ObjectName, PodEdit, WorkloadName};

use super::Plan;
use super::plan::{manifest_name, paths};

/// One of the values that something can have.
#[derive(Debug, Clone, PartialEq)]
pub struct Opt {
    pub words: String,
    /// The edit that makes it so.
    pub edit: Edit,
    /// As it is in the cluster: choosing it takes the edit away.
    pub is_present: bool,
    /// As it would be, with the edits there are.
    pub is_on: bool,
}

/// Something that can be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer {
    /// One of a few.
    Buttons {
        name: &'static str,
        options: Vec<Opt>,
    },
    /// One of many, or what is rarely changed.
    Select {
        name: &'static str,
        options: Vec<Opt>,
    },
    /// So many pods, now and wanted.
    Scale {
        workload: WorkloadName,
        present: u32,
        wanted: u32,
    },
    /// Labels as `app=web,tier=front`.
    Selector {
        object: ObjectName,
        present: Labels,
        wanted: String,
    },
    Zone {
        node: Text,
        present: Option<Text>,
        wanted: Option<Text>,
    },
}

/// What can be done to `target`. Empty if nothing, or if it is gone.
pub fn offers(state: &ClusterState, plan: &Plan, target: &Target) -> Vec<Offer> {
    match target {
        Target::Pod(key) => state.pods().get(key).map(|pod| of_pod(state, plan, pod)),
        Target::Node(name) if &**name != NO_NODE => Some(of_node(state, plan, name)),
        Target::Service(key) | Target::Port(key, _) => {
            state.services().get(key).map(|service| of_service(state, plan, service))
        }
        _ => None,
    }
    .unwrap_or_default()
}

/// Marks what is wanted: what the plan says, else what there is.
fn options(plan: &Plan, values: Vec<(String, Edit, bool)>) -> Vec<Opt> {
    let planned = values.first().and_then(|(_, edit, _)| plan.like(edit));
    let option = |(words, edit, is_present): (String, Edit, bool)| Opt {
        is_on: planned.map_or(is_present, |planned| *planned == edit),
        words,
        edit,
        is_present,
    };
    values.into_iter().map(option).collect()
}

fn of_pod(state: &ClusterState, plan: &Plan, pod: &Pod) -> Vec<Offer> {
    let now = match (pod.meta.terminating(), pod.ready) {
        (true, _) => PodEdit::Terminating,
        (false, true) => PodEdit::Ready,
        (false, false) => PodEdit::Unready,
    };
    let states = [PodEdit::Ready, PodEdit::Unready, PodEdit::Terminating, PodEdit::Gone];
    let states = states.map(|to| {
        let edit = Edit::Pod { pod: pod.key().clone(), state: to };
        (pod_word(to).to_owned(), edit, to == now)
    });
    let nodes = state.nodes().keys().map(|node| {
        let edit = Edit::Move { pod: pod.key().clone(), to: node.name.clone() };
        (node.name.to_string(), edit, pod.node.as_ref() == Some(&node.name))
    });
    let mut offers = vec![
        Offer::Buttons { name: "Pod", options: options(plan, states.into()) },
        Offer::Select { name: "Runs on", options: options(plan, nodes.collect()) },
    ];
    offers.extend(scale(state, plan, workload_of(pod)));
    offers
}

fn of_node(state: &ClusterState, plan: &Plan, name: &Text) -> Vec<Offer> {
    let Some(node) = state.node(name) else { return Vec::new() };
    let edit = |state: NodeEdit| Edit::Node { node: name.clone(), state };
    let values = vec![
        ("as it is".to_owned(), edit(NodeEdit::Uncordon), !node.unschedulable),
        ("cordoned".to_owned(), edit(NodeEdit::Cordon), node.unschedulable && node.ready),
        ("drained".to_owned(), edit(NodeEdit::Drain), false),
        ("lost".to_owned(), edit(NodeEdit::Lost), !node.ready),
    ];
    let mut values = options(plan, values);
    if node.unschedulable {
        values[0].words = "uncordoned".to_owned();
    }
    let mode = state.proxy_settings(name).mode;
    let modes = ProxyMode::ALL.map(|to| {
        let edit = Edit::Proxy { node: name.clone(), set: json!({ "mode": to.as_str() }) };
        (to.to_string(), edit, to == mode)
    });
    let present = node.zone().cloned();
    let zone = Edit::Zone { node: name.clone(), zone: None };
    let wanted = match plan.like(&zone) {
        Some(Edit::Zone { zone, .. }) => zone.clone(),
        _ => present.clone(),
    };
    vec![
        Offer::Buttons { name: "Node", options: values },
        Offer::Zone { node: name.clone(), present, wanted },
        Offer::Select { name: "Proxy mode", options: options(plan, modes.into()) },
    ]
}

fn of_service(state: &ClusterState, plan: &Plan, service: &Service) -> Vec<Offer> {
    let workloads: BTreeSet<WorkloadName> =
        state.selected_pods(service).filter_map(|pod| workload_of(pod)).collect();
    let mut offers: Vec<Offer> =
        workloads.into_iter().filter_map(|workload| scale(state, plan, Some(workload))).collect();
    offers.extend(fields(plan, service));
    let object = ObjectName { kind: Kind::Service, key: service.key().clone() };
    let none = Labels::default();
    let present = service.selector.clone().unwrap_or(none);
    let planned = plan.like(&Edit::Patch { object: object.clone(), patch: selector_patch(json!({})) });
    let wanted = match planned {
        Some(Edit::Patch { patch, .. }) => selector_text(&present, &patch["spec"]["selector"]),
        _ => labels_text(&present),
    };
    offers.push(Offer::Selector { object: object.clone(), present, wanted });
    let keep = Edit::Delete { object };
    let is_deleted = plan.like(&keep).is_some();
    let option = |words: &str, is_on: bool, is_present: bool| Opt {
        words: words.to_owned(),
        edit: keep.clone(),
        is_present,
        is_on,
    };
    let options = vec![option("there", !is_deleted, true), option("deleted", is_deleted, false)];
    offers.push(Offer::Buttons { name: "Service", options });
    offers
}

fn fields(plan: &Plan, service: &Service) -> Vec<Offer> {
    let key = service.key();
    let select = |name: &'static str, field: &'static str, now: &str, all: &[&str]| {
        let values = all.iter().map(|value| (value.to_string(), patch(key, field, value), *value == now));
        Offer::Select { name, options: options(plan, values.collect()) }
    };
    let policies = [TrafficPolicy::Cluster.as_str(), TrafficPolicy::Local.as_str()];
    let types: Vec<&str> = [ServiceType::ClusterIP, ServiceType::NodePort, ServiceType::LoadBalancer]
        .iter()
        .map(|one| one.as_str())
        .collect();
    let affinity = if service.affinity_seconds.is_some() { "ClientIP" } else { "None" };
    let distribution = service.traffic_distribution.map_or("none", |distribution| distribution.as_str());
    let mut offers = vec![
        select(
            "Distribution",
            "trafficDistribution",
            distribution,
            &["none", "PreferSameZone", "PreferSameNode", "PreferClose"],
        ),
        select("Internal", "internalTrafficPolicy", service.internal_policy.as_str(), &policies),
    ];
    let is_open = matches!(service.service_type, ServiceType::NodePort | ServiceType::LoadBalancer);
    if is_open || !service.external_ips.is_empty() {
        offers.push(select("External", "externalTrafficPolicy", service.external_policy.as_str(), &policies));
    }
    offers.push(select("Affinity", "sessionAffinity", affinity, &["None", "ClientIP"]));
    if service.service_type != ServiceType::ExternalName {
        offers.push(select("Type", "type", service.service_type.as_str(), &types));
    }
    offers
}

/// A field of a Service's `spec`; `none` takes it away.
fn patch(key: &Key, field: &str, value: &str) -> Edit {
    let value = if value == "none" { Value::Null } else { Value::from(value) };
    let object = ObjectName { kind: Kind::Service, key: key.clone() };
    Edit::Patch { object, patch: json!({ "spec": { field: value } }) }
}

/// The Deployment, StatefulSet or other owner of a pod; `None` if it has none.
pub fn workload_of(pod: &Pod) -> Option<WorkloadName> {
    let owner = pod.meta.owner.as_ref()?;
    let name = pod.workload();
    let kind = if &*owner.kind == "ReplicaSet" && name != owner.name { "Deployment" } else { &owner.kind };
    Some(WorkloadName { kind: kind.into(), key: Key::new(pod.namespace().clone(), name) })
}

fn scale(state: &ClusterState, plan: &Plan, workload: Option<WorkloadName>) -> Option<Offer> {
    let workload =
        workload.filter(|one| matches!(&*one.kind, "Deployment" | "ReplicaSet" | "StatefulSet"))?;
    let pods = state.pods().in_namespace(&workload.key.namespace);
    let counts = |pod: &&std::sync::Arc<Pod>| {
        !pod.meta.terminating() && !pod.phase.is_final() && workload_of(pod).as_ref() == Some(&workload)
    };
    let present = u32::try_from(pods.filter(counts).count()).unwrap_or(u32::MAX);
    let wanted = match plan.like(&Edit::Scale { workload: workload.clone(), replicas: 0 }) {
        Some(Edit::Scale { replicas, .. }) => *replicas,
        _ => present,
    };
    Some(Offer::Scale { workload, present, wanted })
}

/// The node in another zone, or in none.
pub fn zone_edit(node: &Text, zone: &str) -> Edit {
    let zone = zone.trim();
    Edit::Zone { node: node.clone(), zone: (!zone.is_empty()).then(|| zone.into()) }
}

/// Another selector; labels that are not in it any longer are taken away. Errors: not `name=value` with commas between.
pub fn selector_edit(object: &ObjectName, present: &Labels, text: &str) -> Result<Edit, String> {
    let mut fields = serde_json::Map::new();
    for (name, _) in present.iter() {
        fields.insert(name.to_string(), Value::Null);
    }
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!("`{part}` is not NAME=VALUE"));
        };
        fields.insert(name.trim().to_owned(), value.trim().into());
    }
    Ok(Edit::Patch { object: object.clone(), patch: selector_patch(Value::Object(fields)) })
}

fn selector_patch(selector: Value) -> Value {
    json!({ "spec": { "selector": selector } })
}

/// What a patch makes of a selector.
fn selector_text(present: &Labels, patch: &Value) -> String {
    let kept = present.iter().filter(|(name, _)| patch.get(&***name).is_none());
    let mut parts: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
    let set = patch.as_object().into_iter().flatten();
    parts.extend(set.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))));
    parts.join(",")
}

fn labels_text(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn pod_word(state: PodEdit) -> &'static str {
    match state {
        PodEdit::Ready => "ready",
        PodEdit::Unready => "unready",
        PodEdit::Terminating => "terminating",
        PodEdit::Gone => "gone",
    }
}

/// An edit on a chip: the plain part, then what stands out.
pub fn chip(edit: &Edit) -> (String, String) {
    match edit {
        Edit::Scale { workload, replicas } => (format!("scale {}", workload.key.name), replicas.to_string()),
        Edit::Pod { pod, state } => (pod.name.to_string(), pod_word(*state).to_owned()),
        Edit::Move { pod, to } => (pod.name.to_string(), format!("→ {to}")),
        Edit::Node { node, state } => {
            let verb = match state {
                NodeEdit::Cordon => "cordon",
                NodeEdit::Uncordon => "uncordon",
                NodeEdit::Drain => "drain",
                NodeEdit::Lost => "lose",
            };
            (verb.to_owned(), node.to_string())
        }
        Edit::Zone { node, zone: Some(zone) } => (node.to_string(), format!("zone {zone}")),
        Edit::Zone { node, zone: None } => (node.to_string(), "no zone".to_owned()),
        Edit::Apply { manifest } => ("apply".to_owned(), manifest_name(manifest)),
        Edit::Patch { object, patch } => (object.key.name.to_string(), fields_text(patch)),
        Edit::Delete { object } => ("delete".to_owned(), format!("{} {}", object.kind, object.key.name)),
        Edit::Proxy { node, set } if &**node == "*" => ("all nodes".to_owned(), fields_text(set)),
        Edit::Proxy { node, set } => (node.to_string(), fields_text(set)),
    }
}

/// `trafficDistribution: PreferSameZone`; of many fields the first.
fn fields_text(patch: &Value) -> String {
    let paths = paths(patch);
    let Some(path) = paths.first() else { return "nothing".to_owned() };
    let value = path.split('.').fold(patch, |value, name| &value[name]);
    let name = path.strip_prefix("spec.").unwrap_or(path);
    let value = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(labels) if name == "selector" => selector_text(&Labels::default(), &json!(labels)),
        other => other.to_string(),
    };
    let short: String = value.chars().take(60).collect();
    let more = if paths.len() > 1 { format!(" and {} more", paths.len() - 1) } else { String::new() };
    format!("{name}: {short}{more}")
}

impl Offer {
    /// The same with nothing chosen: what has to be drawn.
    #[must_use]
    pub fn frame(&self) -> Offer {
        let none = |options: &[Opt]| options.iter().map(|one| Opt { is_on: false, ..one.clone() }).collect();
        match self {
            Offer::Buttons { name, options } => Offer::Buttons { name, options: none(options) },
            Offer::Select { name, options } => Offer::Select { name, options: none(options) },
            Offer::Scale { workload, present, .. } => {
                Offer::Scale { workload: workload.clone(), present: *present, wanted: *present }
            }
            Offer::Selector { object, present, .. } => {
                Offer::Selector { object: object.clone(), present: present.clone(), wanted: String::new() }
            }
            Offer::Zone { node, present, .. } => {
                Offer::Zone { node: node.clone(), present: present.clone(), wanted: None }
            }
        }
    }

    /// Of a text: as it is, and as it is wanted.
    pub fn texts(&self) -> (String, String) {
        let zone = |zone: &Option<Text>| zone.as_ref().map(ToString::to_string).unwrap_or_default();
        match self {
            Offer::Selector { present, wanted, .. } => (labels_text(present), wanted.clone()),
            Offer::Zone { present, wanted, .. } => (zone(present), zone(wanted)),
            _ => Default::default(),
        }
    }
}
