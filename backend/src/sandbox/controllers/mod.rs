//! The controller manager: one task that follows the store and runs the pure controllers of `shared` on it.
//!
//! It mirrors the store into a [`ClusterState`], turns events into keys to look at, and looks at each key once,
//! however many events named it. Writes come back as events; a key that needs nothing more writes nothing.

mod balancer;
mod endpoints;
mod garbage;
mod namespaces;
mod ownership;
mod workloads;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
pub use workloads::is_ready;

use vipscope_shared::delta::Change;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Key, Kind, Labels, ObjectRef};

use crate::sandbox::object::{self, Object};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Event, Store};

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Balancer(Key),
    Deployment(Key),
    ReplicaSet(Key),
    /// A pod without a node.
    Schedule(Key),
    /// A Service's slices and Endpoints.
    Endpoints(Key),
    /// The mirrored slices of a name.
    Mirror(Key),
    /// What names a dead owner.
    Orphan(Type, Key),
    /// The dependents of a dead uid.
    Dependents(String),
    Namespace(Key),
}

/// The manager's picture of the cluster.
#[derive(Debug)]
struct Manager {
    store: Arc<Store>,
    state: ClusterState,
    queue: BTreeSet<Work>,
    seen: u64,
}

/// Runs until `stop`; starts with the events after `from`. Whenever all is as it should be, `settled` gets the revision.
pub async fn run(store: Arc<Store>, from: u64, settled: watch::Sender<u64>, stop: CancellationToken) {
    let mut changed = store.subscribe();
    let mut manager = Manager { store, state: ClusterState::default(), queue: BTreeSet::new(), seen: from };
    loop {
        changed.mark_unchanged();
        // One round at a time, so that a storm of writes can't starve the rest of the process.
        // (Work may have taken in events itself, so what counts is the queue.)
        while manager.follow() || !manager.queue.is_empty() {
            manager.work();
            tokio::task::yield_now().await;
        }
        settled.send_replace(manager.seen);
        tokio::select! {
            () = stop.cancelled() => return,
            result = changed.changed() => if result.is_err() { return },
        }
    }
}

impl Manager {
    /// Takes in new events. Says whether there were any.
    fn follow(&mut self) -> bool {
        match self.store.all_events_after(self.seen) {
            Ok(events) => {
                for event in &events {
                    self.see(event);
                }
                !events.is_empty()
            }
            Err(_) => {
                self.relist();
                true
            }
        }
    }

    /// The history is gone: look at everything.
    fn relist(&mut self) {
        let (objects, revision) = self.store.everything();
        self.state = ClusterState::default();
        self.seen = revision;
        for (resource, object) in &objects {
            self.mirror(*resource, &object::key(object), Some(object));
        }
        for (resource, object) in &objects {
            self.enqueue(*resource, &object::key(object), None, Some(object));
        }
    }

    fn see(&mut self, event: &Event) {
        self.seen = event.revision;
        self.mirror(event.resource, &event.key, event.after.as_ref());
        self.enqueue(event.resource, &event.key, event.before.as_ref(), event.after.as_ref());
    }

    /// Keeps the model up to date.
    fn mirror(&mut self, resource: Type, key: &Key, object: Option<&Object>) {
        let Some(kind) = kind_of(resource) else { return };
        let decoded = object.map(|object| manifest::decode_as(kind, (**object).clone()).object);
        let change = match decoded {
            Some(Some(object)) => Change::Upsert(object),
            _ => Change::Delete(ObjectRef { kind, key: key.clone() }),
        };
        let _ = self.state.apply(&change);
    }

    /// Notes what an event makes worth looking at.
    fn enqueue(&mut self, resource: Type, key: &Key, before: Option<&Object>, after: Option<&Object>) {
        match resource {
            Type::Services => {
                self.add([
                    Work::Endpoints(key.clone()),
                    Work::Mirror(key.clone()),
                    Work::Balancer(key.clone()),
                ]);
            }
            Type::Endpoints => self.add([Work::Mirror(key.clone()), Work::Endpoints(key.clone())]),
            Type::EndpointSlices => {
                for name in [before, after].into_iter().flatten().filter_map(|slice| service_of(slice)) {
                    let service = Key::new(key.namespace.clone(), name);
                    self.add([Work::Endpoints(service.clone()), Work::Mirror(service)]);
                }
            }
            Type::Pods => self.pod_changed(key, before, after),
            Type::Nodes => self.node_changed(),
            Type::Deployments => self.add([Work::Deployment(key.clone())]),
            Type::ReplicaSets => {
                self.add([Work::ReplicaSet(key.clone())]);
                self.add_owner(resource, before);
                self.add_owner(resource, after);
            }
            Type::Namespaces => self.add([Work::Namespace(key.clone())]),
            Type::ConfigMaps | Type::Events | Type::Secrets | Type::ServiceAccounts => {}
        }
        self.note_ownership(resource, key, before, after);
    }

