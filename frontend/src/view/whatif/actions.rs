//! What can be done to what is selected: in the inspector below its head, and in the drawer.

use leptos::ev;
use leptos::prelude::*;
use vipscope_shared::model::{Kind, Text};
use vipscope_shared::scene::Target;
use vipscope_shared::whatif::edit::{Edit, ObjectName, WorkloadName};

use super::Pane;
use super::run::{WhatIf, whatif};
use crate::canvas::Hover;
use crate::view::shell::{Shell, shell};
use crate::whatif::{Offer, Opt, offers, selector_edit, zone_edit};

/// The inspector's: folded, since it is long.
#[component]
pub fn WhatIfActions(target: Target) -> impl IntoView {
    let shell = shell();
    let asked = target.clone();
    let has_any = Memo::new(move |_| {
        let target = asked.clone();
        shell.store.state(|state| !offers(state, &Default::default(), &target).is_empty())
    });
    view! {
        <Show when=move || has_any.get()>
            <details class="whatif-actions" data-testid="whatif-actions">
                <summary class="btn">"What if…"</summary>
                <Offers target=target.clone()/>
            </details>
        </Show>
    }
}

/// The map's menu: leads to what can be done to a thing.
#[component]
pub fn WhatIfItem(target: Target, at: RwSignal<Option<Hover>>) -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let can = shell.store.peek(|data| !offers(&data.state, &Default::default(), &target).is_empty());
    let choose = move |_| {
        at.set(None);
        shell.select(Some(target.clone()));
        whatif.show(Pane::Add);
    };
    can.then(|| view! { <button type="button" role="menuitem" class="menu-item" on:click=choose>"What if…"</button> })
}

/// One line for each thing that can be done.
#[component]
pub fn Offers(target: Target) -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let asked = target.clone();
    let all =
        Memo::new(move |_| shell.plan.with(|plan| shell.store.state(|state| offers(state, plan, &asked))));
    let count = Memo::new(move |_| all.with(Vec::len));
    let lines = move || {
        (0..count.get())
            .map(|nth| {
                let offer = Memo::new(move |_| all.with(|all| all.get(nth).cloned()));
                view! { <Line offer=offer/> }
            })
            .collect_view()
    };
    let object = object_of(&target);
    let manifest = object.map(|object| {
        let open = move |_| whatif.show(Pane::Manifest(object.clone()));
        view! { <button type="button" class="btn" data-testid="whatif-manifest" on:click=open>"Edit its manifest…"</button> }
    });
    view! { <div class="offers" data-testid="offers">{lines}{manifest}</div> }
}

/// The object whose manifest can be edited.
fn object_of(target: &Target) -> Option<ObjectName> {
    match target {
        Target::Service(key) | Target::Port(key, _) => {
            Some(ObjectName { kind: Kind::Service, key: key.clone() })
        }
        _ => None,
    }
}

/// Drawn anew only if other values can be chosen, so that the focus stays where it is.
#[component]
fn Line(offer: Memo<Option<Offer>>) -> impl IntoView {
    let frame = Memo::new(move |_| offer.get().map(|offer| offer.frame()));
    move || {
        frame.get().map(|frame| match frame {
            Offer::Buttons { name, options } => buttons(name, options, offer).into_any(),
            Offer::Select { name, options } => select(name, options, offer).into_any(),
            Offer::Scale { workload, present, .. } => scale(workload, present, offer).into_any(),
            Offer::Selector { object, present, .. } => {
                let parse = move |text: &str| selector_edit(&object, &present, text);
                text("Selector", "app=web,tier=front", offer, parse).into_any()
            }
            Offer::Zone { node, .. } => {
                text("Zone", "none", offer, move |text: &str| Ok(zone_edit(&node, text))).into_any()
            }
        })
    }
}

/// Makes it so; what is so already needs no edit.
fn choose(whatif: WhatIf, option: &Opt) {
    let option = option.clone();
    whatif.edit(
        move |plan| if option.is_present { plan.drop_like(&option.edit) } else { plan.put(option.edit) },
    );
}

fn is_on(offer: Memo<Option<Offer>>, nth: usize) -> bool {
    offer.with(|offer| match offer {
        Some(Offer::Buttons { options, .. } | Offer::Select { options, .. }) => {
            options.get(nth).is_some_and(|option| option.is_on)
        }
        _ => false,
    })
}

