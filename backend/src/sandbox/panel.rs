//! What the dashboard's panel does to the sandbox: apply a manifest, scale, fail and heal pods and nodes. All of it goes through the
//! same rules as kubectl's requests.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vipscope_shared::manifest;
use vipscope_shared::model::{Key, PROXY_CONFIG_MAP, ProxyMode};
use vipscope_shared::traffic::NodeFault;

use super::Sandbox;
use super::apply::{self, Applied};
use super::dataplane::FaultRefused;
use super::errors::Refusal;
use super::kubelet::{CRASH_ANNOTATION, READY_ANNOTATION};
use super::managed::{Apply, Tracking};
use super::nodes::FAIL_ANNOTATION;
use super::object;
use super::objects::{self, DeleteOptions, Part};
use super::resources::Type;
use super::scale;
use super::store::Transaction;

/// Owner of what the panel applies.
const MANAGER: &str = "vipscope-dashboard";
/// Objects in one manifest.
const MOST_OBJECTS: usize = 1000;

/// An example to apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    pub name: &'static str,
    /// What it shows: its first line.
    pub title: &'static str,
    pub manifest: &'static str,
}

macro_rules! examples {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../examples/article/", $name, ".yaml")))),*]
    };
}

const EXAMPLES: [(&str, &str); 11] = examples![
    "01-apache",
    "02-selector",
    "03-multi-port",
    "04-without-selector",
    "05-cluster-ip",
    "06-node-port",
    "07-load-balancer",
    "08-external-name",
    "09-external-ips",
    "10-headless",
    "11-headless-without-selector",
];

/// The examples, in the order of the walk-through.
pub fn examples() -> Vec<Example> {
    let example = |(name, manifest): (&'static str, &'static str)| {
        let title = manifest.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        Example { name, title, manifest }
    };
    EXAMPLES.into_iter().map(example).collect()
}

/// Why something was not done: an HTTP status and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct PanelError {
    pub status: u16,
    pub detail: String,
}

impl PanelError {
    fn new(status: u16, detail: impl Into<String>) -> PanelError {
        PanelError { status, detail: detail.into() }
    }
}

impl From<Refusal> for PanelError {
    fn from(refusal: Refusal) -> PanelError {
        PanelError::new(refusal.code, refusal.message)
    }
}

/// What became of one object of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    /// `created`, `configured` or `unchanged`.
    pub outcome: &'static str,
}

/// What is to become of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodState {
    /// Its readiness probe fails.
    Unready,
    /// Its containers crash.
    Crash,
    /// Neither.
    Heal,
    /// It is deleted, and terminates in its time.
    Delete,
}

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It goes silent, and its pods are evicted after a while.
    Fail,
    Heal,
    Cordon,
    Uncordon,
    /// Cordoned, and its pods are deleted.
    Drain,
}

impl Sandbox {
    /// Applies every object of a manifest (YAML or JSON, documents or Lists), in order. Those before one that is refused stay
    /// applied, as with kubectl. Objects without a namespace go to `namespace`.
    pub fn apply(&self, text: &str, namespace: &str) -> Result<Vec<Outcome>, PanelError> {
        let documents =
            manifest::parse_documents(text).map_err(|error| PanelError::new(400, error.to_string()))?;
        let objects: Vec<Value> = documents.into_iter().flat_map(flatten).collect();
        if objects.is_empty() || objects.len() > MOST_OBJECTS {
            let detail = format!("a manifest holds 1 to {MOST_OBJECTS} objects, not {}", objects.len());
            return Err(PanelError::new(400, detail));
        }
        objects.into_iter().map(|object| self.apply_object(object, namespace)).collect()
    }

    fn apply_object(&self, mut config: Value, namespace: &str) -> Result<Outcome, PanelError> {
        let (version, kind) = (object::text(&config, "/apiVersion"), object::text(&config, "/kind"));
        let resource = Type::of_kind(version, kind).ok_or_else(|| {
            PanelError::new(422, format!("the sandbox does not serve kind `{kind}` of `{version}`"))
        })?;
        let name = object::name(&config).to_owned();
        if name.is_empty() {
            return Err(PanelError::new(422, format!("a {kind} has no metadata.name")));
        }
        object::drop_nulls(&mut config);
        let metadata = object::metadata(&mut config);
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
        metadata.remove("uid");
        let given = object::namespace(&config).to_owned();
        let namespace = match (resource.is_namespaced(), given.is_empty()) {
            (false, _) => String::new(),
            (true, true) => namespace.to_owned(),
            (true, false) => given,
        };
        let key = Key::new(namespace.as_str(), name.as_str());
        let applied = self.api.store.write(|tx| {
            let stamp = tx.clock.stamp();
            let request = Apply { resource, part: Part::Main, manager: MANAGER, force: true, stamp };
            apply::run(tx, &request, &key, &config)
        })?;
        let outcome = match applied {
            Applied::Created(_) => "created",
            Applied::Changed(_) => "configured",
            Applied::Unchanged(_) => "unchanged",
        };
        Ok(Outcome { kind: resource.info().kind.to_owned(), namespace, name, outcome })
    }

    /// Sets the size of a Deployment.
    pub fn scale(&self, deployment: &Key, replicas: u32) -> Result<(), PanelError> {
        let wanted = json!({ "spec": { "replicas": replicas } });
        self.write(|tx| scale::set(tx, Type::Deployments, deployment, &wanted).map(drop))
    }

