//! The Rules panel on a node's actual rules: the choice between them and the predicted ones, and what differs, line by line.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::Key;
use vipscope_shared::proxy::reading::{Choice, LineId};

use crate::traffic::{Difference, RuleDrift};
use crate::ui::{Mark, MarkView};
use crate::view::shell::shell;
use crate::view::traffic_run::{basis_word, traffic_run};
use crate::view_state::RulesBasis;
use crate::words;

/// Where the node's rules of the Service differ; `None` while predicted ones are shown, or the node can't be read.
pub type OnNode = Memo<Option<Arc<RuleDrift>>>;

/// Whether the reader wants the rules of a node that can be read.
pub fn wants_actual(node: Option<&str>) -> bool {
    let is_read =
        |node: &str| traffic_run().with(|all| all.node(node).is_some_and(|one| one.trouble.is_none()));
    shell().basis.get() == RulesBasis::Observed && node.is_some_and(is_read)
}

/// Follows the node's rules.
pub fn on_node(service: Key, choice: Memo<Option<Choice>>) -> OnNode {
    let run = traffic_run();
    Memo::new(move |_| {
        let choice = choice.get()?;
        let node = choice.node.as_deref().filter(|node| wants_actual(Some(node)))?;
        run.with(|all| all.node(node).map(|status| Arc::new(RuleDrift::of(status, &service, choice.family))))
    })
}

/// `predicted | on the node`; nothing where no node can be read.
#[component]
pub fn BasisSwitch(choice: Memo<Option<Choice>>) -> impl IntoView {
    let (shell, run) = (shell(), traffic_run());
    let is_there = Memo::new(move |_| {
        let node = choice.with(|choice| choice.as_ref().and_then(|choice| choice.node.clone()));
        node.is_some_and(|node| run.with(|all| all.node(&node).is_some()))
    });
    let one = move |basis: RulesBasis, words: &'static str| {
        let choose = move |_| {
            if basis == RulesBasis::Observed {
                // The node has rules of one mode only.
                shell.rules.update(|wanted| wanted.mode = None);
            }
            shell.basis.set(basis);
        };
        view! {
            <button type="button" data-testid=format!("basis-{}", if basis == RulesBasis::Observed { "observed" } else { "predicted" })
                aria-pressed=move || (shell.basis.get() == basis).to_string() on:click=choose>{words}</button>
        }
    };
    view! {
        <Show when=move || is_there.get()>
            <div class="switch" role="group" aria-label="Which rules">
                {one(RulesBasis::Predicted, "predicted")}
                {one(RulesBasis::Observed, "on the node")}
            </div>
        </Show>
    }
}

/// What the shown rules rest on: a word, and what it means.
pub fn basis_tag(node: &str, drift: &Option<Arc<RuleDrift>>) -> (String, &'static str) {
    let basis = traffic_run().with(|all| all.node(node).map(|status| basis_word(status.basis)));
    match (drift, basis) {
        (Some(_), Some(basis)) => {
            (format!("on the node, {basis}"), "Read from the node, and compared with what is predicted.")
        }
        _ => (
            "predicted".to_owned(),
            "Worked out from the API objects by vipscope's rule engine. Nothing was read from the node.",
        ),
    }
}

/// In a sentence; and the lines that the node has beyond what is predicted.
pub fn differences(drift: OnNode) -> impl IntoView {
    move || {
        let drift = drift.get()?;
        let (mark, text) = match drift.count() {
            0 => (Mark::Ok, "The node has exactly the rules that are predicted for it.".to_owned()),
            count => (
                Mark::Bad,
                format!("{} from what is predicted.", words::count(count, "line differs", "lines differ")),
            ),
        };
        let untold = (drift.untold > 0).then(|| {
            let more = words::count(drift.untold, "more difference", "more differences");
            view! { <p class="muted">{format!("The node has {more} that were not told.")}</p> }
        });
        let extra = drift.extra.iter().map(|(part, text)| {
            view! {
                <li class="rule extra" data-differs="extra">
                    <span class="rule-differs">"extra on the node, in "{part.clone()}</span>
                    <span class="rule-text">{text.clone()}</span>
                </li>
            }
        });
        let extra = (!drift.extra.is_empty())
            .then(|| view! { <ol class="code rule-lines">{extra.collect_view()}</ol> });
        Some(view! {
            <p data-testid="rules-differences"><MarkView mark=mark label=""/>" "{text}</p>
            {untold}
            {extra}
        })
    }
}

/// How a predicted line stands on the node: a word for the line, and words above it.
pub fn line_note(drift: OnNode, id: &LineId) -> Option<(&'static str, AnyView)> {
    drift.with(|drift| {
        let difference = drift.as_ref()?.of_line(id)?;
        Some(match difference {
            Difference::Missing => {
                ("missing", view! { <span class="rule-differs">"missing on the node"</span> }.into_any())
            }
            Difference::Changed(actual) => {
                let actual = actual.clone();
                let note = view! { <span class="rule-differs">"changed: on the node it is"</span><span class="rule-actual">{actual}</span> };
                ("changed", note.into_any())
            }
        })
    })
}
