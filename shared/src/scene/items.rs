//! From what was surveyed and its places to [`Item`]s, in reading order.

use std::collections::BTreeMap;

use super::edges::Focus;
use super::ghost::Ghost;
use super::layout::{CARD, PORT_PITCH, Places};
use super::status::port_name;
use super::survey::{NodeView, PodLook, ServiceView, Spot, Survey};
use super::words::{count, port_line, service_address};
use super::{Health, Item, ItemKind, NO_NODE, Path, PathRole, Rect, Target};
use crate::model::{Keyed, ServiceType, Text};

pub(super) fn items(survey: &Survey, places: &Places, focus: &Focus) -> Vec<Item> {
    let mut items = Vec::new();
    for source in &survey.sources {
        let Some(rect) = places.sources.get(&source.id) else { continue };
        let target = Target::Source(source.id.clone());
        let focused = focus.target.as_ref() == Some(&target);
        let item = Item::new(target, *rect, source.title.clone(), ItemKind::Source);
        items.push(Item { subtitle: source.subtitle.clone(), focused, ..item });
    }
    for (namespace, services) in &survey.islands {
        let Some(rect) = places.islands.get(namespace) else { continue };
        items.push(Item { head: places.heads.0, ..island(namespace, services, *rect) });
        for view in services {
            let key = view.service.key();
            if let Some(rect) = places.cards.get(&(key.namespace.clone(), key.name.clone())) {
                service(view, *rect, focus, &mut items);
            }
        }
    }
    for node in &survey.nodes {
        if let Some(rect) = places.panels.get(&node.name) {
            panel(node, *rect, places, focus, &mut items);
        }
    }
    if let Some(path) = &focus.path {
        items.iter_mut().for_each(|item| item.take_role(path));
    }
    items
}

impl Item {
    fn new(target: Target, rect: Rect, title: Text, kind: ItemKind) -> Item {
        Item {
            target,
            rect,
            label: title.clone(),
            title,
            subtitle: "".into(),
            tag: "".into(),
            health: Health::Ok,
            problem: "".into(),
            kind,
            head: 0.0,
            focused: false,
            path: PathRole::None,
            ghost: None,
            change: "".into(),
        }
    }

    /// Frames are never faint: what is inside may be on the way. An aggregate knows by itself what it hides.
    fn take_role(&mut self, path: &Path) {
        self.path = match (self.kind, path.role(&self.target)) {
            (ItemKind::More { .. }, _) if self.path == PathRole::On => PathRole::On,
            (ItemKind::More { .. }, _) => PathRole::Off,
            (ItemKind::Island | ItemKind::Node, PathRole::Off) => PathRole::None,
            (_, role) => role,
        };
        if self.path == PathRole::Stop {
            self.subtitle = path.stop.clone();
        }
    }

    /// Health in words, for people who do not see the mark.
    pub fn health_words(&self) -> &str {
        match self.health {
            _ if !self.problem.is_empty() => &self.problem,
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::Failing => "failing",
            Health::Unknown => "health not known",
        }
    }
}

fn island(namespace: &Text, services: &[ServiceView], rect: Rect) -> Item {
    let services: Vec<&ServiceView> = services.iter().filter(|view| view.ghost != Some(Ghost::New)).collect();
    let health = services.iter().map(|view| view.status.health).filter(|health| *health != Health::Unknown);
    let health = health.fold(Health::Ok, Health::worst);
    let bad = services.iter().filter(|view| matches!(view.status.health, Health::Degraded | Health::Failing));
    let (all, bad) = (count(services.len(), "Service"), bad.count());
    let problem = if bad > 0 { format!("{bad} of {all} with problems") } else { String::new() };
    let item = Item::new(Target::Namespace(namespace.clone()), rect, namespace.clone(), ItemKind::Island);
    Item { subtitle: all.as_str().into(), tag: all.into(), health, problem: problem.into(), ..item }
}

