//! The map as a list, for screen readers and tests: what is visible, in reading order, with its health in words.

use vipscope_shared::scene::{Item, ItemKind};

use super::engine::Engine;
use super::text::clean;

/// Rows beyond this are counted in the last one.
const LIMIT: usize = 400;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// Text of the target; empty in the last row, which counts what is left out.
    pub(super) target: String,
    pub(super) kind: &'static str,
    pub(super) health: &'static str,
    /// The share, or the reason against it, while the row belongs to what is in focus.
    pub(super) share: Option<String>,
    pub(super) text: String,
}

/// The rows for what the camera sees. What is in focus is among them even if it is out of sight.
pub(super) fn rows(engine: &Engine) -> Vec<Row> {
    let view = engine.camera().view(engine.viewport().size());
    let listed = |item: &&Item| item.focused || item.rect.intersects(view);
    let listed: Vec<&Item> = engine.scene().items().iter().filter(listed).collect();
    let total = listed.len();
    let mut room = LIMIT.saturating_sub(listed.iter().filter(|item| item.focused).count());
    let mut fits = |item: &&&Item| {
        let fits = item.focused || room > 0;
        room = room.saturating_sub(usize::from(!item.focused));
        fits
    };
    let shown: Vec<&Item> = listed.iter().filter(|item| fits(item)).take(LIMIT).copied().collect();
    let mut rows: Vec<Row> = shown.iter().map(|item| row(item)).collect();
    if total > rows.len() {
        let text = format!("and {} more: zoom in or search", total - rows.len());
        rows.push(Row { target: String::new(), kind: "rest", health: "unknown", share: None, text });
    }
    rows
}

/// An item in one sentence.
pub(super) fn words(item: &Item) -> String {
    row(item).text
}

fn row(item: &Item) -> Row {
    let kind = match item.kind {
        ItemKind::Source => "source",
        ItemKind::Island => "namespace",
        ItemKind::Service { .. } => "service",
        ItemKind::Port => "port",
        ItemKind::Node => "node",
        ItemKind::Pod(_) => "pod",
        ItemKind::More { .. } => "more",
    };
    let pod = matches!(item.kind, ItemKind::Pod(_) | ItemKind::More { .. });
    let tag = if pod { &*item.tag } else { "" };
    let words = item.health_words();
    let mut parts: Vec<&str> = Vec::new();
    for part in [&*item.title, &*item.subtitle, tag, words] {
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    Row {
        target: item.target.to_string(),
        kind,
        health: item.health.as_str(),
        share: (pod && item.focused && !item.tag.is_empty()).then(|| item.tag.to_string()),
        text: clean(&parts.join(", ")),
    }
}
