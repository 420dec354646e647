//! The traffic map: the canvas, the namespace filter, the legend, the zoom buttons, the tooltip.

use std::collections::BTreeMap;
use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Keyed, Text};
use vipscope_shared::scene::{Basis, Ghost, Hypothesis, Scene, SceneOptions, Target};

use super::shell::{Shell, shell};
use super::trace_actions::TraceMenu;
use super::trace_panel::TracePanel;
use super::trace_run::trace_run;
use super::traffic::{TrafficChip, TrafficLegend, TrafficList, layer, tooltip_lines};
use super::traffic_run::traffic_run;
use super::whatif::{Moment, MomentSwitch, WhatIfDrawer, whatif};
use crate::canvas::{FittedCamera, Hover, MapCanvas, zoom_by};
use crate::tracing::End;
use crate::ui::{Icon, IconView};
use crate::words::{self, ModeBasis};

const ZOOM_STEP: f64 = 1.25;

/// The start screen.
#[component]
pub fn MapScreen() -> impl IntoView {
    let shell = shell();
    let scene = scene_of(shell);
    provide_context(FittedCamera(RwSignal::new(None)));
    let traffic = layer(shell, traffic_run(), scene);
    let menu = RwSignal::new(None);
    let missed = RwSignal::new(None);
    let whatif = whatif();
    let on_select = Callback::new(move |target: Option<Target>| match shell.picking.get_untracked() {
        Some(end) => missed.set(pick(shell, end, target)),
        None if whatif.take(target.as_ref()) => {}
        None => shell.select(target),
    });
    let on_menu = Callback::new(move |at: Hover| menu.set(Some(at)));
    let theme = Signal::derive(move || shell.theme());
    let paused = Signal::derive(move || shell.search_open.get());
    view! {
        <div class="map">
            <div class="map-room">
                <MapCanvas scene=scene selected=shell.selected.into() on_select=on_select on_menu=on_menu
                    hovered=shell.hovered camera=shell.camera theme=theme paused=paused traffic=traffic/>
                <TrafficList lanes=traffic.lanes/>
                <div class="map-bar"><NamespaceFilter/><MomentSwitch/><TrafficChip/></div>
                <PickHint missed=missed/>
                <Legend scene=scene/>
                <ZoomButtons/>
                <Tooltip/>
                <TraceMenu at=menu/>
            </div>
            <TracePanel/>
            <WhatIfDrawer/>
        </div>
    }
}

/// Takes what was pointed at as an end of a trace; if it can't be one, answers what it was.
fn pick(shell: Shell, end: End, target: Option<Target>) -> Option<Target> {
    let target = target?;
    match shell.store.peek(|data| end.name(&data.state, &target)) {
        Some(name) => {
            shell.trace_end(end, name);
            None
        }
        None => Some(target),
    }
}

/// What the next click on the map is for.
#[component]
fn PickHint(missed: RwSignal<Option<Target>>) -> impl IntoView {
    let shell = shell();
    let words = move || {
        let end = shell.picking.get()?;
        let (what, which) = match end {
            End::From => ("source", "a pod, a node or a source on the left"),
            End::To => ("destination", "a Service, one of its ports, or a pod with a port"),
        };
        Some(match missed.get() {
            Some(target) => format!("{target} can't be the {what}: click {which}"),
            None => format!("Click the {what}: {which}"),
        })
    };
    Effect::new(move || {
        if shell.picking.get().is_none() {
            missed.set(None);
        }
    });
    view! {
        <Show when=move || shell.picking.get().is_some()>
            <div class="pick-hint" role="status" data-testid="pick-hint">
                <span>{words}</span>
                <button type="button" class="btn" on:click=move |_| shell.picking.set(None)>"Cancel"</button>
            </div>
        </Show>
    }
}

/// The scene follows the data, the namespaces and the selection; it is given the last one, so that nothing jumps.
fn scene_of(shell: Shell) -> Signal<Arc<Scene>> {
    let trace = trace_run();
    let whatif = whatif();
    let scene = Memo::new_owning(move |previous: Option<Arc<Scene>>| {
        let after = whatif.after();
        let shown = after.clone().filter(|_| whatif.moment.get() == Moment::After);
        let options = SceneOptions {
            namespaces: shell.namespaces.get(),
            focus: shell.selected.get(),
            path: trace.path.get(),
            hypothesis: after.filter(|_| shown.is_none()).map(Hypothesis),
            ..SceneOptions::default()
        };
        let build = |state: &ClusterState| Scene::build(state, &options, previous.as_deref());
        let scene = Arc::new(shell.store.state(|state| build(shown.as_deref().unwrap_or(state))));
        let changed = previous.as_ref() != Some(&scene);
        (scene, changed)
    });
    scene.into()
}

/// Services by namespace: what the filter offers.
fn namespace_counts(state: &ClusterState) -> BTreeMap<Text, usize> {
    let mut counts: BTreeMap<Text, usize> = BTreeMap::new();
    for service in state.services().values() {
        *counts.entry(service.namespace().clone()).or_default() += 1;
    }
    counts
}

