//! "Why not there?": the endpoint ladder of a Service, to one pod, from one node. Each rung with its evidence and the command
//! that verifies it on the cluster; which pod, node and way is part of the URL.

use leptos::prelude::*;
use vipscope_shared::diagnose::ladder::{Ladder as Climbed, Question, Rung, Verdict, ladder};
use vipscope_shared::model::{ClusterState, Key, Keyed, Service, Text};
use vipscope_shared::proxy::{Via, endpoint_rows};
use vipscope_shared::scene::Target;

use super::headline::is_useful;
use crate::asked::{Asked, key as pod_key};
use crate::view::findings::{copied, evidence};
use crate::view::shell::shell;
use crate::words;

/// Pods of the namespace that are offered beside the Service's own.
const OTHERS: usize = 200;

/// What there is to choose from, and what is chosen.
#[derive(Debug, Clone, PartialEq)]
struct Choices {
    service: Key,
    /// The Service's own pods, in the order of its endpoints, and whether each gets traffic.
    own: Vec<(Key, bool)>,
    /// Others of its namespace.
    others: Vec<Key>,
    nodes: Vec<Text>,
    /// Several ports, if there are: id, and whether it is the one that is asked about.
    ports: Vec<(Text, bool)>,
    has_outside: bool,
    pod: Option<Key>,
    node: Option<Text>,
}

fn choices_of(state: &ClusterState, service: &Service, port: Option<&Text>, asked: &Asked) -> Choices {
    let rows = endpoint_rows(state, service, asked.via);
    let mut own: Vec<(Key, bool)> = Vec::new();
    for row in &rows {
        let Some(pod) = &row.pod else { continue };
        let gets = is_useful(service, row);
        // With two families a pod has two rows.
        match own.iter_mut().find(|(key, _)| key == pod) {
            Some((_, already)) => *already |= gets,
            None => own.push((pod.clone(), gets)),
        }
    }
    let is_own = |key: &Key| own.iter().any(|(own, _)| own == key);
    let others = state.pods().in_namespace(service.namespace()).map(|pod| pod.key());
    let others: Vec<Key> = others.filter(|key| !is_own(key)).take(OTHERS).cloned().collect();
    let first = own.iter().find(|(_, gets)| !gets).or(own.first()).map(|(key, _)| key);
    let pod = asked.pod.as_ref().or(first).or(others.first()).cloned();
    let nodes: Vec<Text> = state.nodes().values().map(|node| node.name().clone()).collect();
    let node = asked.node.clone().or_else(|| nodes.first().cloned());
    let ids = service.ports.iter().map(words::port_id).enumerate();
    let ports: Vec<(Text, bool)> =
        ids.map(|(nth, id)| (id.clone(), port.map_or(nth == 0, |port| *port == id))).collect();
    let has_outside = super::endpoints::has_outside(service);
    Choices { service: service.key().clone(), own, others, nodes, ports, has_outside, pod, node }
}

/// The tab.
#[component]
pub fn Ladder(key: Key, port: Option<Text>) -> impl IntoView {
    let shell = shell();
    let (of, of_port) = (key.clone(), port.clone());
    // Apart from the rungs: an open menu is left alone while those follow the cluster.
    let offered = Memo::new(move |_| {
        let asked = shell.asked.get();
        shell
            .store
            .state(|state| Some(choices_of(state, state.services().get(&of)?, of_port.as_ref(), &asked)))
    });
    let climbed = Memo::new(move |_| {
        let (pod, node) =
            offered.with(|choices| choices.as_ref().map(|c| (c.pod.clone(), c.node.clone())))?;
        let via = shell.asked.with(|asked| asked.via);
        let (service, port) = (key.clone(), port.clone());
        let question = Question { service, port, pod: pod?, node: node?, via, mode: None };
        let climbed = shell.store.state(|state| ladder(state, &question));
        Some((question, climbed))
    });
    let choices = move || offered.with(|offered| offered.as_ref().map(choices));
    let rungs = move || match climbed.get() {
        Some((question, climbed)) => rungs(&question, &climbed),
        None => view! { <p class="muted">"There is no pod, or no node, to ask about."</p> }.into_any(),
    };
    view! {
        <section class="sec ladder" data-testid="ladder">
            {choices}
            {rungs}
        </section>
    }
}

