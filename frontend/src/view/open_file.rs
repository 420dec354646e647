//! "Open a file": a button, a key, or a drop anywhere on the page. The file is read here, shown instead of the live cluster,
//! and labelled as long as it is; nothing of it leaves the browser.

use gloo_timers::future::TimeoutFuture;
use jiff::Timestamp;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::api::SnapshotResponse;
use wasm_bindgen_futures::JsFuture;

use super::shell::{Shell, shell};
use crate::api;
use crate::open_file::{Chosen, OpenError, Opened, Refused, check_size, read};
use crate::store::Store;
use crate::ui::{Icon, IconView};

/// Time for the page to say that it reads, in milliseconds: two frames.
const BREATH_MS: u32 = 40;

/// What is known of opening, as signals; from the context.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    input: NodeRef<html::Input>,
    /// The name of the file that is being read.
    reading: RwSignal<Option<String>>,
    refused: RwSignal<Option<Refused>>,
    /// Something is dragged over the page.
    dragged: RwSignal<bool>,
    /// Counts files, so that only the last one chosen is shown.
    turn: StoredValue<u64>,
}

/// From the context.
pub fn opening() -> Opening {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(Opening::new)
}

impl Opening {
    pub fn new() -> Opening {
        Opening {
            input: NodeRef::new(),
            reading: RwSignal::new(None),
            refused: RwSignal::new(None),
            dragged: RwSignal::new(false),
            turn: StoredValue::new(0),
        }
    }

    /// Asks for a file.
    pub fn ask(&self) {
        if let Some(input) = self.input.get_untracked() {
            // The same file again is a choice, too.
            input.set_value("");
            input.click();
        }
    }

    fn take(self, shell: Shell, files: Option<web_sys::FileList>) {
        let files: Vec<web_sys::File> = files
            .map(|files| (0..files.length()).filter_map(|nth| files.get(nth)).collect())
            .unwrap_or_default();
        let Some(first) = files.first() else { return };
        let turn = self.turn.get_value() + 1;
        self.turn.set_value(turn);
        self.refused.set(None);
        self.reading.set(Some(first.name()));
        spawn_local(async move {
            TimeoutFuture::new(BREATH_MS).await;
            let outcome = load(&files).await;
            if self.turn.get_value() != turn {
                return;
            }
            self.reading.set(None);
            match outcome {
                Ok((opened, response)) => {
                    forget_view(shell);
                    api::open_file(shell.store, opened, response);
                }
                Err(refused) => self.refused.set(Some(refused)),
            }
        });
    }
}

impl Default for Opening {
    fn default() -> Opening {
        Opening::new()
    }
}

async fn load(files: &[web_sys::File]) -> Result<(Opened, SnapshotResponse), Refused> {
    let name = |files: &[web_sys::File]| files.first().map(web_sys::File::name).unwrap_or_default();
    let size = files.iter().map(|file| file.size()).sum();
    check_size(size).map_err(|why| Refused { name: name(files), why })?;
    let mut chosen = Vec::new();
    for file in files {
        let unreadable = |error| Refused { name: file.name(), why: OpenError::Unreadable(said(&error)) };
        let buffer = JsFuture::from(file.array_buffer()).await.map_err(unreadable)?;
        chosen.push(Chosen { name: file.name(), bytes: js_sys::Uint8Array::new(&buffer).to_vec() });
    }
    read(&chosen, Timestamp::now())
}

/// What a JavaScript error says.
fn said(error: &wasm_bindgen::JsValue) -> String {
    let message = js_sys::Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.unwrap_or_else(|| "no reason given".to_owned())
}

/// What was chosen in another cluster means nothing in this one.
fn forget_view(shell: Shell) {
    shell.select(None);
    shell.camera.set(None);
    shell.trace.set(None);
    shell.namespaces.set(Default::default());
}

/// Closes the file; the backend's cluster comes back.
pub fn back_to_live(shell: Shell) {
    forget_view(shell);
    api::go_live(shell.store);
}

