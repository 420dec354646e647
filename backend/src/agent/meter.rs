//! Rates out of counters that others keep: a counter may be reset, replaced, or read for the first time.

use std::collections::HashMap;

use super::{Counters, Flow};

/// What one node's flows have grown by since the last reading.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    epoch: Option<u64>,
    last: HashMap<Flow, u64>,
}

impl Meter {
    /// Takes a reading; answers the flows that have grown, and by how much. The first reading, and the first of another epoch,
    /// says nothing about rates: it is where counting begins. A counter that is smaller than before was reset, and what it
    /// shows has come since; a flow that is new has come as a whole.
    pub fn read(&mut self, counters: &Counters) -> Vec<(Flow, u64)> {
        let begins = self.epoch != Some(counters.epoch);
        self.epoch = Some(counters.epoch);
        if begins {
            self.last = counters.flows.iter().copied().collect();
            return Vec::new();
        }
        let mut grown = Vec::new();
        for (flow, total) in &counters.flows {
            let before = self.last.insert(*flow, *total).unwrap_or(0);
            let more = if *total >= before { total - before } else { *total };
            if more > 0 {
                grown.push((*flow, more));
            }
        }
        // Flows that the node has forgotten begin at 0 if they come again.
        if self.last.len() > counters.flows.len() {
            self.last = counters.flows.iter().copied().collect();
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use vipscope_shared::model::Protocol;

    use super::super::FlowEnd;
    use super::*;

    fn flow(number: u8) -> Flow {
        let source = [10, 0, 0, number].into();
        Flow { source, to: ([10, 96, 0, 1], 80).into(), protocol: Protocol::Tcp, end: FlowEnd::Refused }
    }

    fn counters(epoch: u64, totals: &[(u8, u64)]) -> Counters {
        Counters { epoch, open: 0, flows: totals.iter().map(|(at, total)| (flow(*at), *total)).collect() }
    }

    /// Readings of a node one after the other: epoch, totals by flow, and what has come.
    type Row<'a> = (u64, &'a [(u8, u64)], &'a [(u8, u64)]);

    #[test]
    fn growth_without_spikes_and_negatives() {
        let rows: [(&str, &[Row]); 6] = [
            ("where counting begins", &[(1, &[(1, 1000)], &[]), (1, &[(1, 1003)], &[(1, 3)])]),
            ("nothing new", &[(1, &[(1, 5)], &[]), (1, &[(1, 5)], &[])]),
            ("reset", &[(1, &[(1, 1000)], &[]), (1, &[(1, 4)], &[(1, 4)]), (1, &[(1, 6)], &[(1, 2)])]),
            ("a new flow", &[(1, &[], &[]), (1, &[(2, 7)], &[(2, 7)])]),
            (
                "counting begins anew",
                &[(1, &[(1, 10)], &[]), (2, &[(1, 900)], &[]), (2, &[(1, 901)], &[(1, 1)])],
            ),
            (
                "forgotten and back",
                &[(1, &[(1, 10), (2, 1)], &[]), (1, &[(2, 1)], &[]), (1, &[(1, 3), (2, 1)], &[(1, 3)])],
            ),
        ];
        for (name, readings) in rows {
            let mut meter = Meter::default();
            for (epoch, totals, expected) in readings {
                let grown = meter.read(&counters(*epoch, totals));
                let expected: Vec<_> = expected.iter().map(|(at, more)| (flow(*at), *more)).collect();
                assert_eq!(grown, expected, "{name}");
            }
        }
    }
}
