//! Live traffic of what is selected: rates with their last minute, and beside each endpoint what it gets of what it should.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::{Key, Keyed, Service, ServicePort, Text};
use vipscope_shared::proxy::Via;
use vipscope_shared::traffic::{TrafficEdge, TrafficEnd};

use crate::traffic::{
    EndpointTraffic, Expected, Judgement, Sum, is_from_pod, is_of_port, is_to_pod, of_endpoints, rate_text,
};
use crate::ui::{Section, Sparkline};
use crate::view::shell::shell;
use crate::view::traffic_run::{TrafficRun, basis_word, traffic_run};
use crate::words;

/// What each endpoint gets, by its address.
pub type ByEndpoint = Memo<BTreeMap<IpAddr, EndpointTraffic>>;

/// Follows the traffic to the endpoints of a Service, of one of its ports or of all.
pub fn by_endpoint(
    service: Memo<Option<Arc<Service>>>,
    port: Option<Text>,
    via: RwSignal<Via>,
    rows: impl Fn() -> Vec<IpAddr> + Send + Sync + 'static,
) -> ByEndpoint {
    let (shell, run) = (shell(), traffic_run());
    Memo::new(move |_| {
        let Some(service) = service.get().filter(|_| run.is_on()) else { return BTreeMap::new() };
        let (via, rows) = (via.get(), rows());
        let is_wanted = |one: &&ServicePort| port.as_ref().is_none_or(|id| words::port_id(one) == *id);
        let ports: Vec<ServicePort> = service.ports.iter().filter(is_wanted).cloned().collect();
        run.with(|traffic| {
            shell.store.peek(|data| of_endpoints(traffic, &data.state, &service, &ports, via, &rows))
        })
    })
}

/// The head of a Service's endpoints: its rate, the last minute, what goes wrong, and each port if it has several.
#[component]
pub fn ServiceTraffic(service: Memo<Option<Arc<Service>>>, port: Option<Text>) -> impl IntoView {
    let run = traffic_run();
    let lines = Memo::new(move |_| {
        let service = service.get().filter(|service| run.is_on() && service.is_proxied())?;
        Some(service_lines(run, &service, port.as_ref()))
    });
    let body = move || {
        let lines = lines.get()?;
        Some(view! {
            <section class="sec" data-testid="service-traffic">
                <h2>{title(run)}</h2>
                <ul class="plain">{lines.into_iter().map(|(name, sum)| line(name, &sum)).collect_view()}</ul>
            </section>
        })
    };
    view! { {body} }
}

/// `Traffic, simulated`.
fn title(run: TrafficRun) -> String {
    let basis = run.live.basis().map(basis_word).unwrap_or_default();
    let stale = if run.live.is_stale() { ", no news for some seconds" } else { "" };
    format!("Traffic, {basis}{stale}")
}

fn service_lines(run: TrafficRun, service: &Service, port: Option<&Text>) -> Vec<(String, Sum)> {
    let is_own = |edge: &TrafficEdge| edge.service.as_ref() == Some(service.key());
    let of_port = |one: &ServicePort| run.with(|all| all.sum(|edge| is_own(edge) && is_of_port(edge, one)));
    match port {
        Some(id) => {
            let chosen = service.ports.iter().find(|one| words::port_id(one) == *id);
            chosen.map(|one| ("in all".to_owned(), of_port(one))).into_iter().collect()
        }
        None => {
            let mut lines = vec![("in all".to_owned(), run.with(|all| all.sum(is_own)))];
            if service.ports.len() > 1 {
                let ports = service.ports.iter();
                lines.extend(ports.map(|one| (format!("port {}", words::port_id(one)), of_port(one))));
            }
            lines
        }
    }
}

/// A name, a minute, a rate; below it what went wrong.
fn line(name: String, sum: &Sum) -> AnyView {
    let (rate, trouble) = (rate_text(sum.rates.sum()), sum.rates.trouble());
    let trouble = (!trouble.is_empty()).then(|| {
        view! { <span class="traffic-trouble">"✕ "{trouble}</span> }
    });
    view! {
        <li class="traffic-line" data-testid="traffic-line">
            <span>{name}</span>
            <Sparkline history=sum.history.clone()/>
            <b class="rate">{rate}</b>
            {trouble}
        </li>
    }
    .into_any()
}

/// Beside an endpoint: rate and minute.
pub fn endpoint_rate(all: ByEndpoint, ip: Option<IpAddr>) -> impl IntoView {
    move || {
        let one = all.with(|all| all.get(&ip?).map(|one| one.sum.clone()))?;
        Some(view! {
            <div class="ep-rate">
                <b class="rate" data-testid="endpoint-rate">{rate_text(one.rates.sum())}</b>
                <Sparkline history=one.history/>
            </div>
        })
    }
}

