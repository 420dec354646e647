//! Compare: what two settings of kube-proxy, or two clusters, make of the same traffic.

use leptos::prelude::*;

/// The screen.
#[component]
pub fn CompareScreen() -> impl IntoView {
    view! { <div class="sheet" data-testid="compare"></div> }
}
