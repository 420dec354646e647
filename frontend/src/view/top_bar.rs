//! The top bar: logo, which cluster this is and how live it is, the trace bar, search, theme, link.

use leptos::prelude::*;

use super::findings::FindingsButton;
use super::open_file::OpenFileIcon;
use super::search_box::SearchBox;
use super::shell::{Shell, shell};
use super::status::liveness;
use super::trace_bar::TraceBar;
use super::whatif::WhatIfButton;
use crate::canvas::Theme;
use crate::ui::{Copy, Icon, IconView, Logo, MarkView};
use crate::words;

/// The bar above everything.
#[component]
pub fn TopBar() -> impl IntoView {
    let shell = shell();
    let link = Callback::new(move |()| shell.link());
    view! {
        <header class="top">
            <div class="logo"><Logo/><span>"vipscope"</span></div>
            <ClusterChip/>
            <TraceBar/>
            <div class="top-end">
                <SearchButton/>
                <FindingsButton/>
                <OpenFileIcon/>
                <WhatIfButton/>
                <Copy text=link label="Copy link"/>
                <ThemeToggle/>
            </div>
            <SearchBox/>
        </header>
    }
}

/// Opens the search; says what was searched for.
#[component]
fn SearchButton() -> impl IntoView {
    let shell = shell();
    let words = move || match shell.query.with(|query| query.trim().to_owned()).as_str() {
        "" => "Search".to_owned(),
        query => format!("“{query}”"),
    };
    view! {
        <button type="button" class="btn search-open" data-testid="search-open" aria-label="Search" title="Search (/)"
            aria-expanded=move || shell.search_open.get().to_string() on:click=move |_| shell.search_open.set(true)>
            <IconView icon=Icon::Search/><span class="search-word">{words}</span><kbd aria-hidden="true">"/"</kbd>
        </button>
    }
}

#[component]
fn ThemeToggle() -> impl IntoView {
    let shell = shell();
    let icon = Signal::derive(move || match shell.theme() {
        Theme::Light => Icon::Moon,
        Theme::Dark => Icon::Sun,
    });
    let label = move || match shell.theme() {
        Theme::Light => "Switch to dark",
        Theme::Dark => "Switch to light",
    };
    view! {
        <button type="button" class="btn square" data-testid="theme" aria-label=label title=move || format!("{} (d)", label())
            on:click=move |_| shell.toggle_theme()>
            <IconView icon=icon/>
        </button>
    }
}

/// Which cluster, and how live: always visible. Opens to all that is known about it.
#[component]
pub fn ClusterChip() -> impl IntoView {
    let shell = shell();
    let live = Memo::new(move |_| {
        let connection = shell.store.connection();
        shell.store.with(|data| liveness(&connection, data))
    });
    let info = Memo::new(move |_| shell.store.with(|data| data.cluster.as_deref().cloned()));
    let name =
        move || info.with(|info| info.as_ref().map_or_else(|| "…".to_owned(), |info| info.name.to_string()));
    // The context is as much part of which cluster this is as its name.
    let kind = move || {
        info.with(|info| {
            let info = info.as_ref()?;
            let source = words::source(info.source);
            match info.context.as_ref().filter(|context| **context != info.name) {
                Some(context) => Some(format!("{source} · {context}")),
                None => (source != &*info.name).then(|| source.to_owned()),
            }
        })
    };
    let title = move || info.with(|info| info.as_ref().map(words::cluster_line).unwrap_or_default());
    view! {
        <details class="cluster" data-testid="cluster">
            <summary class="chip" title=title>
                {move || { let live = live.get(); view! { <MarkView mark=live.mark label=live.state/> } }}
                <b class="cluster-name">{name}</b>
                <span class="cluster-kind">{kind}</span>
                <span class="cluster-nodes">{move || node_count(shell)}</span>
                <span class="connection" data-testid="connection" data-state=move || live.get().state
                    role="status">{move || live.get().words}</span>
            </summary>
            <div class="popover"><ClusterFacts/></div>
        </details>
    }
}

fn node_count(shell: Shell) -> Option<String> {
    let nodes = shell.store.state(|state| state.nodes().len());
    (nodes > 0).then(|| words::count(nodes, "node", "nodes"))
}

/// Source kind, name, context and server, one a line.
#[component]
pub fn ClusterFacts() -> impl IntoView {
    let shell = shell();
    let facts = move || {
        shell.store.with(|data| {
            let info = data.cluster.as_deref()?;
            let mut facts =
                vec![("Source", words::source(info.source).to_owned()), ("Cluster", info.name.to_string())];
            facts.extend(info.context.as_ref().map(|context| ("Context", context.to_string())));
            facts.extend(info.server.as_ref().map(|server| ("Server", server.to_string())));
            Some(facts)
        })
    };
    let rows = move || {
        let facts = facts().unwrap_or_default();
        facts
            .into_iter()
            .map(|(name, value)| {
                view! {
                    <div class="field"><dt>{name}</dt><dd class="mono">{value}</dd></div>
                }
            })
            .collect_view()
    };
    view! { <dl class="fields">{rows}</dl> }
}
