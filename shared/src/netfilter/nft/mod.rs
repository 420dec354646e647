//! nftables as values: tables, chains, sets, maps, rules and elements, in the part of nft's language that service proxies
//! speak (nft(8)). Printed as a script of `add …` lines; read from such a script, from `nft list` and from `nft -j list`.

mod json;
mod normal;
mod parse;
mod print;
mod statement;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::iptables::{Counter, Policy, Sense, Side};
use crate::model::{IpFamily, Protocol, Text};

pub use json::parse_json;
pub use parse::{ParseError, Reason, parse};

/// Where a base chain is called, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BaseKind {
    Filter,
    Nat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Base {
    pub kind: BaseKind,
    pub hook: Hook,
    pub priority: i32,
}

/// A field of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    SourceAddress,
    DestinationAddress,
    /// `meta l4proto`
    Protocol,
    /// `th dport`
    DestinationPort,
}

/// What an address is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Addresses {
    Host(IpAddr),
    Net(IpNet),
    /// `first-last`: what the kernel makes of networks side by side.
    Range(IpAddr, IpAddr),
    /// `{ a , b }`, hosts and networks.
    AnyOf(Vec<Addresses>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(Text),
    Goto(Text),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Statement {
    CtStateNew,
    CtStatusDnat,
    Compare {
        field: Field,
        sense: Sense,
        with: Addresses,
    },
    /// `FIELD . FIELD @SET`
    InSet {
        fields: Vec<Field>,
        set: Text,
    },
    /// `FIELD . FIELD vmap @MAP`
    VerdictMap {
        fields: Vec<Field>,
        map: Text,
    },
    /// `fib saddr|daddr type local`
    Local(Side),
    /// A trailing `*` stands for any rest.
    InInterface(Sense, Text),
    Protocol(Protocol),
    /// `mark and M != 0`
    Marked(u32),
    /// `mark set mark xor M`
    MarkXor(u32),
    /// `mark set mark or M`
    MarkOr(u32),
    /// `masquerade fully-random`
    Masquerade,
    Reject,
    /// `dnat ip addr . port to numgen random mod N map { 0 : … }`: one of them, each as likely.
    DnatOneOf(Vec<(IpAddr, u16)>),
    /// `numgen random mod N vmap { 0 : goto … }`: one of them, each as likely.
    GotoOneOf(Vec<Text>),
    /// `dnat to ADDRESS:PORT`
    Dnat(SocketAddr),
    /// `update @SET { ip saddr }`
    Remember(Text),
    Verdict(Verdict),
    /// What this type does not know, word for word (from JSON: the JSON).
    Unknown(Text),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    pub statements: Vec<Statement>,
    pub comment: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub name: Text,
    pub base: Option<Base>,
    pub comment: Option<Text>,
    pub rules: Vec<Rule>,
}

/// The key of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Ip(IpAddr),
    IpProtocolPort(IpAddr, Protocol, u16),
    ProtocolPort(Protocol, u16),
    /// Source and destination address, protocol, port.
    Flow(IpAddr, IpAddr, Protocol, u16),
}

/// The type of a set's or map's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    Ip,
    IpProtocolPort,
    ProtocolPort,
    Flow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub name: Text,
    pub key: KeyType,
    pub comment: Option<Text>,
    /// Filled by packets; elements live this many seconds.
    pub dynamic_seconds: Option<u32>,
    pub elements: BTreeSet<Key>,
}

/// A verdict map's value, with the element's comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub verdict: Verdict,
    pub comment: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    pub name: Text,
    pub key: KeyType,
    pub comment: Option<Text>,
    pub elements: BTreeMap<Key, Element>,
}

/// One table of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub family: IpFamily,
    pub name: Text,
    pub comment: Option<Text>,
    pub chains: BTreeMap<Text, Chain>,
    pub sets: BTreeMap<Text, Set>,
    pub maps: BTreeMap<Text, Map>,
}

/// What the kernel knows about an element besides its key and value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElementState {
    pub timeout: Option<Duration>,
    /// Until it goes.
    pub expires: Option<Duration>,
    pub counter: Option<Counter>,
    /// Of an element of a set.
    pub comment: Option<Text>,
}

/// One table as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub table: Table,
    /// Of the base chains that state one.
    pub policies: BTreeMap<Text, Policy>,
    /// Of the elements of sets and maps that have any, by set and key.
    pub states: BTreeMap<(Text, Key), ElementState>,
    /// Objects that the types do not know, word for word.
    pub unknown: Vec<Text>,
}

/// A text with tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    pub tables: Vec<Loaded>,
    /// Tables of other families and other commands, word for word.
    pub unknown: Vec<Text>,
}

impl Table {
    pub fn new(family: IpFamily, name: Text) -> Table {
        let (chains, sets, maps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Table { family, name, comment: None, chains, sets, maps }
    }
}
