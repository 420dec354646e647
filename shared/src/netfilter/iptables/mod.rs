//! iptables rules: tables, chains, matches and targets, as `iptables-restore` reads and `iptables-save` prints them
//! (iptables(8), iptables-extensions(8)).

mod normal;
mod parse;
mod print;
mod rule;
mod words;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;

use crate::model::Protocol;

pub use parse::{Counter, Loaded, LoadedChain, ParseError, Policy, Reason, parse, parse_rule};
pub(crate) use print::{write_ip, write_number, write_socket};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    Filter,
    Nat,
    Mangle,
    Raw,
    Security,
}

impl TableName {
    pub const ALL: [TableName; 5] =
        [TableName::Filter, TableName::Nat, TableName::Mangle, TableName::Raw, TableName::Security];

    pub fn as_str(self) -> &'static str {
        match self {
            TableName::Filter => "filter",
            TableName::Nat => "nat",
            TableName::Mangle => "mangle",
            TableName::Raw => "raw",
            TableName::Security => "security",
        }
    }
}

/// A chain's name: at most 28 bytes, as the kernel limits it. Kept inline, since a node has hundreds of thousands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName {
    bytes: [u8; ChainName::MAX],
    len: u8,
}

impl ChainName {
    pub const MAX: usize = 28;

    /// `None` if the name is empty, too long, or not printable ASCII without blanks.
    pub fn new(name: &str) -> Option<ChainName> {
        let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && !name.is_empty() && name.len() <= ChainName::MAX).then(|| ChainName::cut(name))
    }

    /// A name from a prefix and a hash that are known to fit.
    pub(crate) fn hashed(prefix: &str, hash: &[u8; 16]) -> ChainName {
        let mut name = ChainName::cut(prefix);
        let start = usize::from(name.len);
        let end = (start + hash.len()).min(ChainName::MAX);
        name.bytes[start..end].copy_from_slice(&hash[..end - start]);
        name.len = end as u8;
        name
    }

    /// The first 28 bytes of a name of printable ASCII.
    pub(crate) const fn cut(name: &str) -> ChainName {
        let (source, mut bytes, mut len) = (name.as_bytes(), [0; ChainName::MAX], 0);
        while len < source.len() && len < ChainName::MAX {
            bytes[len] = source[len];
            len += 1;
        }
        ChainName { bytes, len: len as u8 }
    }

    pub fn as_str(&self) -> &str {
        // Only ASCII ever gets in.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address in a match: a host as written without, or a network with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addresses {
    Host(IpAddr),
    Net(IpNet),
}

/// Whether a match is inverted with `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sense {
    Is,
    Not,
}

/// `-m conntrack --ctstate`: a set of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CtStates(u8);

impl CtStates {
    pub const INVALID: CtStates = CtStates(1);
    pub const NEW: CtStates = CtStates(2);
    pub const RELATED: CtStates = CtStates(4);
    pub const ESTABLISHED: CtStates = CtStates(8);
    pub const UNTRACKED: CtStates = CtStates(16);
    pub const SNAT: CtStates = CtStates(32);
    pub const DNAT: CtStates = CtStates(64);
    /// In the order in which iptables prints them.
    const NAMES: [(CtStates, &'static str); 7] = [
        (CtStates::INVALID, "INVALID"),
        (CtStates::NEW, "NEW"),
        (CtStates::RELATED, "RELATED"),
        (CtStates::ESTABLISHED, "ESTABLISHED"),
        (CtStates::UNTRACKED, "UNTRACKED"),
        (CtStates::SNAT, "SNAT"),
        (CtStates::DNAT, "DNAT"),
    ];

    pub const fn or(self, other: CtStates) -> CtStates {
        CtStates(self.0 | other.0)
    }

    pub fn contains(self, other: CtStates) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for CtStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = CtStates::NAMES.iter().filter(|(state, _)| self.contains(*state)).map(|(_, name)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

/// Whose address `-m addrtype` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Source,
    Destination,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recent {
    /// `--rcheck --seconds N --reap`
    Check { seconds: u32 },
    /// `--set`
    Set,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Match {
    Comment(Box<str>),
    /// `-p P`; with the module of the same name loaded (`-m P`), which `--dport` needs.
    Protocol {
        protocol: Protocol,
        module: bool,
    },
    /// `-m P` alone: the module for ports, where it is loaded after `-p P`.
    ProtocolModule(Protocol),
    Source(Sense, Addresses),
    Destination(Sense, Addresses),
    DestinationPort(u16),
    /// A trailing `+` stands for any rest.
    InInterface(Sense, Box<str>),
    OutInterface(Sense, Box<str>),
    CtState(Sense, CtStates),
    /// `-m state --state`, the older name of `--ctstate`.
    State(CtStates),
    Mark {
        sense: Sense,
        value: u32,
        mask: u32,
    },
    /// `-m addrtype --src-type|--dst-type LOCAL`
    Local(Sense, Side),
    /// `-m statistic --mode random --probability`: exactly one in `n`.
    OneIn(NonZeroU32),
    Recent {
        name: ChainName,
        action: Recent,
    },
    /// `-m set --match-set NAME dst,dst`
    InSet {
        set: Box<str>,
        directions: &'static str,
    },
    /// `-m physdev --physdev-is-in`
    PhysdevIsIn(Sense),
    Ipvs {
        address: IpAddr,
        protocol: Protocol,
        port: u16,
    },
    /// `-m nfacct --nfacct-name`: counts in a named object.
    Nfacct(Box<str>),
    /// What this type does not know, word for word.
    Unknown(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Jump(ChainName),
    Accept,
    Drop,
    Reject,
    Return,
    /// `MARK --or-mark`
    MarkOr(u32),
    /// `MARK --xor-mark`
    MarkXor(u32),
    /// `MASQUERADE`, perhaps `--random-fully`
    Masquerade {
        random_fully: bool,
    },
    /// `DNAT --to-destination`
    Dnat(std::net::SocketAddr),
    /// `REDIRECT --to-ports`: to this port of the address on which the packet came in.
    Redirect(u16),
    /// What this type does not know, word for word, `-j` included.
    Unknown(Box<str>),
}

/// One rule of a chain. Without a target it only counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub target: Option<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chain {
    pub name: ChainName,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: TableName,
    pub chains: Vec<Chain>,
}

impl Table {
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name.as_str() == name)
    }
}
