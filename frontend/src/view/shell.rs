//! [`Shell`]: the view state as signals, bound to the URL and the browser's history, and what all panels share.
//!
//! Signals to URL: a new selection or screen is a new entry in the history, everything else replaces the entry a moment
//! later. URL to signals: at the start, and when the reader goes back or forth.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use leptos::ev;
use leptos::prelude::*;
use vipscope_shared::model::{Protocol, ProxyMode, Text};
use vipscope_shared::predict::names::Destination;
use vipscope_shared::proxy::reading::Wanted;
use vipscope_shared::scene::{Camera, Target};

use crate::asked::Asked;
use crate::canvas::{Hover, Theme};
use crate::compare::Comparison;
use crate::findings::Filter;
use crate::store::Store;
use crate::tracing::End;
use crate::view_state::{Chrome, RulesBasis, Screen, Tab, Telling, Traced, ViewState, theme, theme_name};
use crate::whatif::Plan;

const THEME_KEY: &str = "vipscope.theme";
const URL_DELAY: Duration = Duration::from_millis(250);

/// What stands in the trace bar, traced or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    pub from: String,
    pub to: String,
    pub protocol: Option<Protocol>,
    pub node: Option<Text>,
    pub mode: Option<ProxyMode>,
}

impl Draft {
    fn of(traced: &Traced) -> Draft {
        Draft {
            from: traced.from.to_string(),
            to: traced.to.to_string(),
            protocol: traced.protocol,
            node: traced.node.clone(),
            mode: traced.mode,
        }
    }

    pub fn text(&self, end: End) -> &str {
        match end {
            End::From => &self.from,
            End::To => &self.to,
        }
    }

    pub fn text_mut(&mut self, end: End) -> &mut String {
        match end {
            End::From => &mut self.from,
            End::To => &mut self.to,
        }
    }

    /// `None` as long as an end is missing or wrong.
    fn traced(&self) -> Option<Traced> {
        let to: Destination = self.to.trim().parse().ok()?;
        // A Service's ports have their own.
        let is_bare = matches!(to, Destination::Socket(_));
        Some(Traced {
            from: self.from.trim().parse().ok()?,
            to,
            protocol: self.protocol.filter(|_| is_bare),
            node: self.node.clone(),
            mode: self.mode,
            telling: Telling::Steps,
            answer: 0,
        })
    }
}

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
    /// Whether those are the predicted ones or those on the node.
    pub basis: RwSignal<RulesBasis>,
    /// The packet that is followed.
    pub trace: RwSignal<Option<Traced>>,
    pub draft: RwSignal<Draft>,
    /// The end of a trace that the next click on the map is.
    pub picking: RwSignal<Option<End>>,
    /// The trace bar, where it is a sheet.
    pub trace_open: RwSignal<bool>,
    /// The end whose field wants the focus.
    pub trace_focus: RwSignal<Option<End>>,
    /// Whether what is wrong in the trace bar is said, though nobody has left the field.
    pub trace_tried: RwSignal<bool>,
    /// Which findings are listed.
    pub findings: RwSignal<Filter>,
    /// What the Ladder and DNS tabs are asked.
    pub asked: RwSignal<Asked>,
    /// The edits of the what-if drawer; kept while it is closed.
    pub plan: RwSignal<Plan>,
    pub whatif_open: RwSignal<bool>,
    pub compare: RwSignal<Comparison>,
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
            basis: RwSignal::new(view.basis),
            draft: RwSignal::new(view.trace.as_ref().map(Draft::of).unwrap_or_default()),
            trace: RwSignal::new(view.trace),
            picking: RwSignal::new(None),
            trace_open: RwSignal::new(false),
            trace_focus: RwSignal::new(None),
            trace_tried: RwSignal::new(false),
            findings: RwSignal::new(view.findings),
            asked: RwSignal::new(view.asked),
            whatif_open: RwSignal::new(view.whatif.is_some()),
            plan: RwSignal::new(Plan::of(view.whatif.unwrap_or_default())),
            compare: RwSignal::new(view.compare),
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
        if self.selected.with_untracked(|selected| whole(selected) != whole(&target)) {
            // The pod of another Service's ladder is no question here.
            self.asked.set(Asked::default());
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
            basis: self.basis.get(),
            trace: self.trace.get(),
            findings: self.findings.get(),
            asked: self.asked.get(),
            whatif: self.whatif_open.get().then(|| self.plan.with(|plan| plan.edits().to_vec())),
            compare: self.compare.get(),
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
        self.basis.set(view.basis);
        if let Some(traced) = &view.trace {
            self.draft.set(Draft::of(traced));
        }
        self.trace.set(view.trace);
        self.findings.set(view.findings);
        self.asked.set(view.asked);
        self.whatif_open.set(view.whatif.is_some());
        if let Some(edits) = view.whatif {
            self.plan.update(|plan| plan.set(edits));
        }
        self.compare.set(view.compare);
        self.query.set(view.query);
    }

    /// Traces what stands in the bar; if that is not possible, the bar says why.
    pub fn trace_draft(&self) {
        let traced = self.draft.with_untracked(Draft::traced);
        self.trace_tried.set(traced.is_none());
        if traced.is_some() {
            self.picking.set(None);
            self.trace_open.set(false);
            self.screen.set(Screen::Map);
            self.trace.set(traced);
        }
    }

    /// Traces a packet that was found elsewhere; the bar shows it too.
    pub fn follow(&self, traced: Traced) {
        self.draft.set(Draft::of(&traced));
        self.picking.set(None);
        self.screen.set(Screen::Map);
        self.trace.set(Some(traced));
    }

    /// Changes how the packet is followed; a trace that is shown follows at once, and keeps how it is told.
    pub fn redraft(&self, change: impl FnOnce(&mut Draft)) {
        self.draft.update(change);
        let Some(old) = self.trace.get_untracked() else { return };
        let Some(new) = self.draft.with_untracked(Draft::traced) else { return };
        if (&new.from, &new.to) == (&old.from, &old.to) {
            self.trace.set(Some(Traced { telling: old.telling, answer: old.answer, ..new }));
        }
    }

    /// Sets an end by pointing. With both ends the packet is traced; else the other one is asked for.
    pub fn trace_end(&self, end: End, name: String) {
        self.picking.set(None);
        self.draft.update(|draft| *draft.text_mut(end) = name);
        if self.draft.with_untracked(|draft| draft.traced().is_some()) {
            return self.trace_draft();
        }
        self.ask_end(end.other());
    }

    /// Brings the focus to the field of an end.
    pub fn ask_end(&self, end: End) {
        self.trace_tried.set(false);
        self.trace_open.set(true);
        self.trace_focus.set(Some(end));
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
            if is_step(&current, &view) {
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

/// Whether the reader would go back over this change: another screen, selection or packet.
fn is_step(before: &ViewState, after: &ViewState) -> bool {
    let ends = |view: &ViewState| view.trace.as_ref().map(|trace| (trace.from.clone(), trace.to.clone()));
    before.selected != after.selected || before.screen != after.screen || ends(before) != ends(after)
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

/// The Service of a port, and everything else as it is.
fn whole(target: &Option<Target>) -> Option<Target> {
    match target {
        Some(Target::Port(service, _)) => Some(Target::Service(service.clone())),
        other => other.clone(),
    }
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
