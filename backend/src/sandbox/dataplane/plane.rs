//! One node's service proxy: the objects as it last saw them, the rules that it made of them, and what passes through these.
//!
//! Rules are made when something asks for them, from the state as it was at the sync: a node that nobody asks and that no
//! connection passes costs a pointer for each sync. Times are milliseconds since the data planes began.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use vipscope_shared::model::{ClusterState, IpFamily, Protocol, ProxyMode, Text};
use vipscope_shared::netfilter::ipvs::VirtualAddress;
use vipscope_shared::predict::Predictor;
use vipscope_shared::proxy::node::NodeContext;
use vipscope_shared::proxy::ports::port_infos_of;
use vipscope_shared::proxy::{self, Rules, parts, userspace};
use vipscope_shared::trace::{Packet, Place, Trace, Verdict};
use vipscope_shared::traffic::NodeFault;

use super::choice::{Decision, Memory};
use super::connections::Connections;
use super::faults;
use crate::agent::{FamilyRules, Flow, FlowEnd, NodeRuleset, ProxyStatus, RuleCount};
use crate::sandbox::chance::Chance;

/// kube-proxy's cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// From a change to the sync that shows it, if the last sync is long enough ago.
    pub debounce: u64,
    /// `minSyncPeriod`: syncs do not follow each other sooner.
    pub least_pause: u64,
    /// How long a sync takes for each thousand endpoints.
    pub per_thousand: u64,
}

impl Default for Cadence {
    fn default() -> Cadence {
        Cadence { debounce: 300, least_pause: 1000, per_thousand: 100 }
    }
}

/// How often the userspace proxy tries, each time with the next endpoint (`pkg/proxy/userspace`, `EndpointDialTimeouts`).
const DIALS: usize = 4;
/// Packets whose way is remembered until the rules change; beyond that all are forgotten.
const DECISIONS: usize = 20_000;

/// A sync that is to come or under way.
#[derive(Debug, Clone)]
struct Sync {
    /// When the first change came that it is to show.
    since: u64,
    /// When it begins, or ends.
    at: u64,
}

/// A sync under way: its rules will be those of this state.
#[derive(Debug, Clone)]
struct Run {
    sync: Sync,
    state: Arc<ClusterState>,
}

/// What the rules are made of.
#[derive(Debug, Clone)]
struct Synced {
    state: Arc<ClusterState>,
    mode: ProxyMode,
    at: Timestamp,
}

/// Rules of one family, ready to be followed.
#[derive(Debug)]
struct Built {
    family: IpFamily,
    rules: Rules,
    sockets: Vec<userspace::ProxySocket>,
    predictor: Predictor,
    decisions: HashMap<Packet, Arc<Decision>>,
    counts: HashMap<Place, u64>,
    /// First packets that IPVS sent to a real server.
    served: HashMap<(VirtualAddress, SocketAddr), u64>,
}

/// See the module.
#[derive(Debug)]
pub struct Plane {
    pub name: Text,
    cadence: Cadence,
    synced: Option<Synced>,
    waiting: Option<Sync>,
    running: Option<Run>,
    last_end: Option<u64>,
    syncs: u64,
    version: u64,
    faults: Vec<NodeFault>,
    /// Those that are in the rules: a fault that is switched off stays there until the next sync.
    applied: Vec<NodeFault>,
    built: Option<Vec<Built>>,
    memory: Memory,
    pub connections: Connections,
    chance: Chance,
    trace: Trace,
}

impl Plane {
    pub fn new(name: Text, cadence: Cadence, seed: u64) -> Plane {
        Plane {
            name,
            cadence,
            synced: None,
            waiting: None,
            running: None,
            last_end: None,
            syncs: 0,
            version: 0,
            faults: Vec::new(),
            applied: Vec::new(),
            built: None,
            memory: Memory::default(),
            connections: Connections::default(),
            chance: Chance::new(seed),
            trace: Trace::default(),
        }
    }

    /// Something changed that the rules depend on.
    pub fn touch(&mut self, now: u64) {
        let soonest = self.last_end.map_or(0, |end| end + self.cadence.least_pause);
        self.waiting.get_or_insert(Sync { since: now, at: soonest.max(now + self.cadence.debounce) });
    }

    /// Whether what the node itself and kube-proxy's settings say about its rules is another than at the last sync.
    pub fn is_configured_otherwise(&self, state: &ClusterState) -> bool {
        let Some(synced) = &self.synced else { return true };
        let (Some(before), Some(after)) = (synced.state.node(&self.name), state.node(&self.name)) else {
            return true;
        };
        let mode = state.proxy_settings(&self.name).mode;
        IpFamily::BOTH.iter().any(|family| {
            let before = NodeContext::new(&synced.state, before, *family, synced.mode);
            !NodeContext::new(state, after, *family, mode).makes_same_rules(&before)
        })
    }