fn buttons(name: &'static str, options: Vec<Opt>, offer: Memo<Option<Offer>>) -> impl IntoView {
    let whatif = whatif();
    let one = move |(nth, option): (usize, Opt)| {
        let words = option.words.clone();
        let (value, note) = (words.clone(), option.is_present.then_some("as it is now"));
        view! {
            <button type="button" data-value=value title=note aria-pressed=move || is_on(offer, nth).to_string()
                on:click=move |_| choose(whatif, &option)>{words}</button>
        }
    };
    view! {
        <div class="offer" role="group" aria-label=name data-offer=name>
            <span class="offer-name">{name}</span>
            <div class="switch">{options.into_iter().enumerate().map(one).collect_view()}</div>
        </div>
    }
}

fn select(name: &'static str, options: Vec<Opt>, offer: Memo<Option<Offer>>) -> impl IntoView {
    let whatif = whatif();
    let option = move |(nth, option): (usize, &Opt)| {
        let note = if option.is_present { " (now)" } else { "" };
        view! {
            <option value=option.words.clone() prop:selected=move || is_on(offer, nth)>{format!("{}{note}", option.words)}</option>
        }
    };
    let list = options.iter().enumerate().map(option).collect_view();
    let changed = move |ev: ev::Event| {
        let value = event_target_value(&ev);
        if let Some(option) = options.iter().find(|option| option.words == value) {
            choose(whatif, option);
        }
    };
    view! {
        <label class="offer" data-offer=name>
            <span class="offer-name">{name}</span>
            <select on:change=changed>{list}</select>
        </label>
    }
}

fn scale(workload: WorkloadName, present: u32, offer: Memo<Option<Offer>>) -> impl IntoView {
    let whatif = whatif();
    let wanted = move || {
        offer.with(|offer| match offer {
            Some(Offer::Scale { wanted, .. }) => *wanted,
            _ => present,
        })
    };
    let named = StoredValue::new(workload.clone());
    let to = move |replicas: u32| {
        let edit = Edit::Scale { workload: named.get_value(), replicas };
        let keep = replicas == present;
        whatif.edit(move |plan| if keep { plan.drop_like(&edit) } else { plan.put(edit) });
    };
    let label = |what: &str| format!("{what} {}", workload.key.name);
    let words = move || match wanted() {
        wanted if wanted == present => words_of(present),
        wanted => format!("{present} → {wanted}"),
    };
    view! {
        <div class="offer" role="group" aria-label=format!("Scale {workload}") data-offer="Scale">
            <span class="offer-name" title=workload.to_string()>{format!("Scale {}", workload.key.name)}</span>
            <div class="offer-scale">
                <button type="button" class="btn square" aria-label=label("One pod less:") disabled=move || wanted() == 0
                    on:click=move |_| to(untrack(wanted).saturating_sub(1))>"−"</button>
                <span class="mono">{words}</span>
                <button type="button" class="btn square" aria-label=label("One pod more:")
                    on:click=move |_| to(untrack(wanted).saturating_add(1))>"+"</button>
            </div>
        </div>
    }
}

fn words_of(pods: u32) -> String {
    crate::words::count(pods as usize, "pod", "pods")
}

/// A field whose text becomes an edit when it is left, or by Enter.
fn text(
    name: &'static str,
    placeholder: &'static str,
    offer: Memo<Option<Offer>>,
    parse: impl Fn(&str) -> Result<Edit, String> + 'static,
) -> impl IntoView {
    let whatif = whatif();
    let problem = RwSignal::new(None::<String>);
    let shown = move || offer.with(|offer| offer.as_ref().map(Offer::texts).unwrap_or_default());
    let changed = move |ev: ev::Event| {
        let value = event_target_value(&ev);
        let (present, _) = untrack(shown);
        match parse(&value) {
            Err(why) => problem.set(Some(why)),
            Ok(edit) => {
                problem.set(None);
                let keep = value.trim() == present;
                whatif.edit(move |plan| if keep { plan.drop_like(&edit) } else { plan.put(edit) });
            }
        }
    };
    view! {
        <label class="offer" data-offer=name>
            <span class="offer-name">{name}</span>
            <input class="mono" type="text" autocomplete="off" spellcheck="false" placeholder=placeholder
                prop:value=move || shown().1 aria-invalid=move || problem.with(Option::is_some).to_string() on:change=changed/>
            <span class="offer-problem" role="status">{move || problem.get()}</span>
        </label>
    }
}

/// What the drawer offers first: the selected thing, by its name.
pub fn selected_name(shell: Shell) -> Option<(Target, Text)> {
    let target = shell.selected.get()?;
    let name = target.to_string();
    Some((target, name.into()))
}
