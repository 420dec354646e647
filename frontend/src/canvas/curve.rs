//! The part of an edge's curve that a tile needs. Dashing a long curve is slow and most of it is elsewhere; the dash
//! pattern goes on across tiles, because each part knows how far from the start it begins.

use vipscope_shared::scene::{Point, Rect};

/// A cubic Bézier curve that leaves `a` and reaches `b` horizontally.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    pub(super) points: [Point; 4],
    /// Length of what was cut off before it.
    pub(super) offset: f64,
}

impl Curve {
    pub(super) fn new(a: Point, b: Point) -> Curve {
        let middle = (a.x + b.x) / 2.0;
        Curve { points: [a, Point::new(middle, a.y), Point::new(middle, b.y), b], offset: 0.0 }
    }

    pub(super) fn at(&self, t: f64) -> Point {
        let [a, b, c, d] = self.points;
        let u = 1.0 - t;
        let mix = |a: f64, b: f64, c: f64, d: f64| {
            u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
        };
        Point::new(mix(a.x, b.x, c.x, d.x), mix(a.y, b.y, c.y, d.y))
    }

    /// The part within `world`, or a little more; `None` if there is none. Both coordinates are monotone along it.
    pub(super) fn within(&self, world: Rect) -> Option<Curve> {
        let [a, .., b] = self.points;
        let across = self.span(|point| point.x, a.x <= b.x, world.x, world.right());
        let down = self.span(|point| point.y, a.y <= b.y, world.y, world.bottom());
        let (from, to) = (across.0.max(down.0), across.1.min(down.1));
        let misses = a.x.min(b.x) > world.right()
            || a.x.max(b.x) < world.x
            || a.y.min(b.y) > world.bottom()
            || a.y.max(b.y) < world.y;
        (from < to && !misses).then(|| self.cut(from, to))
    }

    /// Between which parameters one coordinate is between `low` and `high`.
    fn span(&self, of: impl Fn(Point) -> f64, rising: bool, low: f64, high: f64) -> (f64, f64) {
        let reaches = |value: f64| {
            let (mut from, mut to) = (0.0, 1.0);
            for _ in 0..16 {
                let middle = (from + to) / 2.0;
                let before = if rising { of(self.at(middle)) < value } else { of(self.at(middle)) > value };
                if before { from = middle } else { to = middle }
            }
            (from, to)
        };
        let (first, last) = if rising { (low, high) } else { (high, low) };
        (reaches(first).0, reaches(last).1)
    }

    /// From one parameter to another.
    pub(super) fn part(&self, from: f64, to: f64) -> Curve {
        self.cut(from, to)
    }

    /// De Casteljau, twice.
    fn cut(&self, from: f64, to: f64) -> Curve {
        let lerp = |a: Point, b: Point, t: f64| Point::new(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t);
        let split = |[a, b, c, d]: [Point; 4], t: f64| {
            let (ab, bc, cd) = (lerp(a, b, t), lerp(b, c, t), lerp(c, d, t));
            let (abc, bcd) = (lerp(ab, bc, t), lerp(bc, cd, t));
            let middle = lerp(abc, bcd, t);
            ([a, ab, abc, middle], [middle, bcd, cd, d])
        };
        let (head, _) = split(self.points, to);
        let (_, points) = if from > 0.0 { split(head, from / to) } else { (head, head) };
        Curve { points, offset: self.offset + self.length(from) }
    }

    /// Length up to `t`, by steps fine enough for the eye.
    fn length(&self, t: f64) -> f64 {
        const STEPS: usize = 48;
        let points = (0..=STEPS).map(|step| self.at(t * step as f64 / STEPS as f64));
        let mut before = self.points[0];
        let mut sum = 0.0;
        for point in points {
            sum += (point.x - before.x).hypot(point.y - before.y);
            before = point;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn distance(a: Point, b: Point) -> f64 {
        (a.x - b.x).hypot(a.y - b.y)
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn parts_lie_on_the_curve_and_cover_the_tile() {
        for (a, b) in [((0.0, 0.0), (900.0, 700.0)), ((0.0, 700.0), (900.0, 0.0)), ((0.0, 5.0), (900.0, 5.0))]
        {
            let curve = Curve::new(Point::new(a.0, a.1), Point::new(b.0, b.1));
            let tile = Rect::new(300.0, -10.0, 250.0, 800.0);
            let part = curve.within(tile).unwrap_or(curve);
            let inside =
                (0..=500).map(|step| curve.at(f64::from(step) / 500.0)).filter(|at| tile.contains(*at));
            for at in inside {
                let near = (0..=500).map(|step| distance(part.at(f64::from(step) / 500.0), at));
                assert!(near.fold(f64::MAX, f64::min) < 2.0, "{at:?}");
            }
            assert!(part.offset > 0.0 && part.offset < 900.0);
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_tile_beside_the_curve_gets_nothing() {
        let curve = Curve::new(Point::new(0.0, 0.0), Point::new(900.0, 700.0));
        assert_eq!(curve.within(Rect::new(600.0, 0.0, 100.0, 100.0)), None);
        assert_eq!(curve.within(Rect::new(1000.0, 0.0, 100.0, 900.0)), None);
        assert_eq!(curve.within(Rect::new(0.0, -200.0, 900.0, 100.0)), None);
    }
}
