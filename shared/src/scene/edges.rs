//! What leads where: sources to VIPs, VIPs to endpoints. Shares of a Service that kube-proxy serves are those of its rules
//! (`predicted`; `shared/tests/trace.rs` holds the two together), as far as its settings are known; everything else rests
//! on the API objects alone (`configured`).

use std::collections::{BTreeMap, BTreeSet};

use super::ghost::{After, Ghost};
use super::layout::{CARD, PORT_PITCH, Places};
use super::status::{is_defect, port_name};
use super::survey::{ServiceView, Survey, is_open, spot_node, spot_target};
use super::words::standing_text;
use super::{Health, Path, PathRole, Point, SceneOptions, SourceId, Target};
use crate::model::{ClusterState, Key, Keyed, ServiceType, Text};
use crate::proxy::{EndpointRow, PortStanding, Why};

/// What an edge rests on. Shown by its dash: solid, dashed, dotted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    Observed,
    Predicted,
    Configured,
}

/// A way that traffic can take, or should and can't.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub from: Target,
    /// An endpoint's row, or the node whose aggregate counts it.
    pub to: Target,
    pub service: Key,
    /// World points where it starts and ends; both ends are horizontal.
    pub a: Point,
    pub b: Point,
    /// Of the Service's connections, 0 to 1.
    pub share: f64,
    /// How many endpoints it stands for; 0 between a source and a VIP.
    pub endpoints: usize,
    pub basis: Basis,
    /// `Failing`: the endpoint should receive traffic and does not.
    pub health: Health,
    /// The Service can be reached from outside.
    pub open: bool,
    /// It belongs to what is in focus.
    pub focused: bool,
    pub path: PathRole,
    /// On the way of a traced packet: the exact share, or before the VIP what stops it there; else empty.
    pub label: Text,
    /// How it stands in the hypothetical cluster, if that is different.
    pub ghost: Option<Ghost>,
}

impl Edge {
    /// Adds another endpoint of the same Service and node. What is on the way of a packet hides what is beside it.
    fn take(&mut self, other: &Edge) {
        if self.path != other.path {
            if other.path == PathRole::On {
                *self = other.clone();
            }
            return;
        }
        self.share += other.share;
        self.endpoints += 1;
        self.focused |= other.focused;
        self.health = self.health.worst(other.health);
        // What several get together is nobody's exact share.
        self.label = Text::default();
    }
}

/// The selected thing, and what of the map belongs to it.
pub(super) struct Focus {
    pub(super) target: Option<Target>,
    pub(super) path: Option<Path>,
    /// Endpoints that have to be shown.
    pub(super) must: BTreeSet<Target>,
    /// What is to be written on rows: the share, or the reason against it.
    pub(super) marks: BTreeMap<Target, Text>,
}

impl Focus {
    pub(super) fn of(state: &ClusterState, survey: &Survey, options: &SceneOptions) -> Focus {
        let target = options.focus.as_ref();
        let is_shown = |path: &&Path| survey.services().any(|view| *view.service.key() == path.service);
        let path = options.path.as_ref().filter(is_shown).cloned();
        let mut focus =
            Focus { target: target.cloned(), path, must: BTreeSet::new(), marks: BTreeMap::new() };
        let service = focus.service().and_then(|key| state.services().get(key)).cloned();
        let view =
            service.and_then(|service| survey.services().find(|view| view.service.key() == service.key()));
        if let Some(view) = view {
            for row in &view.status.rows {
                let Some(spot) = spot_target(row) else { continue };
                let text = focus.standing(view, row).map_or_else(|| "by DNS".into(), standing_text);
                focus.must.insert(spot.clone());
                focus.marks.insert(spot, text);
            }
            focus.mark_changes(view);
        }
        let ghosts = survey.nodes.iter().flat_map(|node| &node.spots).filter(|spot| spot.ghost.is_some());
        focus.must.extend(ghosts.take(GHOSTS).map(|spot| spot.target.clone()));
        if let Some(target @ (Target::Pod(_) | Target::Address(_))) = target {
            focus.must.insert(target.clone());
        }
        focus.take_path();
        focus
    }

    /// `1/3 → 1/2`, where the hypothetical cluster has another share.
    fn mark_changes(&mut self, view: &ServiceView) {
        let Some(next) = view.next() else { return };
        for row in &next.status.rows {
            let Some(spot) = spot_target(row) else { continue };
            let text = self.standing(&next, row).map_or_else(|| "by DNS".into(), standing_text);
            if let Some(known) = self.marks.get_mut(&spot).filter(|known| **known != text) {
                *known = format!("{known} → {text}").into();
            }
        }
    }

