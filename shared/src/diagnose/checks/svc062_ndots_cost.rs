//! SVC062: lookups that take many queries.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(62),
    title: "ndots cost",
    severity: Severity::Info,
    condition: "Clients often look up names outside the cluster with fewer dots than ndots and no dot at the end.",
    explanation: "Every such lookup first asks for the name in each domain of the search list.",
    needs: &[],
    of_deleted: false,
    how: How::Out(
        "what clients look up, and how often, is not known; `discovery` lists the queries of one lookup",
    ),
};
