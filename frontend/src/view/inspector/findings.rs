//! What is wrong with the thing that is selected; leads to the whole list.

use std::collections::BTreeSet;

use leptos::prelude::*;
use vipscope_shared::scene::Target;

use crate::view::findings::{Cards, Naming, findings_run, list_about};
use crate::view::shell::shell;

/// Findings that have it as subject or evidence.
#[component]
pub fn Findings(target: Target) -> impl IntoView {
    let shell = shell();
    let run = findings_run();
    let wanted = target.clone();
    let found = Memo::new(move |_| run.get().map(|findings| findings.concerning(&wanted)));
    let entries = Memo::new(move |_| found.get().unwrap_or_default());
    let open = RwSignal::new(BTreeSet::new());
    let ran = move || run.get().map_or(0, |findings| findings.ran());
    let words = move || match found.with(|found| found.as_ref().map(Vec::len)) {
        None => Some("Running the checks…".to_owned()),
        Some(0) => Some(format!("Nothing found: {} checks ran.", ran())),
        Some(_) => None,
    };
    view! {
        <section class="sec">
            {move || words().map(|words| view! { <p class="muted" role="status">{words}</p> })}
            <Cards entries=entries open=open naming=Naming::Title/>
            <button type="button" class="btn" data-testid="all-findings" on:click=move |_| list_about(shell, target.clone())>
                "Show in the list"
            </button>
        </section>
    }
}
