//! SVC025: two Services that share pods.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(25),
    title: "Overlapping Services",
    severity: Severity::Info,
    condition: "Two Services of a namespace select some of the same pods: either not the same set, or the same set with the same ports. A headless Service beside a ClusterIP one for the same pods is normal and not reported.",
    explanation: "Often one of the selectors is too wide, or one of the Services is a leftover.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    // Each pair is reported once, on the one that comes first by name.
    let mut shared: BTreeMap<&Key, usize> = BTreeMap::new();
    for pod in s.pods.iter().filter(|_| s.has_selector()) {
        for other in s.facts.selected_by(pod.key()).iter().filter(|other| **other > s.service.key()) {
            *shared.entry(other).or_default() += 1;
        }
    }
    let overlapping: Vec<(&Arc<Service>, usize)> = shared
        .into_iter()
        .filter_map(|(key, common)| Some((s.facts.state.services().get(key)?, common)))
        .filter(|(other, common)| overlaps(s, other, *common))
        .collect();
    if overlapping.is_empty() {
        return Vec::new();
    }
    let text = |other: &Service| labels_text(other.selector.as_ref().unwrap_or(&Labels::default()));
    let problem = s
        .problem(format!("shares pods with {}", list(overlapping.iter().map(|(other, common)| format!("{} ({})", other.name(), count(*common, "pod"))))))
        .own("spec.selector", s.selector_text())
        .evidence_of("spec.selector", overlapping.iter().map(|(other, _)| (other.object_ref(), text(other))))
        .advice("give each Service a label in its selector that only its own pods have, or delete the one that is not needed")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "services", "-o", "wide"]);
    vec![problem]
}

fn overlaps(s: &Subject<'_>, other: &Service, common: usize) -> bool {
    let equal = s.pods.len() == common && s.facts.selection(other.key()).len() == common;
    let ports = |service: &Service| -> BTreeSet<_> {
        service.ports.iter().map(|port| (port.port, port.protocol)).collect()
    };
    let pair = s.service.is_headless() != other.is_headless();
    other.service_type != ServiceType::ExternalName
        && if equal { !pair && ports(s.service) == ports(other) } else { true }
}
