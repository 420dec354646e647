//! The way of a traced packet over the map: from its source to the VIP, and from there to the endpoints that get a share,
//! or to where it is stopped.

use std::collections::{BTreeMap, BTreeSet};

use super::status::port_name;
use super::{SourceId, Target};
use crate::model::{ClusterState, Key, Service, Text};
use crate::predict::names::Source;
use crate::predict::{Answer, cards::fraction_text};
use crate::trace::{Fraction, Origin, Verdict};

/// What the map shows of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub source: SourceId,
    /// The pod or node that sends, if it is one.
    pub sender: Option<Target>,
    pub service: Key,
    /// As in [`Target::Port`].
    pub port: Option<Text>,
    /// Numerator and denominator of each endpoint's share.
    pub ends: BTreeMap<Target, [u64; 2]>,
    /// What becomes of the connections that no endpoint gets, in a word or two; empty if there are none.
    pub stop: Text,
}

/// How something stands towards the way of a traced packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathRole {
    /// Nothing is traced, or it is a frame around other things.
    #[default]
    None,
    On,
    /// The way ends here, at least for some.
    Stop,
    /// Beside it: drawn faintly.
    Off,
}

impl PathRole {
    /// As in the DOM; empty for [`PathRole::None`].
    pub fn as_str(self) -> &'static str {
        match self {
            PathRole::None => "",
            PathRole::On => "on",
            PathRole::Stop => "stop",
            PathRole::Off => "off",
        }
    }
}

impl Path {
    /// `None` if the packet goes to no address of a Service: then there is nothing on the map to show.
    pub fn of(state: &ClusterState, from: &Source, answer: &Answer) -> Option<Path> {
        let (service, port) = match &answer.claim {
            Some(claim) => {
                let service = state.services().get(&claim.service)?;
                let named = service.ports.iter().find(|port| port.name == claim.port_name);
                (claim.service.clone(), named.map(port_name))
            }
            None => (owner(state, answer)?, None),
        };
        let (source, sender) = source(state, from, answer);
        let mut ends: BTreeMap<Target, [u64; 2]> = BTreeMap::new();
        let delivered = |verdict| verdict == Verdict::Deliver;
        for outcome in answer.outcomes.iter().filter(|outcome| delivered(outcome.verdict)) {
            let address = || Target::Address(outcome.destination.ip().to_string().into());
            let target = outcome.pod.clone().map_or_else(address, Target::Pod);
            let sum =
                ends.get(&target).map_or(Some(outcome.fraction), |known| plus(*known, outcome.fraction));
            ends.insert(target, sum.unwrap_or(outcome.fraction));
        }
        let words = |verdict: Verdict| match verdict {
            Verdict::Deliver => "",
            Verdict::Accept => "taken by the node",
            Verdict::Drop => "dropped",
            Verdict::Reject => "refused",
            Verdict::NoMatch => "no rule matches",
            Verdict::Unknown => "unknown rule",
        };
        let stops = answer.outcomes.iter().map(|outcome| outcome.verdict).filter(|&one| !delivered(one));
        let stop = stops.map(words).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
        Some(Path { source, sender, service, port, ends, stop: stop.into() })
    }

    /// The share of an endpoint as a number from 0 to 1.
    pub(super) fn share(&self, end: &Target) -> Option<f64> {
        self.ends.get(end).map(|[part, whole]| *part as f64 / (*whole).max(1) as f64)
    }

    pub(super) fn share_text(&self, end: &Target) -> Option<Text> {
        self.ends.get(end).map(|share| fraction_text(*share).into())
    }

    /// The role of anything that is no frame.
    pub(super) fn role(&self, target: &Target) -> PathRole {
        let stop = if self.stop.is_empty() { PathRole::On } else { PathRole::Stop };
        match target {
            Target::Service(key) if *key == self.service => stop,
            Target::Port(key, name) if *key == self.service && self.port.as_ref() == Some(name) => {
                PathRole::On
            }
            Target::Source(id) if *id == self.source => PathRole::On,
            target if self.sender.as_ref() == Some(target) || self.ends.contains_key(target) => PathRole::On,
            _ => PathRole::Off,
        }
    }
}

fn plus(a: [u64; 2], b: [u64; 2]) -> Option<[u64; 2]> {
    let sum = Fraction::new(a[0], a[1])?.plus(Fraction::new(b[0], b[1])?)?;
    Some([sum.numerator(), sum.denominator()])
}

/// The Service that has the address, though not the port.
fn owner(state: &ClusterState, answer: &Answer) -> Option<Key> {
    let to = answer.packet.destination;
    let has = |service: &Service| {
        service.cluster_ip.ips().contains(&to) || service.outside_ips().any(|ip| ip == to)
    };
    state.services().values().find(|service| has(service)).map(|service| service.meta.key.clone())
}

fn source(state: &ClusterState, from: &Source, answer: &Answer) -> (SourceId, Option<Target>) {
    let of_pod = |key: &Key| (SourceId::Pods(key.namespace.clone()), Some(Target::Pod(key.clone())));
    match (from, answer.packet.origin) {
        (Source::Pod(key), _) => of_pod(key),
        (Source::Node(name), _) => (SourceId::Nodes, Some(Target::Node(name.clone()))),
        (Source::External, _) | (Source::Ip(_), Origin::Outside) => (SourceId::Outside, None),
        (Source::Ip(_), Origin::Node) => (SourceId::Nodes, Some(Target::Node(answer.node.clone()))),
        (Source::Ip(ip), Origin::Pod) => {
            let mut pods = state.pods_on(&answer.node);
            let pod = pods.find(|pod| !pod.host_network && pod.ips.contains(ip));
            pod.map_or((SourceId::Outside, None), |pod| of_pod(&pod.meta.key))
        }
    }
}
