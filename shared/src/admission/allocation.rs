//! Cluster IPs and node ports: who holds which, and the choice of new ones.
//!
//! One range per address family. Automatic choices come from the upper band of each range; the lower one is for
//! hand-picked values (`pkg/registry/core/service/{ipallocator,portallocator}`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use ipnet::IpNet;
use serde_json::Value;

use crate::model::{IpFamily, Key, Keyed, Service, Table};

/// The address families of a cluster. With both, IPv4 is the primary one: what Services get that ask for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    #[default]
    IPv4,
    IPv6,
    DualStack,
}

impl Families {
    /// The primary family first.
    pub fn all(self) -> &'static [IpFamily] {
        match self {
            Families::IPv4 => &[IpFamily::IPv4],
            Families::IPv6 => &[IpFamily::IPv6],
            Families::DualStack => &IpFamily::BOTH,
        }
    }

    pub fn has(self, family: IpFamily) -> bool {
        self.all().contains(&family)
    }
}

/// The first address of a family's standard range: what a dry run shows.
pub fn service_base(family: IpFamily) -> IpAddr {
    match family {
        IpFamily::IPv4 => Ipv4Addr::from(BASE_V4).into(),
        IpFamily::IPv6 => Ipv6Addr::from(BASE_V6).into(),
    }
}

const BASE_V4: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const BASE_V6: u128 = u128::from_be_bytes([0xfd, 0, 0, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// How many bits of a range count addresses.
const HOST_BITS: u32 = 16;

/// The range of a family's cluster IPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    family: IpFamily,
    base: u128,
    bounds: Bounds,
}

/// How well a [`Range`] is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounds {
    Exact,
    /// Guessed from addresses that were seen: others outside may be fine as well.
    Guessed,
}

impl Range {
    /// `10.96.0.0/16` or `fd00:10:96::/112`.
    pub fn standard(family: IpFamily) -> Range {
        let base = match service_base(family) {
            IpAddr::V4(ip) => u32::from(ip).into(),
            IpAddr::V6(ip) => ip.into(),
        };
        Range { family, base, bounds: Bounds::Exact }
    }

    /// The range of a cluster whose Services have these addresses: the standard one if they are in it, else a /16 (IPv6: a /112)
    /// around the lowest, outside of which addresses are allowed, too.
    pub fn seen(family: IpFamily, ips: impl Iterator<Item = IpAddr>) -> Range {
        let standard = Range::standard(family);
        let mut lowest: Option<IpAddr> = None;
        let mut fits = true;
        for ip in ips.filter(|ip| IpFamily::of(*ip) == family) {
            fits &= standard.holds(ip);
            lowest = Some(lowest.map_or(ip, |least| least.min(ip)));
        }
        match lowest {
            Some(ip) if !fits => {
                let base = number(ip) >> HOST_BITS << HOST_BITS;
                Range { base, bounds: Bounds::Guessed, ..standard }
            }
            _ => standard,
        }
    }

    fn ip(&self, offset: u32) -> IpAddr {
        let number = self.base + u128::from(offset);
        match self.family {
            IpFamily::IPv4 => Ipv4Addr::from(number as u32).into(),
            IpFamily::IPv6 => Ipv6Addr::from(number).into(),
        }
    }

    /// The highest offset that can be had: only IPv4 has a broadcast address.
    fn last_offset(&self) -> u32 {
        match self.family {
            IpFamily::IPv4 => (1 << HOST_BITS) - 2,
            IpFamily::IPv6 => (1 << HOST_BITS) - 1,
        }
    }

    /// Whether the address is one of the range, apart from the network and broadcast addresses.
    fn holds(&self, ip: IpAddr) -> bool {
        let offset = number(ip).wrapping_sub(self.base);
        IpFamily::of(ip) == self.family && (1..=u128::from(self.last_offset())).contains(&offset)
    }

