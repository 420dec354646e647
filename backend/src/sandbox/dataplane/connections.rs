//! A node's connection table, counted by flow: what is open, what is remembered, and how much there has been.
//!
//! Times are milliseconds. Timeouts are the kernel's defaults (`nf_conntrack_tcp_timeout_*`, `nf_conntrack_udp_timeout`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use vipscope_shared::model::Protocol;

use crate::agent::{ConnectionCount, Counters, Flow, FlowEnd};

/// After a connection was closed.
const TIME_WAIT: u64 = 120_000;
/// After a connection was refused.
const CLOSED: u64 = 10_000;
/// Without an answer to the first packet.
const SYN_SENT: u64 = 120_000;
const UDP: u64 = 30_000;
/// Flows without an entry are forgotten after this time, with their totals.
const FORGOTTEN: u64 = 600_000;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    total: u64,
    open: u64,
    tracked: u64,
    last: u64,
}

/// What becomes of entries at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    Close,
    Forget,
}

#[derive(Debug, Default)]
pub struct Connections {
    flows: HashMap<Flow, Entry>,
    /// By time: how many entries of a flow change.
    agenda: BTreeMap<u64, HashMap<(Flow, Change), u64>>,
    /// Open connections by VIP and endpoint, for schedulers that count them.
    open_at: HashMap<(SocketAddr, SocketAddr), u64>,
    open: u64,
}

impl Connections {
    /// A new connection that stays open for `lasts`.
    pub fn add(&mut self, flow: Flow, now: u64, lasts: u64) {
        let entry = self.flows.entry(flow).or_default();
        entry.total += 1;
        entry.last = now;
        let (open_for, then_kept) = match (flow.end, flow.protocol) {
            // What is dropped before it is confirmed leaves no entry; refused connections leave one that is closed.
            (FlowEnd::Dropped | FlowEnd::Refused, Protocol::Udp | Protocol::Sctp) | (FlowEnd::Dropped, _) => {
                return;
            }
            (FlowEnd::Refused, Protocol::Tcp) => (0, CLOSED),
            (_, Protocol::Udp) => (UDP, 0),
            (FlowEnd::Failed(_) | FlowEnd::Unclaimed, _) => (SYN_SENT, 0),
            (FlowEnd::Delivered(_), _) => (lasts, TIME_WAIT),
        };
        entry.tracked += 1;
        if open_for > 0 {
            entry.open += 1;
            self.open += 1;
            if let FlowEnd::Delivered(to) = flow.end {
                *self.open_at.entry((flow.to, to)).or_default() += 1;
            }
            self.plan(now + open_for, flow, Change::Close);
        }
        self.plan(now + open_for + then_kept, flow, Change::Forget);
    }

    fn plan(&mut self, at: u64, flow: Flow, change: Change) {
        *self.agenda.entry(at).or_default().entry((flow, change)).or_default() += 1;
    }

    /// Lets time pass.
    pub fn pass(&mut self, now: u64) {
        while let Some(first) = self.agenda.first_entry().filter(|first| *first.key() <= now) {
            for ((flow, change), count) in first.remove() {
                match change {
                    Change::Close => self.close(&flow, count),
                    Change::Forget => {
                        if let Some(entry) = self.flows.get_mut(&flow) {
                            entry.tracked = entry.tracked.saturating_sub(count);
                        }
                    }
                }
            }
        }
        if now.is_multiple_of(FORGOTTEN / 10) {
            self.flows.retain(|_, entry| entry.tracked > 0 || now.saturating_sub(entry.last) < FORGOTTEN);
        }
    }

    fn close(&mut self, flow: &Flow, count: u64) {
        let Some(entry) = self.flows.get_mut(flow) else { return };
        let count = count.min(entry.open);
        entry.open -= count;
        self.open -= count;
        if let FlowEnd::Delivered(to) = flow.end
            && let Some(open) = self.open_at.get_mut(&(flow.to, to))
        {
            *open = open.saturating_sub(count);
            if *open == 0 {
                self.open_at.remove(&(flow.to, to));
            }
        }
    }

