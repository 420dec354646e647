//! SVC060: a NetworkPolicy in the way.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(60),
    title: "NetworkPolicy blocks target port",
    severity: Severity::Warn,
    condition: "An ingress policy selects the pods, and no rule admits any source on the target port.",
    explanation: "Policies see the pod's port, after the Service's address has been rewritten.",
    needs: &[],
    of_deleted: false,
    how: How::Out("NetworkPolicies are not watched"),
};
