//! SVC054: containers that started before the Service was made.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(54),
    title: "Client pod older than the Service (environment variables)",
    severity: Severity::Info,
    condition: "A running container of the namespace started before the Service was created, gets Service variables, and its environment or command mentions the Service's variable.",
    explanation: "Service variables are fixed when a container starts.",
    needs: &[],
    of_deleted: false,
    how: How::Out(
        "environments and commands of containers are dropped as they arrive, so nobody knows who reads a variable; `discovery` lists the variables that a container lacks",
    ),
};
