//! Traffic around the map: what it rests on and how much it is, the button that stops it, its legend, and the list that says
//! the same as the picture.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::scene::{Lanes, Scene, SourceId, Target};
use vipscope_shared::traffic::{TrafficEdge, TrafficEnd, TrafficSource};

use super::shell::Shell;
use super::traffic_run::{TrafficRun, basis_word, traffic_run};
use crate::canvas::{Motion, TrafficLayer, width_of};
use crate::traffic::{Traffic, is_from_pod, is_of_port, is_to_pod, rate_text};
use crate::ui::{Icon, IconView};
use crate::words;

/// Most rows of the list.
const LISTED: usize = 100;
/// Rates whose width the legend shows.
const LEGEND: [f64; 3] = [1.0, 10.0, 100.0];

/// The traffic of a scene, as the map draws it.
pub fn layer(shell: Shell, run: TrafficRun, scene: Signal<Arc<Scene>>) -> TrafficLayer {
    let lanes = Memo::new(move |_| {
        let lanes = |traffic: &Traffic, scene: &Scene| {
            shell.store.peek(|data| scene.lanes(&data.state, traffic.rated()))
        };
        scene.with(|scene| run.with(|traffic| Arc::new(lanes(traffic, scene))))
    });
    TrafficLayer { lanes: lanes.into(), motion: Memo::new(move |_| run.motion()).into() }
}

/// The chip above the map: what the traffic rests on, how much it is, and whether it moves.
#[component]
pub fn TrafficChip() -> impl IntoView {
    let run = traffic_run();
    let basis = Memo::new(move |_| run.live.basis());
    let total = Memo::new(move |_| run.with(|traffic| rate_text(traffic.sum(|_| true).rates.sum())));
    let lost = Memo::new(move |_| run.with(|traffic| traffic.sum(|_| true).rates.trouble()));
    let words = move || match run.live.is_stale() {
        true => "no news".to_owned(),
        false => total.get(),
    };
    let title = move || {
        let lost = lost.get();
        let lost = if lost.is_empty() { String::new() } else { format!(" Without an answer: {lost}.") };
        let stale = if run.live.is_stale() { " Nothing was heard for some seconds." } else { "" };
        format!("New connections per second, all together.{lost}{stale}")
    };
    let label = move || if run.is_paused.get() { "Let traffic move (p)" } else { "Stop moving traffic (p)" };
    view! {
        <Show when=move || basis.get().is_some()>
            <div class="chip traffic-chip" class:stale=move || run.live.is_stale() data-testid="traffic" title=title>
                <b class="traffic-basis">{move || basis.get().map(basis_word)}</b>
                <span class="traffic-more">"traffic"</span>
                <span class="traffic-rate" data-testid="traffic-total">{words}</span>
                <Show when=move || run.can_move()>
                    <button type="button" class="traffic-pause" data-testid="traffic-pause" aria-label=label title=label
                        aria-pressed=move || run.is_paused.get().to_string() on:click=move |_| run.toggle()>
                        {move || view! { <IconView icon=if run.is_paused.get() { Icon::Play } else { Icon::Pause }/> }}
                    </button>
                </Show>
            </div>
        </Show>
    }
}

/// How wide is how much; nothing without traffic.
#[component]
pub fn TrafficLegend() -> impl IntoView {
    let run = traffic_run();
    let basis = Memo::new(move |_| run.live.basis());
    let row = |rate: f64| {
        let width = format!("{:.1}px", width_of(rate));
        view! { <i class="line traffic" style:border-top-width=width></i>{rate_text(rate)}" " }
    };
    view! {
        <Show when=move || basis.get().is_some()>
            <span class="legend-traffic">
                {move || basis.get().map(basis_word)}": "{LEGEND.map(row)}
            </span>
        </Show>
    }
}

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    from: String,
    to: String,
    rate: String,
    text: String,
}

