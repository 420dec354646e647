//! The rules that kube-proxy programs for a Service on a node of the reader's choice, worked out here, in the browser.
//!
//! [`reading`] has grouped and explained them; this binds that to the page and to the view state. Only so many lines are
//! shown at once, and what is not is counted.

use std::collections::BTreeSet;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, IpFamily, Key, ProxyMode, Text};
use vipscope_shared::proxy::reading::{
    self, Block, Choice, Line, LineId, NoRules, Reading, Role, Section, Stage, Token, View,
};
use vipscope_shared::proxy::{Rules as Ruleset, Scope, generate_for};
use wasm_bindgen::JsCast;

use super::node_basis::{BasisSwitch, OnNode, basis_tag, differences, line_note, on_node, wants_actual};
use crate::ui::Copy;
use crate::view::shell::shell;
use crate::view::trace_run::trace_run;
use crate::view_state::RulesBasis;
use crate::words;

/// Most lines of a stage at first, and how many more a click shows.
const LINES: usize = 80;
const MORE_LINES: usize = 200;

/// What the reader does with the panel, apart from the view state.
#[derive(Debug, Clone, Copy)]
struct Hands {
    /// Most lines of a stage.
    limit: RwSignal<usize>,
    /// The part that a link led to.
    focus: RwSignal<Option<Text>>,
    /// The part that must be shown, since a link led to it and the limit hid it.
    pinned: RwSignal<Option<Text>>,
    /// Whether every line has its words below it.
    explained: RwSignal<bool>,
    /// How the node's rules differ, while they are the ones that are looked at.
    drift: OnNode,
}

/// The panel. Lines that a traced packet went through are marked.
#[component]
pub fn Rules(key: Key, port: Option<Text>) -> impl IntoView {
    let shell = shell();
    let trace = trace_run();
    let service = key.clone();
    let choice = Memo::new(move |_| {
        let mut wanted = shell.rules.get();
        // On the node there are rules of its own mode only.
        wanted.mode = wanted.mode.filter(|_| !wants_actual(wanted.node.as_deref()));
        shell.store.state(|state| Some(reading::choose(state, state.services().get(&service)?, &wanted)))
    });
    let hands = Hands {
        limit: RwSignal::new(LINES),
        focus: RwSignal::new(None),
        pinned: RwSignal::new(None),
        explained: RwSignal::new(false),
        drift: on_node(key.clone(), choice),
    };
    let has_choice = Memo::new(move |_| choice.with(|choice| choice.as_ref().is_some_and(is_to_choose)));
    let basis = Memo::new(move |_| shell.store.state(words::ModeBasis::of));
    let traced = key.clone();
    let lit: Memo<BTreeSet<LineId>> = Memo::new(move |_| {
        choice.with(|choice| choice.as_ref().map(|choice| trace.lit(&traced, choice)).unwrap_or_default())
    });
    let rules = Memo::new(move |_| {
        let choice = choice.get()?;
        shell.store.state(|state| ruleset(state, &key, port.as_ref(), &choice))
    });
    let read = Memo::new(move |_| {
        let (limit, pinned) = (hands.limit.get(), hands.pinned.get());
        let read = |rules: &Ruleset| {
            lit.with(|lit| reading::read(rules, View { limit, focus: pinned.as_deref(), lit }))
        };
        rules.with(|rules| rules.as_ref().map(read))
    });
    let text = Callback::new(move |()| {
        rules.with_untracked(|rules| rules.as_ref().map(reading::native).unwrap_or_default())
    });
    view! {
        <section class="sec rules-head" data-testid="rules">
            <Show when=move || has_choice.get()><Choosers choice=choice basis=basis/></Show>
            <BasisSwitch choice=choice/>
            {move || choice.get().map(|choice| heading(&choice, basis.get(), hands))}
            {differences(hands.drift)}
            {move || read.with(|read| read.as_ref().map(summary))}
            <Show when=move || lit.with(|lit| !lit.is_empty())>
                <p class="rules-lit"><span class="rule lit" aria-hidden="true"></span>"Marked: what the traced packet goes through."</p>
            </Show>
            <Show when=move || read.with(Option::is_some)>
                <div class="rules-tools">
                    <button type="button" class="btn" aria-pressed=move || hands.explained.get().to_string()
                        on:click=move |_| hands.explained.update(|on| *on = !*on)>"Explain each line"</button>
                    <Copy text=text label="Copy"/>
                </div>
            </Show>
        </section>
        <div class="rules" class:explained=move || hands.explained.get()>
            {move || read.get().map(|read| read.sections.into_iter().map(|part| section(part, hands)).collect_view())}
        </div>
    }
}

