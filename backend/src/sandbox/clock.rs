//! The sandbox's clock: the wall's time when it started, moved on by tokio's time, so that a test that advances tokio's
//! clock advances the whole cluster.

use jiff::{Timestamp, Unit};
use tokio::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Timestamp,
    origin: Instant,
}

impl Clock {
    pub fn starting_at(start: Timestamp) -> Clock {
        Clock { start, origin: Instant::now() }
    }

    pub fn now(&self) -> Timestamp {
        self.start.checked_add(self.origin.elapsed()).unwrap_or(self.start)
    }

    /// Now, as Kubernetes writes times: RFC 3339 with whole seconds.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }

    pub fn stamp_in(&self, delay: Duration) -> String {
        let now = self.now();
        stamp(now.checked_add(delay).unwrap_or(now))
    }
}

fn stamp(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}
