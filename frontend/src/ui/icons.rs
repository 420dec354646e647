//! Line icons and the logo, as inline SVG that follows the text's colour.

use leptos::prelude::*;

/// An icon, 16 × 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Map,
    Table,
    Nodes,
    Search,
    Sun,
    Moon,
    Close,
    Help,
    Link,
    Chevron,
    Sandbox,
    Flag,
    File,
    /// Two arrows, opposite ways.
    Compare,
    /// Crosshair: point at something.
    Pick,
    Pause,
    Play,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Map => {
                "M3 8h3M10 4.5 6 8l4 3.5M13 4a1 1 0 1 1-2 0 1 1 0 0 1 2 0ZM13 12a1 1 0 1 1-2 0 1 1 0 0 1 2 0ZM4 8a1 1 0 1 1-2 0 1 1 0 0 1 2 0ZM10 8h3"
            }
            Icon::Table => "M2.5 4h11M2.5 8h11M2.5 12h11",
            Icon::Nodes => "M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5h-4.5zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5h-4.5z",
            Icon::Search => "M11 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM10 10l3.5 3.5",
            Icon::Sun => {
                "M10.5 8a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0ZM8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M12.6 3.4l-1.1 1.1M4.5 11.5l-1.1 1.1"
            }
            Icon::Moon => "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5 5.8 5.8 0 1 0 13.5 9.6Z",
            Icon::Close => "M4 4l8 8M12 4l-8 8",
            Icon::Help => "M5.8 6a2.2 2.2 0 1 1 3.4 1.9c-.8.5-1.2.9-1.2 1.8M8 12.4v.1",
            Icon::Link => {
                "M6.5 9.5l3-3M7 4.5l1.2-1.2a2.8 2.8 0 0 1 4 4L11 8.5M9 11.5l-1.2 1.2a2.8 2.8 0 0 1-4-4L5 7.5"
            }
            Icon::Chevron => "M5 6.5l3 3 3-3",
            Icon::Sandbox => "M2.5 6.5h11l-1.2 7h-8.6zM5 6.5a3 3 0 0 1 6 0M8 3.4V1.8",
            Icon::Flag => "M4 14V2.5M4 3h8.5l-2 3 2 3H4",
            Icon::File => "M2.5 12.5v-9h4l1.5 2h5.5v7zM2.5 7.5h11",
            Icon::Compare => "M2.5 5.5h10M9.8 2.8l2.7 2.7-2.7 2.7M13.5 10.5h-10M6.2 7.8 3.5 10.5l2.7 2.7",
            Icon::Pause => "M5.5 4v8M10.5 4v8",
            Icon::Play => "M5 3.5v9l7.5-4.5z",
            Icon::Pick => "M12 8a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4",
        }
    }
}

/// Draws an icon; decoration only, so the button around it carries the name.
#[component]
pub fn IconView(#[prop(into)] icon: Signal<Icon>) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor"
            stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
            <path d=move || icon.get().path()></path>
        </svg>
    }
}

/// One VIP, three ways to go, one of them shut.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg class="logo-mark" width="22" height="22" viewBox="0 0 24 24" fill="none" aria-hidden="true">
            <path class="way" d="M8 12h8.2M7.5 10.6C11 8 13 5.6 16.5 5.2" stroke-width="1.6"></path>
            <path class="way shut" d="M7.5 13.4C11 16 13 18.4 16.5 18.8" stroke-width="1.6" stroke-dasharray="2 2"></path>
            <circle class="vip" cx="5" cy="12" r="3"></circle>
            <circle class="ok" cx="19" cy="5" r="2.4"></circle>
            <circle class="ok" cx="19" cy="12" r="2.4"></circle>
            <circle class="off" cx="19" cy="19" r="2.4"></circle>
        </svg>
    }
}
