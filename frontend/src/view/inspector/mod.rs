//! The inspector: everything about what is selected, or an overview if nothing is.
//!
//! [`headline`] says for any target what it is in a few lines (tooltips use it too). Below it, tabs; each body reads the
//! store and follows it. What is selected and gone is said to be gone, and the URL keeps it.

mod address;
mod changes;
mod details;
mod dns;
mod endpoints;
mod environment;
mod findings;
mod headline;
mod ladder;
mod namespace;
mod node;
mod node_basis;
mod overview;
mod pod;
mod refusals;
mod rules;
mod service;
mod source;
mod traffic;

use leptos::prelude::*;
use vipscope_shared::scene::{NO_NODE, Target};

pub use headline::{Headline, headline, health_mark, is_useful, node_state, severity};

use super::findings::{count_about, findings_run};
use super::shell::{Shell, shell};
use super::trace_actions::TraceActions;
use super::whatif::WhatIfActions;
use crate::ui::{Icon, IconView, MarkView};
use crate::view_state::Tab;
use changes::Changes;

/// The panel on the right, or the sheet at the bottom of a narrow page.
#[component]
pub fn Inspector() -> impl IntoView {
    let shell = shell();
    let selected = Memo::new(move |_| shell.selected.get());
    let body = move || match selected.get() {
        None => view! { <overview::Overview/> }.into_any(),
        Some(target) => view! { <Inspected target=target/> }.into_any(),
    };
    view! { <aside class="insp" data-testid="inspector" aria-label="Inspector">{body}</aside> }
}

/// The tabs of a kind of selection; the first is the default.
fn tabs_of(target: &Target) -> &'static [Tab] {
    match target {
        Target::Service(_) | Target::Port(..) => {
            const TABS: &[Tab] = &[
                Tab::Endpoints,
                Tab::Ladder,
                Tab::Rules,
                Tab::Dns,
                Tab::Findings,
                Tab::Summary,
                Tab::Details,
                Tab::Changes,
            ];
            TABS
        }
        Target::Pod(_) => &[Tab::Summary, Tab::Dns, Tab::Findings, Tab::Details, Tab::Changes],
        Target::Node(_) => &[Tab::Summary, Tab::Findings, Tab::Details, Tab::Changes],
        Target::Namespace(_) => &[Tab::Summary, Tab::Changes],
        Target::Source(_) | Target::Address(_) => &[Tab::Summary],
    }
}

fn tab_name(tab: Tab) -> &'static str {
    match tab {
        Tab::Summary => "Summary",
        Tab::Endpoints => "Endpoints",
        Tab::Ladder => "Ladder",
        Tab::Rules => "Rules",
        Tab::Dns => "DNS",
        Tab::Findings => "Findings",
        Tab::Details => "Details",
        Tab::Changes => "Changes",
    }
}

#[component]
fn Inspected(target: Target) -> impl IntoView {
    let shell = shell();
    let named = target.clone();
    let head = Memo::new(move |_| shell.store.state(|state| headline(state, &named)));
    let loaded = Memo::new(move |_| shell.store.is_loaded());
    let is_there = Memo::new(move |_| head.with(Option::is_some));
    let tabs = tabs_of(&target);
    let tab = Memo::new(move |_| shell.tab.get().filter(|tab| tabs.contains(tab)).unwrap_or(tabs[0]));
    let shown = target.clone();
    let body = move || match (is_there.get(), tab.get()) {
        (_, Tab::Changes) => view! { <Changes target=shown.clone()/> }.into_any(),
        (false, _) if loaded.get() => view! { <Gone/> }.into_any(),
        (false, _) => ().into_any(),
        (true, tab) => body(&shown, tab),
    };
    view! {
        <Head head=head target=target.clone()/>
        <Show when=move || { tabs.len() > 1 }>
            <Tabs tabs=tabs tab=tab/>
        </Show>
        <div class="insp-body" role="tabpanel" tabindex="0">{body}</div>
    }
}

