//! A Service's summary: addresses, ports, selector, policies, slices.

use leptos::prelude::*;
use vipscope_shared::model::{ClusterState, IpMode, Key, Keyed, Labels, Service, ServiceType, TrafficPolicy};
use vipscope_shared::scene::Target;

use crate::ui::{Field, Section};
use crate::view::links::TargetLink;
use crate::view::shell::shell;
use crate::words;

/// The summary; nothing if the Service is gone.
#[component]
pub fn Summary(key: Key) -> impl IntoView {
    let shell = shell();
    let model = Memo::new(move |_| {
        shell.store.state(|state| {
            let service = state.services().get(&key)?.clone();
            Some((slices(state, &service), service))
        })
    });
    move || model.get().map(|(slices, service)| body(slices, &service))
}

fn body(slices: Vec<String>, service: &Service) -> AnyView {
    let found_by = words::found_by(service);
    let found_by =
        found_by.map(|words| view! { <Section title="How clients find it"><p>{words}</p></Section> });
    let (addresses, policies) = (fields(addresses(service), "mono"), fields(policies(service), ""));
    let (ports, selector) = (ports(service), selector(service.selector.as_ref()));
    let slices = slices.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
    view! {
        {found_by}
        <Section title="Addresses"><dl class="fields">{addresses}</dl></Section>
        <Section title="Ports">{ports}</Section>
        <Section title="Selector">{selector}</Section>
        <Section title="Policies"><dl class="fields">{policies}</dl></Section>
        <Section title="EndpointSlices"><ul class="plain mono">{slices}</ul></Section>
    }
    .into_any()
}

fn fields(facts: Vec<(&'static str, String)>, class: &'static str) -> AnyView {
    facts
        .into_iter()
        .map(|(name, value)| view! { <Field name=name><span class=class>{value}</span></Field> })
        .collect_view()
        .into_any()
}

fn addresses(service: &Service) -> Vec<(&'static str, String)> {
    let ips = |ips: &[std::net::IpAddr]| ips.iter().map(|ip| ip.to_string()).collect::<Vec<_>>().join(", ");
    let mut facts = Vec::new();
    if let Some(name) = &service.external_name {
        facts.push(("External name", name.to_string()));
    }
    if service.service_type != ServiceType::ExternalName {
        let vips = ips(service.cluster_ip.ips());
        facts.push(("Cluster IP", if vips.is_empty() { words::main_address(service) } else { vips }));
    }
    if !service.external_ips.is_empty() {
        facts.push(("External IPs", ips(&service.external_ips)));
    }
    if service.service_type == ServiceType::LoadBalancer {
        facts.push(("Balancer", balancer(service)));
    }
    if !service.source_ranges.is_empty() {
        let ranges: Vec<String> = service.source_ranges.iter().map(|range| range.to_string()).collect();
        facts.push(("Allowed sources", ranges.join(", ")));
    }
    let families: Vec<&str> = service.ip_families.iter().map(|family| family.as_str()).collect();
    if !families.is_empty() {
        let policy =
            service.ip_family_policy.as_ref().map(|policy| format!(" ({policy})")).unwrap_or_default();
        facts.push(("IP families", format!("{}{policy}", families.join(", "))));
    }
    facts
}

fn balancer(service: &Service) -> String {
    let one = |entry: &vipscope_shared::model::Ingress| {
        let ip = entry.ip.map(|ip| ip.to_string());
        let name = ip.or_else(|| entry.hostname.as_ref().map(|name| name.to_string())).unwrap_or_default();
        match entry.ip_mode {
            IpMode::Vip => name,
            IpMode::Proxy => format!("{name} (ipMode Proxy: the balancer is not bypassed)"),
        }
    };
    match service.ingress.as_slice() {
        [] => "no address yet".to_owned(),
        entries => entries.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

fn ports(service: &Service) -> AnyView {
    if service.ports.is_empty() {
        return view! { <p class="muted">"None."</p> }.into_any();
    }
    let key = service.key().clone();
    let row = move |port: &vipscope_shared::model::ServicePort| {
        let id = words::port_id(port);
        let target = Target::Port(key.clone(), id.clone());
        view! {
            <tr>
                <th scope="row"><TargetLink target=target text=id.to_string()/></th>
                <td class="mono">{format!("{}/{}", port.port, port.protocol)}</td>
                <td class="mono">{port.target_port.to_string()}</td>
                <td class="mono">{port.node_port.map_or_else(|| "–".to_owned(), |port| port.to_string())}</td>
            </tr>
        }
    };
    view! {
        <table class="mini">
            <thead><tr><th scope="col">"Name"</th><th scope="col">"Port"</th><th scope="col">"targetPort"</th><th scope="col">"nodePort"</th></tr></thead>
            <tbody>{service.ports.iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// Labels as tags.
pub fn selector(labels: Option<&Labels>) -> AnyView {
    match labels {
        None => {
            view! { <p class="muted">"None: its endpoints are written by hand or by another controller."</p> }
                .into_any()
        }
        Some(labels) => tags(labels),
    }
}

/// `app=web`, one tag a label.
pub fn tags(labels: &Labels) -> AnyView {
    let tags =
        labels.iter().map(|(key, value)| view! { <span class="tag mono">{format!("{key}={value}")}</span> });
    view! { <div class="tags">{tags.collect_view()}</div> }.into_any()
}

fn policies(service: &Service) -> Vec<(&'static str, String)> {
    let policy = |policy: TrafficPolicy| match policy {
        TrafficPolicy::Cluster => "Cluster: endpoints on any node".to_owned(),
        TrafficPolicy::Local => "Local: only endpoints on the node where the traffic is".to_owned(),
    };
    let mut facts = vec![("Internal", policy(service.internal_policy))];
    if service.service_type != ServiceType::ClusterIP || !service.external_ips.is_empty() {
        facts.push(("External", policy(service.external_policy)));
    }
    facts.push((
        "Affinity",
        match service.affinity_seconds {
            None => "none: every connection is a new choice".to_owned(),
            Some(seconds) => format!("ClientIP: a client stays for {seconds} s"),
        },
    ));
    if let Some(distribution) = service.traffic_distribution {
        facts.push(("Distribution", distribution.as_str().to_owned()));
    }
    if service.publish_not_ready {
        facts.push(("Not ready", "published all the same".to_owned()));
    }
    if let Some(port) = service.health_check_node_port {
        facts.push(("Health check", format!("node port {port}")));
    }
    facts
}

fn slices(state: &ClusterState, service: &Service) -> Vec<String> {
    let line = |slice: &std::sync::Arc<vipscope_shared::model::EndpointSlice>| {
        let family = slice.address_type.family().map_or("FQDN", |family| family.as_str());
        format!(
            "{} · {family} · {}",
            slice.name(),
            words::count(slice.endpoints.len(), "endpoint", "endpoints")
        )
    };
    let lines: Vec<String> = state.slices_of(service.key()).map(line).collect();
    if lines.is_empty() { vec!["none".to_owned()] } else { lines }
}
