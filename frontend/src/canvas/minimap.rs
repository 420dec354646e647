//! The small map at the bottom right: the whole scene, and which part of it is in view. Shown only if there is more.

use vipscope_shared::scene::{Camera, ItemKind, Point, Rect, Scene};
use web_sys::CanvasRenderingContext2d as Context;

use super::engine::Viewport;
use super::palette::Palette;

const SIZE: (f64, f64) = (132.0, 84.0);
const PAD: f64 = 6.0;

/// Where the small map is, in CSS pixels; `None` if everything is in view or there is no room for it.
pub(super) fn frame(scene: &Scene, camera: Camera, viewport: Viewport) -> Option<Rect> {
    let (bounds, view) = (scene.bounds(), camera.view(viewport.size()));
    let all = view.x <= bounds.x
        && view.y <= bounds.y
        && view.right() >= bounds.right()
        && view.bottom() >= bounds.bottom();
    let room = viewport.w >= 600.0 && viewport.h >= 400.0;
    let place = Rect::new(viewport.w - 14.0 - SIZE.0, viewport.h - 48.0 - SIZE.1, SIZE.0, SIZE.1);
    (room && !all && bounds.w > 0.0).then_some(place)
}

/// The world point below a point of the small map.
pub(super) fn world_from(frame: Rect, scene: &Scene, at: Point) -> Point {
    let (scale, x, y) = transform(frame, scene.bounds());
    Point::new((at.x - x) / scale, (at.y - y) / scale)
}

/// World to screen: scale, then offset.
fn transform(frame: Rect, bounds: Rect) -> (f64, f64, f64) {
    let (w, h) = (frame.w - 2.0 * PAD, frame.h - 2.0 * PAD);
    let scale = (w / bounds.w.max(1.0)).min(h / bounds.h.max(1.0));
    let x = frame.x + (frame.w - bounds.w * scale) / 2.0 - bounds.x * scale;
    let y = frame.y + (frame.h - bounds.h * scale) / 2.0 - bounds.y * scale;
    (scale, x, y)
}

/// The context's transform is in CSS pixels.
pub(super) fn draw(ctx: &Context, palette: &Palette, scene: &Scene, camera: Camera, viewport: Viewport) {
    let Some(frame) = frame(scene, camera, viewport) else { return };
    let (scale, dx, dy) = transform(frame, scene.bounds());
    let small =
        |rect: Rect| Rect::new(rect.x * scale + dx, rect.y * scale + dy, rect.w * scale, rect.h * scale);
    let rounded = |rect: Rect, radius: f64| {
        ctx.begin_path();
        let _ = ctx.round_rect_with_f64(
            rect.x,
            rect.y,
            rect.w,
            rect.h,
            radius.min(rect.w / 2.0).min(rect.h / 2.0),
        );
    };
    rounded(frame, 8.0);
    ctx.set_fill_style_str(&palette.surface);
    ctx.fill();
    ctx.set_stroke_style_str(&palette.line);
    ctx.set_line_width(1.0);
    ctx.stroke();
    ctx.set_fill_style_str(&palette.line);
    for item in scene.items() {
        if matches!(item.kind, ItemKind::Island | ItemKind::Node | ItemKind::Source) {
            let rect = small(item.rect);
            ctx.fill_rect(rect.x, rect.y, rect.w.max(1.0), rect.h.max(1.0));
        }
    }
    let view = small(camera.view(viewport.size()));
    let (left, top) = (view.x.max(frame.x + 1.0), view.y.max(frame.y + 1.0));
    let (right, bottom) = (view.right().min(frame.right() - 1.0), view.bottom().min(frame.bottom() - 1.0));
    if right > left && bottom > top {
        rounded(Rect::new(left, top, right - left, bottom - top), 4.0);
        ctx.set_stroke_style_str(&palette.accent);
        ctx.set_line_width(1.5);
        ctx.stroke();
    }
}
