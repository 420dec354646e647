//! The environment variables by which a pod's containers know Services, and those that they lack, with the reason.

use leptos::prelude::*;
use vipscope_shared::discovery::{Absence, Environment, Missing, environment};
use vipscope_shared::model::Key;

use crate::ui::Section;
use crate::view::links::service_link;
use crate::view::shell::shell;
use crate::words;

/// Variables and Services listed at once; the rest is counted.
const LISTED: usize = 200;

/// A section for each container.
#[component]
pub fn Environments(key: Key) -> impl IntoView {
    let shell = shell();
    let all = Memo::new(move |_| {
        shell.store.state(|state| {
            let pod = state.pods().get(&key);
            let containers = pod.iter().flat_map(|pod| {
                pod.containers
                    .iter()
                    .map(|container| (container.name.to_string(), environment(state, pod, container)))
            });
            containers.collect::<Vec<_>>()
        })
    });
    move || all.get().iter().map(|(name, environment)| container(name, environment)).collect_view()
}

fn container(name: &str, environment: &Environment) -> AnyView {
    let variables = &environment.variables;
    let rows = variables.iter().take(LISTED).map(|variable| {
        let value = variable.value.clone();
        view! { <tr><th scope="row" class="mono">{variable.name.clone()}</th><td class="mono">{value}</td></tr> }
    });
    let rows = rows.collect_view();
    let more = variables.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> });
    let conflicts = (!environment.conflicts.is_empty()).then(|| {
        let names = environment.conflicts.join(", ");
        view! { <p class="failure">{format!("Two Services define different values of {names}; which one wins is not defined.")}</p> }
    });
    let missing = environment.missing.iter().take(LISTED).map(missing).collect_view();
    let elsewhere = (environment.elsewhere > 0).then(|| {
        let services = words::count(environment.elsewhere, "Service", "Services");
        view! { <li class="muted">{format!("{services} of other namespaces: a container hears only of its own")}</li> }
    });
    let title = format!("Environment of {name}");
    let summary = words::count(variables.len(), "variable", "variables");
    view! {
        <Section title=title>
            <p class="muted">"What the kubelet adds for Services when the container starts; what the container sets itself wins."</p>
            {conflicts}
            <details data-testid="variables">
                <summary>{summary}</summary>
                <table class="evidence"><tbody>{rows}</tbody></table>
                {more}
            </details>
            <h3>"Not told"</h3>
            <ul class="plain" data-testid="missing-variables">{missing}{elsewhere}</ul>
        </Section>
    }
    .into_any()
}

fn missing(missing: &Missing) -> AnyView {
    let why = match &missing.why {
        Absence::OtherNamespace => "another namespace".to_owned(),
        Absence::NoServiceLinks => "enableServiceLinks is off".to_owned(),
        Absence::Headless => "headless: no address to tell".to_owned(),
        Absence::Namesake => "the Service of this name in the pod's namespace takes its variables".to_owned(),
        Absence::NoClusterIp => "no cluster IP".to_owned(),
        Absence::YoungerThanContainer { started, created } => {
            let age = words::duration(created.duration_since(*started));
            format!("created {age} after the container started; a restart of the container mends it")
        }
        Absence::Unsure { .. } => "created about when the container started: nobody can tell".to_owned(),
    };
    view! { <li>{service_link(&missing.service)}" "<span class="muted">{why}</span></li> }.into_any()
}
