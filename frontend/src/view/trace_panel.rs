//! What came of a trace: the verdict in one word, the steps as cards, who is left out and why, or all modes side by side.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::Text;
use vipscope_shared::predict::cards::{Card, Share, Story, shares_text};
use vipscope_shared::predict::{Answer, Reply};
use vipscope_shared::trace::Verdict;

use super::links::{TargetLink, pod_link};
use super::shell::shell;
use super::trace_modes::Modes;
use super::trace_observed::{AskNode, ObservedTrace};
use super::trace_run::{TraceRun, trace_run};
use crate::tracing::{LeftOut, Run, left_out, service_problem};
use crate::ui::{Copy, Icon, IconView, Mark, MarkView};
use crate::view_state::{Telling, Traced};
use crate::words;

/// Endpoints named of those left out; the rest is counted.
const NAMED: usize = 6;
/// The same in the card of a choice: it must stay low.
const CHOSEN: usize = 4;

/// The panel; nothing while nothing is traced.
#[component]
pub fn TracePanel() -> impl IntoView {
    let shell = shell();
    let is_on = Memo::new(move |_| shell.trace.with(Option::is_some));
    view! { <Show when=move || is_on.get()><Panel/></Show> }
}

#[component]
fn Panel() -> impl IntoView {
    let trace = trace_run();
    let body = move || {
        let Some(run) = trace.run.get() else {
            return view! { <p class="muted">"Waiting for the data…"</p> }.into_any();
        };
        match &run.reply {
            Err(problem) => view! { <p class="trace-problem" role="alert">{problem.clone()}</p> }.into_any(),
            Ok(Reply::Resolution(resolution)) => {
                view! { <p class="trace-words" data-testid="trace-resolution">{resolution.words()}</p> }
                    .into_any()
            }
            Ok(Reply::Answers(_)) => view! { <Answers trace=trace/> }.into_any(),
        }
    };
    view! {
        <section class="trace" data-testid="trace" aria-label="Trace">
            <Heading trace=trace/>
            <ObservedTrace/>
            {body}
        </section>
    }
}

#[component]
fn Heading(trace: TraceRun) -> impl IntoView {
    let shell = shell();
    let way = move || {
        shell.trace.with(|traced| {
            traced.as_ref().map(|traced| trace.answer.with(|answer| way(traced, answer.as_ref())))
        })
    };
    let place = move || {
        trace
            .answer
            .with(|answer| answer.as_ref().map(|answer| format!("{} · {} · ", answer.node, answer.mode)))
    };
    let verdict = move || trace.answer.with(|answer| answer.as_ref().map(verdict));
    let link = Callback::new(move |()| shell.link());
    let has_rules =
        move || trace.answer.with(|answer| answer.as_ref().is_some_and(|one| one.claim.is_some()));
    let has_answer = move || trace.answer.with(Option::is_some);
    let compares =
        move || shell.trace.with(|one| one.as_ref().is_some_and(|one| one.telling == Telling::Modes));
    let toggle = move |_| {
        shell.trace.update(|trace| {
            if let Some(trace) = trace {
                trace.telling = if trace.telling == Telling::Modes { Telling::Steps } else { Telling::Modes };
            }
        });
    };
    view! {
        <header class="trace-head">
            <div class="trace-line">
                <h2>"Trace"</h2>
                <span class="trace-way mono" data-testid="trace-way">{way}</span>
                <div class="trace-result" role="status">{verdict}</div>
                <button type="button" class="btn square" aria-label="Close the trace" title="Close (Esc)" on:click=move |_| shell.trace.set(None)>
                    <IconView icon=Icon::Close/>
                </button>
            </div>
            <div class="trace-line trace-tools">
                <Show when=has_answer>
                    <span class="chip trace-place" title="Worked out by the rule engine from the API objects, as a stock kube-proxy would program this node. Nothing was read from the node.">
                        {place}<b>"predicted"</b>
                    </span>
                    <button type="button" class="btn" data-testid="four-modes" aria-pressed=move || compares().to_string() on:click=toggle>"Four modes"</button>
                </Show>
                <AskNode/>
                <Show when=has_rules>
                    <button type="button" class="btn" data-testid="show-in-rules" on:click=move |_| trace.show_in_rules(shell)>"Show in rules"</button>
                </Show>
                <Copy text=link label="Copy link"/>
            </div>
        </header>
    }
}

