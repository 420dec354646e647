//! The findings: what is wrong with the cluster's Services, on what evidence, and what mends it.
//!
//! [`run`] works them out in the background; the screen shows them in groups of one check each, worst first; [`card`] is one
//! of them, also for the inspector's tab.

mod card;
mod filters;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::diagnose::{CHECKS, Code, How, Severity};
use vipscope_shared::scene::Target;

pub use card::{Cards, Naming, copied, evidence, severity_mark};
pub use run::{FindingsRun, findings_run};

use super::shell::{Shell, shell};
use crate::findings::{Filter, Findings, Group, Listed, Pressing, check_of, severity_word};
use crate::ui::MarkView;
use crate::view_state::Screen;
use crate::words;
use filters::FilterBar;

/// Findings shown at once; more on demand.
const PAGE: usize = 60;

/// The screen.
#[component]
pub fn FindingsScreen() -> impl IntoView {
    let shell = shell();
    let run = findings_run();
    let listed = Memo::new(move |_| {
        let findings = run.get()?;
        let namespaces = shell.namespaces.get();
        Some(Arc::new(shell.findings.with(|filter| findings.listed(filter, &namespaces))))
    });
    let limit = RwSignal::new(PAGE);
    // Another question starts at its beginning.
    Effect::new(move || {
        shell.findings.track();
        shell.namespaces.track();
        limit.set(PAGE);
    });
    let count = move || listed.with(|listed| listed.as_ref().map_or(0, |listed| listed.count));
    let hidden = move || count().saturating_sub(limit.get());
    view! {
        <div class="sheet findings" data-testid="findings">
            <FilterBar listed=listed/>
            <div class="scroll" tabindex="0" role="region" aria-label="Findings">
                {move || match listed.get() {
                    None => view! { <p class="muted pad" role="status">"Running the checks…"</p> }.into_any(),
                    Some(listed) if listed.count == 0 => view! { <Nothing listed=listed/> }.into_any(),
                    Some(_) => view! { <Groups listed=listed limit=limit/> }.into_any(),
                }}
                <Show when=move || { hidden() > 0 }>
                    <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                        {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
                    </button>
                </Show>
                <WhatRan/>
            </div>
        </div>
    }
}

/// The groups, cut off after `limit` findings.
#[component]
fn Groups(listed: Memo<Option<Arc<Listed>>>, limit: RwSignal<usize>) -> impl IntoView {
    let open = RwSignal::new(BTreeSet::new());
    let shown = Memo::new(move |_| {
        let mut left = limit.get();
        let mut groups: Vec<(Group, usize)> = Vec::new();
        for group in listed.get().iter().flat_map(|listed| &listed.groups) {
            if left == 0 {
                break;
            }
            let (mut part, all) = (group.clone(), group.entries.len());
            part.entries.truncate(left);
            left -= part.entries.len();
            groups.push((part, all));
        }
        groups
    });
    let keys =
        move || shown.with(|groups| groups.iter().map(|(g, _)| (g.code, g.severity)).collect::<Vec<_>>());
    view! {
        <For each=keys key=|key| *key let:key>
            <GroupView group=key shown=shown open=open/>
        </For>
    }
}

#[component]
fn GroupView(
    group: (Code, Severity),
    shown: Memo<Vec<(Group, usize)>>,
    open: RwSignal<BTreeSet<String>>,
) -> impl IntoView {
    let shell = shell();
    let (code, severity) = group;
    let check = check_of(code);
    let own = Memo::new(move |_| {
        shown.with(|groups| {
            let own = groups.iter().find(|(own, _)| (own.code, own.severity) == group);
            own.map(|(own, all)| (own.entries.clone(), *all)).unwrap_or_default()
        })
    });
    let entries = Memo::new(move |_| own.get().0);
    let count = move || own.with(|(_, all)| words::thousands(*all as u64));
    let only = move |_| shell.findings.update(|filter| filter.code = Some(code));
    let id = format!("check-{code}-{severity}");
    let named = id.clone();
    view! {
        <section class="finding-group" data-testid="finding-group" data-code=code.to_string() aria-labelledby=named>
            <header>
                <MarkView mark=severity_mark(severity) label=severity_word(severity)/>
                <h2 id=id>{check.map(|check| check.title)}</h2>
                <button type="button" class="chip small mono as-button" title="Show only this check" on:click=only>{code.to_string()}</button>
                <span class="finding-count">{count}</span>
            </header>
            <p class="finding-why">{check.map(|check| check.explanation)}</p>
            <Cards entries=entries open=open/>
        </section>
    }
}

/// Nothing is listed: because of the filters, or because nothing is wrong.
#[component]
fn Nothing(listed: Arc<Listed>) -> impl IntoView {
    let shell = shell();
    let others: usize = listed.severities.values().sum();
    let is_filtered = shell
        .findings
        .with(|filter| filter.code.is_some() || filter.about.is_some() || !filter.text.is_empty());
    let ran = findings_run().get().map_or(0, |findings| findings.ran());
    let ran = words::count(ran, "check", "checks");
    let (title, detail) = match (is_filtered, others) {
        (false, 0) => ("Nothing found", format!("{ran} ran over the cluster.")),
        (_, 0) => ("Nothing fits the filters", format!("{ran} ran over the cluster.")),
        (_, others) => (
            "Nothing of this severity",
            format!("{ran} ran; {} of another severity.", words::count(others, "finding is", "findings are")),
        ),
    };
    let show_all = move |_| {
        shell.findings.update(|filter| {
            *filter = Filter { severities: Severity::ALL.into(), ..Filter::default() };
        });
    };
    view! {
        <div class="blank finding-none" role="status">
            <h1>{title}</h1>
            <p class="muted">{detail}</p>
            {(is_filtered || others > 0).then(|| view! {
                <button type="button" class="btn" on:click=show_all>"Show all findings"</button>
            })}
        </div>
    }
}

/// Which checks ran, which were skipped for want of objects, and which are not done at all.
#[component]
fn WhatRan() -> impl IntoView {
    let run = findings_run();
    let line = move || {
        let findings = run.get()?;
        let skipped = findings.skipped.len();
        let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        Some(format!("{} ran{skipped}", words::count(findings.ran(), "check", "checks")))
    };
    let skipped = move || {
        let findings = run.get();
        let kinds = findings.iter().flat_map(|findings| findings.skipped_by_kind()).collect::<Vec<_>>();
        kinds.into_iter().map(|(kind, codes)| {
            let codes = codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            view! { <li><b>{format!("Skipped, no {} known: ", words::plural(kind))}</b><span class="mono">{codes}</span></li> }
        }).collect_view()
    };
    let out = || {
        let out = CHECKS.iter().filter_map(|check| match check.how {
            How::Out(why) => {
                Some(view! { <li><b class="mono">{check.code.to_string()}</b>" "{check.title}": "{why}</li> })
            }
            _ => None,
        });
        out.collect_view()
    };
    view! {
        <Show when=move || line().is_some()>
            <details class="finding-ran" data-testid="checks-ran">
                <summary>{line}</summary>
                <ul>{skipped}</ul>
                <p>"Not done, since what they need is not in the objects that are watched:"</p>
                <ul>{out()}</ul>
            </details>
        </Show>
    }
}

/// How many findings there are: errors and warnings, in the namespaces that are shown. Leads to the list.
#[component]
pub fn FindingsButton() -> impl IntoView {
    let shell = shell();
    let pressing = pressing(shell);
    let content = move || {
        let pressing = pressing.get()?;
        let count = pressing.count();
        let tone = if pressing.errors > 0 {
            "bad"
        } else if count > 0 {
            "warn"
        } else {
            "ok"
        };
        let word = if count == 1 { "finding" } else { "findings" };
        Some(
            view! { <b class=format!("finding-number {tone}")>{words::thousands(count as u64)}</b><span class="finding-word">{word}</span> },
        )
    };
    view! {
        <Show when=move || pressing.with(Option::is_some)>
            <button type="button" class="btn findings-open" data-testid="findings-open" title=move || pressing.get().map(words_of)
                on:click=move |_| shell.screen.set(Screen::Findings)>{content}</button>
        </Show>
    }
}

/// The badge on the rail; nothing if nothing presses.
#[component]
pub fn FindingsBadge() -> impl IntoView {
    let pressing = pressing(shell());
    move || {
        let pressing = pressing.get().filter(|pressing| pressing.count() > 0)?;
        let tone = if pressing.errors > 0 { "bad" } else { "warn" };
        let count = pressing.count();
        let short = if count > 99 { "99+".to_owned() } else { count.to_string() };
        Some(view! { <span class=format!("rail-badge {tone}") aria-hidden="true">{short}</span> })
    }
}

fn pressing(shell: Shell) -> Memo<Option<Pressing>> {
    let run = findings_run();
    Memo::new(move |_| shell.namespaces.with(|namespaces| run.pressing(namespaces)))
}

/// `2 errors, 1 warning, 5 notes`.
fn words_of(pressing: Pressing) -> String {
    let parts = [
        (pressing.errors, "error", "errors"),
        (pressing.warnings, "warning", "warnings"),
        (pressing.notes, "note", "notes"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| words::count(count, one, many))
        .collect();
    if parts.is_empty() { "Nothing found".to_owned() } else { parts.join(", ") }
}

/// Opens the list on everything about one thing.
pub fn list_about(shell: Shell, target: Target) {
    shell.findings.set(Filter::about(target));
    shell.screen.set(Screen::Findings);
}

/// How many findings concern a thing: what its tab says.
pub fn count_about(findings: &Findings, target: &Target) -> usize {
    findings.entries.iter().filter(|e| e.finding.suppressed.is_none() && e.concerns(target)).count()
}
