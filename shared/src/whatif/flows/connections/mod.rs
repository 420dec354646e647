//! What open connections would not outlive, and whom affinity would not keep where they are.
//!
//! Only what is documented is stated; where it ends but not how, or differs by release, the end is unknown, and said so.
//!
//! - **TCP.** A connection lives on in the kernel's table (conntrack, IPVS) while its endpoint answers, whatever new rules say:
//!   neither an endpoint that leaves the rules nor a Service that is deleted ends it, since ipvs mode gives real servers of TCP
//!   weight 0 until they have no connection (`pkg/proxy/ipvs/graceful_termination.go`). It ends with its pod.
//! - **UDP.** Once endpoints change, kube-proxy removes the entries at an address of a Service that lead to what is no serving
//!   endpoint of it (`pkg/proxy/conntrack/cleanup.go`). In 1.36 it does not where no endpoint serves, nor for ports that are
//!   gone; releases after it do. Of SCTP it removes none.
//! - **ipvs mode** removes real servers of UDP and SCTP, and virtual servers, at once; then kube-proxy's setting of
//!   `expire_nodest_conn` ends what is open there. An address that no Service has leaves kube-ipvs0, and so the node.
//! - **Userspace mode.** Connections end in the kube-proxy process, and end with it. Without its port, TCP goes on there.
//! - **Affinity** is a memory of the node's: `recent` lists, nft sets and persistence templates of IPVS, each for an endpoint
//!   that is used. A new mode starts without one.

mod fronts;
mod used;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Survey;
use super::change::Claim;
use super::places::{Differs, Place};
use super::world::World;
use crate::model::{IpFamily, Key, Protocol, ProxyMode, Text};
use crate::proxy::Backend;
use crate::proxy::ports::PortInfo;
use crate::whatif::difference::{BrokenConnections, End};
use fronts::Front;
use used::Used;
use why::Why;

/// Which of a port's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Those to one endpoint, by its number.
    Endpoint(usize),
    All,
    /// Those at an address that is not served any longer, by its number.
    Front(usize),
}

/// The nodes that carry them.
type Found<'a> = BTreeMap<(What, Why), Vec<&'a Text>>;

impl Survey<'_> {
    /// By Service, port and endpoint.
    pub async fn connections(&self, pause: &impl AsyncFn()) -> Vec<BrokenConnections> {
        let mut broken = self.of_restarts();
        let [before, after] = &self.worlds;
        for key in &self.zoned {
            pause().await;
            let Some(service) = before.service(key) else { continue };
            for family in IpFamily::BOTH {
                let later = after.service(key).map(|service| after.ports_of(service, family));
                for port in before.ports_of(service, family).iter() {
                    let later =
                        later.iter().flat_map(|ports| ports.iter()).find(|later| is_same(later, port));
                    let port = Port::new(&self.worlds, port, later, family);
                    let found = port.found(&self.places);
                    broken.extend(port.broken(&found, &self.places));
                }
            }
        }
        broken
    }

    /// What a kube-proxy with another mode, or in userspace mode other settings, does to all Services.
    fn of_restarts(&self) -> Vec<BrokenConnections> {
        let mut broken: Vec<BrokenConnections> = Vec::new();
        let [before, after] = &self.worlds;
        for family in IpFamily::BOTH {
            let places: Vec<&Place<'_>> = self.places.iter().filter(|place| place.family == family).collect();
            let nodes = |which: fn(&Place<'_>) -> bool| -> Vec<&Text> {
                places.iter().filter(|place| which(place)).map(|place| place.name).collect()
            };
            let restarted = nodes(|place| {
                place.before.mode == ProxyMode::Userspace
                    && (place.before.mode, &place.before.settings)
                        != (place.after.mode, &place.after.settings)
            });
            let flushed = nodes(|place| {
                (place.before.mode, place.after.mode) == (ProxyMode::Ipvs, ProxyMode::Nftables)
            });
            let forgotten = nodes(|place| place.before.mode != place.after.mode);
            if restarted.is_empty() && forgotten.is_empty() {
                continue;
            }
            for service in before.state.services().values() {
                for port in before.ports_of(service, family).iter() {
                    let mut add = |why, nodes: &[&Text]| {
                        if !nodes.is_empty() {
                            let some = nodes.iter().filter(|_| nodes.len() < places.len());
                            broken.push(all_of(port, family, why, some.map(|node| (*node).clone())));
                        }
                    };
                    if port.protocol != Protocol::Sctp {
                        add(Why::Restarted, &restarted);
                    }
                    if !port.endpoints.is_empty() {
                        add(Why::Flushed, &flushed);
                    }
                    if port.affinity.is_some() && has_choice(after, port, family) {
                        add(Why::AffinityForgotten, &forgotten);
                    }
                }
            }
        }
        broken
    }
}