fn ruleset(state: &ClusterState, key: &Key, port: Option<&Text>, choice: &Choice) -> Option<Ruleset> {
    if choice.problem.is_some() {
        return None;
    }
    let node = state.node(choice.node.as_deref()?)?;
    let service = state.services().get(key)?;
    let named = port.and_then(|id| service.ports.iter().find(|port| words::port_id(port) == *id));
    let scope = named.map_or(Scope::Service(key), |port| Scope::Port(key, &port.name));
    Some(generate_for(state, node, choice.family, choice.mode, scope))
}

/// Of a Service without rules on any node there is nothing to choose.
fn is_to_choose(choice: &Choice) -> bool {
    matches!(choice.problem, None | Some(NoRules::ServiceLacks(..) | NoRules::Node(_)))
}

/// Value and words of each thing to choose from.
type Options = Vec<(String, String)>;

/// Node, mode and family.
#[component]
fn Choosers(choice: Memo<Option<Choice>>, basis: Memo<words::ModeBasis>) -> impl IntoView {
    let shell = shell();
    let of = move |read: fn(&Choice) -> String| {
        Memo::new(move |_| choice.with(|choice| choice.as_ref().map(read).unwrap_or_default()))
    };
    let node = of(|choice| choice.node.as_deref().unwrap_or_default().to_owned());
    let mode = of(|choice| choice.mode.to_string());
    let family = of(|choice| choice.family.to_string());
    let nodes = Memo::new(move |_| node.with(|node| shell.store.state(|state| node_options(state, node))));
    let modes = Memo::new(move |_| {
        choice.with(|choice| choice.as_ref().map(|choice| mode_options(choice, basis.get())))
    });
    let families = Memo::new(move |_| choice.with(|choice| choice.as_ref().map(family_options)));
    let choose_node = move |name: String| shell.rules.update(|wanted| wanted.node = Some(name.into()));
    let choose_mode = move |name: String| {
        let configured = choice.with_untracked(|choice| choice.as_ref().map(|choice| choice.configured));
        let mode = name.parse().ok().filter(|mode| Some(*mode) != configured);
        if mode.is_some() {
            shell.basis.set(RulesBasis::Predicted);
        }
        shell.rules.update(|wanted| wanted.mode = mode);
    };
    let choose_family = move |name: String| {
        let first =
            choice.with_untracked(|choice| choice.as_ref().and_then(|one| one.families.first().copied()));
        let family = IpFamily::BOTH.into_iter().find(|family| family.as_str() == name);
        shell.rules.update(|wanted| wanted.family = family.filter(|family| Some(*family) != first));
    };
    view! {
        <div class="rules-choice">
            {chooser("Node", "node", move || nodes.get(), node, choose_node)}
            {chooser("Mode", "mode", move || modes.get().unwrap_or_default(), mode, choose_mode)}
            {chooser("Family", "family", move || families.get().unwrap_or_default(), family, choose_family)}
        </div>
    }
}

/// All nodes, and the chosen one if it is none of them.
fn node_options(state: &ClusterState, chosen: &str) -> Options {
    let name = |key: &Key| (key.name.to_string(), key.name.to_string());
    let mut names: Options = state.nodes().keys().map(name).collect();
    if !names.iter().any(|(name, _)| name == chosen) {
        names.push((chosen.to_owned(), format!("{chosen} (not there)")));
    }
    names
}

fn mode_options(choice: &Choice, basis: words::ModeBasis) -> Options {
    let words = |mode: ProxyMode| match (mode == choice.configured, mode, basis) {
        (true, _, words::ModeBasis::Configured) => format!("{mode} (configured)"),
        (true, _, words::ModeBasis::Assumed) => format!("{mode} (assumed)"),
        (false, ProxyMode::Userspace, _) => format!("{mode} (until 1.25)"),
        _ => mode.to_string(),
    };
    ProxyMode::ALL.iter().map(|&mode| (mode.to_string(), words(mode))).collect()
}

/// What there is to choose, and the chosen one if there are no rules of it.
fn family_options(choice: &Choice) -> Options {
    let plain = |family: &IpFamily| (family.to_string(), family.to_string());
    let mut families: Options = choice.families.iter().map(plain).collect();
    if !choice.families.contains(&choice.family) {
        families.push((choice.family.to_string(), format!("{} (not here)", choice.family)));
    }
    families
}

/// A choice of one among some.
fn chooser(
    label: &'static str,
    name: &'static str,
    options: impl Fn() -> Options + Send + 'static,
    chosen: Memo<String>,
    choose: impl Fn(String) + 'static,
) -> impl IntoView {
    let option = move |(value, words): (String, String)| {
        let own = value.clone();
        view! { <option value=value prop:selected=move || chosen.with(|chosen| *chosen == own)>{words}</option> }
    };
    view! {
        <label class="pick" data-pick=name>
            <span>{label}</span>
            <select data-testid=format!("rules-{name}") on:change=move |ev| choose(event_target_value(&ev))>
                {move || options().into_iter().map(option).collect_view()}
            </select>
        </label>
    }
}

