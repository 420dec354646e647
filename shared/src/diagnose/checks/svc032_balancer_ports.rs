//! SVC032: a balancer that refuses ports.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(32),
    title: "LoadBalancer ports error",
    severity: Severity::Error,
    condition: "The condition LoadBalancerPortsError is True, or an entry of status.loadBalancer.ingress[].ports has an error.",
    explanation: "The provider does not serve some of the ports, typically because it wants one protocol per Service.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if s.service.balancer_errors.is_empty() {
        return Vec::new();
    }
    let problem = s.problem(list(s.service.balancer_errors.iter().map(|error| &error.reason)));
    let problem = s
        .service
        .balancer_errors
        .iter()
        .fold(problem, |problem, error| problem.own(error.field.clone(), &error.reason));
    let problem = problem.advice("make one LoadBalancer Service for each protocol").kubectl(&[
        "kubectl",
        "-n",
        s.namespace(),
        "describe",
        "service",
        s.name(),
    ]);
    vec![problem]
}
