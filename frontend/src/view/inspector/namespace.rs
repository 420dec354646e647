//! A namespace's summary: counts, and its Services, the worst first.

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Key, Keyed, Text};
use vipscope_shared::scene::{Health, ServiceStatus};

use super::headline::{health_mark, needs_a_look, severity};
use crate::ui::{Field, MarkView, Section};
use crate::view::links::service_link;
use crate::view::shell::shell;

/// Services listed at once; the rest is counted.
const LISTED: usize = 100;

/// A Service, how it is, and what is wrong with it.
pub type Standing = (Health, Key, Text);

/// The summary.
#[component]
pub fn Summary(name: Text) -> impl IntoView {
    let shell = shell();
    let shown = name.clone();
    let model = Memo::new(move |_| {
        shell.store.state(|state| {
            let pods = state.pods().in_namespace(&name);
            let (ready, all) =
                pods.fold((0, 0), |(ready, all), pod| (ready + usize::from(pod.ready), all + 1));
            let services = standings(state, |service| service.namespace() == &name);
            (services, format!("{ready} of {all} ready"))
        })
    });
    let only = move |_| {
        shell.namespaces.set([shown.clone()].into());
        shell.camera.set(None);
    };
    let body = move || {
        let (services, pods) = model.get();
        let more = services.len().saturating_sub(LISTED);
        let unwell = services.iter().filter(|(health, ..)| needs_a_look(*health)).count();
        let title = format!("Services: {unwell} of {} need a look", services.len());
        view! {
            <Section title="Namespace">
                <dl class="fields"><Field name="Pods">{pods}</Field></dl>
            </Section>
            <Section title=title>
                <ul class="plain">{services.into_iter().take(LISTED).map(standing_line).collect_view()}</ul>
                {(more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> })}
            </Section>
        }
    };
    view! {
        {body}
        <div class="sec"><button type="button" class="btn" on:click=only>"Show only this namespace"</button></div>
    }
}

/// The Services that `pick` picks, the worst first.
pub fn standings(
    state: &ClusterState,
    pick: impl Fn(&vipscope_shared::model::Service) -> bool,
) -> Vec<Standing> {
    let services = state.services().values().filter(|service| pick(service));
    let mut all: Vec<Standing> = services
        .map(|service| {
            let status = ServiceStatus::of(state, service);
            (status.health, service.key().clone(), status.problem)
        })
        .collect();
    all.sort_by(|a, b| severity(b.0).cmp(&severity(a.0)).then_with(|| a.1.cmp(&b.1)));
    all
}

/// Mark, name, and what is wrong.
pub fn standing_line((health, key, problem): Standing) -> AnyView {
    let (mark, word) = health_mark(health);
    view! {
        <li class="line"><MarkView mark=mark label=word/>{service_link(&key)}<span class="faint line-end">{problem.to_string()}</span></li>
    }
    .into_any()
}
