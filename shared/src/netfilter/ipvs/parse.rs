//! Reads what `ipset save` and `ipvsadm-save -n` print, which is also what `ipset restore` and `ipvsadm -R` read.
//!
//! In: text of any origin. Out: sets, or virtual servers. Invariant: a line that is not understood is kept word for word.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Entry, Ipset, SetType, VirtualAddress, VirtualServer};
use crate::model::{Protocol, Text};

const PERSISTENT: u32 = 0x1;
/// How long a client sticks to its real server if the text does not say, in seconds.
const DEFAULT_TIMEOUT: u32 = 300;

/// Sets as read. How the kernel sizes them is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadedSets {
    pub sets: Vec<Ipset>,
    pub unknown: Vec<Text>,
}

/// Virtual servers as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadedServers {
    pub servers: BTreeMap<VirtualAddress, VirtualServer>,
    pub unknown: Vec<Text>,
}

/// `create` and `add` lines.
pub fn parse_ipset(text: &str) -> LoadedSets {
    let (mut loaded, mut positions) = (LoadedSets::default(), HashMap::new());
    for line in content(text) {
        if ipset_line(line, &mut loaded.sets, &mut positions).is_none() {
            loaded.unknown.push(line.into());
        }
    }
    loaded
}

/// `-A` and `-a` lines with numbers for addresses and ports.
pub fn parse_ipvsadm(text: &str) -> LoadedServers {
    let mut loaded = LoadedServers::default();
    for line in content(text) {
        if server_line(line, &mut loaded.servers).is_none() {
            loaded.unknown.push(line.into());
        }
    }
    loaded
}

/// The lines that say something.
fn content(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_ascii).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn ipset_line<'a>(
    line: &'a str,
    sets: &mut Vec<Ipset>,
    positions: &mut HashMap<&'a str, usize>,
) -> Option<()> {
    let mut words = line.split_ascii_whitespace();
    let (command, name, what) = (words.next()?, words.next()?, words.next()?);
    if command == "create" && !positions.contains_key(name) {
        let set_type = SetType::ALL.into_iter().find(|known| known.as_str() == what)?;
        positions.insert(name, sets.len());
        sets.push(Ipset { name: name.into(), set_type, entries: BTreeSet::new() });
        return Some(());
    }
    let set = sets.get_mut(*positions.get(name)?)?;
    // What follows an entry is its timeout, comment or counters.
    if command != "add" || words.next().is_some() {
        return None;
    }
    set.entries.insert(entry(set.set_type, what)?);
    Some(())
}

impl SetType {
    const ALL: [SetType; 5] = [
        SetType::HashIp,
        SetType::HashIpPort,
        SetType::HashIpPortIp,
        SetType::HashIpPortNet,
        SetType::BitmapPort,
    ];
}

fn entry(set_type: SetType, text: &str) -> Option<Entry> {
    let mut parts = text.split(',');
    let first = parts.next()?;
    let ip = || first.parse::<IpAddr>().ok();
    let mut port = || {
        let (protocol, port) = parts.next()?.split_once(':')?;
        Some((protocol.parse::<Protocol>().ok()?, port.parse::<u16>().ok()?))
    };
    let entry = match set_type {
        SetType::HashIp => Entry::Ip(ip()?),
        SetType::BitmapPort => Entry::Port(first.parse().ok()?),
        SetType::HashIpPort => {
            let (protocol, port) = port()?;
            Entry::IpPort(ip()?, protocol, port)
        }
        SetType::HashIpPortIp => {
            let (protocol, port) = port()?;
            Entry::IpPortIp(ip()?, protocol, port, parts.next()?.parse().ok()?)
        }
        SetType::HashIpPortNet => {
            let (protocol, port) = port()?;
            Entry::IpPortNet(ip()?, protocol, port, network(parts.next()?)?)
        }
    };
    parts.next().is_none().then_some(entry)
}

/// ipset leaves out the length of a network of one host.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(host) => Some(IpNet::from(host)),
        Err(_) => text.parse::<IpNet>().ok().map(|net| net.trunc()),
    }
}

fn server_line(line: &str, servers: &mut BTreeMap<VirtualAddress, VirtualServer>) -> Option<()> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [command, protocol, address, options @ ..] = words.as_slice() else { return None };
    let protocol = match *protocol {
        "-t" => Protocol::Tcp,
        "-u" => Protocol::Udp,
        "--sctp-service" => Protocol::Sctp,
        _ => return None,
    };
    let address = VirtualAddress { protocol, address: socket(address)? };
    match *command {
        "-A" => servers.insert(address, server(options)?).is_none().then_some(()),
        "-a" => {
            let (real, weight) = real_server(options)?;
            servers.get_mut(&address)?.real_servers.insert(real, weight);
            Some(())
        }
        _ => None,
    }
}

fn server(mut options: &[&str]) -> Option<VirtualServer> {
    let mut server =
        VirtualServer { scheduler: "wlc".into(), flags: 0, timeout: 0, real_servers: BTreeMap::new() };
    loop {
        options = match options {
            [] => return Some(server),
            ["-s", scheduler, rest @ ..] => {
                server.scheduler = (*scheduler).into();
                rest
            }
            ["-p", rest @ ..] => {
                let given = rest.first().and_then(|word| word.parse().ok());
                (server.flags, server.timeout) =
                    (server.flags | PERSISTENT, given.unwrap_or(DEFAULT_TIMEOUT));
                if given.is_some() { &rest[1..] } else { rest }
            }
            ["-b", flags, rest @ ..] => {
                for flag in flags.split(',') {
                    server.flags |= scheduler_flag(flag)?;
                }
                rest
            }
            _ => return None,
        };
    }
}

/// By number, or by what it means to the scheduler (ipvsadm(8)).
fn scheduler_flag(name: &str) -> Option<u32> {
    match name {
        "flag-1" | "sh-fallback" | "mh-fallback" => Some(0x08),
        "flag-2" | "sh-port" | "mh-port" => Some(0x10),
        "flag-3" => Some(0x20),
        _ => None,
    }
}

/// `-r ADDRESS -m -w WEIGHT`: only masquerade is ours.
fn real_server(options: &[&str]) -> Option<(SocketAddr, u32)> {
    match options {
        ["-r", real, "-m"] => Some((socket(real)?, 1)),
        ["-r", real, "-m", "-w", weight] => Some((socket(real)?, weight.parse().ok()?)),
        _ => None,
    }
}

fn socket(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|_| !text.contains('%'))
}
