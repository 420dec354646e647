//! What would come, go or change in a hypothetical cluster: ghosts over the picture of the present one.

use std::fmt;
use std::sync::Arc;

use super::status::Statuses;
use crate::model::ClusterState;

/// The hypothetical cluster that is held against the present one. Equal is the very same state.
#[derive(Clone)]
pub struct Hypothesis(pub Arc<ClusterState>);

impl PartialEq for Hypothesis {
    fn eq(&self, other: &Hypothesis) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Hypothesis {}

impl fmt::Debug for Hypothesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hypothesis").field("pods", &self.0.pods().len()).finish_non_exhaustive()
    }
}

/// How something stands in the hypothetical cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ghost {
    /// It is there, and would not be.
    Gone,
    /// It is not there, and would be.
    New,
    /// It would be otherwise.
    Changed,
}

impl Ghost {
    /// One word, as in the DOM.
    pub fn as_str(self) -> &'static str {
        match self {
            Ghost::Gone => "gone",
            Ghost::New => "new",
            Ghost::Changed => "changed",
        }
    }
}

/// The hypothetical cluster with its Services' statuses.
pub(super) struct After<'a> {
    pub(super) state: &'a ClusterState,
    pub(super) statuses: Statuses,
}

impl<'a> After<'a> {
    /// `now` are the statuses of the present cluster: what does not differ has the same pointers.
    pub(super) fn of(hypothesis: &'a Hypothesis, now: &Statuses) -> After<'a> {
        After { state: &hypothesis.0, statuses: Statuses::of(&hypothesis.0, Some(now)) }
    }
}
