//! SVC010: hand-made Endpoints whose name fits no Service.

use super::super::similar::likeness;
use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(10),
    title: "Endpoints name does not match the Service",
    severity: Severity::Warn,
    condition: "Endpoints made by hand have the name of no Service, while a Service without selector and endpoints in the namespace has a similar name or the same ports.",
    explanation: "Endpoints belong to the Service of exactly their name; these do nothing.",
    needs: &[Kind::Endpoints],
    of_deleted: false,
    how: How::Cluster(find),
};

fn find(facts: &Facts<'_>) -> Vec<Problem> {
    let orphans = facts.in_scope(facts.state.endpoints()).filter(|object| {
        facts.is_hand_made(object) && has_addresses(object) && !facts.state.services().contains(object.key())
    });
    orphans.filter_map(|object| Some(problem(object, meant(facts, object)?))).collect()
}

fn meant<'a>(facts: &Facts<'a>, object: &Endpoints) -> Option<&'a Arc<Service>> {
    let lonely = facts.state.services().in_namespace(object.namespace()).filter(|service| {
        let open = service.selector.is_none() && service.service_type != ServiceType::ExternalName;
        let listed = facts.state.slices_of(service.key()).any(|slice| !slice.endpoints.is_empty());
        open && !listed && !facts.state.endpoints().contains(service.key())
    });
    let ranked = lonely.filter_map(|service| {
        let likeness = likeness(service.name(), object.name());
        let rank = likeness.or_else(|| same_ports(service, object).then_some(usize::MAX))?;
        Some((rank, service))
    });
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, service)| service)
}

fn same_ports(service: &Service, object: &Endpoints) -> bool {
    let ports = || object.subsets.iter().flat_map(|subset| &subset.ports);
    let has = |wanted: &ServicePort| {
        ports().any(|port| port.name == wanted.name && port.protocol == wanted.protocol)
    };
    let number = |port: &ServicePort| match port.target_port {
        TargetPort::Number(number) => ports().any(|other| other.port == Some(number)),
        TargetPort::Name(_) => true,
    };
    !service.ports.is_empty() && service.ports.iter().all(|port| has(port) && number(port))
}

fn problem(object: &Arc<Endpoints>, service: &Arc<Service>) -> Problem {
    let (namespace, name) = (object.namespace(), object.name());
    Problem::new(
        object.object_ref(),
        format!("no Service is named {name}; {} has no endpoints", service.name()),
    )
    .own("metadata.name", name)
    .evidence(service.object_ref(), "metadata.name", service.name())
    .advice(format!("name them {}: create them anew under that name, then delete these", service.name()))
    .kubectl(&["kubectl", "-n", namespace, "get", "endpoints", name, "-o", "yaml"])
    .kubectl(&["kubectl", "-n", namespace, "delete", "endpoints", name])
}
