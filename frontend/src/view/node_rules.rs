//! How a node's proxy stands: mode, last sync, lag, connections, drift; the lines that differ; and in the sandbox, what can
//! be made to go wrong.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::model::{Key, ProxyMode, Text};
use vipscope_shared::traffic::{DriftKind, DriftLine, NodeFault, NodeStatus, TrafficBasis};

use super::links::service_link;
use super::shell::shell;
use super::traffic_run::{basis_word, traffic_run};
use crate::api::traffic::{set_faults, set_mode};
use crate::traffic::proxied;
use crate::ui::{Mark, MarkView};
use crate::words;

/// Headings of [`standing_cells`].
pub const COLUMNS: [&str; 5] = ["Rules on it", "Their mode", "Last sync", "Lag", "Connections"];
/// Lines of drift that are listed at once.
const LISTED: usize = 60;
/// What a slow sync takes unless another time is chosen, in milliseconds.
const SLOW_MS: u64 = 8_000;
/// The same at most: ten minutes.
const SLOWEST_MS: u64 = 600_000;

/// The status of one node.
fn status_of(name: &Text) -> Memo<Option<NodeStatus>> {
    let (run, name) = (traffic_run(), name.clone());
    Memo::new(move |_| run.with(|traffic| traffic.node(&name).cloned()))
}

/// How the rules are, in a mark and words.
pub fn standing(status: &NodeStatus) -> (Mark, String) {
    let differences = words::count(status.drift_count, "difference", "differences");
    match (&status.trouble, status.drift_count, status.lag_ms) {
        (Some(trouble), ..) => (Mark::Warn, format!("can't be read: {trouble}")),
        (None, 0, 0) => (Mark::Ok, "up to date".to_owned()),
        (None, 0, _) => (Mark::Warn, "a change is on its way".to_owned()),
        (None, _, 0) => (Mark::Bad, differences),
        (None, ..) => (Mark::Warn, format!("behind, {differences}")),
    }
}

/// `3 s ago`, `never`.
fn synced(status: &NodeStatus, now: Timestamp) -> String {
    status.last_sync.map_or_else(|| "never".to_owned(), |then| format!("{} ago", words::ago(then, now)))
}

/// `none`, `420 ms`, `12 s`.
fn lag(milliseconds: u64) -> String {
    match milliseconds {
        0 => "none".to_owned(),
        1..1_000 => format!("{milliseconds} ms"),
        _ => words::duration(SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX))),
    }
}

/// The cells of a node's row, with the button that opens its details.
pub fn standing_cells(name: Text, open: RwSignal<BTreeSet<Text>>) -> impl IntoView {
    let shell = shell();
    let status = status_of(&name);
    let (is_open, label) = (name.clone(), format!("Rules of {name}"));
    let expanded = move || open.with(|open| open.contains(&is_open)).to_string();
    let toggle = move |_| {
        open.update(|open| {
            if !open.remove(&name) {
                open.insert(name.clone());
            }
        });
    };
    let late = move || status.with(|status| status.as_ref().is_some_and(|status| status.lag_ms > 0));
    let cell = move |read: fn(&NodeStatus) -> String| {
        move || status.with(|status| status.as_ref().map_or_else(|| "–".to_owned(), read))
    };
    let age = move || status.with(|status| status.as_ref().map(|status| synced(status, shell.now.get())));
    let rules = move || {
        status.with(|status| {
            let (mark, words) = standing(status.as_ref()?);
            let faults = status.as_ref().map_or(0, |status| status.faults.len());
            let faults = (faults > 0).then(|| format!(" · {}", words::count(faults, "fault on", "faults on")));
            Some(view! {
                <span class=format!("health {}", mark.as_str()) data-testid="node-standing"><MarkView mark=mark label=""/>{words}</span>
                <span class="muted">{faults}</span>
            })
        })
    };
    view! {
        <td class="node-standing">
            {rules}
            <button type="button" class="btn" aria-expanded=expanded aria-label=label data-testid="node-open" on:click=toggle>"Details"</button>
        </td>
        <td>{cell(|status| status.mode.to_string())}</td>
        <td>{age}</td>
        <td class:late=late>{cell(|status| lag(status.lag_ms))}</td>
        <td class="mono">{cell(|status| words::thousands(status.connections))}</td>
    }
}

/// What differs, and in the sandbox the faults and the mode.
#[component]
pub fn NodeDetails(name: Text) -> impl IntoView {
    let status = status_of(&name);
    let is_simulated = Memo::new(move |_| {
        status.with(|status| status.as_ref().is_some_and(|status| status.basis == TrafficBasis::Simulated))
    });
    view! {
        <div class="node-rules" data-testid="node-rules">
            <Drift status=status/>
            <Show when=move || is_simulated.get()>
                <Faults name=name.clone() status=status/>
            </Show>
        </div>
    }
}

