//! Arrow keys: sideways along edges, up and down among neighbours, never into nothing.

use super::{Direction, Item, ItemKind, Scene, Target};

pub(super) fn neighbour(scene: &Scene, from: &Target, dir: Direction) -> Option<Target> {
    let start = scene.find(from)?;
    let sideways = matches!(dir, Direction::Left | Direction::Right);
    let along = if sideways { along_edge(scene, start, dir) } else { None };
    along.or_else(|| nearest(scene, start, dir))
}

/// The end of an edge that lies to that side: the one closest in height.
fn along_edge(scene: &Scene, start: &Item, dir: Direction) -> Option<Target> {
    let service = match &start.target {
        Target::Port(key, _) => Target::Service(key.clone()),
        other => other.clone(),
    };
    let ends = scene.edges().iter().filter_map(|edge| match dir {
        Direction::Right if edge.from == service => Some(&edge.to),
        Direction::Left if edge.to == service => Some(&edge.from),
        _ => None,
    });
    let ends = ends.filter_map(|target| scene.find(target));
    let height = |item: &Item| (item.rect.center().y - start.rect.center().y).abs();
    ends.min_by(|a, b| height(a).total_cmp(&height(b))).map(|item| item.target.clone())
}

/// The closest item that way; distance across counts more than distance along.
fn nearest(scene: &Scene, start: &Item, dir: Direction) -> Option<Target> {
    let here = start.rect.center();
    let distance = |item: &Item| {
        let there = item.rect.center();
        let (dx, dy) = (there.x - here.x, there.y - here.y);
        let (along, across) = match dir {
            Direction::Left => (-dx, dy.abs()),
            Direction::Right => (dx, dy.abs()),
            Direction::Up => (-dy, dx.abs()),
            Direction::Down => (dy, dx.abs()),
        };
        (along > 1.0).then_some(along + 3.0 * across)
    };
    let walkable = scene.items().iter().filter(|item| {
        !matches!(item.kind, ItemKind::Island | ItemKind::More { .. }) && item.target != start.target
    });
    let reached = walkable.filter_map(|item| distance(item).map(|distance| (distance, item)));
    let best = reached.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, item)| item.target.clone())
}
