//! The screens and panels, one file each. They read the store and the view state, and write the view state only.

mod footer;
mod inspector;
mod keys;
mod links;
mod map;
mod node_rules;
mod nodes;
mod notices;
mod rail;
mod sandbox;
mod search_box;
mod shell;
mod stage;
mod status;
mod table;
mod top_bar;
mod trace_actions;
mod trace_bar;
mod trace_end;
mod trace_modes;
mod trace_observed;
mod trace_panel;
mod trace_run;
mod traffic;
mod traffic_run;

pub use footer::Footer;
pub use inspector::Inspector;
pub use keys::{KeysHelp, bind_keys};
pub use rail::Rail;
pub use shell::{Shell, shell};
pub use stage::Stage;
pub use top_bar::TopBar;
pub use trace_run::TraceRun;
pub use traffic_run::TrafficRun;
