//! Every endpoint of a Service: where it is, what share it gets, and why it does or does not receive traffic.

use std::net::IpAddr;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Conditions, Key, Service, Text};
use vipscope_shared::proxy::{EndpointRow, PortStanding, Via, endpoint_rows};

use super::headline::is_useful;
use super::refusals::refusals;
use super::traffic::{
    ByEndpoint, ServiceTraffic, Strangers, by_endpoint, endpoint_mismatch, endpoint_rate, endpoint_seen,
};
use crate::ui::{Mark, MarkView, Section, ShareBar};
use crate::view::links::{node_link, pod_link};
use crate::view::shell::shell;
use crate::view_state::Tab;
use crate::words;

/// One endpoint, in words.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    pod: Option<Key>,
    address: String,
    ip: Option<IpAddr>,
    node: Option<Text>,
    zone: Option<Text>,
    conditions: Vec<&'static str>,
    mark: Mark,
    is_useful: bool,
    /// 0 to 1.
    part: f64,
    share: String,
    /// Port, or nothing where one reason holds for all; and the reason.
    reasons: Vec<(String, String)>,
}

/// All endpoints, or how they stand towards one port.
#[component]
pub fn Endpoints(key: Key, port: Option<Text>) -> impl IntoView {
    let shell = shell();
    let via = RwSignal::new(Via::ClusterIp);
    let (service_key, named, of_traffic) = (key.clone(), port.clone(), port.clone());
    let service = Memo::new(move |_| shell.store.state(|state| state.services().get(&service_key).cloned()));
    let lines = Memo::new(move |_| {
        let via = via.get();
        let service = service.get();
        shell.store.state(|state| service.map(|service| lines(state, &service, port.as_ref(), via)))
    });
    let ips = Memo::new(move |_| {
        let ips = |lines: &Vec<Line>| lines.iter().filter_map(|line| line.ip).collect::<Vec<_>>();
        lines.with(|lines| lines.as_ref().map(ips).unwrap_or_default())
    });
    let traffic = by_endpoint(service, of_traffic.clone(), via, move || ips.get());
    let failures = Memo::new(move |_| {
        let (via, service) = (via.get(), service.get());
        let chosen =
            |service: &Service| service.ports.iter().position(|port| Some(words::port_id(port)) == named);
        shell.store.state(|state| service.map(|service| refusals(state, &service, chosen(&service), via)))
    });
    let found_by = move || service.with(|service| service.as_deref().and_then(words::found_by));
    let has_outside = Memo::new(move |_| service.with(|service| service.as_deref().is_some_and(has_outside)));
    let basis = Memo::new(move |_| {
        let basis = shell.store.state(words::ModeBasis::of);
        service.with(|service| service.as_deref().map(|service| words::share_basis(basis, service)))
    });
    let title = move || match via.get() {
        Via::ClusterIp => format!("Shares, {}", basis.get().unwrap_or_default()),
        Via::External => format!("Shares from outside, {}", basis.get().unwrap_or_default()),
    };
    view! {
        {move || found_by().map(|words| view! { <Section title="How clients find it"><p>{words}</p></Section> })}
        <ServiceTraffic service=service port=of_traffic/>
        <section class="sec">
            <Show when=move || has_outside.get()><ViaSwitch via=via/></Show>
            {move || failures.get().unwrap_or_default().into_iter().map(|line| view! { <p class="failure">{line}</p> }).collect_view()}
            <h2>{title}</h2>
            <Strangers all=traffic rows=ips.into()/>
            <ul class="endpoints">
                {move || lines.get().unwrap_or_default().into_iter().map(|line| endpoint(line, traffic)).collect_view()}
            </ul>
            {move || lines.with(|lines| lines.as_ref().is_some_and(Vec::is_empty)).then(|| {
                service.get().map(|service| view! { <p class="muted">{nothing_there(&service)}</p> })
            })}
        </section>
    }
}