/// Whose rules these are and what they rest on; or why there are none.
fn heading(choice: &Choice, basis: words::ModeBasis, hands: Hands) -> AnyView {
    if let Some(problem) = &choice.problem {
        return view! { <p data-testid="no-rules">{problem.to_string()}</p> }.into_any();
    }
    let node = choice.node.as_deref().unwrap_or_default().to_owned();
    let note = match (choice.mode, basis) {
        (ProxyMode::Userspace, _) => Some(
            "As kube-proxy 1.25 had it; the mode is gone since 1.26. The proxy port is a repeatable guess: the kernel picked it.",
        ),
        (_, words::ModeBasis::Assumed) => Some(
            "kube-proxy's ConfigMap is not to be seen: a stock kube-proxy with default settings is assumed.",
        ),
        _ => None,
    };
    let (word, about) = hands.drift.with(|drift| basis_tag(&node, drift));
    view! {
        <h2 class="rules-title">
            <span>{format!("{node} · {} · {}", choice.mode, choice.family)}</span>
            <span class="tag basis" data-testid="rules-basis" title=about>{word}</span>
        </h2>
        {note.map(|note| view! { <p class="muted">{note}</p> })}
    }
    .into_any()
}

fn summary(read: &Reading) -> AnyView {
    let own = [Stage::Dispatch, Stage::Service, Stage::Endpoints, Stage::Filter];
    if !read.sections.iter().any(|section| own.contains(&section.stage)) {
        return view! {
            <p data-testid="no-rules">"This mode has no rules for it: userspace mode knows neither SCTP nor Services without ports."</p>
        }
        .into_any();
    }
    let words = format!(
        "{} in {}, in the order in which a packet meets them.",
        words::count(read.lines, "line", "lines"),
        words::count(read.parts, "part", "parts")
    );
    view! { <p class="muted">{words}</p> }.into_any()
}

fn section(section: Section, hands: Hands) -> AnyView {
    let (stage, hidden) = (section.stage, section.hidden);
    let is_cut = section.blocks.iter().flat_map(|block| &block.lines).any(|line| line.cut > 0);
    // What several parts in a row have in common is said once.
    let mut said = Text::from("");
    let mut blocks = Vec::new();
    for part in section.blocks {
        let about = (part.about != said).then(|| part.about.clone());
        said = part.about.clone();
        blocks.push(block(part, about, hands));
    }
    let count = blocks.len() + hidden.parts;
    let more = (hidden.lines > 0 || is_cut).then(|| more(hidden, hands));
    let body = view! { {blocks.into_iter().collect_view()} {more} };
    match stage {
        Stage::Around => view! {
            <details class="sec rules-around">
                <summary><h2>{stage.title()}</h2><span class="faint">{words::count(count, "part", "parts")}</span></summary>
                <p class="muted">"The kernel's own chains, what is the same for every Service, and what is there for others."</p>
                {body}
            </details>
        }
        .into_any(),
        _ => view! { <section class="sec"><h2>{stage.title()}</h2>{body}</section> }.into_any(),
    }
}

fn more(hidden: reading::Hidden, hands: Hands) -> AnyView {
    let words = match (hidden.lines, hidden.parts) {
        (0, _) => "Long lists are cut short.".to_owned(),
        (lines, 0) => format!("{} not shown.", words::count(lines, "more line", "more lines")),
        (lines, parts) => format!(
            "{} not shown, {} of them wholly.",
            words::count(lines, "more line", "more lines"),
            words::count(parts, "part", "parts")
        ),
    };
    view! {
        <p class="rules-more" data-testid="rules-more">
            <span class="muted">{words}</span>
            <button type="button" class="btn" on:click=move |_| hands.limit.update(|limit| *limit += MORE_LINES)>
                "Show more"
            </button>
        </p>
    }
    .into_any()
}

