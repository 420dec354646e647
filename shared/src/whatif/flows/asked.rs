//! One Service, asked on node after node: where rules do the same, the answers of one node are those of the others.
//!
//! Rules of two nodes do the same if the nodes have one [shape](super::places::Place::shape) and [stand](super::standing) alike
//! to the Services at hand, and if none of these has an address or an endpoint that is a node's: packets for it would be for the
//! node itself. Then a packet is followed on the first of the nodes only. A source counts by the cell of its address, one of the
//! node's own addresses by its place in the node's list, and so does the destination of a node port.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustc_hash::FxHashMap;

use super::change::{Claim, Destination};
use super::evaluate::{Answers, Changes, Look, Pair, Who};
use super::places::{Differs, Place};
use super::standing::{Depends, Standing};
use super::world::{Closure, World};
use super::{Compare, Groups};
use crate::model::{IpFamily, ProxyMode, Text};
use crate::whatif::difference::TargetKind;

/// A Service's destinations, and what is known of them so far.
pub(super) struct Asked<'a, 'b> {
    compare: &'b Compare<'a, 'b>,
    destinations: &'b [(Destination, Claim)],
    fronts: Vec<Front<'a>>,
    /// By destination, by its address where that is a node's and some Service has it, too, and by whether userspace mode is asked.
    front_of: FxHashMap<(usize, Option<IpAddr>, bool), usize>,
    ready: Vec<Ready>,
    ready_of: FxHashMap<(usize, Rules), usize>,
    found: Vec<Found>,
    found_by: FxHashMap<Query, usize>,
}

/// The Services whose rules a destination can meet, before and after.
struct Front<'a> {
    family: IpFamily,
    closures: [Closure<'a>; 2],
    /// They have the same ports and endpoints before and after.
    is_same: bool,
    /// None of their addresses, and none of their endpoints, is a node's; and no endpoint has an address of a Service.
    is_plain: bool,
    depends: Depends,
}

/// What rules depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Rules {
    /// The node, by its number.
    Place(usize),
    Shape(usize, Standing),
}

/// Rules that are made, and what they have answered.
pub(super) struct Ready {
    pub pair: Pair,
    /// The own addresses of the node whose rules they are.
    pub own: Vec<IpAddr>,
    /// Other nodes can be asked with them.
    is_shared: bool,
    pub answers: RefCell<Answers>,
}

/// Nodes of which this is the same get the same answer.
#[derive(PartialEq, Eq, Hash)]
struct Query {
    ready: usize,
    destination: usize,
    /// Of the address in the node's list.
    position: usize,
    health: [Option<u32>; 2],
    who: Who,
}

/// What differs at a destination, and where.
struct Found {
    ready: usize,
    destination: usize,
    /// The address that was asked.
    asked: IpAddr,
    /// The address that is named, where a node's addresses answer otherwise.
    named: Option<IpAddr>,
    changes: Changes,
    nodes: Vec<Text>,
}

/// A destination's address on a node.
#[derive(Clone, Copy)]
struct At {
    destination: usize,
    /// Of the address in the node's list.
    position: usize,
    ip: IpAddr,
    health: [Option<u32>; 2],
}

impl<'a, 'b> Asked<'a, 'b> {
    pub fn new(compare: &'b Compare<'a, 'b>, destinations: &'b [(Destination, Claim)]) -> Asked<'a, 'b> {
        Asked {
            compare,
            destinations,
            fronts: Vec::new(),
            front_of: FxHashMap::default(),
            ready: Vec::new(),
            ready_of: FxHashMap::default(),
            found: Vec::new(),
            found_by: FxHashMap::default(),
        }
    }

