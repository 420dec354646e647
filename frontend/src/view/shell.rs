//! [`Shell`]: the view state as signals, bound to the URL and the browser's history, and what all panels share.
//!
//! Signals to URL: a new selection or screen is a new entry in the history, everything else replaces the entry a moment
//! later. URL to signals: at the start, and when the reader goes back or forth.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use leptos::ev;
use leptos::prelude::*;
use vipscope_shared::model::Text;
use vipscope_shared::proxy::reading::Wanted;
use vipscope_shared::scene::{Camera, Target};

use crate::canvas::{Hover, Theme};
use crate::store::Store;
use crate::view_state::{Chrome, Screen, Tab, ViewState, theme, theme_name};

const THEME_KEY: &str = "vipscope.theme";
const URL_DELAY: Duration = Duration::from_millis(250);

/// What every panel can reach: cheap to copy, from the context.
#[derive(Debug, Clone, Copy)]
pub struct Shell {
    pub store: Store,
    /// Empty = all.
    pub namespaces: RwSignal<BTreeSet<Text>>,
    pub selected: RwSignal<Option<Target>>,
    pub camera: RwSignal<Option<Camera>>,
    pub hovered: RwSignal<Option<Hover>>,
    pub screen: RwSignal<Screen>,
    pub tab: RwSignal<Option<Tab>>,
    /// On which node, in which mode and family rules are shown.
    pub rules: RwSignal<Wanted>,
    pub query: RwSignal<String>,
    pub chrome: RwSignal<Chrome>,
    pub search_open: RwSignal<bool>,
    pub keys_open: RwSignal<bool>,
    /// The server's clock, every second.
    pub now: RwSignal<Timestamp>,
    chosen_theme: RwSignal<Option<Theme>>,
    system_theme: RwSignal<Theme>,
    stored_theme: StoredValue<Option<Theme>>,
}

/// The shell from the context.
pub fn shell() -> Shell {
    // Provided by `App` above every component that asks.
    use_context().unwrap_or_else(Shell::start)
}

impl Shell {
    /// Reads the URL and keeps it up to date from then on.
    pub fn start() -> Shell {
        let shell = Shell::read();
        shell.bind_theme();
        shell.bind_history();
        set_interval(move || shell.now.set(shell.store.server_now()), Duration::from_secs(1));
        shell
    }

    fn read() -> Shell {
        let view = ViewState::parse(&location().search().unwrap_or_default());
        let store = Store::new();
        Shell {
            store,
            namespaces: RwSignal::new(view.namespaces),
            selected: RwSignal::new(view.selected),
            camera: RwSignal::new(view.camera),
            hovered: RwSignal::new(None),
            screen: RwSignal::new(view.screen),
            tab: RwSignal::new(view.tab),
            rules: RwSignal::new(view.rules),
            query: RwSignal::new(view.query),
            chrome: RwSignal::new(view.chrome),
            search_open: RwSignal::new(false),
            keys_open: RwSignal::new(false),
            now: RwSignal::new(store.server_now()),
            chosen_theme: RwSignal::new(view.theme),
            system_theme: RwSignal::new(Theme::Light),
            stored_theme: StoredValue::new(stored_theme()),
        }
    }

    /// Selects; the map and the inspector follow.
    pub fn select(&self, target: Option<Target>) {
        let same = self.selected.with_untracked(|selected| kind_of(selected) == kind_of(&target));
        if !same {
            self.tab.set(None);
        }
        self.selected.set(target);
    }

    /// What is shown: the URL's choice, else the last choice, else the system's.
    pub fn theme(&self) -> Theme {
        self.chosen_theme.get().or(self.stored_theme.get_value()).unwrap_or(self.system_theme.get())
    }

    pub fn toggle_theme(&self) {
        let next = match untrack(|| self.theme()) {
            Theme::Light => Theme::Dark,
            Theme::Dark => Theme::Light,
        };
        if let Ok(Some(storage)) = window().local_storage() {
            let _ = storage.set_item(THEME_KEY, theme_name(next));
        }
        self.stored_theme.set_value(Some(next));
        self.chosen_theme.set(Some(next));
    }

