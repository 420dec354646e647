//! Edit lists in links.

use vipscope_shared::whatif::edit::{Edit, link};

/// The list as a link carries it.
pub fn link_of(edits: &[Edit]) -> String {
    link::encode(edits)
}

/// Why the list of a link can't be read, if it can't.
pub fn link_problem(text: &str) -> Option<String> {
    link::decode(text).err().map(|problem| problem.to_string())
}

/// The list that a link carries; `None` if it can't be read.
pub fn link_to(text: &str) -> Option<Vec<Edit>> {
    link::decode(text).ok()
}