    fn net(&self) -> Option<IpNet> {
        let length = match self.family {
            IpFamily::IPv4 => 32 - HOST_BITS,
            IpFamily::IPv6 => 128 - HOST_BITS,
        };
        IpNet::new(self.ip(0), length as u8).ok()
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.net().map_or(Ok(()), |net| write!(f, "{net}"))
    }
}

/// Addresses up to this offset are left for hand-picked cluster IPs.
const STATIC_IPS: u32 = 256;

pub const NODE_PORT_RANGE: &str = "30000-32767";
const FIRST_NODE_PORT: u16 = 30_000;
const LAST_NODE_PORT: u16 = 32_767;
/// Ports below this are left for hand-picked node ports.
const FIRST_DYNAMIC_PORT: u16 = 30_086;

/// What all Services hold. Rebuilt from the objects, so it can't disagree with them, and counted only when somebody asks: a
/// Service that keeps what it holds asks for nothing.
#[derive(Debug, Clone)]
pub struct Allocations {
    families: Families,
    /// Those that are to be counted.
    services: Table<Service>,
    counted: OnceLock<Holdings>,
}

#[derive(Debug, Clone)]
struct Holdings {
    ipv4: Range,
    ipv6: Range,
    by_service: BTreeMap<Key, Held>,
    ips: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
}

/// What one Service holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    pub ips: BTreeSet<IpAddr>,
    pub ports: BTreeSet<u16>,
}

impl Held {
    /// What a Service holds.
    pub fn of(service: &Service) -> Held {
        let ports = service.ports.iter().filter_map(|port| port.node_port);
        Held {
            ips: service.cluster_ip.ips().iter().copied().collect(),
            ports: ports.chain(service.health_check_node_port).map(u16::from).collect(),
        }
    }

    /// Reads a Service object.
    pub fn by(service: &Value) -> Held {
        let spec = &service["spec"];
        let list = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
        let ips = list("clusterIPs").iter().filter_map(|ip| ip.as_str()?.parse().ok());
        let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0);
        let node_ports = list("ports").iter().filter_map(|port| number(&port["nodePort"]));
        Held { ips: ips.collect(), ports: node_ports.chain(number(&spec["healthCheckNodePort"])).collect() }
    }
}

/// Why an address or port can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    OutOfRange,
    Taken,
    Full,
}

impl Holdings {
    fn of(services: &Table<Service>) -> Holdings {
        let ips = || services.values().flat_map(|service| service.cluster_ip.ips().iter().copied());
        // Made from sorted lists at once, which is faster than one by one.
        let by_service: BTreeMap<Key, Held> =
            services.values().map(|service| (service.key().clone(), Held::of(service))).collect();
        Holdings {
            ipv4: Range::seen(IpFamily::IPv4, ips()),
            ipv6: Range::seen(IpFamily::IPv6, ips()),
            ips: by_service.values().flat_map(|held| held.ips.iter().copied()).collect(),
            ports: by_service.values().flat_map(|held| held.ports.iter().copied()).collect(),
            by_service,
        }
    }

    fn hold(&mut self, key: &Key, held: Option<Held>) {
        if let Some(old) = self.by_service.remove(key) {
            old.ips.iter().for_each(|ip| {
                self.ips.remove(ip);
            });
            old.ports.iter().for_each(|port| {
                self.ports.remove(port);
            });
        }
        if let Some(held) = held {
            self.ips.extend(&held.ips);
            self.ports.extend(&held.ports);
            self.by_service.insert(key.clone(), held);
        }
    }
}

impl Allocations {
    /// Of a cluster without Services, with the standard ranges.
    pub fn new(families: Families) -> Allocations {
        Allocations::of_services(families, &Table::default())
    }

    /// Of a cluster with these Services. Its ranges are guessed from their addresses: [`Range::seen`].
    pub fn of_services(families: Families, services: &Table<Service>) -> Allocations {
        Allocations { families, services: services.clone(), counted: OnceLock::new() }
    }

