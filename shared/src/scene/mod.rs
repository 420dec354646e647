//! Pure geometry: model to shapes in world space, level of detail, hit test. No drawing, no pixels, no DOM.
//!
//! In: a `ClusterState`, what of it to show, and the scene before. Out: a [`Scene`] of [`Item`]s with places and
//! [`Edge`]s between them. Laws: items do not overlap, but for those inside one another; what stays does not jump;
//! every endpoint of a shown Service is a row or is counted in the aggregate of its node.

mod edges;
mod geometry;
mod ghost;
mod items;
mod lanes;
mod layout;
mod path;
mod status;
mod survey;
mod target;
mod walk;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use edges::{Basis, Edge};
pub use geometry::{Camera, Direction, Insets, Point, Rect};
pub use ghost::{Ghost, Hypothesis};
pub use lanes::{Lane, Lanes, Stop};
pub use path::{Path, PathRole};
pub use status::{ServiceStatus, port_name};
pub use survey::PodLook;
pub use target::{BadTarget, NO_NODE, SourceId, Target};
pub use words::{share_text, standing_text, why_text};

use crate::model::{ClusterState, Text};
use edges::Focus;
use ghost::After;
use layout::Layout;
use status::Statuses;
use survey::Survey;

/// What of the cluster is shown, and what stands out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SceneOptions {
    /// Only these namespaces; empty = all.
    pub namespaces: BTreeSet<Text>,
    /// The selected thing: its edges are emphasised and the endpoints it leads to are shown first.
    pub focus: Option<Target>,
    /// The way of a traced packet: what is on it is lit, everything else is faint.
    pub path: Option<Path>,
    /// What would come and go in this cluster is drawn as ghosts.
    pub hypothesis: Option<Hypothesis>,
    /// Nodes whose pods are all shown, beyond the default number. (Services are never left out: they become tiles.)
    pub expanded: BTreeSet<Text>,
}

/// How something stands. Never shown by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    Ok,
    Degraded,
    Failing,
    /// Nothing is known, or nothing can be: an ExternalName, a node that no list has.
    Unknown,
}

impl Health {
    /// One word, as in the DOM.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::Failing => "failing",
            Health::Unknown => "unknown",
        }
    }

    #[must_use]
    pub fn worst(self, other: Health) -> Health {
        let rank = |health| match health {
            Health::Ok => 0,
            Health::Unknown => 1,
            Health::Degraded => 2,
            Health::Failing => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// Where traffic comes from.
    Source,
    /// A namespace around its Services.
    Island,
    Service {
        /// It has no VIP of its own: an ExternalName.
        name_only: bool,
    },
    /// One port of a Service that has several.
    Port,
    /// A node around its pods.
    Node,
    /// A pod, or an endpoint without one.
    Pod(PodLook),
    /// So many pods of a node that have no row of their own. Its target is the node.
    More { hidden: usize },
}

/// One shape of the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub target: Target,
    pub rect: Rect,
    /// The full name.
    pub title: Text,
    /// The title as drawn: pod names without the hash of their ReplicaSet.
    pub label: Text,
    /// The second line: an address, a count, or the problem in words if the item is failing.
    pub subtitle: Text,
    /// Short text at the right: a zone, a share, a reason.
    pub tag: Text,
    pub health: Health,
    /// What is wrong, in words; empty if nothing is.
    pub problem: Text,
    pub kind: ItemKind,
    /// Of islands and nodes: how much room there is above what is inside.
    pub head: f64,
    /// It belongs to what is in focus.
    pub focused: bool,
    pub path: PathRole,
    /// How it stands in the hypothetical cluster, if there is one and that is different.
    pub ghost: Option<Ghost>,
    /// The same in words; empty without a ghost.
    pub change: Text,
}

/// A picture of the cluster in world space.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    items: Vec<Item>,
    edges: Vec<Edge>,
    headings: Vec<(Point, &'static str)>,
    bounds: Rect,
    layout: Layout,
    /// First item of each target.
    index: BTreeMap<Target, usize>,
    statuses: Statuses,
}

impl Scene {
    /// The scene of `state`. What was in `previous` stays where it was as far as possible.
    pub fn build(state: &ClusterState, options: &SceneOptions, previous: Option<&Scene>) -> Scene {
        let statuses = Statuses::of(state, previous.map(|scene| &scene.statuses));
        let after = options.hypothesis.as_ref().map(|hypothesis| After::of(hypothesis, &statuses));
        let survey = Survey::of(state, options, &statuses, after.as_ref());
        let focus = Focus::of(state, &survey, options);
        let layout = Layout::arrange(&survey, options, &focus.must, previous.map(|scene| &scene.layout));
        let places = layout.places(&survey);
        let items = items::items(&survey, &places, &focus);
        let edges = edges::edges(state, after.as_ref(), &survey, &places, &focus);
        let headings = ["FROM", "VIP · SERVICE PORT", "PODS BY NODE"];
        let headings: Vec<_> = match items.is_empty() {
            true => Vec::new(),
            false => places.parts.iter().zip(headings).map(|(x, text)| (Point::new(*x, 6.0), text)).collect(),
        };
        let bounds = items.iter().map(|item| item.rect).reduce(Rect::union).unwrap_or_default();
        let top = Rect::new(bounds.x, -6.0, bounds.w, 1.0);
        let bounds = if items.is_empty() { bounds } else { bounds.union(top) };
        let mut index = BTreeMap::new();
        for (nth, item) in items.iter().enumerate() {
            index.entry(item.target.clone()).or_insert(nth);
        }
        Scene { items, edges, headings, bounds, layout, index, statuses }
    }

    /// Everything, headings included; empty if there is nothing.
    pub fn bounds(&self) -> Rect {
        self.bounds
    }

    /// The topmost item at a world point.
    pub fn hit(&self, at: Point) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.rect.contains(at))
    }

    /// In reading order; what is inside something comes after it.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Titles of the three parts, by the left end of their base lines.
    pub fn headings(&self) -> &[(Point, &'static str)] {
        &self.headings
    }

    /// The item of `target`. An endpoint that its node's aggregate counts has none.
    pub fn find(&self, target: &Target) -> Option<&Item> {
        self.index.get(target).map(|nth| &self.items[*nth])
    }

    /// Where an arrow key leads from `from`: along an edge to the side, else to the nearest item that way.
    pub fn neighbour(&self, from: &Target, dir: Direction) -> Option<Target> {
        walk::neighbour(self, from, dir)
    }
}
