//! [`Traffic`] as signals: what components read, and what the connection asks.

use leptos::prelude::*;
use vipscope_shared::traffic::{TrafficBasis, TrafficMessage};

use super::Traffic;
use crate::store::Store;

/// Cheap to copy. Written by [`crate::api`] alone.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    store: Store,
    data: RwSignal<Traffic>,
    /// Whether anything on the page can show it.
    wanted: RwSignal<bool>,
    is_stale: RwSignal<bool>,
}

impl Live {
    pub fn new(store: Store) -> Live {
        Live {
            store,
            data: RwSignal::new(Traffic::default()),
            wanted: RwSignal::new(false),
            is_stale: RwSignal::new(false),
        }
    }

    /// Reads; the caller is run again with the next message.
    pub fn with<T>(&self, read: impl FnOnce(&Traffic) -> T) -> T {
        self.data.with(read)
    }

    /// `None` as long as there is no traffic to speak of, and no node that can be read.
    pub fn basis(&self) -> Option<TrafficBasis> {
        self.data.with(|data| data.basis().filter(|_| data.is_any()))
    }

    /// Nothing was heard for a while.
    pub fn is_stale(&self) -> bool {
        self.is_stale.get()
    }

    /// Whether the connection is to be open.
    pub fn want(&self, wanted: bool) {
        if self.wanted.get_untracked() != wanted {
            self.wanted.set(wanted);
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.get_untracked()
    }

    /// Looks at the clock, which no message does when none comes.
    pub(crate) fn check(&self, now: f64) {
        let is_stale = self.data.with_untracked(|data| data.is_stale(now));
        if self.is_stale.get_untracked() != is_stale {
            self.is_stale.set(is_stale);
        }
    }

    pub(crate) fn receive(&self, message: TrafficMessage, now: f64) {
        self.store.peek(|known| self.data.update(|data| data.receive(message, &known.state, now)));
        self.check(now);
    }

    /// Another cluster is shown.
    pub fn forget(&self) {
        if self.data.with_untracked(Traffic::is_any) {
            self.data.set(Traffic::default());
        }
    }

    pub(crate) fn interrupt(&self) {
        self.data.update(Traffic::interrupt);
    }
}
