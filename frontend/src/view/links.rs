//! Names that lead to the thing they name: a click selects it, on the map and in the inspector.

use leptos::prelude::*;
use vipscope_shared::model::Key;
use vipscope_shared::scene::Target;

use super::shell::shell;

/// A button that selects `target`. Cluster text is its label, never an address.
#[component]
pub fn TargetLink(target: Target, #[prop(into)] text: String) -> impl IntoView {
    let shell = shell();
    let title = target.to_string();
    view! {
        <button type="button" class="link" title=title on:click=move |_| shell.select(Some(target.clone()))>
            {text}
        </button>
    }
}

/// A pod, by its name.
pub fn pod_link(key: &Key) -> AnyView {
    view! { <TargetLink target=Target::Pod(key.clone()) text=key.name.to_string()/> }.into_any()
}

/// A Service, by its name.
pub fn service_link(key: &Key) -> AnyView {
    view! { <TargetLink target=Target::Service(key.clone()) text=key.name.to_string()/> }.into_any()
}

/// A node.
pub fn node_link(name: &str) -> AnyView {
    view! { <TargetLink target=Target::Node(name.into()) text=name/> }.into_any()
}

/// A namespace.
pub fn namespace_link(name: &str) -> AnyView {
    view! { <TargetLink target=Target::Namespace(name.into()) text=name/> }.into_any()
}
