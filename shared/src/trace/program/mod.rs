//! Rules ready to be followed: one small language for iptables, nft and ipvs rules, with an index for chains that hold a
//! rule per Service, so that a packet costs the same however many Services there are.
//!
//! In: tables as the rule engine makes them or as they are read from a node. What the language can't say becomes
//! [`Op::UnknownTest`] or [`Op::UnknownAction`].

mod index;
mod iptables;
mod ipvs;
mod nft;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Protocol, Text};
use crate::netfilter::iptables::{CtStates, Policy, Sense, Side};
use crate::netfilter::nft::{Field, Hook, Key};
use crate::netfilter::{self, ipvs::Entry, ipvs::SetType, ipvs::VirtualAddress};

pub(super) use index::ChainIndex;

use super::{Effect, Place};

/// A set of addresses.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Nets {
    Host(IpAddr),
    Net(IpNet),
    Range(IpAddr, IpAddr),
    AnyOf(Box<[Nets]>),
}

impl Nets {
    pub fn contains(&self, ip: IpAddr) -> bool {
        match self {
            Nets::Host(host) => *host == ip,
            Nets::Net(net) => net.contains(&ip),
            Nets::Range(first, last) => *first <= ip && ip <= *last && first.is_ipv4() == ip.is_ipv4(),
            Nets::AnyOf(all) => all.iter().any(|nets| nets.contains(ip)),
        }
    }
}

impl Nets {
    fn collect(&self, into: &mut Vec<IpNet>) {
        match self {
            Nets::Host(host) => into.push(IpNet::from(*host)),
            Nets::Net(net) => into.push(*net),
            Nets::Range(IpAddr::V4(first), IpAddr::V4(last)) => {
                into.extend(Ipv4Subnets::new(*first, *last, 0).map(IpNet::V4));
            }
            Nets::Range(IpAddr::V6(first), IpAddr::V6(last)) => {
                into.extend(Ipv6Subnets::new(*first, *last, 0).map(IpNet::V6));
            }
            // No address is in it.
            Nets::Range(..) => {}
            Nets::AnyOf(all) => all.iter().for_each(|nets| nets.collect(into)),
        }
    }
}

/// The source that a key of a set or map asks for.
fn source_of(key: &Key, fields: Fields) -> Option<IpAddr> {
    match (key, fields) {
        (Key::Ip(ip), Fields::Source) => Some(*ip),
        (Key::Flow(ip, ..), Fields::Flow) => Some(*ip),
        _ => None,
    }
}

/// The source that an entry of an ipset asks for.
fn entry_source(entry: &Entry, directions: [Side; 3]) -> Option<IpNet> {
    match *entry {
        Entry::IpPortIp(_, _, _, ip) if directions[2] == Side::Source => Some(ip.into()),
        Entry::IpPortNet(_, _, _, net) if directions[2] == Side::Source => Some(net),
        Entry::Ip(ip) | Entry::IpPort(ip, ..) | Entry::IpPortIp(ip, ..) | Entry::IpPortNet(ip, ..)
            if directions[0] == Side::Source =>
        {
            Some(ip.into())
        }
        _ => None,
    }
}

/// A test or an action of a rule. A rule is a row of them: the first test that fails ends it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Source(Sense, Nets),
    Destination(Sense, Nets),
    Protocol(Protocol),
    Port(u16),
    /// Up to a trailing `+` or `*`, which stands for any rest.
    InInterface(Sense, Box<str>),
    CtState(Sense, CtStates),
    Mark {
        sense: Sense,
        value: u32,
        mask: u32,
    },
    Local(Sense, Side),
    OneIn(NonZeroU32),
    /// Seen less than so many seconds ago: a client that is new is not.
    Seen {
        seconds: u32,
    },
    InIpset {
        set: u32,
        directions: [Side; 3],
    },
    InSet {
        set: u32,
        fields: Fields,
    },
    Bridged(Sense),
    Ipvs(VirtualAddress),
    UnknownTest,
    Jump(u32),
    Goto(u32),
    Return,
    Accept,
    Drop,
    Reject,
    MarkOr(u32),
    MarkXor(u32),
    Masquerade,
    Dnat(SocketAddr),
    DnatOneOf(Box<[SocketAddr]>),
    Redirect(u16),
    GotoOneOf(Box<[u32]>),
    Lookup {
        map: u32,
        fields: Fields,
    },
    UnknownAction,
}

