//! The traffic map: draws a `Scene`, and turns pointers, wheel and keys into a camera and a selection. The only user of
//! the 2D context, one `requestAnimationFrame` that sleeps while nothing changes.
//!
//! In: signals with scene, selection, theme. Out: the selection asked for, what is hovered, the camera. A list in the DOM
//! says the same as the picture.

mod bench;
mod curve;
mod engine;
mod input;
mod minimap;
mod mirror;
mod paint;
mod palette;
mod text;
mod tiles;
mod traffic;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use gloo_timers::callback::Timeout;
use leptos::html;
use leptos::prelude::*;
use vipscope_shared::scene::{Camera, Lanes, Point, Scene, Target};
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{HtmlElement, KeyboardEvent, MouseEvent, PointerEvent, ResizeObserver, WheelEvent};

use engine::Engine;
use input::{Gesture, Key, Outcome};

pub use traffic::{Motion, width_of};

/// Between two changes of the DOM list, in milliseconds.
const MIRROR_MS: u32 = 250;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// What the pointer is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Hover {
    pub target: Target,
    /// In CSS pixels of the canvas.
    pub x: f64,
    pub y: f64,
}

/// Provide it as a context to learn which camera shows everything, for example to print its zoom.
#[derive(Debug, Clone, Copy)]
pub struct FittedCamera(pub RwSignal<Option<Camera>>);

/// Zooms around the middle of the map, from what it shows now.
pub fn zoom_by(camera: RwSignal<Option<Camera>>, factor: f64) {
    if let Some(now) = camera.get_untracked().or_else(engine::current_camera) {
        // Around the middle, the viewport's size does not matter.
        camera.set(Some(now.zoomed(factor, Point::default(), (0.0, 0.0))));
    }
}

/// What moves on the map.
#[derive(Debug, Clone, Copy)]
pub struct TrafficLayer {
    /// Of the scene that is shown.
    pub lanes: Signal<Arc<Lanes>>,
    pub motion: Signal<Motion>,
}

/// The signals that the map writes.
#[derive(Clone, Copy)]
struct Outputs {
    on_select: Callback<Option<Target>>,
    on_menu: Callback<Hover>,
    hovered: RwSignal<Option<Hover>>,
    camera: RwSignal<Option<Camera>>,
    fitted: Option<FittedCamera>,
    rows: RwSignal<Vec<mirror::Row>>,
    spoken: RwSignal<String>,
}

/// What lives as long as the component, on the browser's one thread.
struct Map {
    engine: Option<Rc<RefCell<Engine>>>,
    gesture: Gesture,
    mirror: Option<Timeout>,
    observer: Option<(ResizeObserver, Closure<dyn FnMut()>)>,
    benched: bool,
}

type Shared = StoredValue<Map, LocalStorage>;