fn block(block: Block, about: Option<Text>, hands: Hands) -> AnyView {
    let part = block.part.clone();
    let is_on = move || hands.focus.with(|focus| focus.as_ref() == Some(&part));
    let place = if block.table.is_empty() { None } else { Some(format!("table {}", block.table)) };
    let mut comment = None;
    let mut lines = Vec::new();
    for each in block.lines {
        let is_new = each.comment.is_some() && each.comment != comment;
        comment = each.comment.clone();
        lines.push(line(each, is_new, hands));
    }
    let hidden = (block.hidden > 0)
        .then(|| format!("… and {}", words::count(block.hidden, "more line", "more lines")));
    let idle = (block.idle > 0).then(|| {
        format!("{} left out: no packet for it gets there", words::count(block.idle, "line", "lines"))
    });
    let note = |text: String| view! { <li class="rule-note">{text}</li> };
    view! {
        <article class="part" class:on=is_on id=dom_id(&block.part) tabindex="-1" data-part=block.part.to_string()>
            <header title=block.about.to_string()>
                <span class="faint">{block.kind.as_str()}</span>
                <b class="mono">{block.name.to_string()}</b>
                {place.map(|place| view! { <span class="part-place faint">{place}</span> })}
            </header>
            {about.map(|about| view! { <p class="part-about">{about.to_string()}</p> })}
            {block.declaration.map(|text| view! { <p class="part-type mono">{text.to_string()}</p> })}
            <ol class="code rule-lines">{lines.into_iter().collect_view()}{hidden.map(note)}{idle.map(note)}</ol>
        </article>
    }
    .into_any()
}

fn line(line: Line, shows_comment: bool, hands: Hands) -> AnyView {
    let comment = line.comment.as_ref().filter(|_| shows_comment).map(|comment| {
        let title = comment.about.to_string();
        view! { <span class="rule-comment" title=title>{format!("# {}", comment.text)}</span> }
    });
    // Where the comment says where it leads, that is enough.
    let says_so =
        |to: &Text| shows_comment && line.comment.as_ref().is_some_and(|said| said.text.ends_with(&**to));
    let leads_to = line.leads_to.as_ref().filter(|to| !says_so(to));
    let leads_to = leads_to.map(|to| view! { " "<span class="rule-leads">{format!("→ {to}")}</span> });
    let phrase = |words: Vec<Token>| {
        let words = words.into_iter().map(|word| view! { {token(word, hands)}" " }).collect_view();
        view! { <span class="rule-phrase">{words}</span>" " }
    };
    let words = phrases(line.words).into_iter().map(phrase).collect_view();
    let cut =
        (line.cut > 0).then(|| view! { <span class="rule-cut">{format!("… and {} more", line.cut)}</span> });
    let (differs, note) = line_note(hands.drift, &line.id).unzip();
    view! {
        <li class="rule" class:lit=line.is_lit data-differs=differs>
            {note}
            {comment}
            <span class="rule-text" title=line.about.to_string()>{words}{cut}{leads_to}</span>
            <span class="rule-about">{line.about.to_string()}</span>
        </li>
    }
    .into_any()
}

/// Words that are better not parted at the end of a line: a flag and its argument, a jump and its chain, an item of a
/// list in braces.
fn phrases(words: Vec<Token>) -> Vec<Vec<Token>> {
    let mut phrases: Vec<Vec<Token>> = Vec::new();
    let mut is_listing = false;
    for word in words {
        is_listing = &*word.text != "}" && (is_listing || &*word.text == "{");
        let before = phrases.last().and_then(|phrase| phrase.last());
        let follows = before.is_some_and(|before| match &*before.text {
            "{" | "," => false,
            "!" | "goto" | "jump" | "vmap" | "." => true,
            _ if is_listing => &*word.text != "{",
            _ => before.role == Role::Flag && word.role != Role::Flag && &*word.text != "!",
        });
        match phrases.last_mut().filter(|_| follows) {
            Some(phrase) => phrase.push(word),
            None => phrases.push(vec![word]),
        }
    }
    phrases
}

fn token(word: Token, hands: Hands) -> AnyView {
    let text = word.text.to_string();
    let class = match word.role {
        Role::Part(part) => {
            let title = format!("Show {part}");
            return view! {
                <button type="button" class="link rule-part" title=title on:click=move |_| go_to(part.clone(), hands)>
                    {text}
                </button>
            }
            .into_any();
        }
        Role::Plain => return text.into_any(),
        Role::Flag => "rule-flag",
        Role::Address => "rule-address",
        Role::Number => "rule-number",
        Role::Verdict => "rule-verdict",
    };
    view! { <span class=class>{text}</span> }.into_any()
}

fn dom_id(part: &str) -> String {
    format!("rules {part}")
}

/// Shows a part, which may be beyond the limit.
fn go_to(part: Text, hands: Hands) {
    hands.focus.set(Some(part.clone()));
    if document().get_element_by_id(&dom_id(&part)).is_none() {
        hands.pinned.set(Some(part.clone()));
    }
    request_animation_frame(move || {
        let Some(element) = document().get_element_by_id(&dom_id(&part)) else { return };
        if let Ok(Some(around)) = element.closest("details") {
            let _ = around.set_attribute("open", "");
        }
        element.scroll_into_view();
        if let Ok(element) = element.dyn_into::<web_sys::HtmlElement>() {
            let _ = element.focus();
        }
    });
}
