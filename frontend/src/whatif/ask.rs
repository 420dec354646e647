//! The question itself: the edits applied to the cluster as it is known, and what differs.

use std::sync::Arc;

use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::difference::Difference;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Outcome {
    /// Nothing is asked.
    #[default]
    Nothing,
    /// An edit is not possible, for the API server's reason.
    Refused {
        index: usize,
        reason: String,
    },
    Answer(Arc<Answer>),
}

/// A hypothetical cluster and how it differs.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub after: Arc<ClusterState>,
    pub difference: Difference,
}

impl Outcome {
    pub fn after(&self) -> Option<&Arc<ClusterState>> {
        match self {
            Outcome::Answer(answer) => Some(&answer.after),
            _ => None,
        }
    }
}

/// Asks what the edits would do.
pub fn ask(
    _state: &ClusterState,
    _edits: &[vipscope_shared::whatif::edit::Edit],
    _now: jiff::Timestamp,
) -> Outcome {
    Outcome::Nothing
}
