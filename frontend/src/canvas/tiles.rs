//! Cached pieces of the picture: while the map moves they are only copied. One set of tiles belongs to one zoom and one
//! content; the set before it fills in, scaled, until the new one is complete.

use std::collections::HashMap;

use vipscope_shared::scene::{Camera, Rect};
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d as Context, HtmlCanvasElement};

use super::engine::{Viewport, now};

/// Side of a tile in device pixels.
const SIDE: u32 = 256;
/// Milliseconds that a frame may spend on new tiles, once there is something to show.
const BUDGET: f64 = 3.0;

/// Canvases kept for reuse.
const SPARE: usize = 64;

type Place = (i32, i32);

struct Set {
    zoom: f64,
    dpr: f64,
    tiles: HashMap<Place, HtmlCanvasElement>,
}

impl Set {
    /// Side of a tile in world units.
    fn side(&self) -> f64 {
        f64::from(SIDE) / self.dpr / self.zoom
    }

    fn rect(&self, place: Place) -> Rect {
        let side = self.side();
        Rect::new(f64::from(place.0) * side, f64::from(place.1) * side, side, side)
    }

    /// The places that a part of the world touches.
    fn places(&self, world: Rect) -> Vec<Place> {
        let side = self.side();
        let span = |from: f64, to: f64| (from / side).floor() as i32..=((to / side).ceil() as i32 - 1);
        let columns = span(world.x, world.right());
        let rows = span(world.y, world.bottom());
        rows.flat_map(|row| columns.clone().map(move |column| (column, row))).collect()
    }
}

#[derive(Default)]
pub(super) struct Tiles {
    current: Option<Set>,
    before: Option<Set>,
    spare: Vec<HtmlCanvasElement>,
}

impl Tiles {
    /// The content has changed. What is there serves until it has been drawn anew.
    pub(super) fn invalidate(&mut self) {
        if let Some(set) = self.current.take() {
            self.retire(set);
        }
    }

    fn retire(&mut self, set: Set) {
        // A set that was never complete is a worse stand-in than the one before it.
        let old =
            if set.tiles.len() < 16 && self.before.is_some() { Some(set) } else { self.before.replace(set) };
        self.recycle(old);
    }

    fn recycle(&mut self, set: Option<Set>) {
        self.spare.extend(set.into_iter().flat_map(|set| set.tiles.into_values()));
        self.spare.truncate(SPARE);
    }

    /// Copies the tiles that `camera` sees, drawing missing ones with `draw`. Answers whether more is to be done.
    pub(super) fn show(
        &mut self,
        ctx: &Context,
        camera: Camera,
        viewport: Viewport,
        draw: &mut dyn FnMut(&Context, Rect),
    ) -> bool {
        let stale = |set: &Set| set.zoom != camera.zoom || set.dpr != viewport.dpr;
        if let Some(set) = self.current.take_if(|set| stale(set)) {
            self.retire(set);
        }
        let fresh = || Set { zoom: camera.zoom, dpr: viewport.dpr, tiles: HashMap::new() };
        let mut set = self.current.take().unwrap_or_else(fresh);
        let view = camera.view(viewport.size());
        let visible = set.places(view);
        let started = now();
        let urgent = self.before.is_none();
        let mut complete = true;
        for place in &visible {
            if !set.tiles.contains_key(place) {
                if urgent || now() - started < BUDGET {
                    self.add(&mut set, *place, draw);
                } else {
                    complete = false;
                }
            }
        }
        if !complete && let Some(before) = &self.before {
            blit(ctx, before, &before.places(view), camera, viewport);
        }
        blit(ctx, &set, &visible, camera, viewport);
        if complete {
            let before = self.before.take();
            self.recycle(before);
            complete = self.prefetch(&mut set, view, started, draw);
        }
        self.current = Some(set);
        !complete
    }

    /// Draws one more of the tiles around the view, and forgets those far away. Answers whether none is missing.
    fn prefetch(
        &mut self,
        set: &mut Set,
        view: Rect,
        started: f64,
        draw: &mut dyn FnMut(&Context, Rect),
    ) -> bool {
        let around = set.places(view.grown(set.side() * 0.75));
        let far = set.places(view.grown(set.side() * 2.0));
        let gone: Vec<Place> = set.tiles.keys().filter(|place| !far.contains(place)).copied().collect();
        for place in gone {
            self.spare.extend(set.tiles.remove(&place));
        }
        self.spare.truncate(SPARE);
        let mut missing = around.into_iter().filter(|place| !set.tiles.contains_key(place));
        let next = missing.next();
        let more = missing.next().is_some();
        match next {
            None => true,
            Some(place) if now() - started < BUDGET => {
                self.add(set, place, draw);
                !more
            }
            Some(_) => false,
        }
    }

    fn add(&mut self, set: &mut Set, place: Place, draw: &mut dyn FnMut(&Context, Rect)) {
        let Some(canvas) = self.spare.pop().or_else(blank) else { return };
        let Some(ctx) = context(&canvas) else { return };
        let world = set.rect(place);
        let scale = set.zoom * set.dpr;
        let _ = ctx.reset_transform();
        let _ = ctx.set_transform(scale, 0.0, 0.0, scale, -world.x * scale, -world.y * scale);
        draw(&ctx, world);
        set.tiles.insert(place, canvas);
    }
}

/// Copies tiles; the context's transform is the identity, in device pixels.
fn blit(ctx: &Context, set: &Set, places: &[Place], camera: Camera, viewport: Viewport) {
    let scale = camera.zoom * viewport.dpr;
    let (w, h) = (viewport.w * viewport.dpr / 2.0, viewport.h * viewport.dpr / 2.0);
    let side = (set.side() * scale).round();
    let exact = set.zoom == camera.zoom;
    for place in places {
        let Some(tile) = set.tiles.get(place) else { continue };
        let world = set.rect(*place);
        let (x, y) = ((world.x - camera.x) * scale + w, (world.y - camera.y) * scale + h);
        let _ = match exact {
            true => ctx.draw_image_with_html_canvas_element(tile, x.round(), y.round()),
            false => {
                ctx.draw_image_with_html_canvas_element_and_dw_and_dh(tile, x, y, side + 0.5, side + 0.5)
            }
        };
    }
}

fn blank() -> Option<HtmlCanvasElement> {
    let document = web_sys::window()?.document()?;
    let canvas: HtmlCanvasElement = document.create_element("canvas").ok()?.unchecked_into();
    canvas.set_width(SIDE);
    canvas.set_height(SIDE);
    Some(canvas)
}

/// The 2D context of a canvas, without transparency: copying is cheaper than blending.
pub(super) fn context(canvas: &HtmlCanvasElement) -> Option<Context> {
    let options = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&options, &"alpha".into(), &false.into());
    canvas.get_context_with_context_options("2d", &options).ok()??.dyn_into().ok()
}
