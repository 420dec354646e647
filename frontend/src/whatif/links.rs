//! Edit lists in links.

use vipscope_shared::whatif::edit::Edit;

/// The list as a link carries it.
pub fn link_of(edits: &[Edit]) -> String {
    if edits.is_empty() { String::new() } else { serde_json::to_string(edits).unwrap_or_default() }
}

/// The list that a link carries; `None` if it can't be read.
pub fn link_to(text: &str) -> Option<Vec<Edit>> {
    if text.is_empty() { Some(Vec::new()) } else { serde_json::from_str(text).ok() }
}
