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