fn rows(lanes: &Lanes) -> Vec<Row> {
    let mut busiest: Vec<_> = lanes.lanes.iter().collect();
    busiest.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let mut rows: Vec<Row> =
        busiest.iter().take(LISTED).map(|lane| row(&lane.from, &lane.to, lane.rate)).collect();
    for stop in lanes.stops.iter().take(LISTED) {
        let vip = Target::Service(stop.service.clone());
        for (rate, what) in [(stop.refused, "refused"), (stop.dropped, "dropped"), (stop.failed, "failed")] {
            if rate > 0.0 {
                let text = format!("{vip}: {} {what}", rate_text(rate));
                rows.push(Row {
                    from: vip.to_string(),
                    to: what.to_owned(),
                    rate: format!("{rate:.2}"),
                    text,
                });
            }
        }
    }
    rows.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    let more = lanes.lanes.len().saturating_sub(LISTED);
    if more > 0 {
        let text = format!("and {} with less traffic", words::count(more, "way", "ways"));
        rows.push(Row { from: String::new(), to: String::new(), rate: String::new(), text });
    }
    rows
}

fn row(from: &Target, to: &Target, rate: f64) -> Row {
    let text = format!("{from} to {to}: {}", rate_text(rate));
    Row { from: from.to_string(), to: to.to_string(), rate: format!("{rate:.2}"), text }
}

/// The traffic as a list, for screen readers and tests.
#[component]
pub fn TrafficList(lanes: Signal<Arc<Lanes>>) -> impl IntoView {
    let run = traffic_run();
    let rows = Memo::new(move |_| lanes.with(|lanes| rows(lanes)));
    let motion = move || match run.motion() {
        Motion::Moving => "moving",
        Motion::Paused => "paused",
        Motion::None => "none",
    };
    let label = move || {
        let basis = run.live.basis().map(basis_word).unwrap_or_default();
        format!("Traffic on the map, {basis}, new connections per second")
    };
    view! {
        <ul class="unseen" data-testid="traffic-list" data-motion=motion aria-label=label>
            <For each=move || rows.get() key=|row| row.clone() let(row)>
                <li data-from=row.from data-to=row.to data-rate=row.rate>{row.text}</li>
            </For>
        </ul>
    }
}

/// What is known of the traffic of something on the map, for its tooltip.
pub fn tooltip_lines(run: TrafficRun, shell: Shell, target: &Target) -> Vec<String> {
    let Some(basis) = run.live.basis() else { return Vec::new() };
    let is_from = |edge: &TrafficEdge| match (target, &edge.source) {
        (Target::Pod(key), _) => is_from_pod(edge, key),
        (Target::Node(name), _) => edge.node == *name,
        (Target::Source(SourceId::Outside), TrafficSource::Outside) => true,
        (Target::Source(SourceId::Nodes), TrafficSource::Node(_)) => true,
        (Target::Source(SourceId::Pods(namespace)), TrafficSource::Pod(key)) => key.namespace == *namespace,
        _ => false,
    };
    let is_to = |edge: &TrafficEdge| match target {
        Target::Pod(key) => is_to_pod(edge, key),
        Target::Service(key) => edge.service.as_ref() == Some(key),
        Target::Port(key, name) => edge.service.as_ref() == Some(key) && is_port(shell, edge, name),
        Target::Namespace(namespace) => {
            edge.service.as_ref().is_some_and(|service| service.namespace == *namespace)
        }
        Target::Address(address) => match &edge.end {
            TrafficEnd::Delivered { endpoint, pod: None } => endpoint.ip().to_string() == **address,
            _ => false,
        },
        _ => false,
    };
    let (out, into) = run.with(|traffic| (traffic.sum(is_from).rates, traffic.sum(is_to).rates));
    let verb = if matches!(target, Target::Node(_)) { "decided here" } else { "sent" };
    let mut lines = Vec::new();
    lines.extend(
        (into.sum() > 0.0).then(|| format!("{} received, {}", rate_text(into.sum()), basis_word(basis))),
    );
    lines
        .extend((out.sum() > 0.0).then(|| format!("{} {verb}, {}", rate_text(out.sum()), basis_word(basis))));
    let lost = if into.lost() > 0.0 { into.trouble() } else { out.trouble() };
    lines.extend((!lost.is_empty()).then(|| format!("without an answer: {lost}")));
    lines
}

fn is_port(shell: Shell, edge: &TrafficEdge, name: &str) -> bool {
    shell.store.peek(|data| {
        let service = edge.service.as_ref().and_then(|key| data.state.services().get(key));
        let port =
            service.and_then(|service| service.ports.iter().find(|port| *words::port_id(port) == *name));
        port.is_some_and(|port| is_of_port(edge, port))
    })
}
