//! With `?bench=1` in the URL the map measures itself: two seconds of an idle page, then five of panning; with `?bench=traffic`
//! the same with traffic on every way, so that the idle page shows what moving marks cost. The result is
//! JSON in `data-frames` of the document's element. Times are milliseconds per frame: `script` is the map's own code,
//! `work` goes on until the browser has finished the frame's style, layout and paint.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use vipscope_shared::scene::{Camera, Edge, Lane, Lanes, Rect, Scene};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{MessageChannel, MessagePort};

use super::engine::{Engine, now};
use super::traffic::Motion;

const SETTLE: f64 = 1_000.0;
const IDLE: f64 = 2_000.0;
const PAN: f64 = 5_000.0;
/// CSS pixels in a second.
const SPEED: f64 = 900.0;
const ZOOM: f64 = 0.8;
const FRAME: f64 = 1_000.0 / 60.0;

#[derive(Debug, Default, Clone, Serialize)]
struct Phase {
    n: usize,
    p50: f64,
    p95: f64,
    max: f64,
    script_p50: f64,
    script_p95: f64,
    /// Frames that the browser should have shown and did not.
    missed: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    pan: Phase,
    idle: Phase,
    items: usize,
    edges: usize,
}

#[derive(Default)]
struct Record {
    stamps: Vec<f64>,
    script: Vec<f64>,
    work: Vec<f64>,
}

impl Record {
    fn phase(&self) -> Phase {
        let gaps = self.stamps.windows(2).map(|pair| ((pair[1] - pair[0]) / FRAME).round() as usize);
        Phase {
            n: self.stamps.len(),
            p50: quantile(&self.work, 0.5),
            p95: quantile(&self.work, 0.95),
            max: quantile(&self.work, 1.0),
            script_p50: quantile(&self.script, 0.5),
            script_p95: quantile(&self.script, 0.95),
            missed: gaps.map(|gap| gap.saturating_sub(1)).sum(),
        }
    }
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 - 1.0) * q).round().max(0.0) as usize;
    let value = sorted.get(at).copied().unwrap_or_default();
    (value * 100.0).round() / 100.0
}

struct Bench {
    engine: Rc<RefCell<Engine>>,
    started: f64,
    idle: Record,
    pan: Record,
    /// A task that runs after the frame's paint is posted here.
    after: MessagePort,
    frame_start: f64,
    /// Traffic is still to be made up: not before the page has set its own, which is none.
    traffic_due: bool,
    callback: Option<Closure<dyn FnMut(f64)>>,
    _painted: Option<Closure<dyn FnMut()>>,
}

/// True if the URL asks for it.
pub(super) fn is_asked() -> bool {
    url_has("bench=1") || url_has("bench=traffic")
}

fn url_has(wanted: &str) -> bool {
    let search = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
    search.trim_start_matches('?').split('&').any(|pair| pair == wanted)
}

/// Traffic on every way of a scene, from little to much.
fn made_up(scene: &Scene) -> Lanes {
    let lane = |(nth, edge): (usize, &Edge)| Lane {
        from: edge.from.clone(),
        to: edge.to.clone(),
        service: edge.service.clone(),
        a: edge.a,
        b: edge.b,
        rate: 1.0 + (nth % 60) as f64,
        open: edge.open,
        focused: false,
        path: edge.path,
    };
    Lanes { lanes: scene.edges().iter().enumerate().map(lane).collect(), stops: Vec::new() }
}

