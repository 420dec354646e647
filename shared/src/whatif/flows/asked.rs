//! One Service, asked on node after node: where rules do the same, the answers of one node are those of the others.
//!
//! Rules of two nodes do the same if the nodes have one [shape](super::places::Place::shape) and [stand](super::standing) alike
//! to the Services at hand, and if none of these has an address or an endpoint that is a node's: packets for it would be for the
//! node itself. Then a packet is followed on the first of the nodes only. A source counts by the cell of its address, one of the
//! node's own addresses by its place in the node's list, and so does the destination of a node port.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::change::{Claim, Destination};
use super::evaluate::{Answers, Changed, Changes, Look, Pair, Who};
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
    /// By front and shape.
    ready: FxHashMap<(usize, usize, Standing), Rc<Ready>>,
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
    /// The rules, by their place in memory: they are kept as long as the query.
    ready: *const Ready,
    destination: usize,
    /// Of the address in the node's list.
    position: usize,
    health: [Option<u32>; 2],
    who: Who,
}

/// What differs at a destination, and where.
struct Found {
    ready: Rc<Ready>,
    destination: usize,
    /// The address that was asked.
    asked: IpAddr,
    changes: Changes,
    /// The number of the node whose sources are the examples.
    by: usize,
    nodes: Vec<Text>,
}

/// What was found on a node.
enum Here {
    Nothing,
    /// Other nodes may have it, too: a number in [`Asked::found`].
    Shared(usize),
    /// Something in it is the node's own.
    Own(Found),
}

