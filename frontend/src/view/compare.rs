//! Compare: what two settings of kube-proxy, or two clusters, make of the same traffic. Worked out here, after the page has
//! painted the question; flows that differ are in groups, by what makes them differ.

use std::sync::Arc;
use std::time::Duration;

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, ProxyMode};
use wasm_bindgen::JsCast;

use super::shell::{Shell, shell};
use super::watch::{Phase, Watch, unless};
use super::whatif::FlowTable;
use crate::compare::{Against, Cause, Compared, Comparison, SCHEDULERS, Side, Switch, compare, own_modes};
use crate::words;

/// Largest file that is taken, in bytes.
const LARGEST: f64 = 256.0 * 1024.0 * 1024.0;
/// Between a change and the next answer.
const GATHER: Duration = Duration::from_millis(300);

/// The cluster of a file.
#[derive(Debug, Clone, PartialEq)]
enum Opened {
    None,
    Reading,
    Cluster { name: String, state: Arc<ClusterState>, faults: usize },
    Refused(String),
}

/// What is asked and answered, as signals.
#[derive(Debug, Clone, Copy)]
struct Run {
    shell: Shell,
    file: RwSignal<Opened>,
    answer: RwSignal<Option<Arc<Compared>>>,
    timer: StoredValue<Option<TimeoutHandle>>,
    /// Counts what was given up.
    turn: StoredValue<u64>,
    phase: StoredValue<Phase>,
}

/// The screen.
#[component]
pub fn CompareScreen() -> impl IntoView {
    let run = Run {
        shell: shell(),
        file: RwSignal::new(Opened::None),
        answer: RwSignal::new(None),
        timer: StoredValue::new(None),
        turn: StoredValue::new(0),
        phase: StoredValue::new(Phase::Idle),
    };
    let first = StoredValue::new(true);
    Effect::new(move || {
        run.shell.compare.track();
        run.file.track();
        let wait = if first.get_value() { Duration::ZERO } else { GATHER };
        first.set_value(false);
        run.later(wait);
    });
    Effect::new(move |known: Option<()>| {
        run.shell.store.with(|_| ());
        if known.is_some() {
            run.follow();
        }
    });
    on_cleanup(move || run.cancel());
    view! {
        <div class="sheet" data-testid="compare">
            <div class="scroll compare" tabindex="0" role="region" aria-label="Compare">
                <header class="compare-head">
                    <h1>"Compare"</h1>
                    <p class="muted">"The same connections under two settings of kube-proxy, or in two clusters: which of them end differently, and why."</p>
                </header>
                <div class="compare-sides">
                    <SettingsForm run=run side=Side::A/>
                    <OtherSide run=run/>
                </div>
                <Answer run=run/>
            </div>
        </div>
    }
}

impl Run {
    fn cancel(self) {
        if let Some(timer) = self.timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
        let _ = self.turn.try_update_value(|turn| *turn += 1);
        let _ = self.phase.try_update_value(|phase| *phase = Phase::Idle);
    }

    /// The cluster is another than before: a question that is being worked out, or that is due, is not put off for that.
    fn follow(self) {
        match self.phase.get_value() {
            Phase::Idle if self.timer.with_value(Option::is_some) => {}
            Phase::Idle => self.later(GATHER),
            Phase::Running | Phase::Outrun => self.phase.set_value(Phase::Outrun),
        }
    }

    fn later(self, wait: Duration) {
        self.cancel();
        let turn = self.turn.try_get_value();
        let paint = move || {
            request_animation_frame(move || {
                // It may have been given up while the frame was waited for.
                if turn.is_none() || turn != self.turn.try_get_value() {
                    return;
                }
                let timer = set_timeout_with_handle(move || self.work(), Duration::ZERO).ok();
                self.timer.try_update_value(|slot| *slot = timer);
            });
        };
        self.timer.set_value(set_timeout_with_handle(paint, wait).ok());
    }

    fn work(self) {
        let _ = self.timer.try_update_value(Option::take);
        if !self.shell.store.is_loaded() {
            return;
        }
        let Some(file) = self.file.try_get_untracked() else { return };
        let comparison = self.shell.compare.get_untracked();
        let other = match (comparison.against, &file) {
            (Against::Settings, _) => None,
            (Against::File, Opened::Cluster { state, .. }) => Some(state.clone()),
            (Against::File, _) => return self.answer.set(None),
        };
        spawn_local(self.compare(comparison, other));
    }

    /// Works the answer out in pieces; it is given up once another one is asked for.
    async fn compare(self, comparison: Comparison, other: Option<Arc<ClusterState>>) {
        let now = self.shell.store.server_now();
        let state = self.shell.store.peek(|data| data.state.clone());
        let turn = self.turn.try_get_value();
        self.phase.set_value(Phase::Running);
        let watch = Watch::default();
        let pause = async || watch.rest().await;
        let is_over = || self.turn.try_get_value().is_none_or(|now| Some(now) != turn);
        let work = compare(&state, &comparison, other.as_deref(), now, &pause);
        let Some(compared) = unless(is_over, work).await else { return };
        let is_new = self.answer.try_with_untracked(|old| old.as_deref() != Some(&compared));
        if is_new == Some(true) {
            self.answer.set(Some(Arc::new(compared)));
        }
        watch.stop();
        if self.phase.try_update_value(|phase| std::mem::replace(phase, Phase::Idle)) == Some(Phase::Outrun) {
            self.later(GATHER.max(Duration::from_secs_f64(watch.worked() / 1000.0)));
        }
    }