/// Starts measuring. The scene has to be there.
pub(super) fn start(engine: Rc<RefCell<Engine>>) {
    let Ok(channel) = MessageChannel::new() else { return };
    let bench = Rc::new(RefCell::new(Bench {
        engine,
        started: now() + SETTLE,
        idle: Record::default(),
        pan: Record::default(),
        after: channel.port2(),
        frame_start: 0.0,
        traffic_due: url_has("bench=traffic"),
        callback: None,
        _painted: None,
    }));
    let weak = Rc::downgrade(&bench);
    let painted = Closure::<dyn FnMut()>::new(move || {
        if let Some(bench) = weak.upgrade() {
            bench.borrow_mut().painted();
        }
    });
    channel.port1().set_onmessage(Some(painted.as_ref().unchecked_ref()));
    // The loop keeps the bench alive, and lets go of it at the end.
    let held = RefCell::new(Some(bench.clone()));
    let callback = Closure::new(move |stamp: f64| {
        let Some(bench) = held.borrow().clone() else { return };
        if !bench.borrow_mut().frame(stamp) {
            held.borrow_mut().take();
        }
    });
    let mut this = bench.borrow_mut();
    this._painted = Some(painted);
    this.callback = Some(callback);
    this.next();
}

impl Bench {
    fn next(&self) {
        let callback = self.callback.as_ref().map(|callback| callback.as_ref().unchecked_ref());
        if let (Some(window), Some(callback)) = (web_sys::window(), callback) {
            let _ = window.request_animation_frame(callback);
        }
    }

    fn painted(&mut self) {
        let work = now() - self.frame_start;
        let at = self.frame_start - self.started;
        let record = if at < IDLE { &mut self.idle } else { &mut self.pan };
        if record.work.len() < record.script.len() {
            record.work.push(work);
        }
    }

    /// One frame; answers whether another one follows.
    fn frame(&mut self, stamp: f64) -> bool {
        self.frame_start = now();
        let at = self.frame_start - self.started;
        if at >= IDLE + PAN {
            self.publish();
            return false;
        }
        self.next();
        // The picture is zoomed in and at rest before it idles: what is measured is panning alone.
        if !(0.0..IDLE).contains(&at) {
            let mut engine = self.engine.borrow_mut();
            let way = (at - IDLE).max(0.0);
            engine.user = Some(panned(engine.scene().bounds(), way, engine.viewport().size()));
            engine.draw();
        }
        if std::mem::take(&mut self.traffic_due) {
            self.add_traffic();
        }
        if at < 0.0 {
            return true;
        }
        let script = now() - self.frame_start;
        let record = if at < IDLE { &mut self.idle } else { &mut self.pan };
        record.stamps.push(stamp);
        record.script.push(script);
        let _ = self.after.post_message(&wasm_bindgen::JsValue::NULL);
        true
    }

    fn add_traffic(&self) {
        let mut engine = self.engine.borrow_mut();
        let lanes = made_up(engine.scene());
        engine.set_lanes(&lanes);
        engine.set_motion(Motion::Moving);
    }

    fn publish(&self) {
        let mut engine = self.engine.borrow_mut();
        engine.user = None;
        engine.wake();
        let report = Report {
            pan: self.pan.phase(),
            idle: self.idle.phase(),
            items: engine.scene().items().len(),
            edges: engine.scene().edges().len(),
        };
        let text = serde_json::to_string(&report).unwrap_or_default();
        let root = web_sys::window().and_then(|window| window.document()?.document_element());
        if let Some(root) = root {
            let _ = root.set_attribute("data-frames", &text);
        }
    }
}

/// To and fro across the world, on a path that does not repeat soon.
fn panned(bounds: Rect, at: f64, viewport: (f64, f64)) -> Camera {
    let way = SPEED * at / 1_000.0 / ZOOM;
    let bounce = |way: f64, room: f64| {
        let room = room.max(100.0);
        let folded = way.rem_euclid(2.0 * room);
        if folded > room { 2.0 * room - folded } else { folded }
    };
    let (w, h) = (viewport.0 / ZOOM / 2.0, viewport.1 / ZOOM / 2.0);
    Camera {
        x: bounds.x + w + bounce(way * 0.9, bounds.w - 2.0 * w),
        y: bounds.y + h + bounce(way * 0.44, bounds.h - 2.0 * h),
        zoom: ZOOM,
    }
}
