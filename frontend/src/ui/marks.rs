//! Health marks: each has its own shape, so that colour is never alone.

use leptos::prelude::*;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Filled disc.
    Ok,
    /// Dash: no opinion.
    Off,
    /// Triangle.
    Warn,
    /// Open ring.
    Bad,
}

impl Mark {
    /// Part of the CSS class.
    pub fn as_str(self) -> &'static str {
        match self {
            Mark::Ok => "ok",
            Mark::Off => "off",
            Mark::Warn => "warn",
            Mark::Bad => "bad",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Mark::Ok => "M9.5 6a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0Z",
            Mark::Off => "M2.5 6h7",
            Mark::Warn => "M6 1.8 10.6 10H1.4Z",
            Mark::Bad => "M9.2 6a3.2 3.2 0 1 1-6.4 0 3.2 3.2 0 0 1 6.4 0Z",
        }
    }
}

/// Draws a mark; `label` is what a screen reader says.
#[component]
pub fn MarkView(mark: Mark, #[prop(into)] label: String) -> impl IntoView {
    view! {
        <svg class=format!("mark {}", mark.as_str()) viewBox="0 0 12 12" width="12" height="12" role="img"
            aria-label=label>
            <path d=mark.path() stroke-width="2"></path>
        </svg>
    }
}