/// The map of `scene`. `on_menu` is asked for what can be done with a thing and where, by the right button or the menu
/// key. `camera` is `None` as long as it fits itself to its room; pan and zoom write it.
#[component]
pub fn MapCanvas(
    scene: Signal<Arc<Scene>>,
    selected: Signal<Option<Target>>,
    on_select: Callback<Option<Target>>,
    on_menu: Callback<Hover>,
    hovered: RwSignal<Option<Hover>>,
    camera: RwSignal<Option<Camera>>,
    theme: Signal<Theme>,
    paused: Signal<bool>,
    #[prop(optional)] traffic: Option<TrafficLayer>,
) -> impl IntoView {
    let outputs = Outputs {
        on_select,
        on_menu,
        hovered,
        camera,
        fitted: use_context::<FittedCamera>(),
        rows: RwSignal::new(Vec::new()),
        spoken: RwSignal::new(String::new()),
    };
    let map: Shared = StoredValue::new_local(Map {
        engine: None,
        gesture: Gesture::default(),
        mirror: None,
        observer: None,
        benched: false,
    });
    let host = NodeRef::<html::Div>::new();
    let canvas = NodeRef::<html::Canvas>::new();
    Effect::new(move |_| {
        let (Some(host), Some(canvas)) = (host.get(), canvas.get()) else { return };
        let engine = Engine::new(host.clone().unchecked_into(), canvas.clone());
        map.update_value(|map| map.engine = engine);
        watch_size(map, outputs, &host);
        follow(map, outputs, scene, selected, theme, paused);
        if let Some(traffic) = traffic {
            follow_traffic(map, traffic);
        }
    });
    on_cleanup(move || {
        let observer = map.try_update_value(|map| {
            map.engine = None;
            map.mirror = None;
            map.observer.take()
        });
        if let Some(Some((observer, _))) = observer {
            observer.disconnect();
        }
    });
    view! {
        <div
            node_ref=host
            class="map-canvas"
            tabindex="0"
            role="application"
            aria-label="Traffic map: sources, Services, pods. Arrow keys walk along it, Enter selects, plus and minus zoom, 0 shows everything."
            style:position="absolute"
            style:inset="0"
            style:overflow="hidden"
            style:touch-action="none"
            style:user-select="none"
            on:pointerdown=move |event| pointer(map, outputs, &event, Press::Down)
            on:pointermove=move |event| pointer(map, outputs, &event, Press::Move)
            on:pointerup=move |event| pointer(map, outputs, &event, Press::Up)
            on:pointercancel=move |_| map.update_value(|map| map.gesture.cancel())
            on:pointerleave=move |_| hover(map, outputs, None)
            on:wheel=move |event| wheel(map, outputs, &event)
            on:dblclick=move |event| zoom_at(map, outputs, 1.6, point(map, event.client_x(), event.client_y()))
            on:contextmenu=move |event| menu(map, outputs, &event)
            on:keydown=move |event| key(map, outputs, &event)
            on:blur=move |_| cursor(map, None)
        >
            <canvas node_ref=canvas aria-hidden="true" style:display="block" style:width="100%" style:height="100%"></canvas>
            <MirrorList rows=outputs.rows spoken=outputs.spoken/>
        </div>
    }
}

/// The list that says what the picture shows.
#[component]
fn MirrorList(rows: RwSignal<Vec<mirror::Row>>, spoken: RwSignal<String>) -> impl IntoView {
    view! {
        <div
            class="visually-hidden"
            style:position="absolute"
            style:width="1px"
            style:height="1px"
            style:overflow="hidden"
            style:clip-path="inset(50%)"
            style:white-space="nowrap"
        >
            <p aria-live="polite">{move || spoken.get()}</p>
            <ul class="map-mirror" aria-label="What the map shows">
                <For each=move || rows.get() key=|row| row.clone() let(row)>
                    <li
                        data-target=row.target
                        data-kind=row.kind
                        data-health=row.health
                        data-share=row.share
                        data-path=row.path
                        data-ghost=row.ghost
                    >
                        {row.text}
                    </li>
                </For>
            </ul>
        </div>
    }
}

/// Runs `with` on the engine, if there is one.
fn with_engine<R>(map: Shared, with: impl FnOnce(&mut Engine) -> R) -> Option<R> {
    let engine = map.try_with_value(|map| map.engine.clone()).flatten()?;
    let mut engine = engine.borrow_mut();
    Some(with(&mut engine))
}

/// Carries every change of the inputs to the engine.
fn follow(
    map: Shared,
    outputs: Outputs,
    scene: Signal<Arc<Scene>>,
    selected: Signal<Option<Target>>,
    theme: Signal<Theme>,
    paused: Signal<bool>,
) {
    Effect::new(move |_| {
        let scene = scene.get();
        let ready = !scene.items().is_empty();
        with_engine(map, |engine| engine.set_scene(scene));
        refresh(map, outputs);
        if ready {
            bench_once(map);
        }
    });
    Effect::new(move |_| {
        let user = outputs.camera.get();
        with_engine(map, |engine| {
            engine.user = user;
            engine.wake();
        });
        refresh(map, outputs);
    });
    Effect::new(move |_| {
        let selected = selected.get();
        with_engine(map, |engine| {
            engine.selected = selected;
            engine.wake();
        });
        refresh(map, outputs);
    });
    Effect::new(move |_| {
        theme.track();
        with_engine(map, Engine::restyle);
    });
    Effect::new(move |_| {
        let still = paused.get() || prefers_reduced_motion();
        with_engine(map, |engine| engine.still = still);
    });
}

