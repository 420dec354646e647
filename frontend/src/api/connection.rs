//! The states of the connection and how patient it is: pure, without clock, socket or randomness.

use jiff::Timestamp;

/// Nothing heard for so long: the connection is dead, whatever the socket says. Three heartbeats.
pub const SILENCE_MS: u32 = 15_000;
/// Failed attempts in a row after which [`Connection::Reconnecting`] becomes [`Connection::Disconnected`].
pub const PATIENT_ATTEMPTS: u32 = 4;

const FIRST_WAIT_MS: u32 = 500;
const LONGEST_WAIT_MS: u32 = 10_000;

/// How the page stands with its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// No snapshot yet: there is nothing to show. `problem` says why the last attempt failed, if one did.
    Connecting { attempt: u32, problem: Option<String> },
    /// A snapshot was just taken, or the stream was heard within the last [`SILENCE_MS`].
    Live,
    /// The stream broke: what is shown was true at `since` (the server's clock). Trying again, so far without alarm.
    Reconnecting { since: Timestamp, attempt: u32 },
    /// Several attempts failed. Goes on trying every few seconds; what is shown was true at `since`.
    Disconnected { since: Timestamp, attempt: u32, problem: String },
}

impl Connection {
    /// Since when what is shown may be old.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Connection::Connecting { .. } | Connection::Live => None,
            Connection::Reconnecting { since, .. } | Connection::Disconnected { since, .. } => Some(*since),
        }
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The snapshot failed, or the socket could not be made; for people.
    Unreachable(String),
    /// The socket closed.
    Lost,
    /// Nothing came for [`SILENCE_MS`].
    Silent,
    /// The stream can't go on from where we are: a new snapshot is needed.
    Resync,
}

impl Ending {
    fn problem(&self) -> String {
        match self {
            Ending::Unreachable(problem) => problem.clone(),
            Ending::Lost => "the connection was lost".to_owned(),
            Ending::Silent => format!("nothing heard for {} s", SILENCE_MS / 1000),
            Ending::Resync => "the backend asked for a new snapshot".to_owned(),
        }
    }
}

/// Counts failures and remembers what the next attempt needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patience {
    /// Attempts in a row that heard nothing from the stream.
    failures: u32,
    heard: bool,
    has_snapshot: bool,
    since: Option<Timestamp>,
}

impl Patience {
    pub fn needs_snapshot(&self) -> bool {
        !self.has_snapshot
    }

    pub fn took_snapshot(&mut self) {
        self.has_snapshot = true;
    }

    /// The stream said something: the connection works.
    pub fn heard(&mut self) {
        self.heard = true;
        self.failures = 0;
        self.since = None;
    }

    /// Takes the end of an attempt; answers the milliseconds to wait before the next. `random` is in [0, 1).
    pub fn after(&mut self, ending: &Ending, random: f64) -> u32 {
        let worked = std::mem::take(&mut self.heard);
        if *ending == Ending::Resync {
            self.has_snapshot = false;
        }
        // A stream that worked and asks for a snapshot gets it at once; one that only ever asks has to wait.
        if worked && *ending == Ending::Resync {
            return 0;
        }
        self.failures += 1;
        backoff_ms(self.failures - 1, random)
    }

    /// What to show between attempts. `heard` is when the server was last heard, by its clock;
    /// without it there is no state to show.
    pub fn connection(&mut self, ending: &Ending, heard: Option<Timestamp>) -> Connection {
        let attempt = self.failures + 1;
        let Some(heard) = heard else {
            return Connection::Connecting { attempt, problem: Some(ending.problem()) };
        };
        if self.failures == 0 {
            return Connection::Live;
        }
        let since = *self.since.get_or_insert(heard);
        if self.failures < PATIENT_ATTEMPTS {
            Connection::Reconnecting { since, attempt }
        } else {
            Connection::Disconnected { since, attempt, problem: ending.problem() }
        }
    }
}

/// Doubles from 0.5 s to 10 s; between half and all of it by `random` in [0, 1), so that many pages don't come at once.
pub fn backoff_ms(failures: u32, random: f64) -> u32 {
    let most = FIRST_WAIT_MS.saturating_mul(1 << failures.min(8)).min(LONGEST_WAIT_MS);
    let half = f64::from(most) / 2.0;
    (half + half * random) as u32
}
