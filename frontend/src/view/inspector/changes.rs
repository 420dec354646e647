//! Recent changes of what is selected.

use leptos::prelude::*;
use vipscope_shared::scene::Target;

use crate::changes::RecentChange;
use crate::ui::{Section, clock_seconds};
use crate::view::links::TargetLink;
use crate::view::shell::shell;
use crate::words;

/// The changes since the page connected, the newest first.
#[component]
pub fn Changes(target: Target) -> impl IntoView {
    let shell = shell();
    let changes = Memo::new(move |_| {
        shell.store.with(|data| {
            let mine = data.recent.iter().rev().filter(|change| change.concerns(&target));
            mine.cloned().collect::<Vec<RecentChange>>()
        })
    });
    let empty = move || changes.with(|changes| changes.is_empty());
    view! {
        <Section title="Recent changes">
            <ol class="changes">{move || changes.get().into_iter().map(line).collect_view()}</ol>
            <Show when=empty>
                <p class="muted">"Nothing has changed here since this page connected."</p>
            </Show>
        </Section>
    }
}

/// When, what, how long ago.
pub fn line(change: RecentChange) -> impl IntoView {
    let shell = shell();
    let time = change.time;
    let subject = change.subject();
    let subject = match change.target() {
        Some(target) => view! { <TargetLink target=target text=subject/> }.into_any(),
        None => subject.into_any(),
    };
    view! {
        <li class=format!("change {}", change.tone.as_str())>
            <span class="mono faint" title=move || format!("{} ago", words::ago(time, shell.now.get()))>{clock_seconds(time)}</span>
            <span>{subject}" "<span class="change-what">{change.what}</span></span>
        </li>
    }
}