/// After the scene, so that lanes are of the one that the engine has.
fn follow_traffic(map: Shared, traffic: TrafficLayer) {
    Effect::new(move |_| {
        let lanes = traffic.lanes.get();
        with_engine(map, |engine| engine.set_lanes(&lanes));
    });
    Effect::new(move |_| {
        let motion = traffic.motion.get();
        with_engine(map, |engine| engine.set_motion(motion));
    });
}

fn bench_once(map: Shared) {
    let engine = map.try_update_value(|map| {
        let first = !std::mem::replace(&mut map.benched, true);
        map.engine.clone().filter(|_| first && bench::is_asked())
    });
    if let Some(engine) = engine.flatten() {
        bench::start(engine);
    }
}

fn prefers_reduced_motion() -> bool {
    let query = web_sys::window().map(|window| window.match_media("(prefers-reduced-motion: reduce)"));
    matches!(query, Some(Ok(Some(list))) if list.matches())
}

fn watch_size(map: Shared, outputs: Outputs, host: &HtmlElement) {
    let callback = Closure::<dyn FnMut()>::new(move || {
        with_engine(map, |engine| {
            // Before this frame is painted: a resized canvas is blank.
            if engine.measure() && engine.draw() {
                engine.wake();
            }
        });
        refresh(map, outputs);
    });
    if let Ok(observer) = ResizeObserver::new(callback.as_ref().unchecked_ref()) {
        observer.observe(host);
        map.update_value(|map| map.observer = Some((observer, callback)));
    }
}

/// Tells the fitted camera at once, and the list of what is visible soon.
fn refresh(map: Shared, outputs: Outputs) {
    let fitted = with_engine(map, |engine| (engine.viewport().w > 0.0).then(|| engine.fitted())).flatten();
    if let Some(FittedCamera(signal)) = outputs.fitted
        && signal.get_untracked() != fitted
    {
        signal.set(fitted);
    }
    let idle = map.try_with_value(|map| map.mirror.is_none()).unwrap_or(false);
    if idle {
        let timeout = Timeout::new(MIRROR_MS, move || update_mirror(map, outputs));
        map.update_value(|map| map.mirror = Some(timeout));
    }
}

fn update_mirror(map: Shared, outputs: Outputs) {
    let Some(()) = map.try_update_value(|map| {
        if let Some(timeout) = map.mirror.take() {
            timeout.forget();
        }
    }) else {
        return;
    };
    let rows = with_engine(map, |engine| mirror::rows(engine)).unwrap_or_default();
    if outputs.rows.with_untracked(|known| *known != rows) {
        outputs.rows.set(rows);
    }
}

#[derive(Clone, Copy)]
enum Press {
    Down,
    Move,
    Up,
}

/// A client position in CSS pixels of the canvas.
fn point(map: Shared, x: i32, y: i32) -> Point {
    let corner = with_engine(map, |engine| {
        let rect = engine.host().get_bounding_client_rect();
        (rect.left(), rect.top())
    });
    let (left, top) = corner.unwrap_or_default();
    Point::new(f64::from(x) - left, f64::from(y) - top)
}

fn pointer(map: Shared, outputs: Outputs, event: &PointerEvent, press: Press) {
    if matches!(press, Press::Down) && event.button() != 0 {
        return;
    }
    let at = point(map, event.client_x(), event.client_y());
    let id = event.pointer_id();
    let Some(engine) = map.try_with_value(|map| map.engine.clone()).flatten() else { return };
    let outcome = map.try_update_value(|map| {
        let engine = engine.borrow();
        match press {
            Press::Down => map.gesture.press(&engine, id, at),
            Press::Move => map.gesture.motion(&engine, id, at),
            Press::Up => map.gesture.release(&engine, id, at),
        }
    });
    if matches!(press, Press::Down) {
        let _ = engine.borrow().host().set_pointer_capture(id);
    }
    match outcome.unwrap_or(Outcome::Nothing) {
        Outcome::Nothing => {}
        Outcome::Hover(at) => hover(map, outputs, Some(at)),
        Outcome::Look(camera) => look(map, outputs, camera),
        Outcome::Select(target) => {
            cursor(map, None);
            outputs.on_select.run(target);
        }
    }
    shape_pointer(map);
}

