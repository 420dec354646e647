//! The sandbox's own screen: apply a manifest, scale, fail and heal, start anew. Only there while the source is the sandbox.
//!
//! It sends requests and shows what was refused; what happens shows on the map, by the stream.

use std::collections::BTreeMap;

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use vipscope_shared::api::SourceKind;
use vipscope_shared::model::{ClusterState, Key, Keyed, Pod, Text};
use wasm_bindgen::JsCast;

use super::links::{namespace_link, node_link};
use super::shell::{Shell, shell};
use crate::api::sandbox::{self, Applied, Deed, Example};
use crate::ui::{MarkView, Section};

/// Most rows of a list at once.
const LISTED: usize = 100;
/// Largest file that is taken, in bytes: what the backend takes.
const LARGEST: f64 = 3.0 * 1024.0 * 1024.0;

/// Whether the cluster is the sandbox.
pub fn is_sandbox(shell: Shell) -> bool {
    shell.store.with(|data| data.cluster.as_ref().is_some_and(|info| info.source == SourceKind::Sandbox))
}

/// Sends a request; a refusal goes to `refused`.
pub fn send(deed: Deed, refused: RwSignal<Option<String>>) {
    refused.set(None);
    spawn_local(async move {
        if let Err(why) = sandbox::act(&deed).await {
            refused.set(Some(why));
        }
    });
}

/// The screen.
#[component]
pub fn SandboxScreen() -> impl IntoView {
    let shell = shell();
    let server = move || {
        shell
            .store
            .with(|data| data.cluster.as_ref().and_then(|info| info.server.as_ref().map(ToString::to_string)))
    };
    view! {
        <div class="sheet" data-testid="sandbox">
            <div class="scroll sandbox" tabindex="0" role="region" aria-label="Sandbox">
                <Show when=move || is_sandbox(shell)
                    fallback=|| view! { <p class="muted pad">"The cluster is a real one: there is no sandbox to change."</p> }>
                    <header class="sandbox-head">
                        <h1>"Sandbox"</h1>
                        <p class="muted">"A Kubernetes API in this process, with simulated nodes and pods. Change it here, or with kubectl:"</p>
                        {move || server().map(|server| view! { <code class="mono">{format!("kubectl --server {server} get pods -A")}</code> })}
                    </header>
                    <div class="sandbox-grid">
                        <Apply/>
                        <div>
                            <Workloads/>
                            <Nodes/>
                            <Reset/>
                        </div>
                    </div>
                </Show>
            </div>
        </div>
    }
}

/// What came of the last manifest.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    None,
    Waiting,
    Applied(Vec<Applied>),
    Refused(String),
}

#[component]
fn Apply() -> impl IntoView {
    let manifest = RwSignal::new(String::new());
    let namespace = RwSignal::new("default".to_owned());
    let answer = RwSignal::new(Answer::None);
    let apply = move |_| {
        answer.set(Answer::Waiting);
        spawn_local(async move {
            let sent = sandbox::apply(manifest.get_untracked(), &namespace.get_untracked()).await;
            answer.set(match sent {
                Ok(applied) => Answer::Applied(applied),
                Err(why) => Answer::Refused(why),
            });
        });
    };
    let dropped = move |event: ev::DragEvent| {
        event.prevent_default();
        let files = event.data_transfer().and_then(|data| data.files());
        let Some(file) = files.and_then(|files| files.get(0)) else { return };
        if file.size() > LARGEST {
            return answer.set(Answer::Refused("the file is larger than 3 MiB".to_owned()));
        }
        spawn_local(async move {
            match wasm_bindgen_futures::JsFuture::from(file.text()).await {
                Ok(text) => manifest.set(text.as_string().unwrap_or_default()),
                Err(_) => answer.set(Answer::Refused("the file can't be read as text".to_owned())),
            }
        });
    };
    let empty = move || manifest.with(|text| text.trim().is_empty());
    view! {
        <Section title="Apply a manifest">
            <Examples manifest=manifest/>
            <textarea class="mono manifest" data-testid="manifest" spellcheck="false" rows="18" aria-label="Manifest, YAML or JSON"
                placeholder="Paste YAML or JSON, or drop a file here" prop:value=manifest
                on:input=move |event| manifest.set(event_target_value(&event))
                on:dragover=|event: ev::DragEvent| event.prevent_default() on:drop=dropped></textarea>
            <div class="sandbox-row">
                <label>"Namespace "<input class="mono" size="14" prop:value=namespace
                    on:input=move |event| namespace.set(event_target_value(&event))/></label>
                <button type="button" class="btn primary" data-testid="apply" disabled=empty on:click=apply>"Apply"</button>
            </div>
            <div role="status" data-testid="applied">{move || answer_view(answer.get())}</div>
        </Section>
    }
}

