//! SVC031: a balancer that does not come.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(31),
    title: "LoadBalancer pending",
    severity: Severity::Warn,
    condition: "The type is LoadBalancer and status.loadBalancer.ingress is empty more than 5 minutes after the creation. Error after 15 minutes. (Events, which would name the reason, are not read.)",
    explanation: "Nobody has given the Service an address: on bare metal there is often no controller that would, and with a loadBalancerClass only the controller of that class acts.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some(age) = s.facts.age(s.service.meta.created) else { return Vec::new() };
    if !s.is_balancer() || !s.service.ingress.is_empty() || age <= minutes(5) {
        return Vec::new();
    }
    let severity = if age > minutes(15) { Severity::Error } else { Severity::Warn };
    let class = s.service.load_balancer_class.as_deref();
    let advice = match class {
        Some(class) => format!("install or repair the controller of class {class}; or use type NodePort"),
        None => {
            "install or repair a balancer controller (on bare metal MetalLB or another); or use type NodePort"
                .to_owned()
        }
    };
    let problem = s
        .problem(format!("no address after {}", duration_text(age)))
        .severity(severity)
        .own("status.loadBalancer.ingress", "(empty)")
        .own(
            "metadata.creationTimestamp",
            s.service.meta.created.map_or_else(String::new, |time| time.to_string()),
        );
    let problem = match class {
        Some(class) => problem.own("spec.loadBalancerClass", class),
        None => problem,
    };
    vec![problem.advice(advice).kubectl(&["kubectl", "-n", s.namespace(), "describe", "service", s.name()])]
}
