//! Edit lists in links.

use vipscope_shared::whatif::edit::{Edit, link};

/// The list as a link carries it.
pub fn link_of(edits: &[Edit]) -> String {
    link::encode(edits)
}

/// The list that a link carries; `None` if it can't be read.
pub fn link_to(text: &str) -> Option<Vec<Edit>> {
    link::decode(text).ok()
}
