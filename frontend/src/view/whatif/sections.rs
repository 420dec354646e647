//! What else changes: connections that would not outlive it, rules of nodes, findings.

use leptos::prelude::*;
use vipscope_shared::diagnose::{Finding, Severity};
use vipscope_shared::whatif::difference::{
    BrokenConnections, Difference, End, Fate, FindingsChange, RuleLine, RulesChange,
};

use crate::ui::{Mark, MarkView};
use crate::whatif::place_of;
use crate::words;

/// Lines of a list at once.
const LISTED: usize = 50;

#[component]
pub fn Sections(difference: Difference) -> impl IntoView {
    let connections = (!difference.connections.is_empty()).then(|| connections(&difference.connections));
    let rules = (!difference.rules.is_empty()).then(|| rules(&difference.rules));
    let found = &difference.findings;
    let findings = (!(found.appeared.is_empty() && found.vanished.is_empty())).then(|| findings(found));
    view! { <div class="whatif-sections">{connections}{rules}{findings}</div> }
}

fn connections(broken: &[BrokenConnections]) -> AnyView {
    let line = |one: &BrokenConnections| {
        let (mark, word) = match one.end {
            End::Reset => (Mark::Bad, "reset"),
            End::TimeOut => (Mark::Bad, "time out"),
            End::Moved => (Mark::Warn, "move to another endpoint"),
            End::Unknown => (Mark::Warn, "not known"),
            End::Unpinned => (Mark::Warn, "affinity lets go"),
        };
        let (to, address) = place_of(&one.target);
        let pod = one.pod.as_ref().map(|pod| pod.name.to_string());
        let end = pod.or_else(|| one.endpoint.map(|end| end.to_string()));
        let end = end.map(|end| format!(" to {end}")).unwrap_or_default();
        let nodes = match one.nodes.as_slice() {
            [] => String::new(),
            nodes => format!(" through {}", nodes.join(", ")),
        };
        view! {
            <li class="line"><MarkView mark=mark label=""/>
                <span><b class="mono">{to}</b>{end}{nodes}" "<span class="faint mono">{address}</span>": "{word}", "<span class="muted">{one.reason.clone()}</span></span>
            </li>
        }
    };
    let lines = broken.iter().take(LISTED).map(line).collect_view();
    view! {
        <section data-testid="whatif-connections">
            <h3>{words::count(broken.len(), "kind of connection ends or moves", "kinds of connections end or move")}</h3>
            <ul class="plain">{lines}{rest(broken.len())}</ul>
        </section>
    }
    .into_any()
}

fn rest(count: usize) -> Option<AnyView> {
    let more = count.saturating_sub(LISTED);
    (more > 0).then(|| {
        view! { <li class="muted">{format!("and {} more", words::thousands(more as u64))}</li> }.into_any()
    })
}

fn rules(changes: &[RulesChange]) -> AnyView {
    let (added, removed) =
        changes.iter().fold((0, 0), |sum, change| (sum.0 + change.added, sum.1 + change.removed));
    let nodes: std::collections::BTreeSet<_> = changes.iter().map(|change| &change.node).collect();
    let title =
        format!("Rules of {}: {}", words::count(nodes.len(), "node", "nodes"), plus_minus(added, removed));
    let changes = changes.iter().take(LISTED).map(node_rules).collect_view();
    view! {
        <section data-testid="whatif-rules"><h3>{title}</h3><div class="whatif-nodes">{changes}</div></section>
    }
    .into_any()
}

fn plus_minus(added: usize, removed: usize) -> String {
    format!("+{} −{}", words::thousands(added as u64), words::thousands(removed as u64))
}

/// Its lines are made once it is opened.
fn node_rules(change: &RulesChange) -> AnyView {
    let mode = match (change.mode_before, change.mode_after) {
        (Some(before), Some(after)) if before == after => before.to_string(),
        (before, after) => {
            let word = |mode: Option<_>| {
                mode.map_or_else(
                    || "gone".to_owned(),
                    |mode: vipscope_shared::model::ProxyMode| mode.to_string(),
                )
            };
            format!("{} → {}", word(before), word(after))
        }
    };
    let title = format!("{} · {mode} · {}", change.node, change.family);
    let counts = plus_minus(change.added, change.removed);
    let opened = RwSignal::new(false);
    let lines = StoredValue::new(change.lines.clone());
    let hidden = (change.added + change.removed).saturating_sub(change.lines.len());
    let body = move || {
        opened.get().then(|| {
            let lines = lines.with_value(|lines| lines.iter().map(rule).collect_view());
            let more = (hidden > 0).then(|| view! { <li class="rule-note">{format!("and {} more", words::thousands(hidden as u64))}</li> });
            view! { <ul class="code mono diff">{lines}{more}</ul> }
        })
    };
    view! {
        <details class="whatif-node" on:toggle=move |_| opened.set(true)>
            <summary><span>{title}</span><b class="mono">{counts}</b></summary>
            {body}
        </details>
    }
    .into_any()
}

fn rule(line: &RuleLine) -> AnyView {
    let (sign, class) = match line.fate {
        Fate::Added => ("+", "diff-line added"),
        Fate::Removed => ("−", "diff-line removed"),
    };
    view! {
        <li class=class><span class="diff-sign">{sign}</span><span class="diff-part">{line.line.part.clone()}</span>" "<span>{line.line.text.clone()}</span></li>
    }
    .into_any()
}

fn findings(change: &FindingsChange) -> AnyView {
    let line = |finding: &Finding, word: &'static str| {
        let mark = match (word, finding.severity) {
            ("goes", _) => Mark::Ok,
            (_, Severity::Error) => Mark::Bad,
            (_, Severity::Warn) => Mark::Warn,
            (_, Severity::Info) => Mark::Off,
        };
        let (code, title) = (finding.code.to_string(), finding.title.to_string());
        let subject = finding.subject.to_string();
        view! {
            <li class="line"><MarkView mark=mark label=word/>
                <span><span class="faint">{word}</span>" "<b>{code}</b>" "{title}" "<span class="mono muted">{subject}</span></span>
            </li>
        }
        .into_any()
    };
    let appeared = change.appeared.iter().take(LISTED).map(|one| line(one, "comes"));
    let vanished = change.vanished.iter().take(LISTED).map(|one| line(one, "goes"));
    let lines = appeared.chain(vanished).collect_view();
    let title = format!("Findings: {}", plus_minus(change.appeared.len(), change.vanished.len()));
    let rest = rest(change.appeared.len().max(change.vanished.len()));
    view! { <section data-testid="whatif-findings"><h3>{title}</h3><ul class="plain">{lines}{rest}</ul></section> }
        .into_any()
}
