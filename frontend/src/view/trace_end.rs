//! One end of a trace: a field with suggestions, what is wrong with it, and a button to point at the map instead.

use leptos::ev::KeyboardEvent;
use leptos::html;
use leptos::prelude::*;

use super::shell::{Shell, shell};
use crate::complete::{Suggestion, Suggestions, complete};
use crate::tracing::End;
use crate::ui::{Icon, IconView};
use crate::view_state::Screen;
use crate::words;

/// How many suggestions are listed; the rest is counted.
const LISTED: usize = 10;

/// What the reader does with the field.
#[derive(Debug, Clone, Copy)]
struct Hands {
    end: End,
    is_open: RwSignal<bool>,
    /// The suggestion that Enter would take; none at first, so that Enter traces.
    active: RwSignal<Option<usize>>,
    /// The field was left: what is wrong may be said.
    is_left: RwSignal<bool>,
    found: Memo<Suggestions>,
}

/// Placeholder and label.
fn looks(end: End) -> (&'static str, &'static str) {
    match end {
        End::From => ("pod, node, external, IP", "Trace from"),
        End::To => ("svc, IP:port", "Trace to"),
    }
}

/// The field of one end.
#[component]
pub fn TraceEnd(end: End) -> impl IntoView {
    let shell = shell();
    let input = NodeRef::<html::Input>::new();
    let is_open = RwSignal::new(false);
    let found = Memo::new(move |_| match is_open.get() {
        true => {
            shell.draft.with(|draft| shell.store.state(|state| complete(state, end, draft.text(end), LISTED)))
        }
        false => Suggestions::default(),
    });
    let (active, is_left) = (RwSignal::new(None), RwSignal::new(false));
    let hands = Hands { end, is_open, active, is_left, found };
    focus_when_asked(shell, end, input);
    let problem = Memo::new(move |_| problem(shell, hands));
    let lists = Memo::new(move |_| is_open.get() && found.with(|found| has_news(found, shell, end)));
    let (placeholder, label) = looks(end);
    let (list_id, error_id) =
        (format!("trace-{}-list", end.as_str()), format!("trace-{}-error", end.as_str()));
    let typed = move |ev| {
        shell.draft.update(|draft| *draft.text_mut(end) = event_target_value(&ev));
        is_open.set(true);
        is_left.set(false);
        active.set(None);
    };
    view! {
        <div class="trace-end" data-end=end.as_str() class:wrong=move || problem.with(Option::is_some)>
            <span class="trace-word" aria-hidden="true">{end.as_str()}</span>
            <input node_ref=input data-testid=format!("trace-{}", end.as_str()) class="mono" type="text" autocomplete="off"
                spellcheck="false" autocapitalize="off" placeholder=placeholder aria-label=label role="combobox"
                aria-autocomplete="list" aria-controls=list_id.clone() aria-expanded=move || lists.get().to_string()
                aria-activedescendant=move || active.get().map(|nth| option_id(end, nth))
                aria-invalid=move || problem.with(Option::is_some).to_string() aria-describedby=error_id.clone()
                prop:value=move || shell.draft.with(|draft| draft.text(end).to_owned())
                title=move || shell.draft.with(|draft| draft.text(end).to_owned())
                on:input=typed on:focus=move |_| is_open.set(true)
                on:blur=move |_| { is_open.set(false); is_left.set(true); active.set(None); }
                on:keydown=move |ev| key(shell, &ev, hands)/>
            <PickButton end=end/>
            <p class="trace-error" id=error_id role="status">{move || problem.get()}</p>
            <Show when=move || lists.get()><List hands=hands id=list_id.clone()/></Show>
        </div>
    }
}

/// More than what stands there already.
fn has_news(found: &Suggestions, shell: Shell, end: End) -> bool {
    shell.draft.with(|draft| found.best.iter().any(|one| one.text != draft.text(end)))
}

fn option_id(end: End, nth: usize) -> String {
    format!("trace-{}-{nth}", end.as_str())
}

fn focus_when_asked(shell: Shell, end: End, input: NodeRef<html::Input>) {
    Effect::new(move || {
        if shell.trace_focus.get() != Some(end) {
            return;
        }
        shell.trace_focus.set(None);
        // The sheet opens first.
        request_animation_frame(move || {
            if let Some(input) = input.get_untracked() {
                let _ = input.focus();
                input.select();
            }
        });
    });
}

