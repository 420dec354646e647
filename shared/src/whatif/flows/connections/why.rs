//! What ends, moves or unpins connections: each cause with its end and its words.

use std::net::SocketAddr;

use crate::whatif::difference::End;

/// Why connections of a port, to an endpoint or at an address do not go on as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// The endpoint's pod ends, is gone, or its node is lost.
    Pod,
    /// UDP: kube-proxy removes the entries, and other endpoints take what follows.
    Cleaned,
    /// The same, but no endpoint is left that the node may use: it drops.
    CleanedDropped,
    /// The same, and it refuses.
    CleanedRefused,
    /// UDP: no endpoint serves, so kube-proxy does not look at the entries.
    Left,
    /// UDP in ipvs mode: the real server is gone, others are there.
    Rescheduled,
    /// The same, and none is left.
    NoRealServer,
    /// SCTP in ipvs mode: the real server is gone.
    Association,
    /// UDP: the whole port is gone, which kube-proxy does not look for.
    PortGone,
    /// UDP: the address belongs to another port now.
    TakenOver,
    /// ipvs mode: the virtual server is gone, and the address with it.
    Unbound,
    /// ipvs mode: the virtual server is gone, but the address is still one of the node's.
    Undelivered,
    /// Userspace mode, UDP: the socket of the port is closed.
    SocketClosed,
    /// The node changes from ipvs to nftables mode.
    Flushed,
    /// The kube-proxy process of userspace mode is started anew.
    Restarted,
    /// Affinity kept clients at an endpoint that the node does not use any longer.
    Unpinned,
    /// Affinity is switched off.
    AffinityOff,
    /// The node changes its mode, and the new one starts without a memory.
    AffinityForgotten,
}

impl Why {
    pub fn end(self) -> End {
        match self {
            Why::CleanedRefused | Why::NoRealServer | Why::Restarted => End::Reset,
            Why::Pod | Why::CleanedDropped | Why::Unbound | Why::SocketClosed | Why::Flushed => End::TimeOut,
            Why::Cleaned | Why::Rescheduled | Why::TakenOver => End::Moved,
            Why::Left | Why::Association | Why::PortGone | Why::Undelivered => End::Unknown,
            Why::Unpinned | Why::AffinityOff | Why::AffinityForgotten => End::Unpinned,
        }
    }

    /// `port`: its `namespace/service:portname`.
    pub fn words(self, port: &str, endpoint: Option<SocketAddr>) -> String {
        let at = endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default();
        let cleaned = |then: &str| {
            format!(
                "{at} is no endpoint of {port} that serves any longer, and others are: kube-proxy removes the entries of UDP connections to it, so their next packet {then}"
            )
        };
        let removed = |kind: &str, then: &str| {
            format!(
                "in ipvs mode, real servers of {kind} are removed at once: IPVS lets what is open to {at} expire with its next packet (expire_nodest_conn); {then}"
            )
        };
        let deleted = |then: &str| {
            format!(
                "in ipvs mode, a virtual server that nobody wants is deleted at once: IPVS lets connections to it expire with their next packet (expire_nodest_conn); {then}"
            )
        };
        match self {
            Why::Pod => String::new(),
            Why::Cleaned => cleaned("goes to another endpoint"),
            Why::CleanedDropped => {
                cleaned("is dropped: there is no endpoint that these nodes may use (policy Local)")
            }
            Why::CleanedRefused => cleaned("is refused: there is no endpoint that is ready"),
            Why::Left => format!(
                "no endpoint of {port} serves any longer: kube-proxy 1.36 then leaves the entries of UDP connections alone, whose packets go on to {at}; later releases remove them, and the next packet is refused"
            ),
            Why::Rescheduled => removed("UDP", "what follows goes to another"),
            Why::NoRealServer => removed("UDP", "none is left, and what follows is refused"),
            Why::Association => removed("SCTP", "whether the peer is told is not documented"),
            Why::PortGone => format!(
                "kube-proxy 1.36 does not remove the entries of UDP connections to a port that is gone ({port}): while no pause is longer than the kernel's time-out, packets go on to their endpoint; later releases remove them, and the next packet finds no Service"
            ),
            Why::TakenOver => format!(
                "the address belongs to {port} now: kube-proxy removes the entries of UDP connections there to what is none of its endpoints, so their next packet goes to one that is"
            ),
            Why::Unbound => {
                deleted("the address leaves the node, too (kube-ipvs0): packets to it are routed on, and nobody answers")
            }
            Why::Undelivered => {
                deleted("the address still is one of the node's, and how it answers what follows is not documented")
            }
            Why::SocketClosed => {
                "in userspace mode, kube-proxy closes the socket of a port that is gone, and what it holds for clients of UDP (TCP connections that are open go on)".to_owned()
            }
            Why::Flushed => {
                "nftables mode starts by removing what ipvs mode left: IPVS does not translate the packets of open connections any longer, and no rule does".to_owned()
            }
            Why::Restarted => {
                "in userspace mode the kube-proxy process holds both halves of every connection: they end when it is started anew with other settings".to_owned()
            }
            Why::Unpinned => format!(
                "clients whom affinity (ClientIP) keeps at {at} go to another endpoint with their next connection, and stay there"
            ),
            Why::AffinityOff => {
                "affinity (ClientIP) is switched off: clients whom it keeps at an endpoint go to any of them with their next connection".to_owned()
            }
            Why::AffinityForgotten => {
                "another mode does not know which client affinity (ClientIP) keeps at which endpoint: with their next connection, clients go to any of them".to_owned()
            }
        }
    }
}
