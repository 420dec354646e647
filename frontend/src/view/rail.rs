//! The rail on the left: one button per screen, help at the end. On narrow pages it is a bar at the bottom.

use leptos::prelude::*;

use super::findings::FindingsBadge;
use super::sandbox::is_sandbox;
use super::shell::shell;
use crate::ui::{Icon, IconView};
use crate::view_state::Screen;

fn looks(screen: Screen) -> (Icon, &'static str) {
    match screen {
        Screen::Map => (Icon::Map, "Map"),
        Screen::Table => (Icon::Table, "Services"),
        Screen::Nodes => (Icon::Nodes, "Nodes"),
        Screen::Findings => (Icon::Flag, "Findings"),
        Screen::Compare => (Icon::Compare, "Compare"),
        Screen::Sandbox => (Icon::Sandbox, "Sandbox"),
    }
}

/// The screens that there are.
#[component]
pub fn Rail() -> impl IntoView {
    let shell = shell();
    let buttons = Screen::ALL.map(|screen| {
        let (icon, name) = looks(screen);
        let current = move || (shell.screen.get() == screen).then_some("page");
        let there = move || screen != Screen::Sandbox || is_sandbox(shell);
        view! {
            <Show when=there>
                <button type="button" class="rail-button" aria-label=name title=name aria-current=current
                    on:click=move |_| shell.screen.set(screen)>
                    <IconView icon=icon/>
                    <span class="rail-name">{name}</span>
                    {(screen == Screen::Findings).then(|| view! { <FindingsBadge/> })}
                </button>
            </Show>
        }
    });
    view! {
        <nav class="rail" aria-label="Views">
            {buttons}
            <button type="button" class="rail-button rail-help" aria-label="Keys" title="Keys (?)"
                on:click=move |_| shell.keys_open.set(true)>
                <IconView icon=Icon::Help/>
            </button>
        </nav>
    }
}
