//! One destination on one node, with its rules or those of a node like it: every class of sources, before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::asked::Ready;
use super::change::{Chances, Change, Destination, chances};
use super::places::{Place, PodHere, Pods};
use super::sources::Partition;
use super::world::World;
use crate::model::{IpFamily, Key, ProxyMode};
use crate::predict::Predictor;
use crate::trace::{Origin, Packet, Trace, Verdict};
use crate::whatif::difference::{SourceClass, TargetKind};

/// How many pods of a cell are counted, when the largest is looked for.
const MOST_COUNTED: usize = 1_000;

/// The rules of one node that packets for a destination can meet, before and after.
pub(super) struct Pair {
    pub before: Predictor,
    pub after: Predictor,
    partition: Partition,
}

/// Sources of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Member {
    /// Pods of the node in a cell.
    Pods(usize),
    /// A pod whose address is another than before, by its number.
    Drifter(usize),
    /// The node, from the address with this number; or from loopback.
    Own(usize),
    Outside(usize),
}

#[derive(Debug, Clone, Copy)]
struct Source {
    member: Member,
    before: IpAddr,
    after: IpAddr,
    hairpin: bool,
}

/// Who there is on a node. Nodes where this is the same have the same classes, but for what they name.
#[derive(Debug)]
pub(super) struct Who {
    sources: Vec<Source>,
    /// The cell that stands for the most pods.
    main: Option<usize>,
    /// The other cells of pods in which another pod could be.
    open: Vec<usize>,
}

impl PartialEq for Who {
    fn eq(&self, other: &Who) -> bool {
        let members = |who: &'_ Who| who.sources.iter().map(|source| source.member).collect::<Vec<_>>();
        (self.main, &self.open) == (other.main, &other.open) && members(self) == members(other)
    }
}

impl Eq for Who {}

impl Hash for Who {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sources.iter().for_each(|source| source.member.hash(state));
        (self.main, &self.open).hash(state);
    }
}

/// What is different, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Changed {
    pub change: Rc<Change>,
    /// Their nodes are left to whoever knows of others.
    pub classes: Vec<SourceClass>,
    /// One of the sources: where it is, and its addresses before and after.
    pub example: (Origin, [IpAddr; 2]),
}

pub(super) type Changes = Vec<Changed>;

impl Changed {
    /// Whether it is the same for the same sources, whatever the example.
    pub fn is_same(&self, other: &Changed) -> bool {
        let what = |class: &SourceClass| SourceClass { example: self.example.1[0], ..class.clone() };
        self.change == other.change && self.classes.iter().map(what).eq(other.classes.iter().map(what))
    }

    /// Whether nothing that is a node's own is named.
    pub fn is_of_any_node(&self) -> bool {
        self.classes.iter().all(|class| {
            let names_own = class.origin == Origin::Node && !class.nets.is_empty();
            class.pods.is_empty() && class.except_pods.is_empty() && !names_own
        })
    }
}

/// A destination, the number of its address, and what kube-proxy answers there.
type Where = (usize, usize, [Option<u32>; 2]);

/// What rules have answered so far.
#[derive(Default)]
pub(super) struct Answers {
    /// A number in `changes`, or `None` if nothing differs.
    known: FxHashMap<(Where, Member), Option<usize>>,
    changes: Vec<Rc<Change>>,
    numbers: FxHashMap<Rc<Change>, usize>,
    /// By change and source: the change without what an endpoint sends to itself.
    plain: FxHashMap<(usize, IpAddr), Option<usize>>,
    /// Cells of one address that some pod has.
    taken: FxHashMap<usize, bool>,
    /// Whether nothing differs for anybody.
    quiet: FxHashMap<Where, bool>,
    trace: Trace,
}

impl Answers {
    fn number(&mut self, change: Change) -> Option<usize> {
        if !change.is_change() {
            return None;
        }
        if let Some(number) = self.numbers.get(&change) {
            return Some(*number);
        }
        let (number, change) = (self.changes.len(), Rc::new(change));
        self.changes.push(change.clone());
        self.numbers.insert(change, number);
        Some(number)
    }