fn answer_view(answer: Answer) -> AnyView {
    match answer {
        Answer::None => ().into_any(),
        Answer::Waiting => view! { <p class="muted">"Applying…"</p> }.into_any(),
        Answer::Refused(why) => view! { <p class="refused">{why}</p> }.into_any(),
        Answer::Applied(all) if all.is_empty() => {
            view! { <p class="muted">"No objects in it."</p> }.into_any()
        }
        Answer::Applied(all) => {
            let more = all.len().saturating_sub(LISTED);
            let rows = all.into_iter().take(LISTED).map(|one| {
                let name = if one.namespace.is_empty() {
                    one.name
                } else {
                    format!("{}/{}", one.namespace, one.name)
                };
                view! { <li><b>{one.outcome}</b>" "{one.kind}" "<span class="mono">{name}</span></li> }
            });
            let rest = (more > 0).then(|| view! { <li class="muted">{format!("and {more} more")}</li> });
            view! { <ul class="plain">{rows.collect_view()}{rest}</ul> }.into_any()
        }
    }
}

/// Fills the field with an example.
#[component]
fn Examples(manifest: RwSignal<String>) -> impl IntoView {
    let list = RwSignal::new(Vec::<Example>::new());
    let problem = RwSignal::new(None::<String>);
    spawn_local(async move {
        match sandbox::examples().await {
            Ok(examples) => list.set(examples),
            Err(why) => problem.set(Some(why)),
        }
    });
    let choose = move |event: ev::Event| {
        let name = event_target_value(&event);
        let chosen = list.with_untracked(|list| {
            list.iter().find(|example| example.name == name).map(|example| example.manifest.clone())
        });
        if let Some(text) = chosen {
            manifest.set(text);
        }
        if let Some(select) =
            event.target().and_then(|target| target.dyn_into::<web_sys::HtmlSelectElement>().ok())
        {
            select.set_value("");
        }
    };
    let options = move || {
        list.get().into_iter().map(|one| view! { <option value=one.name>{one.title}</option> }).collect_view()
    };
    view! {
        <label class="sandbox-row">"Example "
            <select data-testid="example" on:change=choose>
                <option value="">"choose one…"</option>
                {options}
            </select>
        </label>
        {move || problem.get().map(|why| view! { <p class="refused">{why}</p> })}
    }
}

/// A Deployment, as its pods tell of it.
#[derive(Debug, Clone, PartialEq)]
struct Workload {
    key: Key,
    pods: usize,
    ready: usize,
}

/// Deployments are not watched; their pods name them. One without pods can be scaled with kubectl.
fn workloads(state: &ClusterState) -> Vec<Workload> {
    let mut found: BTreeMap<Key, Workload> = BTreeMap::new();
    let of_deployment = |pod: &&std::sync::Arc<Pod>| {
        pod.meta.owner.as_ref().is_some_and(|owner| &*owner.kind == "ReplicaSet") && !pod.meta.terminating()
    };
    for pod in state.pods().values().filter(of_deployment) {
        let key = Key::new(pod.namespace().clone(), pod.workload());
        let entry = found.entry(key.clone()).or_insert(Workload { key, pods: 0, ready: 0 });
        entry.pods += 1;
        entry.ready += usize::from(pod.ready);
    }
    found.into_values().collect()
}

#[component]
fn Workloads() -> impl IntoView {
    let shell = shell();
    let refused = RwSignal::new(None);
    let all = Memo::new(move |_| shell.store.state(workloads));
    let rows =
        move || all.get().into_iter().take(LISTED).map(|one| workload_row(one, refused)).collect_view();
    let more = move || all.with(|all| all.len()).saturating_sub(LISTED);
    view! {
        <Section title="Deployments">
            <table><tbody>{rows}</tbody></table>
            <Show when=move || { more() > 0 }><p class="muted">{move || format!("and {} more", more())}</p></Show>
            <Refused refused=refused/>
        </Section>
    }
}

fn workload_row(workload: Workload, refused: RwSignal<Option<String>>) -> impl IntoView {
    let Workload { key, pods, ready } = workload;
    let to = |replicas: usize| {
        let deployment = key.clone();
        let replicas = u16::try_from(replicas).unwrap_or(u16::MAX);
        move |_| send(Deed::Scale { deployment: deployment.clone(), replicas }, refused)
    };
    let (less, more) = (to(pods.saturating_sub(1)), to(pods + 1));
    let (name, namespace) = (key.name.to_string(), namespace_link(&key.namespace));
    let label = |what: &str| format!("{what} {key}");
    view! {
        <tr>
            <th scope="row">{name}</th>
            <td>{namespace}</td>
            <td class="mono" title="ready / all">{format!("{ready}/{pods}")}</td>
            <td class="sandbox-buttons">
                <button type="button" class="btn square" aria-label=label("One pod less:") disabled={pods == 0} on:click=less>"−"</button>
                <button type="button" class="btn square" aria-label=label("One pod more:") on:click=more>"+"</button>
            </td>
        </tr>
    }
}