pub(super) fn has_outside(service: &Service) -> bool {
    service.is_proxied()
        && (service.outside_ips().next().is_some()
            || service.ports.iter().any(|port| port.node_port.is_some()))
}

fn nothing_there(service: &Service) -> String {
    match (&service.selector, &service.external_name) {
        (_, Some(name)) => format!("No endpoints: it is an alias for {name}."),
        (Some(selector), _) => {
            let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("No endpoints: no pod of this namespace has the labels {}.", labels.join(", "))
        }
        (None, None) => {
            "No endpoints: it has no selector, and nobody has written an EndpointSlice for it.".to_owned()
        }
    }
}

#[component]
fn ViaSwitch(via: RwSignal<Via>) -> impl IntoView {
    let one = move |way: Via, words: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (via.get() == way).to_string() on:click=move |_| via.set(way)>
                {words}
            </button>
        }
    };
    view! {
        <div class="switch" role="group" aria-label="Where the traffic comes from">
            {one(Via::ClusterIp, "via cluster IP")}
            {one(Via::External, "from outside")}
        </div>
    }
}

fn lines(state: &ClusterState, service: &Service, port: Option<&Text>, via: Via) -> Vec<Line> {
    let chosen = port.and_then(|id| service.ports.iter().position(|port| words::port_id(port) == *id));
    let rows = endpoint_rows(state, service, via);
    let mut lines: Vec<Line> = rows
        .into_iter()
        .map(|mut row| {
            if let Some(index) = chosen {
                row.ports = row.ports.get(index).cloned().into_iter().collect();
            }
            line(state, service, &row, chosen, via)
        })
        .collect();
    // What receives traffic first; otherwise by address, as given.
    lines.sort_by_key(|line| !line.is_useful);
    lines
}

fn line(state: &ClusterState, service: &Service, row: &EndpointRow, chosen: Option<usize>, via: Via) -> Line {
    let is_useful = is_useful(service, row);
    let basis = words::share_basis(words::ModeBasis::of(state), service);
    let part = row.ports.iter().map(|(_, standing)| mean(standing)).fold(0.0, f64::max);
    let share = row.ports.iter().find_map(|(_, standing)| words::share(standing, basis));
    Line {
        pod: row.pod.clone(),
        address: address(row),
        ip: row.address.as_ref().and_then(|address| address.ip()),
        node: row.node.clone(),
        zone: row.zone.clone(),
        conditions: conditions(row.conditions),
        mark: mark(row, is_useful),
        is_useful,
        part,
        share: share.unwrap_or_else(|| if is_useful { "in DNS".to_owned() } else { "nothing".to_owned() }),
        reasons: reasons(state, service, row, chosen, via),
    }
}

fn mean(standing: &PortStanding) -> f64 {
    match standing {
        PortStanding::Receives { mean, .. } => *mean,
        PortStanding::Nothing(_) => 0.0,
    }
}

fn address(row: &EndpointRow) -> String {
    let Some(address) = &row.address else { return "no address".to_owned() };
    let mut ports: Vec<String> =
        row.ports.iter().filter_map(|(port, _)| port.map(|port| port.to_string())).collect();
    ports.dedup();
    match (address.ip(), ports.as_slice()) {
        (_, []) => address.to_string(),
        (Some(ip), ports) => words::socket(ip, ports.join(",")),
        (None, ports) => format!("{address}:{}", ports.join(",")),
    }
}

/// As the slice has them; what is absent is not shown.
fn conditions(conditions: Option<Conditions>) -> Vec<&'static str> {
    let Some(conditions) = conditions else { return vec!["in no slice"] };
    let pick = |value: Option<bool>, yes: &'static str, no: &'static str| {
        value.map(|value| if value { yes } else { no })
    };
    let words = [
        pick(conditions.ready, "ready", "not ready"),
        pick(conditions.serving, "serving", "not serving"),
        pick(conditions.terminating.filter(|terminating| *terminating), "terminating", ""),
    ];
    words.into_iter().flatten().collect()
}