    /// Fails, heals or deletes a pod.
    pub fn set_pod(&self, pod: &Key, state: PodState) -> Result<(), PanelError> {
        self.write(|tx| match state {
            PodState::Unready => annotate(tx, Type::Pods, pod, &[(READY_ANNOTATION, Some("false"))]),
            PodState::Crash => annotate(tx, Type::Pods, pod, &[(CRASH_ANNOTATION, Some("true"))]),
            PodState::Heal => {
                annotate(tx, Type::Pods, pod, &[(READY_ANNOTATION, None), (CRASH_ANNOTATION, None)])
            }
            PodState::Delete => objects::delete(tx, Type::Pods, pod, &DeleteOptions::default()).map(drop),
        })
    }

    /// Fails, heals, cordons or drains a node.
    pub fn set_node(&self, node: &str, state: NodeState) -> Result<(), PanelError> {
        let key = Key::cluster(node);
        self.write(|tx| match state {
            NodeState::Fail => annotate(tx, Type::Nodes, &key, &[(FAIL_ANNOTATION, Some("true"))]),
            NodeState::Heal => annotate(tx, Type::Nodes, &key, &[(FAIL_ANNOTATION, None)]),
            NodeState::Cordon => cordon(tx, &key, true),
            NodeState::Uncordon => cordon(tx, &key, Value::Null),
            NodeState::Drain => {
                cordon(tx, &key, true)?;
                for pod in super::nodes::pods_on(tx, node) {
                    objects::delete(tx, Type::Pods, &pod, &DeleteOptions::default())?;
                }
                Ok(())
            }
        })
    }

    /// The faults of a node's service proxy that are switched on.
    pub fn faults(&self, node: &str) -> Result<Vec<NodeFault>, PanelError> {
        let mut world = self.planes.world();
        let plane = world.plane(node).ok_or_else(|| no_node(node))?;
        Ok(plane.faults().to_vec())
    }

    /// Switches exactly these faults on.
    pub fn set_faults(&self, node: &str, faults: Vec<NodeFault>) -> Result<(), PanelError> {
        self.planes.world().set_faults(node, faults).map_err(|refused| match refused {
            FaultRefused::NoNode => no_node(node),
            refused => PanelError::new(422, refused.to_string()),
        })
    }

    /// Gives a node's service proxy a mode of its own: the key `NODE.config.conf` of the ConfigMap `kube-system/kube-proxy`.
    pub fn set_proxy_mode(&self, node: &str, mode: ProxyMode) -> Result<(), PanelError> {
        let key = Key::new(PROXY_CONFIG_MAP.0, PROXY_CONFIG_MAP.1);
        let entry = format!("{node}.config.conf");
        self.api.store.write(|tx| {
            tx.tracking = Tracking::Update(MANAGER.to_owned());
            tx.get(Type::Nodes, &Key::cluster(node)).ok_or_else(|| no_node(node))?;
            let map = tx.get(Type::ConfigMaps, &key);
            let missing = || PanelError::new(409, format!("the ConfigMap {key} is not there"));
            let common =
                map.ok_or_else(missing)?["data"]["config.conf"].as_str().unwrap_or_default().to_owned();
            let own = with_mode(&common, mode);
            let changed = objects::modify(tx, Type::ConfigMaps, &key, Part::Main, |map| {
                let data = object::map_at(map, "data");
                if own == common {
                    data.remove(&entry);
                } else {
                    data.insert(entry, own.into());
                }
            });
            changed.map(drop).map_err(PanelError::from)
        })
    }

    fn write(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), Refusal>,
    ) -> Result<(), PanelError> {
        let done = self.api.store.write(|tx| {
            tx.tracking = Tracking::Update(MANAGER.to_owned());
            work(tx)
        });
        Ok(done?)
    }
}

fn no_node(node: &str) -> PanelError {
    PanelError::new(404, format!("nodes \"{node}\" not found"))
}

/// kube-proxy's configuration with another mode.
fn with_mode(config: &str, mode: ProxyMode) -> String {
    let is_mode = |line: &&str| line.starts_with("mode:");
    let rest = config.lines().filter(|line| !is_mode(line)).map(str::to_owned);
    let line = format!("mode: {mode}");
    if config.lines().any(|known| known == line) {
        return config.to_owned();
    }
    rest.chain([line]).map(|line| line + "\n").collect()
}

/// The objects of a document: itself, or the items of a List.
fn flatten(document: Value) -> Vec<Value> {
    let is_list = object::text(&document, "/kind").ends_with("List");
    match document.get("items").and_then(Value::as_array) {
        Some(items) if is_list => items.clone(),
        _ if document.is_null() => Vec::new(),
        _ => vec![document],
    }
}

fn annotate(
    tx: &mut Transaction<'_>,
    resource: Type,
    key: &Key,
    entries: &[(&str, Option<&str>)],
) -> Result<(), Refusal> {
    let changed = objects::modify(tx, resource, key, Part::Main, |object| {
        let annotations = object::map_at(&mut object["metadata"], "annotations");
        for (name, value) in entries {
            match value {
                Some(value) => drop(annotations.insert((*name).to_owned(), (*value).into())),
                None => drop(annotations.remove(*name)),
            }
        }
    });
    changed.map(drop)
}

fn cordon(tx: &mut Transaction<'_>, key: &Key, unschedulable: impl Into<Value>) -> Result<(), Refusal> {
    let value = unschedulable.into();
    objects::modify(tx, Type::Nodes, key, Part::Main, |node| node["spec"]["unschedulable"] = value).map(drop)
}
