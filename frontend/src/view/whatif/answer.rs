//! What the edits would do: the table of flows that change, in groups that unfold, the gravest first, then connections, rules and
//! findings.

use std::collections::BTreeSet;

use leptos::prelude::*;
use vipscope_shared::scene::Target;
use vipscope_shared::whatif::difference::{Difference, Grade};

use super::run::{Moment, Outcome, whatif};
use super::sections::Sections;
use crate::ui::{Mark, MarkView};
use crate::view::shell::shell;
use crate::whatif::{Band, Cell, GroupRow, PartRow, Row, chip, group_rows, rows};
use crate::words;

/// Rows shown at once; more on demand.
const PAGE: usize = 60;

/// Which of its faces the pane shows.
#[derive(Debug, Clone, PartialEq)]
enum Face {
    NoEdits,
    BadLink(String),
    Waiting,
    Refused(usize, String),
    Answer,
}

#[component]
pub fn AnswerPane() -> impl IntoView {
    let whatif = whatif();
    let shell = shell();
    let face = Memo::new(move |_| {
        let count = shell.plan.with(|plan| plan.edits().len());
        whatif.outcome.with(|outcome| match outcome {
            Outcome::Nothing if count == 0 => whatif.bad_link.get().map_or(Face::NoEdits, Face::BadLink),
            Outcome::Nothing => Face::Waiting,
            Outcome::Refused { index, reason } => Face::Refused(*index, reason.clone()),
            Outcome::Answer(_) => Face::Answer,
        })
    });
    let body = move || {
        match face.get() {
        Face::NoEdits => view! {
            <p class="whatif-words">"Nothing is asked yet. Choose “+ edit”, or “What if…” in the inspector of a pod, a node or a Service."</p>
        }
        .into_any(),
        Face::BadLink(problem) => view! {
            <div class="whatif-refused" role="alert" data-testid="whatif-bad-link">
                <MarkView mark=Mark::Bad label=""/><p>{problem}</p>
            </div>
        }
        .into_any(),
        Face::Waiting => view! { <p class="whatif-words muted">"Working it out…"</p> }.into_any(),
        Face::Refused(index, reason) => refused(index, &reason),
        Face::Answer => view! { <Answered/> }.into_any(),
    }
    };
    // What stands there answers the question before.
    let busy = move || whatif.busy.get().to_string();
    view! { <div class="whatif-answer" data-testid="whatif-answer" aria-busy=busy>{body}</div> }
}

fn refused(index: usize, reason: &str) -> AnyView {
    let edit = shell().plan.with(|plan| plan.edits().get(index).map(chip));
    let (plain, bold) = edit.unwrap_or_default();
    view! {
        <div class="whatif-refused" role="alert" data-testid="whatif-refused">
            <MarkView mark=Mark::Bad label=""/>
            <p><b>{format!("{plain} {bold}")}</b>" is refused: "<span>{reason.to_owned()}</span></p>
        </div>
    }
    .into_any()
}

/// The lists follow the answer; what is the same in it stays as it is on the page.
#[component]
fn Answered() -> impl IntoView {
    let shell = shell();
    let whatif = whatif();
    let groups = Memo::new(move |_| {
        whatif.outcome.with(|outcome| match outcome {
            Outcome::Answer(answer) => {
                let rows = shell.store.peek(|data| rows(&data.state, &answer.difference));
                group_rows(&answer.difference, &rows)
            }
            _ => Vec::new(),
        })
    });
    let is_empty = Memo::new(move |_| groups.with(Vec::is_empty));
    let rest = Memo::new(move |_| {
        whatif.outcome.with(|outcome| match outcome {
            Outcome::Answer(answer) => {
                let Difference { connections, rules, findings, .. } = &answer.difference;
                let (connections, rules, findings) = (connections.clone(), rules.clone(), findings.clone());
                Difference { connections, rules, findings, ..Difference::default() }
            }
            _ => Difference::default(),
        })
    });
    let table = move || {
        match is_empty.get() {
        true => view! { <p class="whatif-words" data-testid="whatif-nothing">"Nothing changes for anyone: every flow goes where it goes now."</p> }.into_any(),
        false => view! { <FlowTable groups=groups.into()/> }.into_any(),
    }
    };
    view! {
        {table}
        {move || view! { <Sections difference=rest.get()/> }}
    }
}

