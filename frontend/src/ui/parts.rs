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
