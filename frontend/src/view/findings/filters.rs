//! The bar above the list: namespaces, severities, one check, one thing, text, suppressed ones. All of it is in the URL.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::diagnose::Severity;

use super::card::severity_mark;
use crate::findings::{Listed, Suppressed, check_of};
use crate::ui::{Icon, IconView, MarkView};
use crate::view::map::NamespaceFilter;
use crate::view::shell::shell;
use crate::words;

/// The filters.
#[component]
pub fn FilterBar(listed: Memo<Option<Arc<Listed>>>) -> impl IntoView {
    let shell = shell();
    let severities = [Severity::Error, Severity::Warn, Severity::Info];
    let typed = move |ev| shell.findings.update(|filter| filter.text = event_target_value(&ev));
    view! {
        <div class="sheet-bar finding-bar" role="search" aria-label="Filter the findings">
            <NamespaceFilter/>
            <div class="finding-severities" role="group" aria-label="Severity">
                {severities.map(|severity| view! { <SeverityToggle severity=severity listed=listed/> })}
            </div>
            <CheckSelect listed=listed/>
            <input class="field-input" type="search" data-testid="findings-text" placeholder="Filter by text" aria-label="Filter by text"
                autocomplete="off" spellcheck="false" prop:value=move || shell.findings.with(|filter| filter.text.clone()) on:input=typed/>
            <SuppressedToggle listed=listed/>
            <About/>
        </div>
    }
}

#[component]
fn SeverityToggle(severity: Severity, listed: Memo<Option<Arc<Listed>>>) -> impl IntoView {
    let shell = shell();
    let name = match severity {
        Severity::Error => "errors",
        Severity::Warn => "warnings",
        Severity::Info => "notes",
    };
    let count = move || {
        listed.with(|listed| {
            let count = listed.as_ref()?.severities.get(&severity).copied().unwrap_or_default();
            Some(words::thousands(count as u64))
        })
    };
    let is_on = move || shell.findings.with(|filter| filter.severities.contains(&severity));
    let toggle = move |_| {
        shell.findings.update(|filter| {
            if !filter.severities.remove(&severity) {
                filter.severities.insert(severity);
            }
        });
    };
    view! {
        <button type="button" class="btn" data-severity=severity.as_str() aria-pressed=move || is_on().to_string() on:click=toggle>
            <MarkView mark=severity_mark(severity) label=""/>{name}" "<span class="muted">{count}</span>
        </button>
    }
}

#[component]
fn CheckSelect(listed: Memo<Option<Arc<Listed>>>) -> impl IntoView {
    let shell = shell();
    // The chosen one is offered even if nothing has it (any more).
    let codes = Memo::new(move |_| {
        let mut codes =
            listed.with(|listed| listed.as_ref().map(|listed| listed.codes.clone()).unwrap_or_default());
        if let Some(code) = shell.findings.with(|filter| filter.code) {
            codes.entry(code).or_default();
        }
        codes
    });
    let options = move || {
        let chosen = shell.findings.with(|filter| filter.code);
        let one = |(code, count): (_, usize)| {
            let title = check_of(code).map_or("", |check| check.title);
            view! {
                <option value=code.to_string() selected=chosen == Some(code)>{format!("{code} {title} ({count})")}</option>
            }
        };
        codes.get().into_iter().map(one).collect_view()
    };
    let choose = move |ev| {
        let code = event_target_value(&ev).parse().ok();
        shell.findings.update(|filter| filter.code = code);
    };
    view! {
        <select class="field-input" data-testid="findings-check" aria-label="Check" on:change=choose>
            <option value="" selected=move || shell.findings.with(|filter| filter.code.is_none())>"All checks"</option>
            {options}
        </select>
    }
}

#[component]
fn SuppressedToggle(listed: Memo<Option<Arc<Listed>>>) -> impl IntoView {
    let shell = shell();
    let count = move || listed.with(|listed| listed.as_ref().map_or(0, |listed| listed.suppressed));
    let is_on = move || shell.findings.with(|filter| filter.suppressed == Suppressed::Shown);
    let toggle = move |_| {
        shell.findings.update(|filter| {
            filter.suppressed = match filter.suppressed {
                Suppressed::Hidden => Suppressed::Shown,
                Suppressed::Shown => Suppressed::Hidden,
            }
        });
    };
    view! {
        <button type="button" class="btn" data-testid="findings-suppressed" aria-pressed=move || is_on().to_string()
            title="Those that an annotation vipscope.dev/ignore leaves out" on:click=toggle>
            "suppressed "<span class="muted">{move || words::thousands(count() as u64)}</span>
        </button>
    }
}

/// The one thing that the list is about, if it is about one.
#[component]
fn About() -> impl IntoView {
    let shell = shell();
    let target = move || shell.findings.with(|filter| filter.about.as_ref().map(ToString::to_string));
    let clear = move |_| shell.findings.update(|filter| filter.about = None);
    move || {
        target().map(|target| {
            view! {
                <span class="chip finding-about" data-testid="findings-about">
                    "about "<b class="mono">{target}</b>
                    <button type="button" class="bare" aria-label="About everything" title="About everything" on:click=clear>
                        <IconView icon=Icon::Close/>
                    </button>
                </span>
            }
        })
    }
}
