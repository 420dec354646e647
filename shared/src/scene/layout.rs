//! Who has which place. A [`Layout`] is remembered from scene to scene, so that what stays does not move: a removed
//! card leaves its slot free, a new one takes a free slot or is appended. Only when the picture has worn out (another
//! namespace filter, mostly holes, or many times as large as planned) everything is arranged anew.

use std::collections::{BTreeMap, BTreeSet};

use super::survey::{NodeView, ServiceView, Survey};
use super::{Rect, SceneOptions, SourceId, Target};
use crate::model::{Keyed, Service, Text};

pub(super) const SOURCE: (f64, f64) = (176.0, 44.0);
const SOURCE_PITCH: f64 = 58.0;
pub(super) const CARD: (f64, f64) = (208.0, 46.0);
pub(super) const PORT_PITCH: f64 = 22.0;
const CARD_GAP: f64 = 12.0;
/// Between the left sides of neighbouring columns of cards.
const LANE: f64 = 248.0;
const ISLAND_PAD: f64 = 12.0;
const ISLAND_HEAD: f64 = 30.0;
const ISLAND_GAP: f64 = 18.0;
const PANEL: f64 = 226.0;
const PANEL_LANE: f64 = 244.0;
const PANEL_HEAD: f64 = 32.0;
const PANEL_PAD: f64 = 10.0;
const PANEL_GAP: f64 = 14.0;
pub(super) const ROW: (f64, f64) = (206.0, 22.0);
const ROW_PITCH: f64 = 27.0;
/// Between the three parts of the map.
const GAP: f64 = 124.0;
/// Top of the first cards; the headings are above.
const TOP: f64 = 30.0;
/// The room that a fresh arrangement is made for: a laptop's window without the inspector.
const ROOM: (f64, f64) = (1000.0, 730.0);

/// Room above the cards of an island and the rows of a panel: large maps need larger names.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Heads {
    island: f64,
    panel: f64,
}

impl Default for Heads {
    fn default() -> Heads {
        Heads { island: ISLAND_HEAD, panel: PANEL_HEAD }
    }
}

impl Heads {
    /// So that a name of 14 CSS pixels has its own line when all is in view.
    fn at(zoom: f64) -> Heads {
        let name = (15.0 / zoom).min(90.0);
        let small = Heads::default();
        Heads { island: small.island.max(name), panel: small.panel.max(name) }
    }
}

/// A place for a card in an island. Its height is kept when the card is gone or smaller.
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    name: Option<Text>,
    height: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct IslandSlots {
    namespace: Text,
    /// First lane, of which it covers as many as it has columns.
    lane: usize,
    columns: Vec<Vec<Slot>>,
}

#[derive(Debug, Clone, PartialEq)]
struct PanelSlots {
    node: Text,
    lane: usize,
    rows: Vec<Option<Target>>,
    /// Height in rows, the aggregate's included; never shrinks.
    capacity: usize,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    namespaces: BTreeSet<Text>,
    /// Cards and panels when it was arranged.
    planned: usize,
    source_lanes: usize,
    service_lanes: usize,
    panel_lanes: usize,
    heads: Heads,
    sources: Vec<SourceId>,
    islands: Vec<IslandSlots>,
    panels: Vec<PanelSlots>,
}

/// Places by what is there.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) sources: BTreeMap<SourceId, Rect>,
    pub(super) islands: BTreeMap<Text, Rect>,
    pub(super) cards: BTreeMap<(Text, Text), Rect>,
    pub(super) panels: BTreeMap<Text, Rect>,
    /// Rows of pods in the order of the panel.
    pub(super) rows: BTreeMap<Text, Vec<(Target, Rect)>>,
    /// The aggregate's place, in each panel that hides some of its pods.
    pub(super) more: BTreeMap<Text, Rect>,
    /// Left sides of the three parts.
    pub(super) parts: [f64; 3],
    /// Room above the contents of islands and of panels.
    pub(super) heads: (f64, f64),
}

impl Layout {
    /// The layout for what was surveyed, as close to `previous` as can be. `must` are endpoints that have to be shown.
    pub(super) fn arrange(
        survey: &Survey,
        options: &SceneOptions,
        must: &BTreeSet<Target>,
        previous: Option<&Layout>,
    ) -> Layout {
        let kept = previous.filter(|layout| layout.fits(survey, options)).cloned();
        let mut layout = kept.unwrap_or_else(|| Layout::planned(survey, options));
        layout.take_sources(survey);
        survey.islands.iter().for_each(|(namespace, services)| layout.take_island(namespace, services));
        layout.free_cards(survey);
        let limit = row_limit(survey.nodes.len());
        for node in &survey.nodes {
            let limit = if options.expanded.contains(&node.name) { usize::MAX } else { limit };
            layout.take_panel(node, limit, must);
        }
        layout
    }