    fn plain(&mut self, change: usize, source: IpAddr) -> Option<usize> {
        if let Some(known) = self.plain.get(&(change, source)) {
            return *known;
        }
        let plain = self.changes[change].without_hairpin(source);
        let number = plain.and_then(|plain| self.number(plain));
        self.plain.insert((change, source), number);
        number
    }
}

/// What can happen to a packet.
pub(super) fn ask(predictor: &Predictor, packet: Packet, trace: &mut Trace) -> Chances {
    predictor.program.trace_into(&predictor.host, &predictor.as_sent(packet), trace);
    chances(predictor, trace)
}

impl Pair {
    pub fn new(before: Predictor, after: Predictor, family: IpFamily) -> Pair {
        let nets = before.program.source_nets().into_iter().chain(after.program.source_nets());
        let partition = Partition::new(family, nets);
        Pair { before, after, partition }
    }

    /// The cell of an address.
    pub fn cell_of(&self, ip: IpAddr) -> usize {
        self.partition.cell_of(ip)
    }

    /// The cells of a source's addresses: rules can't tell it from others in the same.
    pub fn cells(&self, addresses: [IpAddr; 2]) -> [usize; 2] {
        addresses.map(|ip| self.partition.cell_of(ip))
    }

    fn is_ipvs(&self) -> bool {
        [&self.before, &self.after].iter().any(|predictor| predictor.context.mode == ProxyMode::Ipvs)
    }
}

/// What a look at one destination on one node needs.
pub(super) struct Look<'a, 'b> {
    pub ready: &'b Ready,
    /// The rules may be those of another node.
    pub is_shared: bool,
    pub place: &'b Place<'a>,
    pub to: &'b Destination,
    /// Its number.
    pub destination: usize,
    /// The number of its address among the node's own.
    pub position: usize,
    pub ip: IpAddr,
    /// What that is to the node whose rules they are.
    pub asked: IpAddr,
    /// What kube-proxy answers there, before and after ([`super::health`]).
    pub health: [Option<u32>; 2],
    pub pods: &'b Pods<'a>,
    /// Both clusters.
    pub worlds: &'b [World<'a>; 2],
}

