//! How a Service is found, and what a pod finds: DNS records, a lookup of any name along a pod's search path, a pod's
//! resolver. Worked out from the objects; nothing is asked of any network.

use leptos::prelude::*;
use vipscope_shared::discovery::{Answer, Data, Dns, Lookup, Nameserver, Record, Resolver};
use vipscope_shared::model::{ClusterState, Key, Keyed, Service};

use super::environment::Environments;
use crate::asked::key as pod_key;
use crate::ui::{Mark, MarkView, Section};
use crate::view::shell::shell;
use crate::words;

/// Records shown at once; the rest is counted.
const LISTED: usize = 200;
/// Pods that are suggested as askers.
const SUGGESTED: usize = 40;

/// The tab of a Service.
#[component]
pub fn ServiceDns(key: Key) -> impl IntoView {
    let shell = shell();
    let of = key.clone();
    let records = Memo::new(move |_| {
        shell.store.state(|state| {
            let mut records =
                state.services().get(&of).map(|service| Dns::new(state).records(service)).unwrap_or_default();
            // What people look up first.
            records.sort_by_key(|record| match record.data {
                Data::A { .. } | Data::Aaaa { .. } | Data::Cname { .. } => 0,
                Data::Srv { .. } => 1,
                Data::Ptr { .. } => 2,
            });
            records
        })
    });
    let title = move || match records.with(Vec::len) {
        0 => "Records".to_owned(),
        count => format!("Records: {}", words::thousands(count as u64)),
    };
    let none = {
        let key = key.clone();
        move || {
            let is_empty = records.with(Vec::is_empty);
            is_empty.then(|| {
                shell.store.state(|state| state.services().get(&key).map(|service| why_none(service)))
            })
        }
    };
    view! {
        <section class="sec">
            <h2>{title}</h2>
            {move || none().flatten().map(|words| view! { <p class="muted">{words}</p> })}
            {move || (!records.with(Vec::is_empty)).then(|| record_table(&records.get()))}
        </section>
        <LookupBox service=Some(key) asker=None/>
    }
}

fn why_none(service: &Service) -> &'static str {
    if service.is_headless() {
        "None: it is headless, and has no ready endpoint."
    } else if service.is_proxied() {
        "None: it has no cluster IP."
    } else {
        "None: an external name that is an IP address, or empty, is not answered."
    }
}

fn record_table(records: &[Record]) -> AnyView {
    let row = |record: &Record| {
        let data = record.data.to_string();
        let (kind, data) = data.split_once(' ').unwrap_or((&data, ""));
        view! {
            <tr data-testid="record">
                <th scope="row" class="mono">{record.name.clone()}</th>
                <td class="mono">{kind.to_owned()}</td>
                <td class="mono">{data.to_owned()}</td>
            </tr>
        }
    };
    let more = records.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> });
    let rows = records.iter().take(LISTED).map(row).collect_view();
    view! {
        <table class="evidence records">
            <thead><tr><th scope="col">"Name"</th><th scope="col">"Type"</th><th scope="col">"Data"</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
        {more}
    }
    .into_any()
}

/// The tab of a pod.
#[component]
pub fn PodDns(key: Key) -> impl IntoView {
    let shell = shell();
    let of = key.clone();
    let file = Memo::new(move |_| shell.store.state(|state| resolv_conf(state, &of)));
    view! {
        <Section title="/etc/resolv.conf">
            {move || file.get().map(|(text, note)| view! {
                <pre class="code mono" tabindex="0" data-testid="resolv-conf">{text}</pre>
                <p class="muted">{note}</p>
            })}
        </Section>
        <LookupBox service=None asker=Some(key.clone())/>
        <Environments key=key/>
    }
}

/// The file as far as the objects tell, and what they do not tell.
fn resolv_conf(state: &ClusterState, pod: &Key) -> Option<(String, String)> {
    let dns = Dns::new(state);
    let resolver = Resolver::of(state, state.pods().get(pod)?, &dns.zone);
    let mut lines = nameservers(state, &resolver);
    let mut search: Vec<String> = resolver.search.iter().map(ToString::to_string).collect();
    if let Some(place) = resolver.node_search {
        search.insert(place.min(search.len()), "…".to_owned());
    }
    if !search.is_empty() {
        lines.push(format!("search {}", search.join(" ")));
    }
    lines.push(format!("options ndots:{}", resolver.ndots));
    let mut notes = vec![format!("Assuming the cluster domain {}.", dns.zone)];
    if resolver.node_search.is_some() {
        notes.push("… stands for the node's own search list, which no object shows.".to_owned());
    }
    Some((lines.join("\n"), notes.join(" ")))
}

