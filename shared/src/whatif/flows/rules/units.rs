//! Rules by Service. A unit is a Service, or several that share addresses, ports or endpoints, since lines of these can be
//! the same ones; lines of different units are different lines. So the difference on a node is that of its units together, and a
//! unit's is the same on all nodes of one shape that [stand](Standing) alike to it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::places::Place;
use super::super::standing::{Depends, Standing};
use super::super::world::{World, addresses, numbers};
use crate::model::{IpFamily, Key, ProxyMode};
use crate::proxy::iptables::ClusterSize;
use crate::proxy::node::NodeContext;
use crate::proxy::parts::{Diff, PartDiff};
use crate::proxy::ports::PortInfo;
use crate::proxy::{self, Rules};
use crate::whatif::difference::{Fate, LineText, RuleLine};

/// How many lines came and went, and the first of them: by part, first those that went.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub added: usize,
    pub removed: usize,
    pub lines: Vec<RuleLine>,
}

impl Found {
    pub fn of(diff: &Diff, limit: usize) -> Found {
        let count = |lines: fn(&PartDiff) -> usize| diff.parts.values().map(lines).sum::<usize>();
        let all = diff.parts.iter().flat_map(|(part, diff)| {
            let gone = diff.removed.iter().map(move |line| (Fate::Removed, part, line));
            gone.chain(diff.added.iter().map(move |line| (Fate::Added, part, line)))
        });
        let line = |(fate, part, text): (Fate, &String, &String)| RuleLine {
            fate,
            service: None,
            line: LineText { part: part.clone(), text: text.clone() },
        };
        Found {
            added: count(|part| part.added.len()),
            removed: count(|part| part.removed.len()),
            lines: all.take(limit).map(line).collect(),
        }
    }
}

/// The Services that a change concerns on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// Those that it can concern anywhere.
    Touched,
    /// Also those with hints for zones.
    Zoned,
    /// Every one, and what all have in common.
    All,
}

/// The Services that a change can concern, in one family.
pub(super) struct Units<'a> {
    units: Vec<Unit>,
    sizes: [ClusterSize; 2],
    limit: usize,
    /// By shape, unit and standing.
    made: FxHashMap<(usize, usize, Standing), Rc<Found>>,
    /// By the units' differences.
    joined: FxHashMap<Vec<*const Found>, Found>,
    keys: Vec<Vec<&'a Key>>,
}

struct Unit {
    ports: [Arc<[PortInfo]>; 2],
    is_same: bool,
    depends: Depends,
    /// Where it is concerned.
    which: Which,
}

/// What lines of two Services can have in common.
#[derive(PartialEq, Eq, Hash)]
enum Token {
    Ip(IpAddr),
    Port(u16),
}