    pub fn mode(&self) -> Option<ProxyMode> {
        self.synced.as_ref().map(|synced| synced.mode)
    }

    /// The state that the rules show.
    pub fn synced_state(&self) -> Option<&Arc<ClusterState>> {
        self.synced.as_ref().map(|synced| &synced.state)
    }

    /// Whether a sync begins now. `state` is asked for only then.
    pub fn pass(
        &mut self,
        now: u64,
        time: Timestamp,
        endpoints: usize,
        state: impl FnOnce() -> Arc<ClusterState>,
    ) {
        self.connections.pass(now);
        if self.faults.contains(&NodeFault::SyncStopped) {
            return;
        }
        if self.running.is_none()
            && let Some(waiting) = self.waiting.take_if(|waiting| waiting.at <= now)
        {
            let slow = self.faults.iter().find_map(|fault| match fault {
                NodeFault::SlowSync { milliseconds } => Some(*milliseconds),
                _ => None,
            });
            let takes = slow.unwrap_or((endpoints / 1000) as u64 * self.cadence.per_thousand);
            self.running = Some(Run { sync: Sync { at: now + takes, ..waiting }, state: state() });
        }
        if let Some(run) = self.running.take_if(|run| run.sync.at <= now) {
            self.finish(run.state, now, time);
        }
    }

    fn finish(&mut self, state: Arc<ClusterState>, now: u64, time: Timestamp) {
        let mode = state.proxy_settings(&self.name).mode;
        let before = self.synced.replace(Synced { state: state.clone(), mode, at: time });
        self.last_end = Some(now);
        self.syncs += 1;
        if before.as_ref().is_none_or(|before| before.mode != mode) {
            self.memory.clear();
        }
        // Rules that were deleted by hand are back if the sync wrote them anew: ipvs mode writes all of them, the others those
        // of Services that changed.
        let rewritten = |fault: &NodeFault| match (fault, &before) {
            (NodeFault::RuleDeleted { service }, Some(before)) => {
                let ports = |state: &ClusterState| {
                    let service = state.services().get(service);
                    service.map(|one| IpFamily::BOTH.map(|family| port_infos_of(state, one, family)))
                };
                mode == ProxyMode::Ipvs || mode != before.mode || ports(&before.state) != ports(&state)
            }
            _ => false,
        };
        // One that was switched on since the last sync has not been there to be noticed.
        self.faults.retain(|fault| !rewritten(fault) || !self.applied.contains(fault));
        self.applied = self.faults.clone();
        self.connections.flush_udp(|to| is_served(&state, to));
        self.make_anew();
    }

    /// The rules are others now; they are made when they are asked for.
    fn make_anew(&mut self) {
        self.version += 1;
        if let Some(old) = self.built.take() {
            self.build_after(&old);
        }
    }

    pub fn faults(&self) -> &[NodeFault] {
        &self.faults
    }

    /// Switches faults on and off. Deleted rules and stale endpoints are there at once, and go with the next sync.
    pub fn set_faults(&mut self, faults: Vec<NodeFault>, now: u64) {
        let alters = |fault: &&NodeFault| {
            matches!(fault, NodeFault::RuleDeleted { .. } | NodeFault::StaleEndpoint { .. })
        };
        let more: Vec<NodeFault> =
            faults.iter().filter(alters).filter(|fault| !self.applied.contains(fault)).cloned().collect();
        let goes = self.applied.iter().filter(alters).any(|fault| !faults.contains(fault));
        self.faults = faults;
        if goes {
            self.touch(now);
        }
        if !more.is_empty() {
            self.applied.extend(more);
            self.make_anew();
        }
    }

    pub fn status(&self, now: u64) -> ProxyStatus {
        let syncs = self.running.iter().map(|run| &run.sync).chain(&self.waiting);
        let oldest = syncs.map(|sync| sync.since).min();
        ProxyStatus {
            mode: self.mode().unwrap_or_default(),
            last_sync: self.synced.as_ref().map(|synced| synced.at),
            waits: oldest.map(|since| Duration::from_millis(now.saturating_sub(since))),
            syncs: self.syncs,
            rules_version: self.version,
            faults: self.faults.clone(),
        }
    }

