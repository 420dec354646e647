//! The trace that is on: worked out once for all who show it, and again whenever the data or the question change.

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::{Key, Text};
use vipscope_shared::predict::Answer;
use vipscope_shared::proxy::reading::{Choice, LineId, Wanted};
use vipscope_shared::scene::{Path, Target};

use super::shell::{Shell, shell};
use crate::tracing::Run;
use crate::view_state::Tab;

/// What is known of the trace, as signals.
#[derive(Debug, Clone, Copy)]
pub struct TraceRun {
    /// `None`: nothing is traced, or there are no data yet.
    pub run: Memo<Option<Arc<Run>>>,
    /// The answer that is looked at.
    pub answer: Memo<Option<Answer>>,
    pub path: Memo<Option<Path>>,
}

/// The run from the context.
pub fn trace_run() -> TraceRun {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(|| TraceRun::start(shell()))
}

impl TraceRun {
    pub fn start(shell: Shell) -> TraceRun {
        let question = Memo::new(move |_| {
            let traced = shell.trace.get()?;
            // How it is told makes no other answer.
            Some(crate::view_state::Traced { telling: Default::default(), answer: 0, ..traced })
        });
        let run = Memo::new(move |_| {
            let traced = question.get()?;
            let is_loaded = shell.store.is_loaded();
            is_loaded.then(|| Arc::new(shell.store.state(|state| Run::of(state, &traced))))
        });
        let nth =
            Memo::new(move |_| shell.trace.with(|trace| trace.as_ref().map_or(0, |trace| trace.answer)));
        let answer = Memo::new(move |_| {
            let run = run.get()?;
            let answers = run.answers();
            answers.get(nth.get()).or(answers.first()).cloned()
        });
        let path = Memo::new(move |_| {
            let answer = answer.get()?;
            let from = question.get()?.from;
            shell.store.state(|state| Path::of(state, &from, &answer))
        });
        TraceRun { run, answer, path }
    }

    /// The lines that the packet went through, if these are the rules that it met.
    pub fn lit(&self, service: &Key, choice: &Choice) -> BTreeSet<LineId> {
        self.answer.with(|answer| {
            let answer = answer.as_ref().filter(|answer| {
                let claim = answer.claim.as_ref();
                claim.is_some_and(|claim| claim.service == *service)
                    && choice.node.as_ref() == Some(&answer.node)
                    && (choice.mode, choice.family) == (answer.mode, answer.family)
            });
            answer.map(|answer| answer.lines().into_iter().collect()).unwrap_or_default()
        })
    }

    /// Shows the rules that the packet met: those of its Service, on its node, in its mode and family.
    pub fn show_in_rules(&self, shell: Shell) {
        let Some(answer) = self.answer.get_untracked() else { return };
        let Some(claim) = answer.claim else { return };
        let configured = self.run.with_untracked(|run| run.as_ref().map(|run| run.configured));
        shell.select(Some(Target::Service(claim.service)));
        shell.tab.set(Some(Tab::Rules));
        shell.rules.set(Wanted {
            node: Some(Text::clone(&answer.node)),
            mode: Some(answer.mode).filter(|mode| Some(*mode) != configured),
            family: Some(answer.family),
        });
        // Once the panel is there: a frame for the panel, one for its lines.
        request_animation_frame(|| request_animation_frame(scroll_to_lit));
    }
}

fn scroll_to_lit() {
    if let Ok(Some(line)) = document().query_selector(".rule.lit") {
        line.scroll_into_view();
    }
}
