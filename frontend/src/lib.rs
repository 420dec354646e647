//! vipscope's dashboard, compiled to WebAssembly.
//!
//! One way for data: [`api`] connects and is the only writer of the [`store`]; everything that is shown derives from the
//! store and from [`view_state`], which lives in the URL. [`canvas`] draws the map, [`view`] has one file per screen or
//! panel, [`ui`] knows nothing about clusters.

pub mod api;
mod app;
pub mod asked;
pub mod canvas;
pub mod changes;
pub mod compare;
pub mod complete;
pub mod findings;
pub mod open_file;
pub mod search;
pub mod store;
pub mod tracing;
pub mod traffic;
pub mod ui;
pub mod view;
pub mod view_state;
pub mod whatif;
pub mod words;

/// Mounts the dashboard into the page's body.
pub fn mount() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
