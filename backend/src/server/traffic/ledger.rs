//! Readings of all nodes to edges with rates.
//!
//! A flow is an edge as soon as it carries traffic and for [`KEPT`] turns after; several flows (clients from outside) may be one
//! edge. Edges are numbered by their place, anew whenever their list changes.

use std::collections::{BTreeMap, HashMap};

use vipscope_shared::delta::Revision;
use vipscope_shared::model::{ClusterState, Text};
use vipscope_shared::traffic::TrafficEdge;

use super::names::Names;
use crate::agent::meter::Meter;
use crate::agent::{Counters, Flow};

/// For how many turns an edge stays that carries nothing.
const KEPT: u64 = 30;

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The edge's number.
    edge: u32,
    /// The turn of the last traffic.
    last: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    meters: BTreeMap<Text, Meter>,
    flows: BTreeMap<Text, HashMap<Flow, Seen>>,
    grown: Vec<(Text, Vec<(Flow, u64)>)>,
    edges: Vec<TrafficEdge>,
    /// By edge.
    totals: Vec<u64>,
    more: Vec<u64>,
    generation: u32,
    turn: u64,
    named_at: Option<Revision>,
}

/// Whether the list of edges is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edges {
    Same,
    New,
}

impl Ledger {
    /// Takes a node's reading of this turn.
    pub fn read(&mut self, node: &Text, counters: &Counters) {
        let meter = self.meters.entry(node.clone()).or_default();
        self.grown.push((node.clone(), meter.read(counters)));
    }

    /// Ends the turn: names what was read by the objects of `state`.
    pub fn turn(&mut self, revision: &Revision, state: &ClusterState) -> Edges {
        self.turn += 1;
        let mut others = self.named_at.as_ref() != Some(revision);
        for (node, grown) in &self.grown {
            let flows = self.flows.entry(node.clone()).or_default();
            for (flow, _) in grown {
                let seen = flows.entry(*flow).or_insert_with(|| {
                    others = true;
                    Seen { edge: 0, last: 0 }
                });
                seen.last = self.turn;
            }
        }
        let old = self.turn.saturating_sub(KEPT);
        others |= self.turn.is_multiple_of(KEPT)
            && self.flows.values().flat_map(HashMap::values).any(|one| one.last < old);
        let edges = if others { self.number(revision, state, old) } else { Edges::Same };
        self.more.clear();
        self.more.resize(self.edges.len(), 0);
        for (node, grown) in std::mem::take(&mut self.grown) {
            let Some(flows) = self.flows.get(&node) else { continue };
            for (flow, more) in grown {
                let Some(seen) = flows.get(&flow) else { continue };
                self.totals[seen.edge as usize] += more;
                self.more[seen.edge as usize] += more;
            }
        }
        edges
    }

    /// Names all flows anew, without those that have carried nothing since turn `old`.
    fn number(&mut self, revision: &Revision, state: &ClusterState, old: u64) -> Edges {
        self.named_at = Some(revision.clone());
        let names = Names::new(state);
        let before = std::mem::take(&mut self.edges);
        let mut totals: HashMap<TrafficEdge, u64> =
            before.iter().cloned().zip(self.totals.drain(..)).collect();
        let mut numbers: HashMap<TrafficEdge, u32> = HashMap::new();
        for (node, flows) in &mut self.flows {
            flows.retain(|_, seen| seen.last >= old);
            let mut sorted: Vec<(&Flow, &mut Seen)> = flows.iter_mut().collect();
            sorted.sort_by_key(|(flow, _)| **flow);
            for (flow, seen) in sorted {
                let edge = names.edge(node, flow);
                seen.edge = *numbers.entry(edge).or_insert_with_key(|edge| {
                    self.totals.push(totals.remove(edge).unwrap_or_default());
                    self.edges.push(edge.clone());
                    (self.edges.len() - 1) as u32
                });
            }
        }
        self.flows.retain(|_, flows| !flows.is_empty());
        if self.edges == before {
            return Edges::Same;
        }
        self.generation = self.generation.wrapping_add(1);
        Edges::New
    }

    /// A node that is gone, or begins anew.
    pub fn keep_nodes(&mut self, is_there: impl Fn(&Text) -> bool) {
        self.meters.retain(|node, _| is_there(node));
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub fn edges(&self) -> &[TrafficEdge] {
        &self.edges
    }

    /// `[edge, rate, total]` of the edges that carried something in the last turn, which took so many seconds.
    pub fn rates(&self, seconds: f64) -> Vec<(u32, f32, u64)> {
        let carried = self.more.iter().zip(&self.totals).enumerate().filter(|(_, (more, _))| **more > 0);
        carried.map(|(at, (more, total))| (at as u32, (*more as f64 / seconds) as f32, *total)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use vipscope_shared::delta::{Change, Object};
    use vipscope_shared::model::{Key, Pod, Protocol};
    use vipscope_shared::traffic::{TrafficEnd, TrafficSource};

    use super::*;
    use crate::agent::FlowEnd;

    fn flow(source: [u8; 4], to: [u8; 4]) -> Flow {
        let end = FlowEnd::Delivered(SocketAddr::new(to.into(), 8080));
        Flow { source: source.into(), to: ([10, 96, 0, 1], 80).into(), protocol: Protocol::Tcp, end }
    }

    fn state(pod: &str) -> ClusterState {
        let mut state = ClusterState::default();
        let mut known = Pod::named(Key::new("shop", pod));
        known.ips = vec![[10, 244, 0, 2].into()];
        let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(known))));
        state
    }

    /// A turn of one node; answers the rates over a second.
    fn turn(ledger: &mut Ledger, number: u64, state: &ClusterState, totals: &[(Flow, u64)]) -> Edges {
        ledger.read(&"n1".into(), &Counters { epoch: 1, open: 0, flows: totals.to_vec() });
        ledger.turn(&Revision { epoch: "e".into(), number }, state)
    }

    #[test]
    fn edges_come_stay_are_renamed_and_go() {
        let (mut ledger, web) = (Ledger::default(), state("web"));
        let (one, two) = (flow([203, 0, 113, 1], [10, 244, 0, 2]), flow([203, 0, 113, 2], [10, 244, 0, 2]));
        assert_eq!(turn(&mut ledger, 1, &web, &[(one, 500)]), Edges::Same, "where counting begins");
        assert_eq!(ledger.edges().len(), 0);
        assert_eq!(turn(&mut ledger, 1, &web, &[(one, 510), (two, 4)]), Edges::New);
        // Two clients from outside are one edge.
        assert_eq!(ledger.rates(2.0), [(0, 7.0, 14)]);
        assert_eq!(ledger.edges()[0].source, TrafficSource::Outside);
        // Reset to 3, which is what has come since.
        assert_eq!(turn(&mut ledger, 1, &web, &[(one, 3), (two, 4)]), Edges::Same);
        assert_eq!((ledger.rates(1.0), ledger.generation()), (vec![(0, 3.0, 17)], 1));
        // The address belongs to another pod: another edge, which begins at 0.
        assert_eq!(turn(&mut ledger, 2, &state("other"), &[(one, 5), (two, 4)]), Edges::New);
        let TrafficEnd::Delivered { pod, .. } = &ledger.edges()[0].end else { panic!() };
        assert_eq!((pod.as_ref(), ledger.rates(1.0)), (Some(&Key::new("shop", "other")), vec![(0, 2.0, 2)]));
        for _ in 0..2 * KEPT {
            turn(&mut ledger, 2, &state("other"), &[(one, 5), (two, 4)]);
            assert_eq!(ledger.rates(1.0), []);
        }
        assert_eq!(ledger.edges(), []);
    }
}