    pub fn ruleset(&mut self) -> NodeRuleset {
        self.build();
        let families = self.built.iter().flatten().map(|built| FamilyRules {
            family: built.family,
            rules: built.rules.clone(),
            sockets: built.sockets.clone(),
            counts: built.rule_counts(),
        });
        NodeRuleset {
            mode: self.mode().unwrap_or_default(),
            version: self.version,
            families: families.collect(),
        }
    }

    fn build(&mut self) {
        if self.built.is_none() {
            self.build_after(&[]);
        }
    }

    /// Makes the rules; counters of those that were not written anew go on.
    fn build_after(&mut self, old: &[Built]) {
        let Some(synced) = self.synced.clone() else { return };
        let of_family = |family| {
            let mut built = Built::new(&synced, &self.name, family, &self.applied)?;
            if let Some(old) = old.iter().find(|old| old.family == family) {
                built.take_counts(old);
            }
            Some(built)
        };
        let built: Vec<Built> = IpFamily::BOTH.into_iter().filter_map(of_family).collect();
        let chains: BTreeSet<String> = built.iter().flat_map(Built::chain_names).collect();
        self.memory.keep_lists(|list| chains.contains(list));
        self.built = Some(built);
    }

    /// A connection begins here: its first packet passes the rules. Answers what became of it.
    pub fn connect(
        &mut self,
        packet: Packet,
        now: u64,
        lasts: u64,
        answers: impl Fn(SocketAddr, Protocol) -> bool,
    ) -> FlowEnd {
        self.build();
        let family = IpFamily::of(packet.destination);
        let to = SocketAddr::new(packet.destination, packet.port);
        let flow = |end| Flow { source: packet.source, to, protocol: packet.protocol, end };
        let Some(built) = self.built.iter_mut().flatten().find(|built| built.family == family) else {
            self.connections.add(flow(FlowEnd::Unclaimed), now, lasts);
            return FlowEnd::Unclaimed;
        };
        let decision = built.decide(&packet, &mut self.trace);
        let open = |endpoint| self.connections.open_at(to, endpoint);
        let mut at = self.memory.choose(&decision, &packet, now, &mut self.chance, open);
        let dials = if self.synced.as_ref().is_some_and(|synced| synced.mode == ProxyMode::Userspace) {
            DIALS.min(decision.options.len())
        } else {
            1
        };
        for _ in 1..dials {
            let choice = &decision.options[at.min(decision.options.len() - 1)];
            if choice.verdict != Verdict::Deliver || answers(choice.destination, packet.protocol) {
                break;
            }
            at = self.memory.next_after_failure(&decision, &packet);
        }
        let Some(choice) = decision.options.get(at) else { return FlowEnd::Unclaimed };
        let end = match choice.verdict {
            Verdict::Deliver if answers(choice.destination, packet.protocol) => {
                FlowEnd::Delivered(choice.destination)
            }
            Verdict::Deliver => FlowEnd::Failed(choice.destination),
            Verdict::Reject => FlowEnd::Refused,
            Verdict::Drop => FlowEnd::Dropped,
            Verdict::Accept | Verdict::NoMatch | Verdict::Unknown => FlowEnd::Unclaimed,
        };
        for place in &choice.places {
            *built.counts.entry(*place).or_default() += 1;
        }
        if choice.scheduled {
            let server = VirtualAddress { protocol: packet.protocol, address: to };
            *built.served.entry((server, choice.destination)).or_default() += 1;
        }
        self.connections.add(flow(end), now, lasts);
        end
    }
}

/// Whether an endpoint of any Service has this address and port.
fn is_served(state: &ClusterState, to: SocketAddr) -> bool {
    state.slices().values().any(|slice| {
        slice.ports.iter().any(|port| port.port.is_some_and(|port| port.get() == to.port()))
            && slice.endpoints.iter().any(|endpoint| {
                endpoint.conditions.is_serving()
                    && endpoint.addresses.iter().any(|address| address.ip() == Some(to.ip()))
            })
    })
}

impl Built {
    /// `None` if the node has no address of the family.
    fn new(synced: &Synced, node: &str, family: IpFamily, applied: &[NodeFault]) -> Option<Built> {
        let mut state = synced.state.clone();
        for fault in applied {
            if let NodeFault::StaleEndpoint { service } = fault {
                state = Arc::new(faults::with_stale_endpoint(&state, service, node));
            }
        }
        let node = proxy::find_node(&state, node, family).ok()?;
        let mut rules = proxy::generate(&state, node, family, synced.mode);
        let sockets = match synced.mode {
            ProxyMode::Userspace => userspace::sockets(&state, family),
            _ => Vec::new(),
        };
        for fault in applied {
            if let NodeFault::RuleDeleted { service } = fault {
                rules = faults::without_rules_of(rules, &state, service);
            }
        }
        let context = NodeContext::new(&state, node, family, synced.mode);
        let predictor = Predictor::with_rules(context, rules.clone(), sockets.clone(), Vec::new());
        let (decisions, counts, served) = (HashMap::new(), HashMap::new(), HashMap::new());
        Some(Built { family, rules, sockets, predictor, decisions, counts, served })
    }