#[component]
fn Nodes() -> impl IntoView {
    let shell = shell();
    let refused = RwSignal::new(None);
    let names = Memo::new(move |_| {
        shell
            .store
            .state(|state| state.nodes().values().map(|node| node.name().clone()).collect::<Vec<Text>>())
    });
    let rows =
        move || names.get().into_iter().take(LISTED).map(|name| node_row(name, refused)).collect_view();
    view! {
        <Section title="Nodes">
            <table><tbody>{rows}</tbody></table>
            <Refused refused=refused/>
        </Section>
    }
}

fn node_row(name: Text, refused: RwSignal<Option<String>>) -> impl IntoView {
    let shell = shell();
    let known = name.clone();
    let state = Memo::new(move |_| {
        shell.store.state(|state| state.node(&known).map(|node| super::inspector::node_state(node)))
    });
    let shown = move || state.get().map(|(mark, words)| view! { <MarkView mark=mark label=""/>" "{words} });
    view! {
        <tr>
            <th scope="row">{node_link(&name)}</th>
            <td>{shown}</td>
            <td class="sandbox-buttons"><NodeDeeds name=name refused=refused/></td>
        </tr>
    }
}

/// What can be done to a node.
#[component]
pub fn NodeDeeds(name: Text, refused: RwSignal<Option<String>>) -> impl IntoView {
    let shell = shell();
    let known = name.clone();
    let state = Memo::new(move |_| {
        shell.store.state(|state| state.node(&known).map(|node| (node.ready, node.unschedulable)))
    });
    let button = move |words: &'static str, deed: &'static str| {
        let name = name.to_string();
        let label = format!("{words} {name}");
        view! {
            <button type="button" class="btn" aria-label=label
                on:click=move |_| send(Deed::Node(name.clone(), deed), refused)>{words}</button>
        }
    };
    move || {
        let (ready, cordoned) = state.get()?;
        let health = if ready { button("Fail", "fail") } else { button("Heal", "heal") };
        let schedule = if cordoned { button("Uncordon", "uncordon") } else { button("Cordon", "cordon") };
        Some(view! { {health}{schedule}{button("Drain", "drain")} })
    }
}

/// What can be done to a pod.
#[component]
pub fn PodDeeds(key: Key) -> impl IntoView {
    let shell = shell();
    let refused = RwSignal::new(None);
    let deeds = [("Make unready", "unready"), ("Crash", "crash"), ("Heal", "heal"), ("Delete", "delete")];
    let button = move |key: Key, (words, deed): (&'static str, &'static str)| {
        view! {
            <button type="button" class="btn" on:click=move |_| send(Deed::Pod(key.clone(), deed), refused)>{words}</button>
        }
    };
    move || {
        is_sandbox(shell).then(|| {
            let buttons = deeds.map(|deed| button(key.clone(), deed)).collect_view();
            view! {
                <Section title="Sandbox">
                    <div class="sandbox-buttons">{buttons}</div>
                    <Refused refused=refused/>
                </Section>
            }
        })
    }
}

/// The same for a node, in the inspector.
#[component]
pub fn NodeSection(name: Text) -> impl IntoView {
    let shell = shell();
    let refused = RwSignal::new(None);
    move || {
        let name = name.clone();
        is_sandbox(shell).then(|| {
            view! {
                <Section title="Sandbox">
                    <div class="sandbox-buttons"><NodeDeeds name=name refused=refused/></div>
                    <Refused refused=refused/>
                </Section>
            }
        })
    }
}

#[component]
fn Refused(refused: RwSignal<Option<String>>) -> impl IntoView {
    view! { <div role="status">{move || refused.get().map(|why| view! { <p class="refused">{why}</p> })}</div> }
}

/// Asks before it starts anew.
#[component]
fn Reset() -> impl IntoView {
    let asked = RwSignal::new(false);
    let refused = RwSignal::new(None);
    let reset = move |_| {
        asked.set(false);
        send(Deed::Reset, refused);
    };
    view! {
        <Section title="Start anew">
            <Show when=move || asked.get()
                fallback=move || view! { <button type="button" class="btn" on:click=move |_| asked.set(true)>"Reset the sandbox…"</button> }>
                <p>"Everything you have changed goes, and the demo comes back."</p>
                <div class="sandbox-buttons">
                    <button type="button" class="btn primary" on:click=reset>"Reset"</button>
                    <button type="button" class="btn" on:click=move |_| asked.set(false)>"Keep it"</button>
                </div>
            </Show>
            <Refused refused=refused/>
        </Section>
    }
}
