//! What is known about the data itself: how fresh each kind is, and which objects could not be read.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Kind, ObjectRef, Text};

/// How fresh the objects of one kind are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Freshness {
    /// Not listed yet; `trouble` says why, if an attempt has failed.
    Listing {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<Text>,
    },
    /// Listed and watched; changes arrive as they happen.
    Live,
    /// The watch is down: what is shown was true at `since`. Retries go on.
    Stale { since: Timestamp, reason: Text },
    /// The API server refuses this kind to us; retried rarely. Nothing of the kind is shown.
    Forbidden { reason: Text },
    /// Read once, e.g. from a file; it is as old as the file.
    Fixed,
}

impl Freshness {
    /// True once the kind's first answer has come, even if that was a refusal: what `/readyz` waits for.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Freshness::Listing { .. })
    }
}

/// The freshness of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub kind: Kind,
    pub freshness: Freshness,
}

/// What a [`Fault`] did to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultEffect {
    /// The object could not be used. If an older version of it was good, that one stays in the state.
    Dropped,
    /// The object is in the state, without the parts at fault.
    Partial,
}

/// One thing wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Path of the field, e.g. `spec.ports[0].port`; empty if the object as a whole is at fault.
    #[serde(default, skip_serializing_if = "super::meta::str_is_empty")]
    pub field: Text,
    pub reason: Text,
}

/// An object that could not be read, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub object: ObjectRef,
    pub effect: FaultEffect,
    /// Never empty.
    pub causes: Vec<Cause>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        for (nth, Cause { field, reason }) in self.causes.iter().enumerate() {
            f.write_str(if nth == 0 { ": " } else { "; " })?;
            if !field.is_empty() {
                write!(f, "{field}: ")?;
            }
            f.write_str(reason)?;
        }
        Ok(())
    }
}