fn shape_pointer(map: Shared) {
    let dragging = map.try_with_value(|map| map.gesture.is_dragging()).unwrap_or(false);
    with_engine(map, |engine| {
        let shape = match &engine.hovered {
            _ if dragging => "grabbing",
            Some(_) => "pointer",
            None => "grab",
        };
        let _ = engine.host().style().set_property("cursor", shape);
    });
}

/// Shows `camera`. The engine has it at once, so that two events before the next frame add up.
fn look(map: Shared, outputs: Outputs, camera: Camera) {
    with_engine(map, |engine| {
        engine.user = Some(camera);
        engine.wake();
    });
    outputs.camera.set(Some(camera));
    hover(map, outputs, None);
}

fn hover(map: Shared, outputs: Outputs, at: Option<Point>) {
    let hit = with_engine(map, |engine| {
        let target = at.and_then(|at| engine.hit(at)).map(|item| item.target.clone());
        if engine.hovered != target {
            engine.hovered = target.clone();
            engine.wake();
        }
        target
    });
    let hit = hit.flatten().zip(at).map(|(target, at)| Hover { target, x: at.x, y: at.y });
    if outputs.hovered.with_untracked(|known| *known != hit) {
        outputs.hovered.set(hit);
    }
}

/// By the mouse: what is below it. By the keyboard: where the focus is on the map, or what is selected.
fn menu(map: Shared, outputs: Outputs, event: &MouseEvent) {
    let at = point(map, event.client_x(), event.client_y());
    let by_mouse = event.button() == 2;
    let found = with_engine(map, |engine| {
        if by_mouse {
            return engine.hit(at).map(|item| Hover { target: item.target.clone(), x: at.x, y: at.y });
        }
        let target = engine.cursor.clone().or(engine.selected.clone())?;
        let at = engine.on_screen(engine.scene().find(&target)?.rect.center());
        Some(Hover { target, x: at.x, y: at.y })
    });
    if let Some(at) = found.flatten() {
        event.prevent_default();
        outputs.on_menu.run(at);
    }
}

fn wheel(map: Shared, outputs: Outputs, event: &WheelEvent) {
    event.prevent_default();
    let factor = input::wheel_factor(event.delta_y(), event.delta_mode(), event.ctrl_key());
    zoom_at(map, outputs, factor, point(map, event.client_x(), event.client_y()));
}

fn zoom_at(map: Shared, outputs: Outputs, factor: f64, at: Point) {
    let zoomed = with_engine(map, |engine| engine.camera().zoomed(factor, at, engine.viewport().size()));
    if let Some(camera) = zoomed {
        look(map, outputs, camera);
    }
}

fn cursor(map: Shared, target: Option<Target>) {
    with_engine(map, |engine| {
        if engine.cursor != target {
            engine.cursor = target;
            engine.wake();
        }
    });
}

fn key(map: Shared, outputs: Outputs, event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let Some(key) = Key::parse(&event.key()) else { return };
    event.prevent_default();
    match key {
        Key::Zoom(factor) => zoom_by(outputs.camera, factor),
        Key::Fit => outputs.camera.set(None),
        Key::Select => {
            if let Some(target) = with_engine(map, |engine| engine.cursor.clone()).flatten() {
                outputs.on_select.run(Some(target));
            }
        }
        Key::Walk(direction) => {
            let next = with_engine(map, |engine| input::walk(engine, direction)).flatten();
            let Some(next) = next else { return };
            let reveal = with_engine(map, |engine| {
                outputs.spoken.set(engine.scene().find(&next).map_or_else(String::new, mirror::words));
                input::reveal(engine, &next)
            });
            cursor(map, Some(next));
            if let Some(camera) = reveal.flatten() {
                look(map, outputs, camera);
            }
        }
    }
}