fn is_same(port: &PortInfo, other: &PortInfo) -> bool {
    (&port.port_name, port.protocol) == (&other.port_name, other.protocol)
}

/// Whether a client could be sent to more than one endpoint.
fn has_choice(after: &World<'_>, port: &PortInfo, family: IpFamily) -> bool {
    let service = after.service(&Key::new(port.namespace.clone(), port.service.clone()));
    let ports = service.map(|service| after.ports_of(service, family));
    let later = ports.iter().flat_map(|ports| ports.iter()).find(|later| is_same(later, port));
    later.is_some_and(|later| later.endpoints.iter().filter(|backend| backend.ready).count() > 1)
}

/// One port, before and after.
struct Port<'a> {
    before: &'a PortInfo,
    /// `None`: it is not served any longer.
    later: Option<&'a PortInfo>,
    family: IpFamily,
    /// Of each endpoint, how its pod ends.
    ends: Vec<Option<(End, String)>>,
    /// Of each endpoint, where it is in the later list.
    twins: Vec<Option<usize>>,
    /// At least one address is served as before.
    kept: bool,
    gone: Vec<Gone>,
}

/// An address that the port has no longer.
struct Gone {
    front: Front,
    owner: Option<PortInfo>,
    /// Some Service still has the address, with other ports.
    bound: bool,
}

impl<'a> Port<'a> {
    fn new(
        [old, new]: &[World<'_>; 2],
        before: &'a PortInfo,
        later: Option<&'a PortInfo>,
        family: IpFamily,
    ) -> Port<'a> {
        let end = |backend: &Backend| {
            let pod = backend.pod.as_ref().filter(|pod| old.state.pods().contains(pod))?;
            of_pod(old, new, pod, backend.address)
        };
        let twin = |backend: &Backend| {
            let later = later?.endpoints.as_slice();
            later.binary_search_by(|other| other.text.cmp(&backend.text)).ok()
        };
        let fronts = Front::all(before);
        let later_fronts = later.map(Front::all).unwrap_or_default();
        let all = fronts.len();
        let is_gone = |front: &Front| !later_fronts.iter().any(|later| later.is_at(front));
        let gone: Vec<Gone> = fronts
            .into_iter()
            .filter(is_gone)
            .map(|front| Gone {
                owner: front.owner(new, family),
                bound: front.ip.is_none_or(|ip| !new.at(ip).is_empty()),
                front,
            })
            .collect();
        Port {
            before,
            later,
            family,
            ends: before.endpoints.iter().map(end).collect(),
            twins: before.endpoints.iter().map(twin).collect(),
            kept: gone.len() < all,
            gone,
        }
    }

