//! What the prediction says of a packet, in terms of what its sender can see, and whether it was seen.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use vipscope_shared::model::Protocol;
use vipscope_shared::trace::{Origin, Packet, Trace, Verdict};

use super::agent::{Seen, Shot};
use super::bed::View;

/// For what is predicted to be answered or refused. A connection that the node itself refuses in OUTPUT may have to be
/// tried twice, a second apart, before the kernel tells the sender.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what is predicted to be lost.
const SILENCE: Duration = Duration::from_millis(400);

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// At one of these, masqueraded or not.
    Arrival(Vec<(SocketAddr, bool)>),
    Refusal,
    Silence,
}

/// A packet, and what is predicted of it.
#[derive(Debug)]
pub struct Question {
    pub packet: Packet,
    pub trace: Trace,
    pub expected: Expected,
}

impl Question {
    /// `Err`: why the kernel cannot be asked.
    pub fn new(view: &View<'_>, packet: Packet) -> Result<Question, &'static str> {
        cannot_be(&packet)?;
        let trace = view.predictor.trace(&packet);
        let expected = expected(&trace)?;
        Ok(Question { packet, trace, expected })
    }

    pub fn verdict(&self) -> Verdict {
        self.trace.outcomes[0].verdict
    }

    /// For how many seconds the client is remembered, if it is.
    pub fn affinity(&self) -> Option<u32> {
        let affinity = self.trace.outcomes[0].conditions.affinity;
        affinity.filter(|_| matches!(self.expected, Expected::Arrival(_)))
    }

    pub fn shot(&self) -> (Origin, Shot) {
        let Packet { source, destination, port, protocol, origin } = self.packet;
        let patience = if self.expected == Expected::Silence { SILENCE } else { PATIENCE };
        (origin, Shot { protocol, source, to: SocketAddr::new(destination, port), patience })
    }

    /// Whether it was as predicted.
    pub fn agrees(&self, view: &View<'_>, seen: &Seen) -> bool {
        match (&self.expected, seen) {
            (Expected::Arrival(places), Seen::Answer { at, source, peer }) => {
                let masqueraded = source != peer;
                places.contains(&(*at, masqueraded)) && (!masqueraded || view.is_nodes(peer.ip()))
            }
            (Expected::Refusal, Seen::Refused) | (Expected::Silence, Seen::Silence) => true,
            // There is no route for it: the kernel says so at once, or when it would send.
            (Expected::Silence, Seen::Unsent(_)) => self.packet.source.is_loopback(),
            _ => false,
        }
    }

    /// It may arrive, but not its answer: IPv6 lets packets from loopback out if they are masqueraded.
    pub fn may_arrive_in_silence(&self) -> bool {
        let loopback = self.packet.source.is_ipv6() && self.packet.source.is_loopback();
        loopback && self.expected == Expected::Silence
    }
}

/// Packets that no socket can send, or that never come to the node.
fn cannot_be(packet: &Packet) -> Result<(), &'static str> {
    let Packet { source, destination, protocol, origin, .. } = *packet;
    let one_host = |ip: IpAddr| !ip.is_unspecified() && !ip.is_multicast();
    if protocol == Protocol::Sctp {
        return Err("SCTP, of which the standard library has no sockets");
    }
    if !one_host(source) || !one_host(destination) {
        return Err("not the address of one host");
    }
    if origin == Origin::Pod && (destination == source || destination.is_loopback()) {
        return Err("a pod to itself, which does not leave it");
    }
    Ok(())
}

fn expected(trace: &Trace) -> Result<Expected, &'static str> {
    let verdict = trace.outcomes[0].verdict;
    if trace.outcomes.iter().any(|one| one.verdict != verdict) {
        return Err("some endpoints are on the node and some are not, and the packet is from loopback");
    }
    match verdict {
        Verdict::Drop => return Ok(Expected::Silence),
        Verdict::Reject => return Ok(Expected::Refusal),
        Verdict::Deliver | Verdict::Accept | Verdict::NoMatch => {}
        Verdict::Unknown => panic!("generated rules are understood: {trace:?}"),
    }
    let places = trace.outcomes.iter().map(|outcome| (outcome.destination, outcome.masquerade));
    Ok(Expected::Arrival(places.collect()))
}
