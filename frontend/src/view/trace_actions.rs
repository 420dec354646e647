//! Tracing by pointing: "from here", "to here", in the inspector and on the map.

use leptos::prelude::*;
use vipscope_shared::scene::Target;

use super::inspector::headline;
use super::shell::{Shell, shell};
use super::whatif::WhatIfItem;
use crate::canvas::Hover;
use crate::tracing::End;

fn words(end: End) -> &'static str {
    match end {
        End::From => "Trace from here",
        End::To => "Trace to here",
    }
}

/// The ends that a thing can be, by the names that would be typed.
fn ends(shell: Shell, target: &Target) -> Vec<(End, String)> {
    shell.store.state(|state| {
        End::BOTH.into_iter().filter_map(|end| Some((end, end.name(state, target)?))).collect()
    })
}

/// A button for each end that `target` can be.
#[component]
pub fn TraceActions(target: Target) -> impl IntoView {
    let shell = shell();
    let ends = Memo::new(move |_| ends(shell, &target));
    let one = move |(end, name): (End, String)| {
        let title = name.clone();
        view! {
            <button type="button" class="btn" data-trace=end.as_str() title=title
                on:click=move |_| shell.trace_end(end, name.clone())>{words(end)}</button>
        }
    };
    view! {
        <Show when=move || ends.with(|ends| !ends.is_empty())>
            <div class="trace-actions" role="group" aria-label="Trace">
                {move || ends.get().into_iter().map(one).collect_view()}
            </div>
        </Show>
    }
}

/// The same as a menu at a place of the map; closed by choosing, Esc, or a press elsewhere.
#[component]
pub fn TraceMenu(at: RwSignal<Option<Hover>>) -> impl IntoView {
    let shell = shell();
    let open = Memo::new(move |_| {
        let hover = at.get()?;
        let ends = ends(shell, &hover.target);
        let head = shell.store.state(|state| headline(state, &hover.target))?;
        let title = format!("{} {}", head.kind, head.name);
        (!ends.is_empty()).then_some((hover, title, ends))
    });
    let body = move || {
        open.get().map(|(hover, title, ends)| {
            let one = move |(end, name): (End, String)| {
                let title = name.clone();
                let choose = move |_| {
                    at.set(None);
                    shell.trace_end(end, name.clone());
                };
                view! {
                    <button type="button" role="menuitem" class="menu-item" title=title on:click=choose>{words(end)}</button>
                }
            };
            let closes = move |ev: leptos::ev::KeyboardEvent| {
                if ev.key() == "Escape" {
                    ev.prevent_default();
                    ev.stop_propagation();
                    at.set(None);
                }
            };
            let list = NodeRef::<leptos::html::Div>::new();
            focus_first(list);
            view! {
                <div class="trace-veil" on:pointerdown=move |_| at.set(None)></div>
                <div class="trace-menu" role="menu" aria-label="Trace" data-testid="trace-menu" node_ref=list
                    style:left=format!("{}px", hover.x) style:top=format!("{}px", hover.y) on:keydown=closes>
                    <p class="muted">{title}</p>
                    {ends.into_iter().map(one).collect_view()}
                    <WhatIfItem target=hover.target.clone() at=at/>
                </div>
            }
        })
    };
    view! { {body} }
}

fn focus_first(list: NodeRef<leptos::html::Div>) {
    Effect::new(move || {
        let first = list.get().and_then(|list| list.query_selector("button").ok().flatten());
        let first =
            first.and_then(|first| wasm_bindgen::JsCast::dyn_into::<web_sys::HtmlElement>(first).ok());
        if let Some(first) = first {
            let _ = first.focus();
        }
    });
}
