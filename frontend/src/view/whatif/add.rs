//! Adding an edit: choose a thing by pointing at it or by its name, then what happens to it; or what concerns all.

use leptos::ev;
use leptos::prelude::*;
use serde_json::json;
use vipscope_shared::model::{Keyed, ProxyMode};
use vipscope_shared::scene::Target;
use vipscope_shared::whatif::edit::Edit;

use super::Pane;
use super::actions::{Offers, selected_name};
use super::run::whatif;
use crate::ui::{Icon, IconView};
use crate::view::shell::{Shell, shell};

/// Names that the field suggests; the rest is found by typing.
const SUGGESTED: usize = 200;

#[component]
pub fn AddPane() -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let selected = Memo::new(move |_| selected_name(shell));
    let offers = move || match selected.get() {
        Some((target, _)) => view! { <Offers target=target/> }.into_any(),
        None => view! { <p class="muted">"Nothing is selected: point at a pod, a node or a Service."</p> }
            .into_any(),
    };
    view! {
        <div class="add">
            <div class="add-what">
                <label class="offer">
                    <span class="offer-name">"What"</span>
                    <Thing/>
                </label>
                <button type="button" class="btn" data-testid="whatif-pick" aria-pressed=move || whatif.picking.get().to_string()
                    on:click=move |_| whatif.picking.update(|on| *on = !*on)>
                    <IconView icon=Icon::Pick/>"Point at it on the map"
                </button>
                <AllNodes/>
                <button type="button" class="btn" on:click=move |_| whatif.show(Pane::Text)>"Apply a manifest, or anything else, as text…"</button>
            </div>
            <div class="add-how">{offers}</div>
        </div>
    }
}

/// The name of a thing, as links say it; choosing one selects it.
#[component]
fn Thing() -> impl IntoView {
    let shell = shell();
    let names = Memo::new(move |_| names(shell));
    let name = move || selected_name(shell).map(|(_, name)| name.to_string()).unwrap_or_default();
    let chosen = move |ev: ev::Event| {
        if let Ok(target) = event_target_value(&ev).trim().parse::<Target>() {
            shell.select(Some(target));
        }
    };
    view! {
        <input class="mono" type="text" list="whatif-things" autocomplete="off" spellcheck="false" data-testid="whatif-thing"
            placeholder="svc/shop/cart, pod/…, node/…" prop:value=name on:change=chosen/>
        <datalist id="whatif-things">
            {move || names.get().into_iter().map(|name| view! { <option value=name></option> }).collect_view()}
        </datalist>
    }
}

fn names(shell: Shell) -> Vec<String> {
    shell.store.state(|state| {
        let nodes = state.nodes().values().map(|node| Target::Node(node.name().clone()));
        let services = state.services().keys().map(|key| Target::Service(key.clone()));
        let pods = state.pods().keys().map(|key| Target::Pod(key.clone()));
        let all = nodes.chain(services).chain(pods);
        all.take(SUGGESTED).map(|target| target.to_string()).collect()
    })
}

/// The mode of every node's kube-proxy.
#[component]
fn AllNodes() -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let edit = |mode: ProxyMode| Edit::Proxy { node: "*".into(), set: json!({ "mode": mode.as_str() }) };
    let planned = Memo::new(move |_| {
        shell.plan.with(|plan| match plan.like(&edit(ProxyMode::Iptables)) {
            Some(Edit::Proxy { set, .. }) => set["mode"].as_str().map(str::to_owned),
            _ => None,
        })
    });
    let changed = move |ev: ev::Event| {
        let mode = event_target_value(&ev).parse::<ProxyMode>();
        whatif.edit(move |plan| match mode {
            Ok(mode) => plan.put(edit(mode)),
            Err(()) => plan.drop_like(&edit(ProxyMode::Iptables)),
        });
    };
    let option = move |mode: ProxyMode| {
        let is_on = move || planned.with(|planned| planned.as_deref() == Some(mode.as_str()));
        view! { <option value=mode.as_str() prop:selected=is_on>{mode.as_str()}</option> }
    };
    view! {
        <label class="offer">
            <span class="offer-name">"All nodes"</span>
            <select data-testid="whatif-all-modes" on:change=changed>
                <option value="" prop:selected=move || planned.with(Option::is_none)>"as it is"</option>
                {ProxyMode::ALL.map(option)}
            </select>
        </label>
    }
}