/// Which namespaces are shown: a chip that opens to checkboxes with counts.
#[component]
pub fn NamespaceFilter() -> impl IntoView {
    let shell = shell();
    let counts = Memo::new(move |_| shell.store.state(namespace_counts));
    let words = move || {
        shell.namespaces.with(|chosen| match chosen.len() {
            0 => "all".to_owned(),
            1..=3 => chosen.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", "),
            more => words::count(more, "namespace", "namespaces"),
        })
    };
    // Names that a link asks for, but that have no Services (yet), can be unchosen too.
    let rows = move || {
        let mut counts = counts.get();
        for name in shell.namespaces.get() {
            counts.entry(name).or_default();
        }
        counts.into_iter().map(|(name, count)| view! { <NamespaceRow name=name count=count/> }).collect_view()
    };
    view! {
        <details class="menu" data-testid="ns-filter">
            <summary class="chip"><b>"Namespace"</b>" "<span class="menu-value">{words}</span><IconView icon=Icon::Chevron/></summary>
            <div class="popover">
                <div class="menu-list">{rows}</div>
                <button type="button" class="btn" disabled=move || shell.namespaces.with(|chosen| chosen.is_empty())
                    on:click=move |_| shell.namespaces.update(|chosen| chosen.clear())>"Show all"</button>
            </div>
        </details>
    }
}

#[component]
fn NamespaceRow(name: Text, count: usize) -> impl IntoView {
    let shell = shell();
    let (shown, key) = (name.to_string(), name.clone());
    let checked = move || shell.namespaces.with(|chosen| chosen.contains(&key));
    let toggle = move |_| {
        shell.namespaces.update(|chosen| {
            if !chosen.remove(&name) {
                chosen.insert(name.clone());
            }
        });
    };
    view! {
        <label class="menu-row">
            <input type="checkbox" prop:checked=checked on:change=toggle/>
            <span>{shown}</span>
            <span class="menu-count">{words::count(count, "Service", "Services")}</span>
        </label>
    }
}

/// What the lines rest on: only what the picture has.
#[component]
fn Legend(scene: Signal<Arc<Scene>>) -> impl IntoView {
    let shell = shell();
    let has = move |basis: Basis| {
        Memo::new(move |_| scene.with(|scene| scene.edges().iter().any(|edge| edge.basis == basis)))
    };
    let (predicted, configured) = (has(Basis::Predicted), has(Basis::Configured));
    let haunts = move |ghost: Ghost| {
        Memo::new(move |_| {
            scene.with(|scene| {
                let items = scene.items().iter().any(|item| item.ghost == Some(ghost));
                items || scene.edges().iter().any(|edge| edge.ghost == Some(ghost))
            })
        })
    };
    let (gone, new) = (haunts(Ghost::Gone), haunts(Ghost::New));
    let basis = Memo::new(move |_| shell.store.state(ModeBasis::of));
    let words = move || match basis.get() {
        ModeBasis::Configured => "from the objects, not measured",
        ModeBasis::Assumed => "from the objects, as a stock kube-proxy would; not measured",
    };
    view! {
        <div class="legend">
            <Show when=move || predicted.get()><span><i class="line predicted"></i>"predicted"</span></Show>
            <Show when=move || configured.get()><span><i class="line configured"></i>"configured"</span></Show>
            <Show when=move || gone.get()><span><i class="line gone"></i>"would go"</span></Show>
            <Show when=move || new.get()><span><i class="line new"></i>"would come"</span></Show>
            <span class="legend-more">"width = share"</span>
            <span class="legend-more">{words}</span>
            <TrafficLegend/>
        </div>
    }
}

#[component]
fn ZoomButtons() -> impl IntoView {
    let camera = shell().camera;
    let fitted = use_context::<FittedCamera>();
    let percent = move || {
        let shown = camera.get().or_else(|| fitted?.0.get());
        shown.map_or_else(|| "fit".to_owned(), |camera| format!("{:.0} %", camera.zoom * 100.0))
    };
    view! {
        <div class="zoom" role="group" aria-label="Zoom">
            <button type="button" class="btn" aria-label="Zoom out" on:click=move |_| zoom_by(camera, 1.0 / ZOOM_STEP)>"−"</button>
            <span class="chip zoom-now">{percent}</span>
            <button type="button" class="btn" aria-label="Zoom in" on:click=move |_| zoom_by(camera, ZOOM_STEP)>"+"</button>
            <button type="button" class="btn" on:click=move |_| camera.set(None)>"Fit"</button>
        </div>
    }
}

/// A few facts beside the pointer.
#[component]
fn Tooltip() -> impl IntoView {
    let shell = shell();
    let run = traffic_run();
    let facts = Memo::new(move |_| {
        let target = shell.hovered.with(|hover| hover.as_ref().map(|hover| hover.target.clone()))?;
        let mut lines = shell.store.state(|state| tooltip(state, &target))?;
        lines.extend(tooltip_lines(run, shell, &target));
        Some(lines)
    });
    let at = move |read: fn(&Hover) -> f64| {
        shell.hovered.with(|hover| format!("{}px", hover.as_ref().map_or(0.0, read) + 14.0))
    };
    let lines = move || {
        facts.get().map(|lines| {
            let mut lines = lines.into_iter();
            let title = lines.next().unwrap_or_default();
            view! {
                <div class="tooltip" role="tooltip" style:left=move || at(|hover| hover.x) style:top=move || at(|hover| hover.y)>
                    <b>{title}</b>
                    {lines.map(|line| view! { <span>{line}</span> }).collect_view()}
                </div>
            }
        })
    };
    view! { {lines} }
}

/// A title, then lines. `None` if the thing is gone.
fn tooltip(state: &ClusterState, target: &Target) -> Option<Vec<String>> {
    super::inspector::headline(state, target).map(|head| {
        let mut lines = vec![format!("{} {}", head.kind, head.name)];
        lines.extend(head.lines);
        lines
    })
}
