//! The same packet in the four modes, side by side.

use leptos::prelude::*;

use super::shell::shell;
use super::trace_panel::verdict_mark;
use crate::tracing::{ModeRow, endpoints_text, modes};
use crate::ui::MarkView;

/// One row a mode.
#[component]
pub fn Modes() -> impl IntoView {
    let shell = shell();
    let rows = Memo::new(move |_| {
        let traced = shell.trace.get()?;
        Some(shell.store.state(|state| modes(state, &traced)))
    });
    let body = move || {
        match rows.get() {
        None => ().into_any(),
        Some(Err(problem)) => view! { <p class="trace-problem" role="alert">{problem}</p> }.into_any(),
        Some(Ok(rows)) => view! {
            <table class="mini modes" data-testid="trace-modes">
                <thead><tr>
                    <th scope="col">"Mode"</th><th scope="col">"Verdict"</th><th scope="col">"Endpoints and shares"</th>
                    <th scope="col">"Masquerade"</th><th scope="col">"Reason"</th>
                </tr></thead>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        }
        .into_any(),
    }
    };
    view! { {body} }
}

fn row(row: ModeRow) -> AnyView {
    let mark = verdict_mark(row.verdict);
    let note = match (row.is_configured, row.differs.as_slice()) {
        (true, _) => "configured on this node".to_owned(),
        (false, []) => "same as configured".to_owned(),
        (false, differs) => format!("differs: {}", differs.join(", ")),
    };
    let endpoints = if row.endpoints.is_empty() { "none".to_owned() } else { endpoints_text(&row.endpoints) };
    let condition = row.condition.map(|text| view! { <p class="muted">{text}</p> });
    view! {
        <tr class:differs=!row.differs.is_empty() data-mode=row.mode.as_str() data-verdict=row.verdict.as_str()>
            <th scope="row"><span class="mono">{row.mode.as_str()}</span><p class="mode-note">{note}</p></th>
            <td><span class=format!("verdict {}", mark.as_str())><MarkView mark=mark label=""/><b>{row.verdict.as_str()}</b></span></td>
            <td class="mono">{endpoints}</td>
            <td>{row.masquerade}</td>
            <td>{row.reason}{condition}</td>
        </tr>
    }
    .into_any()
}