/// Flows that differ, in groups.
#[component]
pub fn FlowTable(groups: Signal<Vec<GroupRow>>) -> impl IntoView {
    let limit = RwSignal::new(PAGE);
    let opened = Opened { groups, group: RwSignal::new(BTreeSet::new()), flow: RwSignal::new(None) };
    let shown = move || groups.with(|groups| groups.iter().take(limit.get()).cloned().collect::<Vec<_>>());
    let hidden = move || groups.with(Vec::len).saturating_sub(limit.get());
    view! {
        <table class="flows" data-testid="flows">
            <thead><tr>
                <th scope="col">"who"</th><th scope="col">"to"</th><th scope="col">"before"</th>
                <th scope="col">"after"</th><th scope="col">"why"</th>
            </tr></thead>
            <tbody><For each=shown key=GroupRow::id let(row)>{group(row, opened)}</For></tbody>
        </table>
        <Show when=move || { hidden() > 0 }>
            <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
            </button>
        </Show>
    }
}

/// What of a table is unfolded.
#[derive(Clone, Copy)]
struct Opened {
    groups: Signal<Vec<GroupRow>>,
    /// By [`GroupRow::id`].
    group: RwSignal<BTreeSet<String>>,
    flow: RwSignal<Option<String>>,
}

impl Opened {
    /// The newest flows of a group.
    fn rows(self, id: &str) -> Vec<Row> {
        self.groups.with(|groups| {
            let found = groups.iter().find(|group| group.id() == id);
            found.map(|group| group.rows.clone()).unwrap_or_default()
        })
    }
}

/// One line that unfolds to its flows.
fn group(row: GroupRow, opened: Opened) -> impl IntoView {
    let shell = shell();
    let (mark, word) = grade_mark(row.grade);
    let grade = format!("{:?}", row.grade).to_lowercase();
    let id = StoredValue::new(row.id());
    let is_open = Memo::new(move |_| id.with_value(|id| opened.group.with(|open| open.contains(id))));
    let service = row.service.clone();
    let click = move |_| {
        let id = id.get_value();
        opened.group.update(|open| {
            if !open.remove(&id) {
                open.insert(id);
            }
        });
        if let Some(service) = &service {
            shell.select(Some(Target::Service(service.clone())));
        }
    };
    let namespace = row.service.as_ref().map(|key| key.namespace.to_string());
    let count = words::count(row.rows.len(), "flow", "flows");
    let (first, more) =
        row.parts.split_first().map(|(first, more)| (first.clone(), more)).unwrap_or_default();
    let height = (more.len() + 1).to_string();
    let more = more.iter().map(part).collect_view();
    view! {
        <tr class="flow-group" class:on=is_open data-grade=grade>
            <th scope="row">
                <button type="button" class="link flow-who" aria-expanded=move || is_open.get().to_string() on:click=click>
                    <MarkView mark=mark label=word/><span>{first.who}</span>
                </button>
            </th>
            <td><b>{row.what}</b>" "<span class="faint">{namespace}</span>{places(&first.to)}</td>
            <td colspan="2" rowspan=height.clone() class="flow-change">
                <span class=format!("flow-words {}", row.tone.as_str())>{row.change}</span>
                <span class="flow-place">{row.failing}</span>
                <span class="flow-place">{count}</span>
            </td>
            <td rowspan=height class="flow-why">{row.why}</td>
        </tr>
        {more}
        {move || is_open.get().then(|| view! { <Unfolded id=id.get_value() opened=opened/> })}
    }
}

/// Who else, and where to.
fn part(part: &PartRow) -> impl IntoView + use<> {
    view! { <tr class="flow-part"><th scope="row">{part.who.clone()}</th><td>{places(&part.to)}</td></tr> }
}

fn places(to: &[String]) -> impl IntoView + use<> {
    to.iter().map(|to| view! { <span class="flow-place">{to.clone()}</span> }).collect_view()
}

/// The flows of a group.
#[component]
fn Unfolded(id: String, opened: Opened) -> impl IntoView {
    let rows = Memo::new(move |_| opened.rows(&id));
    let limit = RwSignal::new(PAGE);
    let shown = move || rows.with(|rows| rows.iter().take(limit.get()).cloned().collect::<Vec<_>>());
    let hidden = move || rows.with(Vec::len).saturating_sub(limit.get());
    view! {
        <For each=shown key=|row| format!("{row:?}") let(row)>{line(row, opened.flow)}</For>
        <Show when=move || { hidden() > 0 }>
            <tr class="flow-more"><td colspan="5">
                <button type="button" class="btn" on:click=move |_| limit.update(|limit| *limit += PAGE)>
                    {move || format!("Show more ({} not shown)", words::thousands(hidden() as u64))}
                </button>
            </td></tr>
        </Show>
    }
}

fn grade_mark(grade: Grade) -> (Mark, &'static str) {
    match grade {
        Grade::Lost => (Mark::Bad, "breaks"),
        Grade::Degraded => (Mark::Warn, "gets worse"),
        Grade::Moved => (Mark::Off, "goes elsewhere"),
        Grade::Gained => (Mark::Ok, "works again"),
    }
}

