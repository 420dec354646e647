//! The question itself: the edits applied to the cluster as it is known, and what differs.

use std::sync::Arc;

use jiff::Timestamp;
use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::difference::Difference;
use vipscope_shared::whatif::edit::Edit;
use vipscope_shared::whatif::{Options, difference_paced};

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Outcome {
    /// Nothing is asked.
    #[default]
    Nothing,
    /// An edit is not possible, for the API server's reason.
    Refused {
        /// From 0.
        index: usize,
        reason: String,
    },
    Answer(Arc<Answer>),
}

/// A hypothetical cluster and how it differs.
#[derive(Debug)]
pub struct Answer {
    pub after: Arc<ClusterState>,
    pub difference: Difference,
}

impl PartialEq for Answer {
    /// The same cluster is most often the very same.
    fn eq(&self, other: &Answer) -> bool {
        let same = Arc::ptr_eq(&self.after, &other.after) || self.after == other.after;
        same && self.difference == other.difference
    }
}

impl Outcome {
    pub fn after(&self) -> Option<&Arc<ClusterState>> {
        match self {
            Outcome::Answer(answer) => Some(&answer.after),
            _ => None,
        }
    }
}

/// Asks what the edits would do at the time `now`, with pauses if it takes long.
pub async fn ask(state: &ClusterState, edits: &[Edit], now: Timestamp, pause: &impl AsyncFn()) -> Outcome {
    match apply(state, edits, now) {
        Err(refusal) => Outcome::Refused { index: refusal.index, reason: refusal.reason },
        Ok(edited) => {
            pause().await;
            let options = Options { changed: Some(&edited.changed), ..Options::at(now) };
            let difference = difference_paced(state, &edited.state, &options, pause).await;
            Outcome::Answer(Arc::new(Answer { after: Arc::new(edited.state), difference }))
        }
    }
}
