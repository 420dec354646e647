//! The nodes as a table: zone, readiness, pods, proxy mode; and, where nodes can be read, how far each is with its rules.

use std::collections::BTreeSet;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Keyed, Text};
use vipscope_shared::scene::Target;

use super::links::node_link;
use super::node_rules::{COLUMNS, NodeDetails, standing_cells};
use super::shell::shell;
use super::traffic_run::traffic_run;
use crate::ui::{Mark, MarkView};
use crate::words;

const HEADINGS: [&str; 2] = ["Node", "State"];
/// After how its rules stand.
const MORE_HEADINGS: [&str; 5] = ["kube-proxy mode", "Pods", "Zone", "Address", "kubelet"];
/// Rows shown at once; more on demand.
const PAGE: usize = 200;

#[derive(Debug, Clone, PartialEq)]
struct Row {
    zone: String,
    mark: Mark,
    state: String,
    pods: usize,
    ready_pods: usize,
    address: String,
    mode: String,
    version: String,
}

fn row(state: &ClusterState, name: &Text) -> Option<Row> {
    let node = state.node(name)?;
    let (mark, words) = super::inspector::node_state(node);
    let address = node.addresses.first();
    let mode = state.proxy_settings(node.name()).mode;
    Some(Row {
        zone: node.zone().map_or_else(|| "–".to_owned(), |zone| zone.to_string()),
        mark,
        state: words,
        pods: state.pods_on(node.name()).count(),
        ready_pods: state.pods_on(node.name()).filter(|pod| pod.ready).count(),
        address: address.map_or_else(|| "–".to_owned(), |address| address.ip.to_string()),
        mode: words::proxy_mode(mode, words::ModeBasis::of(state)),
        version: node.version.as_deref().unwrap_or("–").to_owned(),
    })
}

fn names(state: &ClusterState) -> Vec<Text> {
    state.nodes().values().map(|node| node.name().clone()).collect()
}

/// The screen.
#[component]
pub fn NodesScreen() -> impl IntoView {
    let (shell, run) = (shell(), traffic_run());
    let limit = RwSignal::new(PAGE);
    let open = RwSignal::new(BTreeSet::new());
    let all = Memo::new(move |_| shell.store.state(names));
    let is_read = Memo::new(move |_| run.with(|traffic| !traffic.nodes().is_empty()));
    let shown = move || all.with(|all| all.iter().take(limit.get()).cloned().collect::<Vec<_>>());
    let hidden = move || all.with(|names| names.len()).saturating_sub(limit.get());
    let headings = move || {
        let more: &[&str] = if is_read.get() { &COLUMNS } else { &[] };
        HEADINGS
            .iter()
            .chain(more)
            .chain(&MORE_HEADINGS)
            .map(|name| view! { <th scope="col">{*name}</th> })
            .collect_view()
    };
    view! {
        <div class="sheet" data-testid="nodes">
            <div class="scroll" tabindex="0" role="region" aria-label="Nodes">
                <table>
                    <thead><tr>{headings}</tr></thead>
                    <tbody>
                        <For each=shown key=|name| name.clone() let(name)>{node_row(name, is_read, open)}</For>
                    </tbody>
                </table>
                <Show when=move || { hidden() > 0 }>
                    <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                        {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
                    </button>
                </Show>
                <Show when=move || shell.store.state(words::ModeBasis::of) == words::ModeBasis::Assumed>
                    <p class="muted pad">"Modes are assumed: the ConfigMap kube-system/kube-proxy was not seen. With another proxy (Cilium, OVN, …) they do not apply."</p>
                </Show>
                <Show when=move || all.with(|names| names.is_empty())>
                    <p class="muted pad">"No nodes are known."</p>
                </Show>
            </div>
        </div>
    }
}

/// A node's row, and below it its rules while they are looked at.
fn node_row(name: Text, is_read: Memo<bool>, open: RwSignal<BTreeSet<Text>>) -> impl IntoView {
    let shell = shell();
    let (target, read, link) = (Target::Node(name.clone()), name.clone(), name.clone());
    let selected = move || shell.selected.with(|selected| selected.as_ref() == Some(&target));
    let row = Memo::new(move |_| shell.store.state(|state| row(state, &read)));
    let state = move || {
        row.get().map(|row| view! {
            <td class=format!("health {}", row.mark.as_str())><MarkView mark=row.mark label=""/>{row.state}</td>
        })
    };
    let facts = move || {
        row.get().map(|row| {
            view! {
                <td>{row.mode}</td>
                <td class="mono" title="ready / all">{format!("{}/{}", row.ready_pods, row.pods)}</td>
                <td>{row.zone}</td>
                <td class="mono">{row.address}</td>
                <td class="mono">{row.version}</td>
            }
        })
    };
    let (standing, details) = (name.clone(), name.clone());
    let is_open = Memo::new(move |_| is_read.get() && open.with(|open| open.contains(&name)));
    view! {
        <tr class:on=selected data-node=link.to_string()>
            <th scope="row">{node_link(&link)}</th>
            {state}
            <Show when=move || is_read.get()>{standing_cells(standing.clone(), open)}</Show>
            {facts}
        </tr>
        <Show when=move || is_open.get()>
            <tr class="node-details" data-details=details.to_string()>
                <td colspan=HEADINGS.len() + COLUMNS.len() + MORE_HEADINGS.len()><NodeDetails name=details.clone()/></td>
            </tr>
        </Show>
    }
}
