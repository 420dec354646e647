//! A node's summary: zone, addresses, readiness, proxy mode, pods.

use std::sync::Arc;

use leptos::prelude::*;
use vipscope_shared::model::{Key, Keyed, Node, NodeAddressType, Pod, Text};

use super::headline::{node_state, pod_state};
use super::traffic::NodeTraffic;
use crate::ui::{Field, MarkView, Section};
use crate::view::links::pod_link;
use crate::view::sandbox::NodeSection;
use crate::view::shell::shell;
use crate::words;

/// Pods listed at once; the rest is counted.
const LISTED: usize = 100;

#[derive(Debug, Clone, PartialEq)]
struct Model {
    node: Arc<Node>,
    mode: String,
    pods: Vec<Arc<Pod>>,
}

/// The summary; nothing if the node is gone.
#[component]
pub fn Summary(name: Text) -> impl IntoView {
    let shell = shell();
    let model = Memo::new(move |_| {
        shell.store.state(|state| {
            Some(Model {
                node: state.nodes().get(&Key::cluster(name.clone()))?.clone(),
                mode: words::proxy_mode(state.proxy_settings(&name).mode, words::ModeBasis::of(state)),
                pods: state.pods_on(&name).cloned().collect(),
            })
        })
    });
    move || model.get().map(|model| body(&model))
}

/// The pods that are on no node (yet).
#[component]
pub fn Nowhere() -> impl IntoView {
    let shell = shell();
    let pods = Memo::new(move |_| {
        shell.store.state(|state| {
            state.pods().values().filter(|pod| pod.node.is_none()).cloned().collect::<Vec<_>>()
        })
    });
    let lines = move || pods.get().iter().take(LISTED).map(|pod| pod_line(pod)).collect_view();
    let more = move || pods.with(|pods| pods.len()).saturating_sub(LISTED);
    view! {
        <Section title="Pods without a node">
            <ul class="plain">{lines}</ul>
            <Show when=move || pods.with(|pods| pods.is_empty())><p class="muted">"None."</p></Show>
            <Show when=move || { more() > 0 }><p class="muted">{move || format!("and {} more", more())}</p></Show>
        </Section>
    }
}

fn body(Model { node, mode, pods }: &Model) -> AnyView {
    let (mark, words) = node_state(node);
    let list = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let addresses = node.addresses.iter().map(|address| match address.address_type {
        NodeAddressType::InternalIP => format!("{} internal", address.ip),
        NodeAddressType::ExternalIP => format!("{} external", address.ip),
    });
    let cidrs = node.pod_cidrs.iter().map(|cidr| cidr.to_string());
    let ready = pods.iter().filter(|pod| pod.ready).count();
    let more = pods.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> });
    let (addresses, cidrs) = (list(addresses.collect()), list(cidrs.collect()));
    let zone = node.zone().map_or_else(|| "none".to_owned(), |zone| zone.to_string());
    let version = node.version.as_deref().unwrap_or("unknown").to_owned();
    let (title, mode) = (format!("Pods: {ready} of {} ready", pods.len()), mode.clone());
    let pods = pods.iter().take(LISTED).map(|pod| pod_line(pod)).collect_view();
    view! {
        <Section title="Node">
            <dl class="fields">
                <Field name="State"><MarkView mark=mark label=""/>{words}</Field>
                <Field name="Zone">{zone}</Field>
                <Field name="Addresses"><span class="mono">{addresses}</span></Field>
                <Field name="Pod CIDRs"><span class="mono">{cidrs}</span></Field>
                <Field name="kube-proxy">{mode}</Field>
                <Field name="kubelet">{version}</Field>
            </dl>
        </Section>
        <NodeTraffic name=node.name().clone()/>
        <NodeSection name=node.name().clone()/>
        <Section title=title>
            <ul class="plain">{pods}</ul>
            {more}
        </Section>
    }
    .into_any()
}

fn pod_line(pod: &Pod) -> AnyView {
    let (mark, words) = pod_state(pod);
    view! {
        <li class="line">
            <MarkView mark=mark label=words/>{pod_link(pod.key())}<span class="faint line-end">{pod.namespace().to_string()}</span>
        </li>
    }
    .into_any()
}
