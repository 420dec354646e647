//! Virtual servers, addresses and ipsets, in the words of [`super`]; the rules around them are iptables'.

use std::net::{IpAddr, SocketAddr};

use super::graph::{self, Draft, Start};
use super::{PartKind, Stage, chains, iptables};
use crate::model::ProxyMode;
use crate::netfilter::ipvs::{Entry, Ipset, Ruleset, VirtualAddress, VirtualServer};
use crate::proxy::parts::{DUMMY, server_part};

#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    Server(&'a VirtualServer),
    Real(SocketAddr, u32),
    Address(IpAddr),
    Entry(Entry),
}

pub(super) fn drafts(ruleset: &Ruleset) -> Vec<Draft<'_>> {
    let addresses = Draft {
        rows: ruleset.dummy_addresses.iter().map(|ip| graph::Row::Ipvs(Row::Address(*ip))).collect(),
        about: "Addresses that this node takes for its own, so that packets to them come to ipvs.".to_owned(),
        ..draft(DUMMY.to_owned(), PartKind::Addresses, "kube-ipvs0", Stage::Dispatch)
    };
    let servers = ruleset.virtual_servers.iter().map(|(address, server)| server_draft(address, server));
    let sets = ruleset.sets.iter().map(set_draft);
    let chains = iptables::drafts(&ruleset.tables, ProxyMode::Ipvs);
    std::iter::once(addresses).chain(servers).chain(chains).chain(sets).collect()
}

fn draft<'a>(part: String, kind: PartKind, name: &str, stage: Stage) -> Draft<'a> {
    Draft {
        part,
        kind,
        stage,
        rank: 0,
        name: name.to_owned(),
        table: "",
        declaration: None,
        about: String::new(),
        rows: Vec::new(),
        is_dynamic: false,
        start: Start::Kernel,
        endpoint: None,
    }
}

fn server_draft<'a>(address: &VirtualAddress, server: &'a VirtualServer) -> Draft<'a> {
    let real = server.real_servers.iter().map(|(address, weight)| Row::Real(*address, *weight));
    let rows = std::iter::once(Row::Server(server)).chain(real).map(graph::Row::Ipvs);
    let name = format!("{} {}", address.protocol, address.address);
    let about = match server.real_servers.len() {
        0 => "No endpoint to send to: connections are refused.".to_owned(),
        1 => "The kernel sends every connection to the one real server.".to_owned(),
        count => format!("The kernel sends each connection to one of {count} real servers."),
    };
    Draft {
        rows: rows.collect(),
        about,
        ..draft(server_part(address), PartKind::VirtualServer, &name, Stage::Service)
    }
}

fn set_draft(set: &Ipset) -> Draft<'_> {
    let known = chains::ipset(&set.name);
    Draft {
        rows: set.entries.iter().map(|entry| graph::Row::Ipvs(Row::Entry(*entry))).collect(),
        about: known.about.to_owned(),
        rank: known.rank,
        declaration: Some(set.set_type.as_str().to_owned()),
        start: Start::Led,
        ..draft(iptables::ipset(&set.name), PartKind::Ipset, &set.name, known.stage)
    }
}

impl Row<'_> {
    pub fn line(&self) -> String {
        match self {
            Row::Server(VirtualServer { scheduler, flags, timeout, .. }) => {
                format!("scheduler {scheduler} flags {flags:#x} timeout {timeout}")
            }
            Row::Real(address, weight) => format!("-> {address} weight {weight}"),
            Row::Address(ip) => ip.to_string(),
            Row::Entry(entry) => entry.to_string(),
        }
    }

    pub fn about(&self) -> String {
        match self {
            Row::Server(server) => server_about(server),
            Row::Real(address, _) => format!("An endpoint: connections may be sent to {address}."),
            Row::Address(ip) => format!("{ip} is bound to the interface kube-ipvs0."),
            Row::Entry(Entry::Ip(ip)) => format!("It holds {ip}."),
            Row::Entry(Entry::Port(port)) => format!("It holds port {port}."),
            Row::Entry(Entry::IpPort(ip, protocol, port)) => {
                format!("It holds {ip}, {protocol} port {port}.")
            }
            Row::Entry(Entry::IpPortIp(ip, protocol, port, from)) => {
                format!("It holds {ip}, {protocol} port {port}, from {from}.")
            }
            Row::Entry(Entry::IpPortNet(ip, protocol, port, from)) => {
                format!("It holds {ip}, {protocol} port {port}, from {from}.")
            }
        }
    }
}

fn server_about(server: &VirtualServer) -> String {
    let how = match &*server.scheduler {
        "rr" => "One after the other (round robin)".to_owned(),
        "wrr" => "One after the other, by weight (weighted round robin)".to_owned(),
        "lc" => "The one with the fewest connections (least connection)".to_owned(),
        "sh" => "By the client's address (source hashing)".to_owned(),
        "mh" => "By the client's address and port (Maglev hashing)".to_owned(),
        other => format!("By the scheduler {other}"),
    };
    match server.timeout {
        0 => format!("{how}."),
        seconds => format!("{how}; a client stays with its real server for {seconds} s."),
    }
}
