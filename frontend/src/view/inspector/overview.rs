//! The inspector while nothing is selected: which Services need a look, what just happened, which cluster, how fresh.

use std::collections::VecDeque;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Freshness};

use super::changes::line;
use super::headline::needs_a_look;
use super::namespace::{Standing, standing_line, standings};
use crate::changes::{RecentChange, Tone};
use crate::ui::{Section, clock_seconds};
use crate::view::shell::shell;
use crate::view::top_bar::ClusterFacts;
use crate::view_state::Screen;
use crate::words;

/// Services and changes listed at once; the rest is counted.
const LISTED: usize = 8;

/// The overview.
#[component]
pub fn Overview() -> impl IntoView {
    let shell = shell();
    let name = move || {
        shell.store.with(|data| {
            data.cluster.as_ref().map_or_else(|| "vipscope".to_owned(), |cluster| cluster.name.to_string())
        })
    };
    let sub = move || {
        shell.store.is_loaded().then(|| {
            shell.store.state(|state| {
                format!(
                    "{} · {}",
                    words::count(state.services().len(), "Service", "Services"),
                    words::count(state.pods().len(), "pod", "pods")
                )
            })
        })
    };
    view! {
        <header class="insp-head">
            <div class="insp-title"><h1>{name}</h1><span class="chip small">"Cluster"</span></div>
            <div class="sub">{sub}</div>
        </header>
        <div class="insp-body" tabindex="0">
            <NeedsALook/>
            <JustHappened/>
            <Section title="Which cluster"><ClusterFacts/></Section>
            <Section title="How fresh"><ul class="plain">{freshness}</ul></Section>
        </div>
    }
}

#[component]
fn NeedsALook() -> impl IntoView {
    let shell = shell();
    let unwell = Memo::new(move |_| {
        shell.store.state(|state| {
            let all = standings(state, |_| true);
            all.into_iter().filter(|(health, ..)| needs_a_look(*health)).collect::<Vec<Standing>>()
        })
    });
    let count = move || unwell.with(|unwell| unwell.len());
    let words = move || match (shell.store.is_loaded(), count()) {
        (true, 0) => Some("Every Service has an endpoint that answers."),
        _ => None,
    };
    view! {
        <Section title="Needs a look">
            <ul class="plain">{move || unwell.get().into_iter().take(LISTED).map(standing_line).collect_view()}</ul>
            <p class="muted">{words}</p>
            <Show when=move || { count() > LISTED }>
                <button type="button" class="btn" on:click=move |_| shell.screen.set(Screen::Table)>
                    {move || format!("All {} in the table", count())}
                </button>
            </Show>
        </Section>
    }
}

/// The newest first, without what nobody would ask about.
fn loud(recent: &VecDeque<RecentChange>) -> impl Iterator<Item = &RecentChange> {
    recent.iter().rev().filter(|change| change.tone != Tone::Quiet)
}

#[component]
fn JustHappened() -> impl IntoView {
    let shell = shell();
    let recent = Memo::new(move |_| {
        shell.store.with(|data| loud(&data.recent).take(LISTED).cloned().collect::<Vec<_>>())
    });
    view! {
        <Section title="Just happened">
            <ol class="changes">{move || recent.get().into_iter().map(line).collect_view()}</ol>
            <Show when=move || recent.with(|recent| recent.is_empty())>
                <p class="muted">"Nothing yet: changes show up here as they come."</p>
            </Show>
        </Section>
    }
}

fn freshness() -> impl IntoView {
    let lines = shell().store.state(freshness_lines);
    lines
        .into_iter()
        .map(|(kind, count, words)| view! {
            <li class="line"><span>{kind}</span><span class="faint">{count}</span><span class="line-end">{words}</span></li>
        })
        .collect_view()
}

/// Kind, how many, how fresh.
fn freshness_lines(state: &ClusterState) -> Vec<(&'static str, String, String)> {
    let line = |source: &vipscope_shared::model::Source| {
        let words = match &source.freshness {
            Freshness::Listing { .. } => "being listed…".to_owned(),
            Freshness::Live => "live".to_owned(),
            Freshness::Fixed => "from a file".to_owned(),
            Freshness::Forbidden { .. } => "forbidden".to_owned(),
            Freshness::Stale { since, .. } => format!("stale since {}", clock_seconds(*since)),
        };
        (words::plural(source.kind), words::thousands(state.refs(source.kind).len() as u64), words)
    };
    state.sources().values().map(line).collect()
}
