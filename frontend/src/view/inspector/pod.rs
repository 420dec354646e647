//! A pod's summary: where it runs, how it is, its ports, and the Services that lead to it.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, Key, Keyed, Pod};

use super::headline::pod_state;
use super::service::tags;
use super::traffic::PodTraffic;
use crate::ui::{Field, MarkView, Section};
use crate::view::links::{namespace_link, node_link, service_link};
use crate::view::sandbox::PodDeeds;
use crate::view::shell::shell;
use crate::words;

/// The summary; nothing if the pod is gone.
#[component]
pub fn Summary(key: Key) -> impl IntoView {
    let shell = shell();
    let model = Memo::new(move |_| {
        shell.store.state(|state| {
            let pod = state.pods().get(&key)?.clone();
            Some((services_of(state, &pod), pod))
        })
    });
    move || model.get().map(|(services, pod)| body(&services, &pod))
}

/// Services of its namespace that select it, or whose slices list it.
fn services_of(state: &ClusterState, pod: &Pod) -> Vec<(Key, &'static str)> {
    let services = state.services().in_namespace(pod.namespace());
    let stands = |service: &Arc<vipscope_shared::model::Service>| {
        let listed = state
            .slices_of(service.key())
            .flat_map(|slice| &slice.endpoints)
            .any(|endpoint| endpoint.target.as_ref().and_then(|target| target.pod()) == Some(pod.key()));
        let selected = service.selector.as_ref().is_some_and(|selector| selector.selects(&pod.meta.labels));
        match (selected, listed) {
            (true, true) => Some("selected and listed"),
            (true, false) => Some("selected, in no slice"),
            (false, true) => Some("listed, not selected"),
            (false, false) => None,
        }
    };
    services.filter_map(|service| Some((service.key().clone(), stands(service)?))).collect()
}

fn body(services: &[(Key, &'static str)], pod: &Pod) -> AnyView {
    let shell = shell();
    let (mark, words) = pod_state(pod);
    let since = pod.ready_since;
    let since = move || since.map(|since| format!(" for {}", words::ago(since, shell.now.get())));
    let ips: Vec<String> = pod.ips.iter().map(|ip| ip.to_string()).collect();
    let node = pod.node.as_ref().map_or_else(|| "none yet".into_any(), |node| node_link(node));
    let owner = pod.meta.owner.as_ref().map(|owner| format!("{} {}", owner.kind, owner.name));
    let ips = if ips.is_empty() { "none yet".to_owned() } else { ips.join(", ") };
    let network = if pod.host_network { " (the node's own)" } else { "" };
    let selecting = services.iter().map(|(key, stands)| {
        view! { <li>{service_link(key)}" "<span class="muted">{*stands}</span></li> }
    });
    let selecting = selecting.collect_view();
    let none = services.is_empty().then(|| view! { <p class="muted">"None selects it or lists it."</p> });
    let (namespace, containers, labels) =
        (namespace_link(pod.namespace()), containers(pod), tags(&pod.meta.labels));
    let owner = owner.map(|owner| view! { <Field name="Owner"><span class="mono">{owner}</span></Field> });
    view! {
        <Section title="State">
            <dl class="fields">
                <Field name="State"><MarkView mark=mark label=""/>{words}{since}</Field>
                <Field name="Node">{node}</Field>
                <Field name="IPs"><span class="mono">{ips}</span>{network}</Field>
                <Field name="Namespace">{namespace}</Field>
                {owner}
            </dl>
        </Section>
        <PodTraffic key=pod.key().clone()/>
        <Section title="Services that lead here">
            <ul class="plain">{selecting}</ul>
            {none}
        </Section>
        <PodDeeds key=pod.key().clone()/>
        <Section title="Containers"><ul class="plain">{containers}</ul></Section>
        <Section title="Labels">{labels}</Section>
    }
    .into_any()
}

fn containers(pod: &Pod) -> AnyView {
    let one = |container: &vipscope_shared::model::Container| {
        let ports = container.ports.iter().map(|port| {
            let name = if port.name.is_empty() { String::new() } else { format!("{} ", port.name) };
            format!("{name}{}/{}", port.port, port.protocol)
        });
        let ports: Vec<String> = ports.collect();
        let ports = if ports.is_empty() { "no ports declared".to_owned() } else { ports.join(", ") };
        let kind = if container.sidecar { " (sidecar)" } else { "" };
        let waiting = container.waiting.as_ref().map(|reason| format!(" · waiting: {reason}"));
        view! { <li><b>{container.name.to_string()}</b>{kind}" "<span class="mono muted">{ports}</span>{waiting}</li> }
    };
    pod.containers.iter().map(one).collect_view().into_any()
}
