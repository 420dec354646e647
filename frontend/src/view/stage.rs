//! The middle of the page: the screen that was chosen, or why there is nothing to show yet.

use leptos::prelude::*;
use vipscope_shared::model::Kind;

use super::compare::CompareScreen;
use super::findings::FindingsScreen;
use super::map::MapScreen;
use super::nodes::NodesScreen;
use super::notices::Notices;
use super::open_file::{FileNotice, OpenFileButton};
use super::sandbox::SandboxScreen;
use super::shell::shell;
use super::table::TableScreen;
use super::top_bar::ClusterChip;
use crate::api::Connection;
use crate::view_state::{Chrome, Screen};

/// What the stage can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenery {
    /// No snapshot yet.
    Loading,
    /// Services are not listed yet.
    Listing,
    /// Listed, and there is none.
    Empty,
    Screen(Screen),
}

/// The screen, with notices above it.
#[component]
pub fn Stage() -> impl IntoView {
    let shell = shell();
    let scenery = Memo::new(move |_| {
        let screen = shell.screen.get();
        if !shell.store.is_loaded() {
            return Scenery::Loading;
        }
        shell.store.state(|state| {
            let empty = state.services().is_empty();
            let settled = state.sources().get(&Kind::Service).is_none_or(|s| s.freshness.is_settled());
            match (screen, empty, settled) {
                (Screen::Nodes | Screen::Findings | Screen::Sandbox, ..) | (_, false, _) => {
                    Scenery::Screen(screen)
                }
                (_, true, false) => Scenery::Listing,
                (_, true, true) => Scenery::Empty,
            }
        })
    });
    let stale = move || !matches!(shell.store.connection(), Connection::Live | Connection::Connecting { .. });
    let kiosk = move || shell.chrome.get() == Chrome::Kiosk;
    view! {
        <main class="stage" class:stale=stale>
            <FileNotice/>
            <Notices/>
            {move || match scenery.get() {
                Scenery::Loading => view! { <Loading/> }.into_any(),
                Scenery::Listing => view! { <Skeleton words="Listing Services…"/> }.into_any(),
                Scenery::Empty => view! { <Empty/> }.into_any(),
                Scenery::Screen(Screen::Map) => view! { <MapScreen/> }.into_any(),
                Scenery::Screen(Screen::Table) => view! { <TableScreen/> }.into_any(),
                Scenery::Screen(Screen::Nodes) => view! { <NodesScreen/> }.into_any(),
                Scenery::Screen(Screen::Findings) => view! { <FindingsScreen/> }.into_any(),
                Scenery::Screen(Screen::Compare) => view! { <CompareScreen/> }.into_any(),
                Scenery::Screen(Screen::Sandbox) => view! { <SandboxScreen/> }.into_any(),
            }}
            <Show when=kiosk>
                <div class="kiosk-chip"><ClusterChip/></div>
            </Show>
        </main>
    }
}

/// The outline of what is to come.
#[component]
fn Skeleton(#[prop(into)] words: Signal<String>) -> impl IntoView {
    let column = |count: usize| (0..count).map(|_| view! { <div class="bone"></div> }).collect_view();
    view! {
        <div class="skeleton" aria-busy="true">
            <div class="bones" aria-hidden="true">
                <div>{column(4)}</div>
                <div>{column(6)}</div>
                <div>{column(4)}</div>
            </div>
            <p class="skeleton-words" role="status">{move || words.get()}</p>
        </div>
    }
}

#[component]
fn Loading() -> impl IntoView {
    let shell = shell();
    let problem = move || match shell.store.connection() {
        Connection::Connecting { problem: Some(problem), attempt } => Some((problem, attempt)),
        _ => None,
    };
    let words = Signal::derive(|| "Asking the backend for the cluster…".to_owned());
    view! {
        {move || match problem() {
            None => view! { <Skeleton words=words/> }.into_any(),
            Some((problem, attempt)) => view! {
                <div class="blank" role="alert">
                    <h1>"The backend does not answer"</h1>
                    <p>{problem}</p>
                    <p class="muted">{format!("Attempt {attempt}. It goes on trying, every few seconds.")}</p>
                    <button type="button" class="btn primary" on:click=move |_| shell.store.retry_now()>
                        "Try again now"
                    </button>
                    <OpenFileButton label="Open a file…"/>
                </div>
            }.into_any(),
        }}
    }
}

#[component]
fn Empty() -> impl IntoView {
    let shell = shell();
    let pods = move || shell.store.state(|state| state.pods().len());
    view! {
        <div class="blank">
            <h1>"No Services here yet"</h1>
            <p>"vipscope is watching. The first Service will show up here by itself."</p>
            <p class="muted">{move || format!("{} seen, none of them behind a VIP.",
                crate::words::count(pods(), "pod", "pods"))}</p>
            <p><code class="mono">"kubectl expose deployment NAME --port 80"</code></p>
            <OpenFileButton label="Open a file…"/>
        </div>
    }
}