impl<'a> Units<'a> {
    pub fn of(
        worlds: &[World<'a>; 2],
        [touched, zoned, all]: [&'a BTreeSet<Key>; 3],
        family: IpFamily,
        sizes: [ClusterSize; 2],
        limit: usize,
    ) -> Units<'a> {
        let keys = joined(worlds, all, family);
        let unit = |keys: &Vec<&Key>| {
            let ports = worlds.each_ref().map(|world| ports_of(world, keys, family));
            let is_in = |set: &BTreeSet<Key>| keys.iter().any(|key| set.contains(*key));
            let which = match () {
                () if is_in(touched) => Which::Touched,
                () if is_in(zoned) => Which::Zoned,
                () => Which::All,
            };
            Unit { is_same: ports[0] == ports[1], depends: Depends::of(&ports), which, ports }
        };
        Units {
            units: keys.iter().map(unit).collect(),
            sizes,
            limit,
            made: FxHashMap::default(),
            joined: FxHashMap::default(),
            keys,
        }
    }

    /// The difference on a node of this shape.
    pub async fn on(
        &mut self,
        shape: usize,
        place: &Place<'_>,
        which: Which,
        pause: &impl AsyncFn(),
    ) -> Found {
        let (sizes, limit) = (self.sizes, self.limit);
        // It names the node's own addresses, which the lines of Services don't.
        let frame = match which {
            Which::All => difference(&[Arc::default(), Arc::default()], place, sizes),
            _ => Diff::default(),
        };
        // What is only of this node is not kept.
        let mut is_common = frame.is_empty();
        let mut all: Vec<(Option<usize>, Rc<Found>)> = Vec::new();
        if !frame.is_empty() {
            all.push((None, Rc::new(Found::of(&frame, limit))));
        }
        for (nth, Unit { ports, is_same, depends, which: of_unit }) in self.units.iter().enumerate() {
            if *of_unit > which || (*is_same && which == Which::Touched) {
                continue;
            }
            let standing = Standing::of([&ports[0], &ports[1]], *depends, place);
            let make = || {
                let mut diff = difference(ports, place, sizes);
                diff.subtract(&frame);
                Rc::new(Found::of(&diff, limit))
            };
            let made = match standing.is_common() {
                true => self.made.entry((shape, nth, standing)).or_insert_with(make).clone(),
                false => {
                    is_common = false;
                    make()
                }
            };
            if made.added + made.removed > 0 {
                all.push((Some(nth), made));
            }
            pause().await;
        }
        if !is_common {
            return self.join(&all);
        }
        let which = all.iter().map(|(_, found)| Rc::as_ptr(found)).collect();
        if let Some(known) = self.joined.get(&which) {
            return known.clone();
        }
        let joined = self.join(&all);
        self.joined.insert(which, joined.clone());
        joined
    }

    fn join(&self, all: &[(Option<usize>, Rc<Found>)]) -> Found {
        let rank = |nth: usize, line: usize| {
            let (_, found) = &all[nth];
            let RuleLine { line: LineText { part, .. }, fate, .. } = found.lines.get(line)?;
            Some(Reverse((part.as_str(), *fate == Fate::Added, nth, line)))
        };
        let mut heads: BinaryHeap<_> = (0..all.len()).filter_map(|nth| rank(nth, 0)).collect();
        let mut lines = Vec::new();
        while let Some(Reverse((_, _, nth, line))) = heads.pop().filter(|_| lines.len() < self.limit) {
            let (unit, found) = &all[nth];
            // Lines of several Services are told apart by whoever knows their names.
            let service = match unit.map(|unit| &self.keys[unit][..]) {
                Some([one]) => Some((*one).clone()),
                _ => None,
            };
            lines.push(RuleLine { service, ..found.lines[line].clone() });
            heads.extend(rank(nth, line + 1));
        }
        Found {
            added: all.iter().map(|(_, found)| found.added).sum(),
            removed: all.iter().map(|(_, found)| found.removed).sum(),
            lines,
        }
    }
}

fn ports_of(world: &World<'_>, keys: &[&Key], family: IpFamily) -> Arc<[PortInfo]> {
    let services: Vec<_> = keys.iter().filter_map(|key| world.service(key)).collect();
    match &services[..] {
        [one] => world.ports_of(one, family),
        all => all.iter().flat_map(|service| world.ports_of(service, family).to_vec()).collect(),
    }
}

/// With what all Services have in common.
fn difference(ports: &[Arc<[PortInfo]>; 2], place: &Place<'_>, sizes: [ClusterSize; 2]) -> Diff {
    let parts = |side: usize, context: &NodeContext| {
        let rules = match context.mode {
            ProxyMode::Nftables => Rules::Nftables(proxy::nftables::generate(&ports[side], context)),
            _ => Rules::Iptables(proxy::iptables::generate_sized(&ports[side], context, sizes[side])),
        };
        rules.parts()
    };
    Diff::between(&parts(0, &place.before), &parts(1, &place.after))
}

/// The Services, each with those that it has something in common with.
fn joined<'a>(worlds: &[World<'a>; 2], services: &'a BTreeSet<Key>, family: IpFamily) -> Vec<Vec<&'a Key>> {
    let keys: Vec<&Key> = services.iter().collect();
    // The unit of each, as the number of its first Service or of one that leads there.
    let mut first: Vec<usize> = (0..keys.len()).collect();
    let mut holders: FxHashMap<Token, usize> = FxHashMap::default();
    for (nth, key) in keys.iter().enumerate() {
        for world in worlds {
            let Some(service) = world.service(key) else { continue };
            let ports = world.ports_of(service, family);
            let ends = ports.iter().flat_map(|port| &port.endpoints).map(|end| end.address);
            let tokens =
                addresses(service).chain(ends).map(Token::Ip).chain(numbers(service).map(Token::Port));
            for token in tokens {
                let holder = *holders.entry(token).or_insert(nth);
                let (one, other) = (root(&first, holder), root(&first, nth));
                first[one.max(other)] = one.min(other);
            }
        }
    }
    let mut units: Vec<Vec<&Key>> = keys.iter().map(|_| Vec::new()).collect();
    for (nth, key) in keys.iter().enumerate() {
        units[root(&first, nth)].push(key);
    }
    units.retain(|unit| !unit.is_empty());
    units
}

fn root(first: &[usize], mut nth: usize) -> usize {
    while first[nth] != nth {
        nth = first[nth];
    }
    nth
}
