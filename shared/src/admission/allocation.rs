//! Cluster IPs and node ports: who holds which, and the choice of new ones.
//!
//! Single-stack IPv4. Automatic choices come from the upper band of each range; the lower one is for hand-picked values
//! (`pkg/registry/core/service/{ipallocator,portallocator}`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::model::Key;

/// `10.96.0.0/16`.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Its first address: what a dry run shows.
pub const SERVICE_BASE: &str = "10.96.0.0";
const CIDR_BASE: u32 = u32::from_be_bytes([10, 96, 0, 0]);
const CIDR_SIZE: u32 = 1 << 16;
/// Addresses up to this offset are left for hand-picked cluster IPs.
const STATIC_IPS: u32 = 256;

pub const NODE_PORT_RANGE: &str = "30000-32767";
const FIRST_NODE_PORT: u16 = 30_000;
const LAST_NODE_PORT: u16 = 32_767;
/// Ports below this are left for hand-picked node ports.
const FIRST_DYNAMIC_PORT: u16 = 30_086;

/// What all Services hold. Rebuilt from the objects, so it can't disagree with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocations {
    by_service: BTreeMap<Key, Held>,
    ips: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<u16>,
}

/// What one Service holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    pub ips: BTreeSet<Ipv4Addr>,
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
    pub fn check_ip(&self, ip: Ipv4Addr, own: &Held) -> Result<(), Unavailable> {
        let offset = u32::from(ip).wrapping_sub(CIDR_BASE);
        if offset == 0 || offset >= CIDR_SIZE - 1 {
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

    /// A free cluster IP. `below` gives a random number below its argument.
    pub fn choose_ip(&self, below: &mut dyn FnMut(u64) -> u64) -> Result<Ipv4Addr, Unavailable> {
        let upper = STATIC_IPS + 1..CIDR_SIZE - 1;
        let free = |offset: &u32| !self.ips.contains(&Ipv4Addr::from(CIDR_BASE + offset));
        let found = from_random(upper, below).find(free).or_else(|| (1..=STATIC_IPS).find(free));
        found.map(|offset| Ipv4Addr::from(CIDR_BASE + offset)).ok_or(Unavailable::Full)
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