    fn found<'p>(&self, places: &'p [Place<'_>]) -> Found<'p> {
        let mut found = Found::new();
        let ends = self.ends.iter().any(Option::is_some);
        let is_same = self.later == Some(self.before) && !ends;
        for place in places.iter().filter(|place| place.family == self.family) {
            if is_same && place.differs == Differs::Nothing {
                continue;
            }
            let before = Used::on(self.before, &place.before);
            let after = self.later.map(|later| Used::on(later, &place.after)).unwrap_or_default();
            let on = On { port: self, place, before, after };
            let mut add = |what: What, why: Option<Why>| {
                if let Some(why) = why {
                    found.entry((what, why)).or_default().push(place.name);
                }
            };
            for nth in (0..self.before.endpoints.len()).filter(|nth| on.before.has(*nth)) {
                add(What::Endpoint(nth), on.end(nth));
                add(What::Endpoint(nth), on.unpinned(nth));
            }
            add(What::All, on.affinity_off());
            for (nth, gone) in self.gone.iter().enumerate() {
                add(What::Front(nth), on.gone(gone));
            }
        }
        found
    }

    fn broken(&self, found: &Found<'_>, places: &[Place<'_>]) -> Vec<BrokenConnections> {
        let all = places.iter().filter(|place| place.family == self.family).count();
        let of_cluster_ip = |why: Why| found.get(&(What::Front(0), why));
        let is_cluster_ip = self.gone.first().is_some_and(|gone| gone.front == Front::all(self.before)[0]);
        let mut broken = Vec::new();
        for ((what, why), nodes) in found {
            let names = || nodes.iter().filter(|_| nodes.len() < all).map(|node| (*node).clone());
            let mut one = all_of(self.before, self.family, *why, names());
            match *what {
                What::All => {}
                What::Endpoint(nth) => {
                    let backend = &self.before.endpoints[nth];
                    one.endpoint = Some(backend.socket());
                    one.pod = backend.pod.clone();
                    one.reason = why.words(&self.before.name, Some(backend.socket()));
                    if let (Why::Pod, Some((end, reason))) = (*why, &self.ends[nth]) {
                        (one.end, one.reason) = (*end, reason.clone());
                    }
                }
                What::Front(nth) => {
                    // The cluster IP stands for all that are like it.
                    if nth > 0 && is_cluster_ip && of_cluster_ip(*why) == Some(nodes) {
                        continue;
                    }
                    let Gone { front, owner, .. } = &self.gone[nth];
                    one.target = front.destination(self.family).target(front.ip, &claim(self.before));
                    let name = owner.as_ref().map_or(&self.before.name, |owner| &owner.name);
                    one.reason = why.words(name, None);
                }
            }
            broken.push(one);
        }
        broken
    }
}

/// A port on one node.
struct On<'a, 'p> {
    port: &'a Port<'a>,
    place: &'a Place<'p>,
    before: Used,
    after: Used,
}

impl On<'_, '_> {
    /// What becomes of connections to an endpoint; `None` if they live on, or nothing is known.
    fn end(&self, nth: usize) -> Option<Why> {
        let Port { before: port, ends, kept, .. } = self.port;
        let pod = ends[nth].is_some().then_some(Why::Pod);
        if port.protocol == Protocol::Tcp || !kept || self.is_userspace() {
            return pod;
        }
        let removed = self.removed(nth).filter(|_| self.is_in(ProxyMode::Ipvs));
        match (port.protocol, removed) {
            (Protocol::Sctp, removed) => pod.or(removed.map(|_| Why::Association)),
            (_, Some(true)) => Some(Why::Rescheduled),
            (_, Some(false)) => Some(Why::NoRealServer),
            (_, None) => self.udp(nth, pod),
        }
    }

    /// By entries of conntrack, which kube-proxy removes.
    fn udp(&self, nth: usize, pod: Option<Why>) -> Option<Why> {
        let later = self.port.later?;
        let still = self.port.twins[nth].is_some_and(|twin| later.endpoints[twin].serving);
        let another = later.endpoints.iter().any(|other| other.serving);
        match (still, another) {
            (true, _) => pod,
            (false, false) => pod.or(Some(Why::Left)),
            (false, true) if !self.after.is_empty() => Some(Why::Cleaned),
            (false, true) if self.after.has_any => Some(Why::CleanedDropped),
            (false, true) => Some(Why::CleanedRefused),
        }
    }

    /// The node does not use the endpoint any longer for some of the addresses: whether it uses another for them.
    fn removed(&self, nth: usize) -> Option<bool> {
        let twin = self.port.twins[nth];
        let sets = self.before.sets.iter().zip(&self.after.sets);
        let left = sets.filter(|(before, after)| {
            before.binary_search(&nth).is_ok() && twin.is_none_or(|twin| after.binary_search(&twin).is_err())
        });
        left.map(|(_, after)| !after.is_empty()).max()
    }

    fn unpinned(&self, nth: usize) -> Option<Why> {
        let later = self.port.later.filter(|_| self.keeps_memory())?;
        let pinned = self.port.before.affinity.is_some() && later.affinity.is_some();
        (pinned && self.removed(nth) == Some(true)).then_some(Why::Unpinned)
    }

    fn affinity_off(&self) -> Option<Why> {
        let later = self.port.later.filter(|_| self.keeps_memory() && !self.is_userspace())?;
        let off = self.port.before.affinity.is_some() && later.affinity.is_none();
        let elsewhere = |(before, after): (&Vec<usize>, &Vec<usize>)| match (&before[..], &after[..]) {
            ([], _) | (_, []) => false,
            ([one], [other]) => self.port.twins[*one] != Some(*other),
            _ => true,
        };
        (off && self.before.sets.iter().zip(&self.after.sets).any(elsewhere)).then_some(Why::AffinityOff)
    }

