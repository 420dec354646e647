//! The trace bar: from where, to where, by the rules of which node in which mode. Where it has no room, a button opens it
//! as a sheet.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Keyed, Protocol, ProxyMode, Text};
use vipscope_shared::predict::names::{Destination, Source};

use super::shell::{Draft, shell};
use super::trace_end::TraceEnd;
use crate::tracing::{End, node_of};
use crate::ui::{Icon, IconView};

/// From this width on, in CSS pixels, the bar stands in the top bar. As in `style/trace.css`.
const WIDE: &str = "(min-width: 1181px)";

/// Whether the bar has its place in the top bar.
pub fn is_wide() -> bool {
    matches!(window().match_media(WIDE), Ok(Some(query)) if query.matches())
}

/// The bar, and the button that opens it where it is a sheet.
#[component]
pub fn TraceBar() -> impl IntoView {
    let shell = shell();
    let submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        shell.trace_draft();
    };
    let close = move |_| shell.trace_open.set(false);
    view! {
        <button type="button" class="btn trace-open" data-testid="trace-open" aria-expanded=move || shell.trace_open.get().to_string()
            on:click=move |_| shell.ask_end(End::From)>"Trace"</button>
        <form class="trace-bar" class:open=move || shell.trace_open.get() aria-label="Trace a packet"
            data-testid="trace-bar" novalidate=true on:submit=submit>
            <header class="trace-sheet-head">
                <h2>"Trace a packet"</h2>
                <button type="button" class="btn square" aria-label="Close" on:click=close><IconView icon=Icon::Close/></button>
            </header>
            {End::BOTH.map(|end| view! { <TraceEnd end=end/> })}
            <Via/>
            <button type="submit" class="btn primary trace-go">"Trace "<kbd aria-hidden="true">"⏎"</kbd></button>
        </form>
    }
}

/// What the choosers show.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    node: Text,
    /// The pod's node: there is nothing to choose.
    is_bound: bool,
    configured: ProxyMode,
    mode: ProxyMode,
    /// The choice of a protocol, where the destination does not say it.
    protocol: Option<Protocol>,
}

impl Choice {
    fn of(state: &ClusterState, draft: &Draft) -> Choice {
        let from: Option<Source> = draft.from.trim().parse().ok();
        let node = node_of(state, from.as_ref(), draft.node.as_ref()).unwrap_or_default();
        let home = from.as_ref().and_then(|from| from.home(state));
        let configured = state.proxy_settings(&node).mode;
        let bare = matches!(draft.to.trim().parse(), Ok(Destination::Socket(_)));
        Choice {
            is_bound: matches!(from, Some(Source::Pod(_))) && home.is_some(),
            mode: draft.mode.unwrap_or(configured),
            protocol: bare.then(|| draft.protocol.unwrap_or(Protocol::Tcp)),
            configured,
            node,
        }
    }
}

/// Node, mode and, for a bare address, protocol.
#[component]
fn Via() -> impl IntoView {
    let shell = shell();
    let choice =
        Memo::new(move |_| shell.draft.with(|draft| shell.store.state(|state| Choice::of(state, draft))));
    let is_bare = Memo::new(move |_| choice.with(|choice| choice.protocol.is_some()));
    let choose_mode = move |ev| {
        let configured = choice.with_untracked(|choice| choice.configured);
        let mode = event_target_value(&ev).parse().ok().filter(|mode| *mode != configured);
        shell.redraft(|draft| draft.mode = mode);
    };
    let mode_option = move |mode: ProxyMode| {
        let is_on = move || choice.with(|choice| choice.mode == mode);
        view! { <option value=mode.as_str() prop:selected=is_on>{mode.as_str()}</option> }
    };
    view! {
        <div class="trace-via">
            <span class="trace-word" aria-hidden="true">"via"</span>
            <NodeChooser choice=choice/>
            <span class="trace-dot" aria-hidden="true">"·"</span>
            <select class="mono" data-testid="trace-mode" aria-label="Proxy mode"
                title=move || choice.with(|choice| format!("kube-proxy's mode; {} is set to {}", choice.node, choice.configured))
                on:change=choose_mode>
                {ProxyMode::ALL.map(mode_option)}
            </select>
            <Show when=move || is_bare.get()><ProtocolChooser choice=choice/></Show>
        </div>
    }
}

/// All nodes are options only once the reader turns to it: there may be thousands.
#[component]
fn NodeChooser(choice: Memo<Choice>) -> impl IntoView {
    let shell = shell();
    let is_near = RwSignal::new(false);
    let names = Memo::new(move |_| {
        let node = choice.with(|choice| choice.node.clone());
        let all =
            || shell.store.state(|state| state.nodes().values().map(|node| node.name().clone()).collect());
        let mut names: Vec<Text> = if is_near.get() { all() } else { Vec::new() };
        if !names.contains(&node) {
            names.push(node);
        }
        names
    });
    let option = move |name: Text| {
        let (own, value, text) = (name.clone(), name.to_string(), name.to_string());
        let is_on = move || choice.with(|choice| choice.node == own);
        view! { <option value=value prop:selected=is_on>{text}</option> }
    };
    let choose = move |ev| {
        let name = Text::from(event_target_value(&ev));
        shell.redraft(|draft| draft.node = Some(name));
    };
    let is_bound = move || choice.with(|choice| choice.is_bound);
    view! {
        <select class="mono" data-testid="trace-node" aria-label="Node" disabled=is_bound
            title=move || if is_bound() { "The pod's node" } else { "The node whose rules are asked" }
            on:focus=move |_| is_near.set(true) on:pointerenter=move |_| is_near.set(true) on:change=choose>
            {move || names.get().into_iter().map(option).collect_view()}
        </select>
    }
}

#[component]
fn ProtocolChooser(choice: Memo<Choice>) -> impl IntoView {
    let shell = shell();
    let choose = move |ev| {
        let protocol = event_target_value(&ev).parse().ok().filter(|protocol| *protocol != Protocol::Tcp);
        shell.redraft(|draft| draft.protocol = protocol);
    };
    let option = move |protocol: Protocol| {
        let is_on = move || choice.with(|choice| choice.protocol == Some(protocol));
        view! { <option value=protocol.lower() prop:selected=is_on>{protocol.lower()}</option> }
    };
    view! {
        <span class="trace-dot" aria-hidden="true">"·"</span>
        <select class="mono" data-testid="trace-protocol" aria-label="Protocol" on:change=choose>
            {[Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(option)}
        </select>
    }
}
