//! A changed flow in words: who it is for, what becomes of it, and how bad that is.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Chance, Change};
use super::places::Place;
use crate::model::{ClusterState, IpFamily, Keyed, Text};
use crate::proxy::find_node;
use crate::trace::{Fraction, Origin, Verdict};
use crate::whatif::difference::{Grade, Share, SourceClass, Target, TargetKind};

/// How many of a list are named.
const MOST_NAMES: usize = 3;
/// How many sets of addresses are told apart where words are to be brief.
const MOST_KINDS: usize = 2;

/// The nodes by which sources are named.
pub(in crate::whatif) struct Names {
    /// By family, those that were asked.
    nodes: BTreeMap<IpFamily, BTreeSet<Text>>,
    zones: BTreeMap<Text, BTreeSet<Text>>,
}

impl Names {
    pub(super) fn of(places: &[Place<'_>], state: &ClusterState) -> Names {
        Names::of_nodes_asked(places.iter().map(|place| (place.family, place.name.clone())), state)
    }

    /// As they would be asked if these are the clusters before and after.
    pub fn of_both(before: &ClusterState, after: &ClusterState) -> Names {
        let asked = IpFamily::BOTH.into_iter().flat_map(|family| {
            let names = after.nodes().values().map(|node| node.name());
            let is_place = move |name: &&Text| {
                [before, after].into_iter().all(|state| find_node(state, name, family).is_ok())
            };
            names.filter(is_place).map(move |name| (family, name.clone()))
        });
        Names::of_nodes_asked(asked, after)
    }

    fn of_nodes_asked(asked: impl Iterator<Item = (IpFamily, Text)>, state: &ClusterState) -> Names {
        let mut nodes: BTreeMap<IpFamily, BTreeSet<Text>> = BTreeMap::new();
        for (family, name) in asked {
            nodes.entry(family).or_default().insert(name);
        }
        let mut zones: BTreeMap<Text, BTreeSet<Text>> = BTreeMap::new();
        for node in state.nodes().values() {
            if let Some(zone) = node.zone() {
                zones.entry(zone.clone()).or_default().insert(node.name().clone());
            }
        }
        Names { nodes, zones }
    }

    /// `all pods in zone b; node-a itself; outside through node-a, from 10.0.0.0/8`.
    pub fn of_classes(&self, classes: &[SourceClass]) -> String {
        self.words(classes, usize::MAX)
    }

    /// The same, but where more than [`MOST_KINDS`] sets of addresses have to be told: `outside through node-a, from some
    /// addresses`.
    pub fn of_classes_briefly(&self, classes: &[SourceClass]) -> String {
        self.words(classes, MOST_KINDS)
    }

    fn words(&self, classes: &[SourceClass], most_kinds: usize) -> String {
        let Some(first) = classes.first() else { return String::new() };
        let family = IpFamily::of(first.example);
        let mut parts = Vec::new();
        for origin in [Origin::Pod, Origin::Node, Origin::Outside] {
            // Nodes that say the same of their sources.
            let mut alike: BTreeMap<String, BTreeSet<Text>> = BTreeMap::new();
            let mut pods = BTreeSet::new();
            for class in classes.iter().filter(|class| class.origin == origin) {
                if class.pods.is_empty() {
                    alike.entry(which(class)).or_default().extend(class.nodes.iter().cloned());
                } else {
                    pods.extend(class.pods.iter().map(|pod| match &class.moved_from {
                        Some(node) => format!("{pod} (moved from {node} to {})", list_of(&class.nodes)),
                        None => pod.to_string(),
                    }));
                }
            }
            let kinds = alike.keys().filter(|which| !which.is_empty()).count();
            if kinds > most_kinds {
                let all = alike.remove_entry("");
                let some = std::mem::take(&mut alike).into_values().flatten().collect();
                alike = all.into_iter().chain([(", from some addresses".to_owned(), some)]).collect();
            }
            for (which, nodes) in alike {
                parts.push(self.of_nodes(origin, &nodes, family) + &which);
            }
            if !pods.is_empty() {
                let word = if pods.len() == 1 { "pod" } else { "pods" };
                parts.push(format!("{word} {}", list(pods)));
            }
        }
        parts.join("; ")
    }

    fn of_nodes(&self, origin: Origin, nodes: &BTreeSet<Text>, family: IpFamily) -> String {
        let all = self.nodes.get(&family);
        let is_all = all.is_some_and(|all| all == nodes && all.len() > 1);
        let zone = self.zones.iter().find(|(_, of_zone)| {
            // One node is called by its name.
            nodes.len() > 1 && all.is_some_and(|all| of_zone.intersection(all).eq(nodes.iter()))
        });
        let zone = zone.map(|(zone, _)| zone);
        let names = list(nodes.iter().map(ToString::to_string));
        match (origin, is_all, zone) {
            (Origin::Pod, true, _) => "all pods".to_owned(),
            (Origin::Pod, _, Some(zone)) => format!("all pods in zone {zone}"),
            (Origin::Pod, ..) => format!("pods on {names}"),
            (Origin::Node, true, _) => "all nodes themselves".to_owned(),
            (Origin::Node, _, Some(zone)) => format!("the nodes of zone {zone} themselves"),
            (Origin::Node, ..) if nodes.len() == 1 => format!("{names} itself"),
            (Origin::Node, ..) => format!("{names} themselves"),
            (Origin::Outside, true, _) => "outside through any node".to_owned(),
            (Origin::Outside, _, Some(zone)) => format!("outside through the nodes of zone {zone}"),
            (Origin::Outside, ..) => format!("outside through {names}"),
        }
    }
}

fn list_of(nodes: &[Text]) -> String {
    list(nodes.iter().map(ToString::to_string))
}

/// `, from 10.0.0.0/8 except 10.1.0.0/16`.
fn which(class: &SourceClass) -> String {
    let mut text = String::new();
    if !class.nets.is_empty() {
        text.push_str(&format!(", from {}", list(class.nets.iter().map(short))));
    }
    let mut except: Vec<String> = class.except_pods.iter().map(|pod| format!("pod {pod}")).collect();
    except.extend(class.except.iter().map(short));
    if !except.is_empty() {
        let comma = if class.nets.is_empty() { ", " } else { " " };
        text.push_str(&format!("{comma}except {}", list(except)));
    }
    text
}

/// Without the length of a single address.
fn short(net: &ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
pub(in crate::whatif) fn list(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match &names[..] {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] if names.len() <= MOST_NAMES => format!("{} and {last}", most.join(", ")),
        all => format!("{} and {} more", all[..MOST_NAMES].join(", "), all.len() - MOST_NAMES),
    }
}

/// Whether somebody answers who is meant to.
pub(in crate::whatif) fn is_answered(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Deliver | Verdict::Accept)
}