    /// What becomes of connections at an address that is gone.
    fn gone(&self, gone: &Gone) -> Option<Why> {
        let Gone { front, owner, bound } = gone;
        let Port { before: port, later, .. } = self.port;
        let set = usize::from(*front != Front::all(port)[0]);
        if self.before.sets[set].is_empty() {
            return None;
        }
        let udp = port.protocol == Protocol::Udp;
        if self.is_userspace() {
            let closed = udp && later.is_none() && owner.is_none() && self.is_in(ProxyMode::Userspace);
            return closed.then_some(Why::SocketClosed);
        }
        if let Some(owner) = owner {
            let foreign = |backend: &Backend| {
                let same = |other: &&Backend| other.serving && other.text == backend.text;
                !owner.endpoints.iter().any(|other| same(&other))
            };
            let serves = owner.endpoints.iter().any(|other| other.serving);
            return (udp && serves && port.endpoints.iter().any(foreign)).then_some(Why::TakenOver);
        }
        if self.is_in(ProxyMode::Ipvs) {
            let own = |ip: IpAddr| self.place.after.node.addresses.iter().any(|address| address.ip == ip);
            return match front.ip {
                Some(ip) if !bound && !own(ip) => Some(Why::Unbound),
                _ => Some(Why::Undelivered),
            };
        }
        let netfilter = self.place.before.mode != ProxyMode::Ipvs && self.place.after.mode != ProxyMode::Ipvs;
        (udp && later.is_none() && netfilter).then_some(Why::PortGone)
    }

    fn is_in(&self, mode: ProxyMode) -> bool {
        (self.place.before.mode, self.place.after.mode) == (mode, mode)
    }

    fn is_userspace(&self) -> bool {
        [self.place.before.mode, self.place.after.mode].contains(&ProxyMode::Userspace)
    }

    /// What becomes of affinity in another mode is said of all Services together.
    fn keeps_memory(&self) -> bool {
        self.port.kept && self.place.before.mode == self.place.after.mode
    }
}

/// The endpoint's pod ends, is gone, or its node is lost.
fn of_pod(before: &World<'_>, after: &World<'_>, pod: &Key, address: IpAddr) -> Option<(End, String)> {
    let old = before.state.pods().get(pod)?;
    let Some(new) = after.state.pods().get(pod).filter(|new| new.ips.contains(&address)) else {
        let reason = format!(
            "Pod {pod} is not there any longer: nobody answers at {address}. (If it ends in order, its processes may close their connections before.)"
        );
        return Some((End::TimeOut, reason));
    };
    let ready = |world: &World<'_>, node: &Option<Text>| {
        node.as_ref().and_then(|node| world.state.node(node)).map(|node| node.ready)
    };
    if ready(before, &old.node) == Some(true) && ready(after, &new.node) != Some(true) {
        let node = new.node.as_deref().unwrap_or_default();
        let reason = format!("nothing is heard of node {node}, where Pod {pod} runs: nobody answers");
        return Some((End::TimeOut, reason));
    }
    (new.meta.terminating() && !old.meta.terminating()).then(|| {
        let reason = format!(
            "Pod {pod} ends: connections that are still open when its processes stop, at the latest after its grace period, are closed or reset"
        );
        (End::Reset, reason)
    })
}

fn claim(port: &PortInfo) -> Claim {
    let service = Key::new(port.namespace.clone(), port.service.clone());
    Claim { service, port_name: port.port_name.clone() }
}

/// All connections of a port. The cluster IP stands for all of its addresses.
fn all_of(
    port: &PortInfo,
    family: IpFamily,
    why: Why,
    nodes: impl Iterator<Item = Text>,
) -> BrokenConnections {
    let front = Front::all(port)[0];
    let nodes: BTreeSet<Text> = nodes.collect();
    BrokenConnections {
        target: front.destination(family).target(front.ip, &claim(port)),
        endpoint: None,
        pod: None,
        nodes: nodes.into_iter().collect(),
        end: why.end(),
        reason: why.words(&port.name, None),
    }
}