    fn fits(&self, survey: &Survey, options: &SceneOptions) -> bool {
        let slots: usize = self.islands.iter().flat_map(|island| &island.columns).map(Vec::len).sum();
        let held = slots + self.panels.len();
        let now = survey.services().count() + survey.nodes.len();
        self.namespaces == options.namespaces && now <= 2 * self.planned + 12 && held <= 2 * now + 12
    }

    /// An empty layout with as many lanes as let the picture be largest in [`ROOM`].
    fn planned(survey: &Survey, options: &SceneOptions) -> Layout {
        let rows = row_limit(survey.nodes.len());
        let panels: Vec<f64> =
            survey.nodes.iter().map(|node| panel_height(node.spots.len().min(rows), PANEL_HEAD)).collect();
        let islands: Vec<Vec<f64>> = survey
            .islands
            .iter()
            .map(|(_, services)| services.iter().map(|view| card_height(&view.service)).collect())
            .collect();
        let services: Vec<f64> = (1..=24).map(|lanes| service_height(&islands, lanes)).collect();
        let nodes: Vec<f64> = (1..=16).map(|lanes| stacked_height(&panels, lanes)).collect();
        let mut best = (0.0, 1, 1, 1);
        for (s, service_height) in services.iter().enumerate() {
            for (n, node_height) in nodes.iter().enumerate() {
                let tall = service_height.max(*node_height).max(ROOM.1);
                let sources = source_lanes(survey.sources.len(), tall);
                let layout = Layout {
                    source_lanes: sources,
                    service_lanes: s + 1,
                    panel_lanes: n + 1,
                    ..Layout::default()
                };
                let zoom = (ROOM.0 / layout.width()).min(ROOM.1 / tall.max(1.0));
                if zoom > best.0 + 1e-9 {
                    best = (zoom, sources, s + 1, n + 1);
                }
            }
        }
        let planned = survey.services().count() + survey.nodes.len();
        let (zoom, source_lanes, service_lanes, panel_lanes) = best;
        let mut layout = Layout {
            heads: if zoom < 0.33 { Heads::at(zoom) } else { Heads::default() },
            namespaces: options.namespaces.clone(),
            planned,
            source_lanes,
            service_lanes,
            panel_lanes,
            ..Layout::default()
        };
        layout.plan_islands(survey, &islands);
        layout
    }

    fn plan_islands(&mut self, survey: &Survey, heights: &[Vec<f64>]) {
        let placed = place_islands(heights, self.service_lanes);
        for ((namespace, services), (lane, columns)) in survey.islands.iter().zip(placed.islands) {
            let mut names = services.iter().map(|view| view.service.name().clone());
            let column = |heights: Vec<f64>| -> Vec<Slot> {
                heights.into_iter().map(|height| Slot { name: names.next(), height }).collect()
            };
            let columns = columns.into_iter().map(column).collect();
            self.islands.push(IslandSlots { namespace: namespace.clone(), lane, columns });
        }
    }

    fn parts(&self) -> [f64; 3] {
        let lanes = |number: usize| number.max(1) as f64;
        let services = lanes(self.source_lanes) * (SOURCE.0 + 16.0) - 16.0 + GAP;
        let wide = 10.0 * (lanes(self.service_lanes) - 1.0).min(12.0);
        let panels =
            services + lanes(self.service_lanes) * LANE - (LANE - CARD.0 - 2.0 * ISLAND_PAD) + GAP + wide;
        [0.0, services, panels]
    }

    fn width(&self) -> f64 {
        self.parts()[2] + self.panel_lanes.max(1) as f64 * PANEL_LANE
    }

    fn take_sources(&mut self, survey: &Survey) {
        for source in &survey.sources {
            if !self.sources.contains(&source.id) {
                self.sources.push(source.id.clone());
            }
        }
    }

    fn take_island(&mut self, namespace: &Text, services: &[ServiceView]) {
        let at = self.islands.iter().position(|island| island.namespace == *namespace);
        let at = at.unwrap_or_else(|| {
            let lane = self.emptiest_lane();
            self.islands.push(IslandSlots { namespace: namespace.clone(), lane, columns: vec![Vec::new()] });
            self.islands.len() - 1
        });
        self.islands[at].take(services);
    }