/// The share of the connections that are answered.
fn success(chances: &[Chance]) -> Option<Fraction> {
    let answered = |chance: &&Chance| is_answered(chance.verdict);
    chances.iter().filter(answered).try_fold(Fraction::ZERO, |sum, chance| {
        let [part, whole] = chance.fraction;
        sum.plus(Fraction::new(part, whole)?)
    })
}

pub(super) fn grade(change: &Change, target: &Target) -> Grade {
    if target.kind == TargetKind::HealthCheck {
        return health_grade(change);
    }
    let (Some(before), Some(after)) = (success(&change.before), success(&change.after)) else {
        return Grade::Moved;
    };
    match before.cmp(&after) {
        std::cmp::Ordering::Greater if after == Fraction::ZERO => Grade::Lost,
        std::cmp::Ordering::Greater => Grade::Degraded,
        std::cmp::Ordering::Less => Grade::Gained,
        std::cmp::Ordering::Equal => Grade::Moved,
    }
}

/// What the answer is to a balancer. One that hears 503 takes the node out and uses the others, so this is no loss yet: what it
/// still sends to the node is graded at the Service's own addresses. Where nobody answers any longer, the check itself is lost.
/// Another number is another weight.
fn health_grade(change: &Change) -> Grade {
    let answer = |chances: &[Chance]| chances.first().and_then(|chance| chance.health);
    match (answer(&change.before), answer(&change.after)) {
        (Some(1..), None) => Grade::Lost,
        (Some(1..), Some(0)) => Grade::Degraded,
        (None | Some(0), Some(1..)) => Grade::Gained,
        _ => Grade::Moved,
    }
}

