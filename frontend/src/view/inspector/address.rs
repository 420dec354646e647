//! An endpoint that is no pod: an address that someone wrote into a slice.

use leptos::prelude::*;
use vipscope_shared::model::Text;

use super::headline::services_at;
use super::namespace::{standing_line, standings};
use crate::ui::Section;
use crate::view::shell::shell;

/// Which Services list it.
#[component]
pub fn Summary(address: Text) -> impl IntoView {
    let shell = shell();
    let services = Memo::new(move |_| {
        shell.store.state(|state| {
            let keys = services_at(state, &address);
            standings(state, |service| keys.contains(&service.meta.key))
        })
    });
    view! {
        <div class="sec">
            <p class="muted">"No pod has this address. It was written into an EndpointSlice or Endpoints object by hand or by another controller; nobody here knows whether it answers."</p>
        </div>
        <Section title="Services that lead here">
            <ul class="plain">{move || services.get().into_iter().map(standing_line).collect_view()}</ul>
        </Section>
    }
}
