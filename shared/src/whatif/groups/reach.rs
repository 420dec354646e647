//! Where changed flows lead to, in words that claim no other targets: ports, kinds of address and families of Services.
//!
//! What is left out of the words is meant as a whole. So the targets that a Service has in one of the clusters are known here,
//! and ports, kinds and families are named wherever not all of them are among the flows'.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::model::{ClusterState, IpFamily, Key, Protocol, Text};
use crate::whatif::difference::{Reached, Target, TargetKind};
use crate::whatif::flows::words::list;
use crate::whatif::flows::{own_addresses, own_destinations};

/// Ports of a Service that are named although all are meant.
const MOST_PORTS: usize = 3;

/// The address of an unused port, where it is the only cluster IP of the Service in the family.
const CLUSTER_IP: &str = "the cluster IP";

/// A target of a known Service. The number of an unused port says nothing: 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Door {
    port: Text,
    kind: TargetKind,
    family: IpFamily,
    ip: Option<IpAddr>,
    number: u16,
    protocol: Protocol,
}

type Doors = BTreeSet<Door>;

/// A kind of address, or one address of the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    kind: TargetKind,
    /// `10.96.0.10:80 tcp`; `None`: all of the port's in the family.
    only: Option<String>,
}

/// Which targets Services have.
pub(super) struct Reach<'a> {
    states: [&'a ClusterState; 2],
    known: RefCell<FxHashMap<Key, Rc<Doors>>>,
}

