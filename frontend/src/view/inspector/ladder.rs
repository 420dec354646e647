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

/// What is offered and what was climbed.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    /// The Service's own pods, in the order of its endpoints, and whether each gets traffic.
    own: Vec<(Key, bool)>,
    /// Others of its namespace.
    others: Vec<Key>,
    nodes: Vec<Text>,
    /// Several ports, if there are: id, and whether it is the one that is asked about.
    ports: Vec<(Text, bool)>,
    has_outside: bool,
    /// `None` if there is no pod or no node to ask about.
    climbed: Option<(Question, Climbed)>,
}

fn model(state: &ClusterState, service: &Service, port: Option<&Text>, asked: &Asked) -> Model {
    let rows = endpoint_rows(state, service, asked.via);
    let own = rows.iter().filter_map(|row| Some((row.pod.clone()?, is_useful(service, row))));
    let mut own: Vec<(Key, bool)> = own.collect();
    own.dedup_by(|a, b| a.0 == b.0);
    let is_own = |key: &Key| own.iter().any(|(own, _)| own == key);
    let others = state.pods().in_namespace(service.namespace()).map(|pod| pod.key());
    let others: Vec<Key> = others.filter(|key| !is_own(key)).take(OTHERS).cloned().collect();
    let first = own.iter().find(|(_, gets)| !gets).or(own.first()).map(|(key, _)| key);
    let pod = asked.pod.as_ref().or(first).or(others.first()).cloned();
    let nodes: Vec<Text> = state.nodes().values().map(|node| node.name().clone()).collect();
    let node = asked.node.clone().or_else(|| nodes.first().cloned());
    let climbed = pod.zip(node).map(|(pod, node)| {
        let question = Question {
            service: service.key().clone(),
            port: port.cloned(),
            pod,
            node,
            via: asked.via,
            mode: None,
        };
        let climbed = ladder(state, &question);
        (question, climbed)
    });
    let ids = service.ports.iter().map(words::port_id).enumerate();
    let ports: Vec<(Text, bool)> =
        ids.map(|(nth, id)| (id.clone(), port.map_or(nth == 0, |port| *port == id))).collect();
    let has_outside = super::endpoints::has_outside(service);
    Model { own, others, nodes, ports, has_outside, climbed }
}

/// The tab.
#[component]
pub fn Ladder(key: Key, port: Option<Text>) -> impl IntoView {
    let shell = shell();
    let service = key.clone();
    let model = Memo::new(move |_| {
        let asked = shell.asked.get();
        shell.store.state(|state| Some(model(state, state.services().get(&key)?, port.as_ref(), &asked)))
    });
    let choices = {
        let service = service.clone();
        move || model.get().map(|model| choices(&service, &model))
    };
    let rungs = move || {
        model.get().map(|model| match &model.climbed {
            Some((question, climbed)) => rungs(question, climbed),
            None => view! { <p class="muted">"There is no pod, or no node, to ask about."</p> }.into_any(),
        })
    };
    view! {
        <section class="sec ladder" data-testid="ladder">
            {choices}
            {rungs}
        </section>
    }
}

fn choices(service: &Key, model: &Model) -> AnyView {
    let shell = shell();
    let asked = model.climbed.as_ref().map(|(question, _)| (question.pod.clone(), question.node.clone()));
    let (pod, node) = asked.unzip();
    let option = |key: &Key, gets: Option<bool>| {
        let words = match gets {
            Some(true) => format!("{} · gets traffic", key.name),
            Some(false) => format!("{} · gets nothing", key.name),
            None => key.name.to_string(),
        };
        view! { <option value=key.to_string() selected=pod.as_ref() == Some(key)>{words}</option> }
    };
    let own = model.own.iter().map(|(key, gets)| option(key, Some(*gets))).collect_view();
    let others = model.others.iter().map(|key| option(key, None)).collect_view();
    let others = (!model.others.is_empty())
        .then(|| view! { <optgroup label="Other pods of the namespace">{others}</optgroup> });
    let stray = pod
        .as_ref()
        .filter(|pod| !model.own.iter().any(|(key, _)| key == *pod) && !model.others.contains(pod));
    let stray =
        stray.map(|pod| view! { <option value=pod.to_string() selected=true>{pod.to_string()}</option> });
    let gone = node.clone().filter(|node| !model.nodes.contains(node));
    let nodes = model.nodes.iter().chain(&gone).map(|name| {
        view! { <option value=name.to_string() selected=node.as_ref() == Some(name)>{name.to_string()}</option> }
    });
    let nodes = nodes.collect_view();
    let to_pod = move |ev| shell.asked.update(|asked| asked.pod = pod_key(&event_target_value(&ev)));
    let to_node = move |ev| shell.asked.update(|asked| asked.node = Some(event_target_value(&ev).into()));
    view! {
        <div class="ladder-choices">
            <label>"to pod"<select class="field-input" data-testid="ladder-pod" on:change=to_pod>{stray}{own}{others}</select></label>
            <label>"from node"<select class="field-input" data-testid="ladder-node" on:change=to_node>{nodes}</select></label>
            {port_choice(service, model)}
            {model.has_outside.then(via_choice)}
        </div>
    }
    .into_any()
}

fn port_choice(service: &Key, model: &Model) -> Option<AnyView> {
    let shell = shell();
    if model.ports.len() < 2 {
        return None;
    }
    let options = model.ports.iter().map(|(id, chosen)| {
        view! { <option value=id.to_string() selected=*chosen>{id.to_string()}</option> }
    });
    let options = options.collect_view();
    let service = service.clone();
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
        (Some(rung), _) => ("bad", format!("Stops at: {}. {}.", rung.step.title(), upper(&rung.says))),
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

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
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
