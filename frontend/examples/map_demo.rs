//! The traffic map alone, on a made-up cluster: for its benchmark and for looking at it. Not part of the dashboard.
//!
//! URL: `?size=large|small`, `?theme=light`, `?focus=TARGET`, `?bench=1`.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_frontend::canvas::{MapCanvas, Theme};
use vipscope_shared::model::ClusterState;
use vipscope_shared::scene::{Scene, SceneOptions, Target};
use vipscope_shared::synthetic::{self, Size};

fn parameter(name: &str) -> Option<String> {
    let search = web_sys::window()?.location().search().ok()?;
    let pairs = web_sys::UrlSearchParams::new_with_str(&search).ok()?;
    pairs.get(name)
}

fn main() {
    console_error_panic_hook::set_once();
    mount_to_body(Demo);
}

#[component]
fn Demo() -> impl IntoView {
    let size = if parameter("size").as_deref() == Some("large") { Size::LARGE } else { Size::SMALL };
    let state = synthetic::cluster(size, 7);
    time_build(&state);
    let focus: Option<Target> = parameter("focus").and_then(|text| text.parse().ok());
    let selected = RwSignal::new(focus);
    let scene = Memo::new_owning(move |previous: Option<Arc<Scene>>| {
        let options = SceneOptions { focus: selected.get(), ..SceneOptions::default() };
        let scene = Arc::new(Scene::build(&state, &options, previous.as_deref()));
        let changed = previous.as_ref() != Some(&scene);
        (scene, changed)
    });
    let theme = if parameter("theme").as_deref() == Some("light") { Theme::Light } else { Theme::Dark };
    let zoom = parameter("zoom").and_then(|zoom| zoom.parse::<f64>().ok());
    let camera = RwSignal::new(None);
    if let Some(zoom) = zoom {
        let bounds = scene.get_untracked().bounds();
        let center = bounds.center();
        camera.set(Some(vipscope_shared::scene::Camera { x: center.x, y: center.y, zoom }));
    }
    view! {
        <MapCanvas
            scene=scene.into()
            selected=selected.into()
            on_select=Callback::new(move |target| selected.set(target))
            on_menu=Callback::new(|_| ())
            hovered=RwSignal::new(None)
            camera=camera
            theme=Signal::derive(move || theme)
            paused=Signal::derive(|| false)
        />
    }
}

/// Leaves in `data-build` of the document's element how many milliseconds a scene takes.
fn time_build(state: &ClusterState) {
    let Some(window) = web_sys::window() else { return };
    let now = || window.performance().map_or(0.0, |clock| clock.now());
    let started = now();
    let scene = Scene::build(state, &SceneOptions::default(), None);
    let first = now();
    let again = Scene::build(state, &SceneOptions::default(), Some(&scene));
    let text =
        format!("first {:.1}, next {:.1}, {} edges", first - started, now() - first, again.edges().len());
    if let Some(root) = window.document().and_then(|document| document.document_element()) {
        let _ = root.set_attribute("data-build", &text);
    }
}