impl<'a> Reach<'a> {
    pub fn of(states: [&'a ClusterState; 2]) -> Reach<'a> {
        Reach { states, known: RefCell::default() }
    }

    /// Services that are reached alike are one place.
    pub fn places<'t>(&self, targets: impl Iterator<Item = &'t Target>) -> Vec<Reached> {
        let mut by_service: BTreeMap<Option<&Key>, Doors> = BTreeMap::new();
        for target in targets {
            by_service.entry(target.service.as_ref()).or_default().insert(Door::of(target));
        }
        let of_service = |(key, doors): (Option<&'t Key>, Doors)| (key, Ways::of(doors, self.all(key)));
        let services: Vec<(Option<&Key>, Ways)> = by_service.into_iter().map(of_service).collect();
        if let [(key, ways)] = &services[..] {
            return vec![Reached {
                services: key.iter().copied().cloned().collect(),
                words: ways.with_ports(),
            }];
        }
        let mut words: Vec<String> = services.iter().map(|(_, ways)| ways.without_ports()).collect();
        if words.iter().any(|one| *one != words[0]) {
            for (one, (_, ways)) in words.iter_mut().zip(&services).filter(|(_, (_, ways))| ways.is_all()) {
                *one = ways.all().to_owned();
            }
        }
        let mut places: Vec<Reached> = Vec::new();
        for ((key, _), words) in services.into_iter().zip(words) {
            match places.iter_mut().find(|place| place.words == words) {
                Some(place) => place.services.extend(key.cloned()),
                None => places.push(Reached { services: key.into_iter().cloned().collect(), words }),
            }
        }
        places.sort_by_key(|place| std::cmp::Reverse(place.services.len()));
        places
    }

    /// Every target that the Service has in one of the clusters.
    fn all(&self, key: Option<&Key>) -> Rc<Doors> {
        let Some(key) = key else { return Rc::default() };
        let mut known = self.known.borrow_mut();
        known.entry(key.clone()).or_insert_with(|| Rc::new(self.doors(key))).clone()
    }

    fn doors(&self, key: &Key) -> Doors {
        let mut doors = Doors::new();
        for service in self.states.iter().filter_map(|state| state.services().get(key)) {
            for (to, claim) in own_destinations(service) {
                doors.insert(Door::of(&to.target(to.ip, &claim)));
            }
            doors.extend(own_addresses(service).into_iter().map(|(_, ip)| Door::unused(ip)));
        }
        doors
    }
}

impl Door {
    fn of(target: &Target) -> Door {
        let Target { kind, family, ip, protocol, .. } = *target;
        let number = if kind == TargetKind::UnusedPort { 0 } else { target.port };
        Door { port: target.port_name.clone(), kind, family, ip, number, protocol }
    }

    fn unused(ip: IpAddr) -> Door {
        let (kind, family) = (TargetKind::UnusedPort, IpFamily::of(ip));
        Door { port: "".into(), kind, family, ip: Some(ip), number: 0, protocol: Protocol::Tcp }
    }

    /// In words, apart from others of the same kind.
    fn address(&self) -> String {
        let protocol = self.protocol.lower();
        match (self.ip, self.number) {
            (Some(ip), 0) => ip.to_string(),
            (Some(ip), number) => format!("{} {protocol}", SocketAddr::new(ip, number)),
            (None, number) => format!("{number} {protocol}"),
        }
    }

    fn is_port(&self) -> bool {
        is_port(self.kind)
    }
}

/// Whether a target of the kind is a port of the Service.
fn is_port(kind: TargetKind) -> bool {
    !matches!(kind, TargetKind::UnusedPort | TargetKind::HealthCheck)
}

/// Whether it is what clients use: nobody but the node itself reaches it otherwise.
fn is_address(kind: TargetKind) -> bool {
    is_port(kind) && kind != TargetKind::LocalhostNodePort
}

/// Whether these are the unused ports of the Service's only cluster IP in the family, and nothing else.
fn is_unused_of_cluster_ip(found: &BTreeSet<&Door>, all: &Doors) -> bool {
    let Some(first) = found.first().filter(|door| found.len() == 1 && door.kind == TargetKind::UnusedPort)
    else {
        return false;
    };
    let is_cluster_ip = |door: &&Door| door.kind == TargetKind::ClusterIp && door.family == first.family;
    let ips: BTreeSet<Option<IpAddr>> = all.iter().filter(is_cluster_ip).map(|door| door.ip).collect();
    ips.len() == 1 && ips.contains(&first.ip)
}

/// The ways to some targets of a Service.
struct Ways {
    doors: Doors,
    /// All of the Service.
    all: Rc<Doors>,
    /// By what leads to them: ports, ordered. Together they are exactly the targets.
    ports: BTreeMap<BTreeSet<(Way, IpFamily)>, Vec<Text>>,
}

impl Ways {
    fn of(doors: Doors, all: Rc<Doors>) -> Ways {
        type Same<'d> = (&'d Text, TargetKind, IpFamily);
        let mut same: BTreeMap<Same<'_>, BTreeSet<&Door>> = BTreeMap::new();
        for door in &doors {
            same.entry((&door.port, door.kind, door.family)).or_default().insert(door);
        }
        let mut by_port: BTreeMap<(bool, &Text), BTreeSet<(Way, IpFamily)>> = BTreeMap::new();
        for ((port, kind, family), found) in same {
            let every: BTreeSet<&Door> = all
                .iter()
                .filter(|door| (&door.port, door.kind, door.family) == (port, kind, family))
                .collect();
            let ways = by_port.entry((is_port(kind), port)).or_default();
            if is_unused_of_cluster_ip(&found, &all) {
                ways.insert((Way { kind, only: Some(CLUSTER_IP.to_owned()) }, family));
            } else if found == every {
                ways.insert((Way { kind, only: None }, family));
            } else {
                let only = |door: &&Door| (Way { kind, only: Some(door.address()) }, family);
                ways.extend(found.iter().map(only));
            }
        }
        let mut ports: BTreeMap<BTreeSet<(Way, IpFamily)>, Vec<Text>> = BTreeMap::new();
        for ((_, port), ways) in by_port {
            ports.entry(ways).or_default().push(port.clone());
        }
        Ways { doors, all, ports }
    }

    /// Whether every address and port that clients use is among them, and nothing else.
    fn is_all(&self) -> bool {
        let every = self.all.iter().filter(|door| is_address(door.kind));
        every.eq(self.doors.iter())
    }

    fn all(&self) -> &'static str {
        "at all addresses and ports"
    }

