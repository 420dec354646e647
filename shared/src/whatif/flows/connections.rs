//! What open connections would not outlive.
//!
//! Only what is documented is stated. A connection lives on in the kernel's table (conntrack, IPVS) while its endpoint answers,
//! whatever new rules say: an endpoint that just leaves the rules ends no TCP connection, since ipvs mode gives it weight 0 until
//! it has none. Entries of UDP are removed if their endpoint serves no longer and another one does (`pkg/proxy/conntrack`). In
//! userspace mode connections end in the kube-proxy process, and end with it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Survey;
use super::change::{Claim, Destination};
use super::world::World;
use crate::model::{IpFamily, Key, Protocol, ProxyMode, Text};
use crate::proxy::ports::PortInfo;
use crate::proxy::{Backend, categorize};
use crate::whatif::difference::{BrokenConnections, End, Target, TargetKind};

impl Survey<'_> {
    /// By Service, port and endpoint.
    pub fn connections(&self) -> Vec<BrokenConnections> {
        let mut broken = self.of_restarts();
        let [before, after] = &self.worlds;
        for key in &self.touched {
            let Some(service) = before.service(key) else { continue };
            for family in IpFamily::BOTH {
                for port in before.ports_of(service, family).iter() {
                    let later = after.service(key).map(|service| after.ports_of(service, family));
                    let later = later.iter().flat_map(|ports| ports.iter());
                    let later = later
                        .into_iter()
                        .find(|later| (&later.port_name, later.protocol) == (&port.port_name, port.protocol));
                    self.of_port(port, later, family, &mut broken);
                }
            }
        }
        broken
    }

    fn of_port(
        &self,
        port: &PortInfo,
        later: Option<&PortInfo>,
        family: IpFamily,
        broken: &mut Vec<BrokenConnections>,
    ) {
        let places: Vec<_> = self.places.iter().filter(|place| place.family == family).collect();
        let used: Vec<(&Text, Vec<usize>)> = places
            .iter()
            .map(|place| (place.name, categorize(&port.endpoints, port.view, &place.before.node).reachable))
            .collect();
        for (nth, backend) in port.endpoints.iter().enumerate() {
            let nodes = used.iter().filter(|(_, reachable)| reachable.binary_search(&nth).is_ok());
            let mut nodes: Vec<Text> = nodes.map(|(name, _)| (*name).clone()).collect();
            if nodes.is_empty() {
                continue;
            }
            if nodes.len() == places.len() {
                nodes.clear();
            }
            if let Some((end, reason)) = self.end_of(port, backend, later) {
                broken.push(BrokenConnections {
                    target: target(port, family),
                    endpoint: Some(backend.socket()),
                    pod: backend.pod.clone(),
                    nodes,
                    end,
                    reason,
                });
            }
        }
    }

    /// What becomes of connections to an endpoint; `None` if they live on, or nothing is known.
    fn end_of(&self, port: &PortInfo, backend: &Backend, later: Option<&PortInfo>) -> Option<(End, String)> {
        let [before, after] = &self.worlds;
        let pod = backend.pod.as_ref().filter(|pod| before.state.pods().contains(pod));
        if let Some(pod) = pod
            && let Some(end) = of_pod(before, after, pod, backend.address)
        {
            return Some(end);
        }
        if port.protocol != Protocol::Udp {
            return None;
        }
        let serves = |other: &&Backend| other.serving;
        let later = later?;
        let still = later.endpoints.iter().filter(serves).any(|other| other.socket() == backend.socket());
        let another = later.endpoints.iter().any(|other| other.serving);
        (!still && another).then(|| {
            let reason = format!(
                "{} is no endpoint of {} that serves any longer, and others are: kube-proxy removes the entries of UDP connections to it, so their next packet goes to another endpoint",
                backend.socket(),
                port.name
            );
            (End::Moved, reason)
        })
    }

    /// The proxy process of userspace mode holds its connections itself.
    fn of_restarts(&self) -> Vec<BrokenConnections> {
        let mut broken: Vec<BrokenConnections> = Vec::new();
        for family in IpFamily::BOTH {
            let places = self.places.iter().filter(|place| place.family == family);
            let restarted = places.filter(|place| {
                place.before.mode == ProxyMode::Userspace
                    && (place.before.mode, &place.before.settings)
                        != (place.after.mode, &place.after.settings)
            });
            let nodes: BTreeSet<Text> = restarted.map(|place| place.name.clone()).collect();
            if nodes.is_empty() {
                continue;
            }
            let world = &self.worlds[0];
            for service in world.state.services().values() {
                for port in
                    world.ports_of(service, family).iter().filter(|port| port.protocol != Protocol::Sctp)
                {
                    broken.push(BrokenConnections {
                        target: target(port, family),
                        endpoint: None,
                        pod: None,
                        nodes: nodes.iter().cloned().collect(),
                        end: End::Reset,
                        reason: "in userspace mode the kube-proxy process holds both halves of every connection: they end when it is started anew with other settings".to_owned(),
                    });
                }
            }
        }
        broken
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

/// The cluster IP stands for all of the port's addresses.
fn target(port: &PortInfo, family: IpFamily) -> Target {
    let to = Destination {
        kind: TargetKind::ClusterIp,
        ip: Some(port.cluster_ip),
        port: port.port,
        protocol: port.protocol,
        family,
    };
    let service = Key::new(port.namespace.clone(), port.service.clone());
    to.target(to.ip, &Claim { service, port_name: port.port_name.clone() })
}
