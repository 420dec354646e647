//! The nodes as a table: zone, readiness, pods, proxy mode.

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Keyed, Text};
use vipscope_shared::scene::Target;

use super::links::node_link;
use super::shell::shell;
use crate::ui::{Mark, MarkView};
use crate::words;

const HEADINGS: [&str; 7] = ["Node", "Zone", "State", "Pods", "Address", "kube-proxy mode", "kubelet"];
/// Rows shown at once; more on demand.
const PAGE: usize = 200;

#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: Text,
    zone: String,
    mark: Mark,
    state: String,
    pods: usize,
    ready_pods: usize,
    address: String,
    mode: String,
    version: String,
}

fn rows(state: &ClusterState) -> Vec<Row> {
    let basis = words::ModeBasis::of(state);
    let nodes = state.nodes().values();
    nodes
        .map(|node| {
            let (mark, words) = super::inspector::node_state(node);
            Row {
                name: node.name().clone(),
                zone: node.zone().map_or_else(|| "–".to_owned(), |zone| zone.to_string()),
                mark,
                state: words,
                pods: state.pods_on(node.name()).count(),
                ready_pods: state.pods_on(node.name()).filter(|pod| pod.ready).count(),
                address: node
                    .addresses
                    .first()
                    .map_or_else(|| "–".to_owned(), |address| address.ip.to_string()),
                mode: words::proxy_mode(state.proxy_settings(node.name()).mode, basis),
                version: node.version.as_deref().unwrap_or("–").to_owned(),
            }
        })
        .collect()
}

/// The screen.
#[component]
pub fn NodesScreen() -> impl IntoView {
    let shell = shell();
    let limit = RwSignal::new(PAGE);
    let all = Memo::new(move |_| shell.store.state(rows));
    let shown = move || all.get().into_iter().take(limit.get()).map(node_row).collect_view();
    let hidden = move || all.with(|rows| rows.len()).saturating_sub(limit.get());
    view! {
        <div class="sheet" data-testid="nodes">
            <div class="scroll" tabindex="0" role="region" aria-label="Nodes">
                <table>
                    <thead><tr>{HEADINGS.map(|name| view! { <th scope="col">{name}</th> })}</tr></thead>
                    <tbody>{shown}</tbody>
                </table>
                <Show when=move || { hidden() > 0 }>
                    <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                        {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
                    </button>
                </Show>
                <Show when=move || shell.store.state(words::ModeBasis::of) == words::ModeBasis::Assumed>
                    <p class="muted pad">"Modes are assumed: the ConfigMap kube-system/kube-proxy was not seen. With another proxy (Cilium, OVN, …) they do not apply."</p>
                </Show>
                <Show when=move || all.with(|rows| rows.is_empty())>
                    <p class="muted pad">"No nodes are known."</p>
                </Show>
            </div>
        </div>
    }
}

fn node_row(row: Row) -> impl IntoView {
    let shell = shell();
    let target = Target::Node(row.name.clone());
    let selected = move || shell.selected.with(|selected| selected.as_ref() == Some(&target));
    view! {
        <tr class:on=selected>
            <th scope="row">{node_link(&row.name)}</th>
            <td>{row.zone}</td>
            <td class=format!("health {}", row.mark.as_str())><MarkView mark=row.mark label=""/>{row.state}</td>
            <td class="mono" title="ready / all">{format!("{}/{}", row.ready_pods, row.pods)}</td>
            <td class="mono">{row.address}</td>
            <td>{row.mode}</td>
            <td class="mono">{row.version}</td>
        </tr>
    }
}