impl<'a> Look<'a, '_> {
    pub fn changes(&self, who: &Who) -> Changes {
        let mut found: BTreeMap<usize, Vec<Source>> = BTreeMap::new();
        for source in &who.sources {
            if let Some(change) = self.answer(source) {
                found.entry(change).or_default().push(*source);
            }
        }
        if found.is_empty() {
            return Changes::new();
        }
        self.join_hairpins(&mut found);
        let changed = |(change, members): (usize, Vec<Source>)| {
            let classes = self.classes(&members, who);
            let one = members.iter().find(|source| !source.hairpin)?;
            let example = (one.member.origin(), self.as_asked(one));
            let change = self.ready.answers.borrow().changes[change].clone();
            Some(Changed { change, classes, example })
        };
        let mut changes: Changes = found.into_iter().filter_map(changed).collect();
        changes.sort_by(|a, b| a.change.cmp(&b.change));
        changes
    }

    fn whereabouts(&self) -> Where {
        (self.destination, self.position, self.health)
    }

    /// The number of what differs for a source, if anything does.
    fn answer(&self, source: &Source) -> Option<usize> {
        let key = (self.whereabouts(), source.member);
        let mut answers = self.ready.answers.borrow_mut();
        if let Some(known) = answers.known.get(&key) {
            return *known;
        }
        let change = self.change(source, &mut answers.trace);
        let number = answers.number(change);
        answers.known.insert(key, number);
        number
    }

    /// Addresses of a source, before and after, as the node would have them whose rules are asked.
    fn as_asked(&self, source: &Source) -> [IpAddr; 2] {
        match source.member {
            Member::Own(nth) if !source.after.is_loopback() => {
                [self.ready.own.get(nth).copied().unwrap_or(source.after); 2]
            }
            _ => [source.before, source.after],
        }
    }

    fn change(&self, source: &Source, trace: &mut Trace) -> Change {
        let origin = source.member.origin();
        let mut answer = |predictor: &Predictor, from: IpAddr, health: Option<u32>| {
            let mut chances = ask(predictor, self.to.packet(self.asked, origin, from), trace);
            for chance in chances
                .iter_mut()
                .filter(|chance| matches!(chance.verdict, Verdict::Accept | Verdict::NoMatch))
            {
                chance.health = health;
            }
            chances
        };
        let [old, new] = self.health;
        let [before, after] = self.as_asked(source);
        Change {
            before: answer(&self.ready.pair.before, before, old),
            after: answer(&self.ready.pair.after, after, new),
        }
    }

    fn partition(&self) -> &Partition {
        &self.ready.pair.partition
    }

    /// Whether nothing differs for anybody, on this node or others like it. Where that can't be told it is not so.
    pub fn is_quiet(&self) -> bool {
        let key = self.whereabouts();
        if let Some(known) = self.ready.answers.borrow().quiet.get(&key) {
            return *known;
        }
        let quiet =
            self.everybody().is_some_and(|all| all.iter().all(|source| self.answer(source).is_none()));
        self.ready.answers.borrow_mut().quiet.insert(key, quiet);
        quiet
    }

    /// One of every kind that rules tell apart; `None` if there is no address for one of them.
    fn everybody(&self) -> Option<Vec<Source>> {
        let source = |member, ip| Source { member, before: ip, after: ip, hairpin: false };
        let mut all: Vec<Source> =
            self.own().into_iter().enumerate().map(|(nth, ip)| source(Member::Own(nth), ip)).collect();
        if self.to.kind == TargetKind::LocalhostNodePort {
            return Some(all);
        }
        if self.place.pods.drifters().next().is_some() {
            return None;
        }
        let is_used =
            |ip: IpAddr| self.worlds.iter().any(|world| world.is_node_address(ip)) || self.is_vip(ip);
        let taken = |ip: IpAddr, _: IpAddr| is_used(ip).then_some(ip);
        // Nobody here or outside has a loopback address.
        let is_ours = |cell: &usize| !self.partition().net(*cell).network().is_loopback();
        for cell in (0..self.partition().len()).filter(is_ours) {
            let ip = self.partition().example(cell, self.partition().net(0), &taken)?;
            all.extend([source(Member::Pods(cell), ip), source(Member::Outside(cell), ip)]);
        }
        Some(all)
    }

    /// `None`: rules of another node can't be asked for them.
    pub fn who(&self) -> Option<Who> {
        let sources = self.sources();
        let is_of_node = |ip: IpAddr| self.worlds.iter().any(|world| world.is_node_address(ip));
        let is_foreign = |source: &Source| !matches!(source.member, Member::Own(_));
        if self.is_shared && sources.iter().any(|source| is_foreign(source) && is_of_node(source.after)) {
            return None;
        }
        let cells: Vec<usize> = sources.iter().filter_map(|source| source.member.pods()).collect();
        let main = self.main_cell(&cells);
        let mut open = cells;
        open.retain(|cell| Some(*cell) != main && self.other_pod(*cell).is_some());
        Some(Who { sources, main, open })
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        let mut add = |member: Member, before: IpAddr, after: IpAddr| {
            sources.push(Source { member, before, after, hairpin: false });
        };
        let own = self.own();
        own.iter().enumerate().for_each(|(nth, ip)| add(Member::Own(nth), *ip, *ip));
        if self.to.kind == TargetKind::LocalhostNodePort {
            return sources;
        }
        for cell in 0..self.partition().len() {
            let [pod, outsider] = match self.partition().is_host(cell) {
                true => self.at(cell, self.partition().net(cell).addr()),
                false => [self.pod_of(cell), self.outsider(cell)],
            };
            pod.into_iter().for_each(|ip| add(Member::Pods(cell), ip, ip));
            outsider.into_iter().for_each(|ip| add(Member::Outside(cell), ip, ip));
        }
        for (nth, pod) in self.place.pods.drifters() {
            add(Member::Drifter(nth), pod.before, pod.after);
        }
        sources
    }

    /// Whether the address, which is a cell of its own, can be a pod's here, and whether somebody outside can have it.
    fn at(&self, cell: usize, ip: IpAddr) -> [Option<IpAddr>; 2] {
        if self.place.pods.has(ip) {
            // It may be a pod that had another one.
            return [self.pod_of(cell), None];
        }
        let is_free = self.place.beside_pods(ip).is_none() && !(self.ready.pair.is_ipvs() && self.is_vip(ip));
        [self.other_pod(cell), is_free.then_some(ip)]
    }

    /// The addresses that a process of the node can have. Loopback speaks to loopback only.
    fn own(&self) -> Vec<IpAddr> {
        let loopback: IpAddr = match self.place.family {
            IpFamily::IPv4 => Ipv4Addr::LOCALHOST.into(),
            IpFamily::IPv6 => Ipv6Addr::LOCALHOST.into(),
        };
        if self.ip.is_loopback() {
            return vec![loopback];
        }
        self.place.own.clone()
    }

    /// The address of a pod in the cell: of one that is there, or of one that could be.
    fn pod_of(&self, cell: usize) -> Option<IpAddr> {
        self.pods_in(cell).next().map(|pod| pod.after).or_else(|| self.other_pod(cell))
    }

    /// A free address of the node's pod network in the cell.
    fn other_pod(&self, cell: usize) -> Option<IpAddr> {
        if self.partition().is_host(cell) {
            let ip = self.partition().net(cell).addr();
            let here =
                self.place.pod_nets.iter().any(|net| net.contains(&ip)) && !self.place.own.contains(&ip);
            return (here && !self.is_taken(cell, ip)).then_some(ip);
        }
        let taken = |ip: IpAddr, most: IpAddr| {
            self.pods.taken_until(ip, most).or_else(|| self.place.own.contains(&ip).then_some(ip))
        };
        let nets = self.place.pod_nets.iter();
        nets.copied().find_map(|net| self.partition().example(cell, net, &taken))
    }

    fn is_taken(&self, cell: usize, ip: IpAddr) -> bool {
        let taken = || self.pods.taken_until(ip, ip).is_some();
        *self.ready.answers.borrow_mut().taken.entry(cell).or_insert_with(taken)
    }

    /// The pods of the node that have their address in the cell.
    fn pods_in(&self, cell: usize) -> impl Iterator<Item = PodHere<'a>> {
        let net = self.partition().net(cell);
        let pods = self.place.pods.starting_at(net.network());
        let here = pods.take_while(move |pod| net.contains(&pod.after));
        here.filter(move |pod| pod.before == pod.after && self.partition().cell_of(pod.after) == cell)
    }

    fn is_vip(&self, ip: IpAddr) -> bool {
        self.worlds.iter().any(|world| !world.at(ip).is_empty())
    }

    fn outsider(&self, cell: usize) -> Option<IpAddr> {
        let ipvs = self.ready.pair.is_ipvs();
        let taken = |ip: IpAddr, _: IpAddr| {
            let inside = self.place.inside(ip);
            // In ipvs mode it is an address of the node, and the kernel drops what comes from such an address.
            inside.map(|net| net.broadcast()).or_else(|| (ipvs && self.is_vip(ip)).then_some(ip))
        };
        self.partition().example(cell, self.partition().net(0), &taken)
    }

    /// An endpoint that is sent to itself is masqueraded. If it is answered like others in all else, it joins them.
    fn join_hairpins(&self, found: &mut BTreeMap<usize, Vec<Source>>) {
        let mut answers = self.ready.answers.borrow_mut();
        let mut moved: Vec<(usize, usize, Source)> = Vec::new();
        for (change, members) in &*found {
            // Where others are masqueraded too, it is no hairpin.
            let is_alone = |source: &&Source| {
                let origin = source.member.origin();
                self.is_one_address(source)
                    && members
                        .iter()
                        .all(|other| other.member.origin() != origin || self.is_one_address(other))
            };
            for source in members.iter().filter(is_alone) {
                let plain = answers.plain(*change, self.as_asked(source)[1]);
                if let Some(plain) = plain.filter(|plain| found.contains_key(plain)) {
                    moved.push((*change, plain, *source));
                }
            }
        }
        let leaving: FxHashSet<Member> = moved.iter().map(|(.., source)| source.member).collect();
        // Not where an endpoint is that is not masqueraded.
        let homes: BTreeSet<usize> = moved.iter().map(|(_, to, _)| *to).collect();
        let closed: Vec<usize> =
            homes.into_iter().filter(|home| self.has_end(&found[home], &answers.changes[*home])).collect();
        for (from, to, source) in moved {
            let Some(home) = found.get(&to).filter(|_| !closed.contains(&to)) else { continue };
            if home.iter().all(|other| leaving.contains(&other.member)) {
                continue;
            }
            if let Some(members) = found.get_mut(&from) {
                members.retain(|member| member.member != source.member);
            }
            found.entry(to).or_default().push(Source { hairpin: true, ..source });
        }
    }

    /// Whether one of the sources is an endpoint of the change.
    fn has_end(&self, sources: &[Source], change: &Change) -> bool {
        let chances = change.before.iter().chain(&change.after);
        let ends: BTreeSet<IpAddr> = chances.filter_map(|chance| Some(chance.endpoint?.ip())).collect();
        sources.iter().any(|source| ends.iter().any(|ip| self.is_one_of(source, *ip)))
    }

    fn is_one_address(&self, source: &Source) -> bool {
        match source.member {
            Member::Own(_) | Member::Drifter(_) => true,
            Member::Pods(cell) | Member::Outside(cell) => self.partition().is_host(cell),
        }
    }

    /// Whether an address is one of those that a source stands for.
    fn is_one_of(&self, source: &Source, ip: IpAddr) -> bool {
        let here = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&ip));
        match source.member {
            Member::Own(_) => source.after == ip,
            Member::Drifter(_) => source.before == ip || source.after == ip,
            Member::Outside(cell) => self.partition().cell_of(ip) == cell && self.place.inside(ip).is_none(),
            Member::Pods(cell) => {
                self.partition().cell_of(ip) == cell
                    && (here(&self.place.pod_nets) || self.place.pods.has(ip))
            }
        }
    }

    fn classes(&self, members: &[Source], who: &Who) -> Vec<SourceClass> {
        let mut classes = Vec::new();
        self.pod_classes(members, who, &mut classes);
        classes.extend(self.own_class(members, &who.sources));
        classes.extend(self.outside_class(members, &who.sources));
        classes
    }

    fn class(&self, origin: Origin, members: &[&Source]) -> Option<SourceClass> {
        let example = members.iter().find(|source| !source.hairpin).or(members.first())?;
        Some(SourceClass {
            nodes: Vec::new(),
            origin,
            pods: Vec::new(),
            except_pods: Vec::new(),
            nets: Vec::new(),
            except: Vec::new(),
            moved_from: None,
            hairpin: members.iter().any(|source| source.hairpin),
            example: example.after,
        })
    }

    fn own_class(&self, members: &[Source], all: &[Source]) -> Option<SourceClass> {
        let of = |sources: &[Source]| -> Vec<IpAddr> {
            let own = sources.iter().filter_map(|source| match source.member {
                Member::Own(_) => Some(source.after),
                _ => None,
            });
            own.collect()
        };
        let (some, every) = (of(members), of(all));
        let ours: Vec<&Source> =
            members.iter().filter(|source| source.member.origin() == Origin::Node).collect();
        let mut class = self.class(Origin::Node, &ours)?;
        if some.len() < every.len() {
            class.nets = some.into_iter().map(IpNet::from).collect();
            class.nets.sort_unstable();
        }
        Some(class)
    }

    fn outside_class(&self, members: &[Source], all: &[Source]) -> Option<SourceClass> {
        let of = |sources: &[Source]| -> Vec<usize> {
            let cells = sources.iter().filter_map(|source| match source.member {
                Member::Outside(cell) => Some(cell),
                _ => None,
            });
            cells.collect()
        };
        let ours: Vec<&Source> =
            members.iter().filter(|source| source.member.origin() == Origin::Outside).collect();
        let mut class = self.class(Origin::Outside, &ours)?;
        (class.nets, class.except) = self.partition().describe(&of(members), &of(all));
        Some(class)
    }

    fn pod_classes(&self, members: &[Source], who: &Who, classes: &mut Vec<SourceClass>) {
        let all = &who.sources[..];
        let cells = |sources: &[Source]| -> Vec<usize> {
            sources.iter().filter_map(|source| source.member.pods()).collect()
        };
        let drifters = |sources: &[Source]| -> Vec<Key> {
            let numbers = sources.iter().filter_map(|source| match source.member {
                Member::Drifter(nth) => Some(nth),
                _ => None,
            });
            numbers.filter_map(|nth| Some(self.place.pods.drifter(nth)?.key.clone())).collect()
        };
        let ours: Vec<&Source> =
            members.iter().filter(|source| source.member.origin() == Origin::Pod).collect();
        let Some(class) = self.class(Origin::Pod, &ours) else { return };
        let (some, every) = (cells(members), cells(all));
        let (strays, mut away) = (drifters(members), drifters(all));
        away.retain(|key| !strays.contains(key));
        let is_other = |cell: &usize| Some(*cell) == who.main || who.open.contains(cell);
        let here: Vec<usize> = some.iter().copied().filter(is_other).collect();
        let known =
            |cells: &[usize]| cells.iter().flat_map(|cell| self.pods_in(*cell)).collect::<Vec<PodHere<'a>>>();
        let mut named: Vec<Key> = strays;
        if let Some(first) = here.first() {
            let others: Vec<usize> = every.iter().copied().filter(is_other).collect();
            let mut most = SourceClass { except_pods: away, ..class.clone() };
            (most.nets, most.except) = self.partition().describe(&here, &others);
            if here.len() < others.len() {
                most.example = self.pod_of(*first).unwrap_or(most.example);
            }
            // Where networks were chosen for a cell they are right for it.
            let rest: Vec<usize> =
                every.into_iter().filter(|cell| !some.contains(cell) && !others.contains(cell)).collect();
            let wrong = known(&rest).into_iter().filter(|pod| most.has_address(pod.after));
            let wrong: Vec<Key> = wrong.map(|pod| pod.key.clone()).collect();
            most.except_pods.extend(wrong);
            most.except_pods.sort_unstable();
            let single: Vec<usize> = some.into_iter().filter(|cell| !here.contains(cell)).collect();
            let missed = known(&single).into_iter().filter(|pod| !most.has_pod(pod.key, pod.after));
            named.extend(missed.map(|pod| pod.key.clone()));
            named.retain(|key| most.except_pods.contains(key) || !self.is_in(key, &most));
            classes.push(most);
        } else {
            named.extend(known(&some).into_iter().map(|pod| pod.key.clone()));
        }
        named.sort_unstable();
        if !named.is_empty() {
            classes.push(SourceClass { pods: named, ..class });
        }
    }

    fn is_in(&self, pod: &Key, class: &SourceClass) -> bool {
        let here = self.place.pods.all().find(|here| here.key == pod);
        here.is_some_and(|here| class.has_pod(pod, here.after))
    }

    /// The cell that stands for the most pods: the unnamed ones are more than any that are named.
    fn main_cell(&self, cells: &[usize]) -> Option<usize> {
        let is_host = |cell: &&usize| self.partition().is_host(**cell);
        let (hosts, nets): (Vec<&usize>, Vec<&usize>) = cells.iter().partition(is_host);
        let weight =
            |cell: &usize| (self.pods_in(*cell).take(MOST_COUNTED).count(), std::cmp::Reverse(*cell));
        match &nets[..] {
            [] => hosts.into_iter().copied().max_by_key(weight),
            [one] => Some(**one),
            _ => nets.into_iter().copied().max_by_key(weight),
        }
    }
}

impl Member {
    /// The cell, if these are pods of one.
    fn pods(self) -> Option<usize> {
        match self {
            Member::Pods(cell) => Some(cell),
            _ => None,
        }
    }

    fn origin(self) -> Origin {
        match self {
            Member::Pods(_) | Member::Drifter(_) => Origin::Pod,
            Member::Own(_) => Origin::Node,
            Member::Outside(_) => Origin::Outside,
        }
    }
}
