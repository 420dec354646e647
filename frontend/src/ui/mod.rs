//! Widgets that know nothing about clusters.

mod icons;
mod marks;
mod parts;
mod save;
mod time;

pub use icons::{Icon, IconView, Logo};
pub use marks::{Mark, MarkView};
pub use parts::{Copy, Field, SPARKS, Section, ShareBar, Sparkline, sparkline};
pub use save::save_text;
pub use time::{clock_minutes, clock_seconds};