    /// Asks on a node, the `number`th.
    pub fn on(&mut self, number: usize, place: &'b Place<'a>) {
        for (destination, (to, _)) in self.destinations.iter().enumerate() {
            if to.family != place.family {
                continue;
            }
            let mut by_address: Vec<(At, Option<usize>)> = Vec::new();
            for (position, ip) in place.addresses_of(to).into_iter().enumerate() {
                let health = self.compare.health(place, to, ip);
                let at = At { destination, position, ip, health };
                by_address.push((at, self.ask(number, place, at)));
            }
            // Node ports answer alike on all of the node's addresses, or each is named.
            let alike = by_address.iter().all(|(_, found)| self.is_same(by_address[0].1, *found));
            if alike {
                if let Some(found) = by_address.first().and_then(|(_, found)| *found) {
                    self.found[found].nodes.push(place.name.clone());
                }
                continue;
            }
            for (at, found) in by_address {
                let Some(first) = found.map(|found| &self.found[found]) else { continue };
                let ready = first.ready;
                let look = self.look(ready, place, at);
                let changes = look.who().map(|who| look.changes(&who)).unwrap_or_default();
                let (asked, named) = (look.asked, to.ip.is_none().then_some(at.ip));
                let nodes = vec![place.name.clone()];
                self.found.push(Found { ready, destination, asked, named, changes, nodes });
            }
        }
    }

    /// Adds what was found.
    pub fn tell(self, groups: &mut Groups) {
        for found in self.found.into_iter().filter(|found| !found.nodes.is_empty()) {
            let (to, claim) = &self.destinations[found.destination];
            let target = to.target(to.ip.or(found.named), claim);
            let pair = &self.ready[found.ready].pair;
            for mut changed in found.changes {
                changed.classes.iter_mut().for_each(|class| class.nodes.clone_from(&found.nodes));
                groups.add(&target, changed, (pair, to, found.asked), self.compare.worlds);
            }
        }
    }

    fn is_same(&self, one: Option<usize>, other: Option<usize>) -> bool {
        let changes = |found: Option<usize>| found.map_or(&[][..], |found| &self.found[found].changes[..]);
        let (one, other) = (changes(one), changes(other));
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
    }

    /// What is found there; `None`: nothing can differ.
    fn ask(&mut self, number: usize, place: &'b Place<'a>, at: At) -> Option<usize> {
        let front = self.front(place, at);
        let Front { is_same, is_plain, .. } = self.fronts[front];
        let is_healthy = at.health[0] == at.health[1];
        if is_same && is_healthy && place.differs == Differs::Nothing && !place.is_userspace() {
            return None;
        }
        let shape = place.shape.filter(|_| is_plain);
        if let Some(shape) = shape {
            let Front { closures: [before, after], depends, .. } = &self.fronts[front];
            let standing = Standing::of([&before.ports, &after.ports], *depends, place);
            let rules = Rules::Shape(shape, standing);
            let ready = self.ready(front, rules, place);
            if self.ready[ready].is_like(place) {
                let look = self.look(ready, place, at);
                if look.is_quiet() {
                    return None;
                }
                if let Some(who) = look.who() {
                    return Some(self.find(ready, place, at, who));
                }
            }
        }
        let ready = self.ready(front, Rules::Place(number), place);
        let who = self.look(ready, place, at).who()?;
        Some(self.find(ready, place, at, who))
    }

    fn find(&mut self, ready: usize, place: &'b Place<'a>, at: At, who: Who) -> usize {
        let At { destination, position, health, .. } = at;
        let query = Query { ready, destination, position, health, who };
        if let Some(found) = self.found_by.get(&query) {
            return *found;
        }
        let look = self.look(ready, place, at);
        let changes = look.changes(&query.who);
        let found = Found { ready, destination, asked: look.asked, named: None, changes, nodes: Vec::new() };
        let nth = self.found.len();
        if found.changes.iter().all(|changed| changed.is_of_any_node()) {
            self.found_by.insert(query, nth);
        }
        self.found.push(found);
        nth
    }

