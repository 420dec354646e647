//! What if, without signals: the list of edits with its undo, what can be done to a thing, edits and differences in words.
//!
//! [`Plan`] is the list as the reader has built it. [`offers`] says what can be done to what is selected. [`rows`] makes the
//! lines of a table of a difference, [`group_rows`] those that stand for several of them.

mod ask;
mod groups;
mod links;
mod offers;
mod plan;
mod table;
mod text;

pub use ask::{Answer, Outcome, ask};
pub use groups::{GroupRow, PartRow, group_rows};
pub use links::{link_of, link_problem, link_to};
pub use offers::{Offer, Opt, chip, offers, selector_edit, workload_of, zone_edit};
pub use plan::{Plan, manifest_name};
pub use table::{Band, Cell, Row, Tone, counts, place_of, rows};
pub use text::{Notation, manifest_of, print_edits, print_value, read_edits, read_manifest};