    /// For a Service that stands alone.
    fn with_ports(&self) -> String {
        self.clauses(|ports, is_all| match ports {
            _ if is_all && ports.len() > MOST_PORTS => format!("all {} ports, ", ports.len()),
            [one] => format!("port {}, ", self.name(one)),
            ports => format!("ports {}, ", list(ports.iter().map(|port| self.name(port)))),
        })
    }

    /// For one of several Services: their ports have other names.
    fn without_ports(&self) -> String {
        self.clauses(|ports, is_all| match ports {
            _ if is_all => String::new(),
            [one] => format!("port {}, ", self.name(one)),
            ports => format!("ports {}, ", list(ports.iter().map(|port| self.name(port)))),
        })
    }

    fn clauses(&self, of_ports: impl Fn(&[Text], bool) -> String) -> String {
        let clause = |(ways, ports): (&BTreeSet<(Way, IpFamily)>, &Vec<Text>)| {
            let is_port = ways.iter().any(|(way, _)| is_port(way.kind));
            let ports =
                if is_port { of_ports(ports, self.has_all_ports(ways, ports)) } else { String::new() };
            ports + &self.by(ways)
        };
        self.ports.iter().map(clause).collect::<Vec<_>>().join("; ")
    }

    /// Whether no other port can be reached in one of these ways.
    fn has_all_ports(&self, ways: &BTreeSet<(Way, IpFamily)>, ports: &[Text]) -> bool {
        ways.iter().all(|(way, family)| {
            let mut same = self.all.iter().filter(|door| (door.kind, door.family) == (way.kind, *family));
            way.only.is_none() && same.all(|door| ports.contains(&door.port))
        })
    }

    /// A port without a name by its number, if it has one number.
    fn name(&self, port: &Text) -> String {
        if !port.is_empty() {
            return port.to_string();
        }
        let at_ip =
            self.all.iter().filter(|door| door.is_port() && door.port.is_empty() && door.ip.is_some());
        let numbers: BTreeSet<u16> = at_ip.map(|door| door.number).collect();
        match numbers.into_iter().collect::<Vec<_>>()[..] {
            [one] => one.to_string(),
            _ => "without a name".to_owned(),
        }
    }

    /// `by cluster IP and node port, IPv4 and IPv6`.
    fn by(&self, ways: &BTreeSet<(Way, IpFamily)>) -> String {
        let mut families: BTreeMap<&Way, Vec<IpFamily>> = BTreeMap::new();
        for (way, family) in ways {
            families.entry(way).or_default().push(*family);
        }
        let mut alike: BTreeMap<Vec<IpFamily>, Vec<String>> = BTreeMap::new();
        for (way, families) in families {
            alike.entry(families).or_default().push(way.words());
        }
        let is_dual =
            self.all.iter().any(|door| Some(door.family) != self.all.first().map(|first| first.family));
        let clause = |(families, ways): (Vec<IpFamily>, Vec<String>)| {
            let families = list(families.iter().map(ToString::to_string));
            let families = if is_dual { format!(", {families}") } else { String::new() };
            format!("by {}{families}", enumerate(&ways))
        };
        alike.into_iter().map(clause).collect::<Vec<_>>().join(" and ")
    }
}

/// `a, b and c`, all of them.
fn enumerate(names: &[String]) -> String {
    match names {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        names => names.concat(),
    }
}

impl Way {
    fn words(&self) -> String {
        let kind = match self.kind {
            TargetKind::ClusterIp => "cluster IP",
            TargetKind::ExternalIp => "external IP",
            TargetKind::LoadBalancer => "load balancer",
            TargetKind::NodePort => "node port",
            TargetKind::LocalhostNodePort => "node port on localhost",
            TargetKind::HealthCheck => "health check node port",
            TargetKind::UnusedPort => "any unused port",
        };
        match &self.only {
            Some(only) if self.kind == TargetKind::UnusedPort => format!("{kind} of {only}"),
            Some(only) => format!("{kind} {only}"),
            None => kind.to_owned(),
        }
    }
}