fn mark(row: &EndpointRow, is_useful: bool) -> Mark {
    let conditions = row.conditions.unwrap_or_default();
    match (is_useful, conditions.is_terminating(), conditions.is_ready() && row.conditions.is_some()) {
        (_, true, _) => Mark::Warn,
        (true, ..) => Mark::Ok,
        (false, _, true) => Mark::Off,
        (false, _, false) => Mark::Bad,
    }
}

/// One reason if all ports agree, else one for each.
fn reasons(
    state: &ClusterState,
    service: &Service,
    row: &EndpointRow,
    chosen: Option<usize>,
    via: Via,
) -> Vec<(String, String)> {
    if service.is_headless() {
        return vec![(String::new(), headless(service, row))];
    }
    let basis = words::share_basis(words::ModeBasis::of(state), service);
    let ports = service.ports.iter().skip(chosen.unwrap_or(0));
    let mut all: Vec<(String, String)> = ports
        .zip(&row.ports)
        .map(|(port, (_, standing))| {
            let share = words::share(standing, basis).map(|share| format!("{share}, ")).unwrap_or_default();
            let reason = words::standing(state, service, row, standing, via);
            (format!("{}: {share}", words::port_id(port)), reason)
        })
        .collect();
    let agree = row.ports.windows(2).all(|pair| pair[0].1 == pair[1].1);
    if agree {
        all.truncate(1);
        all.iter_mut().for_each(|(port, _)| port.clear());
    }
    all
}

fn headless(service: &Service, row: &EndpointRow) -> String {
    match row.conditions {
        None => "selected, but in no slice: DNS does not answer with it".to_owned(),
        Some(conditions) if conditions.is_ready() => "ready: DNS answers with it".to_owned(),
        Some(_) if service.publish_not_ready => {
            "not ready, but published: publishNotReadyAddresses".to_owned()
        }
        Some(_) => "not ready: DNS leaves it out".to_owned(),
    }
}

fn endpoint(line: Line, traffic: ByEndpoint) -> impl IntoView {
    let name = match &line.pod {
        Some(pod) => pod_link(pod),
        None => line.address.clone().into_any(),
    };
    let place = move || {
        let node = line.node.as_ref().map(|node| view! { " · "{node_link(node)} });
        let zone = line.zone.as_ref().map(|zone| format!(" · {zone}"));
        view! { {node}{zone} }
    };
    let label = if line.is_useful { "receives traffic" } else { "receives nothing" };
    // The tags say so already.
    let plain = |(port, reason): &(String, String)| port.is_empty() && reason == "ready";
    let reasons = line.reasons.iter().filter(|reason| !plain(reason)).cloned().map(|(port, reason)| {
        view! { <span class="reason"><b>{port}</b>{reason}</span> }
    });
    let shell = shell();
    let why = line.pod.clone().map(|pod| {
        let words = if line.is_useful { "Why?" } else { "Why not there?" };
        let label = format!("{words} The ladder to {}", pod.name);
        let climb = move |_| {
            shell.asked.update(|asked| asked.pod = Some(pod.clone()));
            shell.tab.set(Some(Tab::Ladder));
        };
        view! { <button type="button" class="link ep-climb" aria-label=label data-testid="climb" on:click=climb>{words}</button> }
    });
    view! {
        <li class="ep" data-testid="endpoint" data-receives=line.is_useful.to_string()>
            <MarkView mark=line.mark label=label/>
            <div class="ep-main">
                <div class="ep-name">{name}</div>
                <div class="ep-place mono">{line.address.clone()}{place()}</div>
            </div>
            <div class="ep-share"><ShareBar part=line.part/><span>{line.share.clone()}</span>{endpoint_seen(traffic, line.ip)}</div>
            {endpoint_rate(traffic, line.ip)}
            <div class="ep-why">
                {endpoint_mismatch(traffic, line.ip)}
                {reasons.collect_view()}
                <span class="conditions">{line.conditions.iter().map(|word| view! { <span class="tag">{*word}</span> }).collect_view()}</span>
                {why}
            </div>
        </li>
    }
}