    fn emptiest_lane(&self) -> usize {
        let mut heights = vec![0.0; self.service_lanes.max(1)];
        for island in &self.islands {
            island.stack_on(&mut heights, self.heads.island);
        }
        let lowest = heights.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        lowest.map_or(0, |(lane, _)| lane)
    }

    fn free_cards(&mut self, survey: &Survey) {
        let there: BTreeSet<&Text> = survey.islands.iter().map(|(namespace, _)| namespace).collect();
        for island in self.islands.iter_mut().filter(|island| !there.contains(&island.namespace)) {
            island.columns.iter_mut().flatten().for_each(|slot| slot.name = None);
        }
    }

    fn take_panel(&mut self, node: &NodeView, limit: usize, must: &BTreeSet<Target>) {
        let at = self.panels.iter().position(|panel| panel.node == node.name);
        let at = at.unwrap_or_else(|| {
            let mut heights = vec![0.0; self.panel_lanes.max(1)];
            for panel in &self.panels {
                heights[panel.lane] += panel_height(panel.capacity, self.heads.panel) + PANEL_GAP;
            }
            let lowest = heights.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
            let lane = lowest.map_or(0, |(lane, _)| lane);
            self.panels.push(PanelSlots { node: node.name.clone(), lane, rows: Vec::new(), capacity: 0 });
            self.panels.len() - 1
        });
        self.panels[at].take(node, limit, must);
    }

    /// Where everything is.
    pub(super) fn places(&self, survey: &Survey) -> Places {
        let mut places =
            Places { parts: self.parts(), heads: (self.heads.island, self.heads.panel), ..Places::default() };
        self.place_sources(survey, &mut places);
        self.place_islands(survey, &mut places);
        self.place_panels(survey, &mut places);
        places
    }

    fn place_sources(&self, survey: &Survey, places: &mut Places) {
        let there: BTreeSet<&SourceId> = survey.sources.iter().map(|source| &source.id).collect();
        let per_lane = self.sources.len().div_ceil(self.source_lanes.max(1)).max(1);
        for (nth, id) in self.sources.iter().enumerate().filter(|(_, id)| there.contains(id)) {
            let (lane, row) = (nth / per_lane, nth % per_lane);
            let x = lane as f64 * (SOURCE.0 + 16.0);
            let rect = Rect::new(x, TOP + 12.0 + row as f64 * SOURCE_PITCH, SOURCE.0, SOURCE.1);
            places.sources.insert(id.clone(), rect);
        }
    }

    fn place_islands(&self, survey: &Survey, places: &mut Places) {
        let there: BTreeSet<&Text> = survey.islands.iter().map(|(namespace, _)| namespace).collect();
        let mut heights = vec![0.0; self.service_lanes.max(1)];
        for island in &self.islands {
            let top = TOP + island.stack_on(&mut heights, self.heads.island);
            if !there.contains(&island.namespace) {
                continue;
            }
            let x = places.parts[1] + island.lane as f64 * LANE;
            let width = (island.columns.len() - 1) as f64 * LANE + CARD.0 + 2.0 * ISLAND_PAD;
            let rect = Rect::new(x, top, width, island.height(self.heads.island));
            places.islands.insert(island.namespace.clone(), rect);
            for (column, slots) in island.columns.iter().enumerate() {
                let mut y = top + self.heads.island;
                for slot in slots {
                    if let Some(name) = &slot.name {
                        let x = x + ISLAND_PAD + column as f64 * LANE;
                        let rect = Rect::new(x, y, CARD.0, slot.height);
                        places.cards.insert((island.namespace.clone(), name.clone()), rect);
                    }
                    y += slot.height + CARD_GAP;
                }
            }
        }
    }