    fn decide(&mut self, packet: &Packet, trace: &mut Trace) -> Arc<Decision> {
        if let Some(known) = self.decisions.get(packet) {
            return known.clone();
        }
        if self.decisions.len() >= DECISIONS {
            self.decisions.clear();
        }
        let Predictor { program, host, .. } = &self.predictor;
        program.trace_into(host, &self.predictor.as_sent(*packet), trace);
        let decision = Arc::new(Decision::new(program, trace));
        self.decisions.insert(*packet, decision.clone());
        decision
    }

    /// Chains that remember clients.
    fn chain_names(&self) -> Vec<String> {
        let tables = self.rules.tables().iter().flat_map(|table| &table.chains);
        let mut names: Vec<String> = tables.map(|chain| chain.name.to_string()).collect();
        if let Rules::Nftables(table) = &self.rules {
            names.extend(table.chains.keys().map(|name| name.to_string()));
        }
        names
    }

    /// Goes on with the counters of `old`, as far as the sync has left its rules in place. kube-proxy writes the chains of a
    /// Service only if they change, and with iptables-restore all others; ipvs' servers stay as long as they exist.
    fn take_counts(&mut self, old: &Built) {
        if old.rules.mode() != self.rules.mode() {
            return;
        }
        let lines = |built: &Built| {
            let mut parts = built.rules.parts();
            parts.retain(|name, _| !is_always_written(built.rules.mode(), name));
            parts
        };
        let (before, after) = (lines(old), lines(self));
        let programs = (&old.predictor.program, &self.predictor.program);
        let numbers: HashMap<(&str, &str), u32> = (0..programs.1.chain_count())
            .map(|chain| ((programs.1.table_of(chain), programs.1.chain_name(chain)), chain))
            .collect();
        for (place, count) in &old.counts {
            let (table, chain) = (programs.0.table_of(place.chain), programs.0.chain_name(place.chain));
            let part = part_name(&self.rules, table, chain);
            let same = before.get(&part).is_some_and(|lines| after.get(&part) == Some(lines));
            if let Some(chain) = numbers.get(&(table, chain)).filter(|_| same) {
                self.counts.insert(Place { chain: *chain, ..*place }, *count);
            }
        }
        if let Rules::Ipvs(ruleset) = &self.rules {
            for ((server, real), count) in &old.served {
                let there = ruleset.virtual_servers.get(server);
                if there.is_some_and(|one| one.real_servers.iter().any(|(address, _)| address == real)) {
                    self.served.insert((*server, *real), *count);
                }
            }
        }
    }

    /// By part and line.
    fn rule_counts(&self) -> Vec<RuleCount> {
        let program = &self.predictor.program;
        let of_rules = self.counts.iter().map(|(place, packets)| RuleCount {
            part: part_name(&self.rules, program.table_of(place.chain), program.chain_name(place.chain)),
            line: program.rule_text(*place),
            packets: *packets,
        });
        let of_servers = self.served.iter().map(|((server, real), packets)| RuleCount {
            part: parts::server_part(server),
            line: format!("-> {real}"),
            packets: *packets,
        });
        let mut all: Vec<RuleCount> = of_rules.chain(of_servers).collect();
        all.sort();
        all
    }
}

/// As [`Rules::parts`] names it.
fn part_name(rules: &Rules, table: &str, chain: &str) -> String {
    match rules {
        Rules::Nftables(_) => format!("chain {chain}"),
        Rules::Userspace(_) | Rules::Iptables(_) | Rules::Ipvs(_) => format!("{table}/{chain}"),
    }
}

/// Chains that every sync flushes and fills again.
fn is_always_written(mode: ProxyMode, part: &str) -> bool {
    const OWN: [&str; 5] =
        ["nat/KUBE-SVC-", "nat/KUBE-SVL-", "nat/KUBE-EXT-", "nat/KUBE-FW-", "nat/KUBE-SEP-"];
    match mode {
        ProxyMode::Iptables => !OWN.iter().any(|prefix| part.starts_with(prefix)),
        ProxyMode::Ipvs => part.contains('/'),
        // Single rules are added and deleted.
        ProxyMode::Nftables | ProxyMode::Userspace => false,
    }
}