    /// Deletes UDP entries that lead to where nobody serves any longer, as kube-proxy does after a sync.
    pub fn flush_udp(&mut self, is_served: impl Fn(SocketAddr) -> bool) {
        let gone: BTreeSet<Flow> = (self.flows.iter())
            .filter(|(flow, entry)| flow.protocol == Protocol::Udp && entry.tracked > 0)
            .filter(|(flow, _)| match flow.end {
                FlowEnd::Delivered(to) | FlowEnd::Failed(to) => !is_served(to),
                FlowEnd::Refused | FlowEnd::Dropped | FlowEnd::Unclaimed => false,
            })
            .map(|(flow, _)| *flow)
            .collect();
        for flow in gone {
            self.close(&flow, u64::MAX);
            if let Some(entry) = self.flows.get_mut(&flow) {
                entry.tracked = 0;
            }
        }
    }

    /// Connections of a VIP that an endpoint has open.
    pub fn open_at(&self, vip: SocketAddr, endpoint: SocketAddr) -> u64 {
        self.open_at.get(&(vip, endpoint)).copied().unwrap_or_default()
    }

    pub fn counters(&self, epoch: u64) -> Counters {
        let flows = self.flows.iter().map(|(flow, entry)| (*flow, entry.total)).collect();
        Counters { epoch, open: self.open, flows }
    }

    /// By source and destination.
    pub fn counts(&self) -> Vec<ConnectionCount> {
        let tracked = self.flows.iter().filter(|(_, entry)| entry.tracked > 0);
        let mut sorted: Vec<_> = tracked.collect();
        sorted.sort_by_key(|(flow, _)| **flow);
        let count = |(flow, entry): (&Flow, &Entry)| ConnectionCount {
            source: flow.source,
            to: flow.to,
            protocol: flow.protocol,
            reply_from: match flow.end {
                FlowEnd::Delivered(to) | FlowEnd::Failed(to) => to,
                FlowEnd::Refused | FlowEnd::Dropped | FlowEnd::Unclaimed => flow.to,
            },
            open: entry.open,
            tracked: entry.tracked,
        };
        sorted.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_live_as_long_as_the_kernels() {
        let to: SocketAddr = ([10, 244, 0, 2], 80).into();
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        // What became of it, and at which times it is open and tracked.
        let rows = [
            (FlowEnd::Delivered(to), tcp, 500, TIME_WAIT + 500),
            (FlowEnd::Failed(to), tcp, SYN_SENT, SYN_SENT),
            (FlowEnd::Unclaimed, tcp, SYN_SENT, SYN_SENT),
            (FlowEnd::Refused, tcp, 0, CLOSED),
            (FlowEnd::Dropped, tcp, 0, 0),
            (FlowEnd::Delivered(to), udp, UDP, UDP),
            (FlowEnd::Refused, udp, 0, 0),
        ];
        for (end, protocol, open_until, tracked_until) in rows {
            let flow =
                Flow { source: [10, 244, 0, 9].into(), to: ([10, 96, 0, 1], 80).into(), protocol, end };
            let mut table = Connections::default();
            table.add(flow, 0, 500);
            for now in [
                0,
                499,
                500,
                CLOSED - 1,
                CLOSED,
                UDP - 1,
                UDP,
                SYN_SENT - 1,
                SYN_SENT,
                SYN_SENT + 499,
                SYN_SENT + 500,
            ] {
                table.pass(now);
                let seen =
                    (table.counters(0).open, table.counts().iter().map(|count| count.tracked).sum::<u64>());
                assert_eq!(
                    seen,
                    (u64::from(now < open_until), u64::from(now < tracked_until)),
                    "{end:?} {protocol} at {now}"
                );
            }
            assert_eq!(table.counters(0).flows, [(flow, 1)], "what has been stays counted");
        }
    }

    #[test]
    fn datagrams_to_where_nobody_serves_are_flushed() {
        let (gone, here): (SocketAddr, SocketAddr) =
            (([10, 244, 0, 2], 53).into(), ([10, 244, 0, 3], 53).into());
        let flow = |to, protocol| Flow {
            source: [10, 244, 0, 9].into(),
            to: ([10, 96, 0, 10], 53).into(),
            protocol,
            end: FlowEnd::Delivered(to),
        };
        let mut table = Connections::default();
        for (to, protocol) in [(gone, Protocol::Udp), (here, Protocol::Udp), (gone, Protocol::Tcp)] {
            table.add(flow(to, protocol), 0, 1000);
        }
        table.flush_udp(|to| to == here);
        let left: Vec<_> = table.counts().iter().map(|count| (count.reply_from, count.protocol)).collect();
        assert_eq!(left, [(gone, Protocol::Tcp), (here, Protocol::Udp)]);
        assert_eq!(table.counters(0).open, 2);
    }
}
