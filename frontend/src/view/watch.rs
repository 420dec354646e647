//! Long work on the page's only thread, in pieces between which the page draws and listens.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::{document, window};

/// Longest time to work without letting the page draw, in milliseconds. One step more may be taken.
const SLICE_MS: f64 = 8.0;

/// Whether an answer is being worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Running,
    /// Running, and what it is about has changed meanwhile.
    Outrun,
}

/// Measures pieces of work, in milliseconds.
#[derive(Debug)]
pub struct Watch {
    since: Cell<f64>,
    worked: Cell<f64>,
    longest: Cell<f64>,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { since: Cell::new(now_ms()), worked: Cell::default(), longest: Cell::default() }
    }
}

impl Watch {
    /// All pieces together.
    pub fn worked(&self) -> f64 {
        self.worked.get()
    }

    /// The longest piece.
    pub fn longest(&self) -> f64 {
        self.longest.get()
    }

    /// Ends the last piece.
    pub fn stop(&self) {
        let piece = now_ms() - self.since.get();
        self.worked.set(self.worked.get() + piece);
        self.longest.set(self.longest.get().max(piece));
    }

    /// Lets the page draw and listen.
    pub async fn pause(&self) {
        self.stop();
        TimeoutFuture::new(0).await;
        self.since.set(now_ms());
    }

    /// The same, if it is time to.
    pub async fn rest(&self) {
        if self.is_over() {
            self.pause().await;
        }
    }

    /// Tells measurements what it took: on the document, as the map's figures are.
    pub fn witness(&self, attribute: &str) {
        if let Some(root) = document().document_element() {
            let text = format!("{:.0} ms, longest {:.0} ms", self.worked(), self.longest());
            let _ = root.set_attribute(attribute, &text);
        }
    }

    pub fn is_over(&self) -> bool {
        now_ms() - self.since.get() > SLICE_MS
    }
}

/// Work that is given up at its next pause once it is `over`; then `None`.
pub async fn unless<T>(over: impl Fn() -> bool, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match over() {
        true => Poll::Ready(None),
        false => work.as_mut().poll(context).map(Some),
    })
    .await
}

/// Milliseconds since the page was opened.
pub fn now_ms() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}