fn service(view: &ServiceView, rect: Rect, focus: &Focus, items: &mut Vec<Item>) {
    let (service, status) = (&view.service, &view.status);
    let key = service.key();
    let name_only = service.service_type == ServiceType::ExternalName;
    let (ghost, change) = service_change(view);
    let subtitle = match status.health {
        _ if !change.is_empty() => change.clone(),
        Health::Failing => status.problem.clone(),
        _ => service_address(service, status.rows.len()),
    };
    let target = Target::Service(key.clone());
    let item = Item::new(target, rect, key.name.clone(), ItemKind::Service { name_only });
    items.push(Item {
        subtitle,
        health: status.health,
        problem: status.problem.clone(),
        focused: focus.service() == Some(key),
        ghost,
        change,
        ..item
    });
    if service.ports.len() < 2 {
        return;
    }
    for (nth, port) in service.ports.iter().enumerate() {
        let y = rect.y + CARD.1 + nth as f64 * PORT_PITCH;
        let row = Rect::new(rect.x + 6.0, y, rect.w - 12.0, PORT_PITCH - 2.0);
        let target = Target::Port(key.clone(), port_name(port));
        let focused = focus.target.as_ref() == Some(&target);
        let item = Item::new(target, row, port_name(port), ItemKind::Port);
        let (line, protocol) = (port_line(port), port.protocol.as_str());
        items.push(Item { subtitle: format!("{line} {protocol}").into(), tag: line, focused, ..item });
    }
}

/// How the Service would be, if that is worth a word: gone, new, or otherwise well or unwell.
fn service_change(view: &ServiceView) -> (Option<Ghost>, Text) {
    let words: Text = match (view.ghost, &view.after) {
        (Some(Ghost::Gone), _) => "would be gone".into(),
        (Some(Ghost::New), _) => "would be new".into(),
        (_, Some((_, next))) if next.problem != view.status.problem => match &*next.problem {
            "" => "would be healthy".into(),
            problem => format!("would be: {problem}").into(),
        },
        _ => return (None, "".into()),
    };
    (view.ghost, words)
}

fn spot_change(spot: &Spot) -> Text {
    match (spot.ghost, spot.after) {
        (Some(Ghost::Gone), _) => "would go".into(),
        (Some(Ghost::New), _) => "would come".into(),
        (_, Some(PodLook::Ready)) => "→ ready".into(),
        (_, Some(PodLook::NotReady)) => "→ not ready".into(),
        (_, Some(PodLook::Terminating)) => "→ terminating".into(),
        _ => "".into(),
    }
}

fn node_change(node: &NodeView) -> Text {
    match (node.ghost, &node.after) {
        (Some(Ghost::Gone), _) => "would be gone".into(),
        (Some(Ghost::New), _) => "would be new".into(),
        (_, Some(next)) if !next.ready => "→ not ready".into(),
        (_, Some(next)) => {
            let old = node.node.as_ref();
            let zone = next.zone().map_or("no zone", |zone| zone);
            match (old.is_some_and(|old| old.unschedulable), next.unschedulable) {
                (false, true) => "→ cordoned".into(),
                (true, false) => "→ uncordoned".into(),
                _ if old.is_some_and(|old| old.ready) => format!("→ {zone}").into(),
                _ => "→ ready".into(),
            }
        }
        _ => "".into(),
    }
}

fn panel(node: &NodeView, rect: Rect, places: &Places, focus: &Focus, items: &mut Vec<Item>) {
    let spots: BTreeMap<&Target, &Spot> = node.spots.iter().map(|spot| (&spot.target, spot)).collect();
    items.push(Item { head: places.heads.1, ..panel_item(node, rect) });
    let rows = places.rows.get(&node.name).map_or(&[][..], Vec::as_slice);
    for (target, rect) in rows {
        if let Some(spot) = spots.get(target) {
            items.push(row(spot, *rect, focus));
        }
    }
    if let Some(rect) = places.more.get(&node.name) {
        let hidden = node.spots.iter().filter(|spot| !rows.iter().any(|(target, _)| *target == spot.target));
        items.push(more(node, hidden.collect(), *rect, focus));
    }
}

