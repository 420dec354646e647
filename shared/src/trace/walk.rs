//! Follows one packet through a [`Program`]: hook by hook, chain by chain, rule by rule, along every branch.
//!
//! The order is the kernel's. A packet that comes in: PREROUTING, then INPUT if it is for the node, else FORWARD and POSTROUTING.
//! One of the node's own: OUTPUT, POSTROUTING, and if it is for the node, once more PREROUTING and INPUT, where its NAT is
//! decided already. IPVS takes packets at the end of INPUT and after the NAT of OUTPUT; what it sends on passes the rest
//! of OUTPUT and POSTROUTING.

use std::net::{IpAddr, SocketAddr};

use super::outcome::{ROOT, Trace};
use super::program::{Fields, IpsetCode, Op, Program, ServerCode, Stage};
use super::{Conditions, Effect, Fraction, HostView, Origin, Outcome, Packet, Place, PodLink, Step, Verdict};
use crate::netfilter::iptables::{CtStates, Policy, Sense, Side};
use crate::netfilter::ipvs::{Entry, SetType, VirtualAddress};
use crate::netfilter::nft::{Hook, Key};

/// Chains inside chains; the kernel allows 16 in nft.
const DEPTH: usize = 16;
/// Rules that are not understood for which both answers are tried. Each doubles the work.
const MAX_ASSUMED: usize = 5;
/// Continuations that are remembered within one trace.
const MEMOS: usize = 3;

impl Program {
    /// Everything that can happen to the packet.
    pub fn trace(&self, host: &HostView, packet: &Packet) -> Trace {
        let mut trace = Trace::default();
        self.trace_into(host, packet, &mut trace);
        trace
    }

    /// [`Program::trace`] into a trace whose memory is used again.
    pub fn trace_into(&self, host: &HostView, packet: &Packet, trace: &mut Trace) {
        self.resolve(host, packet, &mut Vec::new(), trace);
    }

    /// Where a test is not understood, both answers are tried: it matters only if they lead to different outcomes.
    fn resolve(&self, host: &HostView, packet: &Packet, assumed: &mut Vec<(Place, bool)>, trace: &mut Trace) {
        trace.clear();
        let mut walk =
            Walk { program: self, host, packet, assumed, trace: &mut *trace, memos: [None; MEMOS] };
        let Err(place) = walk.start() else { return };
        if assumed.len() >= MAX_ASSUMED {
            return unknown(trace, packet, place);
        }
        assumed.push((place, false));
        self.resolve(host, packet, assumed, trace);
        if let Some(last) = assumed.last_mut() {
            last.1 = true;
        }
        let mut other = Trace::default();
        self.resolve(host, packet, assumed, &mut other);
        assumed.pop();
        if !trace.outcomes.iter().map(what).eq(other.outcomes.iter().map(what)) {
            unknown(trace, packet, place);
        }
    }
}

/// An outcome without its way.
fn what(outcome: &Outcome) -> (Fraction, Verdict, SocketAddr, bool, Conditions) {
    let Outcome { probability, verdict, destination, masquerade, conditions, .. } = *outcome;
    (probability, verdict, destination, masquerade, conditions)
}

fn unknown(trace: &mut Trace, packet: &Packet, place: Place) {
    trace.clear();
    let hook = if packet.origin == Origin::Node { Hook::Output } else { Hook::Prerouting };
    let before = trace.push(ROOT, Step { hook, place: Some(place), effect: Effect::Unknown });
    trace.outcomes.push(Outcome {
        probability: Fraction::ONE,
        verdict: Verdict::Unknown,
        destination: SocketAddr::new(packet.destination, packet.port),
        masquerade: false,
        conditions: Conditions::default(),
        before,
        after: ROOT,
    });
}

/// A chain that is being walked.
#[derive(Clone, Copy, Default)]
struct Frame {
    chain: u32,
    /// The rest of the chain: numbers of rules, or of places in the program's lists.
    rest: (u32, u32),
    by_address: (u32, u32),
    by_port: (u32, u32),
    indexed: bool,
    /// The rule that led here, in the chain below.
    via: u32,
    /// That has not been told yet.
    untold: bool,
}

