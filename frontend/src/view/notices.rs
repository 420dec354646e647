//! What is wrong with the data itself: lost connection, stale or forbidden kinds, objects that could not be read.

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Freshness};

use super::open_file::OpenFileButton;
use super::shell::shell;
use crate::api::Connection;
use crate::ui::clock_seconds;
use crate::words;

/// One line above the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Part of the CSS class: `warn` or `bad`.
    pub tone: &'static str,
    pub title: String,
    pub detail: String,
    /// More lines, shown on demand.
    pub more: Vec<String>,
}

/// All notices, the worst first.
#[component]
pub fn Notices() -> impl IntoView {
    let shell = shell();
    let notices = Memo::new(move |_| {
        let mut notices: Vec<Notice> = disconnected(&shell.store.connection()).into_iter().collect();
        shell.store.state(|state| {
            notices.extend(sources(state));
            notices.extend(faults(state));
        });
        notices
    });
    let one = |notice: Notice| {
        let Notice { tone, title, detail, more } = notice;
        let line = view! { <b>{title}</b>" "<span>{detail}</span> };
        if more.is_empty() {
            return view! { <div class=format!("notice {tone}") role="status">{line}</div> }.into_any();
        }
        let lines = more.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
        view! {
            <details class=format!("notice {tone}")><summary>{line}</summary><ul>{lines}</ul></details>
        }
        .into_any()
    };
    view! {
        <div class="notices" data-testid="notices">
            {move || notices.get().into_iter().map(one).collect_view()}
            <Show when=move || matches!(shell.store.connection(), Connection::Disconnected { .. })>
                <div class="notice-buttons">
                    <OpenFileButton label="Open a file…"/>
                    <button type="button" class="btn" on:click=move |_| shell.store.retry_now()>"Try again now"</button>
                </div>
            </Show>
        </div>
    }
}

fn disconnected(connection: &Connection) -> Option<Notice> {
    let (tone, title, since, detail) = match connection {
        Connection::Connecting { .. } | Connection::Live => return None,
        Connection::Reconnecting { since, .. } => ("warn", "Reconnecting.", since, ""),
        Connection::Disconnected { since, problem, .. } => {
            ("bad", "Not connected to the backend.", since, &**problem)
        }
    };
    let sep = if detail.is_empty() { "" } else { ": " };
    Some(Notice {
        tone,
        title: title.to_owned(),
        detail: format!("Shown as of {}{sep}{detail}", clock_seconds(*since)),
        more: Vec::new(),
    })
}

/// Kinds that are stale, one notice per reason, and kinds that are forbidden.
fn sources(state: &ClusterState) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for source in state.sources().values() {
        let kind = words::plural(source.kind);
        let notice = match &source.freshness {
            Freshness::Stale { since, reason } => Notice {
                tone: "warn",
                title: "Stale:".to_owned(),
                detail: format!("stale since {}: {reason}", clock_seconds(*since)),
                more: vec![kind.to_owned()],
            },
            Freshness::Forbidden { reason } => Notice {
                tone: "warn",
                title: format!("{kind}: forbidden,"),
                detail: format!("so none are shown. {reason}"),
                more: Vec::new(),
            },
            Freshness::Listing { trouble: Some(trouble) } => Notice {
                tone: "warn",
                title: "Not listed yet:".to_owned(),
                detail: format!("can't be listed yet: {trouble}"),
                more: vec![kind.to_owned()],
            },
            Freshness::Listing { trouble: None } | Freshness::Live | Freshness::Fixed => continue,
        };
        match notices
            .iter_mut()
            .find(|n| n.tone == notice.tone && n.title == notice.title && n.detail == notice.detail)
        {
            Some(same) => same.more.extend(notice.more),
            None => notices.push(notice),
        }
    }
    for notice in &mut notices {
        if !notice.more.is_empty() {
            notice.title = match std::mem::take(&mut notice.more).as_slice() {
                [one] => format!("{one}:"),
                [first, rest @ ..] => format!("{first} and {} more kinds:", rest.len()),
                [] => String::new(),
            };
        }
    }
    notices
}

fn faults(state: &ClusterState) -> Option<Notice> {
    let count = state.faults().len();
    (count > 0).then(|| Notice {
        tone: "warn",
        title: format!("{} could not be read", words::count(count, "object", "objects")),
        detail: "and may be missing from the picture.".to_owned(),
        more: state.faults().take(100).map(|fault| fault.to_string()).chain(beyond(count)).collect(),
    })
}

fn beyond(count: usize) -> Option<String> {
    (count > 100).then(|| format!("and {} more", count - 100))
}