/// A destination's address on a node.
#[derive(Clone, Copy)]
struct At {
    /// Of the node.
    number: usize,
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
            ready: FxHashMap::default(),
            found: Vec::new(),
            found_by: FxHashMap::default(),
        }
    }

    /// Asks on a node, the `number`th. What is only of this node is told at once, so that its rules are not kept.
    pub fn on(&mut self, number: usize, place: &'b Place<'a>, groups: &mut Groups) {
        let mut alone: Vec<(usize, Rc<Ready>)> = Vec::new();
        for (destination, (to, _)) in self.destinations.iter().enumerate() {
            if to.family != place.family {
                continue;
            }
            let mut by_address: Vec<(At, Here)> = Vec::new();
            for (position, ip) in place.addresses_of(to).into_iter().enumerate() {
                let health = self.compare.health(place, to, ip);
                let at = At { number, destination, position, ip, health };
                by_address.push((at, self.ask(place, at, &mut alone)));
            }
            // Node ports answer alike on all of the node's addresses, or each is named.
            let alike = by_address.iter().all(|(_, here)| self.is_same(&by_address[0].1, here));
            by_address.truncate(if alike { 1 } else { by_address.len() });
            for (at, here) in by_address {
                let named = (!alike && to.ip.is_none()).then_some(at.ip);
                match here {
                    Here::Nothing => {}
                    Here::Own(found) => self.tell_one(found, named, groups),
                    Here::Shared(nth) if alike => self.join(nth, place, at),
                    Here::Shared(nth) => {
                        let found = self.found_by(&self.found[nth].ready.clone(), place, at);
                        found.into_iter().for_each(|found| self.tell_one(found, named, groups));
                    }
                }
            }
        }
    }

    /// Adds what was found on several nodes.
    pub fn tell(mut self, groups: &mut Groups) {
        for found in std::mem::take(&mut self.found) {
            if !found.nodes.is_empty() {
                self.tell_one(found, None, groups);
            }
        }
    }

    /// `named`: the node's address, where others answer otherwise.
    fn tell_one(&self, found: Found, named: Option<IpAddr>, groups: &mut Groups) {
        let (to, claim) = &self.destinations[found.destination];
        let target = to.target(to.ip.or(named), claim);
        for mut changed in found.changes {
            changed.classes.iter_mut().for_each(|class| class.nodes.clone_from(&found.nodes));
            groups.add(&target, changed, (&found.ready.pair, to, found.asked), self.compare.worlds);
        }
    }

    /// The node has it, too. The first one gives the examples.
    fn join(&mut self, nth: usize, place: &'b Place<'a>, at: At) {
        if self.found[nth].nodes.is_empty() && self.found[nth].by != at.number {
            let ready = self.found[nth].ready.clone();
            if let Some(found) = self.found_by(&ready, place, at) {
                self.found[nth] = Found { nodes: Vec::new(), ..found };
            }
        }
        self.found[nth].nodes.push(place.name.clone());
    }

    fn is_same(&self, one: &Here, other: &Here) -> bool {
        let (one, other) = (self.changes(one), self.changes(other));
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
    }

    fn changes<'c>(&'c self, here: &'c Here) -> &'c [Changed] {
        match here {
            Here::Nothing => &[],
            Here::Shared(nth) => &self.found[*nth].changes,
            Here::Own(found) => &found.changes,
        }
    }

    /// `alone`: rules that are only this node's, by front.
    fn ask(&mut self, place: &'b Place<'a>, at: At, alone: &mut Vec<(usize, Rc<Ready>)>) -> Here {
        let front = self.front(place, at);
        let Front { is_same, is_plain, .. } = self.fronts[front];
        let is_healthy = at.health[0] == at.health[1];
        if is_same && is_healthy && place.differs == Differs::Nothing && !place.is_userspace() {
            return Here::Nothing;
        }
        if let Some(shape) = place.shape.filter(|_| is_plain)
            && let Some(ready) = self.shared(front, shape, place)
            && ready.is_like(place)
        {
            let look = self.look(&ready, place, at);
            if look.is_quiet() {
                return Here::Nothing;
            }
            if let Some(who) = look.who() {
                return self.find(&ready, place, at, who);
            }
        }
        let known = alone.iter().find(|(known, _)| *known == front).map(|(_, ready)| ready.clone());
        let ready = known.unwrap_or_else(|| {
            let ready = Rc::new(self.make(front, place, false));
            alone.push((front, ready.clone()));
            ready
        });
        self.found_by(&ready, place, at).map_or(Here::Nothing, Here::Own)
    }

    fn find(&mut self, ready: &Rc<Ready>, place: &'b Place<'a>, at: At, who: Who) -> Here {
        let At { number, destination, position, health, .. } = at;
        let query = Query { ready: Rc::as_ptr(ready), destination, position, health, who };
        if let Some(found) = self.found_by.get(&query) {
            return Here::Shared(*found);
        }
        let look = self.look(ready, place, at);
        let changes = look.changes(&query.who);
        let is_shared = changes.iter().all(Changed::is_of_any_node);
        let nodes = if is_shared { Vec::new() } else { vec![place.name.clone()] };
        let found =
            Found { ready: ready.clone(), destination, asked: look.asked, changes, by: number, nodes };
        if !is_shared {
            return Here::Own(found);
        }
        self.found.push(found);
        self.found_by.insert(query, self.found.len() - 1);
        Here::Shared(self.found.len() - 1)
    }

    /// What is found by these rules on this node alone.
    fn found_by(&self, ready: &Rc<Ready>, place: &'b Place<'a>, at: At) -> Option<Found> {
        let look = self.look(ready, place, at);
        let changes = look.changes(&look.who()?);
        let (asked, nodes) = (look.asked, vec![place.name.clone()]);
        let (destination, by) = (at.destination, at.number);
        Some(Found { ready: ready.clone(), destination, asked, changes, by, nodes })
    }

    fn look<'c>(&'c self, ready: &'c Ready, place: &'c Place<'a>, at: At) -> Look<'a, 'c> {
        let (to, _) = &self.destinations[at.destination];
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

    /// The rules that nodes of the shape have, if nothing tells this one from others.
    fn shared(&mut self, front: usize, shape: usize, place: &Place<'_>) -> Option<Rc<Ready>> {
        let Front { closures: [before, after], depends, .. } = &self.fronts[front];
        let standing = Standing::of([&before.ports, &after.ports], *depends, place);
        if !standing.is_common() {
            return None;
        }
        let key = (front, shape, standing);
        if let Some(known) = self.ready.get(&key) {
            return Some(known.clone());
        }
        let ready = Rc::new(self.make(front, place, true));
        self.ready.insert(key, ready.clone());
        Some(ready)
    }

    fn make(&self, front: usize, place: &Place<'_>, is_shared: bool) -> Ready {
        let [before, after] = &self.fronts[front].closures;
        let [old, new] = self.compare.worlds;
        let (before, after) = (old.predictor(before, &place.before), new.predictor(after, &place.after));
        let pair = Pair::new(before, after, place.family);
        Ready { pair, own: place.own.clone(), is_shared, answers: RefCell::default() }
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
