//! The edits as chips, each with a button that takes it away. A refused one says so, with the API server's reason.

use leptos::prelude::*;
use vipscope_shared::whatif::edit::Edit;

use super::run::whatif;
use crate::ui::{Icon, IconView, Mark, MarkView};
use crate::view::shell::shell;
use crate::whatif::chip;

#[component]
pub fn Chips() -> impl IntoView {
    let shell = shell();
    let edits = Memo::new(move |_| shell.plan.with(|plan| plan.edits().to_vec()));
    let chips = move || edits.get().into_iter().enumerate().map(one).collect_view();
    let list = move || {
        let is_empty = edits.with(Vec::is_empty);
        (!is_empty).then(|| view! { <ol class="whatif-chips" aria-label="Edits">{chips}</ol> })
    };
    view! { {list} }
}

fn one((nth, edit): (usize, Edit)) -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let (plain, bold) = chip(&edit);
    let words = format!("{plain} {bold}");
    let refusal = Memo::new(move |_| whatif.refusal_of(nth));
    let mark = move || refusal.get().map(|_| view! { <MarkView mark=Mark::Bad label="refused"/> });
    let title = {
        let words = words.clone();
        move || refusal.get().map_or_else(|| words.clone(), |reason| format!("refused: {reason}"))
    };
    let label = format!("Remove: {words}");
    view! {
        <li class="chip whatif-chip" class:is-refused=move || refusal.with(Option::is_some) title=title data-nth=nth.to_string()>
            {mark}<span class="whatif-chip-words">{plain}" "<b>{bold}</b></span>
            <button type="button" class="whatif-remove" aria-label=label title="Remove"
                on:click=move |_| shell.plan.update(|plan| plan.remove(nth))><IconView icon=Icon::Close/></button>
        </li>
    }
}