#[component]
fn Drift(status: Memo<Option<NodeStatus>>) -> impl IntoView {
    let drift = Memo::new(move |_| {
        status.with(|status| status.as_ref().map(|status| (status.drift.clone(), status.drift_count)))
    });
    let basis = move || status.with(|status| status.as_ref().map(|status| basis_word(status.basis)));
    let body = move || {
        let (lines, count) = drift.get()?;
        if count == 0 {
            return Some(view! {
                <p data-testid="no-drift"><MarkView mark=Mark::Ok label=""/>" Up to date: the node's rules are those that are expected."</p>
            }.into_any());
        }
        let more = count.saturating_sub(lines.len().min(LISTED));
        let more = (more > 0)
            .then(|| view! { <p class="muted">{format!("and {} more", words::thousands(more as u64))}</p> });
        let lines = lines.into_iter().take(LISTED).map(drift_line).collect_view();
        Some(view! { <ol class="drift" data-testid="drift">{lines}</ol>{more} }.into_any())
    };
    view! {
        <section>
            <h2>"Rules on the node against what is expected"<span class="tag basis">{basis}</span></h2>
            {body}
        </section>
    }
}

/// The word for a difference.
pub fn drift_word(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => "missing",
        DriftKind::Extra => "extra",
        DriftKind::Changed => "changed",
    }
}

fn drift_line(line: DriftLine) -> AnyView {
    let word = drift_word(line.kind);
    let service = line.service.as_ref().map(|key| view! { {service_link(key)} });
    let text = |sign: &'static str, class: &'static str, text: Option<String>| {
        text.map(|text| view! { <code class=format!("drift-text {class}")><b>{sign}</b>" "{text}</code> })
    };
    view! {
        <li class="drift-line" data-drift=word>
            <span class=format!("tag drift-kind {word}")>{word}</span>
            <span class="mono faint">{line.family.as_str()}" "{line.part}</span>
            <span class="drift-service">{service}</span>
            {text("− expected", "expected", line.expected)}
            {text("+ on the node", "actual", line.actual)}
        </li>
    }
    .into_any()
}

/// What can be made to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SyncStopped,
    SlowSync,
    RuleDeleted,
    StaleEndpoint,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::SyncStopped, Kind::SlowSync, Kind::RuleDeleted, Kind::StaleEndpoint];

    fn id(self) -> &'static str {
        match self {
            Kind::SyncStopped => "sync-stopped",
            Kind::SlowSync => "slow-sync",
            Kind::RuleDeleted => "rule-deleted",
            Kind::StaleEndpoint => "stale-endpoint",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Kind::SyncStopped => "rules stop syncing",
            Kind::SlowSync => "every sync is slow",
            Kind::RuleDeleted => "a Service's rules are deleted by hand",
            Kind::StaleEndpoint => "an endpoint that is gone stays in the rules",
        }
    }

    fn needs_service(self) -> bool {
        matches!(self, Kind::RuleDeleted | Kind::StaleEndpoint)
    }

    fn fault(self, service: Key, milliseconds: u64) -> NodeFault {
        match self {
            Kind::SyncStopped => NodeFault::SyncStopped,
            Kind::SlowSync => NodeFault::SlowSync { milliseconds },
            Kind::RuleDeleted => NodeFault::RuleDeleted { service },
            Kind::StaleEndpoint => NodeFault::StaleEndpoint { service },
        }
    }
}

/// A fault that is on, in words.
fn fault_words(fault: &NodeFault) -> String {
    match fault {
        NodeFault::SyncStopped => "Rules stop syncing".to_owned(),
        NodeFault::SlowSync { milliseconds } => format!("Every sync takes {}", lag(*milliseconds)),
        NodeFault::RuleDeleted { service } => format!("The rules of Service {service} are deleted by hand"),
        NodeFault::StaleEndpoint { service } => {
            format!("A gone endpoint of Service {service} stays in the rules")
        }
    }
}

/// Faults and mode, with what is refused.
#[component]
fn Faults(name: Text, status: Memo<Option<NodeStatus>>) -> impl IntoView {
    let refused = RwSignal::new(None::<String>);
    let faults = Memo::new(move |_| {
        status.with(|status| status.as_ref().map(|status| status.faults.clone()).unwrap_or_default())
    });
    let node = name.clone();
    let send = Callback::new(move |faults: Vec<NodeFault>| {
        let node = node.clone();
        refused.set(None);
        spawn_local(async move { refused.set(set_faults(&node, &faults).await.err()) });
    });
    let off = move |fault: NodeFault| {
        let words = fault_words(&fault);
        let switch = move |_| {
            let rest = faults.get_untracked().into_iter().filter(|one| *one != fault).collect();
            send.run(rest);
        };
        view! {
            <li class="fault" data-testid="fault">
                <span>{words}</span><button type="button" class="btn" on:click=switch>"Switch off"</button>
            </li>
        }
    };
    let none = move || faults.with(Vec::is_empty);
    view! {
        <section data-testid="faults">
            <h2>"Faults"<span class="tag basis">"simulated"</span></h2>
            <ul class="plain">{move || faults.get().into_iter().map(off).collect_view()}</ul>
            <Show when=none><p class="muted">"None is on."</p></Show>
            <NewFault faults=faults send=send/>
            <ModeChoice name=name status=status refused=refused/>
            <div role="status">{move || refused.get().map(|why| view! { <p class="refused">{why}</p> })}</div>
        </section>
    }
}

