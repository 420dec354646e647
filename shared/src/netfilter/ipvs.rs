//! IPVS virtual servers and ipsets as values (ipvsadm(8), ipset(8)).

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::iptables;
use crate::model::{IpFamily, Protocol, Text};

pub use parse::{LoadedServers, LoadedSets, parse_ipset, parse_ipvsadm};

/// Type of an ipset, by the fields of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetType {
    HashIp,
    HashIpPort,
    HashIpPortIp,
    HashIpPortNet,
    BitmapPort,
}

impl SetType {
    pub fn as_str(self) -> &'static str {
        match self {
            SetType::HashIp => "hash:ip",
            SetType::HashIpPort => "hash:ip,port",
            SetType::HashIpPortIp => "hash:ip,port,ip",
            SetType::HashIpPortNet => "hash:ip,port,net",
            SetType::BitmapPort => "bitmap:port",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    Ip(IpAddr),
    IpPort(IpAddr, Protocol, u16),
    IpPortIp(IpAddr, Protocol, u16, IpAddr),
    IpPortNet(IpAddr, Protocol, u16, IpNet),
    Port(u16),
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::Ip(ip) => write!(f, "{ip}"),
            Entry::IpPort(ip, protocol, port) => write!(f, "{ip},{}:{port}", protocol.lower()),
            Entry::IpPortIp(ip, protocol, port, other) => {
                write!(f, "{ip},{}:{port},{other}", protocol.lower())
            }
            Entry::IpPortNet(ip, protocol, port, net) => write!(f, "{ip},{}:{port},{net}", protocol.lower()),
            Entry::Port(port) => write!(f, "{port}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipset {
    /// At most 31 bytes.
    pub name: Text,
    pub set_type: SetType,
    pub entries: BTreeSet<Entry>,
}

/// Address, port and protocol of a virtual server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualAddress {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    pub scheduler: Text,
    /// `0x1`: persistent; `0x10`: the scheduler's second flag (`mh`: the source port is part of the hash).
    pub flags: u32,
    /// Seconds that a persistent client sticks to its real server; 0 if it does not.
    pub timeout: u32,
    /// Real servers with their weights. Forwarding is always masquerade.
    pub real_servers: BTreeMap<SocketAddr, u32>,
}

/// All that ipvs mode programs: virtual servers, the addresses of the dummy interface, sets, and iptables rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    pub family: IpFamily,
    pub virtual_servers: BTreeMap<VirtualAddress, VirtualServer>,
    pub dummy_addresses: BTreeSet<IpAddr>,
    pub sets: Vec<Ipset>,
    /// `nat`, then `filter`.
    pub tables: [iptables::Table; 2],
}

impl Ruleset {
    /// The form of the conformance recordings: four headed sections.
    pub fn write(&self, out: &mut String) {
        let family = if self.family == IpFamily::IPv4 { "inet" } else { "inet6" };
        out.push_str("# virtual servers\n");
        for (address, server) in &self.virtual_servers {
            let VirtualServer { scheduler, flags, timeout, real_servers } = server;
            let (protocol, at) = (address.protocol, address.address);
            out.push_str(&format!(
                "{protocol} {at} scheduler {scheduler} flags {flags:#x} timeout {timeout}\n"
            ));
            for (real, weight) in real_servers {
                out.push_str(&format!("  -> {real} weight {weight}\n"));
            }
        }
        // The recordings show an empty section as an empty line.
        if self.virtual_servers.is_empty() {
            out.push('\n');
        }
        out.push_str("# dummy interface addresses\n");
        self.dummy_addresses.iter().for_each(|ip| out.push_str(&format!("{ip}\n")));
        if self.dummy_addresses.is_empty() {
            out.push('\n');
        }
        out.push_str("# ipsets\n");
        for set in &self.sets {
            let entries: Vec<String> = set.entries.iter().map(Entry::to_string).collect();
            out.push_str(&format!("{} {} {family} {}\n", set.name, set.set_type.as_str(), entries.join(" ")));
        }
        out.push_str("# iptables\n");
        self.tables.iter().for_each(|table| table.write(out));
    }
}
