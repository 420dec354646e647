//! The page: contexts, the frame around the screens, and nothing else.

use leptos::prelude::*;

use crate::api;
use crate::view::{
    FindingsRun, Footer, Inspector, KeysHelp, OpenFile, Opening, Rail, Shell, Stage, TopBar, TraceRun,
    TrafficRun, WhatIf, bind_keys,
};
use crate::view_state::Chrome;

/// The dashboard.
#[component]
pub fn App() -> impl IntoView {
    let shell = Shell::start();
    provide_context(shell);
    provide_context(TraceRun::start(shell));
    provide_context(FindingsRun::start(shell));
    provide_context(Opening::new());
    let whatif = WhatIf::start(shell);
    provide_context(whatif);
    let traffic = TrafficRun::start(shell);
    provide_context(traffic);
    api::start(shell.store);
    api::traffic::start(shell.store, traffic.live);
    api::watch_wakeups(shell.store);
    bind_keys(shell, whatif, traffic);
    let kiosk = move || shell.chrome.get() == Chrome::Kiosk;
    let full = move || !kiosk();
    view! {
        <div class="app" class:kiosk=kiosk class:is-picking=move || shell.picking.get().is_some() || whatif.picking.get() class:has-selection=move || shell.selected.with(Option::is_some)>
            <Show when=full>
                <TopBar/>
                <Rail/>
            </Show>
            <Stage/>
            <Show when=full>
                <Inspector/>
                <Footer/>
            </Show>
            <KeysHelp/>
            <OpenFile/>
        </div>
    }
}