fn nameservers(state: &ClusterState, resolver: &Resolver) -> Vec<String> {
    match &resolver.nameserver {
        Nameserver::Cluster => {
            let service = state.services().get(&Key::new("kube-system", "kube-dns"));
            let ips = service.map(|service| service.cluster_ip.ips().to_vec()).unwrap_or_default();
            match ips.as_slice() {
                [] => vec![
                    "# nameserver: the cluster's DNS; there is no Service kube-system/kube-dns".to_owned(),
                ],
                ips => ips.iter().map(|ip| format!("nameserver {ip}")).collect(),
            }
        }
        Nameserver::Node => {
            vec!["# nameserver: as on the node; it does not know the cluster's names".to_owned()]
        }
        Nameserver::Custom(ips) => ips.iter().map(|ip| format!("nameserver {ip}")).collect(),
    }
}

/// What was looked up.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    name: String,
    asker: Key,
    /// `None`: the pod is not there.
    found: Option<(Resolver, Lookup)>,
}

/// A name, and from which pod; below it every step to the answer.
#[component]
fn LookupBox(service: Option<Key>, asker: Option<Key>) -> impl IntoView {
    let shell = shell();
    let fixed = asker.clone();
    let asked = Memo::new(move |_| {
        let (name, chosen) = shell.asked.with(|asked| (asked.name.clone(), asked.asker.clone()));
        shell.store.state(|state| {
            let asker = asker.clone().or(chosen).or_else(|| first_asker(state, service.as_ref()))?;
            let name = Some(name).filter(|name| !name.trim().is_empty());
            let name = name.unwrap_or_else(|| usual_name(service.as_ref(), &asker));
            Some(look_up(state, name.trim(), asker))
        })
    });
    let name = move || shell.asked.with(|asked| asked.name.clone());
    // What is looked up as long as nothing is typed.
    let usual =
        move || asked.with(|asked| asked.as_ref().map(|asked| asked.name.clone()).unwrap_or_default());
    let from =
        move || asked.with(|asked| asked.as_ref().map(|asked| asked.asker.to_string()).unwrap_or_default());
    let typed = move |ev| shell.asked.update(|asked| asked.name = event_target_value(&ev));
    let pods = Memo::new(move |_| {
        let own = asked.with(|asked| asked.as_ref().map(|asked| asked.asker.namespace.clone()));
        shell.store.state(|state| {
            let near =
                own.iter().flat_map(|own| state.pods().in_namespace(own)).map(|pod| pod.key().to_string());
            let all = state.pods().values().map(|pod| pod.key().to_string());
            near.take(SUGGESTED / 2).chain(all.take(SUGGESTED)).collect::<std::collections::BTreeSet<_>>()
        })
    });
    let options =
        move || pods.get().into_iter().map(|pod| view! { <option value=pod></option> }).collect_view();
    let choose = move |ev| match pod_key(&event_target_value(&ev)) {
        Some(pod) => shell.asked.update(|asked| asked.asker = Some(pod)),
        None => event_target::<web_sys::HtmlInputElement>(&ev).set_value(&untrack(from)),
    };
    let asker_input = fixed.is_none().then(|| view! {
        <label>"from pod"
            <input class="field-input mono" list="asker-pods" data-testid="lookup-asker" autocomplete="off" spellcheck="false"
                placeholder="namespace/pod" prop:value=from on:change=choose/>
        </label>
        <datalist id="asker-pods">{options}</datalist>
    });
    view! {
        <Section title="Look up a name or an address">
            <div class="ladder-choices">
                <label>"name"
                    <input class="field-input mono" data-testid="lookup-name" autocomplete="off" spellcheck="false" maxlength="253"
                        placeholder=usual prop:value=name on:input=typed/>
                </label>
                {asker_input}
            </div>
            {move || match asked.get() {
                None => view! { <p class="muted">"There is no pod to ask from."</p> }.into_any(),
                Some(asked) => answer(&asked),
            }}
        </Section>
    }
}