/// The packet and where it is.
#[derive(Clone, Copy)]
struct State {
    frames: [Frame; DEPTH],
    depth: usize,
    hook: Hook,
    /// The next stage of the hook.
    stage: usize,
    /// The base chain that is being walked, and whether it does NAT.
    base: Stage,
    destination: SocketAddr,
    mark: u32,
    probability: Fraction,
    conditions: Conditions,
    /// The last throw of dice, until it is told.
    one_in: u32,
    rewritten: bool,
    /// The choice of a new destination is over: no more of it.
    nat_done: bool,
    masquerade: bool,
    accepted: bool,
    looped: bool,
    /// Began in OUTPUT, so that it comes in again if it is for the node.
    own: bool,
    ipvs: Option<VirtualAddress>,
    before: u32,
    leaf: u32,
    /// The last step when the base chain began.
    stage_leaf: u32,
}

/// What a rule did to the walk.
enum Flow {
    /// On with the next rule, here or in another chain.
    On,
    /// This branch has come to its outcome.
    Ended,
}

/// How packets that were given a new destination go on, if they differ in nothing that rules ask for.
#[derive(Clone, Copy)]
struct Memo {
    key: MemoKey,
    verdict: Verdict,
    masquerade: bool,
    after: u32,
}

/// Hook, mark, port, and the networks named by rules that the destination is in.
type MemoKey = (Hook, u32, u16, u64);

struct Walk<'a> {
    program: &'a Program,
    host: &'a HostView,
    packet: &'a Packet,
    /// Answers that are assumed for tests that are not understood.
    assumed: &'a [(Place, bool)],
    trace: &'a mut Trace,
    memos: [Option<Memo>; MEMOS],
}

/// The place of a rule that is not understood and that could matter.
type Walked<T> = Result<T, Place>;