/// `pod/shop/web-0 (10.244.0.31) → 10.96.0.21:80 tcp`.
fn way(traced: &Traced, answer: Option<&Answer>) -> String {
    let Some(answer) = answer else { return format!("{} → {}", traced.from, traced.to) };
    let packet = &answer.packet;
    let (from, source) = (traced.from.to_string(), packet.source.to_string());
    let source = if from == source { String::new() } else { format!(" ({source})") };
    format!("{from}{source} → {} {}", words::socket(packet.destination, packet.port), packet.protocol.lower())
}

/// The shape of a verdict's mark says as much as its colour.
pub fn verdict_mark(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Deliver | Verdict::Accept => Mark::Ok,
        Verdict::NoMatch => Mark::Off,
        Verdict::Unknown => Mark::Warn,
        Verdict::Drop | Verdict::Reject => Mark::Bad,
    }
}

fn verdict(answer: &Answer) -> AnyView {
    let story = answer.story();
    let mark = verdict_mark(story.verdict);
    let word = story.verdict.as_str();
    view! {
        <span class=format!("verdict {}", mark.as_str()) data-testid="verdict" data-verdict=word>
            <MarkView mark=mark label=""/><b>{word}</b>" "<span>{story.headline}</span>
        </span>
    }
    .into_any()
}

#[component]
fn Answers(trace: TraceRun) -> impl IntoView {
    let shell = shell();
    let telling = Memo::new(move |_| shell.trace.with(|one| one.as_ref().map(|one| one.telling)));
    let why_not = Memo::new(move |_| {
        let read = |answer: &Answer| {
            shell.store.state(|state| WhyNot {
                others: left_out(state, answer),
                problem: service_problem(state, answer),
            })
        };
        trace.answer.with(|answer| answer.as_ref().map(read)).unwrap_or_default()
    });
    let body = move || match telling.get() {
        Some(Telling::Modes) => view! { <Modes/> }.into_any(),
        _ => trace.answer.get().map(|answer| steps(&answer.story(), why_not.get())).into_any(),
    };
    view! {
        <Tabs trace=trace/>
        <div class="trace-body" tabindex="0" role="region" aria-label="What the rules do">{body}</div>
    }
}

/// One tab for each address and port, if there are several.
#[component]
fn Tabs(trace: TraceRun) -> impl IntoView {
    let shell = shell();
    let names = Memo::new(move |_| {
        trace
            .run
            .with(|run| {
                run.as_ref().map(|run: &Arc<Run>| run.answers().iter().map(tab_name).collect::<Vec<_>>())
            })
            .unwrap_or_default()
    });
    let count = move || names.with(Vec::len);
    let nth = move || {
        shell.trace.with(|one| one.as_ref().map_or(0, |one| one.answer)).min(count().saturating_sub(1))
    };
    let show = move |nth: usize| {
        shell.trace.update(|trace| {
            if let Some(trace) = trace {
                trace.answer = nth;
            }
        });
    };
    let one = move |(at, name): (usize, String)| {
        view! {
            <button type="button" role="tab" class="mono" aria-selected=move || (nth() == at).to_string()
                tabindex=move || if nth() == at { "0" } else { "-1" } on:click=move |_| show(at)>{name}</button>
        }
    };
    let walk = move |ev: leptos::ev::KeyboardEvent| {
        let step = match ev.key().as_str() {
            "ArrowRight" => 1,
            "ArrowLeft" => count().saturating_sub(1),
            _ => return,
        };
        ev.prevent_default();
        ev.stop_propagation();
        show((nth() + step) % count().max(1));
        request_animation_frame(focus_tab);
    };
    view! {
        <Show when=move || { count() > 1 }>
            <div class="tabs trace-tabs" role="tablist" aria-label="Addresses and ports" on:keydown=walk>
                {move || names.get().into_iter().enumerate().map(one).collect_view()}
            </div>
        </Show>
    }
}

fn focus_tab() {
    use wasm_bindgen::JsCast;
    let tab = document().query_selector(".trace-tabs [aria-selected=true]").ok().flatten();
    if let Some(tab) = tab.and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = tab.focus();
    }
}

fn tab_name(answer: &Answer) -> String {
    let packet = &answer.packet;
    let port = answer.claim.as_ref().map(|claim| claim.port_name.to_string()).filter(|name| !name.is_empty());
    let port = port.map(|name| format!("{name} ")).unwrap_or_default();
    format!("{port}{} {}", words::socket(packet.destination, packet.port), packet.protocol.lower())
}

