//! The Services as a table: the same data as the map, the accessible way.

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Keyed, Text};
use vipscope_shared::scene::{Health, ServiceStatus, Target};

use super::inspector::severity;
use super::links::{namespace_link, service_link};
use super::map::NamespaceFilter;
use super::shell::shell;
use crate::ui::MarkView;
use crate::words;

/// Rows shown at once; more on demand.
const PAGE: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Namespace,
    Type,
    Address,
    Ports,
    Endpoints,
    Health,
}

const COLUMNS: [(Column, &str); 7] = [
    (Column::Name, "Service"),
    (Column::Namespace, "Namespace"),
    (Column::Type, "Type"),
    (Column::Address, "VIPs"),
    (Column::Ports, "Ports"),
    (Column::Endpoints, "Endpoints"),
    (Column::Health, "Health"),
];

#[derive(Debug, Clone, PartialEq)]
struct Row {
    target: Target,
    name: Text,
    namespace: Text,
    kind: &'static str,
    addresses: String,
    ports: String,
    receiving: usize,
    endpoints: usize,
    health: Health,
    problem: Text,
}

fn rows(state: &ClusterState, chosen: &std::collections::BTreeSet<Text>) -> Vec<Row> {
    let services = state.services().values();
    let services = services.filter(|service| chosen.is_empty() || chosen.contains(service.namespace()));
    services.map(|service| row(state, service)).collect()
}

fn row(state: &ClusterState, service: &vipscope_shared::model::Service) -> Row {
    let status = ServiceStatus::of(state, service);
    let ips = service.cluster_ip.ips().iter().copied().chain(service.outside_ips());
    let ips: Vec<String> = ips.map(|ip| ip.to_string()).collect();
    let ports = service.ports.iter().map(|port| match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol.lower()),
        None => format!("{}/{}", port.port, port.protocol.lower()),
    });
    Row {
        target: Target::Service(service.key().clone()),
        name: service.name().clone(),
        namespace: service.namespace().clone(),
        kind: words::service_type(service),
        addresses: if ips.is_empty() { words::main_address(service) } else { ips.join(", ") },
        ports: ports.collect::<Vec<_>>().join(", "),
        receiving: status.rows.iter().filter(|row| super::inspector::is_useful(service, row)).count(),
        endpoints: status.rows.len(),
        health: status.health,
        problem: status.problem,
    }
}

fn sort(rows: &mut [Row], by: Column, descending: bool) {
    rows.sort_by(|a, b| {
        let order = match by {
            Column::Name => a.name.cmp(&b.name),
            Column::Namespace => a.namespace.cmp(&b.namespace),
            Column::Type => a.kind.cmp(b.kind),
            Column::Address => a.addresses.cmp(&b.addresses),
            Column::Ports => a.ports.cmp(&b.ports),
            Column::Endpoints => (a.receiving, a.endpoints).cmp(&(b.receiving, b.endpoints)),
            Column::Health => severity(a.health).cmp(&severity(b.health)).then_with(|| b.name.cmp(&a.name)),
        };
        let order = if descending { order.reverse() } else { order };
        order.then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
    });
}

/// The screen.
#[component]
pub fn TableScreen() -> impl IntoView {
    let shell = shell();
    let order = RwSignal::new((Column::Health, true));
    let limit = RwSignal::new(PAGE);
    let all =
        Memo::new(move |_| shell.namespaces.with(|chosen| shell.store.state(|state| rows(state, chosen))));
    let sorted = move || {
        let mut rows = all.get();
        let (by, descending) = order.get();
        sort(&mut rows, by, descending);
        rows.truncate(limit.get());
        rows.into_iter().map(table_row).collect_view()
    };
    let hidden = move || all.with(|rows| rows.len()).saturating_sub(limit.get());
    view! {
        <div class="sheet" data-testid="table">
            <div class="sheet-bar"><NamespaceFilter/></div>
            <div class="scroll" tabindex="0" role="region" aria-label="Services">
                <table>
                    <thead><tr>{COLUMNS.map(|(column, name)| heading(column, name, order))}</tr></thead>
                    <tbody>{sorted}</tbody>
                </table>
                <Show when=move || { hidden() > 0 }>
                    <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                        {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
                    </button>
                </Show>
            </div>
        </div>
    }
}

fn heading(column: Column, name: &'static str, order: RwSignal<(Column, bool)>) -> impl IntoView {
    let sorted = move || match order.get() {
        (by, false) if by == column => "ascending",
        (by, true) if by == column => "descending",
        _ => "none",
    };
    let click = move |_| {
        order.update(|(by, descending)| {
            *descending = if *by == column { !*descending } else { column == Column::Health };
            *by = column;
        })
    };
    view! { <th scope="col" aria-sort=sorted><button type="button" on:click=click>{name}</button></th> }
}

fn table_row(row: Row) -> impl IntoView {
    let shell = shell();
    let (mark, word) = super::inspector::health_mark(row.health);
    let words = if row.problem.is_empty() { word.to_owned() } else { row.problem.to_string() };
    let target = row.target.clone();
    let key = match &row.target {
        Target::Service(key) => key.clone(),
        _ => vipscope_shared::model::Key::cluster(""),
    };
    let selected = move || shell.selected.with(|selected| selected.as_ref() == Some(&target));
    let endpoints = if row.kind == "ExternalName" {
        "–".to_owned()
    } else {
        format!("{}/{}", row.receiving, row.endpoints)
    };
    view! {
        <tr class:on=selected>
            <th scope="row">{service_link(&key)}</th>
            <td>{namespace_link(&row.namespace)}</td>
            <td>{row.kind}</td>
            <td class="mono">{row.addresses}</td>
            <td class="mono">{row.ports}</td>
            <td class="mono">{endpoints}</td>
            <td class=format!("health {}", mark.as_str())><MarkView mark=mark label=word/>{words}</td>
        </tr>
    }
}