/// Below a predicted share: what was seen, and whether that is what was predicted.
pub fn endpoint_seen(all: ByEndpoint, ip: Option<IpAddr>) -> impl IntoView {
    move || {
        let one = all.with(|all| all.get(&ip?).cloned())?;
        let seen = one.seen?;
        let predicted = match one.expected {
            Expected::Share(share) => format!(" Predicted for these connections: {share:.3}."),
            Expected::Unknown => " Nothing to compare it with: choices depend on earlier ones.".to_owned(),
        };
        let title = format!(
            "{} of {} connections since the endpoints or a node's rules last changed, as far as this page has seen them; \
             ±: where the true share is in 95 of 100 cases.{predicted}",
            words::thousands(seen.count),
            words::thousands(seen.of)
        );
        Some(view! {
            <span class="ep-seen" data-testid="endpoint-seen" data-judgement=judged(one.judgement) title=title>{format!("seen {}", seen.text())}</span>
        })
    }
}

/// A mismatch in words.
pub fn endpoint_mismatch(all: ByEndpoint, ip: Option<IpAddr>) -> impl IntoView {
    let words = Memo::new(move |_| all.with(|all| all.get(&ip?).and_then(|one| one.judgement.words())));
    move || {
        let words = words.get()?;
        Some(view! { <span class="mismatch" data-testid="mismatch"><b>"△ Mismatch: "</b>{words}</span> })
    }
}

fn judged(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Open => "open",
        Judgement::Agrees => "agrees",
        _ => "differs",
    }
}

/// Traffic to addresses that are no endpoints of the Service (any more).
#[component]
pub fn Strangers(all: ByEndpoint, rows: Signal<Vec<IpAddr>>) -> impl IntoView {
    let strangers = Memo::new(move |_| {
        let rows = rows.get();
        let all = all.get().into_iter();
        let new = all.filter(|(ip, one)| !rows.contains(ip) && one.sum.rates.sum() > 0.0);
        new.map(|(ip, one)| (ip, one.sum)).collect::<Vec<_>>()
    });
    move || {
        let lines: Vec<AnyView> =
            strangers.get().into_iter().map(|(ip, sum)| line(ip.to_string(), &sum)).collect();
        (!lines.is_empty()).then(|| {
            view! {
                <div class="failure" data-testid="strangers">
                    <p>"Connections go to what is no endpoint of it (any more):"</p>
                    <ul class="plain">{lines}</ul>
                </div>
            }
        })
    }
}

/// What a pod receives and sends.
#[component]
pub fn PodTraffic(key: Key) -> impl IntoView {
    let (to, from) = (key.clone(), key);
    let lines = [
        ("received", sum_of(move |edge| is_to_pod(edge, &to))),
        ("sent to Services", sum_of(move |edge| is_from_pod(edge, &from))),
    ];
    view! { <Rates lines=lines.to_vec()/> }
}

/// What a node's rules decide on, and what its pods receive.
#[component]
pub fn NodeTraffic(name: Text) -> impl IntoView {
    let shell = shell();
    let (decided, here) = (name.clone(), name);
    let to_pods_here = move |edge: &TrafficEdge| {
        let TrafficEnd::Delivered { pod: Some(pod), .. } = &edge.end else { return false };
        shell
            .store
            .peek(|data| data.state.pods().get(pod).is_some_and(|pod| pod.node.as_ref() == Some(&here)))
    };
    let lines = [
        ("decided by its rules", sum_of(move |edge| edge.node == decided)),
        ("received by its pods", sum_of(to_pods_here)),
    ];
    view! { <Rates lines=lines.to_vec()/> }
}

fn sum_of(wanted: impl Fn(&TrafficEdge) -> bool + Send + Sync + 'static) -> Memo<Sum> {
    let run = traffic_run();
    Memo::new(move |_| run.with(|traffic| traffic.sum(&wanted)))
}

#[component]
fn Rates(lines: Vec<(&'static str, Memo<Sum>)>) -> impl IntoView {
    let run = traffic_run();
    move || {
        let lines = lines.clone();
        run.is_on().then(move || {
            let rows = lines.into_iter().map(|(name, sum)| view! { {move || sum.with(|sum| line(name.to_owned(), sum))} });
            view! { <Section title=title(run)><ul class="plain" data-testid="rates">{rows.collect_view()}</ul></Section> }
        })
    }
}