/// What speaks against other endpoints.
#[derive(Debug, Clone, PartialEq, Default)]
struct WhyNot {
    others: Vec<LeftOut>,
    /// Of the Service, if nothing is delivered.
    problem: Option<Text>,
}

fn steps(story: &Story, WhyNot { others, problem }: WhyNot) -> AnyView {
    let cards = story.cards.iter().enumerate().map(|(nth, card)| step(nth + 1, card)).collect_view();
    let mark = verdict_mark(story.verdict);
    let condition = story.condition.clone().map(|text| view! { <p class="step-what">{text}</p> });
    view! {
        <ol class="steps" data-testid="trace-steps">
            {cards}
            <li class=format!("step end {}", mark.as_str()) data-testid="trace-end">
                <span class="step-place">"verdict"</span>
                <b><MarkView mark=mark label=""/>{story.verdict.as_str()}</b>
                <p class="step-why">{story.reason.clone()}</p>
                {problem.map(|problem| view! { <p class="step-what">{format!("The Service: {problem}")}</p> })}
                {condition}
            </li>
        </ol>
        {left_out_line(others, story.verdict)}
    }
    .into_any()
}

fn step(number: usize, card: &Card) -> AnyView {
    let place = format!("{number} · {} · {}", card.hook, card.table);
    let title = card.chains.join(" → ");
    let chain = card.chains.last().cloned().unwrap_or_default();
    let matched =
        (!card.matched.is_empty()).then(|| view! { <p class="step-what">{card.matched.clone()}</p> });
    let shares = (!card.shares.is_empty()).then(|| shares(&card.shares));
    view! {
        <li class="step" class:fork=!card.shares.is_empty() data-title=card.title>
            <span class="step-place">{place}</span>
            <b>{card.title}</b>
            <span class="step-chain mono" title=title>{chain}</span>
            {shares}
            {matched}
            <p class="step-effect">{card.effect.clone()}</p>
        </li>
    }
    .into_any()
}

/// The shares in a line, then who they are; what is not alike is said.
fn shares(shares: &[Share]) -> AnyView {
    let typical = shares.iter().filter(|share| share.masquerade).count() * 2 > shares.len();
    let one = |share: &Share| {
        let name = match &share.pod {
            Some(pod) => pod_link(pod),
            None => share.destination.to_string().into_any(),
        };
        let note = match (share.verdict, share.masquerade) {
            (Verdict::Deliver, masquerade) if masquerade == typical => None,
            (Verdict::Deliver, true) => Some(" (masqueraded)"),
            (Verdict::Deliver, false) => Some(" (source kept)"),
            (verdict, _) => Some(verdict.as_str()),
        };
        view! { <li>{name}<span class="muted">{note}</span></li> }
    };
    let shown = if shares.len() > CHOSEN { CHOSEN - 1 } else { shares.len() };
    let named = shares.iter().take(shown).map(one).collect_view();
    let more = shares.len() - shown;
    let more = (more > 0).then(|| view! { <li class="muted">{format!("and {more} more")}</li> });
    view! {
        <span class="step-shares mono" data-testid="trace-shares">{shares_text(shares)}</span>
        <ul class="step-ends">{named}{more}</ul>
    }
    .into_any()
}

/// Open from the start where nobody gets anything: then it is the answer.
fn left_out_line(others: Vec<LeftOut>, verdict: Verdict) -> Option<AnyView> {
    if others.is_empty() {
        return None;
    }
    let count = others.len();
    let one = |other: LeftOut| {
        view! { <li><TargetLink target=other.target text=other.name/>" "<span class="muted">{other.why}</span></li> }
    };
    let named = others.into_iter().take(NAMED).map(one).collect_view();
    let more = count.saturating_sub(NAMED);
    let more = (more > 0).then(
        || view! { <li class="muted">{format!("and {more} more: the Service's Endpoints tab has all")}</li> },
    );
    let title = words::count(count, "endpoint gets nothing of this", "endpoints get nothing of this");
    let view = view! {
        <details class="left-out" data-testid="left-out" open=verdict != Verdict::Deliver>
            <summary>{title}": why not there"</summary>
            <ul>{named}{more}</ul>
        </details>
    };
    Some(view.into_any())
}
