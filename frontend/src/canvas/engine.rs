//! The frame loop: the only owner of the 2D context. It sleeps until something changes, copies cached tiles while the
//! map moves, and draws everything directly while items glide to new places.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use vipscope_shared::scene::{
    Camera, Edge, Ghost, Insets, Item, ItemKind, Lanes, Point, Rect, Scene, Target,
};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{CanvasRenderingContext2d as Context, HtmlCanvasElement, HtmlElement};

use super::minimap;
use super::paint::{self, Brush, Look};
use super::palette::Palette;
use super::text::Texts;
use super::tiles::{self, Tiles};
use super::traffic::{self, Motion, Stream};

/// How long items glide to a new place, in milliseconds.
const GLIDE: f64 = 200.0;

thread_local! {
    /// What the map shows right now: the start of a zoom that is asked for from elsewhere.
    static CURRENT: Cell<Option<Camera>> = const { Cell::new(None) };
}

/// The camera of the last frame, fitted or the user's own.
pub(super) fn current_camera() -> Option<Camera> {
    CURRENT.get()
}

/// Milliseconds since the page was opened.
pub(super) fn now() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |clock| clock.now())
}

/// The size of the canvas in CSS pixels, and device pixels for each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Viewport {
    pub(super) w: f64,
    pub(super) h: f64,
    pub(super) dpr: f64,
}

impl Viewport {
    pub(super) fn size(self) -> (f64, f64) {
        (self.w, self.h)
    }

    /// What the dashboard's chips, legend and buttons cover.
    fn insets(self) -> Insets {
        let side = if self.w < 600.0 { 8.0 } else { 24.0 };
        Insets { top: 60.0, right: side, bottom: 56.0, left: side }
    }
}

/// Items on their way from where they were.
struct Glide {
    from: HashMap<Identity, Rect>,
    /// The camera that showed everything, as long as it does: it glides as well.
    camera: Camera,
    started: f64,
}

/// An aggregate has the same target as its node, and the ghost of a pod that would move the same as the pod.
type Identity = (Target, bool, bool);

fn identity(item: &Item) -> Identity {
    let is_more = matches!(item.kind, ItemKind::More { .. });
    (item.target.clone(), is_more, item.ghost == Some(Ghost::New))
}

pub(super) struct Engine {
    host: HtmlElement,
    canvas: HtmlCanvasElement,
    ctx: Context,
    viewport: Viewport,
    scene: Arc<Scene>,
    /// The user's own camera; `None` = fit.
    pub(super) user: Option<Camera>,
    pub(super) selected: Option<Target>,
    pub(super) hovered: Option<Target>,
    /// Where the keyboard is.
    pub(super) cursor: Option<Target>,
    /// Nothing glides.
    pub(super) still: bool,
    palette: Palette,
    palette_due: bool,
    texts: Texts,
    tiles: Tiles,
    glide: Option<Glide>,
    traffic: Stream,
    scheduled: Option<i32>,
    /// There is more to draw than marks that have moved on.
    due: bool,
    /// When the last frame was drawn.
    drawn: f64,
    callback: Option<Closure<dyn FnMut(f64)>>,
}

impl Engine {
    /// An engine for a canvas that fills `host`; `None` without a 2D context.
    pub(super) fn new(host: HtmlElement, canvas: HtmlCanvasElement) -> Option<Rc<RefCell<Engine>>> {
        let ctx = tiles::context(&canvas)?;
        let engine = Engine {
            host,
            canvas,
            ctx,
            viewport: Viewport { w: 0.0, h: 0.0, dpr: 1.0 },
            scene: Arc::default(),
            user: None,
            selected: None,
            hovered: None,
            cursor: None,
            still: false,
            palette: Palette::default(),
            palette_due: true,
            texts: Texts::default(),
            tiles: Tiles::default(),
            glide: None,
            traffic: Stream::default(),
            scheduled: None,
            due: false,
            drawn: 0.0,
            callback: None,
        };
        let engine = Rc::new(RefCell::new(engine));
        let weak = Rc::downgrade(&engine);
        let callback = Closure::new(move |time: f64| {
            if let Some(engine) = weak.upgrade() {
                engine.borrow_mut().tick(time);
            }
        });
        engine.borrow_mut().callback = Some(callback);
        Some(engine)
    }

    pub(super) fn scene(&self) -> &Arc<Scene> {
        &self.scene
    }

    pub(super) fn viewport(&self) -> Viewport {
        self.viewport
    }

    pub(super) fn host(&self) -> &HtmlElement {
        &self.host
    }