fn line(row: Row, open: RwSignal<Option<String>>) -> impl IntoView {
    let shell = shell();
    let (mark, word) = grade_mark(row.grade);
    let grade = format!("{:?}", row.grade).to_lowercase();
    let id = StoredValue::new(format!("{} {} {}", row.who, row.to, row.address));
    let is_open = move || id.with_value(|id| open.with(|open| open.as_ref() == Some(id)));
    let service = row.service.clone();
    let click = move |_| {
        let next = (!untrack(is_open)).then(|| id.get_value());
        open.set(next);
        if let Some(service) = &service {
            shell.select(Some(Target::Service(service.clone())));
        }
    };
    let namespace = row.service.as_ref().map(|key| key.namespace.to_string());
    let (who, to, address, why) = (row.who.clone(), row.to.clone(), row.address.clone(), row.why.clone());
    let (before, after) = (cell(&row.before), cell(&row.after));
    let detail = StoredValue::new(row);
    view! {
        <tr class="flow" class:on=is_open data-grade=grade>
            <th scope="row">
                <button type="button" class="link flow-who" aria-expanded=move || is_open().to_string() on:click=click>
                    <MarkView mark=mark label=word/><span>{who}</span>
                </button>
            </th>
            <td><span class="mono">{to}</span><span class="flow-place">{namespace}" "<span class="mono">{address}</span></span></td>
            <td class="flow-before">{before}</td>
            <td class="flow-after">{after}</td>
            <td class="flow-why">{why}</td>
        </tr>
        <Show when=is_open>
            <tr class="flow-more"><td colspan="5">{move || detail.with_value(more)}</td></tr>
        </Show>
    }
}

/// A bar and its words.
fn cell(cell: &Cell) -> impl IntoView + use<> {
    let band = |band: &Band| {
        let width = format!("{:.2}%", band.part.clamp(0.0, 1.0) * 100.0);
        view! { <i class=band.look.clone() style:width=width></i> }
    };
    let title = cell.lines.iter().map(|(share, who)| format!("{share} {who}")).collect::<Vec<_>>().join("\n");
    view! {
        <div class="flow-cell" title=title>
            <span class="bands" aria-hidden="true">{cell.bands.iter().map(band).collect_view()}</span>
            <span class=format!("flow-words {}", cell.tone.as_str())>{cell.words.clone()}</span>
        </div>
    }
}

/// Who gets which share, before and after, and a way to follow one packet.
fn more(row: &Row) -> AnyView {
    let shell = shell();
    let list = |name: &'static str, cell: &Cell| {
        let lines = cell.lines.iter().map(|(share, who)| {
            view! { <li><span class="mono flow-share">{share.clone()}</span><span>{who.clone()}</span></li> }
        });
        let lines = lines.collect_view();
        let none = cell.lines.is_empty().then(|| view! { <p class="muted">"nothing"</p> });
        view! { <section><h3>{name}</h3><ul>{lines}</ul>{none}</section> }
    };
    let (before, after) = (list("before", &row.before), list("after", &row.after));
    let trace = row.trace.clone().map(|traced| {
        let title = format!("{} → {}", traced.from, traced.to);
        let follow = move |_| shell.follow(traced.clone());
        view! {
            <button type="button" class="btn" data-testid="flow-trace" title=title on:click=follow>"Trace this, as it is now"</button>
        }
    });
    view! { <div class="flow-detail" data-testid="flow-detail">{before}{after}<div>{trace}</div></div> }
        .into_any()
}

/// `now` or `after`: which cluster the map shows.
#[component]
pub fn MomentSwitch() -> impl IntoView {
    let whatif = whatif();
    let has_after = move || whatif.outcome.with(|outcome| outcome.after().is_some());
    let one = move |moment: Moment, words: &'static str| {
        view! {
            <button type="button" data-moment=words aria-pressed=move || (whatif.moment.get() == moment).to_string()
                on:click=move |_| whatif.moment.set(moment)>{words}</button>
        }
    };
    view! {
        <Show when=has_after>
            <div class="moment" data-testid="moment" class:hypothetical=move || whatif.moment.get() == Moment::After>
                <div class="switch" role="group" aria-label="The map shows">
                    {one(Moment::Before, "before")}{one(Moment::After, "after")}
                </div>
                <span>{move || match whatif.moment.get() {
                    Moment::Before => "the cluster as it is; ghosts would come and go",
                    Moment::After => "hypothetical: the cluster with your edits",
                }}</span>
            </div>
        </Show>
    }
}