/// The reason of an outcome, with what kube-proxy answers at a health-check node port.
pub(super) fn reason(kind: TargetKind, chance: &Chance, reason: &str) -> String {
    if kind != TargetKind::HealthCheck || !matches!(chance.verdict, Verdict::Accept | Verdict::NoMatch) {
        return reason.to_owned();
    }
    match chance.health {
        Some(_) => format!("kube-proxy answers {}: {reason}", answer(chance.health)),
        None => format!("kube-proxy does not listen here: {reason}"),
    }
}

/// `200 (2 local endpoints)`.
fn answer(health: Option<u32>) -> String {
    match health {
        Some(0) => "503 (no local endpoint)".to_owned(),
        Some(1) => "200 (1 local endpoint)".to_owned(),
        Some(count) => format!("200 ({count} local endpoints)"),
        None => "not answered".to_owned(),
    }
}

/// `3 endpoints → 1`.
pub(super) fn summary(change: &Change, before: &[Share], after: &[Share]) -> String {
    if let Some(summary) = health(change) {
        return summary;
    }
    let (old, new) = (side(&change.before), side(&change.after));
    if old != new {
        return format!("{old} → {new}");
    }
    let ends =
        |chances: &[Chance]| -> BTreeSet<_> { chances.iter().filter_map(|chance| chance.endpoint).collect() };
    if ends(&change.before) != ends(&change.after) {
        return match (before, after) {
            ([old], [new]) => format!("{} → {}", name(old), name(new)),
            _ => format!("{old}, other ones"),
        };
    }
    let odds = |chances: &[Chance]| -> Vec<_> {
        chances.iter().map(|chance| (chance.endpoint, chance.fraction)).collect()
    };
    if odds(&change.before) != odds(&change.after) && before.len() == after.len() {
        return "other shares of the same endpoints".to_owned();
    }
    let masked = |chances: &[Chance]| chances.iter().filter(|chance| chance.masquerade).count();
    match (masked(&change.before), masked(&change.after)) {
        (old, new) if old < new => {
            "the endpoint sees an address of the node instead of the client's".to_owned()
        }
        (old, new) if old > new => {
            "the endpoint sees the client's address instead of one of the node".to_owned()
        }
        _ => conditions(change),
    }
}

/// `health check: 200 (2 local endpoints) → 503 (no local endpoint)`.
fn health(change: &Change) -> Option<String> {
    let of = |chances: &[Chance]| chances.first().and_then(|chance| chance.health);
    let side = |chances: &[Chance]| match chances.first() {
        Some(chance) if matches!(chance.verdict, Verdict::Drop | Verdict::Reject) => side(chances),
        _ => answer(of(chances)),
    };
    let (before, after) = (&change.before, &change.after);
    (of(before) != of(after)).then(|| format!("health check: {} → {}", side(before), side(after)))
}

fn conditions(change: &Change) -> String {
    let of = |chances: &[Chance]| match chances.first() {
        Some(Chance { affinity, scheduler, in_turn, .. }) => {
            let how = match scheduler {
                Some(scheduler) => format!("by scheduler {scheduler}"),
                None if *in_turn => "in turn".to_owned(),
                None => "at random".to_owned(),
            };
            match affinity {
                Some(seconds) => format!("{how}, with affinity for {seconds} s"),
                None => how,
            }
        }
        None => "nothing".to_owned(),
    };
    format!("the same endpoints, {} → {}", of(&change.before), of(&change.after))
}

fn name(share: &Share) -> String {
    match (&share.pod, share.endpoint) {
        (Some(pod), _) => pod.to_string(),
        (None, Some(endpoint)) => endpoint.to_string(),
        (None, None) => share.verdict.as_str().to_owned(),
    }
}

/// What happens, in a word or two.
fn side(chances: &[Chance]) -> String {
    let ends: BTreeSet<_> = chances.iter().filter_map(|chance| chance.endpoint).collect();
    let mut parts = Vec::new();
    match ends.len() {
        0 => {}
        1 => parts.push("1 endpoint".to_owned()),
        count => parts.push(format!("{count} endpoints")),
    }
    let rest: BTreeSet<&str> = chances
        .iter()
        .filter_map(|chance| match chance.verdict {
            Verdict::Deliver => None,
            Verdict::Accept => Some("taken by the node"),
            Verdict::Drop => Some("dropped"),
            Verdict::Reject => Some("refused"),
            Verdict::NoMatch => Some("not touched"),
            Verdict::Unknown => Some("unknown"),
        })
        .collect();
    parts.extend(rest.into_iter().map(str::to_owned));
    parts.join(" or ")
}
