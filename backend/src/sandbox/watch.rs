//! A watch: the events of one type after a revision, filtered, as a stream of JSON lines.
//!
//! Nothing is queued per watcher: each keeps a position in the type's log. One that falls behind the log's horizon gets
//! `410 Expired` in its stream and has to list again.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::errors::Refusal;
use super::object::{self, Object};
use super::render::{self, Columns, Form};
use super::resources::Type;
use super::selectors::Selector;
use super::store::{Event, Store};

/// Events taken from the log at once.
const BATCH: usize = 256;
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// What to watch.
#[derive(Debug, Clone)]
pub struct Request {
    pub resource: Type,
    /// Empty for all.
    pub namespace: String,
    pub selector: Selector,
    pub start: Start,
    pub bookmarks: bool,
    pub timeout: Duration,
    pub form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Events after this revision.
    After(u64),
    /// What is there now as ADDED, then events.
    Now,
    /// The same, with a bookmark between that says where the list ends.
    StreamingList,
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    store: Arc<Store>,
    request: Request,
    /// Events up to here have been sent or skipped.
    seen: u64,
    /// Lines to send before any event.
    first: Option<Bytes>,
    changed: watch::Receiver<u64>,
    ends: Instant,
    bookmark: Instant,
    stop: CancellationToken,
    over: bool,
    /// Of tables: defined in the first event only.
    columns: Columns,
}

impl Watch {
    pub fn new(store: Arc<Store>, request: Request, stop: CancellationToken) -> Watch {
        let changed = store.subscribe();
        let now = Instant::now();
        let mut watch = Watch {
            seen: 0,
            first: None,
            changed,
            ends: now + request.timeout,
            bookmark: now + BOOKMARK_EVERY,
            stop,
            over: false,
            columns: Columns::Defined,
            store,
            request,
        };
        watch.begin();
        watch
    }

    fn begin(&mut self) {
        let Start::After(revision) = self.request.start else {
            // A list of now is never too old.
            let listed = self.store.list(self.request.resource, &self.request.namespace, None, None);
            let (objects, revision) = listed.unwrap_or_default();
            self.seen = revision;
            let mut lines = BytesMut::new();
            let selector = self.request.selector.clone();
            for object in objects.iter().filter(|object| selector.matches(object)) {
                let json = self.json(object);
                line(&mut lines, "ADDED", &json);
            }
            if self.request.start == Start::StreamingList {
                lines.put(self.bookmark_line(true));
            }
            self.first = Some(lines.freeze()).filter(|lines| !lines.is_empty());
            return;
        };
        self.seen = revision;
    }

    /// The next lines; `None` when the watch is over. Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while !self.over {
            let newest = *self.changed.borrow_and_update();
            if newest > self.seen
                && let Some(lines) = self.collect()
            {
                return Some(lines);
            }
            if *self.changed.borrow() > self.seen {
                continue;
            }
            let wake = self.ends.min(self.bookmark);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                changed = self.changed.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(wake) => if let Some(line) = self.tick() { return Some(line) },
            }
        }
        None
    }

    /// A bookmark once a minute and right before the end.
    fn tick(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        self.over = now >= self.ends;
        self.bookmark = now + BOOKMARK_EVERY;
        self.request.bookmarks.then(|| self.bookmark_line(false))
    }

    /// The lines of the next events; `None` if none of them is for this watcher.
    fn collect(&mut self) -> Option<Bytes> {
        let (events, seen) = match self.store.events_after(self.request.resource, self.seen, BATCH) {
            Ok(found) => found,
            Err(compacted) => {
                self.over = true;
                let status = Refusal::expired(self.seen, compacted.oldest).to_status();
                let mut lines = BytesMut::new();
                line(&mut lines, "ERROR", status.to_string().as_bytes());
                return Some(lines.freeze());
            }
        };
        self.seen = seen;
        let mut lines = BytesMut::new();
        for event in &events {
            self.add_line(&mut lines, event);
        }
        (!lines.is_empty()).then(|| lines.freeze())
    }

    /// The object as it is shown here.
    fn json(&mut self, object: &Object) -> Vec<u8> {
        if self.request.form == Form::Whole {
            return serde_json::to_vec(object).unwrap_or_default();
        }
        let columns = std::mem::replace(&mut self.columns, Columns::Known);
        let now = self.store.clock.now();
        let shown = render::object(self.request.form, self.request.resource, object, columns, now);
        serde_json::to_vec(&shown).unwrap_or_default()
    }

    /// The event's object as it is shown here; whole ones are made once for all watchers.
    fn event_json(&mut self, event: &Event) -> Bytes {
        match self.request.form {
            Form::Whole => event.json().clone(),
            _ => self.json(event.object()).into(),
        }
    }

    fn add_line(&mut self, lines: &mut BytesMut, event: &Event) {
        let namespace = &*self.request.namespace;
        if !namespace.is_empty() && &*event.key.namespace != namespace {
            return;
        }
        let visible =
            |object: &Option<Object>| object.as_ref().filter(|o| self.request.selector.matches(o)).is_some();
        match (visible(&event.before), visible(&event.after)) {
            (false, true) => line(lines, "ADDED", &self.event_json(event)),
            (true, true) => line(lines, "MODIFIED", &self.event_json(event)),
            (true, false) if event.after.is_none() => line(lines, "DELETED", &self.event_json(event)),
            (true, false) => line(lines, "DELETED", &self.json(&left_selection(event))),
            (false, false) => {}
        }
    }

    fn bookmark_line(&self, end_of_list: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if end_of_list {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = render::bookmark(self.request.form, self.request.resource, metadata);
        let mut lines = BytesMut::new();
        line(&mut lines, "BOOKMARK", object.to_string().as_bytes());
        lines.freeze()
    }
}

/// An object that no longer matches the selector: its last matching state, at the new version.
fn left_selection(event: &Event) -> Object {
    let mut last: Value = event.before.as_ref().map(|object| (**object).clone()).unwrap_or_default();
    object::metadata(&mut last).insert("resourceVersion".into(), event.revision.to_string().into());
    Arc::new(last)
}

fn line(lines: &mut BytesMut, kind: &str, object: &[u8]) {
    lines.put(&b"{\"type\":\""[..]);
    lines.put(kind.as_bytes());
    lines.put(&b"\",\"object\":"[..]);
    lines.put(object);
    lines.put(&b"}\n"[..]);
}
