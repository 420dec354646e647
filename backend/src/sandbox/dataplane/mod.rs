//! The data plane of the sandbox's nodes: rules, clients and connections, all simulated; nothing here sends a packet.
//!
//! `world` follows the objects and lets time go by; `plane` is one node's service proxy; `choice` is what the kernel decides
//! beside the rules, `connections` its connection table, `callers` who connects where, `faults` what can be made go wrong.
//! [`Simulated`] is one node, read as any other.

mod callers;
mod choice;
mod connections;
mod faults;
mod plane;
#[cfg(test)]
mod tests;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::time::{Duration, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use vipscope_shared::model::{Key, Kind, PROXY_CONFIG_MAP, Text};
use vipscope_shared::traffic::TrafficBasis;

use super::object;
use super::resources::Type;
use super::store::Store;
use crate::agent::{
    ConnectionCount, Counters, Dataplane, DataplaneError, Fleet, NodeRuleset, ProxyStatus, Reading,
};

pub use callers::OUTSIDE_ANNOTATION;
pub use faults::FaultRefused;
pub use plane::Cadence;
pub use vipscope_shared::traffic::CALLS_ANNOTATION;
pub use world::World;

/// How often the world moves on.
const TICK: Duration = Duration::from_millis(100);

/// The world, shared by the task that moves it and those who read it.
#[derive(Debug, Clone)]
pub struct Planes {
    world: Arc<Mutex<World>>,
    /// Tells one process' counters from another's.
    epoch: u64,
}

impl Planes {
    pub fn new(world: World) -> Planes {
        let epoch = world.time(0).as_millisecond().unsigned_abs();
        Planes { world: Arc::new(Mutex::new(world)), epoch }
    }

    /// The world; nothing may wait while it is held.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for Planes {
    fn basis(&self) -> TrafficBasis {
        TrafficBasis::Simulated
    }

    fn planes(&self) -> Vec<Arc<dyn Dataplane>> {
        let world = self.world();
        let plane = |node: &Text| Simulated { node: node.clone(), planes: self.clone() };
        world.nodes().map(|node| Arc::new(plane(node)) as Arc<dyn Dataplane>).collect()
    }
}

/// One simulated node.
#[derive(Debug, Clone)]
struct Simulated {
    node: Text,
    planes: Planes,
}

impl Simulated {
    fn read<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&mut World) -> Option<T>) -> Reading<'a, T> {
        let gone =
            || DataplaneError { node: self.node.clone(), reason: "is not there any longer".to_owned() };
        let answer = read(&mut self.planes.world()).ok_or_else(gone);
        async move { answer }.boxed()
    }
}

impl Dataplane for Simulated {
    fn node(&self) -> &Text {
        &self.node
    }

    fn basis(&self) -> TrafficBasis {
        TrafficBasis::Simulated
    }

    fn status(&self) -> Reading<'_, ProxyStatus> {
        self.read(|world| world.status(&self.node))
    }

    fn counters(&self) -> Reading<'_, Counters> {
        self.read(|world| Some(world.plane(&self.node)?.connections.counters(self.planes.epoch)))
    }

    fn rules(&self) -> Reading<'_, NodeRuleset> {
        self.read(|world| Some(world.plane(&self.node)?.ruleset()))
    }

    fn connections(&self) -> Reading<'_, Vec<ConnectionCount>> {
        self.read(|world| Some(world.plane(&self.node)?.connections.counts()))
    }
}

/// Moves the world on until `stop`, with the objects of the store.
pub async fn run(store: Arc<Store>, planes: Planes, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begin = tokio::time::Instant::now();
    // Before any event that can be remembered: begins with a look at everything.
    let mut seen = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        seen = follow(&store, &planes, seen);
        let now = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        planes.world().pass(now);
    }
}

/// Takes in what has changed after revision `seen`; answers the revision up to which that is.
fn follow(store: &Store, planes: &Planes, seen: u64) -> u64 {
    match store.all_events_after(seen) {
        Ok(events) => {
            let mut world = planes.world();
            for event in &events {
                if let Some(kind) = kind_of(event.resource, &event.key) {
                    world.see(kind, &event.key, event.after.as_deref());
                }
            }
            events.last().map_or(seen, |last| last.revision)
        }
        Err(_) => {
            let (objects, revision) = store.everything();
            let mut world = planes.world();
            world.forget_objects();
            for (resource, object) in &objects {
                let key = object::key(object);
                if let Some(kind) = kind_of(*resource, &key) {
                    world.see(kind, &key, Some(object));
                }
            }
            let listed = |(resource, object): &(Type, object::Object)| {
                (*resource == Type::Nodes).then(|| Text::from(object::name(object)))
            };
            world.keep_nodes(&objects.iter().filter_map(listed).collect());
            revision
        }
    }
}

/// The kinds that rules and clients depend on.
fn kind_of(resource: Type, key: &Key) -> Option<Kind> {
    match resource {
        Type::Nodes => Some(Kind::Node),
        Type::Pods => Some(Kind::Pod),
        Type::Services => Some(Kind::Service),
        Type::Endpoints => Some(Kind::Endpoints),
        Type::EndpointSlices => Some(Kind::EndpointSlice),
        Type::ConfigMaps if (&*key.namespace, &*key.name) == PROXY_CONFIG_MAP => Some(Kind::ProxyConfig),
        Type::ConfigMaps
        | Type::Namespaces
        | Type::Events
        | Type::Deployments
        | Type::ReplicaSets
        | Type::Secrets
        | Type::ServiceAccounts => None,
    }
}