    fn place_panels(&self, survey: &Survey, places: &mut Places) {
        let sizes: BTreeMap<&Text, usize> =
            survey.nodes.iter().map(|node| (&node.name, node.spots.len())).collect();
        let mut heights = vec![TOP; self.panel_lanes.max(1)];
        for panel in &self.panels {
            let x = places.parts[2] + panel.lane as f64 * PANEL_LANE;
            let top = heights[panel.lane];
            let height = panel_height(panel.capacity, self.heads.panel);
            heights[panel.lane] += height + PANEL_GAP;
            let Some(size) = sizes.get(&panel.node) else { continue };
            places.panels.insert(panel.node.clone(), Rect::new(x, top, PANEL, height));
            let row_rect = |nth: usize| {
                let y = top + self.heads.panel + nth as f64 * ROW_PITCH;
                Rect::new(x + (PANEL - ROW.0) / 2.0, y, ROW.0, ROW.1)
            };
            let shown = panel.rows.iter().enumerate();
            let shown = shown.filter_map(|(nth, row)| Some((row.clone()?, row_rect(nth))));
            let shown: Vec<_> = shown.collect();
            if shown.len() < *size {
                places.more.insert(panel.node.clone(), row_rect(panel.rows.len()));
            }
            places.rows.insert(panel.node.clone(), shown);
        }
    }
}

impl IslandSlots {
    fn height(&self, head: f64) -> f64 {
        let column =
            |slots: &Vec<Slot>| slots.iter().map(|slot| slot.height + CARD_GAP).sum::<f64>() - CARD_GAP;
        let tallest = self.columns.iter().map(column).fold(CARD.1, f64::max);
        head + tallest + ISLAND_PAD
    }

    /// Puts the island on top of what its lanes hold; answers its top.
    fn stack_on(&self, heights: &mut [f64], head: f64) -> f64 {
        let end = (self.lane + self.columns.len()).min(heights.len());
        let lanes = &mut heights[self.lane.min(end)..end];
        let top = lanes.iter().copied().fold(0.0, f64::max);
        lanes.fill(top + self.height(head) + ISLAND_GAP);
        top
    }

    fn take(&mut self, services: &[ServiceView]) {
        let mut open: BTreeMap<&Text, f64> =
            services.iter().map(|view| (view.service.name(), card_height(&view.service))).collect();
        for slot in self.columns.iter_mut().flatten() {
            let need = slot.name.as_ref().and_then(|name| open.remove(name));
            slot.height = slot.height.max(need.unwrap_or_default());
            slot.name = slot.name.take().filter(|_| need.is_some());
        }
        for (name, need) in open {
            let free = self.columns.iter_mut().flatten();
            let free = free.into_iter().find(|slot| slot.name.is_none() && slot.height >= need);
            match free {
                Some(slot) => slot.name = Some(name.clone()),
                None => self.append(Slot { name: Some(name.clone()), height: need }),
            }
        }
    }

    fn append(&mut self, slot: Slot) {
        let height = |slots: &Vec<Slot>| slots.iter().map(|slot| slot.height + CARD_GAP).sum::<f64>();
        let shortest = self.columns.iter_mut().min_by(|a, b| height(a).total_cmp(&height(b)));
        if let Some(column) = shortest {
            column.push(slot);
        }
    }
}

impl PanelSlots {
    fn take(&mut self, node: &NodeView, limit: usize, must: &BTreeSet<Target>) {
        let there: BTreeSet<&Target> = node.spots.iter().map(|spot| &spot.target).collect();
        let room = if there.len() > limit { limit.saturating_sub(1).max(1) } else { there.len() };
        for row in &mut self.rows {
            *row = row.take().filter(|target| there.contains(target));
        }
        self.shrink_to(room, must);
        let wanted = node.spots.iter().map(|spot| &spot.target).filter(|target| must.contains(target));
        let wanted: Vec<Target> = wanted.filter(|target| !self.shows(target)).cloned().collect();
        wanted.into_iter().for_each(|target| self.insist(target, room, must));
        for target in there {
            let shown = self.rows.iter().flatten().count();
            if shown < room && !self.shows(target) {
                self.put(target.clone());
            }
        }
        let more = usize::from(self.rows.iter().flatten().count() < node.spots.len());
        self.capacity = self.capacity.max(self.rows.len() + more);
    }

    fn shows(&self, target: &Target) -> bool {
        self.rows.iter().flatten().any(|row| row == target)
    }

    /// Hides rows from the bottom until `room` are left, those that must be shown last of all.
    fn shrink_to(&mut self, room: usize, must: &BTreeSet<Target>) {
        while self.rows.iter().flatten().count() > room {
            let row = |keep: bool| {
                let is = |row: &Option<Target>| row.as_ref().is_some_and(|row| must.contains(row) == keep);
                self.rows.iter().rposition(is)
            };
            let Some(at) = row(false).or_else(|| row(true)) else { return };
            self.rows[at] = None;
        }
        while self.rows.len() > room && self.rows.last().is_some_and(Option::is_none) {
            self.rows.pop();
        }
        if self.rows.len() > room {
            self.rows.retain(Option::is_some);
        }
    }