/// In the words of the parser; nothing while the reader is typing.
fn problem(shell: Shell, hands: Hands) -> Option<String> {
    let tried = shell.trace_tried.get();
    let Hands { end, is_left, .. } = hands;
    shell.draft.with(|draft| {
        let text = draft.text(end).trim();
        match (text.is_empty(), tried) {
            (true, true) => Some(format!("{} is missing", end.as_str())),
            (true, false) => None,
            (false, _) if tried || is_left.get() => end.problem(text).map(|problem| problem.to_string()),
            (false, _) => None,
        }
    })
}

fn key(shell: Shell, ev: &KeyboardEvent, hands: Hands) {
    let count = hands.found.with_untracked(|found| found.best.len());
    let step = |at: Option<usize>, by: usize| match at {
        Some(at) => Some((at + by) % count),
        None => Some(if by == 1 { 0 } else { count - 1 }),
    };
    let active = hands.active.get_untracked();
    match ev.key().as_str() {
        "ArrowDown" if count > 0 => hands.active.set(step(active, 1)),
        "ArrowUp" if count > 0 => hands.active.set(step(active, count - 1)),
        "Enter" => {
            let chosen = hands.found.with_untracked(|found| found.best.get(active?).cloned());
            match chosen {
                Some(chosen) => choose(shell, hands, &chosen),
                None => {
                    hands.is_open.set(false);
                    shell.trace_draft();
                }
            }
        }
        "Escape" if hands.is_open.get_untracked() && count > 0 => hands.is_open.set(false),
        "Escape" => {
            shell.trace_open.set(false);
            let focused = document().active_element();
            if let Some(focused) =
                focused.and_then(|one| wasm_bindgen::JsCast::dyn_into::<web_sys::HtmlElement>(one).ok())
            {
                let _ = focused.blur();
            }
        }
        _ => return,
    }
    ev.prevent_default();
    ev.stop_propagation();
}

/// Takes a suggestion. After the source the destination is asked for, if there is none.
fn choose(shell: Shell, hands: Hands, chosen: &Suggestion) {
    shell.draft.update(|draft| *draft.text_mut(hands.end) = chosen.text.clone());
    hands.is_open.set(false);
    hands.active.set(None);
    let next = hands.end.other();
    if hands.end == End::From && shell.draft.with_untracked(|draft| draft.text(next).is_empty()) {
        shell.trace_focus.set(Some(next));
    }
}

#[component]
fn List(hands: Hands, id: String) -> impl IntoView {
    let shell = shell();
    let row = move |(nth, suggestion): (usize, Suggestion)| {
        let chosen = suggestion.clone();
        // Before the input's blur, which closes the list.
        let press = move |ev: leptos::ev::PointerEvent| {
            ev.prevent_default();
            choose(shell, hands, &chosen);
        };
        view! {
            <li id=option_id(hands.end, nth) role="option" on:pointerdown=press
                aria-selected=move || (hands.active.get() == Some(nth)).to_string()
                on:pointermove=move |_| hands.active.set(Some(nth))>
                <b class="mono">{suggestion.text}</b>
                <span class="hit-detail">{suggestion.detail}</span>
            </li>
        }
    };
    let more = move || {
        let more = hands.found.with(|found| found.more);
        (more > 0).then(|| format!("and {} more: type on to narrow it down", words::thousands(more as u64)))
    };
    view! {
        <div class="hits trace-hits">
            <ul id=id role="listbox" aria-label="Suggestions">
                {move || hands.found.get().best.into_iter().enumerate().map(row).collect_view()}
            </ul>
            <p class="hits-more">{more}</p>
        </div>
    }
}

/// The next click on the map fills the field.
#[component]
fn PickButton(end: End) -> impl IntoView {
    let shell = shell();
    let is_on = move || shell.picking.get() == Some(end);
    let label = match end {
        End::From => "Point at the source on the map",
        End::To => "Point at the destination on the map",
    };
    let pick = move |_| {
        let next = (!is_on()).then_some(end);
        shell.picking.set(next);
        if next.is_some() {
            shell.trace_open.set(false);
            shell.screen.set(Screen::Map);
        }
    };
    view! {
        <button type="button" class="trace-pick" aria-label=label title=label aria-pressed=move || is_on().to_string()
            on:click=pick>
            <IconView icon=Icon::Pick/>
        </button>
    }
}