/// The button of the top bar.
#[component]
pub fn OpenFileIcon() -> impl IntoView {
    let opening = opening();
    view! {
        <button type="button" class="btn square" data-testid="open-file" aria-label="Open a file"
            title="Open a file of Kubernetes objects; it stays in this browser (o)" on:click=move |_| opening.ask()>
            <IconView icon=Icon::File/>
        </button>
    }
}

/// The same in words, where there is nothing else to look at.
#[component]
pub fn OpenFileButton(#[prop(into)] label: String) -> impl IntoView {
    let opening = opening();
    view! {
        <button type="button" class="btn" title="Show a file of Kubernetes objects; it stays in this browser (o)"
            on:click=move |_| opening.ask()>{label}</button>
    }
}

/// The hidden input, the drop zone that is the whole page, and what there is to say while a file is read or refused.
#[component]
pub fn OpenFile() -> impl IntoView {
    let shell = shell();
    let opening = opening();
    bind_drops(shell, opening);
    let chosen = move |_| {
        opening.take(shell, opening.input.get_untracked().and_then(|input| input.files()));
    };
    let refused = move || {
        opening.refused.get().map(|Refused { name, why }| {
            view! {
                <div class="toast bad" role="alert" data-testid="open-refused">
                    <p><b>{format!("{name} can't be shown.")}</b>" "{capital(&why.to_string())}</p>
                    <button type="button" class="btn" on:click=move |_| opening.refused.set(None)>"Dismiss"</button>
                </div>
            }
        })
    };
    let reading = move || {
        opening
            .reading
            .get()
            .map(|name| view! { <div class="toast" role="status"><p>{format!("Reading {name}…")}</p></div> })
    };
    view! {
        <input node_ref=opening.input type="file" class="file-input" data-testid="file-input" tabindex="-1" aria-hidden="true" multiple=true
            accept=".json,.yaml,.yml,.txt,application/json,application/yaml,text/*" on:change=chosen/>
        <Show when=move || opening.dragged.get()>
            <div class="drop-veil" aria-hidden="true"><p><b>"Drop the file to show it."</b>" It stays in this browser."</p></div>
        </Show>
        <div class="toasts">{reading}{refused}</div>
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Files can be dropped anywhere; what takes drops itself, as the sandbox's field does, keeps them.
fn bind_drops(shell: Shell, opening: Opening) {
    use leptos::ev;
    let over = window_event_listener(ev::dragover, move |ev| {
        if !has_files(&ev) {
            return;
        }
        let is_taken = ev.default_prevented();
        ev.prevent_default();
        opening.dragged.set(!is_taken);
    });
    let leave = window_event_listener(ev::dragleave, move |ev| {
        // Leaves the page, not just one element for another.
        if ev.related_target().is_none() {
            opening.dragged.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |ev| {
        opening.dragged.set(false);
        if ev.default_prevented() || !has_files(&ev) {
            return;
        }
        ev.prevent_default();
        opening.take(shell, ev.data_transfer().and_then(|data| data.files()));
    });
    on_cleanup(move || {
        over.remove();
        leave.remove();
        drop.remove();
    });
}

fn has_files(ev: &web_sys::DragEvent) -> bool {
    let types = ev.data_transfer().map(|data| data.types());
    types.is_some_and(|types| types.iter().any(|one| one.as_string().as_deref() == Some("Files")))
}

/// Says, as long as a file is shown, that it is one, and leads back.
#[component]
pub fn FileNotice() -> impl IntoView {
    let shell = shell();
    let opened = Memo::new(move |_| opened_in(shell.store));
    move || {
        opened.get().map(|opened| {
            let left_out = opened.left_out().map(|kinds| format!(" Left out: {kinds}."));
            view! {
                <div class="notice file" role="status" data-testid="file-notice">
                    <span>
                        <b>{format!("file: {}", opened.name)}</b>" · opened in this browser only; not sent anywhere."
                        <span class="muted">{left_out}</span>
                    </span>
                    <button type="button" class="btn" data-testid="back-to-live" on:click=move |_| back_to_live(shell)>
                        "Back to the live cluster"
                    </button>
                </div>
            }
        })
    }
}

fn opened_in(store: Store) -> Option<std::sync::Arc<Opened>> {
    store.with(|data| data.opened.clone())
}