    fn note_ownership(&mut self, resource: Type, key: &Key, before: Option<&Object>, after: Option<&Object>) {
        if after.is_some_and(|object| object::owners(object).next().is_some()) {
            self.add([Work::Orphan(resource, key.clone())]);
        }
        let foreground =
            after.filter(|object| object::finalizers(object).any(|name| name == "foregroundDeletion"));
        let gone = before.filter(|_| after.is_none());
        if let Some(owner) = foreground.or(gone) {
            self.add([Work::Dependents(object::uid(owner).to_owned())]);
        }
        // An owner may wait for its last dependent, a namespace for its last object.
        if let Some(gone) = gone {
            let owners: Vec<_> = object::owners(gone).map(|uid| Work::Dependents(uid.to_owned())).collect();
            self.add(owners);
            if resource.is_namespaced() {
                self.add([Work::Namespace(Key::cluster(key.namespace.clone()))]);
            }
        }
    }

    fn add(&mut self, work: impl IntoIterator<Item = Work>) {
        self.queue.extend(work);
    }

    fn add_owner(&mut self, resource: Type, object: Option<&Object>) {
        let owners = object.map(|object| owner_work(&self.store, resource, object));
        self.add(owners.into_iter().flatten());
    }

    fn pod_changed(&mut self, key: &Key, before: Option<&Object>, after: Option<&Object>) {
        let labels: Vec<Labels> = [before, after].into_iter().flatten().map(|pod| labels_of(pod)).collect();
        let selects = |labels: &Labels, selector: &Labels| selector.selects(labels);
        let services = self.state.services().in_namespace(&key.namespace);
        let touched = services.filter(|service| {
            service.selector.as_ref().is_some_and(|selector| labels.iter().any(|l| selects(l, selector)))
        });
        let touched: Vec<_> = touched.map(|service| Work::Endpoints(service.meta.key.clone())).collect();
        self.add(touched);
        self.add_owner(Type::Pods, before);
        self.add_owner(Type::Pods, after);
        if after.is_some_and(|pod| object::text(pod, "/spec/nodeName").is_empty()) {
            self.add([Work::Schedule(key.clone())]);
        }
    }

    /// Zones, readiness or room may have changed for anyone.
    fn node_changed(&mut self) {
        let services: Vec<_> = self.state.services().keys().cloned().map(Work::Endpoints).collect();
        let waiting = self.state.pods().values().filter(|pod| pod.node.is_none());
        let waiting: Vec<_> = waiting.map(|pod| Work::Schedule(pod.meta.key.clone())).collect();
        self.add(services);
        self.add(waiting);
    }

    /// Looks at everything that is noted.
    fn work(&mut self) {
        for work in std::mem::take(&mut self.queue) {
            let (store, state) = (&self.store, &self.state);
            match work {
                Work::Balancer(key) => balancer::sync(store, &key),
                Work::Deployment(key) => workloads::sync_deployment(store, &key),
                Work::ReplicaSet(key) => workloads::sync_replica_set(store, &key),
                Work::Schedule(key) => {
                    workloads::schedule(store, state, &key);
                    // The next pod has to know where this one went.
                    self.follow();
                }
                Work::Endpoints(key) => endpoints::sync(store, state, &key),
                Work::Mirror(key) => endpoints::sync_mirror(store, state, &key),
                Work::Orphan(resource, key) => garbage::sync_orphan(store, resource, &key),
                Work::Dependents(uid) => garbage::sync_dependents(store, &uid),
                Work::Namespace(key) => namespaces::sync(store, &key),
            }
        }
    }
}

fn kind_of(resource: Type) -> Option<Kind> {
    match resource {
        Type::Namespaces => Some(Kind::Namespace),
        Type::Nodes => Some(Kind::Node),
        Type::Pods => Some(Kind::Pod),
        Type::Services => Some(Kind::Service),
        Type::Endpoints => Some(Kind::Endpoints),
        Type::EndpointSlices => Some(Kind::EndpointSlice),
        Type::ConfigMaps
        | Type::Events
        | Type::Deployments
        | Type::ReplicaSets
        | Type::Secrets
        | Type::ServiceAccounts => None,
    }
}

fn service_of(slice: &Value) -> Option<&str> {
    object::meta_entry(slice, "labels", "kubernetes.io/service-name")
}

fn labels_of(object: &Value) -> Labels {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())).collect()
}

/// The workload that controls `object`; those that would adopt it if none does.
fn owner_work(store: &Store, resource: Type, object: &Value) -> Vec<Work> {
    let Some(uid) = object::controller(object) else {
        return store.write(|tx| match resource {
            Type::Pods => {
                ownership::suitors(tx, Type::ReplicaSets, object).into_iter().map(Work::ReplicaSet).collect()
            }
            _ => {
                ownership::suitors(tx, Type::Deployments, object).into_iter().map(Work::Deployment).collect()
            }
        });
    };
    store.write(|tx| match tx.by_uid(uid) {
        Some((Type::ReplicaSets, owner)) => vec![Work::ReplicaSet(object::key(owner))],
        Some((Type::Deployments, owner)) => vec![Work::Deployment(object::key(owner))],
        _ => Vec::new(),
    })
}