/// What of a packet makes the key of a set or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    Source,
    Destination,
    DestinationProtocolPort,
    ProtocolPort,
    Flow,
}

impl Fields {
    fn of(fields: &[Field]) -> Option<Fields> {
        use Field::{DestinationAddress as D, DestinationPort as Port, Protocol as P, SourceAddress as S};
        match fields {
            [S] => Some(Fields::Source),
            [D] => Some(Fields::Destination),
            [D, P, Port] => Some(Fields::DestinationProtocolPort),
            [P, Port] => Some(Fields::ProtocolPort),
            [S, D, P, Port] => Some(Fields::Flow),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct RuleCode {
    pub start: u32,
    pub len: u16,
    /// It asks for more than the state of the connection, so that reaching its target says something.
    pub telling: bool,
}

#[derive(Debug, Clone)]
pub(super) struct ChainCode {
    /// Rules, by number in [`Program::rules`].
    pub first: u32,
    pub count: u32,
    pub index: Option<ChainIndex>,
    /// Of base chains: what happens at the end.
    pub policy: Policy,
    /// In `Program::texts`.
    table: u16,
    chain: u32,
    name: Text,
}

/// What kind of base chain stands at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Filter(u32),
    Nat(u32),
    Ipvs,
}

/// An ipset, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(super) struct IpsetCode {
    pub kind: Option<SetType>,
    pub entries: FxHashSet<Entry>,
    /// Of `hash:ip,port,net`.
    pub nets: FxHashMap<(IpAddr, Protocol, u16), Vec<IpNet>>,
}

/// An nft set, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(super) struct SetCode {
    pub keys: FxHashSet<Key>,
    /// Filled by packets: members are there for so long.
    pub seconds: Option<u32>,
}

/// A virtual server of IPVS.
#[derive(Debug, Clone)]
pub(super) struct ServerCode {
    /// With their weights; none is 0.
    pub real: Vec<(SocketAddr, u32)>,
    pub total: u64,
    pub scheduler: u16,
    pub affinity: Option<u32>,
}

/// A socket of the userspace proxy: it takes connections and opens others to endpoints, in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySocket {
    pub protocol: Protocol,
    pub port: u16,
    /// `namespace/service[:port]`
    pub name: String,
    pub endpoints: Vec<SocketAddr>,
    /// Seconds for which a client keeps its endpoint.
    pub affinity: Option<u32>,
}

/// What a program was made from, to print its rules.
#[derive(Debug, Clone)]
enum Source {
    Iptables(netfilter::iptables::Table),
    Nft(netfilter::nft::Table),
}

/// A rule of a program, as its tool knows it.
#[derive(Debug, Clone, Copy)]
pub enum RuleRef<'a> {
    Iptables(&'a netfilter::iptables::Rule),
    Nft(&'a netfilter::nft::Rule),
}

/// An element of a verdict map.
#[derive(Debug, Clone)]
pub struct ElementRef<'a> {
    pub key: Key,
    /// As its tool writes it.
    pub text: String,
    pub comment: Option<&'a str>,
}

/// Rules of one family, ready to be followed.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) rules: Vec<RuleCode>,
    pub(super) chains: Vec<ChainCode>,
    /// Numbers of rules, for the chains' indexes.
    pub(super) lists: Vec<u32>,
    pub(super) stages: [Vec<Stage>; 5],
    pub(super) ipsets: Vec<IpsetCode>,
    pub(super) sets: Vec<SetCode>,
    pub(super) maps: Vec<FxHashMap<Key, Op>>,
    pub(super) servers: FxHashMap<VirtualAddress, ServerCode>,
    pub(super) sockets: FxHashMap<(Protocol, u16), ProxySocket>,
    /// Addresses that rules name as destinations, which single packets out.
    named: FxHashSet<IpAddr>,
    /// The blocks of addresses in which those are: few, so that asking is cheap.
    named_blocks: FxHashSet<u64>,
    /// Networks that rules compare destinations with.
    pub(super) named_nets: Vec<Nets>,
    schedulers: Vec<Text>,
    sources: Vec<Source>,
}