impl Walk<'_> {
    fn start(&mut self) -> Walked<()> {
        let own = self.packet.origin == Origin::Node;
        let mut state = State {
            frames: [Frame::default(); DEPTH],
            depth: 0,
            hook: if own { Hook::Output } else { Hook::Prerouting },
            stage: 0,
            base: Stage::Ipvs,
            destination: SocketAddr::new(self.packet.destination, self.packet.port),
            mark: 0,
            probability: Fraction::ONE,
            conditions: Conditions::default(),
            one_in: 1,
            rewritten: false,
            nat_done: false,
            masquerade: false,
            accepted: false,
            looped: false,
            own,
            ipvs: None,
            before: ROOT,
            leaf: ROOT,
            stage_leaf: ROOT,
        };
        // IPv6 looks at it before any rule, IPv4 where it is routed.
        if self.packet.destination.is_ipv6() && self.is_martian(&state) {
            self.drop_martian(&mut state);
            return Ok(());
        }
        // There is no route to begin with.
        if own && self.host.holds_back(self.packet.source, self.packet.destination) {
            self.lose_to_loopback(&mut state);
            return Ok(());
        }
        self.run(state)
    }

    fn run(&mut self, mut state: State) -> Walked<()> {
        loop {
            let flow = match state.depth {
                0 => self.next_stage(&mut state)?,
                depth => match self.next_rule(&mut state.frames[depth - 1]) {
                    Some(rule) => self.rule(&mut state, rule, 0)?,
                    None => self.end_chain(&mut state),
                },
            };
            if let Flow::Ended = flow {
                return Ok(());
            }
        }
    }

    fn next_stage(&mut self, state: &mut State) -> Walked<Flow> {
        let Some(&stage) = self.program.stages[state.hook as usize].get(state.stage) else {
            return self.next_hook(state);
        };
        state.stage += 1;
        let chain = match stage {
            Stage::Nat(_) if state.nat_done && matches!(state.hook, Hook::Prerouting | Hook::Output) => {
                return Ok(Flow::On);
            }
            Stage::Nat(chain) | Stage::Filter(chain) => chain,
            Stage::Ipvs => return self.ipvs(state),
        };
        state.base = stage;
        state.stage_leaf = state.leaf;
        state.depth = 1;
        state.frames[0] = self.frame(chain, state.destination, 0, false);
        Ok(Flow::On)
    }

    fn next_hook(&mut self, state: &mut State) -> Walked<Flow> {
        let local = self.host.is_local(state.destination.ip());
        let next = match state.hook {
            Hook::Prerouting if self.is_martian(state) => return Ok(self.drop_martian(state)),
            Hook::Prerouting if local => Hook::Input,
            Hook::Prerouting => Hook::Forward,
            Hook::Forward | Hook::Output => Hook::Postrouting,
            Hook::Postrouting if state.own && local && !state.looped => {
                state.looped = true;
                Hook::Prerouting
            }
            Hook::Postrouting => return Ok(self.done(state)),
            Hook::Input => return Ok(self.arrive(state)),
        };
        (state.hook, state.stage) = (next, 0);
        Ok(Flow::On)
    }

    /// Came in for loopback, and no rule gave it another destination.
    fn is_martian(&self, state: &State) -> bool {
        !state.own && !state.rewritten && self.host.is_martian(state.destination.ip())
    }

    fn drop_martian(&mut self, state: &mut State) -> Flow {
        self.tell_beside_rules(state, Effect::Martian);
        self.finish(state, Verdict::Drop)
    }

    fn lose_to_loopback(&mut self, state: &mut State) -> Flow {
        self.tell_beside_rules(state, Effect::Loopback);
        self.finish(state, Verdict::Drop)
    }

    /// OUTPUT has given it a destination to which there is no route. IPVS lets none from loopback go to other hosts
    /// (`crosses_local_route_boundary`).
    fn has_no_route(&self, state: &State) -> bool {
        let (source, to) = (self.packet.source, state.destination.ip());
        let by_ipvs = state.ipvs.is_some() && self.host.is_unanswered(source, to);
        state.own && state.hook == Hook::Output && (by_ipvs || self.host.holds_back(source, to))
    }

    fn is_unanswered(&self, state: &State) -> bool {
        let (source, to) = (self.packet.source, state.destination.ip());
        let hidden = state.masquerade && source.is_ipv4();
        state.own && !hidden && self.host.is_unanswered(source, to)
    }

    /// At the node's own sockets.
    fn arrive(&mut self, state: &mut State) -> Flow {
        let key = (self.packet.protocol, state.destination.port());
        let Some(socket) = self.program.sockets.get(&key) else { return self.done(state) };
        let count = socket.endpoints.len();
        if count == 0 {
            self.tell_beside_rules(state, Effect::NoEndpoint);
            // A connection is taken and closed; a datagram is lost.
            let tcp = self.packet.protocol == crate::model::Protocol::Tcp;
            return self.finish(state, if tcp { Verdict::Reject } else { Verdict::Drop });
        }
        state.conditions.in_turn = count > 1;
        state.conditions.affinity = socket.affinity.or(state.conditions.affinity);
        state.masquerade = true;
        for &to in &socket.endpoints {
            let mut one = *state;
            one.destination = to;
            let exact = one.probability.times(1, count as u64);
            self.tell_beside_rules(&mut one, Effect::Proxy { to, one_in: count as u32 });
            self.finish_exactly(&mut one, exact, Verdict::Deliver);
        }
        Flow::Ended
    }

    fn done(&mut self, state: &mut State) -> Flow {
        if self.is_unanswered(state) {
            return self.lose_to_loopback(state);
        }
        let verdict = match (state.rewritten, state.accepted) {
            (true, _) => Verdict::Deliver,
            (false, true) => Verdict::Accept,
            (false, false) => Verdict::NoMatch,
        };
        self.finish(state, verdict)
    }

    fn finish_exactly(&mut self, state: &mut State, exact: Option<Fraction>, verdict: Verdict) -> Flow {
        match exact {
            Some(exact) => {
                state.probability = exact;
                self.finish(state, verdict)
            }
            None => self.finish(state, Verdict::Unknown),
        }
    }

    fn finish(&mut self, state: &mut State, verdict: Verdict) -> Flow {
        self.trace.outcomes.push(Outcome {
            probability: state.probability,
            verdict,
            destination: state.destination,
            masquerade: state.masquerade && verdict == Verdict::Deliver,
            conditions: state.conditions,
            before: state.before,
            after: state.leaf,
        });
        Flow::Ended
    }

    fn ipvs(&mut self, state: &mut State) -> Walked<Flow> {
        let address = VirtualAddress { protocol: self.packet.protocol, address: state.destination };
        let program = self.program;
        let Some(server) = program.servers.get(&address).filter(|_| state.ipvs.is_none()) else {
            return Ok(Flow::On);
        };
        state.ipvs = Some(address);
        if server.real.is_empty() {
            self.tell_beside_rules(state, Effect::NoRealServer);
            return Ok(self.finish(state, Verdict::Reject));
        }
        if server.real.len() > 1 {
            state.conditions.scheduler = Some(server.scheduler);
            state.conditions.affinity = server.affinity;
        }
        self.schedule(state, server)?;
        Ok(Flow::Ended)
    }

    fn schedule(&mut self, state: &State, server: &ServerCode) -> Walked<()> {
        for &(to, weight) in &server.real {
            let mut one = *state;
            let one_in = server.real.len() as u32;
            self.tell_beside_rules(&mut one, Effect::Schedule { to, one_in });
            let Some(exact) = one.probability.times(u64::from(weight), server.total) else {
                self.finish(&mut one, Verdict::Unknown);
                continue;
            };
            one.probability = exact;
            if one.hook == Hook::Input {
                if self.host.is_local(to.ip()) {
                    (one.destination, one.rewritten) = (to, true);
                    self.finish(&mut one, Verdict::Deliver);
                    continue;
                }
                // What IPVS sends on goes through the rest of OUTPUT, behind IPVS itself.
                one.hook = Hook::Output;
                let stages = &self.program.stages[Hook::Output as usize];
                one.stage = stages.iter().position(|stage| *stage == Stage::Ipvs).map_or(0, |at| at + 1);
            }
            one.nat_done = true;
            self.rewrite(one, to)?;
        }
        Ok(())
    }

    fn frame(&self, chain: u32, to: SocketAddr, via: u32, untold: bool) -> Frame {
        let Some(code) = self.program.chains.get(chain as usize) else { return Frame::default() };
        let Some(index) = &code.index else {
            let rest = (code.first, code.first + code.count);
            return Frame { chain, rest, via, untold, ..Frame::default() };
        };
        let protocol = self.packet.protocol;
        let by_address = index.by_address.get(&(to.ip(), protocol, to.port())).copied().unwrap_or_default();
        let by_port = index.by_port.get(&(protocol, to.port())).copied().unwrap_or_default();
        Frame { chain, rest: index.rest, by_address, by_port, indexed: true, via, untold }
    }

    /// The number of the chain's next rule that could match.
    fn next_rule(&self, frame: &mut Frame) -> Option<u32> {
        if !frame.indexed {
            let (next, end) = frame.rest;
            frame.rest.0 += 1;
            return (next < end).then_some(next);
        }
        let head = |(next, end): (u32, u32)| {
            if next < end { self.program.lists[next as usize] } else { u32::MAX }
        };
        let heads = [head(frame.rest), head(frame.by_address), head(frame.by_port)];
        let first = heads.into_iter().min().filter(|rule| *rule != u32::MAX)?;
        match heads.iter().position(|head| *head == first) {
            Some(0) => frame.rest.0 += 1,
            Some(1) => frame.by_address.0 += 1,
            _ => frame.by_port.0 += 1,
        }
        Some(first)
    }

    /// Goes on in the chain below, or ends the stage by the policy.
    fn end_chain(&mut self, state: &mut State) -> Flow {
        state.depth -= 1;
        if state.depth > 0 {
            return Flow::On;
        }
        let (Stage::Filter(base) | Stage::Nat(base)) = state.base else { return Flow::On };
        let policy = self.program.chains.get(base as usize).map(|code| code.policy);
        if policy == Some(Policy::Drop) {
            self.tell_at(state, Place { chain: base, rule: None }, Effect::Drop);
            return self.finish(state, Verdict::Drop);
        }
        self.end_stage(state)
    }

    fn end_stage(&mut self, state: &mut State) -> Flow {
        state.depth = 0;
        match state.base {
            Stage::Nat(_) if matches!(state.hook, Hook::Prerouting | Hook::Output) => state.nat_done = true,
            Stage::Filter(base) => {
                let filters = matches!(state.hook, Hook::Input | Hook::Forward | Hook::Output);
                let has_rules = self.program.chains.get(base as usize).is_some_and(|code| code.count > 0);
                if filters && has_rules && state.leaf == state.stage_leaf {
                    self.tell_at(state, Place { chain: base, rule: None }, Effect::Pass);
                }
            }
            _ => {}
        }
        Flow::On
    }

    /// The rule's tests and actions from number `from` on.
    fn rule(&mut self, state: &mut State, rule: u32, from: usize) -> Walked<Flow> {
        let program = self.program;
        let code = &program.rules[rule as usize];
        let start = code.start as usize;
        let ops = &program.ops[start..start + usize::from(code.len)];
        for (nth, op) in ops.iter().enumerate().skip(from) {
            if let Op::OneIn(n) = op {
                let n = u64::from(n.get());
                let mut hit = *state;
                let (Some(one), Some(rest)) =
                    (state.probability.times(1, n), state.probability.times(n - 1, n))
                else {
                    return Ok(self.finish(state, Verdict::Unknown));
                };
                if n == 1 {
                    continue;
                }
                (hit.probability, hit.one_in) = (one, n as u32);
                if let Flow::On = self.rule(&mut hit, rule, nth + 1)? {
                    self.run(hit)?;
                }
                state.probability = rest;
                return Ok(Flow::On);
            }
            match self.test(state, op) {
                Test::Is(true) => {}
                Test::Is(false) => return Ok(Flow::On),
                Test::Unknown => {
                    let place = self.place(state, rule);
                    let answer = self.assumed.iter().find(|(known, _)| *known == place);
                    match answer {
                        Some((_, true)) => {}
                        Some((_, false)) => return Ok(Flow::On),
                        None => return Err(place),
                    }
                }
                Test::Action => match self.act(state, rule, op)? {
                    Acted::Here => {}
                    Acted::Left(flow) => return Ok(flow),
                },
            }
        }
        Ok(Flow::On)
    }

    fn place(&self, state: &State, rule: u32) -> Place {
        let chain = state.frames[state.depth.saturating_sub(1)].chain;
        let first = self.program.chains.get(chain as usize).map_or(0, |code| code.first);
        Place { chain, rule: Some(rule - first) }
    }

    fn test(&self, state: &mut State, op: &Op) -> Test {
        let packet = self.packet;
        let sense = |sense: &Sense, is: bool| Test::Is(is == (*sense == Sense::Is));
        match op {
            Op::Source(s, nets) => sense(s, nets.contains(packet.source)),
            Op::Destination(s, nets) => sense(s, nets.contains(state.destination.ip())),
            Op::Protocol(protocol) => Test::Is(*protocol == packet.protocol),
            Op::Port(port) => Test::Is(*port == state.destination.port()),
            Op::CtState(s, states) => sense(s, is_in(*states, state)),
            Op::Mark { sense: s, value, mask } => sense(s, state.mark & mask == *value),
            Op::Local(s, Side::Source) => sense(s, self.host.is_local(packet.source)),
            Op::Local(s, Side::Destination) => sense(s, self.host.is_local(state.destination.ip())),
            Op::InInterface(s, pattern) => match self.in_interface(state, pattern) {
                Some(is) => sense(s, is),
                None => Test::Unknown,
            },
            Op::Bridged(s) => sense(
                s,
                packet.origin == Origin::Pod && !state.looped && self.host.pod_link == PodLink::Bridged,
            ),
            Op::Ipvs(address) => Test::Is(state.ipvs == Some(*address)),
            Op::Seen { seconds } => {
                state.conditions.affinity = Some(*seconds);
                Test::Is(false)
            }
            Op::InIpset { set, directions } => match self.program.ipsets.get(*set as usize) {
                Some(code) => in_ipset(code, *directions, packet, state.destination),
                None => Test::Unknown,
            },
            Op::InSet { set, fields } => {
                let Some(code) = self.program.sets.get(*set as usize) else { return Test::Unknown };
                let is = code.keys.contains(&key(*fields, packet, state.destination));
                if let (Some(seconds), false) = (code.seconds, is) {
                    state.conditions.affinity = Some(seconds);
                }
                Test::Is(is)
            }
            Op::UnknownTest => Test::Unknown,
            _ => Test::Action,
        }
    }

    /// `None`: not known. In OUTPUT and POSTROUTING there is no such interface, and no name matches.
    fn in_interface(&self, state: &State, pattern: &str) -> Option<bool> {
        let matches = |name: &str| match pattern.strip_suffix(['+', '*']) {
            Some(head) => name.starts_with(head),
            None => name == pattern,
        };
        if matches!(state.hook, Hook::Output | Hook::Postrouting) {
            return Some(false);
        }
        if state.looped {
            return Some(matches("lo"));
        }
        let (pod, outside) = (self.host.pod_interface.as_deref(), self.host.outside_interface.as_deref());
        match self.packet.origin {
            Origin::Pod => pod.map(matches),
            // Not one of those over which pods come.
            _ => outside.map(matches).or_else(|| pod.filter(|name| matches(name)).map(|_| false)),
        }
    }

    fn act(&mut self, state: &mut State, rule: u32, op: &Op) -> Walked<Acted> {
        let effect = match op {
            Op::MarkOr(mask) => {
                state.mark |= mask;
                Effect::Mark
            }
            Op::MarkXor(mask) => {
                state.mark ^= mask;
                Effect::Unmark
            }
            Op::Lookup { map, fields } => {
                let key = key(*fields, self.packet, state.destination);
                let program = self.program;
                let found = program.maps.get(*map as usize).and_then(|map| map.get(&key));
                return match found {
                    Some(found) => self.act(state, rule, found),
                    None => Ok(Acted::Left(Flow::On)),
                };
            }
            other => return self.leave(state, rule, other).map(Acted::Left),
        };
        self.tell(state, rule, effect);
        Ok(Acted::Here)
    }

    /// Actions that end the rule.
    fn leave(&mut self, state: &mut State, rule: u32, op: &Op) -> Walked<Flow> {
        let one_in = std::mem::replace(&mut state.one_in, 1);
        match op {
            Op::Jump(chain) => return Ok(self.jump(state, rule, *chain, one_in)),
            Op::Goto(chain) => {
                self.tell(state, rule, jump_effect(*chain, one_in));
                self.goto(state, *chain);
            }
            Op::GotoOneOf(chains) => return self.goto_one_of(state, rule, chains),
            Op::Return => {
                if self.program.rules[rule as usize].telling {
                    self.tell(state, rule, Effect::Return);
                }
                return Ok(self.end_chain(state));
            }
            Op::Accept => {
                self.tell(state, rule, Effect::Accept);
                let filters = state.hook == Hook::Input && matches!(state.base, Stage::Filter(_));
                state.accepted |= filters && !state.rewritten;
                return Ok(self.end_stage(state));
            }
            Op::Drop => return Ok(self.refuse(state, rule, Effect::Drop, Verdict::Drop)),
            Op::Reject => return Ok(self.refuse(state, rule, Effect::Reject, Verdict::Reject)),
            Op::Masquerade => {
                self.tell(state, rule, Effect::Masquerade);
                state.masquerade = true;
                return Ok(self.end_stage(state));
            }
            Op::Dnat(to) => {
                self.tell(state, rule, Effect::Dnat { to: *to, one_in });
                self.end_stage(state);
                self.rewrite(*state, *to)?;
                return Ok(Flow::Ended);
            }
            Op::DnatOneOf(all) => return self.dnat_one_of(state, rule, all),
            Op::Redirect(port) => {
                self.tell(state, rule, Effect::Redirect(*port));
                let to = match (self.packet.origin, self.host.redirect_to) {
                    (Origin::Pod | Origin::Outside, Some(ip)) => ip,
                    _ => loopback(state.destination.ip()),
                };
                self.end_stage(state);
                self.rewrite(*state, SocketAddr::new(to, *port))?;
                return Ok(Flow::Ended);
            }
            _ => return Ok(self.refuse(state, rule, Effect::Unknown, Verdict::Unknown)),
        }
        Ok(Flow::On)
    }

    fn refuse(&mut self, state: &mut State, rule: u32, effect: Effect, verdict: Verdict) -> Flow {
        self.tell(state, rule, effect);
        self.finish(state, verdict)
    }

    fn jump(&mut self, state: &mut State, rule: u32, chain: u32, one_in: u32) -> Flow {
        if state.depth == DEPTH {
            return self.refuse(state, rule, Effect::Unknown, Verdict::Unknown);
        }
        let telling = one_in > 1 || self.program.rules[rule as usize].telling;
        if telling {
            self.tell(state, rule, jump_effect(chain, one_in));
        }
        state.frames[state.depth] = self.frame(chain, state.destination, rule, !telling);
        state.depth += 1;
        Flow::On
    }

    fn goto(&self, state: &mut State, chain: u32) {
        state.frames[state.depth - 1] = self.frame(chain, state.destination, 0, false);
    }

    fn goto_one_of(&mut self, state: &mut State, rule: u32, chains: &[u32]) -> Walked<Flow> {
        for &chain in chains {
            let mut one = *state;
            self.tell(&mut one, rule, jump_effect(chain, chains.len() as u32));
            let Some(exact) = one.probability.times(1, chains.len() as u64) else {
                self.finish(&mut one, Verdict::Unknown);
                continue;
            };
            one.probability = exact;
            self.goto(&mut one, chain);
            self.run(one)?;
        }
        Ok(Flow::Ended)
    }

    fn dnat_one_of(&mut self, state: &mut State, rule: u32, all: &[SocketAddr]) -> Walked<Flow> {
        let count = all.len();
        let exact = state.probability.times(1, count as u64);
        // What has not been told of the way here is the same for all.
        self.tell_entries(state);
        for &to in all {
            let mut one = *state;
            self.tell(&mut one, rule, Effect::Dnat { to, one_in: count as u32 });
            let Some(exact) = exact else {
                self.finish(&mut one, Verdict::Unknown);
                continue;
            };
            one.probability = exact;
            self.end_stage(&mut one);
            self.rewrite(one, to)?;
        }
        Ok(Flow::Ended)
    }

    /// Gives the packet a new destination, and follows it on from there.
    fn rewrite(&mut self, mut state: State, to: SocketAddr) -> Walked<()> {
        (state.destination, state.rewritten, state.accepted) = (to, true, false);
        let first = state.before == ROOT;
        let key = if first { self.memo_key(&state) } else { None };
        if first {
            (state.before, state.leaf) = (state.leaf, ROOT);
        }
        if self.has_no_route(&state) {
            self.lose_to_loopback(&mut state);
            return Ok(());
        }
        let known = self.memos.iter().flatten().find(|memo| Some(memo.key) == key).copied();
        if let Some(Memo { verdict, masquerade, after, .. }) = known {
            (state.masquerade, state.leaf) = (masquerade, after);
            self.finish(&mut state, verdict);
            return Ok(());
        }
        let earlier = self.trace.outcomes.len();
        let (probability, conditions) = (state.probability, state.conditions);
        self.run(state)?;
        if let (Some(key), [outcome]) = (key, &self.trace.outcomes[earlier..])
            && (outcome.probability, outcome.conditions, outcome.destination) == (probability, conditions, to)
            && let Some(free) = self.memos.iter_mut().find(|memo| memo.is_none())
        {
            let Outcome { verdict, masquerade, after, .. } = *outcome;
            *free = Some(Memo { key, verdict, masquerade, after });
        }
        Ok(())
    }

    /// What decides about the rest of the way; `None` if rules may single this destination out.
    fn memo_key(&self, state: &State) -> Option<MemoKey> {
        let ip = state.destination.ip();
        let nets = &self.program.named_nets;
        if ip == self.packet.source || nets.len() > 64 || self.host.is_local(ip) || self.program.is_named(ip)
        {
            return None;
        }
        let inside =
            (0..nets.len()).filter(|&nth| nets[nth].contains(ip)).fold(0, |bits, nth| bits | 1 << nth);
        Some((state.hook, state.mark, state.destination.port(), inside))
    }

    fn tell(&mut self, state: &mut State, rule: u32, effect: Effect) {
        let place = self.place(state, rule);
        self.tell_at(state, place, effect);
    }

    fn tell_at(&mut self, state: &mut State, place: Place, effect: Effect) {
        self.tell_entries(state);
        state.leaf = self.trace.push(state.leaf, Step { hook: state.hook, place: Some(place), effect });
    }

    fn tell_beside_rules(&mut self, state: &mut State, effect: Effect) {
        state.leaf = self.trace.push(state.leaf, Step { hook: state.hook, place: None, effect });
    }

    /// The jumps that led here, so far as they have not been told.
    fn tell_entries(&mut self, state: &mut State) {
        for depth in 1..state.depth {
            if !std::mem::take(&mut state.frames[depth].untold) {
                continue;
            }
            let below = state.frames[depth - 1].chain;
            let first = self.program.chains.get(below as usize).map_or(0, |code| code.first);
            let place = Place { chain: below, rule: Some(state.frames[depth].via - first) };
            let effect = Effect::Jump(state.frames[depth].chain);
            let step = Step { hook: state.hook, place: Some(place), effect };
            state.leaf = self.trace.push(state.leaf, step);
        }
    }
}

