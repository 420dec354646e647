//! Draws items and edges into a context whose transform is set to world units. Level of detail by zoom: full cards, then
//! titles only, then coloured tiles with a mark.

use std::f64::consts::{PI, TAU};

use js_sys::Array;
use vipscope_shared::scene::{
    Basis, Edge, Ghost, Health, Item, ItemKind, PathRole, PodLook, Rect, Scene, SourceId, Target,
};
use web_sys::CanvasRenderingContext2d as Context;

use super::curve::Curve;
use super::palette::Palette;
use super::text::{Cut, Texts};

/// How much of an item is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detail {
    Tile,
    Title,
    Full,
}

impl Detail {
    pub(super) fn at(zoom: f64) -> Detail {
        match zoom {
            zoom if zoom < 0.26 => Detail::Tile,
            zoom if zoom < 0.72 => Detail::Title,
            _ => Detail::Full,
        }
    }
}

/// With more edges than this, nobody could tell them apart: those out of focus are hinted at where they start, and drawn
/// while the pointer is on one of their ends.
const CROWDED: usize = 600;
/// Length of such a hint, in world units.
const STUB: f64 = 18.0;
/// With more shares than this on the way of a packet, they are written on the rows only.
const LABELLED: usize = 16;
/// With more items than this, edges in focus are drawn over the cards.
const MANY: usize = 160;
/// Distance of the dots in the background, in world units.
const DOTS: f64 = 22.0;

/// How an item stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Selected,
}

pub(super) struct Brush<'a> {
    pub(super) ctx: &'a Context,
    pub(super) palette: &'a Palette,
    pub(super) texts: &'a mut Texts,
    pub(super) zoom: f64,
}

/// The picture without what changes by pointing, within `world`. `place` says where an item is now.
pub(super) fn base(
    brush: &mut Brush,
    scene: &Scene,
    edges: &[Edge],
    world: Rect,
    place: &dyn Fn(&Item) -> Rect,
) {
    brush.ground(world);
    // Names may reach a little beyond their outline.
    let around = |rect: Rect| rect.grown(20.0).intersects(world);
    let near = |rect: Rect| rect.grown(2.0).intersects(world);
    let frame = |item: &&Item| matches!(item.kind, ItemKind::Island | ItemKind::Node);
    for item in scene.items().iter().filter(frame) {
        let rect = place(item);
        if near(rect) {
            brush.frame(item, rect, Look::Plain, world);
        }
    }
    let crowded = edges.len() > CROWDED;
    if !crowded {
        edges.iter().filter(|edge| !edge.focused).for_each(|edge| brush.edge(edge, false, world));
    } else if brush.detail() > Detail::Tile {
        brush.stubs(edges, world);
    }
    let on_top = is_on_top(scene, brush.zoom);
    let focused = || edges.iter().filter(|edge| edge.focused || (crowded && edge.ghost.is_some()));
    if !on_top {
        focused().for_each(|edge| brush.edge(edge, true, world));
    }
    for item in scene.items().iter().filter(|item| !frame(item)) {
        let rect = place(item);
        if near(rect) {
            brush.item(item, rect, Look::Plain);
        }
    }
    for item in scene.items().iter().filter(frame) {
        let rect = place(item);
        if around(rect) {
            brush.frame_label(item, rect);
        }
    }
    if on_top {
        focused().for_each(|edge| brush.edge(edge, true, world));
    }
    let labelled = || edges.iter().filter(|edge| !edge.label.is_empty());
    if brush.detail() > Detail::Tile && labelled().count() <= LABELLED {
        labelled().for_each(|edge| brush.edge_label(edge, world));
    }
    brush.headings(scene);
}

/// Whether edges in focus are drawn over the cards: where they would vanish below too many of them, or are the way of a
/// packet.
fn is_on_top(scene: &Scene, zoom: f64) -> bool {
    let is_traced = || scene.edges().first().is_some_and(|edge| edge.path != PathRole::None);
    Detail::at(zoom) == Detail::Tile || scene.items().len() > MANY || is_traced()
}

