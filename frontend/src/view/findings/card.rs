//! One finding: its subject, what is wrong, and on demand the evidence and what mends it. Commands are there to be copied,
//! never run. Everything is text of the cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::diagnose::{Evidence, Finding, Fix, Severity, Suppression};
use vipscope_shared::model::ObjectRef;
use vipscope_shared::scene::Target;

use crate::findings::{Entry, target_of};
use crate::ui::{Copy, Mark, MarkView};
use crate::view::links::TargetLink;
use crate::view::shell::{Shell, shell};
use crate::view_state::{Screen, Tab};

/// The shape that stands for a severity.
pub fn severity_mark(severity: Severity) -> Mark {
    match severity {
        Severity::Error => Mark::Bad,
        Severity::Warn => Mark::Warn,
        Severity::Info => Mark::Off,
    }
}

/// Cards that stay as they are, open ones open, while the report changes around them. `open` holds [`name_of`] those that
/// are.
#[component]
pub fn Cards(
    #[prop(into)] entries: Signal<Vec<Arc<Entry>>>,
    open: RwSignal<BTreeSet<String>>,
    /// With mark, code and title: where the group does not say it.
    #[prop(default = Naming::Subject)]
    naming: Naming,
) -> impl IntoView {
    // Its whole text is the key: a card whose words change is a new one.
    let key = |entry: &Arc<Entry>| format!("{:?}", entry.finding);
    view! {
        <ul class="cards">
            <For each=move || entries.get() key=key let:entry>
                <Card entry=entry open=open naming=naming/>
            </For>
        </ul>
    }
}

/// What a card is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    Subject,
    /// In the inspector of the subject.
    Title,
}

/// By which an open card is known again.
fn name_of(finding: &Finding) -> String {
    format!("{} {}", finding.code, finding.subject)
}

#[component]
fn Card(entry: Arc<Entry>, open: RwSignal<BTreeSet<String>>, naming: Naming) -> impl IntoView {
    let finding = entry.finding.clone();
    let name = name_of(&finding);
    let is_open = open.with_untracked(|open| open.contains(&name));
    // Most are never opened.
    let shown = RwSignal::new(is_open);
    let own = entry.clone();
    let inside =
        move || shown.get().then(|| view! { {evidence(&own.finding.evidence)}{fix(&own.finding.fix)} });
    let toggled = move |ev: leptos::ev::Event| {
        let is_open = event_target::<web_sys::Element>(&ev).has_attribute("open");
        shown.set(is_open);
        open.update_untracked(|open| {
            if is_open {
                open.insert(name.clone())
            } else {
                open.remove(&name)
            };
        });
    };
    let suppressed = finding.suppressed.map(|by| {
        let (word, title) = suppressed_words(by);
        view! { <span class="tag" title=title>{word}</span> }
    });
    let head = match naming {
        Naming::Subject => subject(&finding.subject, entry.target.as_ref()),
        Naming::Title => view! {
            <MarkView mark=severity_mark(finding.severity) label=finding.severity.as_str()/>
            <b>{finding.title.to_string()}</b>
            <span class="faint mono">{finding.code.to_string()}</span>
        }
        .into_any(),
    };
    let on_map = entry
        .target
        .clone()
        .filter(|_| naming == Naming::Subject)
        .map(|target| view! { <OnMap target=target/> });
    view! {
        <li class="card" class:is-suppressed=finding.suppressed.is_some() data-testid="finding" data-code=finding.code.to_string()
            data-subject=finding.subject.to_string()>
            <div class="card-head">{head}{suppressed}{on_map}</div>
            <p class="card-message">{finding.message.clone()}</p>
            <details open=is_open on:toggle=toggled>
                <summary>"Evidence and fix"</summary>
                {inside}
            </details>
        </li>
    }
}

fn suppressed_words(by: Suppression) -> (&'static str, &'static str) {
    match by {
        Suppression::Annotation => {
            ("suppressed by annotation", "The object's annotation vipscope.dev/ignore names this check")
        }
        Suppression::Flag => ("suppressed", "Whoever asked for the findings left this check out"),
    }
}

fn subject(object: &ObjectRef, target: Option<&Target>) -> AnyView {
    let kind = view! { <span class="faint">{object.kind.to_string()}</span> };
    let namespace = object.key.namespace.to_string();
    let name = object.key.name.to_string();
    let name = match target {
        Some(target) => view! { <TargetLink target=target.clone() text=name/> }.into_any(),
        None => view! { <span>{name}</span> }.into_any(),
    };
    view! { {kind}<b class="card-name">{name}</b><span class="faint mono">{namespace}</span> }.into_any()
}

/// Leads to the subject: selected, on the map, with its findings beside it.
#[component]
fn OnMap(target: Target) -> impl IntoView {
    let shell = shell();
    view! {
        <button type="button" class="btn card-map" data-testid="show-on-map" on:click=move |_| show_on_map(shell, &target)>
            "Show on map"
        </button>
    }
}

fn show_on_map(shell: Shell, target: &Target) {
    shell.select(Some(target.clone()));
    shell.tab.set(Some(Tab::Findings));
    shell.camera.set(None);
    shell.screen.set(Screen::Map);
}

/// Object, field and value of everything that the finding rests on.
pub fn evidence(evidence: &[Evidence]) -> AnyView {
    let shell = shell();
    let row = |evidence: &Evidence| {
        let text = evidence.object.to_string();
        let target = shell.store.peek(|data| target_of(&data.state, &evidence.object));
        let object = match target {
            Some(target) => view! { <TargetLink target=target text=text/> }.into_any(),
            None => text.into_any(),
        };
        view! {
            <tr>
                <th scope="row">{object}</th>
                <td class="mono">{evidence.field.to_string()}</td>
                <td class="mono">{evidence.value.to_string()}</td>
            </tr>
        }
    };
    if evidence.is_empty() {
        return ().into_any();
    }
    view! {
        <table class="evidence">
            <thead><tr><th scope="col">"Object"</th><th scope="col">"Field"</th><th scope="col">"Value"</th></tr></thead>
            <tbody>{evidence.iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

fn fix(fix: &Fix) -> AnyView {
    let commands = fix.kubectl.iter().map(|command| copied(command, "Copy the command")).collect_view();
    let manifest = fix.manifest.as_ref().map(|manifest| copied(manifest, "Copy the manifest"));
    let advice = fix.advice.clone();
    view! { <p class="card-advice"><b>"Fix: "</b>{advice}</p>{commands}{manifest} }.into_any()
}

/// Text to take away, with the button that does it.
pub fn copied(text: &str, label: &'static str) -> AnyView {
    let (shown, copy) = (text.to_owned(), text.to_owned());
    let copy = Callback::new(move |()| copy.clone());
    view! {
        <div class="copied" role="group" aria-label=label>
            <pre class="code mono" tabindex="0">{shown}</pre>
            <Copy text=copy label="Copy"/>
        </div>
    }
    .into_any()
}
