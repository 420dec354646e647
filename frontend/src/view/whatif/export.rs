//! The edits to take along: as a script of kubectl commands, as a manifest of what it applies, or as the list itself. To copy, or as a file.

use leptos::prelude::*;
use vipscope_shared::whatif::edit::export;

use crate::ui::{Copy, save_text};
use crate::view::shell::shell;
use crate::whatif::{Notation, print_edits};

/// One form of the edits.
#[derive(Debug, Clone, PartialEq)]
struct Form {
    name: &'static str,
    file: &'static str,
    text: String,
}

#[component]
pub fn ExportPane() -> impl IntoView {
    let shell = shell();
    let exported = Memo::new(move |_| {
        shell.plan.with(|plan| {
            let made = shell.store.state(|state| export(state, plan.edits()));
            let script = if made.is_empty() { String::new() } else { made.script() };
            let list = print_edits(plan.edits(), Notation::Json);
            let forms = [
                ("kubectl", "what-if.sh", script),
                ("Manifest", "what-if.json", made.manifest().unwrap_or_default()),
                ("Edit list", "edits.json", list),
            ];
            let forms = forms.map(|(name, file, text)| Form { name, file, text });
            let left_out: Vec<String> = made.left_out().map(str::to_owned).collect();
            (forms.into_iter().filter(|form| !form.text.is_empty()).collect::<Vec<Form>>(), left_out)
        })
    });
    let forms = move || exported.get().0.into_iter().map(form).collect_view();
    let left_out = move || {
        let left_out = exported.get().1;
        (!left_out.is_empty()).then(|| {
            let lines = left_out.into_iter().map(|words| view! { <li>{words}</li> }).collect_view();
            view! { <section class="export-form"><h3>"No command does this to a real cluster"</h3><ul class="plain">{lines}</ul></section> }
        })
    };
    let is_empty = move || exported.with(|(forms, _)| forms.is_empty());
    view! {
        <div class="export">
            {forms}{left_out}
            <Show when=is_empty><p class="muted">"There are no edits to export."</p></Show>
        </div>
    }
}

fn form(Form { name, file, text }: Form) -> impl IntoView {
    let copied = text.clone();
    let copy = Callback::new(move |()| copied.clone());
    let saved = text.clone();
    view! {
        <section class="export-form" data-form=name>
            <div class="editor-bar">
                <h3>{name}</h3>
                <Copy text=copy label="Copy"/>
                <button type="button" class="btn" on:click=move |_| save_text(file, &saved)>{format!("Download {file}")}</button>
            </div>
            <pre class="code mono">{text}</pre>
        </section>
    }
}
