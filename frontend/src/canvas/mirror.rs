//! The map as a list, for screen readers and tests: what is visible, in reading order, with its health in words.

use vipscope_shared::scene::{Edge, Ghost, Item, ItemKind, PathRole, Target};

use super::engine::Engine;
use super::text::clean;

/// Rows beyond this are counted in the last one.
const LIMIT: usize = 400;
/// Edges that would come or go, named at most.
const GHOSTS: usize = 100;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// Text of the target; empty in the last row, which counts what is left out.
    pub(super) target: String,
    pub(super) kind: &'static str,
    pub(super) health: &'static str,
    /// The share, or the reason against it, while the row belongs to what is in focus.
    pub(super) share: Option<String>,
    /// While a packet is traced: `on` its way, `off` it, or where it `stop`s.
    pub(super) path: Option<&'static str>,
    /// While edits are asked about: `gone`, `new` or `changed` by them.
    pub(super) ghost: Option<&'static str>,
    pub(super) text: String,
}

/// The rows for what the camera sees. What is in focus or on the way of a packet is among them even if it is out of sight.
pub(super) fn rows(engine: &Engine) -> Vec<Row> {
    let view = engine.camera().view(engine.viewport().size());
    let listed = |item: &&Item| is_wanted(item) || item.rect.intersects(view);
    let listed: Vec<&Item> = engine.scene().items().iter().filter(listed).collect();
    let total = listed.len();
    let mut room = LIMIT.saturating_sub(listed.iter().filter(|item| is_wanted(item)).count());
    let mut fits = |item: &&&Item| {
        let fits = is_wanted(item) || room > 0;
        room = room.saturating_sub(usize::from(!is_wanted(item)));
        fits
    };
    let shown: Vec<&Item> = listed.iter().filter(|item| fits(item)).take(LIMIT).copied().collect();
    let mut rows: Vec<Row> = shown.iter().map(|item| row(item)).collect();
    let missing = total - rows.len();
    rows.extend(ghost_edges(engine));
    if missing > 0 {
        let text = format!("and {missing} more: zoom in or search");
        rows.push(Row {
            target: String::new(),
            kind: "rest",
            health: "unknown",
            share: None,
            path: None,
            ghost: None,
            text,
        });
    }
    rows
}

/// Edges that would come or go.
fn ghost_edges(engine: &Engine) -> Vec<Row> {
    let name = |target: &Target| {
        engine.scene().find(target).map_or_else(|| target.to_string(), |item| item.title.to_string())
    };
    let edges = engine.scene().edges().iter().filter_map(|edge| Some((edge, edge.ghost?)));
    let row = |(edge, ghost): (&Edge, Ghost)| {
        let verb = if ghost == Ghost::New { "would lead" } else { "would no longer lead" };
        Row {
            target: String::new(),
            kind: "edge",
            health: edge.health.as_str(),
            share: None,
            path: None,
            ghost: Some(ghost.as_str()),
            text: clean(&format!("{} {verb} to {}", name(&edge.from), name(&edge.to))),
        }
    };
    edges.take(GHOSTS).map(row).collect()
}

/// In focus, on the way of a traced packet, or different by the edits that are asked about.
fn is_wanted(item: &Item) -> bool {
    item.focused || item.ghost.is_some() || matches!(item.path, PathRole::On | PathRole::Stop)
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
    for part in [&*item.title, &*item.subtitle, tag, words, &*item.change] {
        if !part.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    Row {
        target: item.target.to_string(),
        kind,
        health: item.health.as_str(),
        path: Some(item.path.as_str()).filter(|role| !role.is_empty()),
        ghost: item.ghost.map(Ghost::as_str),
        share: (pod && item.focused && !item.tag.is_empty()).then(|| item.tag.to_string()),
        text: clean(&parts.join(", ")),
    }
}
