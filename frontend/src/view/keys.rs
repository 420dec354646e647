//! Keys that work everywhere, and the page that lists them.

use leptos::ev::{self, KeyboardEvent};
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::open_file::{Opening, opening};
use super::shell::{Shell, shell};
use super::trace_bar::is_wide;
use super::traffic_run::TrafficRun;
use super::whatif::WhatIf;
use crate::canvas::zoom_by;
use crate::tracing::End;
use crate::ui::{Icon, IconView};
use crate::view_state::Screen;

const KEYS: [(&str, &str); 16] = [
    ("/", "Search (also Ctrl+K, ⌘K)"),
    ("t", "Trace a packet: from, to, ⏎"),
    ("w", "What if: edits and what they would do"),
    ("Esc", "Close what is open: menus, the trace, what if, then the selection"),
    ("⇧F10", "On the map: trace from or to where the focus is (also the right mouse button)"),
    ("← ↑ ↓ →", "Walk the map, when it has the focus"),
    ("+  −", "Zoom"),
    ("0", "Fit the map"),
    ("m", "Map"),
    ("s", "Services as a table"),
    ("n", "Nodes"),
    ("f", "Findings"),
    ("o", "Open a file of objects, in this browser only"),
    ("c", "Compare modes and settings"),
    ("d", "Light or dark"),
    ("p", "Stop moving traffic, or go on"),
];

/// Listens for as long as the page lives.
pub fn bind_keys(shell: Shell, whatif: WhatIf, traffic: TrafficRun) {
    let opening = opening();
    let handle = window_event_listener(ev::keydown, move |ev| {
        if handle_key(shell, whatif, traffic, opening, &ev) {
            ev.prevent_default();
        }
    });
    let press = window_event_listener(ev::pointerdown, |ev| {
        let inside = ev.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        if !inside.is_some_and(|element| matches!(element.closest(POPOVERS), Ok(Some(_)))) {
            close_popovers();
        }
    });
    on_cleanup(move || {
        handle.remove();
        press.remove();
    });
}

/// Menus that are open.
const POPOVERS: &str = "details.menu[open], details.cluster[open]";

/// True if the key was ours.
fn handle_key(
    shell: Shell,
    whatif: WhatIf,
    traffic: TrafficRun,
    opening: Opening,
    ev: &KeyboardEvent,
) -> bool {
    let key = ev.key();
    if (ev.ctrl_key() || ev.meta_key()) && key.eq_ignore_ascii_case("k") {
        shell.search_open.set(true);
        return true;
    }
    if ev.ctrl_key() || ev.meta_key() || ev.alt_key() || ev.default_prevented() || is_typing(ev) {
        return false;
    }
    match key.as_str() {
        "/" => shell.search_open.set(true),
        "?" => shell.keys_open.set(true),
        "Escape" => return escape(shell, whatif),
        "+" | "=" => zoom_by(shell.camera, 1.25),
        "-" => zoom_by(shell.camera, 0.8),
        "0" => shell.camera.set(None),
        "m" => shell.screen.set(Screen::Map),
        "s" => shell.screen.set(Screen::Table),
        "n" => shell.screen.set(Screen::Nodes),
        "f" => shell.screen.set(Screen::Findings),
        "o" => opening.ask(),
        "c" => shell.screen.set(Screen::Compare),
        "w" => whatif.toggle(),
        "t" => shell.ask_end(End::From),
        "d" => shell.toggle_theme(),
        "p" if traffic.is_on() => traffic.toggle(),
        _ => return false,
    }
    true
}

fn is_typing(ev: &KeyboardEvent) -> bool {
    let element = ev.target().and_then(|target| target.dyn_into::<web_sys::HtmlElement>().ok());
    element.is_some_and(|element| {
        matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
            || element.is_content_editable()
    })
}

fn escape(shell: Shell, whatif: WhatIf) -> bool {
    if shell.keys_open.get_untracked() {
        shell.keys_open.set(false);
    } else if shell.search_open.get_untracked() {
        shell.search_open.set(false);
    } else if close_popovers() {
    } else if shell.picking.get_untracked().is_some() {
        shell.picking.set(None);
    } else if shell.trace_open.get_untracked() && !is_wide() {
        shell.trace_open.set(false);
    } else if shell.trace.with_untracked(Option::is_some) {
        shell.trace.set(None);
    } else if whatif.escape() {
    } else if shell.selected.with_untracked(Option::is_some) {
        shell.select(None);
    } else {
        return false;
    }
    true
}

/// Closes open menus; true if there was one.
fn close_popovers() -> bool {
    let Ok(Some(open)) = document().query_selector(POPOVERS) else {
        return false;
    };
    let _ = open.remove_attribute("open");
    true
}

/// The list of keys, over everything.
#[component]
pub fn KeysHelp() -> impl IntoView {
    let shell = shell();
    let close = move |_| shell.keys_open.set(false);
    let rows = || KEYS.map(|(key, what)| view! { <dt><kbd>{key}</kbd></dt><dd>{what}</dd> });
    view! {
        <Show when=move || shell.keys_open.get()>
            <div class="veil" on:click=close>
                <div class="dialog" role="dialog" aria-modal="true" aria-label="Keys" on:click=|ev| ev.stop_propagation()>
                    <header>
                        <h1>"Keys"</h1>
                        <button type="button" class="btn square" aria-label="Close" autofocus=true on:click=close>
                            <IconView icon=Icon::Close/>
                        </button>
                    </header>
                    <dl class="keys">{rows()}</dl>
                </div>
            </div>
        </Show>
    }
}
