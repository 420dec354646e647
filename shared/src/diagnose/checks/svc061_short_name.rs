//! SVC061: a short name for a Service of another namespace.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(61),
    title: "Short name used across namespaces",
    severity: Severity::Warn,
    condition: "The configuration or environment of a client holds a bare Service name that only another namespace has.",
    explanation: "A bare name is looked up in the client's own namespace only.",
    needs: &[],
    of_deleted: false,
    how: How::Out(
        "configurations and environments of clients are not read; `discovery` answers what a name means for a pod",
    ),
};