    fn look<'c>(&'c self, ready: usize, place: &'c Place<'a>, at: At) -> Look<'a, 'c> {
        let (to, _) = &self.destinations[at.destination];
        let ready = &self.ready[ready];
        let asked = match to.kind {
            _ if to.ip.is_some() => at.ip,
            TargetKind::LocalhostNodePort => at.ip,
            _ => ready.own.get(at.position).copied().unwrap_or(at.ip),
        };
        Look {
            ready,
            is_shared: ready.is_shared,
            place,
            to,
            destination: at.destination,
            position: at.position,
            ip: at.ip,
            asked,
            health: at.health,
            pods: self.compare.pods,
            worlds: self.compare.worlds,
        }
    }

    fn front(&mut self, place: &Place<'_>, at: At) -> usize {
        let (to, _) = &self.destinations[at.destination];
        let worlds = self.compare.worlds;
        let is_claimed = || worlds.iter().any(|world| !world.at(at.ip).is_empty());
        let ip = Some(at.ip).filter(|_| to.ip.is_none() && is_claimed());
        let userspace = place.is_userspace();
        match self.front_of.entry((at.destination, ip, userspace)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let closures = self.compare.closures(to, at.ip, userspace);
                let is_it = |front: &Front<'a>| {
                    front.family == to.family
                        && front.closures.iter().zip(&closures).all(|(known, one)| known.is_same(one))
                };
                let nth = self.fronts.iter().position(is_it).unwrap_or_else(|| {
                    self.fronts.push(Front::new(to.family, closures, worlds));
                    self.fronts.len() - 1
                });
                *free.insert(nth)
            }
        }
    }

    /// The rules, unless they are at hand.
    fn ready(&mut self, front: usize, rules: Rules, place: &Place<'_>) -> usize {
        let is_shared = matches!(rules, Rules::Shape(..));
        match self.ready_of.entry((front, rules)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let [before, after] = &self.fronts[front].closures;
                let [old, new] = self.compare.worlds;
                let pair = Pair::new(
                    old.predictor(before, &place.before),
                    new.predictor(after, &place.after),
                    place.family,
                );
                let (own, answers) = (place.own.clone(), RefCell::default());
                self.ready.push(Ready { pair, own, is_shared, answers });
                *free.insert(self.ready.len() - 1)
            }
        }
    }
}

impl<'a> Front<'a> {
    fn new(family: IpFamily, closures: [Closure<'a>; 2], worlds: &[World<'a>; 2]) -> Front<'a> {
        let is_of_node =
            |ip: IpAddr| ip.is_loopback() || worlds.iter().any(|world| world.is_node_address(ip));
        let is_vip = |ip: IpAddr| worlds.iter().any(|world| !world.at(ip).is_empty());
        let own = |closure: &Closure<'_>| {
            closure.services.iter().any(|service| super::world::addresses(service).any(is_of_node))
        };
        let ports = || closures.iter().flat_map(|closure| closure.ports.iter());
        let ends = || ports().flat_map(|port| &port.endpoints);
        Front {
            family,
            is_same: closures[0].ports == closures[1].ports,
            is_plain: !closures.iter().any(own)
                && !ends().any(|end| is_of_node(end.address) || is_vip(end.address)),
            depends: Depends::of(&closures.each_ref().map(|closure| closure.ports.clone())),
            closures,
        }
    }
}

impl Ready {
    /// Whether the place's own addresses are to the rules what those of the node are whose rules they are.
    fn is_like(&self, place: &Place<'_>) -> bool {
        let cells = |own: &[IpAddr]| -> Vec<usize> { own.iter().map(|ip| self.pair.cell_of(*ip)).collect() };
        self.own == place.own || cells(&self.own) == cells(&place.own)
    }
}

impl Place<'_> {
    pub fn is_userspace(&self) -> bool {
        [&self.before, &self.after].iter().any(|context| context.mode == ProxyMode::Userspace)
    }

    /// The addresses that a destination has on this node.
    fn addresses_of(&self, to: &Destination) -> Vec<IpAddr> {
        match (to.ip, to.kind, self.family) {
            (Some(ip), ..) => vec![ip],
            (None, TargetKind::LocalhostNodePort, IpFamily::IPv4) => vec![Ipv4Addr::LOCALHOST.into()],
            (None, TargetKind::LocalhostNodePort, IpFamily::IPv6) => vec![Ipv6Addr::LOCALHOST.into()],
            (None, ..) => self.own.clone(),
        }
    }
}
