//! Small pieces that panels are made of.

use leptos::prelude::*;

/// A titled part of a panel.
#[component]
pub fn Section(#[prop(into)] title: String, children: Children) -> impl IntoView {
    view! {
        <section class="sec">
            <h2>{title}</h2>
            {children()}
        </section>
    }
}

/// One line of a list of facts: what, and its value.
#[component]
pub fn Field(#[prop(into)] name: String, children: Children) -> impl IntoView {
    view! {
        <div class="field">
            <dt>{name}</dt>
            <dd>{children()}</dd>
        </div>
    }
}

/// A bar filled to `part` (0 to 1).
#[component]
pub fn ShareBar(part: f64) -> impl IntoView {
    let width = format!("{:.1}%", part.clamp(0.0, 1.0) * 100.0);
    view! { <span class="share" aria-hidden="true"><i style:width=width></i></span> }
}

/// Values that a sparkline has room for.
pub const SPARKS: usize = 60;

/// Points of a sparkline, newest at the right end: `x,y` in a box of `width` by `height`, y downwards. A short history is at
/// the right.
pub fn sparkline(history: &[f32], width: f64, height: f64) -> String {
    let most = history.iter().copied().fold(0.0_f32, f32::max).max(f32::MIN_POSITIVE);
    let step = width / (SPARKS - 1) as f64;
    let first = SPARKS - history.len().min(SPARKS);
    let point = |(nth, value): (usize, &f32)| {
        let y = height - 1.0 - f64::from(*value / most) * (height - 2.0);
        format!("{:.1},{y:.1}", (first + nth) as f64 * step)
    };
    history.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}

/// The course of a value.
#[component]
pub fn Sparkline(history: Vec<f32>) -> impl IntoView {
    let points = sparkline(&history, 60.0, 14.0);
    view! {
        <svg class="spark" viewBox="0 0 60 14" preserveAspectRatio="none" aria-hidden="true"><polyline points=points></polyline></svg>
    }
}

/// A button that copies `text` and says so for a moment.
#[component]
pub fn Copy(text: Callback<(), String>, #[prop(into)] label: String) -> impl IntoView {
    let done = RwSignal::new(false);
    let copy = move |_| {
        let Some(clipboard) = clipboard() else { return };
        let promise = clipboard.write_text(&text.run(()));
        leptos::task::spawn_local(async move {
            if wasm_bindgen_futures::JsFuture::from(promise).await.is_ok() {
                done.set(true);
                set_timeout(move || done.set(false), std::time::Duration::from_millis(1600));
            }
        });
    };
    view! {
        <button type="button" class="btn" on:click=copy>
            {move || if done.get() { "Copied".to_owned() } else { label.clone() }}
        </button>
    }
}

/// Absent outside secure contexts, whatever the bindings promise.
fn clipboard() -> Option<web_sys::Clipboard> {
    let navigator = window().navigator();
    let value = js_sys::Reflect::get(&navigator, &"clipboard".into()).ok()?;
    (!value.is_undefined()).then(|| navigator.clipboard())
}
