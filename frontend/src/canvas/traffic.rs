//! Traffic on the map: lanes as wide as their rate, marks that move along them, and what goes wrong at a VIP.
//!
//! Everything that does not change from frame to frame is worked out when lanes or items do: curves, the parts of them that
//! are not below cards, points at equal distances for the marks. A frame draws at most [`LANES`] lanes and [`MARKS`] marks,
//! and only those within view.

use std::collections::HashMap;
use std::f64::consts::TAU;

use vipscope_shared::scene::{Item, ItemKind, Lane, Lanes, PathRole, Point, Rect, Scene, Stop, Target};

use super::curve::Curve;
use super::paint::{Brush, Detail};
use crate::traffic::rate_text;

/// Most lanes that are drawn: the busiest ones.
const LANES: usize = 300;
/// Most marks that move at once.
const MARKS: usize = 500;
/// Pieces that a curve is cut into.
const PIECES: usize = 32;
/// Milliseconds between two frames that only move marks.
pub(super) const FRAME: f64 = 30.0;

/// Whether marks move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Motion {
    Moving,
    /// Marks stand still.
    Paused,
    /// There are no marks: the reader wants no motion, or nothing new comes.
    #[default]
    None,
}

/// How wide a lane is, in world units: like the logarithm of its rate.
pub fn width_of(rate: f64) -> f64 {
    (1.0 + 0.9 * (1.0 + rate.max(0.0)).log2()).min(8.0)
}

/// How fast its marks are, in CSS pixels a second.
fn speed_of(rate: f64) -> f64 {
    (24.0 + 36.0 * (1.0 + rate).log2()).min(210.0)
}

/// How far they are from one another, in CSS pixels.
fn distance_of(rate: f64) -> f64 {
    (150.0 / (1.0 + (1.0 + rate).log2())).max(34.0)
}

/// One lane, ready to be drawn.
struct Track {
    lane: Lane,
    bounds: Rect,
    /// What is not below a card.
    parts: Vec<Curve>,
    /// Points at equal steps of the curve's parameter: way from the start, place, and whether a card hides it.
    points: Vec<(f64, Point, bool)>,
    /// How far its marks have come, in CSS pixels.
    way: f64,
}

impl Track {
    fn new(lane: Lane, cards: &[Rect], way: f64) -> Track {
        let curve = Curve::new(lane.a, lane.b);
        let bounds = Rect::new(lane.a.x, lane.a.y, 0.0, 0.0).union(Rect::new(lane.b.x, lane.b.y, 0.0, 0.0));
        let near: Vec<Rect> =
            cards.iter().filter(|card| card.intersects(bounds.grown(0.5))).copied().collect();
        let (mut points, mut way_there, mut before) = (Vec::with_capacity(PIECES + 1), 0.0, lane.a);
        for step in 0..=PIECES {
            let at = curve.at(step as f64 / PIECES as f64);
            way_there += (at.x - before.x).hypot(at.y - before.y);
            before = at;
            let is_hidden = near.iter().any(|card| card.grown(-1.0).contains(at));
            points.push((way_there, at, is_hidden));
        }
        Track { parts: shown_parts(&curve, &points), bounds, points, way, lane }
    }

    fn length(&self) -> f64 {
        self.points.last().map_or(0.0, |(way, ..)| *way)
    }

    /// The place so far from the start, unless a card hides it.
    fn at(&self, way: f64) -> Option<Point> {
        let next = self.points.partition_point(|(there, ..)| *there < way).clamp(1, PIECES);
        let ((from, a, hidden), (to, b, also)) = (self.points[next - 1], self.points[next]);
        let t = if to > from { (way - from) / (to - from) } else { 0.0 };
        (!hidden && !also).then(|| Point::new(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t))
    }
}

/// The runs of a curve whose points no card hides.
fn shown_parts(curve: &Curve, points: &[(f64, Point, bool)]) -> Vec<Curve> {
    let mut parts = Vec::new();
    let mut from = None;
    for (step, (.., is_hidden)) in points.iter().enumerate() {
        match (from, is_hidden) {
            (None, false) => from = Some(step),
            (Some(start), true) => {
                parts.push((start, step - 1));
                from = None;
            }
            _ => {}
        }
    }
    parts.extend(from.map(|start| (start, points.len() - 1)));
    let at = |step: usize| step as f64 / PIECES as f64;
    parts.into_iter().filter(|(from, to)| from < to).map(|(from, to)| curve.part(at(from), at(to))).collect()
}

