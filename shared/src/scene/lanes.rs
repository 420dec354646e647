//! Live traffic on the map: what each pair of shapes carries, at the level of detail at hand, and what goes wrong at a VIP.
//!
//! Law: the connections of every edge whose Service is shown are in the lane to its VIP (if its source is shown), and in one
//! lane from there or in one [`Stop`].

use std::collections::{BTreeMap, HashMap};

use super::layout::CARD;
use super::{Edge, Item, ItemKind, NO_NODE, PathRole, Point, Scene, SourceId, Target};
use crate::model::{ClusterState, Key, Text};
use crate::traffic::{TrafficEdge, TrafficEnd, TrafficSource};

/// Connections that go from one shape of the map to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// A source, or a Service.
    pub from: Target,
    /// The Service, or an endpoint's row, or the node whose aggregate counts it.
    pub to: Target,
    pub service: Key,
    /// World points where it starts and ends, as of the edge that it runs along.
    pub a: Point,
    pub b: Point,
    /// New connections per second; more than 0.
    pub rate: f64,
    /// It comes from outside, or belongs to a Service that is open to it.
    pub open: bool,
    /// It belongs to what is in focus.
    pub focused: bool,
    pub path: PathRole,
}

/// Connections that got no answer from an endpoint, per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub service: Key,
    pub refused: f64,
    pub dropped: f64,
    /// Sent to an endpoint that is not there, or does not answer.
    pub failed: f64,
}

impl Stop {
    pub fn sum(&self) -> f64 {
        self.refused + self.dropped + self.failed
    }
}

/// The traffic of a scene.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lanes {
    /// By ends.
    pub lanes: Vec<Lane>,
    /// By Service; only of those where something goes wrong.
    pub stops: Vec<Stop>,
}

impl Scene {
    /// What of this traffic (connections per second) is to be seen where. `state` says where pods without a row are.
    pub fn lanes<'a>(
        &self,
        state: &ClusterState,
        traffic: impl Iterator<Item = (&'a TrafficEdge, f64)>,
    ) -> Lanes {
        let places = Places::of(self, state);
        let mut lanes: BTreeMap<(Target, Target), Lane> = BTreeMap::new();
        let mut stops: BTreeMap<&Key, Stop> = BTreeMap::new();
        for (edge, rate) in traffic.filter(|(_, rate)| *rate > 0.0) {
            let Some(service) = &edge.service else { continue };
            let vip = Target::Service(service.clone());
            if self.find(&vip).is_none() {
                continue;
            }
            let mut add = |lane: Option<Lane>| {
                let Some(lane) = lane else { return };
                let ends = (lane.from.clone(), lane.to.clone());
                lanes.entry(ends).and_modify(|known| known.rate += rate).or_insert(Lane { rate, ..lane });
            };
            add(places.lane(source(&edge.source), vip.clone(), service));
            match &edge.end {
                TrafficEnd::Delivered { endpoint, pod } => {
                    let address = || Target::Address(endpoint.ip().to_string().into());
                    let to = places.shown(pod.clone().map_or_else(address, Target::Pod));
                    add(to.and_then(|to| places.lane(vip, to, service)));
                }
                end => stops.entry(service).or_insert_with(|| Stop::of(service)).take(end, rate),
            }
        }
        Lanes { lanes: lanes.into_values().collect(), stops: stops.into_values().collect() }
    }
}

impl Stop {
    fn of(service: &Key) -> Stop {
        Stop { service: service.clone(), refused: 0.0, dropped: 0.0, failed: 0.0 }
    }

    fn take(&mut self, end: &TrafficEnd, rate: f64) {
        match end {
            TrafficEnd::Failed { .. } => self.failed += rate,
            TrafficEnd::Refused => self.refused += rate,
            TrafficEnd::Dropped => self.dropped += rate,
            TrafficEnd::Delivered { .. } | TrafficEnd::Unclaimed => {}
        }
    }
}

fn source(source: &TrafficSource) -> Target {
    Target::Source(match source {
        TrafficSource::Pod(key) => SourceId::Pods(key.namespace.clone()),
        TrafficSource::Node(_) => SourceId::Nodes,
        TrafficSource::Outside => SourceId::Outside,
    })
}

/// Where lanes can start and end.
struct Places<'a> {
    scene: &'a Scene,
    state: &'a ClusterState,
    edges: HashMap<(&'a Target, &'a Target), &'a Edge>,
    /// The rows that count the pods without one, by node.
    more: HashMap<&'a Target, &'a Item>,
    is_traced: bool,
}

impl<'a> Places<'a> {
    fn of(scene: &'a Scene, state: &'a ClusterState) -> Places<'a> {
        let is_more = |item: &&Item| matches!(item.kind, ItemKind::More { .. });
        Places {
            scene,
            state,
            edges: scene.edges().iter().map(|edge| ((&edge.from, &edge.to), edge)).collect(),
            more: scene.items().iter().filter(is_more).map(|item| (&item.target, item)).collect(),
            is_traced: scene.edges().iter().any(|edge| edge.path != PathRole::None),
        }
    }

    /// The endpoint if it has a row, else its node.
    fn shown(&self, end: Target) -> Option<Target> {
        if self.scene.find(&end).is_some() {
            return Some(end);
        }
        let Target::Pod(key) = &end else { return None };
        let node = self.state.pods().get(key).and_then(|pod| pod.node.clone());
        let node = Target::Node(node.unwrap_or_else(|| Text::from(NO_NODE)));
        self.scene.find(&node).map(|_| node)
    }

    fn lane(&self, from: Target, to: Target, service: &Key) -> Option<Lane> {
        let edge = self.edges.get(&(&from, &to)).copied();
        let (a, b) = match edge {
            Some(edge) => (edge.a, edge.b),
            None => (self.start(&from)?, self.end(&to)?),
        };
        let is_focused = |target: &Target| self.scene.find(target).is_some_and(|item| item.focused);
        let focused = match (edge, self.is_traced) {
            (Some(edge), _) => edge.focused,
            (None, true) => false,
            (None, false) => is_focused(&Target::Service(service.clone())) || is_focused(&from),
        };
        let outside = from == Target::Source(SourceId::Outside);
        let path = edge.map(|edge| edge.path);
        Some(Lane {
            open: edge.map_or(outside, |edge| edge.open),
            path: path.unwrap_or(if self.is_traced { PathRole::Off } else { PathRole::None }),
            service: service.clone(),
            from,
            to,
            a,
            b,
            rate: 0.0,
            focused,
        })
    }

    fn start(&self, target: &Target) -> Option<Point> {
        let rect = self.scene.find(target)?.rect;
        let y = if matches!(target, Target::Service(_)) { rect.y + CARD.1 / 2.0 } else { rect.center().y };
        Some(Point::new(rect.right(), y))
    }

    fn end(&self, target: &Target) -> Option<Point> {
        let rect = self.scene.find(target)?.rect;
        let y = match target {
            Target::Service(_) => rect.y + CARD.1 / 2.0,
            Target::Node(_) => match self.more.get(target) {
                Some(more) => return Some(Point::new(more.rect.x, more.rect.center().y)),
                None => rect.y + 16.0,
            },
            _ => rect.center().y,
        };
        Some(Point::new(rect.x, y))
    }
}
