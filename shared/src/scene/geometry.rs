//! Points, rectangles and the camera. World space: x right, y down, one unit is one CSS pixel at zoom 1.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    pub const fn new(x: f64, y: f64) -> Point {
        Point { x, y }
    }
}

/// A rectangle by its top left corner. Width and height are never negative.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    pub const fn new(x: f64, y: f64, w: f64, h: f64) -> Rect {
        Rect { x, y, w, h }
    }

    pub fn right(self) -> f64 {
        self.x + self.w
    }

    pub fn bottom(self) -> f64 {
        self.y + self.h
    }

    pub fn center(self) -> Point {
        Point::new(self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Edges included.
    pub fn contains(self, at: Point) -> bool {
        at.x >= self.x && at.x <= self.right() && at.y >= self.y && at.y <= self.bottom()
    }

    /// True if they share an area; touching edges do not count.
    pub fn intersects(self, other: Rect) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    pub fn union(self, other: Rect) -> Rect {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Rect::new(x, y, self.right().max(other.right()) - x, self.bottom().max(other.bottom()) - y)
    }

    /// Grown by `by` on every side.
    pub fn grown(self, by: f64) -> Rect {
        Rect::new(self.x - by, self.y - by, self.w + 2.0 * by, self.h + 2.0 * by)
    }

    /// The way from `self` (0) to `other` (1).
    pub fn lerp(self, other: Rect, t: f64) -> Rect {
        let mix = |a: f64, b: f64| a + (b - a) * t;
        Rect::new(mix(self.x, other.x), mix(self.y, other.y), mix(self.w, other.w), mix(self.h, other.h))
    }
}

/// Where an arrow key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Left,
    Right,
    Up,
    Down,
}

/// Space at the sides of a viewport that is covered by other things, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Insets {
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    pub left: f64,
}

/// A view of the world: the world point at the viewport's centre; zoom 1 = 1 world unit per CSS pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Camera {
    pub x: f64,
    pub y: f64,
    pub zoom: f64,
}

impl Camera {
    pub const MIN_ZOOM: f64 = 0.02;
    pub const MAX_ZOOM: f64 = 4.0;

    /// Shows all of `bounds`, never magnified: small pictures start at the top, in the middle.
    pub fn fit(bounds: Rect, viewport: (f64, f64), insets: Insets) -> Camera {
        let room_w = (viewport.0 - insets.left - insets.right).max(40.0);
        let room_h = (viewport.1 - insets.top - insets.bottom).max(40.0);
        let zoom = (room_w / bounds.w.max(1.0)).min(room_h / bounds.h.max(1.0));
        let zoom = zoom.clamp(Camera::MIN_ZOOM, 1.0);
        let left = insets.left + (room_w - bounds.w * zoom) / 2.0;
        let spare = room_h - bounds.h * zoom;
        let top = insets.top + (spare * 0.25).clamp(0.0, 24.0);
        Camera {
            x: bounds.x + (viewport.0 / 2.0 - left) / zoom,
            y: bounds.y + (viewport.1 / 2.0 - top) / zoom,
            zoom,
        }
    }

    pub fn world_from_screen(self, at: Point, viewport: (f64, f64)) -> Point {
        Point::new(
            self.x + (at.x - viewport.0 / 2.0) / self.zoom,
            self.y + (at.y - viewport.1 / 2.0) / self.zoom,
        )
    }

    pub fn screen_from_world(self, at: Point, viewport: (f64, f64)) -> Point {
        Point::new(
            (at.x - self.x) * self.zoom + viewport.0 / 2.0,
            (at.y - self.y) * self.zoom + viewport.1 / 2.0,
        )
    }

    /// What the viewport shows, in world space.
    pub fn view(self, viewport: (f64, f64)) -> Rect {
        let (w, h) = (viewport.0 / self.zoom, viewport.1 / self.zoom);
        Rect::new(self.x - w / 2.0, self.y - h / 2.0, w, h)
    }

    /// Zoomed by `factor`; the world point below the screen point `at` stays there.
    #[must_use]
    pub fn zoomed(self, factor: f64, at: Point, viewport: (f64, f64)) -> Camera {
        let zoom = (self.zoom * factor).clamp(Camera::MIN_ZOOM, Camera::MAX_ZOOM);
        let fixed = self.world_from_screen(at, viewport);
        let next = Camera { zoom, ..self };
        let moved = next.world_from_screen(at, viewport);
        Camera { x: self.x + fixed.x - moved.x, y: self.y + fixed.y - moved.y, zoom }
    }

    /// Moved so that the picture follows a drag by (`dx`, `dy`) CSS pixels.
    #[must_use]
    pub fn dragged(self, dx: f64, dy: f64) -> Camera {
        Camera { x: self.x - dx / self.zoom, y: self.y - dy / self.zoom, zoom: self.zoom }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: (f64, f64) = (1000.0, 800.0);

    #[test]
    fn fitting_shows_everything_and_never_magnifies() {
        let insets = Insets { top: 50.0, right: 20.0, bottom: 50.0, left: 20.0 };
        for (w, h) in [(10.0, 10.0), (900.0, 600.0), (5000.0, 300.0), (300.0, 9000.0)] {
            let bounds = Rect::new(-40.0, 17.0, w, h);
            let camera = Camera::fit(bounds, VIEW, insets);
            assert!(camera.zoom <= 1.0);
            let a = camera.screen_from_world(Point::new(bounds.x, bounds.y), VIEW);
            let b = camera.screen_from_world(Point::new(bounds.right(), bounds.bottom()), VIEW);
            assert!(a.x >= 19.9 && a.y >= 49.9 && b.x <= 980.1 && b.y <= 750.1, "{bounds:?} {a:?} {b:?}");
        }
    }

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let camera = Camera { x: 3.0, y: -7.0, zoom: 0.8 };
        let pointer = Point::new(123.0, 456.0);
        let before = camera.world_from_screen(pointer, VIEW);
        let after = camera.zoomed(1.7, pointer, VIEW).world_from_screen(pointer, VIEW);
        assert!((before.x - after.x).abs() < 1e-9 && (before.y - after.y).abs() < 1e-9);
    }
}