    /// On the way of a packet, its shares count.
    fn take_path(&mut self) {
        let Some(path) = &self.path else { return };
        self.must.extend(path.ends.keys().cloned());
        self.must.extend(path.sender.clone().filter(|sender| matches!(sender, Target::Pod(_))));
        self.marks.extend(path.ends.keys().filter_map(|end| Some((end.clone(), path.share_text(end)?))));
    }

    /// The Service in focus, if it is one or a port of one.
    pub(super) fn service(&self) -> Option<&Key> {
        match &self.target {
            Some(Target::Service(key) | Target::Port(key, _)) => Some(key),
            _ => None,
        }
    }

    /// How the row stands: towards the port in focus, or towards the first port that it receives on.
    fn standing<'a>(&self, view: &ServiceView, row: &'a EndpointRow) -> Option<&'a PortStanding> {
        let name = match &self.target {
            Some(Target::Port(key, name)) if key == view.service.key() => Some(name),
            _ => None,
        };
        match name {
            Some(name) => {
                let nth = view.service.ports.iter().position(|port| port_name(port) == *name)?;
                row.ports.get(nth).map(|(_, standing)| standing)
            }
            None => best_standing(row),
        }
    }

    fn has(&self, from: &Target, service: &Key, to: &Target, node: Option<&Text>) -> bool {
        match &self.target {
            None => false,
            Some(Target::Service(key) | Target::Port(key, _)) => key == service,
            Some(Target::Node(name)) => node == Some(name),
            Some(Target::Namespace(namespace)) => service.namespace == *namespace,
            Some(target) => target == from || target == to,
        }
    }
}

fn best_standing(row: &EndpointRow) -> Option<&PortStanding> {
    let standings = || row.ports.iter().map(|(_, standing)| standing);
    standings()
        .find(|standing| matches!(standing, PortStanding::Receives { .. }))
        .or_else(|| standings().next())
}

pub(super) fn edges(
    state: &ClusterState,
    after: Option<&After>,
    survey: &Survey,
    places: &Places,
    focus: &Focus,
) -> Vec<Edge> {
    let mut rows: BTreeMap<(&Text, &Target), Point> = BTreeMap::new();
    for (node, shown) in &places.rows {
        for (target, rect) in shown {
            rows.insert((node, target), Point::new(rect.x, rect.center().y));
        }
    }
    let total: usize = survey.services().map(|view| view.status.rows.len()).sum();
    let draft = Draft { state, after, survey, places, focus, rows, dense: total > DENSE };
    let mut edges = Vec::new();
    for view in survey.services() {
        draft.sources_to(view, &mut edges);
        draft.endpoints_of(view, &mut edges);
    }
    edges
}

/// With more endpoints than this, Services out of focus have one edge per node.
const DENSE: usize = 1_000;
/// So many of those that would come, go or change have a row of their own for sure.
const GHOSTS: usize = 200;

/// An endpoint's place: the thing and the node it is on.
type Spot = (Target, Text);

/// What of a Service's edges would come and go.
#[derive(Default)]
struct ServiceGhosts<'a> {
    going: BTreeSet<Spot>,
    /// Rows of the hypothetical cluster.
    coming: Vec<&'a EndpointRow>,
    /// The Service as it would be.
    next: Option<ServiceView>,
}

impl ServiceGhosts<'_> {
    /// The Service that has the row.
    fn view<'a>(&'a self, now: &'a ServiceView, ghost: Option<Ghost>) -> &'a ServiceView {
        self.next.as_ref().filter(|_| ghost == Some(Ghost::New)).unwrap_or(now)
    }

    fn is_coming(&self, row: &EndpointRow) -> bool {
        self.coming.iter().any(|one| std::ptr::eq(*one, row))
    }
}

struct Draft<'a> {
    state: &'a ClusterState,
    after: Option<&'a After<'a>>,
    survey: &'a Survey,
    places: &'a Places,
    focus: &'a Focus,
    rows: BTreeMap<(&'a Text, &'a Target), Point>,
    dense: bool,
}