    /// The camera that shows everything.
    pub(super) fn fitted(&self) -> Camera {
        Camera::fit(self.scene.bounds(), self.viewport.size(), self.viewport.insets())
    }

    pub(super) fn camera(&self) -> Camera {
        self.user.unwrap_or_else(|| self.fitted())
    }

    /// The item below a point of the canvas.
    pub(super) fn hit(&self, at: Point) -> Option<&Item> {
        let world = self.camera().world_from_screen(at, self.viewport.size());
        self.scene.hit(world)
    }

    /// Where a point of the world is on the canvas.
    pub(super) fn on_screen(&self, at: Point) -> Point {
        self.camera().screen_from_world(at, self.viewport.size())
    }

    /// The small map's place, if `at` is on it.
    pub(super) fn minimap(&self, at: Point) -> Option<Rect> {
        minimap::frame(&self.scene, self.camera(), self.viewport).filter(|frame| frame.contains(at))
    }

    pub(super) fn set_scene(&mut self, scene: Arc<Scene>) {
        if Arc::ptr_eq(&scene, &self.scene) {
            return;
        }
        if !self.still && !self.scene.items().is_empty() {
            self.start_glide(&scene);
        }
        self.scene = scene;
        self.tiles.invalidate();
        self.wake();
    }

    /// Takes the traffic of the scene that is shown.
    pub(super) fn set_lanes(&mut self, lanes: &Lanes) {
        self.traffic.take(lanes, &self.scene);
        self.wake();
    }

    pub(super) fn set_motion(&mut self, motion: Motion) {
        self.traffic.set_motion(motion);
        self.wake();
    }

    /// Remembers where items are now, if any of them will be elsewhere.
    fn start_glide(&mut self, next: &Scene) {
        let t = self.glide_progress(now());
        let from: HashMap<_, _> =
            self.scene.items().iter().map(|item| (identity(item), self.place(item, t))).collect();
        let moves = |item: &Item| from.get(&identity(item)).is_some_and(|rect| *rect != item.rect);
        let refits = self.user.is_none() && next.bounds() != self.scene.bounds();
        let camera = self.shown(t);
        let needed = refits || next.items().iter().any(moves);
        self.glide = needed.then(|| Glide { from, camera, started: now() });
    }

    /// How far items are on their way, eased: 1 = there.
    fn glide_progress(&self, time: f64) -> f64 {
        let Some(glide) = &self.glide else { return 1.0 };
        let t = ((time - glide.started) / GLIDE).clamp(0.0, 1.0);
        1.0 - (1.0 - t).powi(3)
    }

    /// The camera of this moment.
    fn shown(&self, t: f64) -> Camera {
        let camera = self.camera();
        let mix = |a: f64, b: f64| a + (b - a) * t;
        match &self.glide {
            Some(Glide { camera: from, .. }) if self.user.is_none() && t < 1.0 => Camera {
                x: mix(from.x, camera.x),
                y: mix(from.y, camera.y),
                zoom: mix(from.zoom, camera.zoom),
            },
            _ => camera,
        }
    }

    fn place(&self, item: &Item, t: f64) -> Rect {
        match &self.glide {
            Some(glide) if t < 1.0 => {
                glide.from.get(&identity(item)).map_or(item.rect, |from| from.lerp(item.rect, t))
            }
            _ => item.rect,
        }
    }

    /// Edges follow the items at their ends.
    fn moved_edges(&self, t: f64) -> Vec<Edge> {
        let shift = |target: &Target, at: Point| match self.scene.find(target) {
            Some(item) => {
                let rect = self.place(item, t);
                Point::new(at.x + rect.x - item.rect.x, at.y + rect.y - item.rect.y)
            }
            None => at,
        };
        let moved =
            |edge: &Edge| Edge { a: shift(&edge.from, edge.a), b: shift(&edge.to, edge.b), ..edge.clone() };
        self.scene.edges().iter().map(moved).collect()
    }

    /// Colours are read anew at the next frame, when the style has settled.
    pub(super) fn restyle(&mut self) {
        self.palette_due = true;
        self.wake();
    }

    /// Asks for a frame, if none is due.
    pub(super) fn wake(&mut self) {
        self.due = true;
        self.schedule();
    }

    fn schedule(&mut self) {
        let Some(callback) = self.callback.as_ref().filter(|_| self.scheduled.is_none()) else { return };
        let window = web_sys::window();
        let asked = window.map(|window| window.request_animation_frame(callback.as_ref().unchecked_ref()));
        self.scheduled = asked.and_then(Result::ok);
    }