/// Priorities of the kernel's hooks (`linux/netfilter_ipv4.h`).
pub(super) mod priority {
    pub const RAW: i32 = -300;
    pub const MANGLE: i32 = -150;
    pub const DST_NAT: i32 = -100;
    pub const IPVS_OUT: i32 = -99;
    pub const FILTER: i32 = 0;
    pub const SECURITY: i32 = 50;
    pub const IPVS_IN: i32 = 98;
    pub const SRC_NAT: i32 = 100;
}

/// Base chains while they are collected: hook, priority, stage.
type Bases = Vec<(Hook, i32, Stage)>;

impl Program {
    /// iptables or userspace rules, with the jumps from built-in chains. Tables in any order.
    pub fn iptables(tables: Vec<netfilter::iptables::Table>) -> Program {
        let mut program = Program::default();
        let mut bases = Bases::new();
        program.add_iptables(tables, &[], &mut bases);
        program.finish(bases)
    }

    /// nft tables of one family.
    pub fn nftables(tables: Vec<netfilter::nft::Table>) -> Program {
        let mut program = Program::default();
        let mut bases = Bases::new();
        tables.into_iter().for_each(|table| program.add_nft(table, &mut bases));
        program.finish(bases)
    }

    /// ipvs mode: iptables rules with the jumps from built-in chains, sets and virtual servers.
    pub fn ipvs(ruleset: netfilter::ipvs::Ruleset) -> Program {
        let mut program = Program::default();
        let mut bases = Bases::new();
        let netfilter::ipvs::Ruleset { virtual_servers, sets, tables, .. } = ruleset;
        program.add_sets(&sets);
        program.add_iptables(tables.into(), &sets, &mut bases);
        program.add_servers(virtual_servers);
        bases.push((Hook::Input, priority::IPVS_IN, Stage::Ipvs));
        bases.push((Hook::Output, priority::IPVS_OUT, Stage::Ipvs));
        program.finish(bases)
    }

    /// With the sockets of the userspace proxy behind the rules.
    #[must_use]
    pub fn with_sockets(mut self, sockets: Vec<ProxySocket>) -> Program {
        self.sockets.extend(sockets.into_iter().map(|socket| ((socket.protocol, socket.port), socket)));
        self
    }

    fn finish(mut self, mut bases: Bases) -> Program {
        bases.sort_by_key(|(_, priority, _)| *priority);
        for (hook, _, stage) in bases {
            self.stages[hook as usize].push(stage);
        }
        self.index_chains();
        self.collect_named();
        self
    }

    /// The networks and addresses that rules compare a packet's source with: two sources that are in the same of them can't be
    /// told apart, but for addresses of the node itself. Sorted.
    pub fn source_nets(&self) -> Vec<IpNet> {
        let mut nets = Vec::new();
        for op in &self.ops {
            match op {
                Op::Source(_, named) => named.collect(&mut nets),
                Op::InSet { set, fields } => {
                    let keys = self.sets.get(*set as usize).into_iter().flat_map(|code| &code.keys);
                    nets.extend(keys.filter_map(|key| source_of(key, *fields)).map(IpNet::from));
                }
                Op::Lookup { map, fields } => {
                    let keys = self.maps.get(*map as usize).into_iter().flat_map(|map| map.keys());
                    nets.extend(keys.filter_map(|key| source_of(key, *fields)).map(IpNet::from));
                }
                Op::InIpset { set, directions } => {
                    let code = self.ipsets.get(*set as usize);
                    let entries = code.into_iter().flat_map(|code| &code.entries);
                    nets.extend(entries.filter_map(|entry| entry_source(entry, *directions)));
                    let third = code.filter(|_| directions[2] == Side::Source);
                    nets.extend(third.into_iter().flat_map(|code| code.nets.values().flatten()));
                }
                _ => {}
            }
        }
        nets.iter_mut().for_each(|net| *net = net.trunc());
        nets.sort_unstable();
        nets.dedup();
        nets
    }

    /// Whether rules name this address as a destination.
    pub(super) fn is_named(&self, ip: IpAddr) -> bool {
        self.named_blocks.contains(&block(ip)) && self.named.contains(&ip)
    }

