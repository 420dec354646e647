//! One word on how live the data is, from the connection to the backend and the backend's own sources. Pure but for the
//! time zone.

use jiff::Timestamp;
use vipscope_shared::api::SourceKind;
use vipscope_shared::model::{ClusterState, Freshness};

use crate::api::Connection;
use crate::store::StoreState;
use crate::ui::{Mark, clock_seconds};

/// How live the picture is: the worst of connection and sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    /// `data-state`: `connecting`, `live`, `file`, `reconnecting`, `stale`, `disconnected`.
    pub state: &'static str,
    pub words: String,
    pub mark: Mark,
    /// Changes arrive as they happen.
    pub is_moving: bool,
}

/// Judges. What is shown may be old since the earliest of the reasons.
pub fn liveness(connection: &Connection, data: &StoreState) -> Liveness {
    let of = |state, words: String, mark| Liveness { state, words, mark, is_moving: state == "live" };
    match connection {
        Connection::Connecting { .. } => of("connecting", "connecting".to_owned(), Mark::Off),
        Connection::Reconnecting { .. } => of("reconnecting", "reconnecting".to_owned(), Mark::Warn),
        Connection::Disconnected { since, .. } => {
            of("disconnected", format!("disconnected since {}", clock_seconds(*since)), Mark::Bad)
        }
        Connection::Live if data.opened.is_some() => {
            Liveness { is_moving: false, ..of("file", "opened here".to_owned(), Mark::Ok) }
        }
        Connection::Live => match stale_since(&data.state) {
            Some(since) => of("stale", format!("stale since {}", clock_seconds(since)), Mark::Warn),
            None if is_file(data) => {
                Liveness { is_moving: false, ..of("live", "from a file".to_owned(), Mark::Ok) }
            }
            None => of("live", "live".to_owned(), Mark::Ok),
        },
    }
}

fn is_file(data: &StoreState) -> bool {
    data.cluster.as_ref().is_some_and(|cluster| cluster.source == SourceKind::File)
}

/// Since when the first of the kinds is stale.
pub fn stale_since(state: &ClusterState) -> Option<Timestamp> {
    let stale = state.sources().values().filter_map(|source| match &source.freshness {
        Freshness::Stale { since, .. } => Some(*since),
        _ => None,
    });
    stale.min()
}