    fn tick(&mut self, time: f64) {
        self.scheduled = None;
        if self.due || time - self.drawn >= traffic::FRAME {
            self.drawn = time;
            self.due = self.draw();
        }
        if self.due || self.traffic.is_moving() {
            self.schedule();
        }
    }

    /// Takes the host's size; answers whether it changed.
    pub(super) fn measure(&mut self) -> bool {
        let dpr = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio()).clamp(0.5, 4.0);
        let (w, h) = (f64::from(self.host.client_width()), f64::from(self.host.client_height()));
        let viewport = Viewport { w, h, dpr };
        if viewport == self.viewport {
            return false;
        }
        self.viewport = viewport;
        self.canvas.set_width((w * dpr).round() as u32);
        self.canvas.set_height((h * dpr).round() as u32);
        true
    }

    /// Draws one frame; answers whether another one has to follow.
    pub(super) fn draw(&mut self) -> bool {
        self.measure();
        let viewport = self.viewport;
        if viewport.w < 1.0 || viewport.h < 1.0 {
            return false;
        }
        if std::mem::take(&mut self.palette_due) {
            self.repaint();
        }
        CURRENT.set(Some(self.camera()));
        let t = self.glide_progress(now());
        let camera = snapped(self.shown(t), viewport);
        if t >= 1.0 {
            self.glide = None;
        }
        let _ = self.ctx.reset_transform();
        self.ctx.set_fill_style_str(&self.palette.bg);
        self.ctx.fill_rect(0.0, 0.0, viewport.w * viewport.dpr, viewport.h * viewport.dpr);
        let more = if self.glide.is_some() { self.draw_gliding(camera, t) } else { self.draw_tiles(camera) };
        self.draw_traffic(camera, t);
        self.draw_overlay(camera, t);
        self.draw_stops(camera, t);
        let _ = self.ctx.set_transform(viewport.dpr, 0.0, 0.0, viewport.dpr, 0.0, 0.0);
        minimap::draw(&self.ctx, &self.palette, &self.scene, camera, viewport);
        more
    }

    fn repaint(&mut self) {
        let palette = Palette::read(&self.host);
        if palette != self.palette {
            self.palette = palette;
            self.tiles = Tiles::default();
        }
    }

    fn draw_tiles(&mut self, camera: Camera) -> bool {
        let Engine { ctx, viewport, scene, palette, texts, tiles, .. } = self;
        let mut draw = |ctx: &Context, world: Rect| {
            let mut brush = Brush { ctx, palette, texts, zoom: camera.zoom };
            paint::base(&mut brush, scene, scene.edges(), world, &|item| item.rect);
        };
        tiles.show(ctx, camera, *viewport, &mut draw)
    }

    fn draw_gliding(&mut self, camera: Camera, t: f64) -> bool {
        self.to_world(camera);
        let edges = self.moved_edges(t);
        let mut texts = std::mem::take(&mut self.texts);
        let mut brush =
            Brush { ctx: &self.ctx, palette: &self.palette, texts: &mut texts, zoom: camera.zoom };
        let world = camera.view(self.viewport.size());
        paint::base(&mut brush, &self.scene, &edges, world, &|item| self.place(item, t));
        self.texts = texts;
        true
    }

    fn to_world(&self, camera: Camera) {
        let (scale, half) = (camera.zoom * self.viewport.dpr, self.viewport.dpr / 2.0);
        let x = self.viewport.w * half - camera.x * scale;
        let y = self.viewport.h * half - camera.y * scale;
        let _ = self.ctx.set_transform(scale, 0.0, 0.0, scale, x, y);
    }

    /// Lanes and marks, but not while items glide: their places are those of the scene.
    fn draw_traffic(&mut self, camera: Camera, t: f64) {
        self.to_world(camera);
        let world = camera.view(self.viewport.size());
        let mut texts = std::mem::take(&mut self.texts);
        let mut traffic = std::mem::take(&mut self.traffic);
        let mut brush =
            Brush { ctx: &self.ctx, palette: &self.palette, texts: &mut texts, zoom: camera.zoom };
        traffic.advance(now());
        if t >= 1.0 {
            traffic.draw(&mut brush, world);
            self.draw_names(&mut brush, world, t, &traffic);
        }
        self.traffic = traffic;
        self.texts = texts;
    }

    /// What goes wrong at VIPs, over everything else.
    fn draw_stops(&mut self, camera: Camera, t: f64) {
        self.to_world(camera);
        let mut texts = std::mem::take(&mut self.texts);
        let mut brush =
            Brush { ctx: &self.ctx, palette: &self.palette, texts: &mut texts, zoom: camera.zoom };
        let world = camera.view(self.viewport.size());
        self.traffic.draw_stops(&mut brush, &self.scene, world, &|item| self.place(item, t));
        self.texts = texts;
    }

    /// Names of nodes, over the lanes that cross them.
    fn draw_names(&self, brush: &mut Brush, world: Rect, t: f64, traffic: &Stream) {
        let frame = |item: &&Item| item.kind == ItemKind::Node;
        let crossed = |rect: Rect| rect.intersects(world) && traffic.crosses(rect);
        for item in self.scene.items().iter().filter(frame) {
            let rect = self.place(item, t);
            if crossed(rect) {
                brush.frame_label(item, rect);
            }
        }
    }

    /// What stands out: the hovered item with its neighbours, the selected one, the keyboard's place.
    fn draw_overlay(&mut self, camera: Camera, t: f64) {
        self.to_world(camera);
        let mut texts = std::mem::take(&mut self.texts);
        let mut brush =
            Brush { ctx: &self.ctx, palette: &self.palette, texts: &mut texts, zoom: camera.zoom };
        let moved = if t < 1.0 { self.moved_edges(t) } else { Vec::new() };
        let edges = if t < 1.0 { moved.as_slice() } else { self.scene.edges() };
        let hovered = self.hovered.as_ref();
        let touches = |edge: &&Edge| hovered.is_some_and(|target| is_end(edge, target));
        for edge in edges.iter().filter(|edge| !edge.focused).filter(touches) {
            brush.edge(edge, true, camera.view(self.viewport.size()));
        }
        if let Some(item) = self.selected.as_ref().and_then(|target| self.scene.find(target)) {
            self.draw_selected(&mut brush, item, t);
        }
        for item in self.scene.edges().iter().filter(touches).flat_map(|edge| [&edge.from, &edge.to]) {
            if let Some(item) = self.end_of_edge(item) {
                brush.outline(self.place(item, t), item.kind, 1.0);
            }
        }
        if let Some(item) = hovered.and_then(|target| self.scene.find(target)) {
            brush.outline(self.place(item, t), item.kind, 1.5);
        }
        if let Some(item) = self.cursor.as_ref().and_then(|target| self.scene.find(target)) {
            brush.outline(self.place(item, t).grown(3.0 / camera.zoom), item.kind, 2.0);
        }
        self.texts = texts;
    }

    /// The item at the end of an edge: of a node, the row that counts the pods without one.
    fn end_of_edge(&self, target: &Target) -> Option<&Item> {
        let is_more = |item: &&Item| matches!(item.kind, ItemKind::More { .. }) && item.target == *target;
        let node = matches!(target, Target::Node(_));
        let more = node.then(|| self.scene.items().iter().find(is_more)).flatten();
        more.or_else(|| self.scene.find(target))
    }

    fn draw_selected(&self, brush: &mut Brush, item: &Item, t: f64) {
        if matches!(item.kind, ItemKind::Island | ItemKind::Node) {
            return brush.outline(self.place(item, t), item.kind, 2.0);
        }
        brush.item(item, self.place(item, t), Look::Selected);
        let Target::Service(key) = &item.target else { return };
        let ports = self.scene.items().iter().filter(|port| match &port.target {
            Target::Port(of, _) => of == key,
            _ => false,
        });
        ports.for_each(|port| brush.item(port, self.place(port, t), Look::Plain));
    }
}

fn is_end(edge: &Edge, target: &Target) -> bool {
    match target {
        Target::Port(key, _) => edge.service == *key,
        target => edge.from == *target || edge.to == *target,
    }
}

/// The camera moved by less than a device pixel, so that cached text stays sharp.
fn snapped(camera: Camera, viewport: Viewport) -> Camera {
    let scale = camera.zoom * viewport.dpr;
    let snap = |at: f64, size: f64| {
        let middle = size * viewport.dpr / 2.0;
        (middle - (middle - at * scale).round()) / scale
    };
    Camera { x: snap(camera.x, viewport.w), y: snap(camera.y, viewport.h), zoom: camera.zoom }
}

/// A frame that is due would call what is gone.
impl Drop for Engine {
    fn drop(&mut self) {
        if let (Some(window), Some(frame)) = (web_sys::window(), self.scheduled) {
            let _ = window.cancel_animation_frame(frame);
        }
    }
}