/// The answer to a test.
enum Test {
    Is(bool),
    /// Not understood.
    Unknown,
    /// It is no test.
    Action,
}

/// What an action did to its rule.
enum Acted {
    /// The rule goes on.
    Here,
    Left(Flow),
}

fn jump_effect(chain: u32, one_in: u32) -> Effect {
    if one_in > 1 { Effect::Choose { one_in, chain } } else { Effect::Jump(chain) }
}

fn loopback(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    }
}

/// A connection's first packet is NEW, and DNAT or SNAT once that has happened.
fn is_in(states: CtStates, state: &State) -> bool {
    states.contains(CtStates::NEW)
        || (state.rewritten && states.contains(CtStates::DNAT))
        || (state.masquerade && states.contains(CtStates::SNAT))
}

fn key(fields: Fields, packet: &Packet, to: SocketAddr) -> Key {
    let (protocol, port) = (packet.protocol, to.port());
    match fields {
        Fields::Source => Key::Ip(packet.source),
        Fields::Destination => Key::Ip(to.ip()),
        Fields::DestinationProtocolPort => Key::IpProtocolPort(to.ip(), protocol, port),
        Fields::ProtocolPort => Key::ProtocolPort(protocol, port),
        Fields::Flow => Key::Flow(packet.source, to.ip(), protocol, port),
    }
}

fn in_ipset(code: &IpsetCode, directions: [Side; 3], packet: &Packet, to: SocketAddr) -> Test {
    let ip = |side: Side| if side == Side::Source { packet.source } else { to.ip() };
    let (protocol, port) = (packet.protocol, to.port());
    let (first, third) = (ip(directions[0]), ip(directions[2]));
    let is = match code.kind {
        Some(SetType::HashIp) => code.entries.contains(&Entry::Ip(first)),
        Some(SetType::HashIpPort) => code.entries.contains(&Entry::IpPort(first, protocol, port)),
        Some(SetType::HashIpPortIp) => code.entries.contains(&Entry::IpPortIp(first, protocol, port, third)),
        Some(SetType::HashIpPortNet) => {
            let nets = code.nets.get(&(first, protocol, port));
            nets.is_some_and(|nets| nets.iter().any(|net| net.contains(&third)))
        }
        // The set knows no addresses: only a packet's own port can be meant.
        Some(SetType::BitmapPort) if directions[0] == Side::Source => return Test::Unknown,
        Some(SetType::BitmapPort) => code.entries.contains(&Entry::Port(port)),
        None => return Test::Unknown,
    };
    Test::Is(is)
}