    /// The table of a chain: `nat`, or nft's `kube-proxy`.
    pub fn table_of(&self, chain: u32) -> &str {
        match self.chains.get(chain as usize).and_then(|code| self.sources.get(usize::from(code.table))) {
            Some(Source::Iptables(table)) => table.name.as_str(),
            Some(Source::Nft(table)) => &table.name,
            None => "",
        }
    }

    /// Chains are numbered from 0.
    pub fn chain_count(&self) -> u32 {
        self.chains.len() as u32
    }

    pub fn chain_name(&self, chain: u32) -> &str {
        self.chains.get(chain as usize).map_or("", |code| &code.name)
    }

    /// The rule as its tool writes it; empty where there is none.
    pub fn rule_text(&self, place: Place) -> String {
        let Some(code) = self.chains.get(place.chain as usize) else { return String::new() };
        let (Some(number), Some(source)) = (place.rule, self.sources.get(usize::from(code.table))) else {
            return String::new();
        };
        match source {
            Source::Iptables(table) => {
                let chain = table.chains.get(code.chain as usize);
                let Some((chain, rule)) = chain.and_then(|c| Some((c, c.rules.get(number as usize)?))) else {
                    return String::new();
                };
                let mut line = String::new();
                rule.write(&chain.name, &mut line);
                line.truncate(line.trim_end().len());
                line
            }
            Source::Nft(table) => {
                let chain = table.chains.get(&*code.name);
                let rule = chain.and_then(|chain| Some((chain, chain.rules.get(number as usize)?)));
                rule.map(|(chain, rule)| table.rule_line(chain, rule)).unwrap_or_default()
            }
        }
    }

    /// The comment on a rule, if it has one.
    pub fn rule_comment(&self, place: Place) -> Option<&str> {
        let code = self.chains.get(place.chain as usize)?;
        let number = place.rule? as usize;
        match self.sources.get(usize::from(code.table))? {
            Source::Iptables(table) => {
                let rule = table.chains.get(code.chain as usize)?.rules.get(number)?;
                rule.matches.iter().find_map(|one| match one {
                    netfilter::iptables::Match::Comment(text) => Some(&**text),
                    _ => None,
                })
            }
            Source::Nft(table) => table.chains.get(&*code.name)?.rules.get(number)?.comment.as_deref(),
        }
    }

