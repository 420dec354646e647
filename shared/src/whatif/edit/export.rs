//! Edits as what one would do to a real cluster: kubectl commands, and a manifest of the objects to apply.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Edit, NodeEdit, ObjectName, PodEdit};
use crate::diagnose::shell::command;
use crate::model::{ClusterState, Kind, PROXY_CONFIG_MAP, Pod, ZONE_LABEL};

/// An edit list for kubectl.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Export {
    /// In the order of the edits, quoted for a POSIX shell.
    pub commands: Vec<String>,
    /// The objects to apply as one JSON `List`, for `kubectl apply -f`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Edits that no command makes: `pod shop/cart-1 ready`.
    pub left_out: Vec<String>,
}

/// The edits for kubectl. `state` is the cluster before them.
pub fn export(state: &ClusterState, edits: &[Edit]) -> Export {
    let mut out = Export::default();
    let mut items: Vec<&Value> = Vec::new();
    for edit in edits {
        match edit {
            Edit::Apply { manifest } => items.push(manifest),
            _ => match edit.to_kubectl(state) {
                Some(line) => out.commands.push(line),
                None => out.left_out.push(edit.words()),
            },
        }
    }
    if !items.is_empty() {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        out.manifest = serde_json::to_string_pretty(&list).ok().map(|text| text + "\n");
    }
    out
}

impl Edit {
    /// The command that does the same to a cluster; `None` if there is none: nobody makes a pod ready by command.
    pub fn to_kubectl(&self, state: &ClusterState) -> Option<String> {
        match self {
            Edit::Scale { workload, replicas } => Some(command(&[
                "kubectl",
                "-n",
                &workload.key.namespace,
                "scale",
                &format!("{}/{}", workload.kind.to_lowercase(), workload.key.name),
                &format!("--replicas={replicas}"),
            ])),
            Edit::Pod { pod, state: PodEdit::Terminating } => {
                Some(command(&["kubectl", "-n", &pod.namespace, "delete", "pod", &pod.name, "--wait=false"]))
            }
            Edit::Pod { pod, state: PodEdit::Gone } => {
                let words = [
                    "kubectl",
                    "-n",
                    &pod.namespace,
                    "delete",
                    "pod",
                    &pod.name,
                    "--grace-period=0",
                    "--force",
                ];
                Some(command(&words))
            }
            Edit::Pod { .. } | Edit::Move { .. } => None,
            Edit::Node { node, state: how } => node_command(state, node, *how),
            Edit::Zone { node, zone } => {
                let label = match zone {
                    Some(zone) => format!("{ZONE_LABEL}={zone}"),
                    None => format!("{ZONE_LABEL}-"),
                };
                Some(command(&["kubectl", "label", "node", node, &label, "--overwrite"]))
            }
            Edit::Apply { manifest } => {
                Some(format!("{} | kubectl apply -f -", command(&["printf", "%s", &manifest.to_string()])))
            }
            Edit::Patch { object, patch } => {
                let patch = patch.to_string();
                Some(on_object("patch", object, &["--type", "merge", "-p", &patch]))
            }
            Edit::Delete { object } => Some(on_object("delete", object, &[])),
            Edit::Proxy { node, set } if &**node == "*" => Some(proxy_commands(set)),
            // A stock cluster has one configuration for all nodes.
            Edit::Proxy { .. } => None,
        }
    }
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
    format!("{edit} && {restart} # in config.conf: {}", set.to_string().replace(char::is_control, "?"))
}
