//! The edits to take along: to copy, or as a file.

use leptos::prelude::*;

use crate::ui::{Copy, save_text};
use crate::view::shell::shell;
use crate::whatif::{Notation, print_edits};

#[component]
pub fn ExportPane() -> impl IntoView {
    let shell = shell();
    let text = Memo::new(move |_| shell.plan.with(|plan| print_edits(plan.edits(), Notation::Json)));
    let copied = Callback::new(move |()| text.get_untracked());
    let save = move |_| save_text("edits.json", &text.get_untracked());
    view! {
        <div class="export">
            <div class="editor-bar">
                <Copy text=copied label="Copy"/>
                <button type="button" class="btn" on:click=save>"Download edits.json"</button>
            </div>
            <pre class="code mono" data-testid="export-text">{text}</pre>
        </div>
    }
}
