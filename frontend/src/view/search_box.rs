//! Search: a combobox over everything in the cluster. `/` and Ctrl/Cmd+K focus it, arrows choose, Enter selects, Esc closes.

use leptos::ev::KeyboardEvent;
use leptos::html;
use leptos::prelude::*;

use super::shell::{Shell, shell};
use crate::search::{Hit, Hits, search};
use crate::ui::{Icon, IconView};
use crate::words;

/// How many hits are listed; the rest is counted.
const LISTED: usize = 12;

/// The box and its list.
#[component]
pub fn SearchBox() -> impl IntoView {
    let shell = shell();
    let input = NodeRef::<html::Input>::new();
    let active = RwSignal::new(0_usize);
    let hits = Memo::new(move |_| match shell.search_open.get() {
        true => shell.query.with(|query| shell.store.state(|state| search(state, query, LISTED))),
        false => Hits::default(),
    });
    focus_when_opened(shell, input);
    let open = move || shell.search_open.get() && shell.query.with(|query| !query.trim().is_empty());
    let typed = move |ev| {
        shell.query.set(event_target_value(&ev));
        shell.search_open.set(true);
        active.set(0);
    };
    view! {
        <div class="search" role="search" class:open=open class:shown=move || shell.search_open.get()>
            <IconView icon=Icon::Search/>
            <input node_ref=input data-testid="search" type="search" autocomplete="off" spellcheck="false"
                placeholder="Search names, IPs, ip:port, app=web" aria-label="Search the cluster" role="combobox"
                aria-autocomplete="list" aria-controls="hits" aria-expanded=move || open().to_string()
                aria-activedescendant=move || open().then(|| format!("hit-{}", active.get()))
                prop:value=move || shell.query.get() on:input=typed
                on:focus=move |_| shell.search_open.set(true)
                on:blur=move |_| shell.search_open.set(false)
                on:keydown=move |ev| key(shell, &ev, hits, active, input)/>
            <kbd aria-hidden="true">"/"</kbd>
            <Show when=open><HitList hits=hits active=active/></Show>
        </div>
    }
}

fn focus_when_opened(shell: Shell, input: NodeRef<html::Input>) {
    Effect::new(move || {
        if let (true, Some(input)) = (shell.search_open.get(), input.get()) {
            // It is hidden until then.
            request_animation_frame(move || {
                let _ = input.focus();
            });
        }
    });
}

fn key(
    shell: Shell,
    ev: &KeyboardEvent,
    hits: Memo<Hits>,
    active: RwSignal<usize>,
    input: NodeRef<html::Input>,
) {
    let count = hits.with_untracked(|hits| hits.best.len());
    match ev.key().as_str() {
        "ArrowDown" if count > 0 => active.update(|at| *at = (*at + 1) % count),
        "ArrowUp" if count > 0 => active.update(|at| *at = (*at + count - 1) % count),
        "Enter" => {
            let hit = hits.with_untracked(|hits| hits.best.get(active.get_untracked()).cloned());
            hit.into_iter().for_each(|hit| choose(shell, &hit));
        }
        "Escape" => {
            shell.query.set(String::new());
            shell.search_open.set(false);
        }
        _ => return,
    }
    ev.prevent_default();
    ev.stop_propagation();
    if let ("Enter" | "Escape", Some(input)) = (ev.key().as_str(), input.get_untracked()) {
        let _ = input.blur();
    }
}

fn choose(shell: Shell, hit: &Hit) {
    shell.select(Some(hit.target.clone()));
    shell.query.set(String::new());
    shell.search_open.set(false);
}

#[component]
fn HitList(hits: Memo<Hits>, active: RwSignal<usize>) -> impl IntoView {
    let shell = shell();
    let row = move |(index, hit): (usize, Hit)| {
        let chosen = hit.clone();
        // Before the input's blur, which closes the list.
        let press = move |ev: leptos::ev::PointerEvent| {
            ev.prevent_default();
            choose(shell, &chosen);
        };
        view! {
            <li id=format!("hit-{index}") role="option" aria-selected=move || (active.get() == index).to_string()
                on:pointerdown=press on:pointermove=move |_| active.set(index)>
                <span class="hit-kind">{hit.kind}</span>
                <b>{hit.name.to_string()}</b>
                <span class="hit-detail mono">{hit.detail}</span>
            </li>
        }
    };
    let more = move || match hits.with(|hits| (hits.best.len(), hits.more)) {
        (0, _) => Some(
            "Nothing found. Names, namespace/name, IPs, ip:port and labels like app=web are searched."
                .to_owned(),
        ),
        (_, 0) => None,
        (_, more) => Some(format!("and {} more: type on to narrow it down", words::thousands(more as u64))),
    };
    view! {
        <div class="hits">
            <ul id="hits" role="listbox" aria-label="Hits">
                {move || hits.get().best.into_iter().enumerate().map(row).collect_view()}
            </ul>
            <p class="hits-more">{more}</p>
        </div>
    }
}
