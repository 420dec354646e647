//! The question that is asked with the edits, worked out once for all who show it: after the page has painted the edit, and
//! again, not too often, whenever the cluster changes under it.

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::delta::Revision;
use vipscope_shared::model::ClusterState;
use vipscope_shared::scene::Target;
use vipscope_shared::whatif::edit::Edit;

use super::Pane;
use crate::view::shell::{Shell, shell};
use crate::view::watch::{Phase, Watch, unless};
use crate::view_state::Screen;
pub use crate::whatif::Outcome;
use crate::whatif::{Plan, ask, counts, link_problem};
use crate::words;

/// After a change of the cluster, changes are gathered for so long.
const GATHER: Duration = Duration::from_millis(400);
/// A question that took this long, in milliseconds, is announced the next time before it is worked out.
const SLOW: f64 = 50.0;
/// So is the first one about more pods than this.
const MANY: usize = 2_000;

/// Which state of the map is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// As it is, with what would come and go as ghosts.
    #[default]
    Before,
    /// The hypothetical cluster.
    After,
}

/// What the drawer knows and does, as signals: cheap to copy, from the context.
#[derive(Debug, Clone, Copy)]
pub struct WhatIf {
    shell: Shell,
    pub pane: RwSignal<Pane>,
    /// The next click on the map chooses what is edited.
    pub picking: RwSignal<bool>,
    pub outcome: RwSignal<Outcome>,
    pub moment: RwSignal<Moment>,
    /// What is wrong with the edits of the page's own link; gone with the first edit.
    pub bad_link: RwSignal<Option<String>>,
    /// The answer is late.
    pub busy: RwSignal<bool>,
    /// How long the last answer took to work out, in milliseconds.
    took: StoredValue<f64>,
    timer: StoredValue<Option<TimeoutHandle>>,
    phase: StoredValue<Phase>,
    /// Counts what was given up.
    turn: StoredValue<u64>,
    /// The answer that is worked out next is to another question, not to the same one of a changed cluster.
    is_fresh: StoredValue<bool>,
    /// What was asked last.
    asked: StoredValue<Option<(Vec<Edit>, Option<Revision>)>>,
}

/// The run from the context.
pub fn whatif() -> WhatIf {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(|| WhatIf::start(shell()))
}

impl WhatIf {
    pub fn start(shell: Shell) -> WhatIf {
        let run = WhatIf {
            shell,
            pane: RwSignal::new(Pane::default()),
            picking: RwSignal::new(false),
            outcome: RwSignal::new(Outcome::Nothing),
            moment: RwSignal::new(Moment::default()),
            bad_link: RwSignal::new(bad_link()),
            busy: RwSignal::new(false),
            took: StoredValue::new(0.0),
            timer: StoredValue::new(None),
            phase: StoredValue::new(Phase::Idle),
            turn: StoredValue::new(0),
            is_fresh: StoredValue::new(false),
            asked: StoredValue::new(None),
        };
        if run.bad_link.with_untracked(Option::is_some) {
            shell.whatif_open.set(true);
        }
        Effect::new(move || run.follow());
        run
    }

    /// Asks again if the edits or the cluster are others.
    fn follow(self) {
        let edits = match self.shell.whatif_open.get() {
            true => self.shell.plan.with(|plan| plan.edits().to_vec()),
            false => Vec::new(),
        };
        let revision = self.shell.store.with(|data| data.revision.clone());
        if !edits.is_empty() && self.bad_link.with_untracked(Option::is_some) {
            self.bad_link.set(None);
        }
        if edits.is_empty() || revision.is_none() {
            self.cancel();
            self.asked.set_value(None);
            self.set(Outcome::Nothing);
            return;
        }
        let question = (edits, revision);
        let is_new = self.asked.with_value(|asked| asked.as_ref().is_none_or(|asked| asked.0 != question.0));
        let is_same = self.asked.with_value(|asked| asked.as_ref() == Some(&question));
        let is_due = self.timer.with_value(Option::is_some);
        if !is_new && self.phase.get_value() != Phase::Idle {
            return self.phase.set_value(Phase::Outrun);
        }
        if is_same || (!is_new && is_due) {
            return;
        }
        self.cancel();
        if is_new {
            mark("whatif-asked");
            self.is_fresh.set_value(true);
            self.busy.set(self.is_slow());
            self.later(Duration::ZERO);
        } else {
            self.later(GATHER);
        }
        self.asked.update_value(|asked| {
            if is_new {
                *asked = Some(question);
            }
        });
    }

