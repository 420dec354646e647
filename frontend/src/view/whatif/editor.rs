//! Edits as text: the whole list, or one object's manifest, YAML or JSON, checked while it is typed. What is refused says why
//! next to the edit.

use leptos::prelude::*;
use serde_json::Value;
use vipscope_shared::whatif::edit::{Edit, ObjectName};

use super::Pane;
use super::run::{Outcome, whatif};
use crate::ui::{Mark, MarkView};
use crate::view::shell::shell;
use crate::whatif::{Notation, chip, manifest_of, print_edits, print_value, read_edits, read_manifest};

/// The edit list.
#[component]
pub fn ListEditor() -> impl IntoView {
    let shell = shell();
    let notation = RwSignal::new(Notation::Yaml);
    let print = move || shell.plan.with_untracked(|plan| print_edits(plan.edits(), notation.get_untracked()));
    let text = RwSignal::new(print());
    let problem = RwSignal::new(None::<String>);
    // What comes from elsewhere (a chip, undo) is written anew; what was typed is left as it is.
    Effect::new(move || {
        let edits = shell.plan.with(|plan| plan.edits().to_vec());
        let typed = text.with_untracked(|text| read_edits(text));
        if typed.as_ref() != Ok(&edits) && problem.with_untracked(Option::is_none) {
            text.set(print());
        }
    });
    let typed = move |ev| {
        text.set(event_target_value(&ev));
        match text.with_untracked(|text| read_edits(text)) {
            Ok(edits) => {
                problem.set(None);
                shell.plan.update(|plan| plan.type_in(edits));
            }
            Err(why) => problem.set(Some(why)),
        }
    };
    let write = move |next: Notation| {
        notation.set(next);
        problem.set(None);
        text.set(print());
    };
    view! {
        <div class="editor">
            <div class="editor-text">
                <div class="editor-bar">
                    <Notations notation=notation write=Callback::new(write)/>
                    <span class="muted">"a list of edits; the map and the answer follow while you type"</span>
                </div>
                <textarea class="mono manifest" rows="10" spellcheck="false" aria-label="Edits, YAML or JSON" data-testid="whatif-text-field"
                    placeholder=EXAMPLE prop:value=text on:input=typed aria-invalid=move || problem.with(Option::is_some).to_string()></textarea>
            </div>
            <Verdicts problem=problem/>
        </div>
    }
}

const EXAMPLE: &str = "- op: pod\n  pod: shop/cart-x\n  state: unready\n- op: node\n  node: node-d\n  state: drain\n- op: proxy\n  node: '*'\n  set:\n    mode: nftables";

#[component]
fn Notations(notation: RwSignal<Notation>, write: Callback<Notation>) -> impl IntoView {
    let one = move |own: Notation, words: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (notation.get() == own).to_string() on:click=move |_| write.run(own)>{words}</button>
        }
    };
    view! {
        <div class="switch" role="group" aria-label="Notation">{one(Notation::Yaml, "YAML")}{one(Notation::Json, "JSON")}</div>
    }
}

/// What is wrong with the text, and each edit with its fate.
#[component]
fn Verdicts(problem: RwSignal<Option<String>>) -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let edits = Memo::new(move |_| shell.plan.with(|plan| plan.edits().iter().map(chip).collect::<Vec<_>>()));
    let refused = Memo::new(move |_| {
        whatif.outcome.with(|outcome| match outcome {
            Outcome::Refused { index, reason } => Some((*index, reason.clone())),
            _ => None,
        })
    });
    let one = move |(nth, (plain, bold)): (usize, (String, String))| {
        let fate = move || match refused.get() {
            Some((at, reason)) if at == nth => (Mark::Bad, reason),
            Some((at, _)) if at < nth => (Mark::Off, "not reached".to_owned()),
            _ => (Mark::Ok, String::new()),
        };
        let mark = move || {
            let (mark, _) = fate();
            view! { <MarkView mark=mark label=mark.as_str()/> }
        };
        view! {
            <li class="verdict-line" class:is-refused=move || fate().0 == Mark::Bad>
                {mark}<span>{plain}" "<b>{bold}</b><span class="verdict-why">{move || fate().1}</span></span>
            </li>
        }
    };
    view! {
        <div class="editor-verdicts" data-testid="whatif-verdicts">
            {move || problem.get().map(|why| view! { <p class="refused" role="alert">{why}</p> })}
            <ol>{move || edits.get().into_iter().enumerate().map(one).collect_view()}</ol>
        </div>
    }
}

/// One object's manifest, from the model; what is written is applied.
#[component]
pub fn ManifestEditor(object: ObjectName) -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let title = object.to_string();
    let notation = RwSignal::new(Notation::Yaml);
    let of_model = {
        let object = object.clone();
        move || shell.store.peek(|data| manifest_of(&data.state, &object))
    };
    let planned = {
        let name = object.to_string();
        move || {
            shell.plan.with_untracked(|plan| {
                plan.edits().iter().find_map(|edit| match edit {
                    Edit::Apply { manifest } if crate::whatif::manifest_name(manifest) == name => {
                        Some(manifest.clone())
                    }
                    _ => None,
                })
            })
        }
    };
    let shown: Option<Value> = planned().or_else(of_model);
    let text = RwSignal::new(shown.map(|value| print_value(&value, Notation::Yaml)).unwrap_or_default());
    let problem = RwSignal::new(None::<String>);
    let typed = move |ev| {
        text.set(event_target_value(&ev));
        match text.with_untracked(|text| read_manifest(text)) {
            Ok(manifest) => {
                problem.set(None);
                shell.plan.update(|plan| plan.type_over(Edit::Apply { manifest }));
            }
            Err(why) => problem.set(Some(why)),
        }
    };
    let write = move |next: Notation| {
        notation.set(next);
        if let Ok(value) = text.with_untracked(|text| read_manifest(text)) {
            text.set(print_value(&value, next));
        }
    };
    view! {
        <div class="editor">
            <div class="editor-text">
                <div class="editor-bar">
                    <b class="mono">{title}</b>
                    <Notations notation=notation write=Callback::new(write)/>
                    <button type="button" class="btn" on:click=move |_| whatif.pane.set(Pane::Answer)>"Done"</button>
                </div>
                <textarea class="mono manifest" rows="12" spellcheck="false" aria-label="Manifest, YAML or JSON" data-testid="whatif-manifest-text"
                    prop:value=text on:input=typed aria-invalid=move || problem.with(Option::is_some).to_string()></textarea>
            </div>
            <Verdicts problem=problem/>
        </div>
    }
}