/// `rect` without what is far above or below `world`, in whole steps of a dash pattern.
fn clipped(rect: Rect, world: Rect, step: f64) -> Rect {
    let whole = |length: f64| (length / step).floor().max(0.0) * step;
    let above = whole(world.y - rect.y);
    let below = whole(rect.bottom() - world.bottom());
    Rect::new(rect.x, rect.y + above, rect.w, rect.h - above - below)
}

impl Brush<'_> {
    fn detail(&self) -> Detail {
        Detail::at(self.zoom)
    }

    /// CSS pixels in world units.
    fn px(&self, pixels: f64) -> f64 {
        pixels / self.zoom
    }

    fn fill(&self, color: &str) {
        self.ctx.set_fill_style_str(color);
    }

    fn stroke(&self, color: &str, width: f64) {
        self.ctx.set_stroke_style_str(color);
        self.ctx.set_line_width(width.max(self.px(1.0)));
    }

    fn path(&self, rect: Rect, radius: f64) {
        self.ctx.begin_path();
        let radius = radius.min(rect.w / 2.0).min(rect.h / 2.0);
        let _ = self.ctx.round_rect_with_f64(rect.x, rect.y, rect.w, rect.h, radius);
    }

    fn dash(&self, lengths: &[f64]) {
        let array: Array = lengths.iter().map(|length| wasm_bindgen::JsValue::from_f64(*length)).collect();
        let _ = self.ctx.set_line_dash(&array);
    }

    fn alpha(&self, alpha: f64) {
        self.ctx.set_global_alpha(alpha);
    }

    fn font(&self, weight: u16, size: f64) -> String {
        let font = format!("{weight} {size:.2}px {}", self.palette.family);
        self.ctx.set_font(&font);
        font
    }

    /// Text on a base line; answers its width.
    fn text(&mut self, text: &str, at: (f64, f64), room: f64, cut: Cut, font: &str) {
        let fitted = self.texts.fit(self.ctx, font, text, room, cut);
        let _ = self.ctx.fill_text(&fitted, at.0, at.1);
    }

    /// Text that ends at `right`; answers where it starts.
    fn text_right(&mut self, text: &str, right: f64, y: f64, room: f64, font: &str) -> f64 {
        let fitted = self.texts.fit(self.ctx, font, text, room, Cut::End);
        let width = self.ctx.measure_text(&fitted).map_or(0.0, |metrics| metrics.width());
        let _ = self.ctx.fill_text(&fitted, right - width, y);
        right - width
    }

    /// The background with its dots.
    fn ground(&self, world: Rect) {
        self.fill(&self.palette.bg);
        self.ctx.fill_rect(world.x, world.y, world.w, world.h);
        let mut step = DOTS;
        while step * self.zoom < 14.0 {
            step *= 2.0;
        }
        self.fill(&self.palette.line_soft);
        let size = self.px(1.6);
        let (mut y, right, bottom) = ((world.y / step).floor() * step, world.right(), world.bottom());
        while y < bottom {
            let mut x = (world.x / step).floor() * step;
            while x < right {
                self.ctx.fill_rect(x, y, size, size);
                x += step;
            }
            y += step;
        }
    }

    fn headings(&mut self, scene: &Scene) {
        let size = self.px(if self.zoom < 0.5 { 9.5 } else { 11.0 }).clamp(11.0, 60.0);
        let font = self.font(400, size);
        self.fill(&self.palette.muted);
        for (at, text) in scene.headings() {
            self.text(text, (at.x, at.y), 4000.0, Cut::End, &font);
        }
    }

    /// The outline of a namespace or a node, as far as it is within `world`.
    fn frame(&mut self, item: &Item, rect: Rect, look: Look, world: Rect) {
        let island = item.kind == ItemKind::Island;
        let color = match (look, item.health) {
            (Look::Plain, Health::Failing) if !island => &self.palette.bad,
            (Look::Plain, _) => &self.palette.line,
            _ => &self.palette.accent,
        };
        let near = clipped(rect, world.grown(40.0), self.px(7.0));
        self.path(near, 12.0);
        if !island {
            self.fill(&self.palette.surface);
            self.ctx.fill();
        } else if self.detail() == Detail::Tile {
            self.alpha(0.5);
            self.fill(&self.palette.surface);
            self.ctx.fill();
            self.alpha(1.0);
        }
        self.stroke(color, if look == Look::Selected { self.px(1.6) } else { 1.0 });
        if island {
            self.dash(&[self.px(3.0), self.px(4.0)]);
        }
        self.ctx.stroke();
        self.dash(&[]);
    }

    /// The name on an outline. When zoomed out it stays readable, on a ground of its own.
    pub(super) fn frame_label(&mut self, item: &Item, rect: Rect) {
        let detail = self.detail();
        let island = item.kind == ItemKind::Island;
        let size = match detail {
            Detail::Full if island => (item.head * 0.37).clamp(11.0, 15.0),
            Detail::Full => (item.head * 0.37).clamp(12.0, 15.0),
            Detail::Title => self.px(10.5),
            Detail::Tile => self.px(if island { 10.5 } else { 9.0 }),
        };
        let (x, y) = (rect.x + 12.0, rect.y + item.head * 0.5 + size * 0.36);
        if detail == Detail::Tile || item.head < size * 1.4 {
            return self.tile_label(item, rect, size);
        }
        let font = self.font(600, size);
        self.fill(if island { &self.palette.muted } else { &self.palette.text });
        let fitted = self.texts.fit(self.ctx, &font, &item.label, rect.w - 24.0, Cut::End);
        let width = self.ctx.measure_text(&fitted).map_or(0.0, |metrics| metrics.width());
        let _ = self.ctx.fill_text(&fitted, x, y);
        let room = rect.w - 24.0 - width - size;
        if item.tag.is_empty() || room < size * 2.5 || (detail != Detail::Full && item.health == Health::Ok) {
            return;
        }
        let font = self.font(400, size.min(11.0_f64.max(size * 0.8)));
        let color = match item.health {
            Health::Failing if !island => &self.palette.bad,
            Health::Degraded if !island => &self.palette.warn,
            _ => &self.palette.muted,
        };
        self.fill(color);
        self.text_right(&item.tag, rect.right() - 12.0, y, room, &font);
    }

    /// A name on a ground of its own, on the upper line of an outline.
    fn tile_label(&mut self, item: &Item, rect: Rect, size: f64) {
        if rect.w * self.zoom < 16.0 {
            return;
        }
        let cut = if item.kind == ItemKind::Node { Cut::Middle } else { Cut::End };
        let font = self.font(600, size);
        let fitted = self.texts.fit(self.ctx, &font, &item.label, rect.w - size * 0.6, cut);
        let width = self.ctx.measure_text(&fitted).map_or(0.0, |metrics| metrics.width());
        let lift = if item.head < size * 1.4 { -size * 0.6 } else { size * 0.15 };
        let ground = Rect::new(rect.x + size * 0.15, rect.y + lift, width + size * 0.5, size * 1.3);
        self.alpha(0.88);
        self.fill(&self.palette.bg);
        self.path(ground, size * 0.3);
        self.ctx.fill();
        self.alpha(1.0);
        self.fill(&self.palette.text);
        let _ = self.ctx.fill_text(&fitted, ground.x + size * 0.25, ground.y + size);
    }

    pub(super) fn item(&mut self, item: &Item, rect: Rect, look: Look) {
        self.body(item, rect, look);
        if let Some(ghost) = item.ghost.filter(|_| !matches!(item.kind, ItemKind::Island | ItemKind::Node)) {
            self.ghost(item, rect, ghost);
        }
        match item.path {
            PathRole::Off => self.veil(item, rect),
            PathRole::On if look == Look::Plain && !matches!(item.kind, ItemKind::Node) => {
                self.outline(rect, item.kind, 1.5)
            }
            PathRole::Stop => self.stop(rect),
            _ => {}
        }
    }

    /// What would go is faint; what would come, go or change has a dashed frame of its own.
    fn ghost(&self, item: &Item, rect: Rect, ghost: Ghost) {
        if ghost != Ghost::Changed && self.detail() != Detail::Tile {
            let veil = if ghost == Ghost::Gone { 0.45 } else { 0.2 };
            self.path(rect.grown(1.0), 6.0);
            self.alpha(veil);
            self.fill(&self.palette.surface);
            self.ctx.fill();
            self.alpha(1.0);
        }
        let (color, dash) = self.ghost_line(ghost);
        let radius = if matches!(item.kind, ItemKind::Service { .. } | ItemKind::Source) { 8.0 } else { 6.0 };
        self.path(rect, radius);
        self.stroke(color, self.px(1.8));
        self.dash(&dash.map(|length| self.px(length).max(length * 0.6)));
        self.ctx.stroke();
        self.dash(&[]);
    }

    /// Colour and pattern of what would go, come or change: the pattern says it without the colour.
    fn ghost_line(&self, ghost: Ghost) -> (&str, [f64; 2]) {
        match ghost {
            Ghost::Gone => (&self.palette.bad, [3.0, 4.0]),
            Ghost::New => (&self.palette.ok, [9.0, 4.0]),
            Ghost::Changed => (&self.palette.warn, [6.0, 3.0]),
        }
    }

    /// What is beside the way of a packet is faint.
    fn veil(&self, item: &Item, rect: Rect) {
        let radius = if matches!(item.kind, ItemKind::Pod(_) | ItemKind::More { .. }) { 6.0 } else { 8.0 };
        let ground = match item.kind {
            ItemKind::Pod(_) | ItemKind::More { .. } => &self.palette.surface,
            _ => &self.palette.bg,
        };
        self.path(rect.grown(1.0), radius);
        self.alpha(0.62);
        self.fill(ground);
        self.ctx.fill();
        self.alpha(1.0);
    }

    /// The way ends here: a cross where it comes in, and a frame.
    fn stop(&self, rect: Rect) {
        self.path(rect, 8.0);
        self.stroke(&self.palette.bad, self.px(1.8));
        self.ctx.stroke();
        let (x, y, radius) = (rect.x, rect.y + rect.h.min(46.0) / 2.0, self.px(7.0).clamp(7.0, 16.0));
        self.ctx.begin_path();
        let _ = self.ctx.arc(x, y, radius, 0.0, TAU);
        self.fill(&self.palette.bad);
        self.ctx.fill();
        self.health(Health::Failing, x, y, radius * 0.6, Some(&self.palette.surface));
    }

    fn body(&mut self, item: &Item, rect: Rect, look: Look) {
        match item.kind {
            ItemKind::Island | ItemKind::Node => {
                self.frame(item, rect, look, rect);
                self.frame_label(item, rect);
            }
            ItemKind::Source => self.source(item, rect, look),
            ItemKind::Service { name_only } => self.service(item, rect, look, name_only),
            ItemKind::Port => self.port(item, rect, look),
            ItemKind::Pod(pod) => self.pod(item, rect, look, Some(pod)),
            ItemKind::More { .. } => self.pod(item, rect, look, None),
        }
    }

    /// A line around an item, `width` CSS pixels wide.
    pub(super) fn outline(&self, rect: Rect, kind: ItemKind, width: f64) {
        let radius = match kind {
            ItemKind::Island | ItemKind::Node => 12.0,
            ItemKind::Source | ItemKind::Service { .. } => 8.0,
            ItemKind::Port | ItemKind::Pod(_) | ItemKind::More { .. } => 6.0,
        };
        self.path(rect, radius);
        self.stroke(&self.palette.accent, self.px(width));
        self.ctx.stroke();
    }

    fn card(&self, rect: Rect, look: Look) {
        self.path(rect, 8.0);
        self.fill(if look == Look::Selected { &self.palette.accent_soft } else { &self.palette.surface });
        self.ctx.fill();
        let plain = look == Look::Plain;
        self.stroke(
            if plain { &self.palette.line } else { &self.palette.accent },
            if plain { 1.0 } else { 1.6 },
        );
        self.ctx.stroke();
    }

    /// Title and subtitle right of the mark, as far as there is room for them.
    fn lines(&mut self, item: &Item, left: f64, rect: Rect, head: f64, right: f64) {
        let room = right - left;
        if self.detail() == Detail::Title {
            let size = self.px(10.5).clamp(12.0, 32.0);
            let font = self.font(600, size);
            self.fill(&self.palette.text);
            return self.text(&item.label, (left, rect.y + head / 2.0 + size * 0.36), room, Cut::End, &font);
        }
        let font = self.font(600, 12.0);
        self.fill(&self.palette.text);
        self.text(&item.label, (left, rect.y + 19.0), room, Cut::End, &font);
        let font = self.font(400, 11.0);
        let failing = item.health == Health::Failing || item.path == PathRole::Stop;
        self.fill(if failing { &self.palette.bad } else { &self.palette.muted });
        let room = if failing { rect.right() - left - 8.0 } else { room };
        self.text(&item.subtitle, (left, rect.y + 35.0), room + 14.0, Cut::End, &font);
    }

    fn source(&mut self, item: &Item, rect: Rect, look: Look) {
        let outside = item.target == Target::Source(SourceId::Outside);
        let color = if outside { &self.palette.ext } else { &self.palette.sim };
        if self.detail() == Detail::Tile {
            self.tile(rect, color, 0.5, look);
            return self.tile_title(item, rect);
        }
        self.card(rect, look);
        self.fill(color);
        let mark = Rect::new(rect.x + 10.0, rect.y + 15.0, 14.0, 14.0);
        self.path(mark, if outside { 7.0 } else { 3.0 });
        self.ctx.fill();
        self.lines(item, rect.x + 34.0, rect, rect.h, rect.right() - 12.0);
    }

    fn service(&mut self, item: &Item, rect: Rect, look: Look, name_only: bool) {
        if self.detail() == Detail::Tile {
            let (color, alpha) = match item.health {
                Health::Ok => (&self.palette.ok, 0.32),
                Health::Degraded => (&self.palette.warn, 1.0),
                Health::Failing => (&self.palette.bad, 1.0),
                Health::Unknown => (&self.palette.off, 0.4),
            };
            self.tile(rect, color, alpha, look);
            if matches!(item.health, Health::Degraded | Health::Failing) {
                let center = rect.center();
                let size = (rect.h * 0.3).min(9.0).max(self.px(2.5));
                self.health(item.health, center.x, center.y, size, Some(&self.palette.bg));
            }
            return;
        }
        self.card(rect, look);
        let head = 46.0;
        let (x, y) = (rect.x + 20.0, rect.y + head / 2.0);
        self.ctx.begin_path();
        self.ctx.move_to(x - 8.0, y);
        self.ctx.line_to(x, y - 8.0);
        self.ctx.line_to(x + 8.0, y);
        self.ctx.line_to(x, y + 8.0);
        self.ctx.close_path();
        self.stroke(&self.palette.vip, 1.0);
        self.ctx.stroke();
        if !name_only {
            self.fill(&self.palette.vip);
            self.ctx.fill();
        }
        let big = self.detail() == Detail::Title;
        let (size, y) = if big { (9.0, rect.y + head / 2.0) } else { (6.0, rect.y + 17.0) };
        self.health(item.health, rect.right() - 20.0, y, size, None);
        self.lines(item, rect.x + 38.0, rect, head, rect.right() - 34.0);
    }

    fn port(&mut self, item: &Item, rect: Rect, look: Look) {
        if self.detail() == Detail::Tile {
            return;
        }
        let marked = look != Look::Plain || item.focused;
        self.path(rect, 5.0);
        self.fill(if marked { &self.palette.accent_soft } else { &self.palette.raised });
        self.ctx.fill();
        self.stroke(if look == Look::Plain { &self.palette.line_soft } else { &self.palette.accent }, 1.0);
        self.ctx.stroke();
        let title = self.detail() == Detail::Title;
        let size = if title { self.px(9.0).clamp(11.0, 16.0) } else { 11.0 };
        let (y, right) = (rect.center().y + size * 0.36, rect.right() - 8.0);
        let font = self.font(400, size);
        let mut end = right;
        if !title {
            self.fill(&self.palette.muted);
            end = self.text_right(&item.tag, right, y, rect.w * 0.66, &font) - 8.0;
        }
        self.fill(&self.palette.text);
        self.text(&item.label, (rect.x + 8.0, y), end - rect.x - 8.0, Cut::End, &font);
    }

    /// The row of a pod, or of an aggregate (`None`).
    fn pod(&mut self, item: &Item, rect: Rect, look: Look, pod: Option<PodLook>) {
        let color = match item.health {
            Health::Ok => &self.palette.ok,
            Health::Degraded => &self.palette.warn,
            Health::Failing => &self.palette.bad,
            Health::Unknown => &self.palette.off,
        };
        if rect.h * self.zoom < 8.0 {
            let alpha = if item.health == Health::Ok { 0.3 } else { 0.9 };
            let (color, alpha) = if pod.is_none() { (&self.palette.line, 0.9) } else { (color, alpha) };
            return self.tile(rect, color, alpha, look);
        }
        self.path(rect, 6.0);
        self.fill(if look == Look::Selected { &self.palette.accent_soft } else { &self.palette.raised });
        self.ctx.fill();
        let border = match (look, item.health) {
            (Look::Plain, Health::Failing) if pod.is_some() => &self.palette.bad,
            (Look::Plain, _) if item.focused => &self.palette.accent,
            (Look::Plain, _) => &self.palette.line,
            _ => &self.palette.accent,
        };
        self.stroke(border, if look == Look::Plain { 1.0 } else { 1.4 });
        if pod.is_none() {
            self.dash(&[3.0, 3.0]);
        }
        self.ctx.stroke();
        self.dash(&[]);
        let mid = rect.center().y;
        if let Some(pod) = pod {
            self.dot(pod, rect.x + 12.0, mid);
        }
        self.pod_text(item, rect, pod.is_some());
    }

    fn pod_text(&mut self, item: &Item, rect: Rect, is_pod: bool) {
        let small = self.zoom < 0.62;
        let size = if small { self.px(8.5).clamp(11.5, 17.0) } else { 11.5 };
        let y = rect.center().y + size * 0.36;
        let mut end = rect.right() - 9.0;
        if !item.tag.is_empty() && (!small || item.focused || item.ghost.is_some()) {
            let font = self.font(400, size - 0.5);
            let color = match item.health {
                Health::Failing => &self.palette.bad,
                Health::Degraded => &self.palette.warn,
                _ => &self.palette.muted,
            };
            self.fill(color);
            end = self.text_right(&item.tag, end, y, rect.w * 0.5, &font) - 7.0;
        }
        let font = self.font(400, size);
        self.fill(if is_pod { &self.palette.text } else { &self.palette.muted });
        let left = rect.x + 24.0;
        self.text(&item.label, (left, y), end - left, if is_pod { Cut::Middle } else { Cut::End }, &font);
    }

    /// Filled: ready. A ring: not ready. A dashed ring with a bar: shutting down.
    fn dot(&self, pod: PodLook, x: f64, y: f64) {
        self.ctx.begin_path();
        let _ = self.ctx.arc(x, y, 4.0, 0.0, TAU);
        match pod {
            PodLook::Ready => {
                self.fill(&self.palette.ok);
                self.ctx.fill();
            }
            PodLook::NotReady => {
                self.stroke(&self.palette.bad, 1.6);
                self.ctx.stroke();
            }
            PodLook::Terminating => {
                self.stroke(&self.palette.warn, 1.4);
                self.ctx.stroke();
                self.ctx.begin_path();
                let _ = self.ctx.arc(x, y, 4.0, PI / 4.0, PI * 1.25);
                self.fill(&self.palette.warn);
                self.ctx.fill();
            }
        }
    }

    /// A check, a triangle, a cross or a dash, about two `size` wide.
    fn health(&self, health: Health, x: f64, y: f64, size: f64, color: Option<&str>) {
        let (palette, unit) = (self.palette, size / 6.0);
        self.ctx.begin_path();
        let line = |color: &str, width: f64| {
            self.stroke(color, width * unit);
            self.ctx.stroke();
        };
        let at = |dx: f64, dy: f64| (x + dx * unit, y + dy * unit);
        let polyline = |points: &[(f64, f64)]| {
            for (nth, (dx, dy)) in points.iter().enumerate() {
                let (x, y) = at(*dx, *dy);
                if nth == 0 { self.ctx.move_to(x, y) } else { self.ctx.line_to(x, y) }
            }
        };
        match health {
            Health::Ok => {
                polyline(&[(-5.0, 0.0), (-1.4, 3.6), (5.0, -3.4)]);
                line(color.unwrap_or(&palette.ok), 1.8);
            }
            Health::Degraded => {
                polyline(&[(0.0, -6.0), (6.5, 5.0), (-6.5, 5.0)]);
                self.ctx.close_path();
                self.fill(color.unwrap_or(&palette.warn));
                self.ctx.fill();
            }
            Health::Failing => {
                polyline(&[(-5.0, -5.0), (5.0, 5.0)]);
                polyline(&[(5.0, -5.0), (-5.0, 5.0)]);
                line(color.unwrap_or(&palette.bad), 2.0);
            }
            Health::Unknown => {
                polyline(&[(-5.0, 0.0), (5.0, 0.0)]);
                line(color.unwrap_or(&palette.off), 2.0);
            }
        }
    }

    fn tile(&self, rect: Rect, color: &str, alpha: f64, look: Look) {
        self.path(rect, 6.0);
        self.alpha(alpha);
        self.fill(color);
        self.ctx.fill();
        self.alpha(1.0);
        if look != Look::Plain {
            self.stroke(&self.palette.accent, self.px(2.0));
            self.ctx.stroke();
        }
    }

    /// A title over a tile, if that is large enough to hold one.
    fn tile_title(&mut self, item: &Item, rect: Rect) {
        let size = self.px(9.5).min(rect.h * 0.88);
        if size * self.zoom < 7.5 {
            return;
        }
        let font = self.font(600, size);
        self.fill(&self.palette.text);
        let y = rect.center().y + size * 0.36;
        self.text(&item.label, (rect.x + size * 0.4, y), rect.w - size * 0.8, Cut::End, &font);
    }

    /// For each Service, a hint that edges start at its card.
    fn stubs(&self, edges: &[Edge], world: Rect) {
        self.ctx.set_line_cap("round");
        self.dash(&[0.01, 4.5]);
        self.alpha(0.8);
        self.stroke(&self.palette.sim, 1.8);
        let mut last = None;
        for edge in edges.iter().filter(|edge| edge.endpoints > 0 && !edge.focused) {
            if last == Some(edge.a) || !world.intersects(Rect::new(edge.a.x, edge.a.y - 1.0, STUB, 2.0)) {
                continue;
            }
            last = Some(edge.a);
            self.ctx.begin_path();
            self.ctx.move_to(edge.a.x + 3.0, edge.a.y);
            self.ctx.line_to(edge.a.x + STUB, edge.a.y);
            self.ctx.stroke();
        }
        self.alpha(1.0);
        self.dash(&[]);
        self.ctx.set_line_cap("butt");
    }

    /// The curve of an edge, as far as it is within `world`. Emphasised edges are drawn in full colour.
    pub(super) fn edge(&self, edge: &Edge, emphasised: bool, world: Rect) {
        let Some(curve) = Curve::new(edge.a, edge.b).within(world.grown(6.0)) else { return };
        let broken = edge.health == Health::Failing && edge.share == 0.0;
        let source = edge.endpoints == 0;
        let ghost = edge.ghost.map(|ghost| self.ghost_line(ghost));
        let color = match (broken, source, edge.focused) {
            _ if ghost.is_some() => ghost.map_or("", |(color, _)| color),
            (true, ..) => &self.palette.bad,
            _ if edge.path == PathRole::On => &self.palette.accent,
            (_, false, true) => &self.palette.accent,
            _ if edge.open => &self.palette.ext,
            _ => &self.palette.sim,
        };
        let width = match emphasised {
            _ if broken || ghost.is_some() => 1.8,
            true => 1.5 + 3.0 * edge.share.min(1.0),
            false => 1.1 + 1.5 * edge.share.min(1.0),
        };
        let width = width.max(self.px(if emphasised { 1.4 } else { 0.8 }));
        self.stroke(color, width);
        self.ctx.set_line_cap("round");
        match edge.basis {
            _ if ghost.is_some() => self.dash(&ghost.map_or([0.0; 2], |(_, dash)| dash)),
            _ if broken => self.dash(&[4.0, 4.0]),
            Basis::Observed => self.dash(&[]),
            Basis::Predicted => self.dash(&[width * 3.0, width * 2.5]),
            Basis::Configured => self.dash(&[0.01, width * 2.1]),
        }
        self.alpha(match (emphasised, source) {
            _ if ghost.is_some() && edge.path != PathRole::Off => 0.95,
            (true, false) => 1.0,
            (true, true) => 0.75,
            (false, _) if edge.path == PathRole::Off => 0.12,
            (false, _) => 0.42,
        });
        self.ctx.set_line_dash_offset(curve.offset);
        let [a, b, c, d] = curve.points;
        self.ctx.begin_path();
        self.ctx.move_to(a.x, a.y);
        self.ctx.bezier_curve_to(b.x, b.y, c.x, c.y, d.x, d.y);
        self.ctx.stroke();
        self.alpha(1.0);
        self.dash(&[]);
        self.ctx.set_line_dash_offset(0.0);
        self.ctx.set_line_cap("butt");
    }

    /// The share on an edge, or what stops a packet, on a ground of its own, where edges have parted.
    fn edge_label(&mut self, edge: &Edge, world: Rect) {
        let at = Curve::new(edge.a, edge.b).at(0.72);
        let size = self.px(10.0).clamp(11.0, 22.0);
        self.font(600, size);
        let width = self.ctx.measure_text(&edge.label).map_or(0.0, |metrics| metrics.width());
        let ground =
            Rect::new(at.x - width / 2.0 - size * 0.4, at.y - size * 0.7, width + size * 0.8, size * 1.4);
        if !ground.grown(4.0).intersects(world) {
            return;
        }
        let stops = edge.endpoints == 0;
        self.path(ground, size * 0.5);
        self.fill(if stops { &self.palette.surface } else { &self.palette.accent_soft });
        self.ctx.fill();
        self.stroke(if stops { &self.palette.bad } else { &self.palette.accent }, 1.0);
        self.ctx.stroke();
        self.fill(if stops { &self.palette.bad } else { &self.palette.text });
        let _ = self.ctx.fill_text(&edge.label, at.x - width / 2.0, at.y + size * 0.36);
    }
}