    fn is_slow(self) -> bool {
        let known = self.took.get_value();
        known > SLOW || (known == 0.0 && self.shell.store.peek(|data| data.state.pods().len()) > MANY)
    }

    fn cancel(self) {
        if let Some(timer) = self.timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
        self.turn.update_value(|turn| *turn += 1);
        self.phase.set_value(Phase::Idle);
        self.busy.set(false);
    }

    /// Works the answer out when the frame that shows the question is painted.
    fn later(self, wait: Duration) {
        let turn = self.turn.get_value();
        let work = move || {
            if untrack(|| self.busy.get()) {
                request_animation_frame(move || set_timeout(move || self.work(turn), Duration::ZERO));
            } else {
                self.work(turn);
            }
        };
        self.timer.set_value(set_timeout_with_handle(work, wait).ok());
    }

    /// `turn`: it is the one of the question that this was planned for, or it is given up.
    fn work(self, turn: u64) {
        if turn != self.turn.get_value() {
            return;
        }
        self.timer.set_value(None);
        if self.shell.whatif_open.get_untracked() {
            spawn_local(self.run());
        }
    }

    /// Works the answer out in pieces. It is given up once another question is asked; where only the cluster changes meanwhile,
    /// the answer is one of how it was, and the next one follows.
    async fn run(self) {
        let edits = self.shell.plan.with_untracked(|plan| plan.edits().to_vec());
        let now = self.shell.store.server_now();
        let (revision, state) = self.shell.store.peek(|data| (data.revision.clone(), data.state.clone()));
        let turn = self.turn.get_value();
        self.phase.set_value(Phase::Running);
        let watch = Watch::default();
        let pause = async || {
            if watch.is_over() {
                if self.is_fresh.get_value() && !self.busy.get_untracked() {
                    self.busy.set(true);
                }
                watch.pause().await;
            }
        };
        let is_over = || self.turn.get_value() != turn;
        let Some(outcome) = unless(is_over, ask(&state, &edits, now, &pause)).await else { return };
        watch.stop();
        watch.witness("data-whatif");
        let outrun = self.phase.get_value() == Phase::Outrun;
        self.phase.set_value(Phase::Idle);
        self.took.set_value(watch.worked());
        self.asked.set_value(Some((edits, revision)));
        self.set(outcome);
        self.busy.set(false);
        if outrun {
            // A large cluster that changes all the time leaves the page responsive.
            self.later(GATHER.max(Duration::from_secs_f64(watch.worked() / 1000.0)));
        }
        if self.is_fresh.try_update_value(std::mem::take).unwrap_or_default() {
            request_animation_frame(|| {
                mark("whatif-shown");
                measure("whatif", "whatif-asked", "whatif-shown");
            });
        }
    }

    fn set(self, outcome: Outcome) {
        if self.outcome.with_untracked(|old| *old != outcome) {
            self.outcome.set(outcome);
        }
        if self.outcome.with_untracked(|outcome| outcome.after().is_none()) {
            self.moment.set(Moment::Before);
        }
    }

    /// The state that is asked about, if there is an answer.
    pub fn after(self) -> Option<Arc<ClusterState>> {
        self.outcome.with(|outcome| outcome.after().cloned())
    }

