//! Pointers, wheel and keys: what they mean for the camera and the selection. One pointer drags, two pinch, the wheel
//! zooms around the pointer, arrows walk the graph.

use vipscope_shared::scene::{Camera, Direction, Point, Target};

use super::engine::Engine;
use super::minimap;

/// A press that moves less than this, in CSS pixels, is a click.
const SLACK: f64 = 4.0;

/// What the fingers are doing.
#[derive(Debug, Default)]
pub(super) struct Gesture {
    pointers: Vec<(i32, Point)>,
    start: Point,
    moved: bool,
    on_minimap: bool,
}

/// What a pointer led to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Nothing,
    Look(Camera),
    Hover(Point),
    Select(Option<Target>),
}

impl Gesture {
    pub(super) fn is_dragging(&self) -> bool {
        self.moved && !self.pointers.is_empty()
    }

    pub(super) fn press(&mut self, engine: &Engine, id: i32, at: Point) -> Outcome {
        self.pointers.retain(|(known, _)| *known != id);
        self.pointers.push((id, at));
        if self.pointers.len() > 1 {
            self.moved = true;
            return Outcome::Nothing;
        }
        (self.start, self.moved) = (at, false);
        self.on_minimap = engine.minimap(at).is_some();
        self.center_on(engine, at)
    }

    pub(super) fn motion(&mut self, engine: &Engine, id: i32, at: Point) -> Outcome {
        let Some(nth) = self.pointers.iter().position(|(known, _)| *known == id) else {
            return if self.pointers.is_empty() { Outcome::Hover(at) } else { Outcome::Nothing };
        };
        let before = self.pointers[nth].1;
        let other = self.pointers.iter().find(|(known, _)| *known != id).map(|(_, at)| *at);
        self.moved |= distance(self.start, at) > SLACK;
        if self.on_minimap {
            self.pointers[nth].1 = at;
            return self.center_on(engine, at);
        }
        if !self.moved {
            return Outcome::Nothing;
        }
        self.pointers[nth].1 = at;
        let camera = engine.camera();
        match other {
            Some(other) => {
                let factor = distance(at, other) / distance(before, other).max(1.0);
                let middle = Point::new((at.x + other.x) / 2.0, (at.y + other.y) / 2.0);
                let zoomed = camera.zoomed(factor, middle, engine.viewport().size());
                Outcome::Look(zoomed.dragged((at.x - before.x) / 2.0, (at.y - before.y) / 2.0))
            }
            None => Outcome::Look(camera.dragged(at.x - before.x, at.y - before.y)),
        }
    }

    pub(super) fn release(&mut self, engine: &Engine, id: i32, at: Point) -> Outcome {
        let known = self.pointers.len();
        self.pointers.retain(|(known, _)| *known != id);
        let click = known == 1 && self.pointers.is_empty() && !self.moved && !self.on_minimap;
        if click { Outcome::Select(engine.hit(at).map(|item| item.target.clone())) } else { Outcome::Nothing }
    }

    pub(super) fn cancel(&mut self) {
        self.pointers.clear();
    }

    fn center_on(&self, engine: &Engine, at: Point) -> Outcome {
        let camera = engine.camera();
        match engine.minimap(at).filter(|_| self.on_minimap) {
            Some(frame) => {
                let world = minimap::world_from(frame, engine.scene(), at);
                Outcome::Look(Camera { x: world.x, y: world.y, zoom: camera.zoom })
            }
            None => Outcome::Nothing,
        }
    }
}

fn distance(a: Point, b: Point) -> f64 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Key {
    Walk(Direction),
    Select,
    Zoom(f64),
    Fit,
}

impl Key {
    /// `name` as in `KeyboardEvent.key`.
    pub(super) fn parse(name: &str) -> Option<Key> {
        Some(match name {
            "ArrowLeft" => Key::Walk(Direction::Left),
            "ArrowRight" => Key::Walk(Direction::Right),
            "ArrowUp" => Key::Walk(Direction::Up),
            "ArrowDown" => Key::Walk(Direction::Down),
            "Enter" | " " => Key::Select,
            "+" | "=" => Key::Zoom(1.25),
            "-" | "_" => Key::Zoom(0.8),
            "0" => Key::Fit,
            _ => return None,
        })
    }
}

/// Where the keyboard goes next: from its place, the selected item, or the first item there is.
pub(super) fn walk(engine: &Engine, direction: Direction) -> Option<Target> {
    let here = engine.cursor.as_ref().or(engine.selected.as_ref());
    let here = here.filter(|target| engine.scene().find(target).is_some());
    match here {
        Some(from) => engine.scene().neighbour(from, direction),
        None => engine.scene().items().first().map(|item| item.target.clone()),
    }
}

/// The camera moved just so far that `target` is in view; `None` if it is.
pub(super) fn reveal(engine: &Engine, target: &Target) -> Option<Camera> {
    let rect = engine.scene().find(target)?.rect;
    let (camera, viewport) = (engine.camera(), engine.viewport());
    let all = camera.view(viewport.size());
    if all.x <= rect.x && all.y <= rect.y && all.right() >= rect.right() && all.bottom() >= rect.bottom() {
        return None;
    }
    let margin = (60.0 / camera.zoom).min(viewport.w / camera.zoom / 4.0);
    let view = all.grown(-margin);
    let push = |low: f64, high: f64, from: f64, to: f64| {
        if from < low { from - low } else { (to - high).max(0.0).min(from - low) }
    };
    let dx = push(view.x, view.right(), rect.x, rect.right());
    let dy = push(view.y, view.bottom(), rect.y, rect.bottom());
    (dx != 0.0 || dy != 0.0).then_some(Camera { x: camera.x + dx, y: camera.y + dy, ..camera })
}

/// The factor of a wheel event. `mode` is its `deltaMode`; pinching on a touchpad comes with the control key.
pub(super) fn wheel_factor(delta: f64, mode: u32, control: bool) -> f64 {
    let pixels = match mode {
        1 => delta * 16.0,
        2 => delta * 400.0,
        _ => delta,
    };
    (-pixels.clamp(-400.0, 400.0) * if control { 0.01 } else { 0.0015 }).exp().clamp(0.4, 2.5)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test(unsupported = test)]
    fn the_wheel_goes_both_ways_and_never_wild() {
        assert!(wheel_factor(100.0, 0, false) < 1.0);
        assert!(wheel_factor(-100.0, 0, false) > 1.0);
        assert_eq!(wheel_factor(3.0, 1, false), wheel_factor(48.0, 0, false));
        assert_eq!(wheel_factor(-1e9, 2, true), 2.5);
    }
}
