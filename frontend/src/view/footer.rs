//! The line at the bottom: how live, which revision, how late; recent changes on a time line; counts.

use jiff::{SignedDuration, Timestamp};
use leptos::prelude::*;
use vipscope_shared::scene::Target;

use super::shell::shell;
use super::status::liveness;
use crate::changes::RecentChange;
use crate::ui::{MarkView, clock_minutes, clock_seconds};
use crate::words;

/// How far back the time line goes.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// Changes closer than this share a tick.
const MERGE: SignedDuration = SignedDuration::from_secs(3);

/// The footer.
#[component]
pub fn Footer() -> impl IntoView {
    let shell = shell();
    let live = Memo::new(move |_| {
        let connection = shell.store.connection();
        shell.store.with(|data| liveness(&connection, data))
    });
    let revision = move || {
        let number = shell.store.with(|data| {
            // A file has none of its own.
            data.revision.as_ref().filter(|_| data.opened.is_none()).map(|revision| revision.number)
        });
        number.map(|number| format!(" · rev {}", words::thousands(number)))
    };
    let behind = move || {
        let behind = shell.store.clock().behind_ms?;
        live.get().is_moving.then(|| format!(" · {behind} ms behind"))
    };
    view! {
        <footer class="foot">
            <span class="foot-live">
                {move || { let live = live.get(); view! { <MarkView mark=live.mark label=""/><span>{live.words}</span> } }}
                <span class="foot-more" title="Time on the way of the last message, against the fastest one">
                    {revision}{behind}
                </span>
            </span>
            <TimeLine/>
            <span class="counts">{counts}</span>
        </footer>
    }
}

fn counts() -> Option<String> {
    let store = shell().store;
    store.is_loaded().then(|| {
        store.state(|state| {
            [
                words::count(state.pods().len(), "pod", "pods"),
                words::count(state.services().len(), "Service", "Services"),
                words::count(state.nodes().len(), "node", "nodes"),
            ]
            .join(" · ")
        })
    })
}

/// One mark on the time line: changes at nearly the same time.
#[derive(Debug, Clone, PartialEq)]
struct Tick {
    time: Timestamp,
    tone: &'static str,
    title: String,
    target: Option<Target>,
    count: usize,
}

fn ticks(recent: impl Iterator<Item = RecentChange>, now: Timestamp) -> Vec<Tick> {
    let mut ticks: Vec<Tick> = Vec::new();
    for change in recent.filter(|change| now.duration_since(change.time) < WINDOW) {
        let line = format!("{} {} {}", clock_seconds(change.time), change.subject(), change.what);
        match ticks.last_mut().filter(|tick| change.time.duration_since(tick.time) < MERGE) {
            Some(tick) => {
                tick.count += 1;
                if tick.count <= 5 {
                    tick.title = format!("{}\n{line}", tick.title);
                }
                if change.tone as u8 > rank(tick.tone) {
                    tick.tone = change.tone.as_str();
                    tick.target = change.target();
                }
            }
            None => ticks.push(Tick {
                time: change.time,
                tone: change.tone.as_str(),
                title: line,
                target: change.target(),
                count: 1,
            }),
        }
    }
    ticks
}

fn rank(tone: &str) -> u8 {
    ["quiet", "good", "notable", "bad"].iter().position(|name| *name == tone).map_or(0, |at| at as u8)
}

#[component]
fn TimeLine() -> impl IntoView {
    let shell = shell();
    let tick = move |tick: Tick| {
        let age = shell.now.get().duration_since(tick.time).as_secs_f64() / WINDOW.as_secs_f64();
        let left = format!("{:.2}%", (1.0 - age).clamp(0.0, 1.0) * 100.0);
        let more = tick.count.saturating_sub(5);
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        let title = format!("{}{more}", tick.title);
        let target = tick.target;
        view! {
            <button type="button" class=format!("tick {}", tick.tone) style:left=left title=title.clone()
                aria-label=title tabindex="-1" on:click=move |_| {
                    if target.is_some() { shell.select(target.clone()) }
                }></button>
        }
    };
    let shown = move || {
        let now = shell.now.get();
        let ticks = shell.store.with(|data| ticks(data.recent.iter().cloned(), now));
        ticks.into_iter().map(tick).collect_view()
    };
    view! {
        <span class="foot-time">{move || clock_minutes(shell.now.get() - WINDOW)}</span>
        <div class="time-line" aria-label="Recent changes">{shown}</div>
        <span class="foot-time">{move || format!("{} now", clock_minutes(shell.now.get()))}</span>
    }
}
