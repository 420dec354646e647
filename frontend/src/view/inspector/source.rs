//! Where traffic comes from: outside, the nodes, the pods of a namespace.

use leptos::prelude::*;
use vipscope_shared::model::{Service, ServiceType};
use vipscope_shared::scene::SourceId;

use super::namespace::{standing_line, standings};
use crate::ui::Section;
use crate::view::shell::shell;

/// Which Services this source can use.
#[component]
pub fn Summary(source: SourceId) -> impl IntoView {
    let shell = shell();
    let words = match &source {
        SourceId::Outside => "Comes in by balancer addresses, external IPs and node ports.",
        SourceId::Nodes => "The nodes themselves, and pods in their network: they reach every VIP.",
        SourceId::Pods(_) => "Pods reach every VIP of the cluster; NetworkPolicies are not evaluated.",
    };
    let title = match &source {
        SourceId::Outside => "Services open to the outside",
        SourceId::Nodes => "Services",
        SourceId::Pods(_) => "Services of this namespace",
    };
    let services = Memo::new(move |_| {
        shell.store.state(|state| match &source {
            SourceId::Outside => standings(state, is_open),
            SourceId::Nodes => standings(state, |_| true),
            SourceId::Pods(name) => standings(state, |service| &service.meta.key.namespace == name),
        })
    });
    let lines = move || services.get().into_iter().take(100).map(standing_line).collect_view();
    let more = move || services.with(|services| services.len()).saturating_sub(100);
    view! {
        <div class="sec"><p class="muted">{words}</p></div>
        <Section title=title>
            <ul class="plain">{lines}</ul>
            <Show when=move || { more() > 0 }><p class="muted">{move || format!("and {} more", more())}</p></Show>
        </Section>
    }
}

fn is_open(service: &Service) -> bool {
    matches!(service.service_type, ServiceType::NodePort | ServiceType::LoadBalancer)
        || !service.external_ips.is_empty()
}
