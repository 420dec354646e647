//! Edits as what one would do to a real cluster: kubectl commands and manifests to apply, in the order of the edits.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{Edit, NodeEdit, ObjectName, PodEdit, with_namespace};
use crate::diagnose::shell::command;
use crate::manifest::{decode_as, kind_of};
use crate::model::{ClusterState, Kind, PROXY_CONFIG_MAP, Pod, ZONE_LABEL};

/// An edit list for kubectl.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// To be made one after the other.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command line, quoted for a POSIX shell.
    Command(String),
    /// Objects for one `kubectl apply -f`, in this order.
    Apply(Vec<Value>),
    /// An edit that no command makes, in words: `pod shop/cart-1 ready`.
    LeftOut(String),
}

/// The edits for kubectl. `state` is the cluster before them.
pub fn export(state: &ClusterState, edits: &[Edit]) -> Export {
    let mut steps: Vec<Step> = Vec::new();
    for edit in edits {
        if let Edit::Apply { manifest } = edit {
            let manifest = with_namespace(manifest);
            let status = status_of(&manifest);
            match steps.last_mut() {
                Some(Step::Apply(objects)) => objects.push(manifest),
                _ => steps.push(Step::Apply(vec![manifest])),
            }
            steps.extend(status.map(Step::Command));
            continue;
        }
        match edit.to_kubectl(state) {
            lines if lines.is_empty() => steps.push(Step::LeftOut(edit.words())),
            lines => steps.extend(lines.into_iter().map(Step::Command)),
        }
    }
    Export { steps }
}

impl Export {
    /// A script for a POSIX shell: commands, manifests as here documents, and what no command makes as comments.
    pub fn script(&self) -> String {
        let mut out = String::new();
        for step in &self.steps {
            let _ = match step {
                Step::Command(line) => writeln!(out, "{}", one_line(line)),
                // JSON has no line that could end it.
                Step::Apply(objects) => {
                    write!(out, "kubectl apply -f - <<'EOF'\n{}EOF\n", documents(objects))
                }
                Step::LeftOut(words) => writeln!(out, "# no command: {}", one_line(words)),
            };
        }
        out
    }

    /// All objects to apply as JSON documents, without the commands between them.
    pub fn manifest(&self) -> Option<String> {
        let objects = |step: &Step| match step {
            Step::Apply(objects) => objects.clone(),
            _ => Vec::new(),
        };
        let all: Vec<Value> = self.steps.iter().flat_map(objects).collect();
        (!all.is_empty()).then(|| documents(&all))
    }

    /// The edits that no command makes.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match step {
            Step::LeftOut(words) => Some(words.as_str()),
            _ => None,
        })
    }

    /// Whether a script would do nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::LeftOut(_)))
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One JSON document after the other: unlike a `List`, each is validated for itself.
fn documents(objects: &[Value]) -> String {
    let document =
        |object: &Value| escaped(&serde_json::to_string_pretty(object).unwrap_or_default(), &['\n']) + "\n";
    objects.iter().map(document).collect()
}

