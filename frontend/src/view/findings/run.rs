//! The checks, run in the background: once per change of the data for all who show findings, in slices between frames.
//!
//! A run looks at the state as it was when the run began, to its end; the next one waits at least [`REST`] times as long as
//! the last one worked, so that a large cluster that changes all the time leaves the page responsive.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::diagnose::{Diagnosis, Options, Progress};
use vipscope_shared::model::Text;

use crate::findings::{Entry, Findings, Pressing};
use crate::store::Store;
use crate::view::shell::{Shell, shell};
use crate::view::watch::Watch;

/// Services looked at between two looks at the clock.
const STEP: usize = 8;
/// Shortest time from a change to the run that takes it in: bursts are taken in at once.
const DELAY: Duration = Duration::from_millis(200);
/// Longest one.
const LONGEST: Duration = Duration::from_secs(20);
/// A run is followed by so many times its own working time of rest.
const REST: f64 = 10.0;
/// Findings about ages change without a change of the data.
const AGEING: Duration = Duration::from_secs(30);

/// What is known of the cluster's findings, as signals.
#[derive(Debug, Clone, Copy)]
pub struct FindingsRun {
    /// `None` until the first run is through.
    findings: RwSignal<Option<Arc<Findings>>>,
    phase: StoredValue<Phase>,
    /// Time that the last run worked, in milliseconds.
    worked: StoredValue<f64>,
    /// Counts timers that were forgotten.
    turn: StoredValue<u64>,
}

/// What the runner is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A run will start soon.
    Due,
    Running,
    /// Running, and the data have changed meanwhile.
    Outrun,
}

/// The run from the context.
pub fn findings_run() -> FindingsRun {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(|| FindingsRun::start(shell()))
}

impl FindingsRun {
    /// Follows the store from now on.
    pub fn start(shell: Shell) -> FindingsRun {
        let run = FindingsRun {
            findings: RwSignal::new(None),
            phase: StoredValue::new(Phase::Idle),
            worked: StoredValue::new(0.0),
            turn: StoredValue::new(0),
        };
        let revision = Memo::new(move |_| shell.store.with(|data| data.revision.clone()));
        Effect::new(move |before: Option<Option<Text>>| {
            let epoch = revision.with(|revision| revision.as_ref().map(|revision| revision.epoch.clone()));
            if before.flatten() != epoch {
                // Another cluster: what is known is of no use, and neither is how long it took.
                run.findings.set(None);
                run.worked.set_value(0.0);
                run.forget_timer();
            }
            if epoch.is_some() {
                run.want(shell.store);
            }
            epoch
        });
        set_interval(
            move || {
                if shell.store.peek(|data| data.revision.is_some()) {
                    run.want(shell.store);
                }
            },
            AGEING,
        );
        run
    }

    /// The findings; `None` until they are known.
    pub fn get(&self) -> Option<Arc<Findings>> {
        self.findings.get()
    }

    /// How much is wrong in these namespaces, for badges.
    pub fn pressing(&self, namespaces: &BTreeSet<Text>) -> Option<Pressing> {
        self.findings.with(|findings| findings.as_ref().map(|findings| findings.pressing(namespaces)))
    }

    /// A run that is due is not waited for.
    fn forget_timer(&self) {
        if self.phase.get_value() == Phase::Due {
            self.turn.update_value(|turn| *turn += 1);
            self.phase.set_value(Phase::Idle);
        }
    }

    fn want(self, store: Store) {
        match self.phase.get_value() {
            Phase::Idle => {
                self.phase.set_value(Phase::Due);
                let rest = Duration::from_secs_f64(self.worked.get_value() * REST / 1000.0);
                let turn = self.turn.get_value();
                let start = move || {
                    if self.turn.get_value() == turn {
                        spawn_local(self.run(store));
                    }
                };
                set_timeout(start, rest.clamp(DELAY, LONGEST));
            }
            Phase::Running => self.phase.set_value(Phase::Outrun),
            Phase::Due | Phase::Outrun => {}
        }
    }

    async fn run(self, store: Store) {
        self.phase.set_value(Phase::Running);
        let taken = store.peek(|data| Some((data.revision.clone()?.epoch, data.state.clone())));
        if let Some((epoch, state)) = taken {
            let options = Options::at(store.server_now());
            let watch = Watch::default();
            let mut diagnosis = Diagnosis::new(&state, &options);
            watch.pause().await;
            while diagnosis.step(STEP) == Progress::More {
                watch.rest().await;
            }
            watch.pause().await;
            let report = diagnosis.report();
            let mut findings = Findings { entries: Vec::new(), skipped: report.skipped };
            for finding in report.findings {
                findings.entries.push(Arc::new(Entry::of(&state, finding)));
                watch.rest().await;
            }
            watch.pause().await;
            let is_new = self.findings.with_untracked(|old| old.as_deref() != Some(&findings));
            watch.stop();
            self.worked.set_value(watch.worked());
            watch.witness("data-checks");
            // Another cluster may have come while this was worked out.
            let is_current =
                store.peek(|data| data.revision.as_ref().is_some_and(|revision| revision.epoch == epoch));
            if is_current && is_new {
                self.findings.set(Some(Arc::new(findings)));
            }
        }
        let outrun = self.phase.get_value() == Phase::Outrun;
        self.phase.set_value(Phase::Idle);
        if outrun {
            self.want(store);
        }
    }
}
