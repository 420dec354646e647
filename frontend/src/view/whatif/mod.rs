//! The what-if drawer at the bottom of the map: edits as chips, what they would do to traffic, and ways to add, write and
//! take them along.
//!
//! The edits are [`crate::whatif::Plan`] in the shell and in the URL; [`run`] works out the answer once for all who show it.

mod actions;
mod add;
mod answer;
mod chips;
mod editor;
mod export;
mod run;
mod sections;

use leptos::prelude::*;
use vipscope_shared::whatif::edit::ObjectName;

pub use actions::{WhatIfActions, WhatIfItem};
pub use answer::{FlowTable, MomentSwitch};
pub use run::{Moment, WhatIf, whatif};

use super::shell::shell;
use crate::ui::{Copy, Icon, IconView};

/// What the drawer's body shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pane {
    #[default]
    Answer,
    /// What can be done to what is selected.
    Add,
    /// The edit list as text.
    Text,
    /// One object's manifest.
    Manifest(ObjectName),
    Export,
}

/// The drawer; nothing while it is closed.
#[component]
pub fn WhatIfDrawer() -> impl IntoView {
    let shell = shell();
    view! { <Show when=move || shell.whatif_open.get()><Drawer/></Show> }
}

/// Opens and closes the drawer.
#[component]
pub fn WhatIfButton() -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let count = move || shell.plan.with(|plan| plan.edits().len());
    let more = move || {
        (count() > 0).then(|| view! { <span class="whatif-count">{format!(" · {}", count())}</span> })
    };
    view! {
        <button type="button" class="btn whatif-open" data-testid="whatif-open" title="What if (w)"
            aria-expanded=move || shell.whatif_open.get().to_string()
            aria-pressed=move || shell.whatif_open.get().to_string()
            on:click=move |_| whatif.toggle()>"What if"{more}</button>
    }
}

#[component]
fn Drawer() -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let body = move || match whatif.pane.get() {
        Pane::Answer => view! { <answer::AnswerPane/> }.into_any(),
        Pane::Add => view! { <add::AddPane/> }.into_any(),
        Pane::Text => view! { <editor::ListEditor/> }.into_any(),
        Pane::Manifest(object) => view! { <editor::ManifestEditor object=object/> }.into_any(),
        Pane::Export => view! { <export::ExportPane/> }.into_any(),
    };
    let link = Callback::new(move |()| shell.link());
    let close = move |_| whatif.close();
    view! {
        <section class="whatif" data-testid="whatif" aria-label="What if" data-pane=move || whatif.pane.with(Pane::as_str)>
            <header class="whatif-head">
                <h2>"What if"</h2>
                <chips::Chips/>
                <PaneButton pane=Pane::Add words="+ edit"/>
                <p class="whatif-sum" role="status" data-testid="whatif-sum">{move || whatif.summary()}</p>
                <div class="whatif-tools">
                    <Steps/>
                    <PaneButton pane=Pane::Text words="As text"/>
                    <Copy text=link label="Copy link"/>
                    <PaneButton pane=Pane::Export words="Export"/>
                    <button type="button" class="btn square" aria-label="Close what if" title="Close (Esc)" on:click=close>
                        <IconView icon=Icon::Close/>
                    </button>
                </div>
            </header>
            <div class="whatif-body" tabindex="0" role="region" aria-label="What would change">{body}</div>
        </section>
    }
}

impl Pane {
    fn as_str(&self) -> &'static str {
        match self {
            Pane::Answer => "answer",
            Pane::Add => "add",
            Pane::Text => "text",
            Pane::Manifest(_) => "manifest",
            Pane::Export => "export",
        }
    }
}

/// Shows a pane, or the answer again.
#[component]
fn PaneButton(pane: Pane, words: &'static str) -> impl IntoView {
    let whatif = whatif();
    let shown = pane.clone();
    let is_on = move || whatif.pane.with(|now| *now == shown);
    let testid = format!("whatif-{}", pane.as_str());
    let name = pane.clone();
    let toggle = move |_| {
        let is_on = whatif.pane.with_untracked(|now| *now == name);
        whatif.pane.set(if is_on { Pane::Answer } else { pane.clone() });
    };
    view! {
        <button type="button" class="btn" data-testid=testid aria-pressed=move || is_on().to_string() on:click=toggle>{words}</button>
    }
}

/// Undo, redo, start over.
#[component]
fn Steps() -> impl IntoView {
    let shell = shell();
    let can_undo = move || shell.plan.with(|plan| plan.can_undo());
    let can_redo = move || shell.plan.with(|plan| plan.can_redo());
    let is_empty = move || shell.plan.with(|plan| plan.edits().is_empty());
    view! {
        <div class="whatif-steps" role="group" aria-label="Steps">
            <button type="button" class="btn" data-testid="whatif-undo" disabled=move || !can_undo()
                on:click=move |_| shell.plan.update(|plan| plan.undo())>"Undo"</button>
            <button type="button" class="btn" data-testid="whatif-redo" disabled=move || !can_redo()
                on:click=move |_| shell.plan.update(|plan| plan.redo())>"Redo"</button>
            <button type="button" class="btn" data-testid="whatif-reset" disabled=is_empty
                on:click=move |_| shell.plan.update(|plan| plan.set(Vec::new()))>"Reset"</button>
        </div>
    }
}