    /// Whether somebody has asked for more than a Service holds itself.
    pub fn is_counted(&self) -> bool {
        self.counted.get().is_some()
    }

    fn holdings(&self) -> &Holdings {
        self.counted.get_or_init(|| Holdings::of(&self.services))
    }

    /// The range of the family's cluster IPs.
    pub fn range(&self, family: IpFamily) -> &Range {
        match family {
            IpFamily::IPv4 => &self.holdings().ipv4,
            IpFamily::IPv6 => &self.holdings().ipv6,
        }
    }

    /// The cluster's families.
    pub fn families(&self) -> Families {
        self.families
    }

    /// Notes that the Service `key` now is `service`, or is gone.
    pub fn replace(&mut self, key: &Key, service: Option<&Value>) {
        self.hold(key, service.map(Held::by));
    }

    /// Notes what the Service `key` now holds, or that it is gone.
    pub fn hold(&mut self, key: &Key, held: Option<Held>) {
        let mut holdings = self.counted.take().unwrap_or_else(|| Holdings::of(&self.services));
        holdings.hold(key, held);
        self.counted = holdings.into();
    }

    /// Whether a Service that holds `own` may ask for this cluster IP. What it holds is not asked for again.
    pub fn check_ip(&self, ip: IpAddr, own: &Held) -> Result<(), Unavailable> {
        if own.ips.contains(&ip) {
            return Ok(());
        }
        let family = IpFamily::of(ip);
        let range = self.range(family);
        if !self.families.has(family) || !(range.holds(ip) || range.bounds == Bounds::Guessed) {
            return Err(Unavailable::OutOfRange);
        }
        if self.holdings().ips.contains(&ip) { Err(Unavailable::Taken) } else { Ok(()) }
    }

    /// Whether a Service that holds `own` may ask for this node port. What it holds is not asked for again.
    pub fn check_port(&self, port: u16, own: &Held) -> Result<(), Unavailable> {
        if own.ports.contains(&port) {
            return Ok(());
        }
        if !(FIRST_NODE_PORT..=LAST_NODE_PORT).contains(&port) {
            return Err(Unavailable::OutOfRange);
        }
        if self.holdings().ports.contains(&port) { Err(Unavailable::Taken) } else { Ok(()) }
    }

    /// A free cluster IP of the family. `below` gives a random number below its argument.
    pub fn choose_ip(
        &self,
        family: IpFamily,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<IpAddr, Unavailable> {
        let range = self.range(family);
        let upper = STATIC_IPS + 1..range.last_offset() + 1;
        let free = |offset: &u32| !self.holdings().ips.contains(&range.ip(*offset));
        let found = from_random(upper, below).find(free).or_else(|| (1..=STATIC_IPS).find(free));
        found.map(|offset| range.ip(offset)).ok_or(Unavailable::Full)
    }

    /// A free node port that is not among `more`, those that the same Service has just been given.
    pub fn choose_port(
        &self,
        more: &BTreeSet<u16>,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<u16, Unavailable> {
        let upper = u32::from(FIRST_DYNAMIC_PORT)..u32::from(LAST_NODE_PORT) + 1;
        let free = |port: &u16| !self.holdings().ports.contains(port) && !more.contains(port);
        let mut dynamic = from_random(upper, below).map(|port| port as u16);
        let found = dynamic.find(free).or_else(|| (FIRST_NODE_PORT..FIRST_DYNAMIC_PORT).find(free));
        found.ok_or(Unavailable::Full)
    }
}

/// All numbers of the range, from a random one on.
fn from_random(
    range: std::ops::Range<u32>,
    below: &mut dyn FnMut(u64) -> u64,
) -> impl Iterator<Item = u32> + use<> {
    let start = range.start + below(u64::from(range.end - range.start)) as u32;
    (start..range.end).chain(range.start..start)
}