/// The form that switches one more fault on.
#[component]
fn NewFault(faults: Memo<Vec<NodeFault>>, send: Callback<Vec<NodeFault>>) -> impl IntoView {
    let shell = shell();
    let kind = RwSignal::new(Kind::SyncStopped);
    let service = RwSignal::new(String::new());
    let milliseconds = RwSignal::new(SLOW_MS);
    let services = Memo::new(move |_| shell.store.state(proxied));
    let chosen = move || {
        let named = service.get();
        services.with(|all| all.iter().find(|key| key.to_string() == named).or(all.first()).cloned())
    };
    let choose = move |ev: leptos::ev::Event| {
        let id = event_target_value(&ev);
        kind.set(Kind::ALL.into_iter().find(|kind| kind.id() == id).unwrap_or(Kind::SyncStopped));
    };
    let add = move |_| {
        let Some(fault) = chosen().map(|key| kind.get().fault(key, milliseconds.get())) else { return };
        let mut all = faults.get_untracked();
        // There is one speed of sync.
        all.retain(|one| {
            std::mem::discriminant(one) != std::mem::discriminant(&fault) || kind.get().needs_service()
        });
        if !all.contains(&fault) {
            all.push(fault);
        }
        send.run(all);
    };
    let kinds = Kind::ALL.map(|kind| view! { <option value=kind.id()>{kind.words()}</option> });
    let options = move || {
        let names = services.get().into_iter().map(|key| key.to_string());
        names.map(|name| view! { <option value=name.clone()>{name.clone()}</option> }).collect_view()
    };
    let set_time = move |ev: leptos::ev::Event| {
        let seconds =
            event_target_value(&ev).parse::<f64>().unwrap_or(0.0).clamp(0.0, SLOWEST_MS as f64 / 1_000.0);
        milliseconds.set((seconds * 1_000.0) as u64);
    };
    view! {
        <div class="fault-form">
            <label><span class="unseen">"Fault"</span><select data-testid="fault-kind" on:change=choose>{kinds}</select></label>
            <Show when=move || kind.get().needs_service()>
                <label>"of "<select data-testid="fault-service" on:change=move |ev| service.set(event_target_value(&ev))>{options}</select></label>
            </Show>
            <Show when=move || kind.get() == Kind::SlowSync>
                <label>"taking "<input type="number" class="mono" min="0.1" max="600" step="0.1" data-testid="fault-seconds"
                    prop:value=(SLOW_MS as f64 / 1_000.0).to_string() on:input=set_time/>" s"</label>
            </Show>
            <button type="button" class="btn" data-testid="fault-on" on:click=add>"Switch on"</button>
        </div>
    }
}

/// In which mode the node's proxy goes on.
#[component]
fn ModeChoice(
    name: Text,
    status: Memo<Option<NodeStatus>>,
    refused: RwSignal<Option<String>>,
) -> impl IntoView {
    let mode = Memo::new(move |_| status.with(|status| status.as_ref().map(|status| status.mode)));
    let choose = move |ev: leptos::ev::Event| {
        let Ok(mode) = event_target_value(&ev).parse::<ProxyMode>() else { return };
        let node = name.clone();
        refused.set(None);
        spawn_local(async move { refused.set(set_mode(&node, mode).await.err()) });
    };
    let option = move |one: ProxyMode| {
        view! { <option value=one.to_string() prop:selected=move || mode.get() == Some(one)>{one.to_string()}</option> }
    };
    view! {
        <label class="fault-form">"Mode of this node's proxy "
            <select data-testid="node-mode" on:change=choose>{ProxyMode::ALL.map(option)}</select>
        </label>
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn status(lag_ms: u64, drift_count: usize, trouble: Option<&str>) -> NodeStatus {
        NodeStatus {
            node: "node-a".into(),
            basis: TrafficBasis::Simulated,
            mode: ProxyMode::Iptables,
            last_sync: None,
            lag_ms,
            connections: 0,
            faults: Vec::new(),
            drift: Vec::new(),
            drift_count,
            trouble: trouble.map(Into::into),
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_node_says_how_its_rules_stand() {
        for (status, mark, words) in [
            (status(0, 0, None), Mark::Ok, "up to date"),
            (status(300, 0, None), Mark::Warn, "a change is on its way"),
            (status(300, 1, None), Mark::Warn, "behind, 1 difference"),
            (status(0, 2, None), Mark::Bad, "2 differences"),
            (status(0, 0, Some("no answer")), Mark::Warn, "can't be read: no answer"),
        ] {
            assert_eq!(standing(&status), (mark, words.to_owned()));
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn times_in_words() {
        assert_eq!([0, 420, 12_000, 120_000].map(lag), ["none", "420 ms", "12 s", "2 min"]);
        assert_eq!(synced(&status(0, 0, None), Timestamp::UNIX_EPOCH), "never");
        let synced_then = NodeStatus { last_sync: Some(Timestamp::UNIX_EPOCH), ..status(0, 0, None) };
        assert_eq!(synced(&synced_then, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(3)), "3 s ago");
    }
}