    /// The view as a link carries it.
    pub fn view(&self) -> ViewState {
        ViewState {
            namespaces: self.namespaces.get(),
            selected: self.selected.get(),
            camera: self.camera.get(),
            theme: self.chosen_theme.get(),
            chrome: self.chrome.get(),
            screen: self.screen.get(),
            tab: self.tab.get(),
            rules: self.rules.get(),
            query: self.query.get(),
        }
    }

    fn show(&self, view: ViewState) {
        self.namespaces.set(view.namespaces);
        self.selected.set(view.selected);
        self.camera.set(view.camera);
        self.chosen_theme.set(view.theme);
        self.chrome.set(view.chrome);
        self.screen.set(view.screen);
        self.tab.set(view.tab);
        self.rules.set(view.rules);
        self.query.set(view.query);
    }

    /// The whole URL that reproduces the view.
    pub fn link(&self) -> String {
        let origin = location().origin().unwrap_or_default();
        format!("{origin}{}", url_of(&untrack(|| self.view())))
    }

    fn bind_theme(self) {
        if let Ok(Some(dark)) = window().match_media("(prefers-color-scheme: dark)") {
            let read = |dark: bool| if dark { Theme::Dark } else { Theme::Light };
            self.system_theme.set(read(dark.matches()));
            let query = dark.clone();
            let changed = wasm_bindgen::closure::Closure::<dyn FnMut()>::new(move || {
                self.system_theme.set(read(query.matches()));
            });
            dark.set_onchange(Some(wasm_bindgen::JsCast::unchecked_ref(changed.as_ref())));
            changed.forget();
        }
        Effect::new(move || {
            let name = theme_name(self.theme());
            if let Some(root) = document().document_element() {
                let _ = root.set_attribute("data-theme", name);
            }
        });
    }

    fn bind_history(self) {
        let timer = StoredValue::new(None::<TimeoutHandle>);
        Effect::new(move || {
            let view = self.view();
            let current = ViewState::parse(&location().search().unwrap_or_default());
            if current.print() == view.print() {
                return;
            }
            if let Some(timer) = timer.get_value() {
                timer.clear();
            }
            if current.selected != view.selected || current.screen != view.screen {
                write_url(&view, Entry::New);
            } else {
                let write = move || write_url(&untrack(|| self.view()), Entry::Same);
                timer.set_value(set_timeout_with_handle(write, URL_DELAY).ok());
            }
        });
        let handle = window_event_listener(ev::popstate, move |_| {
            self.show(ViewState::parse(&location().search().unwrap_or_default()));
        });
        on_cleanup(move || handle.remove());
    }
}

/// Whether a change of the view is a new entry in the history.
enum Entry {
    New,
    Same,
}

fn write_url(view: &ViewState, entry: Entry) {
    let Ok(history) = window().history() else { return };
    let (state, url) = (wasm_bindgen::JsValue::NULL, url_of(view));
    let _ = match entry {
        Entry::New => history.push_state_with_url(&state, "", Some(&url)),
        Entry::Same => history.replace_state_with_url(&state, "", Some(&url)),
    };
}

/// From the root: a relative one would start at the document's base, not at the page.
fn url_of(view: &ViewState) -> String {
    let (path, hash) = (location().pathname().unwrap_or_default(), location().hash().unwrap_or_default());
    match view.print().as_str() {
        "" => format!("{path}{hash}"),
        query => format!("{path}?{query}{hash}"),
    }
}

fn stored_theme() -> Option<Theme> {
    theme(&window().local_storage().ok()??.get_item(THEME_KEY).ok()??)
}

/// Selections of one kind share their tabs.
fn kind_of(target: &Option<Target>) -> u8 {
    match target {
        None => 0,
        Some(Target::Source(_)) => 1,
        Some(Target::Service(_) | Target::Port(..)) => 2,
        Some(Target::Pod(_)) => 3,
        Some(Target::Node(_)) => 4,
        Some(Target::Namespace(_)) => 5,
        Some(Target::Address(_)) => 6,
    }
}