/// JSON text in which only the control characters `kept` stand for themselves. Outside strings there are no others.
fn escaped(json: &str, kept: &[char]) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && !kept.contains(&c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

impl Edit {
    /// The commands that do the same to a cluster; none if there are none: nobody makes a pod ready by command.
    pub fn to_kubectl(&self, state: &ClusterState) -> Vec<String> {
        match self {
            Edit::Scale { workload, replicas } => vec![command(&[
                "kubectl",
                "-n",
                &workload.key.namespace,
                "scale",
                &format!("{}/{}", workload.kind.to_lowercase(), workload.key.name),
                &format!("--replicas={replicas}"),
            ])],
            Edit::Pod { pod, state } => {
                let how: &[&str] = match state {
                    PodEdit::Terminating => &["--wait=false"],
                    PodEdit::Gone => &["--grace-period=0", "--force"],
                    PodEdit::Ready | PodEdit::Unready => return Vec::new(),
                };
                let delete = ["kubectl", "-n", &pod.namespace, "delete", "pod", &pod.name];
                vec![command(&[&delete, how].concat())]
            }
            Edit::Move { .. } => Vec::new(),
            Edit::Node { node, state: how } => node_command(state, node, *how).into_iter().collect(),
            Edit::Zone { node, zone } => {
                let label = match zone {
                    Some(zone) => format!("{ZONE_LABEL}={zone}"),
                    None => format!("{ZONE_LABEL}-"),
                };
                vec![command(&["kubectl", "label", "node", node, &label, "--overwrite"])]
            }
            Edit::Apply { manifest } => {
                let manifest = with_namespace(manifest);
                let text = escaped(&manifest.to_string(), &[]);
                let apply = format!("{} | kubectl apply -f -", command(&["printf", "%s", &text]));
                std::iter::once(apply).chain(status_of(&manifest)).collect()
            }
            Edit::Patch { object, patch } => patches(object, patch),
            Edit::Delete { object } => vec![on_object("delete", object, &[])],
            Edit::Proxy { node, set } if &**node == "*" => vec![proxy_commands(set)],
            // A stock cluster has one configuration for all nodes.
            Edit::Proxy { .. } => Vec::new(),
        }
    }
}

/// Whether the kind's `status` is a subresource: elsewhere an API server ignores what is written to it.
fn has_status(kind: Kind) -> bool {
    matches!(kind, Kind::Service | Kind::Pod | Kind::Node | Kind::Namespace)
}

/// A merge patch: what it does to the status is a command of its own.
fn patches(object: &ObjectName, patch: &Value) -> Vec<String> {
    let merge = |patch: &Value, more: &[&str]| {
        let text = escaped(&patch.to_string(), &[]);
        on_object("patch", object, &[more, &["--type", "merge", "-p", &text]].concat())
    };
    let mut rest: Map<String, Value> = match patch.as_object() {
        Some(fields) if has_status(object.kind) => fields.clone(),
        _ => return vec![merge(patch, &[])],
    };
    let Some(status) = rest.remove("status") else { return vec![merge(patch, &[])] };
    let main = (!rest.is_empty()).then(|| merge(&rest.into(), &[]));
    let status = merge(&json!({ "status": status }), &["--subresource=status"]);
    main.into_iter().chain([status]).collect()
}

/// The command for the status of an applied manifest, which `kubectl apply` does not write.
fn status_of(manifest: &Value) -> Option<String> {
    let kind = kind_of(manifest).filter(|kind| has_status(*kind))?;
    let status = manifest.get("status").filter(|status| status.is_object())?;
    let key = decode_as(kind, manifest.clone()).object_ref.key;
    let patch = escaped(&json!({ "status": status }).to_string(), &[]);
    Some(on_object("patch", &ObjectName { kind, key }, &["--subresource=status", "-p", &patch]))
}

fn node_command(state: &ClusterState, node: &str, how: NodeEdit) -> Option<String> {
    let bare = |pod: &Pod| pod.meta.owner.is_none();
    match how {
        NodeEdit::Cordon => Some(command(&["kubectl", "cordon", node])),
        NodeEdit::Uncordon => Some(command(&["kubectl", "uncordon", node])),
        NodeEdit::Drain => {
            let mut words = vec!["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data"];
            if state.pods_on(node).any(|pod| bare(pod)) {
                // Pods without an owner are not made again.
                words.push("--force");
            }
            Some(command(&words))
        }
        NodeEdit::Lost => None,
    }
}

fn on_object(verb: &str, object: &ObjectName, more: &[&str]) -> String {
    let resource = match object.kind {
        Kind::Namespace => "namespace",
        Kind::Node => "node",
        Kind::Pod => "pod",
        Kind::Service => "service",
        Kind::EndpointSlice => "endpointslice",
        Kind::Endpoints => "endpoints",
        Kind::ProxyConfig => "configmap",
    };
    let mut words = vec!["kubectl"];
    if !object.key.namespace.is_empty() {
        words.extend(["-n", &object.key.namespace]);
    }
    words.extend([verb, resource, &object.key.name]);
    words.extend(more);
    command(&words)
}

/// The configuration is a file inside a ConfigMap, with more in it than vipscope reads: for a person to edit, not to overwrite.
fn proxy_commands(set: &Value) -> String {
    let (namespace, name) = PROXY_CONFIG_MAP;
    let edit = command(&["kubectl", "-n", namespace, "edit", "configmap", name]);
    let restart = command(&["kubectl", "-n", namespace, "rollout", "restart", "daemonset", name]);
    format!("{edit} && {restart} # in config.conf: {}", escaped(&set.to_string(), &[]))
}