    /// The rule itself.
    pub fn rule(&self, place: Place) -> Option<RuleRef<'_>> {
        let code = self.chains.get(place.chain as usize)?;
        let number = place.rule? as usize;
        Some(match self.sources.get(usize::from(code.table))? {
            Source::Iptables(table) => {
                RuleRef::Iptables(table.chains.get(code.chain as usize)?.rules.get(number)?)
            }
            Source::Nft(table) => RuleRef::Nft(table.chains.get(&*code.name)?.rules.get(number)?),
        })
    }

    /// The map element that decided for a destination in a rule.
    pub fn element(&self, place: Place, keys: &[Key]) -> Option<ElementRef<'_>> {
        let code = self.chains.get(place.chain as usize)?;
        let Source::Nft(table) = self.sources.get(usize::from(code.table))? else { return None };
        let rule = table.chains.get(&*code.name)?.rules.get(place.rule? as usize)?;
        let map = rule.statements.iter().find_map(|statement| match statement {
            netfilter::nft::Statement::VerdictMap { map, .. } => table.maps.get(map),
            _ => None,
        })?;
        let (key, element) = keys.iter().find_map(|key| map.elements.get_key_value(key))?;
        let text = table.element_line(map, *key, element);
        Some(ElementRef { key: *key, text, comment: element.comment.as_deref() })
    }

    /// The name of IPVS' scheduler with this number.
    pub fn scheduler(&self, number: u16) -> &str {
        self.schedulers.get(usize::from(number)).map_or("", |name| name)
    }

    /// What an effect says, in few words.
    pub fn effect_text(&self, effect: Effect) -> String {
        match effect {
            Effect::Jump(chain) => format!("to {}", self.chain_name(chain)),
            Effect::Choose { one_in, chain } => format!("one in {one_in}: to {}", self.chain_name(chain)),
            Effect::Return => "return".to_owned(),
            Effect::Mark => "mark for masquerade".to_owned(),
            Effect::Unmark => "unmark".to_owned(),
            Effect::Dnat { to, one_in: 1 } => format!("DNAT to {to}"),
            Effect::Dnat { to, one_in } => format!("one of {one_in}: DNAT to {to}"),
            Effect::Schedule { to, one_in: 1 } => format!("IPVS sends it to {to}"),
            Effect::Schedule { to, one_in } => format!("one of {one_in}: IPVS sends it to {to}"),
            Effect::NoRealServer => "IPVS has no real server: refused".to_owned(),
            Effect::Redirect(port) => format!("redirect to port {port} of this node"),
            Effect::Proxy { to, one_in: 1 } => format!("kube-proxy connects to {to}"),
            Effect::Proxy { to, one_in } => format!("one of {one_in}: kube-proxy connects to {to}"),
            Effect::NoEndpoint => "kube-proxy has no endpoint to connect to".to_owned(),
            Effect::Masquerade => "masquerade: the source becomes an address of this node".to_owned(),
            Effect::Accept => "accept".to_owned(),
            Effect::Drop => "drop".to_owned(),
            Effect::Reject => "reject".to_owned(),
            Effect::Martian => "from elsewhere to a loopback address: the kernel drops it".to_owned(),
            Effect::Loopback => "from a loopback address to another host: no answer comes back".to_owned(),
            Effect::Pass => "no rule refuses it".to_owned(),
            Effect::Unknown => "not understood".to_owned(),
        }
    }

    fn push_chain(&mut self, table: usize, chain: usize, name: Text) {
        self.chains.push(ChainCode {
            first: 0,
            count: 0,
            index: None,
            policy: Policy::Accept,
            table: table as u16,
            chain: chain as u32,
            name,
        });
    }

    /// Adds a rule to the chain whose rules are being written.
    fn push_rule(&mut self, ops: Vec<Op>) {
        let start = self.ops.len() as u32;
        let telling = ops.iter().any(|op| {
            matches!(
                op,
                Op::Source(..)
                    | Op::Destination(..)
                    | Op::Port(_)
                    | Op::InInterface(..)
                    | Op::Mark { .. }
                    | Op::Local(..)
                    | Op::OneIn(_)
                    | Op::InIpset { .. }
                    | Op::InSet { .. }
                    | Op::Lookup { .. }
                    | Op::UnknownTest
            )
        });
        self.rules.push(RuleCode { start, len: ops.len() as u16, telling });
        self.ops.extend(ops);
    }

    /// What is known of destinations that packets can have after they were rewritten.
    fn collect_named(&mut self) {
        for op in &self.ops {
            match op {
                Op::Destination(_, Nets::Host(ip)) => {
                    self.named.insert(*ip);
                }
                Op::Destination(_, nets) if !self.named_nets.contains(nets) => {
                    self.named_nets.push(nets.clone());
                }
                Op::Ipvs(address) => {
                    self.named.insert(address.address.ip());
                }
                _ => {}
            }
        }
        let name = |key: &Key| match *key {
            Key::Ip(ip) | Key::IpProtocolPort(ip, ..) => Some(ip),
            // A hairpin is told apart by its source.
            Key::Flow(source, ip, ..) => (source != ip).then_some(ip),
            Key::ProtocolPort(..) => None,
        };
        let by_packets = |set: &&SetCode| set.seconds.is_none();
        self.named
            .extend(self.sets.iter().filter(by_packets).flat_map(|set| set.keys.iter().filter_map(name)));
        self.named.extend(self.maps.iter().flat_map(|map| map.keys().filter_map(name)));
        for set in &self.ipsets {
            let name = |entry: &Entry| match *entry {
                Entry::Ip(ip) | Entry::IpPort(ip, ..) | Entry::IpPortNet(ip, ..) => Some(ip),
                Entry::IpPortIp(ip, _, _, other) => (ip != other).then_some(ip),
                Entry::Port(_) => None,
            };
            self.named.extend(set.entries.iter().filter_map(name));
        }
        self.named.extend(self.servers.keys().map(|address| address.address.ip()));
        self.named_blocks = self.named.iter().copied().map(block).collect();
    }
}

/// The /16 of an IPv4 address, the /64 of an IPv6 address.
fn block(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u64::from(u32::from(ip) >> 16),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}