/// A pod of the Service's namespace, or any.
fn first_asker(state: &ClusterState, service: Option<&Key>) -> Option<Key> {
    let near = service.and_then(|service| state.pods().in_namespace(&service.namespace).next());
    near.or_else(|| state.pods().values().next()).map(|pod| pod.key().clone())
}

/// The shortest name that is meant to work.
fn usual_name(service: Option<&Key>, asker: &Key) -> String {
    match service {
        Some(service) if service.namespace == asker.namespace => service.name.to_string(),
        Some(service) => format!("{}.{}", service.name, service.namespace),
        None => "kubernetes.default".to_owned(),
    }
}

fn look_up(state: &ClusterState, name: &str, asker: Key) -> Asked {
    let dns = Dns::new(state);
    let found = state.pods().get(&asker).map(|pod| {
        let resolver = Resolver::of(state, pod, &dns.zone);
        // Names of SRV records start with an underscore, and no others do.
        let lookup = match name.parse() {
            Ok(ip) => resolver.names(&dns, ip),
            Err(_) if name.starts_with('_') => resolver.services(&dns, name),
            Err(_) => resolver.addresses(&dns, name),
        };
        (resolver, lookup)
    });
    Asked { name: name.to_owned(), asker, found }
}

fn answer(asked: &Asked) -> AnyView {
    let Some((resolver, lookup)) = &asked.found else {
        return view! { <p class="failure" role="status">{format!("Pod {} is not there.", asked.asker)}</p> }
            .into_any();
    };
    let steps = lookup.queries.iter().map(|query| {
        let (mark, words) = answer_words(&query.answer);
        let records = match &query.answer {
            Answer::Records(records) => records.as_slice(),
            _ => &[],
        };
        let records = records.iter().take(LISTED).map(|record| view! { <li>{record.to_string()}</li> }).collect_view();
        view! {
            <li class="step-line" data-testid="lookup-step">
                <MarkView mark=mark label=""/>
                <div><div class="mono">{format!("{}.", query.name)}</div><div class="muted">{words}</div><ul class="mono plain">{records}</ul></div>
            </li>
        }
    });
    let steps = steps.collect_view();
    let (tone, result) = result_words(lookup);
    view! {
        <p class="muted">{why_this_order(asked.name.as_str(), resolver)}</p>
        <ol class="steps-list">{steps}</ol>
        <p class=format!("ladder-summary {tone}") role="status" data-testid="lookup-result">{result}</p>
    }
    .into_any()
}

fn answer_words(answer: &Answer) -> (Mark, &'static str) {
    match answer {
        Answer::Records(_) => (Mark::Ok, "answers"),
        Answer::NoData => (Mark::Off, "is there, but has no address: the next name is tried"),
        Answer::NxDomain => (Mark::Off, "no such name (NXDOMAIN): the next name is tried"),
        Answer::Elsewhere => (Mark::Warn, "not the cluster's name: another server answers, or nobody"),
    }
}

fn why_this_order(name: &str, resolver: &Resolver) -> String {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return "An address: programs connect to it without asking. This is who asks for its name, as with dig -x.".to_owned();
    }
    if name.ends_with('.') {
        return "It ends in a dot, so it is asked for as it is.".to_owned();
    }
    let dots = words::count(name.matches('.').count(), "dot", "dots");
    let ndots = resolver.ndots;
    if name.matches('.').count() >= usize::from(ndots) {
        format!("{dots}, and ndots is {ndots}: asked for as it is, then along the search path.")
    } else {
        format!("{dots}, and ndots is {ndots}: the search path comes first, then the name as it is.")
    }
}

fn result_words(lookup: &Lookup) -> (&'static str, String) {
    let asked = words::count(lookup.queries.len(), "name", "names");
    match lookup.answered().map(|query| (&query.name, &query.answer)) {
        Some((name, Answer::Records(records))) => {
            let data: Vec<String> = records.iter().take(8).map(|record| record.data.to_string()).collect();
            let more = records.len().saturating_sub(8);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            ("ok", format!("{name} → {}{more}; {asked} asked for.", data.join(", ")))
        }
        Some((name, _)) => {
            ("off", format!("{name} is for other servers to answer; the objects do not tell what they say."))
        }
        None => ("bad", format!("Not found: {asked} asked for, none has an answer.")),
    }
}