    fn read(self, file: &web_sys::File) {
        let name = file.name();
        if file.size() > LARGEST {
            return self.file.set(Opened::Refused(format!("{name} is larger than 256 MiB")));
        }
        self.file.set(Opened::Reading);
        let text = file.text();
        spawn_local(async move {
            let text =
                wasm_bindgen_futures::JsFuture::from(text).await.ok().and_then(|text| text.as_string());
            let opened = match text.as_deref().map(load) {
                None => Opened::Refused(format!("{name} can't be read as text")),
                Some(Err(error)) => Opened::Refused(format!("{name}: {error}")),
                Some(Ok(loaded)) => {
                    Opened::Cluster { name, faults: loaded.faults.len(), state: Arc::new(loaded.state) }
                }
            };
            self.file.set(opened);
        });
    }
}

/// B: other settings, or a file.
#[component]
fn OtherSide(run: Run) -> impl IntoView {
    let shell = shell();
    let is_file = Memo::new(move |_| shell.compare.with(|compare| compare.against == Against::File));
    let form = move || match is_file.get() {
        true => view! { <FileForm run=run/> }.into_any(),
        false => view! { <SettingsForm run=run side=Side::B/> }.into_any(),
    };
    view! { {form} }
}

/// What B is.
#[component]
fn AgainstSwitch() -> impl IntoView {
    let shell = shell();
    let one = move |against: Against, words: &'static str| {
        let is_on = move || shell.compare.with(|compare| compare.against == against);
        view! {
            <button type="button" aria-pressed=move || is_on().to_string()
                on:click=move |_| shell.compare.update(|compare| compare.against = against)>{words}</button>
        }
    };
    view! {
        <div class="switch" role="group" aria-label="B is">
            {one(Against::Settings, "this cluster, set otherwise")}{one(Against::File, "a file")}
        </div>
    }
}

#[component]
fn FileForm(run: Run) -> impl IntoView {
    let take = move |files: Option<web_sys::FileList>| {
        if let Some(file) = files.and_then(|files| files.get(0)) {
            run.read(&file);
        }
    };
    let chosen = move |event: ev::Event| {
        let input = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok());
        take(input.and_then(|input| input.files()));
    };
    let dropped = move |event: ev::DragEvent| {
        event.prevent_default();
        take(event.data_transfer().and_then(|data| data.files()));
    };
    let words = move || {
        match run.file.get() {
        Opened::None => "Choose or drop what `kubectl get svc,endpointslices,pods,nodes,cm -A -o json` printed. It stays in this page.".to_owned(),
        Opened::Reading => "Reading…".to_owned(),
        Opened::Cluster { name, state, faults } => {
            let faults = if faults > 0 { format!(", {} could not be used", words::count(faults, "object", "objects")) } else { String::new() };
            format!(
                "{name}: {}, {}, {}{faults}",
                words::count(state.services().len(), "Service", "Services"),
                words::count(state.pods().len(), "pod", "pods"),
                words::count(state.nodes().len(), "node", "nodes"),
            )
        }
        Opened::Refused(why) => why,
    }
    };
    let is_refused = move || run.file.with(|file| matches!(file, Opened::Refused(_)));
    view! {
        <fieldset class="compare-side" data-side="b">
            <legend>"B"</legend>
            <AgainstSwitch/>
            <div class="compare-drop" on:dragover=|event: ev::DragEvent| event.prevent_default() on:drop=dropped>
                <input type="file" accept=".json,.yaml,.yml" aria-label="The other cluster's file" data-testid="compare-file" on:change=chosen/>
                <p class:refused=is_refused class:muted=move || !is_refused() role="status">{words}</p>
            </div>
        </fieldset>
    }
}

