//! [`PodsOfNode`]: which pods a node has, and at which addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use super::{IpFamily, Key, Keyed, Pod, Text};

/// Higher than all IPv4 addresses, and than no IPv6 address.
const LOWEST_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The pods of a node by name, and those with a network of their own by address, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodsOfNode {
    keys: BTreeSet<Key>,
    addresses: BTreeSet<(IpAddr, Key)>,
}

impl PodsOfNode {
    /// All of them, by namespace and name.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// The pods with a network of their own, from this address of the family on: by address, then by namespace and name.
    pub fn starting_at(&self, first: IpAddr) -> impl Iterator<Item = (IpAddr, &Key)> {
        let family = IpFamily::of(first);
        let pods = self.addresses.range(at(first)..).map(|(ip, key)| (*ip, key));
        pods.take_while(move |(ip, _)| IpFamily::of(*ip) == family)
    }

    /// If a pod with a network of its own has the address: the last of the addresses from there on that pods have, without a gap.
    pub fn taken_until(&self, ip: IpAddr) -> Option<IpAddr> {
        let mut until = None;
        for (found, _) in self.starting_at(ip) {
            match until {
                None if found != ip => return None,
                Some(last) if found != last && Some(found) != IpFamily::next_address(last) => break,
                _ => until = Some(found),
            }
        }
        until
    }

    /// The lowest and the highest address of a family.
    pub fn span(&self, family: IpFamily) -> Option<[IpAddr; 2]> {
        let split = at(LOWEST_V6);
        let (first, last) = match family {
            IpFamily::IPv4 => (self.addresses.first(), self.addresses.range(..split).next_back()),
            IpFamily::IPv6 => (self.addresses.range(split..).next(), self.addresses.last()),
        };
        let ours = |(ip, _): &&(IpAddr, Key)| IpFamily::of(*ip) == family;
        Some([first.filter(ours)?.0, last.filter(ours)?.0])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn insert(&mut self, pod: &Pod) {
        self.keys.insert(pod.key().clone());
        self.addresses.extend(addresses(pod));
    }

    pub(super) fn remove(&mut self, pod: &Pod) {
        self.keys.remove(pod.key());
        for entry in addresses(pod) {
            self.addresses.remove(&entry);
        }
    }
}

/// Before all pods at an address.
fn at(ip: IpAddr) -> (IpAddr, Key) {
    (ip, Key { namespace: Text::default(), name: Text::default() })
}

fn addresses(pod: &Pod) -> impl Iterator<Item = (IpAddr, Key)> {
    let own = pod.ips.iter().filter(|_| !pod.host_network);
    own.map(|ip| (*ip, pod.key().clone()))
}

/// Whether both are on the same node, with the same addresses.
pub(crate) fn are_in_one_place(a: &Pod, b: &Pod) -> bool {
    (&a.node, a.host_network, &a.ips) == (&b.node, b.host_network, &b.ips)
}