    /// Why the nth edit is refused.
    pub fn refusal_of(self, nth: usize) -> Option<String> {
        self.outcome.with(|outcome| match outcome {
            Outcome::Refused { index, reason } if *index == nth => Some(reason.clone()),
            _ => None,
        })
    }

    /// `52 flows change in 6 groups · 5 break`.
    pub fn summary(self) -> String {
        if self.busy.get() {
            return "working…".to_owned();
        }
        let count = self.shell.plan.with(|plan| plan.edits().len());
        self.outcome.with(|outcome| match outcome {
            Outcome::Nothing if count == 0 => "no edits yet".to_owned(),
            Outcome::Nothing => "…".to_owned(),
            Outcome::Refused { .. } => "refused".to_owned(),
            Outcome::Answer(answer) => match counts(&answer.difference) {
                [0, ..] => "no flow changes".to_owned(),
                [flows, lost, worse] => {
                    let verb = if flows == 1 { "changes" } else { "change" };
                    let groups = match answer.difference.groups.len() {
                        groups if groups < flows => {
                            format!(" in {}", words::count(groups, "group", "groups"))
                        }
                        _ => String::new(),
                    };
                    let flows = words::count(flows, "flow", "flows");
                    let lost = match lost {
                        0 => "none breaks".to_owned(),
                        1 => "1 breaks".to_owned(),
                        many => format!("{many} break"),
                    };
                    let worse = match worse {
                        0 => String::new(),
                        1 => " · 1 gets worse".to_owned(),
                        many => format!(" · {many} get worse"),
                    };
                    format!("{flows} {verb}{groups} · {lost}{worse}")
                }
            },
        })
    }

    /// Changes the edit list, and shows what comes of it.
    pub fn edit(self, change: impl FnOnce(&mut Plan)) {
        self.shell.plan.update(change);
        self.open();
    }

    pub fn open(self) {
        self.shell.whatif_open.set(true);
        if self.shell.screen.get_untracked() != Screen::Map {
            self.shell.screen.set(Screen::Map);
        }
    }

    pub fn close(self) {
        self.picking.set(false);
        self.pane.set(Pane::Answer);
        self.shell.whatif_open.set(false);
    }

    pub fn toggle(self) {
        if self.shell.whatif_open.get_untracked() {
            return self.close();
        }
        let is_empty = self.shell.plan.with_untracked(|plan| plan.edits().is_empty());
        self.show(if is_empty { Pane::Add } else { Pane::Answer });
    }

    pub fn show(self, pane: Pane) {
        self.pane.set(pane);
        self.open();
    }

    /// Takes what was clicked on the map while pointing; answers whether it did.
    pub fn take(self, target: Option<&Target>) -> bool {
        let Some(target) = target.filter(|_| self.picking.get_untracked()) else { return false };
        self.picking.set(false);
        self.shell.select(Some(target.clone()));
        self.show(Pane::Add);
        true
    }

    /// Closes what is open in the drawer, then the drawer; answers whether there was anything.
    pub fn escape(self) -> bool {
        if self.picking.get_untracked() {
            self.picking.set(false);
        } else if !self.shell.whatif_open.get_untracked() {
            return false;
        } else if self.pane.with_untracked(|pane| *pane != Pane::Answer) {
            self.pane.set(Pane::Answer);
        } else {
            self.close();
        }
        true
    }
}

/// Of the page's address.
fn bad_link() -> Option<String> {
    let search = location().search().ok()?;
    let text = web_sys::UrlSearchParams::new_with_str(&search).ok()?.get("whatif")?;
    link_problem(&text)
}

/// A mark for the browser's own tools, and for tests.
fn mark(name: &str) {
    if let Some(clock) = window().performance() {
        let _ = clock.mark(name);
    }
}

fn measure(name: &str, from: &str, to: &str) {
    if let Some(clock) = window().performance() {
        let _ = clock.measure_with_start_mark_and_end_mark(name, from, to);
    }
}