    /// Shows `target`, if need be in the place of one that need not be shown.
    fn insist(&mut self, target: Target, room: usize, must: &BTreeSet<Target>) {
        if self.rows.iter().flatten().count() < room {
            return self.put(target);
        }
        let other = self.rows.iter().rposition(|row| row.as_ref().is_some_and(|row| !must.contains(row)));
        if let Some(at) = other {
            self.rows[at] = Some(target);
        }
    }

    fn put(&mut self, target: Target) {
        match self.rows.iter_mut().find(|row| row.is_none()) {
            Some(free) => *free = Some(target),
            None => self.rows.push(Some(target)),
        }
    }
}

/// How many rows a node's panel has by default, the aggregate's included.
fn row_limit(nodes: usize) -> usize {
    if nodes <= 8 { 6 } else { 5 }
}

fn panel_height(rows: usize, head: f64) -> f64 {
    head + rows.max(1) as f64 * ROW_PITCH - (ROW_PITCH - ROW.1) + PANEL_PAD
}

/// A card with its ports; a single port is part of the address line.
fn card_height(service: &Service) -> f64 {
    let ports = if service.ports.len() > 1 { service.ports.len() } else { 0 };
    CARD.1 + ports as f64 * PORT_PITCH + if ports > 0 { 4.0 } else { 0.0 }
}

fn source_lanes(sources: usize, height: f64) -> usize {
    (sources as f64 * SOURCE_PITCH / height).ceil().max(1.0) as usize
}

struct Packed {
    /// First lane and heights of cards by column, for each island.
    islands: Vec<(usize, Vec<Vec<f64>>)>,
    height: f64,
}

fn service_height(islands: &[Vec<f64>], lanes: usize) -> f64 {
    place_islands(islands, lanes).height
}

/// Each island as wide as keeps it below the height of an even distribution, on the lanes that are lowest.
fn place_islands(islands: &[Vec<f64>], lanes: usize) -> Packed {
    let cards = |heights: &Vec<f64>| heights.iter().map(|height| height + CARD_GAP).sum::<f64>();
    let frame = ISLAND_HEAD + ISLAND_PAD + ISLAND_GAP;
    let even = islands.iter().map(|island| cards(island) + frame).sum::<f64>() / lanes as f64;
    let mut tops = vec![0.0; lanes];
    let mut packed = Packed { islands: Vec::new(), height: 0.0 };
    for island in islands {
        let width = ((cards(island) / even.max(CARD.1 + CARD_GAP)).ceil() as usize).clamp(1, lanes);
        let columns = balanced(island, width);
        let width = columns.len();
        let tallest = columns.iter().map(cards).fold(0.0, f64::max);
        let top = |lane: usize| tops[lane..lane + width].iter().copied().fold(0.0, f64::max);
        let lane = (0..=lanes - width).min_by(|a, b| top(*a).total_cmp(&top(*b))).unwrap_or_default();
        let bottom = top(lane) + frame + tallest;
        tops[lane..lane + width].fill(bottom);
        packed.height = packed.height.max(bottom);
        packed.islands.push((lane, columns));
    }
    packed
}

/// The cards in reading order, column by column, of about equal heights. Never empty.
fn balanced(cards: &[f64], columns: usize) -> Vec<Vec<f64>> {
    let total: f64 = cards.iter().map(|height| height + CARD_GAP).sum();
    let share = total / columns as f64;
    let mut all: Vec<Vec<f64>> = vec![Vec::new()];
    let mut used = 0.0;
    for height in cards {
        if used + (height + CARD_GAP) / 2.0 > share * all.len() as f64 && all.len() < columns {
            all.push(Vec::new());
        }
        used += height + CARD_GAP;
        if let Some(column) = all.last_mut() {
            column.push(*height);
        }
    }
    all
}

fn stacked_height(panels: &[f64], lanes: usize) -> f64 {
    let mut heights: Vec<f64> = vec![0.0; lanes];
    for panel in panels {
        let lowest = heights.iter_mut().min_by(|a, b| a.total_cmp(b));
        if let Some(lowest) = lowest {
            *lowest += panel + PANEL_GAP;
        }
    }
    heights.into_iter().fold(0.0, f64::max)
}