impl Draft<'_> {
    /// The card's middle line; the port's, if that is in focus.
    fn card(&self, view: &ServiceView) -> Option<(f64, f64, f64)> {
        let key = view.service.key();
        let rect = self.places.cards.get(&(key.namespace.clone(), key.name.clone()))?;
        let traced = self.focus.path.as_ref().filter(|path| path.service == *key);
        let name = match (traced, &self.focus.target) {
            (Some(path), _) => path.port.as_ref(),
            (None, Some(Target::Port(focus, name))) if focus == key => Some(name),
            _ => None,
        };
        let has_rows = view.service.ports.len() > 1;
        let port = name
            .filter(|_| has_rows)
            .and_then(|name| view.service.ports.iter().position(|port| port_name(port) == *name));
        let y = match port {
            Some(nth) => rect.y + CARD.1 + (nth as f64 + 0.5) * PORT_PITCH - 1.0,
            None => rect.y + CARD.1 / 2.0,
        };
        Some((rect.x, rect.right(), y))
    }

    fn sources_to(&self, view: &ServiceView, edges: &mut Vec<Edge>) {
        let Some((left, _, y)) = self.card(view) else { return };
        let key = view.service.key();
        let to = Target::Service(key.clone());
        let open = is_open(&view.service);
        let in_focus = self.focus.service() == Some(key);
        for source in &self.survey.sources {
            let from = Target::Source(source.id.clone());
            let selected = self.focus.target.as_ref() == Some(&from);
            let role = self.role(|path| path.service == *key && path.source == source.id);
            let drawn = match source.id {
                _ if role == PathRole::On => true,
                SourceId::Outside => open,
                SourceId::Nodes => view.service.is_proxied() && (in_focus || selected),
                SourceId::Pods(_) => in_focus || selected,
            };
            let Some(rect) = self.places.sources.get(&source.id).filter(|_| drawn) else { continue };
            edges.push(Edge {
                focused: match role {
                    PathRole::None => self.focus.has(&from, key, &to, None),
                    role => role == PathRole::On,
                },
                path: role,
                label: self.stop(role),
                from,
                to: to.clone(),
                service: key.clone(),
                a: Point::new(rect.right(), rect.center().y),
                b: Point::new(left, y),
                share: 0.15,
                endpoints: 0,
                basis: if role == PathRole::On { Basis::Predicted } else { Basis::Configured },
                health: Health::Ok,
                open: source.id == SourceId::Outside,
                ghost: view.ghost.filter(|ghost| *ghost != Ghost::Changed),
            });
        }
    }

    fn endpoints_of(&self, view: &ServiceView, edges: &mut Vec<Edge>) {
        let Some((_, right, y)) = self.card(view) else { return };
        let from = Target::Service(view.service.key().clone());
        let in_focus = self.focus.service() == Some(view.service.key());
        let basis = self.basis(view);
        let ghosts = self.ghosts(view);
        let mut by_node: BTreeMap<(Text, Option<Ghost>), Edge> = BTreeMap::new();
        let present = view.status.rows.iter().filter(|_| view.ghost != Some(Ghost::New));
        for row in present.chain(ghosts.coming.iter().copied()) {
            let Some(spot) = spot_target(row) else { continue };
            let traced = self.focus.path.as_ref().filter(|path| path.service == *view.service.key());
            let traced = traced.and_then(|path| path.share(&spot)).map(|share| (share, Health::Ok));
            let (ghost, node) = self.place(row, &ghosts);
            let shown = || self.share(ghosts.view(view, ghost), row, in_focus);
            let Some((share, health)) = traced.or_else(shown) else { continue };
            let role = self.role(|_| traced.is_some());
            let focused = match role {
                PathRole::None => self.focus.has(&from, view.service.key(), &spot, Some(&node)),
                role => role == PathRole::On,
            };
            let label = self.focus.path.as_ref().filter(|_| role == PathRole::On);
            let label = label.and_then(|path| path.share_text(&spot)).unwrap_or_default();
            let edge = |to: Target, b: Point| Edge {
                from: from.clone(),
                to,
                service: view.service.key().clone(),
                a: Point::new(right, y),
                b,
                share,
                endpoints: 1,
                basis: if role == PathRole::On { Basis::Predicted } else { basis },
                health,
                open: is_open(&view.service),
                focused,
                path: role,
                label: label.clone(),
                ghost,
            };
            let has_own = !self.dense || focused || ghost.is_some();
            match self.rows.get(&(&node, &spot)).copied().filter(|_| has_own) {
                Some(at) => edges.push(edge(spot, at)),
                None => {
                    let Some(at) = self.aggregate(&node) else { continue };
                    let merge = |known: &mut Edge| known.take(&edge(Target::Node(node.clone()), at));
                    let fresh = || edge(Target::Node(node.clone()), at);
                    by_node.entry((node.clone(), ghost)).and_modify(merge).or_insert_with(fresh);
                }
            }
        }
        edges.extend(by_node.into_values());
    }

    /// Rows that would no longer get anything, and those that would.
    fn ghosts<'v>(&self, view: &'v ServiceView) -> ServiceGhosts<'v> {
        let Some(after) = self.after else { return ServiceGhosts::default() };
        let receives = |view: &ServiceView, row: &&EndpointRow| {
            matches!(self.share(view, row, false), Some((_, Health::Ok)))
        };
        let spot = |state: &ClusterState, row: &EndpointRow| Some((spot_target(row)?, spot_node(state, row)));
        let now = || view.status.rows.iter().filter(|row| receives(view, row));
        let next = view.next();
        match (view.ghost, &view.after, next) {
            (Some(Ghost::New), ..) => ServiceGhosts { coming: now().collect(), ..ServiceGhosts::default() },
            (Some(Ghost::Gone), ..) => {
                let going = now().filter_map(|row| spot(self.state, row)).collect();
                ServiceGhosts { going, ..ServiceGhosts::default() }
            }
            (_, Some((_, status)), Some(next)) => {
                let mut going: BTreeSet<Spot> = now().filter_map(|row| spot(self.state, row)).collect();
                let known = going.clone();
                let stays = |row: &&EndpointRow| receives(&next, row);
                let mut coming: Vec<&EndpointRow> = status.rows.iter().filter(stays).collect();
                coming.retain(|row| {
                    spot(after.state, row).is_some_and(|spot| {
                        going.remove(&spot);
                        !known.contains(&spot)
                    })
                });
                ServiceGhosts { going, coming, next: Some(next) }
            }
            _ => ServiceGhosts::default(),
        }
    }

    /// How the row stands, and on which node it is shown.
    fn place(&self, row: &EndpointRow, ghosts: &ServiceGhosts) -> (Option<Ghost>, Text) {
        if let Some(after) = self.after.filter(|_| ghosts.is_coming(row)) {
            return (Some(Ghost::New), spot_node(after.state, row));
        }
        let node = spot_node(self.state, row);
        let spot = || Some((spot_target(row)?, node.clone()));
        let is_going = !ghosts.going.is_empty() && spot().is_some_and(|spot| ghosts.going.contains(&spot));
        (is_going.then_some(Ghost::Gone), node)
    }

    /// Towards the way of a traced packet, if there is one.
    fn role(&self, is_on: impl Fn(&Path) -> bool) -> PathRole {
        match &self.focus.path {
            None => PathRole::None,
            Some(path) if is_on(path) => PathRole::On,
            Some(_) => PathRole::Off,
        }
    }

    /// What becomes of a packet that no endpoint gets.
    fn stop(&self, role: PathRole) -> Text {
        let path = self.focus.path.as_ref().filter(|_| role == PathRole::On);
        path.map(|path| path.stop.clone()).unwrap_or_default()
    }

    /// What the shares of a Service rest on.
    fn basis(&self, view: &ServiceView) -> Basis {
        let is_known = view.service.is_proxied() && self.state.proxy_config().is_some();
        if is_known { Basis::Predicted } else { Basis::Configured }
    }

    /// The left end of the node's aggregate, or of its panel.
    fn aggregate(&self, node: &Text) -> Option<Point> {
        let more = self.places.more.get(node).filter(|_| !self.dense);
        let panel = || self.places.panels.get(node).map(|rect| Point::new(rect.x, rect.y + 16.0));
        more.map(|rect| Point::new(rect.x, rect.center().y)).or_else(panel)
    }

    /// The endpoint's share and health, or `None` if nothing is to be drawn: endpoints that get nothing have an edge
    /// only while their Service is in focus, and only if that is a defect.
    fn share(&self, view: &ServiceView, row: &EndpointRow, in_focus: bool) -> Option<(f64, Health)> {
        let ready = row.conditions.is_some_and(|c| view.service.publish_not_ready || c.is_ready());
        let defect = || in_focus.then_some((0.0, Health::Failing));
        match self.focus.standing(view, row) {
            Some(PortStanding::Receives { mean, .. }) => Some((*mean, Health::Ok)),
            None | Some(PortStanding::Nothing(Why::NotProxied))
                if view.service.service_type != ServiceType::ExternalName =>
            {
                let by_dns = 1.0 / view.status.rows.len().max(1) as f64;
                if ready { Some((by_dns, Health::Ok)) } else { defect() }
            }
            Some(PortStanding::Nothing(why)) if is_defect(why) => defect(),
            _ => None,
        }
    }
}