fn choices(choices: &Choices) -> AnyView {
    let shell = shell();
    let Choices { pod, node, .. } = choices;
    let option = |key: &Key, gets: Option<bool>| {
        let words = match gets {
            Some(true) => format!("{} · gets traffic", key.name),
            Some(false) => format!("{} · gets nothing", key.name),
            None => key.name.to_string(),
        };
        view! { <option value=key.to_string() selected=pod.as_ref() == Some(key)>{words}</option> }
    };
    let own = choices.own.iter().map(|(key, gets)| option(key, Some(*gets))).collect_view();
    let others = choices.others.iter().map(|key| option(key, None)).collect_view();
    let others = (!choices.others.is_empty())
        .then(|| view! { <optgroup label="Other pods of the namespace">{others}</optgroup> });
    let stray = pod
        .as_ref()
        .filter(|pod| !choices.own.iter().any(|(key, _)| key == *pod) && !choices.others.contains(pod));
    let stray =
        stray.map(|pod| view! { <option value=pod.to_string() selected=true>{pod.to_string()}</option> });
    let gone = node.clone().filter(|node| !choices.nodes.contains(node));
    let nodes = choices.nodes.iter().chain(&gone).map(|name| {
        view! { <option value=name.to_string() selected=node.as_ref() == Some(name)>{name.to_string()}</option> }
    });
    let nodes = nodes.collect_view();
    let to_pod = move |ev| shell.asked.update(|asked| asked.pod = pod_key(&event_target_value(&ev)));
    let to_node = move |ev| shell.asked.update(|asked| asked.node = Some(event_target_value(&ev).into()));
    view! {
        <div class="ladder-choices">
            <label>"to pod"<select class="field-input" data-testid="ladder-pod" on:change=to_pod>{stray}{own}{others}</select></label>
            <label>"from node"<select class="field-input" data-testid="ladder-node" on:change=to_node>{nodes}</select></label>
            {port_choice(choices)}
            {choices.has_outside.then(via_choice)}
        </div>
    }
    .into_any()
}

fn port_choice(choices: &Choices) -> Option<AnyView> {
    let shell = shell();
    if choices.ports.len() < 2 {
        return None;
    }
    let options = choices.ports.iter().map(|(id, chosen)| {
        view! { <option value=id.to_string() selected=*chosen>{id.to_string()}</option> }
    });
    let options = options.collect_view();
    let service = choices.service.clone();
    let choose = move |ev| {
        shell.select(Some(Target::Port(service.clone(), event_target_value(&ev).into())));
    };
    Some(
        view! { <label>"port"<select class="field-input" on:change=choose>{options}</select></label> }
            .into_any(),
    )
}

fn via_choice() -> AnyView {
    let shell = shell();
    let via = shell.asked.with_untracked(|asked| asked.via);
    let choose = move |ev| {
        let via = if event_target_value(&ev) == "outside" { Via::External } else { Via::ClusterIp };
        shell.asked.update(|asked| asked.via = via);
    };
    view! {
        <label>"by"
            <select class="field-input" on:change=choose>
                <option value="inside" selected=via == Via::ClusterIp>"cluster IP"</option>
                <option value="outside" selected=via == Via::External>"from outside"</option>
            </select>
        </label>
    }
    .into_any()
}

fn rungs(question: &Question, climbed: &Climbed) -> AnyView {
    let failure = climbed.first_failure();
    let unknown = climbed.rungs.iter().filter(|rung| rung.verdict == Verdict::Unknown).count();
    let (tone, summary) = match (failure, unknown) {
        (Some(rung), _) => ("bad", format!("First rung that fails: “{}”: {}.", rung.step.title(), rung.says)),
        (None, 0) => {
            ("ok", format!("Every rung holds: {} gets its share from {}.", question.pod.name, question.node))
        }
        (None, unknown) => (
            "off",
            format!(
                "No rung fails; {} can't be judged from the objects.",
                words::count(unknown, "rung", "rungs")
            ),
        ),
    };
    let first = failure.map(|rung| rung.step);
    let all = climbed.rungs.iter().map(|one| rung(one, Some(one.step) == first)).collect_view();
    view! {
        <p class=format!("ladder-summary {tone}") role="status" data-testid="ladder-summary">{summary}</p>
        <ol class="rungs">{all}</ol>
    }
    .into_any()
}

fn rung(rung: &Rung, is_first_failure: bool) -> AnyView {
    let (class, sign, label) = match rung.verdict {
        Verdict::Pass => ("pass", "✓", "holds"),
        Verdict::Fail => ("fail", "✗", "fails"),
        Verdict::Unknown => ("unknown", "–", "not judged"),
    };
    let facts = evidence(&rung.evidence);
    let verify = copied(&rung.verify, "Command that verifies it");
    view! {
        <li class=format!("rung {class}") data-testid="rung" data-verdict=class>
            <span class="rung-sign" role="img" aria-label=label>{sign}</span>
            <div>
                <div class="rung-title">{rung.step.title()}</div>
                <div class="rung-says">{rung.says.clone()}</div>
                <details open=is_first_failure>
                    <summary>"Evidence and command"</summary>
                    {facts}
                    {verify}
                </details>
            </div>
        </li>
    }
    .into_any()
}