fn body(target: &Target, tab: Tab) -> AnyView {
    let target = target.clone();
    match (target, tab) {
        (target, Tab::Findings) => view! { <findings::Findings target=target/> }.into_any(),
        (target, Tab::Details) => view! { <details::Details target=target/> }.into_any(),
        (Target::Service(key), Tab::Endpoints) => {
            view! { <endpoints::Endpoints key=key port=None/> }.into_any()
        }
        (Target::Port(key, port), Tab::Endpoints) => {
            view! { <endpoints::Endpoints key=key port=Some(port)/> }.into_any()
        }
        (Target::Service(key), Tab::Ladder) => view! { <ladder::Ladder key=key port=None/> }.into_any(),
        (Target::Port(key, port), Tab::Ladder) => {
            view! { <ladder::Ladder key=key port=Some(port)/> }.into_any()
        }
        (Target::Service(key) | Target::Port(key, _), Tab::Dns) => {
            view! { <dns::ServiceDns key=key/> }.into_any()
        }
        (Target::Pod(key), Tab::Dns) => view! { <dns::PodDns key=key/> }.into_any(),
        (Target::Service(key), Tab::Rules) => view! { <rules::Rules key=key port=None/> }.into_any(),
        (Target::Port(key, port), Tab::Rules) => view! { <rules::Rules key=key port=Some(port)/> }.into_any(),
        (Target::Service(key) | Target::Port(key, _), _) => view! { <service::Summary key=key/> }.into_any(),
        (Target::Pod(key), _) => view! { <pod::Summary key=key/> }.into_any(),
        (Target::Address(address), _) => view! { <address::Summary address=address/> }.into_any(),
        (Target::Node(name), _) if &*name == NO_NODE => view! { <node::Nowhere/> }.into_any(),
        (Target::Node(name), _) => view! { <node::Summary name=name/> }.into_any(),
        (Target::Namespace(name), _) => view! { <namespace::Summary name=name/> }.into_any(),
        (Target::Source(source), _) => view! { <source::Summary source=source/> }.into_any(),
    }
}

#[component]
fn Head(head: Memo<Option<Headline>>, target: Target) -> impl IntoView {
    let shell = shell();
    let text = target.to_string();
    let name = text.rsplit('/').next().unwrap_or_default().to_owned();
    let content = move || match head.get() {
        None => view! { <h1>{name.clone()}</h1><span class="chip small">"gone"</span> }.into_any(),
        Some(head) => view! {
            <MarkView mark=head.mark label=head.state.clone()/>
            <h1>{head.name}</h1>
            <span class="chip small">{head.kind}</span>
            <span class="insp-ns mono">{head.namespace}</span>
        }
        .into_any(),
    };
    let lines = move || {
        let lines = head.get().map(|head| head.lines).unwrap_or_default();
        lines.into_iter().map(|line| view! { <div class="sub">{line}</div> }).collect_view()
    };
    view! {
        <header class="insp-head">
            <div class="insp-title">
                {content}
                <button type="button" class="btn square close" aria-label="Close the inspector" title="Close (Esc)"
                    on:click=move |_| shell.select(None)>
                    <IconView icon=Icon::Close/>
                </button>
            </div>
            {lines}
            <TraceActions target=target.clone()/>
            <WhatIfActions target=target/>
        </header>
    }
}

#[component]
fn Tabs(tabs: &'static [Tab], tab: Memo<Tab>) -> impl IntoView {
    let shell = shell();
    let walk = move |ev: leptos::ev::KeyboardEvent| {
        let step = match ev.key().as_str() {
            "ArrowRight" => 1,
            "ArrowLeft" => tabs.len() - 1,
            _ => return,
        };
        ev.prevent_default();
        ev.stop_propagation();
        let at = tabs.iter().position(|one| *one == tab.get_untracked()).unwrap_or_default();
        shell.tab.set(Some(tabs[(at + step) % tabs.len()]));
        focus_tab();
    };
    let one = move |one: Tab| {
        let on = move || tab.get() == one;
        view! {
            <button type="button" role="tab" aria-selected=move || on().to_string()
                tabindex=move || if on() { "0" } else { "-1" } on:click=move |_| shell.tab.set(Some(one))>
                {tab_name(one)}{move || count_of(shell, one)}
            </button>
        }
    };
    view! { <div class="tabs" role="tablist" on:keydown=walk>{tabs.iter().copied().map(one).collect_view()}</div> }
}

/// The focus follows the selected tab, once it is the selected one.
fn focus_tab() {
    request_animation_frame(|| {
        use wasm_bindgen::JsCast;
        let tab = document().query_selector(".tabs [aria-selected=true]").ok().flatten();
        if let Some(tab) = tab.and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = tab.focus();
        }
    });
}

/// What a tab's name is followed by.
fn count_of(shell: Shell, tab: Tab) -> Option<String> {
    match tab {
        Tab::Changes => change_count(shell),
        Tab::Findings => {
            let target = shell.selected.get()?;
            let count = count_about(&*findings_run().get()?, &target);
            (count > 0).then(|| format!(" {count}"))
        }
        _ => None,
    }
}

fn change_count(shell: Shell) -> Option<String> {
    let target = shell.selected.get()?;
    let count = shell.store.with(|data| data.recent.iter().filter(|change| change.concerns(&target)).count());
    (count > 0).then(|| format!(" {count}"))
}

#[component]
fn Gone() -> impl IntoView {
    view! {
        <div class="sec">
            <p>"It is not in the cluster (any more)."</p>
            <p class="muted">"The selection stays: if it comes back, it shows up here again. Recent changes may say what happened."</p>
        </div>
    }
}
