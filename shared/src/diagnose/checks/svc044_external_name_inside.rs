//! SVC044: an ExternalName that leads back into the cluster, or nowhere for sure.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(44),
    title: "ExternalName points into the cluster",
    severity: Severity::Warn,
    condition: "The external name ends with .svc or .svc.cluster.local, or has no dot. Error if the Service that it names is not there, in a namespace that is known, or if ExternalNames lead back to this one.",
    explanation: "Clients follow a chain of names: certificates and Host headers do not match the name they asked for. A name without a dot means something else wherever the resolver's search list differs.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some(name) = s.service.external_name.as_deref().filter(|_| s.is_external_name()) else {
        return Vec::new();
    };
    if name.trim_end_matches('.').parse::<IpAddr>().is_ok() {
        return Vec::new();
    }
    let problem = match leads_to(s.facts, name) {
        Some(key) if is_circle(s, &key) => {
            s.problem("its external name leads back to itself").severity(Severity::Error)
        }
        Some(key) if s.facts.state.services().contains(&key) => s.problem(format!("leads to Service {key}")),
        Some(key) if is_shown(s.facts, &key.namespace) => {
            s.problem(format!("leads to Service {key}, which is not there")).severity(Severity::Error)
        }
        Some(key) => s.problem(format!("leads to Service {key}, of a namespace that is not shown")),
        None if !name.trim_end_matches('.').contains('.') => {
            s.problem(format!("what {name} means depends on the search list of whoever resolves it"))
        }
        None => return Vec::new(),
    };
    let problem = problem
        .own("spec.externalName", name)
        .advice("let clients use the other Service's own name; or make a Service with a selector in the right namespace")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "service", s.name(), "-o", "yaml"]);
    vec![problem]
}

/// Some object of the namespace is known, or the Namespace itself: whoever may see only some namespaces cannot tell what is
/// missing in the others.
fn is_shown(facts: &Facts<'_>, namespace: &Text) -> bool {
    let state = facts.state;
    state.namespaces().contains(&Key::cluster(namespace.clone()))
        || state.services().in_namespace(namespace).next().is_some()
        || state.pods().in_namespace(namespace).next().is_some()
}

/// The Service that a name of the cluster means.
pub fn leads_to(facts: &Facts<'_>, name: &str) -> Option<Key> {
    let name = name.trim_end_matches('.').to_lowercase();
    let short = name.strip_suffix(facts.zone).and_then(|rest| rest.strip_suffix('.')).unwrap_or(&name);
    let mut labels = short.strip_suffix(".svc")?.rsplit('.');
    let namespace = labels.next()?.to_owned();
    Some(Key::new(namespace, labels.next()?))
}

fn is_circle(s: &Subject<'_>, first: &Key) -> bool {
    let (mut seen, mut at) = (BTreeSet::new(), first.clone());
    while seen.insert(at.clone()) {
        if at == *s.service.key() {
            return true;
        }
        let next = s
            .facts
            .state
            .services()
            .get(&at)
            .filter(|service| service.service_type == ServiceType::ExternalName);
        let Some(key) = next.and_then(|service| leads_to(s.facts, service.external_name.as_deref()?)) else {
            return false;
        };
        at = key;
    }
    false
}