/// The settings of one side.
#[component]
fn SettingsForm(run: Run, side: Side) -> impl IntoView {
    let shell = run.shell;
    let own = Memo::new(move |_| shell.store.state(own_modes));
    let title = match side {
        Side::A => "A: this cluster",
        Side::B => "B",
    };
    let id = move |name: &str| format!("compare-{}-{name}", side.as_str());
    let set = move |change: &dyn Fn(&mut crate::compare::Settings)| {
        shell.compare.update(|compare| change(compare.side_mut(side)));
    };
    let mode = Memo::new(move |_| shell.compare.with(|compare| compare.side(side).mode));
    let mode_option = move |one: ProxyMode| {
        view! { <option value=one.as_str() prop:selected=move || mode.get() == Some(one)>{one.as_str()}</option> }
    };
    let scheduler =
        Memo::new(move |_| shell.compare.with(|compare| compare.side(side).scheduler.to_string()));
    let scheduler_option = move |one: &'static str| {
        view! { <option value=one prop:selected=move || scheduler.with(|now| now == one)>{one}</option> }
    };
    view! {
        <fieldset class="compare-side" data-side=side.as_str()>
            <legend>{title}</legend>
            {(side == Side::B).then(|| view! { <AgainstSwitch/> })}
            <label class="offer"><span class="offer-name">"mode"</span>
                <select data-testid=id("mode") on:change=move |ev| set(&|settings| settings.mode = event_target_value(&ev).parse().ok())>
                    <option value="" prop:selected=move || mode.get().is_none()>{move || format!("its own: {}", own.get())}</option>
                    {ProxyMode::ALL.map(mode_option)}
                </select>
            </label>
            <label class="offer"><span class="offer-name">"nodePortAddresses"</span>
                <input class="mono" type="text" spellcheck="false" autocomplete="off" placeholder="its own; primary, or CIDRs" data-testid=id("nodeports")
                    prop:value=move || shell.compare.with(|compare| compare.side(side).node_ports.clone())
                    on:change=move |ev| set(&|settings| settings.node_ports = event_target_value(&ev).trim().to_owned())/>
            </label>
            <Toggle side=side name="masqueradeAll" read=|settings| settings.masquerade_all write=|settings, to| settings.masquerade_all = to/>
            <Toggle side=side name="localhostNodePorts" read=|settings| settings.localhost write=|settings, to| settings.localhost = to/>
            <label class="offer"><span class="offer-name">"ipvs scheduler"</span>
                <select data-testid=id("scheduler") on:change=move |ev| set(&|settings| settings.scheduler = event_target_value(&ev).into())>
                    <option value="" prop:selected=move || scheduler.with(String::is_empty)>"its own"</option>
                    {SCHEDULERS.map(scheduler_option)}
                </select>
            </label>
        </fieldset>
    }
}

#[component]
fn Toggle(
    side: Side,
    name: &'static str,
    read: fn(&crate::compare::Settings) -> Switch,
    write: fn(&mut crate::compare::Settings, Switch),
) -> impl IntoView {
    let shell = shell();
    let now = Memo::new(move |_| shell.compare.with(|compare: &Comparison| read(compare.side(side))));
    let one = move |switch: Switch| {
        let words = if switch == Switch::Own { "its own" } else { switch.as_str() };
        view! { <option value=switch.as_str() prop:selected=move || now.get() == switch>{words}</option> }
    };
    let changed = move |ev: ev::Event| {
        let to = Switch::parse(&event_target_value(&ev));
        shell.compare.update(|compare| write(compare.side_mut(side), to));
    };
    view! {
        <label class="offer"><span class="offer-name">{name}</span><select on:change=changed>{Switch::ALL.map(one)}</select></label>
    }
}

#[component]
fn Answer(run: Run) -> impl IntoView {
    let waits = Memo::new(move |_| {
        run.shell.compare.with(|compare| compare.against == Against::File)
            && run.file.with(|file| !matches!(file, Opened::Cluster { .. }))
    });
    let body = move || match run.answer.get() {
        _ if waits.get() => {
            view! { <p class="compare-sum muted">"Open a file to compare with."</p> }.into_any()
        }
        None => view! { <p class="compare-sum muted" role="status">"Working…"</p> }.into_any(),
        Some(compared) => answer(&compared),
    };
    view! { <div data-testid="compare-answer">{body}</div> }
}

fn answer(compared: &Compared) -> AnyView {
    match compared {
        Compared::Refused { side, reason } => view! {
            <p class="compare-sum refused" role="alert">{format!("{} is not possible: {reason}", side.as_str().to_uppercase())}</p>
        }
        .into_any(),
        Compared::Differences { a, b, causes } => {
            let flows: usize = causes.iter().map(Cause::flows).sum();
            let groups: usize = causes.iter().map(|cause| cause.groups.len()).sum();
            let sum = match flows {
                0 => "No flow differs: everyone is answered alike.".to_owned(),
                1 => "1 flow differs".to_owned(),
                flows => format!("{} flows differ, in {}", words::thousands(flows as u64), in_groups(groups)),
            };
            view! {
                <p class="compare-sum" role="status" data-testid="compare-sum">{sum}<span class="muted">{format!(" · A: {a} · B: {b}")}</span></p>
                {causes.iter().map(cause).collect_view()}
            }
            .into_any()
        }
    }
}

fn in_groups(groups: usize) -> String {
    words::count(groups, "group", "groups")
}

fn cause(cause: &Cause) -> AnyView {
    let count = words::count(cause.flows(), "flow", "flows");
    let count = match cause.groups.len() {
        1 => count,
        groups => format!("{}, {count}", in_groups(groups)),
    };
    let groups = Signal::stored(cause.groups.clone());
    view! {
        <section class="cause" data-testid="cause">
            <h2>{cause.words.clone()}<span class="muted">{format!(" · {count}")}</span></h2>
            <FlowTable groups=groups/>
        </section>
    }
    .into_any()
}
