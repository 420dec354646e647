//! Cluster IPs and node ports: who holds which, and the choice of new ones.
//!
//! One range per address family. Automatic choices come from the upper band of each range; the lower one is for
//! hand-picked values (`pkg/registry/core/service/{ipallocator,portallocator}`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::model::{IpFamily, Key};

/// The address families of a cluster. IPv4 always is the primary one: what Services get that ask for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    #[default]
    IPv4,
    DualStack,
}

impl Families {
    /// The primary family first.
    pub fn all(self) -> &'static [IpFamily] {
        match self {
            Families::IPv4 => &[IpFamily::IPv4],
            Families::DualStack => &IpFamily::BOTH,
        }
    }

    pub fn has(self, family: IpFamily) -> bool {
        self.all().contains(&family)
    }
}

/// The range of a family's cluster IPs.
pub fn service_cidr(family: IpFamily) -> &'static str {
    match family {
        IpFamily::IPv4 => "10.96.0.0/16",
        IpFamily::IPv6 => "fd00:10:96::/112",
    }
}

/// The first address of a family's range: what a dry run shows.
pub fn service_base(family: IpFamily) -> IpAddr {
    cluster_ip(family, 0)
}

const BASE_V4: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const BASE_V6: u128 = u128::from_be_bytes([0xfd, 0, 0, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// Addresses of each range.
const CIDR_SIZE: u32 = 1 << 16;
/// Addresses up to this offset are left for hand-picked cluster IPs.
const STATIC_IPS: u32 = 256;

fn cluster_ip(family: IpFamily, offset: u32) -> IpAddr {
    match family {
        IpFamily::IPv4 => Ipv4Addr::from(BASE_V4 + offset).into(),
        IpFamily::IPv6 => Ipv6Addr::from(BASE_V6 + u128::from(offset)).into(),
    }
}

/// The highest offset that can be had: only IPv4 has a broadcast address.
fn last_offset(family: IpFamily) -> u32 {
    match family {
        IpFamily::IPv4 => CIDR_SIZE - 2,
        IpFamily::IPv6 => CIDR_SIZE - 1,
    }
}

/// Whether the address is one of its family's range, apart from the network and broadcast addresses.
fn in_range(ip: IpAddr) -> bool {
    let offset = match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip).wrapping_sub(BASE_V4)),
        IpAddr::V6(ip) => u128::from(ip).wrapping_sub(BASE_V6),
    };
    (1..=u128::from(last_offset(IpFamily::of(ip)))).contains(&offset)
}

pub const NODE_PORT_RANGE: &str = "30000-32767";
const FIRST_NODE_PORT: u16 = 30_000;
const LAST_NODE_PORT: u16 = 32_767;
/// Ports below this are left for hand-picked node ports.
const FIRST_DYNAMIC_PORT: u16 = 30_086;

/// What all Services hold. Rebuilt from the objects, so it can't disagree with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocations {
    families: Families,
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

impl Allocations {
    /// Of a cluster without Services.
    pub fn new(families: Families) -> Allocations {
        Allocations { families, ..Allocations::default() }
    }

    /// The cluster's families.
    pub fn families(&self) -> Families {
        self.families
    }

    /// Notes that the Service `key` now is `service`, or is gone.
    pub fn replace(&mut self, key: &Key, service: Option<&Value>) {
        if let Some(old) = self.by_service.remove(key) {
            old.ips.iter().for_each(|ip| {
                self.ips.remove(ip);
            });
            old.ports.iter().for_each(|port| {
                self.ports.remove(port);
            });
        }
        if let Some(service) = service {
            let held = Held::by(service);
            self.ips.extend(&held.ips);
            self.ports.extend(&held.ports);
            self.by_service.insert(key.clone(), held);
        }
    }

    /// Whether a Service that holds `own` may ask for this cluster IP.
    pub fn check_ip(&self, ip: IpAddr, own: &Held) -> Result<(), Unavailable> {
        if !self.families.has(IpFamily::of(ip)) || !in_range(ip) {
            return Err(Unavailable::OutOfRange);
        }
        if self.ips.contains(&ip) && !own.ips.contains(&ip) { Err(Unavailable::Taken) } else { Ok(()) }
    }

    /// Whether a Service that holds `own` may ask for this node port.
    pub fn check_port(&self, port: u16, own: &Held) -> Result<(), Unavailable> {
        if !(FIRST_NODE_PORT..=LAST_NODE_PORT).contains(&port) {
            return Err(Unavailable::OutOfRange);
        }
        if self.ports.contains(&port) && !own.ports.contains(&port) {
            Err(Unavailable::Taken)
        } else {
            Ok(())
        }
    }

    /// A free cluster IP of the family. `below` gives a random number below its argument.
    pub fn choose_ip(
        &self,
        family: IpFamily,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<IpAddr, Unavailable> {
        let upper = STATIC_IPS + 1..last_offset(family) + 1;
        let free = |offset: &u32| !self.ips.contains(&cluster_ip(family, *offset));
        let found = from_random(upper, below).find(free).or_else(|| (1..=STATIC_IPS).find(free));
        found.map(|offset| cluster_ip(family, offset)).ok_or(Unavailable::Full)
    }

    /// A free node port that is not among `more`, those that the same Service has just been given.
    pub fn choose_port(
        &self,
        more: &BTreeSet<u16>,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<u16, Unavailable> {
        let upper = u32::from(FIRST_DYNAMIC_PORT)..u32::from(LAST_NODE_PORT) + 1;
        let free = |port: &u16| !self.ports.contains(port) && !more.contains(port);
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
