//! What if: an edit list makes another cluster of this one, and the difference says what would become of traffic.
//!
//! [`edit`] is the language of edits, [`apply`] makes the other cluster, [`difference`] compares two clusters flow by flow.

pub mod apply;
pub mod difference;
pub mod edit;
