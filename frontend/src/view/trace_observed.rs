//! The traced packet on the rules that the node really has, as far as it can be read: asked of the backend, and whether it is
//! what is predicted.

use jiff::Timestamp;
use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::model::Text;
use vipscope_shared::predict::Answer;
use vipscope_shared::trace::Verdict;
use vipscope_shared::traffic::NodeFault;

use super::shell::shell;
use super::trace_panel::verdict_mark;
use super::trace_run::trace_run;
use super::traffic_run::{basis_word, traffic_run};
use crate::api::traffic::{ActualTrace, trace_actual};
use crate::ui::{Mark, MarkView};
use crate::view_state::RulesBasis;

/// What is asked; asked again when the node's rules are others.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    trace: ActualTrace,
    /// Which of several answers is looked at.
    nth: usize,
    state: (Option<Timestamp>, usize, Vec<NodeFault>),
}

/// The node whose rules the packet meets, if it can be read and the packet was traced in the mode that it has.
fn readable_node() -> Memo<Option<Text>> {
    let (trace, run) = (trace_run(), traffic_run());
    Memo::new(move |_| {
        let (node, mode) =
            trace.answer.with(|answer| answer.as_ref().map(|answer| (answer.node.clone(), answer.mode)))?;
        run.with(|all| all.node(&node).is_some_and(|one| one.mode == mode)).then_some(node)
    })
}

/// The button that asks the node.
#[component]
pub fn AskNode() -> impl IntoView {
    let shell = shell();
    let node = readable_node();
    let is_on = move || shell.basis.get() == RulesBasis::Observed;
    let toggle = move |_| {
        shell.basis.update(|basis| {
            *basis = match basis {
                RulesBasis::Predicted => RulesBasis::Observed,
                RulesBasis::Observed => RulesBasis::Predicted,
            };
        });
    };
    view! {
        <Show when=move || node.with(Option::is_some)>
            <button type="button" class="btn" data-testid="ask-node" aria-pressed=move || is_on().to_string() on:click=toggle
                title="Follow the packet through the rules that the node has right now">"On the node"</button>
        </Show>
    }
}

/// What the node's own rules do with it; nothing while nobody asks.
#[component]
pub fn ObservedTrace() -> impl IntoView {
    let (shell, trace, run) = (shell(), trace_run(), traffic_run());
    let node = readable_node();
    let asked = Memo::new(move |_| {
        let node = node.get().filter(|_| shell.basis.get() == RulesBasis::Observed)?;
        let traced = shell.trace.get()?;
        let state = run.with(|all| {
            all.node(&node)
                .map(|one| (one.last_sync, one.drift_count, one.faults.clone()))
                .unwrap_or_default()
        });
        // A change of the objects may change the answer as well.
        trace.answer.track();
        let protocol = traced.protocol.map(|protocol| protocol.lower().to_owned());
        let trace =
            ActualTrace::new(node.to_string(), traced.from.to_string(), traced.to.to_string(), protocol);
        Some(Asked { trace, nth: traced.answer, state })
    });
    let answer = RwSignal::new(None::<Result<Vec<Answer>, String>>);
    Effect::new(move || {
        let Some(Asked { trace, .. }) = asked.get() else { return answer.set(None) };
        spawn_local(async move {
            let told = trace_actual(&trace).await;
            // Meanwhile something else may have been asked.
            if asked.try_with_untracked(|now| now.as_ref().is_some_and(|now| now.trace == trace))
                == Some(true)
            {
                answer.set(Some(told));
            }
        });
    });
    let basis = move || {
        let node = node.get()?;
        run.with(|all| all.node(&node).map(|one| format!("{node}, {}: ", basis_word(one.basis))))
    };
    move || {
        let nth = asked.with(|asked| asked.as_ref().map(|asked| asked.nth))?;
        Some(match answer.get() {
            None => view! { <p class="trace-actual muted">"Asking the node…"</p> }.into_any(),
            Some(Err(why)) => view! { <p class="trace-actual" role="alert">{why}</p> }.into_any(),
            Some(Ok(answers)) => {
                let found = answers.get(nth).or(answers.first())?;
                view! { <div class="trace-actual" role="status" data-testid="trace-actual">{basis()}{compared(found)}</div> }
                    .into_any()
            }
        })
    }
}

/// The verdict on the node's rules, and in what it differs.
fn compared(answer: &Answer) -> AnyView {
    let mut verdicts: Vec<Verdict> = answer.outcomes.iter().map(|outcome| outcome.verdict).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    let words = verdicts.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>().join(" or ");
    let mark = verdicts.first().map_or(Mark::Off, |verdict| verdict_mark(*verdict));
    let differs = !answer.differences.is_empty();
    let result = if differs { "differs from what is predicted:" } else { "as predicted." };
    let lines = answer.differences.iter().map(|line| view! { <li>{line.clone()}</li> }).collect_view();
    view! {
        <span class=format!("verdict {}", mark.as_str())><MarkView mark=mark label=""/><b>{words}</b></span>
        <span data-testid="trace-agreement" data-differs=differs.to_string()>" · "{result}</span>
        <ul>{lines}</ul>
    }
    .into_any()
}