fn panel_item(node: &NodeView, rect: Rect) -> Item {
    let (health, problem) = match &node.node {
        Some(node) if !node.ready => (Health::Failing, "node not ready"),
        Some(node) if node.unschedulable => (Health::Degraded, "cordoned"),
        None if &*node.name != NO_NODE => (Health::Unknown, "not among the cluster's nodes"),
        _ => (Health::Ok, ""),
    };
    let title: Text = if &*node.name == NO_NODE { "on no node".into() } else { node.name.clone() };
    let zone = node.node.as_ref().and_then(|node| node.zone().cloned());
    let zone_words = zone.as_ref().map(|zone| format!("zone {zone}, ")).unwrap_or_default();
    let item = Item::new(Target::Node(node.name.clone()), rect, title, ItemKind::Node);
    let subtitle = format!("{zone_words}{}", count(node.spots.len(), "endpoint or pod"));
    let subtitle = subtitle.replace("endpoint or pods", "pods").replace("endpoint or pod", "pod");
    let change = node_change(node);
    let tag = match problem {
        _ if !change.is_empty() => change.clone(),
        "" => zone.unwrap_or_else(|| "".into()),
        problem => problem.into(),
    };
    Item {
        subtitle: subtitle.into(),
        tag,
        health,
        problem: problem.into(),
        ghost: node.ghost,
        change,
        ..item
    }
}

fn row(spot: &Spot, rect: Rect, focus: &Focus) -> Item {
    let mark = focus.marks.get(&spot.target);
    let problem = match spot.look.health() {
        Health::Ok => "",
        Health::Degraded => "terminating",
        _ => "not ready",
    };
    let change = spot_change(spot);
    let told = Some(change.clone()).filter(|change| !change.is_empty());
    let tag = told.or(mark.cloned()).unwrap_or_else(|| problem.into());
    let namespace = match &spot.target {
        Target::Pod(key) => key.namespace.clone(),
        _ => "".into(),
    };
    let item = Item::new(spot.target.clone(), rect, spot.title.clone(), ItemKind::Pod(spot.look));
    Item {
        label: spot.label(),
        subtitle: namespace,
        tag,
        health: spot.look.health(),
        problem: problem.into(),
        focused: mark.is_some() || focus.target.as_ref() == Some(&spot.target),
        ghost: spot.ghost,
        change,
        ..item
    }
}

fn more(node: &NodeView, hidden: Vec<&Spot>, rect: Rect, focus: &Focus) -> Item {
    let health = hidden.iter().map(|spot| spot.look.health()).fold(Health::Ok, Health::worst);
    let bad = hidden.iter().filter(|spot| spot.look.health() != Health::Ok).count();
    let problem = if bad > 0 { format!("{bad} not ready") } else { String::new() };
    let in_focus = hidden.iter().filter(|spot| focus.must.contains(&spot.target)).count();
    let on_way = |path: &Path| hidden.iter().any(|spot| path.ends.contains_key(&spot.target));
    let is_on_way = focus.path.as_ref().is_some_and(on_way);
    let name = focus.path.as_ref().map(|path| &path.service).or(focus.service()).map(|key| key.name.clone());
    let tag = match name {
        Some(name) if in_focus > 0 => format!("{in_focus} of {name}"),
        _ => problem.clone(),
    };
    let title: Text = format!("+ {}", count(hidden.len(), "pod")).into();
    let kind = ItemKind::More { hidden: hidden.len() };
    let item = Item::new(Target::Node(node.name.clone()), rect, title, kind);
    let subtitle = format!("on {}", node.name);
    Item {
        subtitle: subtitle.into(),
        tag: tag.into(),
        health,
        problem: problem.into(),
        focused: in_focus > 0,
        path: if is_on_way { PathRole::On } else { PathRole::None },
        ..item
    }
}
