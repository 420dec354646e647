//! What panels share about live traffic: the data, whether marks move, and when the connection is worth having.

use leptos::prelude::*;
use vipscope_shared::api::SourceKind;
use vipscope_shared::traffic::TrafficBasis;

use super::shell::{Shell, shell};
use crate::canvas::Motion;
use crate::traffic::{Live, Traffic};
use crate::view_state::Screen;

/// From the context; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct TrafficRun {
    pub live: Live,
    /// The reader has stopped the marks.
    pub is_paused: RwSignal<bool>,
    /// The system asks for no motion.
    is_reduced: RwSignal<bool>,
}

/// The run from the context.
pub fn traffic_run() -> TrafficRun {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(|| TrafficRun::start(shell()))
}

impl TrafficRun {
    pub fn start(shell: Shell) -> TrafficRun {
        let run = TrafficRun {
            live: Live::new(shell.store),
            is_paused: RwSignal::new(false),
            is_reduced: RwSignal::new(false),
        };
        run.follow_page(shell);
        run.follow_motion();
        run
    }

    /// Reads; the caller is run again with the next message.
    pub fn with<T>(&self, read: impl FnOnce(&Traffic) -> T) -> T {
        self.live.with(read)
    }

    /// There is something to show.
    pub fn is_on(&self) -> bool {
        self.live.basis().is_some()
    }

    pub fn motion(&self) -> Motion {
        match (self.live.is_stale() || self.is_reduced.get(), self.is_paused.get()) {
            (true, _) => Motion::None,
            (false, true) => Motion::Paused,
            (false, false) => Motion::Moving,
        }
    }

    /// Marks could move: there is a use for a button that stops them.
    pub fn can_move(&self) -> bool {
        !self.is_reduced.get()
    }

    pub fn toggle(&self) {
        self.is_paused.update(|paused| *paused = !*paused);
    }

    /// The socket is there while the page is seen, something on it shows traffic, and there are nodes that can be read: those of
    /// the sandbox. A file that is opened has none, and nothing is asked meanwhile.
    fn follow_page(self, shell: Shell) {
        let is_hidden = RwSignal::new(document().hidden());
        let handle =
            window_event_listener_untyped("visibilitychange", move |_| is_hidden.set(document().hidden()));
        on_cleanup(move || handle.remove());
        let is_read = Memo::new(move |_| {
            shell.store.with(|data| {
                let source = data.cluster.as_ref().map(|cluster| cluster.source);
                data.opened.is_none() && source == Some(SourceKind::Sandbox)
            })
        });
        Effect::new(move || {
            if !is_read.get() {
                self.live.want(false);
                self.live.forget();
                return;
            }
            let is_shown = matches!(shell.screen.get(), Screen::Map | Screen::Nodes);
            let is_inspected = shell.selected.with(Option::is_some);
            self.live.want((is_shown || is_inspected) && !is_hidden.get());
        });
    }

    fn follow_motion(self) {
        let Ok(Some(query)) = window().match_media("(prefers-reduced-motion: reduce)") else { return };
        self.is_reduced.set(query.matches());
        let asked = query.clone();
        let changed = wasm_bindgen::closure::Closure::<dyn FnMut()>::new(move || {
            self.is_reduced.set(asked.matches());
        });
        query.set_onchange(Some(wasm_bindgen::JsCast::unchecked_ref(changed.as_ref())));
        changed.forget();
    }
}

/// `simulated` or `observed`.
pub fn basis_word(basis: TrafficBasis) -> &'static str {
    match basis {
        TrafficBasis::Simulated => "simulated",
        TrafficBasis::Observed => "observed",
    }
}