/// The traffic that the map shows.
#[derive(Default)]
pub(super) struct Stream {
    /// The busiest last, so that they are drawn over the others.
    tracks: Vec<Track>,
    stops: Vec<Stop>,
    motion: Motion,
    /// When marks were moved last, in milliseconds.
    moved: Option<f64>,
    /// Marks in the last frame.
    marks: usize,
}

impl Stream {
    /// Takes new lanes on a scene. Marks of lanes that go on do not jump.
    pub(super) fn take(&mut self, lanes: &Lanes, scene: &Scene) {
        let ways: HashMap<(Target, Target), f64> =
            self.tracks.drain(..).map(|track| ((track.lane.from, track.lane.to), track.way)).collect();
        let mut busiest: Vec<&Lane> = lanes.lanes.iter().collect();
        busiest.sort_by(|a, b| {
            (a.focused, a.rate).partial_cmp(&(b.focused, b.rate)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let first = busiest.len().saturating_sub(LANES);
        let cards: Vec<Rect> = scene.items().iter().filter(hides).map(|item| item.rect).collect();
        let track = |lane: &&Lane| {
            let way = ways.get(&(lane.from.clone(), lane.to.clone())).copied();
            Track::new((*lane).clone(), &cards, way.unwrap_or_default())
        };
        self.tracks = busiest[first..].iter().map(track).collect();
        self.stops = lanes.stops.clone();
    }

    pub(super) fn set_motion(&mut self, motion: Motion) {
        self.motion = motion;
        self.moved = None;
    }

    /// True if another frame would look different.
    pub(super) fn is_moving(&self) -> bool {
        self.motion == Motion::Moving && self.marks > 0
    }

    /// Moves the marks to `now`.
    pub(super) fn advance(&mut self, now: f64) {
        if self.motion != Motion::Moving {
            return;
        }
        // After a pause of any kind they go on from where they were.
        let seconds = self.moved.replace(now).map_or(0.0, |moved| (now - moved).clamp(0.0, 100.0) / 1_000.0);
        for track in &mut self.tracks {
            track.way += speed_of(track.lane.rate) * seconds;
        }
    }

    /// Draws lanes and marks within `world`.
    pub(super) fn draw(&mut self, brush: &mut Brush, world: Rect) {
        let has_focus = self.tracks.iter().any(|track| track.lane.focused);
        let has_marks = self.motion != Motion::None && Detail::at(brush.zoom) > Detail::Tile;
        let mut room = if has_marks { MARKS } else { 0 };
        let all = room;
        for track in self.tracks.iter().filter(|track| track.bounds.grown(8.0).intersects(world)) {
            let style = Style::of(&track.lane, has_focus, brush);
            brush.lane(&track.parts, &style);
            if style.alpha > 0.3 {
                room = draw_marks(brush, track, &style, world, room);
            }
        }
        self.marks = all - room;
        brush.done();
    }

    /// True if a lane may cross the rectangle.
    pub(super) fn crosses(&self, rect: Rect) -> bool {
        self.tracks.iter().any(|track| track.bounds.grown(8.0).intersects(rect))
    }

    /// What goes wrong, at the card of the Service.
    pub(super) fn draw_stops(
        &self,
        brush: &mut Brush,
        scene: &Scene,
        world: Rect,
        place: &dyn Fn(&Item) -> Rect,
    ) {
        for stop in &self.stops {
            let Some(item) = scene.find(&Target::Service(stop.service.clone())) else { continue };
            let rect = place(item);
            if item.path != PathRole::Off && rect.grown(20.0).intersects(world) {
                brush.trouble(&[stop_words(stop), rate_text(stop.sum())], rect);
            }
        }
    }
}

/// Marks at equal distances, from the busiest lanes on until there is no room for more.
fn draw_marks(brush: &mut Brush, track: &Track, style: &Style, world: Rect, room: usize) -> usize {
    let distance = distance_of(track.lane.rate) / brush.zoom;
    let mut way = (track.way / brush.zoom).rem_euclid(distance);
    let mut left = room;
    while way < track.length() && left > 0 {
        if let Some(at) = track.at(way).filter(|at| world.contains(*at)) {
            brush.mark(at, style);
            left -= 1;
        }
        way += distance;
    }
    left
}

/// How a lane looks.
struct Style {
    color: String,
    width: f64,
    alpha: f64,
}

impl Style {
    fn of(lane: &Lane, has_focus: bool, brush: &Brush) -> Style {
        let color = match lane {
            lane if lane.focused || lane.path == PathRole::On => &brush.palette.accent,
            lane if lane.open => &brush.palette.ext,
            _ => &brush.palette.sim,
        };
        let alpha = match (lane.path, lane.focused, has_focus) {
            (PathRole::Off, ..) => 0.12,
            (PathRole::On | PathRole::Stop, ..) | (_, true, _) => 0.95,
            (_, false, true) => 0.34,
            (_, false, false) => 0.72,
        };
        Style { color: color.clone(), width: width_of(lane.rate).max(1.2 / brush.zoom), alpha }
    }
}

impl Brush<'_> {
    fn lane(&self, parts: &[Curve], style: &Style) {
        self.ctx.set_stroke_style_str(&style.color);
        self.ctx.set_line_width(style.width);
        self.ctx.set_global_alpha(style.alpha);
        self.ctx.begin_path();
        for Curve { points: [a, b, c, d], .. } in parts {
            self.ctx.move_to(a.x, a.y);
            self.ctx.bezier_curve_to(b.x, b.y, c.x, c.y, d.x, d.y);
        }
        self.ctx.stroke();
    }

    /// Rimmed, so that it is seen on its own lane.
    fn mark(&self, at: Point, style: &Style) {
        let radius = (style.width / 2.0 + 1.1).max(2.4 / self.zoom);
        self.ctx.set_global_alpha(1.0);
        self.ctx.begin_path();
        let _ = self.ctx.arc(at.x, at.y, radius, 0.0, TAU);
        self.ctx.set_fill_style_str(&style.color);
        self.ctx.fill();
        self.ctx.set_stroke_style_str(&self.palette.bg);
        self.ctx.set_line_width((1.0 / self.zoom).min(1.4));
        self.ctx.stroke();
    }

    fn done(&self) {
        self.ctx.set_global_alpha(1.0);
    }

    /// A cross on the upper line of a card, with the first of these words that are no wider than it.
    fn trouble(&self, words: &[String], rect: Rect) {
        let size = (10.0 / self.zoom).clamp(10.5, 40.0);
        self.ctx.set_font(&format!("600 {size:.2}px {}", self.palette.family));
        let width_of = |text: &str| self.ctx.measure_text(text).map_or(0.0, |metrics| metrics.width());
        let fits = |text: &&String| width_of(text) + size * 2.0 <= rect.w;
        let words = words.iter().find(fits).map_or("", String::as_str);
        let width = if words.is_empty() { size * 1.3 } else { width_of(words) + size * 2.0 };
        let ground = Rect::new(rect.right() - width - 6.0, rect.y - size * 0.75, width, size * 1.4);
        self.ctx.begin_path();
        let _ = self.ctx.round_rect_with_f64(ground.x, ground.y, ground.w, ground.h, size * 0.6);
        self.ctx.set_fill_style_str(&self.palette.surface);
        self.ctx.fill();
        self.ctx.set_stroke_style_str(&self.palette.bad);
        self.ctx.set_line_width(1.2_f64.max(1.0 / self.zoom));
        self.ctx.stroke();
        let (x, y, arm) = (ground.x + size * 0.65, ground.center().y, size * 0.24);
        self.ctx.begin_path();
        self.ctx.move_to(x - arm, y - arm);
        self.ctx.line_to(x + arm, y + arm);
        self.ctx.move_to(x + arm, y - arm);
        self.ctx.line_to(x - arm, y + arm);
        self.ctx.set_line_width(size * 0.16);
        self.ctx.stroke();
        if !words.is_empty() {
            self.ctx.set_fill_style_str(&self.palette.bad);
            let _ = self.ctx.fill_text(words, ground.x + size * 1.2, y + size * 0.36);
        }
    }
}

/// What is drawn over lanes.
fn hides(item: &&Item) -> bool {
    !matches!(item.kind, ItemKind::Island | ItemKind::Node)
}

/// `4.2/s refused`; of several kinds, the sum and their names.
fn stop_words(stop: &Stop) -> String {
    let kinds = [(stop.refused, "refused"), (stop.dropped, "dropped"), (stop.failed, "failed")];
    let names: Vec<&str> = kinds.iter().filter(|(rate, _)| *rate > 0.0).map(|(_, name)| *name).collect();
    format!("{} {}", rate_text(stop.sum()), names.join(", "))
}

#[cfg(test)]
mod tests {
    use vipscope_shared::model::Key;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn lane(rate: f64, b: Point) -> Lane {
        let service = Key::new("shop", "web");
        Lane {
            from: Target::Service(service.clone()),
            to: Target::Pod(Key::new("shop", format!("to-{}", b.y))),
            service,
            a: Point::new(0.0, 0.0),
            b,
            rate,
            open: false,
            focused: false,
            path: PathRole::None,
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn more_is_wider_faster_and_denser_but_bounded() {
        for (less, more) in [(0.1, 1.0), (1.0, 5.0), (5.0, 9.0)] {
            assert!(width_of(less) < width_of(more) && speed_of(less) < speed_of(more), "{less} {more}");
            assert!(distance_of(less) > distance_of(more), "{less} {more}");
        }
        assert_eq!((width_of(1e9), speed_of(1e9), distance_of(1e9)), (8.0, 210.0, 34.0));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_card_hides_what_is_below_it() {
        let card = Rect::new(400.0, -50.0, 200.0, 400.0);
        let track = Track::new(lane(1.0, Point::new(1_000.0, 300.0)), &[card], 0.0);
        assert_eq!(track.parts.len(), 2);
        assert!(track.parts.iter().flat_map(|part| part.points).all(|at| !card.grown(-20.0).contains(at)));
        assert_eq!(track.at(track.length() / 2.0), None);
        for way in [1.0, track.length() - 1.0] {
            assert!(track.at(way).is_some_and(|at| !card.contains(at)), "{way}");
        }
        let free =
            Track::new(lane(1.0, Point::new(1_000.0, 300.0)), &[Rect::new(0.0, 500.0, 900.0, 9.0)], 0.0);
        assert_eq!(free.parts.len(), 1);
        assert!(free.length() > 1_000.0_f64.hypot(300.0));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn marks_go_on_from_where_they_were_and_stand_still_when_paused() {
        let lanes = Lanes { lanes: vec![lane(3.0, Point::new(500.0, 40.0))], stops: Vec::new() };
        let mut stream = Stream::default();
        stream.take(&lanes, &Scene::default());
        stream.set_motion(Motion::Moving);
        let way = |stream: &mut Stream, now: f64| {
            stream.advance(now);
            stream.tracks[0].way
        };
        assert_eq!(way(&mut stream, 1_000.0), 0.0);
        let moved = way(&mut stream, 1_050.0);
        assert!((moved - speed_of(3.0) * 0.05).abs() < 1e-9);
        stream.take(&lanes, &Scene::default());
        assert_eq!(stream.tracks[0].way, moved, "new rates do not move it");
        stream.set_motion(Motion::Paused);
        assert_eq!(way(&mut stream, 2_000.0), moved);
        stream.set_motion(Motion::Moving);
        assert_eq!(way(&mut stream, 9_000.0), moved, "no leap after a pause");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn only_the_busiest_are_drawn() {
        let many = |nth: usize| lane(1.0 + nth as f64, Point::new(500.0, nth as f64));
        let lanes = Lanes { lanes: (0..LANES + 50).map(many).collect(), stops: Vec::new() };
        let mut stream = Stream::default();
        stream.take(&lanes, &Scene::default());
        let least = stream.tracks.iter().map(|track| track.lane.rate).fold(f64::MAX, f64::min);
        assert_eq!((stream.tracks.len(), least), (LANES, 51.0));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn trouble_in_words() {
        let stop = |refused, dropped, failed| Stop { service: Key::new("a", "b"), refused, dropped, failed };
        for (stop, words) in [
            (stop(4.2, 0.0, 0.0), "4.2/s refused"),
            (stop(0.0, 2.0, 0.0), "2/s dropped"),
            (stop(1.0, 0.0, 2.0), "3/s refused, failed"),
        ] {
            assert_eq!(stop_words(&stop), words);
        }
    }
}
